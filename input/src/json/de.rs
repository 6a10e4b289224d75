//! Deserialization of values that records the path of every fault.

use std::{cell::RefCell, collections::HashSet, fmt};

use serde::{
    Deserializer, de,
    de::{DeserializeOwned, DeserializeSeed, IntoDeserializer, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::Value;
use ssa_snapshot::read;

use super::{Problem, Step};

/// The faults of a value, and the parts of it that are skipped because of them.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The faults, each with its path.
    pub(super) faults: Vec<(Vec<Step>, Problem)>,
    /// The parts that have a fault already, and are skipped.
    skipped: HashSet<Vec<Step>>,
    /// Whether the value must be read again, because more is skipped.
    changed: bool,
}

impl Notes {
    /// Records a fault, unless it follows from another: a field that is skipped because of its value is not missing.
    fn add(&mut self, path: Vec<Step>, problem: Problem) {
        let follows = problem == Problem::MISSING && self.skipped.contains(&path);
        // An object without a required field is skipped as a whole.
        let skipped = match path.split_last() {
            Some((_, object)) if problem == Problem::MISSING => object.to_vec(),
            _ => path.clone(),
        };
        if self.skipped.insert(skipped) {
            self.changed = true;
            if !follows {
                self.faults.push((path, problem));
            }
        }
    }
}

/// Reads a value and records up to `max` faults: each part with a fault is skipped and the rest read again, until there are
/// no more. Returns nothing if what remains is not sufficient.
pub(super) fn read<T: DeserializeOwned>(value: &Value, max: usize) -> (Option<T>, Vec<(Vec<Step>, Problem)>) {
    let notes = RefCell::new(Notes::default());
    loop {
        let read = T::deserialize(ValueDeserializer {
            value,
            path: &Path::Start,
            notes: &notes,
        });
        let mut notes = notes.borrow_mut();
        let read = match read {
            Ok(read) => Some(read),
            Err(mut error) => {
                error.path.reverse();
                notes.add(error.path, error.problem);
                None
            }
        };
        if !std::mem::take(&mut notes.changed) || notes.faults.len() >= max || notes.skipped.contains(&Vec::new()) {
            return (read, std::mem::take(&mut notes.faults));
        }
    }
}

/// The path to a value.
#[derive(Clone, Copy)]
enum Path<'w> {
    /// The value that is read.
    Start,
    /// The value of a key.
    Key(&'w Path<'w>, &'w str),
    /// A member.
    At(&'w Path<'w>, usize),
}

impl Path<'_> {
    fn steps(&self) -> Vec<Step> {
        let (outer, step) = match self {
            Self::Start => return Vec::new(),
            Self::Key(outer, key) => (outer, Step::from(*key)),
            Self::At(outer, number) => (outer, Step::At(*number)),
        };
        let mut steps = outer.steps();
        steps.push(step);
        steps
    }

    fn is_skipped(&self, notes: &RefCell<Notes>) -> bool {
        let skipped = &notes.borrow().skipped;
        !skipped.is_empty() && skipped.contains(&self.steps())
    }
}

/// A fault, and its path from the end.
#[derive(Debug)]
pub(super) struct Error {
    path: Vec<Step>,
    problem: Problem,
}

impl Error {
    fn below(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let path = Vec::new();
        Self { path, problem }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem::other(&message.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Problem::of_type(found, wanted).into()
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Problem::of_type(found, wanted).into()
    }

    fn invalid_length(length: usize, wanted: &dyn de::Expected) -> Self {
        Problem::of_length(length, wanted).into()
    }

    fn unknown_variant(_found: &str, allowed: &'static [&'static str]) -> Self {
        Problem::Value(read::Problem::NoneOf(allowed)).into()
    }

    fn unknown_field(key: &str, allowed: &'static [&'static str]) -> Self {
        Self::from(Problem::UnknownField { allowed }).below(key.into())
    }

    fn missing_field(key: &'static str) -> Self {
        Self::from(Problem::MISSING).below(key.into())
    }

    fn duplicate_field(key: &'static str) -> Self {
        Self::from(Problem::Value(read::Problem::DuplicateField)).below(key.into())
    }
}

/// A value that is read.
#[derive(Clone, Copy)]
struct ValueDeserializer<'de, 'w> {
    value: &'de Value,
    path: &'w Path<'w>,
    notes: &'w RefCell<Notes>,
}

impl ValueDeserializer<'_, '_> {
    fn found(&self) -> Unexpected<'_> {
        match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => number
                .as_u64()
                .map(Unexpected::Unsigned)
                .or_else(|| number.as_i64().map(Unexpected::Signed))
                .unwrap_or(Unexpected::Float(number.as_f64().unwrap_or(f64::NAN))),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for ValueDeserializer<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(members) => visitor.visit_seq(Members {
                rest: members.iter(),
                next: 0,
                path: self.path,
                notes: self.notes,
            }),
            Value::Object(entries) => visitor.visit_map(Entries {
                rest: entries.iter(),
                current: None,
                path: self.path,
                notes: self.notes,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// An object alone is one: by its keys it says what it means.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.value.is_object() {
            self.deserialize_any(visitor)
        } else {
            Err(de::Error::invalid_type(self.found(), &visitor))
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        allowed: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Value::String(text) = self.value {
            return visitor.visit_enum(text.as_str().into_deserializer());
        }
        Err(Problem::Value(read::Problem::NoneOf(allowed)).into())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Members<'de, 'w> {
    rest: std::slice::Iter<'de, Value>,
    next: usize,
    path: &'w Path<'w>,
    notes: &'w RefCell<Notes>,
}

impl<'de> de::SeqAccess<'de> for Members<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let notes = self.notes;
        loop {
            let Some(value) = self.rest.next() else {
                return Ok(None);
            };
            let number = self.next;
            self.next += 1;
            let path = Path::At(self.path, number);
            if path.is_skipped(notes) {
                continue;
            }
            let read = seed.deserialize(ValueDeserializer {
                value,
                path: &path,
                notes,
            });
            return read.map(Some).map_err(|error| error.below(Step::At(number)));
        }
    }
}

struct Entries<'de, 'w> {
    rest: serde_json::map::Iter<'de>,
    current: Option<(&'de String, &'de Value)>,
    path: &'w Path<'w>,
    notes: &'w RefCell<Notes>,
}

impl<'de> de::MapAccess<'de> for Entries<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let (path, notes) = (self.path, self.notes);
        self.current = self.rest.find(|(key, _)| !Path::Key(path, key).is_skipped(notes));
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let read = seed.deserialize(de::value::BorrowedStrDeserializer::new(key));
        // A field that is not known has its key as path already.
        let told = |error: Error| {
            let is_known = error.path.first() == Some(&Step::Key(key.clone()));
            if is_known {
                error
            } else {
                error.below(Step::Key(key.clone()))
            }
        };
        read.map(Some).map_err(told)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((key, value)) = self.current.take() else {
            return Err(Problem::other("a value is missing").into());
        };
        let read = seed.deserialize(ValueDeserializer {
            value,
            path: &Path::Key(self.path, key),
            notes: self.notes,
        });
        read.map_err(|error| error.below(Step::Key(key.clone())))
    }
}
