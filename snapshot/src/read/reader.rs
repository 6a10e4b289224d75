//! Values into types: what is at fault is noted with its path, and something stands in for it.

use alloc::{borrow::ToOwned, format, string::String, string::ToString, vec::Vec};

use super::{Fault, MAX_FAULTS, Problem, json::Json};

/// Words that name key material wherever they stand.
const SECRET_WORDS: [&str; 6] = ["secret", "secrets", "key", "keys", "client_key", "client_keys"];

/// The longest piece of a text that a fault repeats, in characters: it ends in a log line.
const REPEATED: usize = 64;

/// The most fields of an object.
const MAX_FIELDS: usize = 256;

/// What can be read of a document. A value at fault is noted, and something stands in for it: whoever reads refuses the
/// document then, but tells what else is wrong with it too.
pub trait Value: Sized {
    /// Reads a value.
    fn read(json: &Json, way: &Way<'_>, reader: &mut Reader) -> Self;

    /// Returns what stands in for a value that is missing.
    fn stand_in() -> Self;
}

/// What is wrong with a document so far.
#[derive(Debug, Default)]
pub struct Reader {
    /// Not taken yet.
    faults: Vec<Fault>,
    /// The places that have a fault, at most [`MAX_FAULTS`].
    places: Vec<String>,
    /// Whether fields that are named as key material is are faults.
    pub(super) refuses_secrets: bool,
}

impl Reader {
    pub(super) fn is_known(&self, place: &str) -> bool {
        self.places.iter().any(|known| known == place)
    }

    pub(super) fn is_full(&self) -> bool {
        self.places.len() >= MAX_FAULTS
    }

    pub(super) fn take(&mut self) -> Vec<Fault> {
        core::mem::take(&mut self.faults)
    }

    /// Notes a fault.
    pub(crate) fn fault(&mut self, way: &Way<'_>, problem: Problem) {
        if !self.is_full() {
            let place = way.place();
            self.places.push(place.clone());
            self.faults.push(Fault { place, problem });
        }
    }

    /// Notes that a value is of another type.
    pub(crate) fn not(&mut self, way: &Way<'_>, wanted: &'static str) {
        self.fault(way, Problem::Type(wanted));
    }

    /// Notes that a value is out of bounds.
    pub(crate) fn out_of_bounds(&mut self, way: &Way<'_>, found: u64, wanted: String) {
        let found = found.to_string();
        self.fault(way, Problem::Value { found, wanted });
    }

    pub(crate) fn string<'j>(&mut self, json: &'j Json, way: &Way<'_>) -> Option<&'j str> {
        if let Json::Text(text) = json {
            return Some(text);
        }
        self.not(way, "a string");
        None
    }

    /// Reads a text by its grammar.
    pub(crate) fn parsed<T>(
        &mut self,
        json: &Json,
        way: &Way<'_>,
        parse: fn(&str) -> Option<T>,
        wanted: &'static str,
    ) -> Option<T> {
        let text = self.string(json, way)?;
        let parsed = parse(text);
        if parsed.is_none() {
            let text: String = text.chars().take(REPEATED).collect();
            let found = format!("\"{}\"", text.escape_default());
            let wanted = wanted.to_owned();
            self.fault(way, Problem::Value { found, wanted });
        }
        parsed
    }

    /// Reads an integer within bounds.
    pub(crate) fn integer(&mut self, json: &Json, way: &Way<'_>, min: u32, max: u32) -> Option<u32> {
        let Json::Number(number) = json else {
            self.not(way, "an integer");
            return None;
        };
        let bounded = u32::try_from(*number)
            .ok()
            .filter(|number| (min..=max).contains(number));
        if bounded.is_none() {
            let wanted = if min == max {
                min.to_string()
            } else {
                format!("an integer from {min} to {max}")
            };
            self.out_of_bounds(way, *number, wanted);
        }
        bounded
    }

    /// Reads one of a few words, and returns its number.
    pub(crate) fn word(&mut self, json: &Json, way: &Way<'_>, words: &'static [&'static str]) -> usize {
        let is_it = |word: &&str| matches!(json, Json::Text(text) if text == word);
        words.iter().position(is_it).unwrap_or_else(|| {
            self.fault(way, Problem::NoneOf(words));
            0
        })
    }

    /// Reads the members of a list, `min` to `max` of them.
    pub(crate) fn members<'j>(&mut self, json: &'j Json, way: &Way<'_>, min: usize, max: usize) -> &'j [Json] {
        let Json::List(members) = json else {
            self.not(way, "a list");
            return &[];
        };
        let found = members.len();
        if !(min..=max).contains(&found) {
            let wanted = format!("{min} to {max} members");
            self.fault(way, Problem::Length { found, wanted });
        }
        members.get(..max).unwrap_or(members)
    }

    /// Reads an object, whose fields are those named or have any name.
    pub(crate) fn object<'j>(
        &mut self,
        json: &'j Json,
        way: &'j Way<'j>,
        known: Option<&'static [&'static str]>,
    ) -> Object<'j> {
        let Json::Object(fields) = json else {
            self.not(way, "an object");
            // Nothing is missing in what is no object.
            let fields = None;
            return Object { fields, way };
        };
        let found = fields.len();
        if found > MAX_FIELDS {
            let wanted = format!("at most {MAX_FIELDS} fields");
            self.fault(way, Problem::Length { found, wanted });
            let fields = None;
            return Object { fields, way };
        }
        for (number, (field, _)) in fields.iter().enumerate() {
            let is_known = known.is_none_or(|known| known.contains(&field.as_str()));
            let is_secret = || SECRET_WORDS.contains(&field.to_ascii_lowercase().as_str());
            let problem = if fields.iter().take(number).any(|(earlier, _)| earlier == field) {
                Problem::DuplicateField
            } else if (!is_known || self.refuses_secrets) && is_secret() {
                Problem::Secret
            } else if is_known {
                continue;
            } else {
                Problem::UnknownField
            };
            self.fault(&Way::Field(way, field), problem);
        }
        let fields = Some(fields.as_slice());
        Object { fields, way }
    }
}

/// An object that is read.
pub struct Object<'j> {
    fields: Option<&'j [(String, Json)]>,
    way: &'j Way<'j>,
}

impl<'j> Object<'j> {
    /// Reads a field that has to be there.
    pub(crate) fn required<T: Value>(&self, field: &'static str, reader: &mut Reader) -> T {
        self.optional(field, reader).unwrap_or_else(|| {
            if self.fields.is_some() {
                reader.fault(&Way::Field(self.way, field), Problem::Missing);
            }
            T::stand_in()
        })
    }

    /// Reads a field; of one that stands here twice the first.
    pub(crate) fn optional<T: Value>(&self, field: &'static str, reader: &mut Reader) -> Option<T> {
        let value = self.value(field, reader)?;
        Some(T::read(value, &Way::Field(self.way, field), reader))
    }

    fn value(&self, field: &str, reader: &Reader) -> Option<&'j Json> {
        // A secret where everybody reads was told already, and is not looked at.
        if reader.refuses_secrets && SECRET_WORDS.contains(&field) {
            return None;
        }
        let (_, value) = self.fields?.iter().find(|(name, _)| name == field)?;
        Some(value)
    }

    /// Says whether it is an object at all.
    pub(crate) fn is_whole(&self) -> bool {
        self.fields.is_some()
    }

    /// Returns the fields, whose names are data.
    pub(crate) fn fields(&self) -> &'j [(String, Json)] {
        self.fields.unwrap_or_default()
    }
}

/// The way to a value.
#[derive(Clone, Copy, Debug)]
pub enum Way<'w> {
    /// The whole.
    Whole,
    /// The value of a field.
    Field(&'w Way<'w>, &'w str),
    /// A member.
    At(&'w Way<'w>, usize),
}

impl Way<'_> {
    pub(super) fn place(&self) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Field(outer, field) => {
                let mut place = outer.place();
                if !place.is_empty() {
                    place.push('.');
                }
                place.extend(field.chars().take(REPEATED));
                place
            }
            Self::At(outer, number) => format!("{}[{number}]", outer.place()),
        }
    }
}

impl Value for String {
    fn read(json: &Json, way: &Way<'_>, reader: &mut Reader) -> Self {
        reader.string(json, way).unwrap_or_default().to_owned()
    }

    fn stand_in() -> Self {
        Self::new()
    }
}

impl Value for bool {
    fn read(json: &Json, way: &Way<'_>, reader: &mut Reader) -> Self {
        if let Json::Flag(flag) = json {
            return *flag;
        }
        reader.not(way, "true or false");
        false
    }

    fn stand_in() -> Self {
        false
    }
}

/// Defines a type that is written as an object. A field is `required`, `optional` of type `Option`, or has its type's
/// `default`.
macro_rules! object {
    ($(#[$attribute:meta])* pub struct $name:ident $(<$parameter:ident>)? { $($fields:tt)* }) => {
        $crate::read::object!(@fields [$(#[$attribute])* $name $(<$parameter>)?] [] $($fields)*);
    };
    (@fields $head:tt [$($done:tt)*] $(#[$of:meta])* required $field:ident: $type:ty, $($rest:tt)*) => {
        $crate::read::object!(@fields $head [$($done)* [$(#[$of])*] required $field: $type,] $($rest)*);
    };
    (@fields $head:tt [$($done:tt)*] $(#[$of:meta])* optional $field:ident: $type:ty, $($rest:tt)*) => {
        $crate::read::object!(@fields $head [
            $($done)* [$(#[$of])* #[serde(skip_serializing_if = "Option::is_none")]] optional $field: $type,
        ] $($rest)*);
    };
    (@fields $head:tt [$($done:tt)*] $(#[$of:meta])* default $field:ident: $type:ty, $($rest:tt)*) => {
        $crate::read::object!(@fields $head [
            $($done)* [$(#[$of])* #[cfg_attr(feature = "schema", schemars(default))]] default $field: $type,
        ] $($rest)*);
    };
    (
        @fields [$(#[$attribute:meta])* $name:ident $(<$parameter:ident>)?]
        [$([$($of:tt)*] $need:ident $field:ident: $type:ty,)*]
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
        pub struct $name $(<$parameter>)? {
            $($($of)* pub $field: $type,)*
        }

        impl $(<$parameter: $crate::read::Value>)? $crate::read::Value for $name $(<$parameter>)? {
            #[inline(never)]
            fn read(
                json: &$crate::read::Json,
                way: &$crate::read::Way<'_>,
                reader: &mut $crate::read::Reader,
            ) -> Self {
                let object = reader.object(json, way, Some(&[$(stringify!($field)),*]));
                Self { $($field: $crate::read::object!(@$need object, reader, $field),)* }
            }

            fn stand_in() -> Self {
                Self { $($field: $crate::read::object!(@missing $need),)* }
            }
        }
    };
    (@required $object:ident, $reader:ident, $field:ident) => {
        $object.required(stringify!($field), $reader)
    };
    (@optional $object:ident, $reader:ident, $field:ident) => {
        $object.optional(stringify!($field), $reader)
    };
    (@default $object:ident, $reader:ident, $field:ident) => {
        $object.optional(stringify!($field), $reader).unwrap_or_default()
    };
    (@missing required) => {
        $crate::read::Value::stand_in()
    };
    (@missing $need:ident) => {
        Default::default()
    };
}

/// Defines an enumeration that is written as one of a few words.
macro_rules! words {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
        pub enum $name {
            $($(#[$of_variant])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the word that stands for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl $crate::read::Value for $name {
            fn read(
                json: &$crate::read::Json,
                way: &$crate::read::Way<'_>,
                reader: &mut $crate::read::Reader,
            ) -> Self {
                let number = reader.word(json, way, &[$($word),*]);
                Self::ALL.get(number).copied().unwrap_or_else(Self::stand_in)
            }

            fn stand_in() -> Self {
                [$(Self::$variant),*][0]
            }
        }
    };
}

pub(crate) use {object, words};
