//! JSON values into types: a fault is recorded with its path, and the value replaced by a placeholder.

use alloc::{borrow::ToOwned, format, string::String, string::ToString, vec::Vec};

use super::{Fault, MAX_FAULTS, Problem, json::Json};

/// Names of fields that hold key material.
const SECRET_WORDS: [&str; 6] = ["secret", "secrets", "key", "keys", "client_key", "client_keys"];

/// The maximum length of an excerpt in a fault, in characters: it is written to a log line.
const MAX_EXCERPT: usize = 64;

/// The maximum number of fields of an object.
const MAX_FIELDS: usize = 256;

/// A type that can be read from a document.
///
/// A faulty value is recorded and replaced by a placeholder, so that all other faults are found too; the caller rejects the
/// document.
pub trait Value: Sized {
    /// Reads a value.
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self;

    /// Returns the value that replaces a missing or faulty one.
    fn placeholder() -> Self;
}

/// The faults of a document so far.
#[derive(Debug, Default)]
pub struct Reader {
    /// The faults that have not been taken yet.
    faults: Vec<Fault>,
    /// The paths of all faults, at most [`MAX_FAULTS`].
    places: Vec<String>,
    /// Whether fields named like key material are faults.
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

    /// Records a fault.
    pub(crate) fn fault(&mut self, path: &Path<'_>, problem: Problem) {
        if !self.is_full() {
            let place = path.place();
            self.places.push(place.clone());
            self.faults.push(Fault { place, problem });
        }
    }

    /// Records that a value has the wrong type.
    pub(crate) fn wrong_type(&mut self, path: &Path<'_>, wanted: &'static str) {
        self.fault(path, Problem::Type(wanted));
    }

    /// Records that a value is out of range.
    pub(crate) fn out_of_bounds(&mut self, path: &Path<'_>, found: u64, wanted: String) {
        let found = found.to_string();
        self.fault(path, Problem::Value { found, wanted });
    }

    pub(crate) fn string<'j>(&mut self, json: &'j Json, path: &Path<'_>) -> Option<&'j str> {
        if let Json::Text(text) = json {
            return Some(text);
        }
        self.wrong_type(path, "a string");
        None
    }

    /// Reads a string with a grammar.
    pub(crate) fn parsed<T>(
        &mut self,
        json: &Json,
        path: &Path<'_>,
        parse: fn(&str) -> Option<T>,
        wanted: &'static str,
    ) -> Option<T> {
        let text = self.string(json, path)?;
        let parsed = parse(text);
        if parsed.is_none() {
            let text: String = text.chars().take(MAX_EXCERPT).collect();
            let found = format!("\"{}\"", text.escape_default());
            let wanted = wanted.to_owned();
            self.fault(path, Problem::Value { found, wanted });
        }
        parsed
    }

    /// Reads an integer within bounds.
    pub(crate) fn integer(&mut self, json: &Json, path: &Path<'_>, min: u32, max: u32) -> Option<u32> {
        let Json::Number(number) = json else {
            self.wrong_type(path, "an integer");
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
            self.out_of_bounds(path, *number, wanted);
        }
        bounded
    }

    /// Reads one of several words, and returns its index.
    pub(crate) fn word(&mut self, json: &Json, path: &Path<'_>, words: &'static [&'static str]) -> usize {
        let is_it = |word: &&str| matches!(json, Json::Text(text) if text == word);
        words.iter().position(is_it).unwrap_or_else(|| {
            self.fault(path, Problem::NoneOf(words));
            0
        })
    }

    /// Reads the members of a list, `min` to `max` of them.
    pub(crate) fn members<'j>(&mut self, json: &'j Json, path: &Path<'_>, min: usize, max: usize) -> &'j [Json] {
        let Json::List(members) = json else {
            self.wrong_type(path, "a list");
            return &[];
        };
        let found = members.len();
        if !(min..=max).contains(&found) {
            let wanted = format!("{min} to {max} members");
            self.fault(path, Problem::Length { found, wanted });
        }
        members.get(..max).unwrap_or(members)
    }

    /// Reads an object with these fields, or with fields of any name.
    pub(crate) fn object<'j>(
        &mut self,
        json: &'j Json,
        path: &'j Path<'j>,
        known: Option<&'static [&'static str]>,
    ) -> Object<'j> {
        let Json::Object(fields) = json else {
            self.wrong_type(path, "an object");
            // A value that is not an object has no missing fields.
            let fields = None;
            return Object { fields, path };
        };
        let found = fields.len();
        if found > MAX_FIELDS {
            let wanted = format!("at most {MAX_FIELDS} fields");
            self.fault(path, Problem::Length { found, wanted });
            let fields = None;
            return Object { fields, path };
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
            self.fault(&Path::Field(path, field), problem);
        }
        let fields = Some(fields.as_slice());
        Object { fields, path }
    }
}

/// An object that is being read.
pub struct Object<'j> {
    fields: Option<&'j [(String, Json)]>,
    path: &'j Path<'j>,
}

impl<'j> Object<'j> {
    /// Reads a required field.
    pub(crate) fn required<T: Value>(&self, field: &'static str, reader: &mut Reader) -> T {
        self.optional(field, reader).unwrap_or_else(|| {
            if self.fields.is_some() {
                reader.fault(&Path::Field(self.path, field), Problem::Missing);
            }
            T::placeholder()
        })
    }

    /// Reads a field; of duplicates, the first.
    pub(crate) fn optional<T: Value>(&self, field: &'static str, reader: &mut Reader) -> Option<T> {
        let value = self.value(field, reader)?;
        Some(T::read(value, &Path::Field(self.path, field), reader))
    }

    fn value(&self, field: &str, reader: &Reader) -> Option<&'j Json> {
        // A secret in a public document is a fault already, and is not read.
        if reader.refuses_secrets && SECRET_WORDS.contains(&field) {
            return None;
        }
        let (_, value) = self.fields?.iter().find(|(name, _)| name == field)?;
        Some(value)
    }

    /// Returns whether the value is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.fields.is_some()
    }

    /// Returns the fields, whose names are data.
    pub(crate) fn fields(&self) -> &'j [(String, Json)] {
        self.fields.unwrap_or_default()
    }
}

/// The path to a value, as a list from its end.
#[derive(Clone, Copy, Debug)]
pub enum Path<'w> {
    /// The document.
    Root,
    /// The value of a field.
    Field(&'w Path<'w>, &'w str),
    /// A member of a list.
    Index(&'w Path<'w>, usize),
}

impl Path<'_> {
    pub(super) fn place(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(outer, field) => {
                let mut place = outer.place();
                if !place.is_empty() {
                    place.push('.');
                }
                place.extend(field.chars().take(MAX_EXCERPT));
                place
            }
            Self::Index(outer, number) => format!("{}[{number}]", outer.place()),
        }
    }
}

impl Value for String {
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
        reader.string(json, path).unwrap_or_default().to_owned()
    }

    fn placeholder() -> Self {
        Self::new()
    }
}

impl Value for bool {
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
        if let Json::Flag(flag) = json {
            return *flag;
        }
        reader.wrong_type(path, "true or false");
        false
    }

    fn placeholder() -> Self {
        false
    }
}

/// Defines a type that is read from an object. A field is `required`, `optional` of type `Option`, or has the `default` of
/// its type.
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
                path: &$crate::read::Path<'_>,
                reader: &mut $crate::read::Reader,
            ) -> Self {
                let object = reader.object(json, path, Some(&[$(stringify!($field)),*]));
                Self { $($field: $crate::read::object!(@$need object, reader, $field),)* }
            }

            fn placeholder() -> Self {
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
        $crate::read::Value::placeholder()
    };
    (@missing $need:ident) => {
        Default::default()
    };
}

/// Defines an enumeration that is read from one of several words.
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
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the word for it.
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
                path: &$crate::read::Path<'_>,
                reader: &mut $crate::read::Reader,
            ) -> Self {
                let number = reader.word(json, path, &[$($word),*]);
                Self::ALL.get(number).copied().unwrap_or_else(Self::placeholder)
            }

            fn placeholder() -> Self {
                [$(Self::$variant),*][0]
            }
        }
    };
}

pub(crate) use {object, words};
