//! Values into types, with faults that know their way.

use std::{cell::RefCell, collections::HashSet, fmt};

use serde::{
    Deserializer, de,
    de::{DeserializeOwned, DeserializeSeed, IntoDeserializer, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::Value;

use super::{Problem, Step};

/// What was found of a value, and what is passed over for it.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What is wrong, each with its way.
    pub(super) faults: Vec<(Vec<Step>, Problem)>,
    /// What is at fault already, and passed over.
    passed: HashSet<Vec<Step>>,
    /// Whether more is passed over since the value was read.
    changed: bool,
}

impl Notes {
    /// Notes a fault. One that follows from another is none: a key that was passed over for its value is not missing.
    fn add(&mut self, way: Vec<Step>, problem: Problem) {
        let known = problem.missing().is_some_and(|key| {
            let below: Vec<Step> = way.iter().cloned().chain([key.into()]).collect();
            self.passed.contains(&below)
        });
        if self.passed.insert(way.clone()) {
            self.changed = true;
            if !known {
                self.faults.push((way, problem));
            }
        }
    }
}

/// Reads a value, and notes up to so many faults of it: what is at fault is passed over, and the rest read again, until
/// nothing more is. Returns nothing where what is left is not enough.
pub(super) fn read<T: DeserializeOwned>(value: &Value, most: usize) -> (Option<T>, Vec<(Vec<Step>, Problem)>) {
    let notes = RefCell::new(Notes::default());
    loop {
        let read = T::deserialize(De {
            value,
            way: &Way::Start,
            notes: &notes,
        });
        let mut notes = notes.borrow_mut();
        let read = match read {
            Ok(read) => Some(read),
            Err(mut wrong) => {
                wrong.way.reverse();
                notes.add(wrong.way, wrong.problem);
                None
            }
        };
        if !std::mem::take(&mut notes.changed) || notes.faults.len() >= most || notes.passed.contains(&Vec::new()) {
            return (read, std::mem::take(&mut notes.faults));
        }
    }
}

/// The way to a value.
#[derive(Clone, Copy)]
enum Way<'w> {
    /// The value that is read.
    Start,
    /// The value of a key.
    Key(&'w Way<'w>, &'w str),
    /// A member.
    At(&'w Way<'w>, usize),
}

impl Way<'_> {
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

    fn is_passed(&self, notes: &RefCell<Notes>) -> bool {
        let passed = &notes.borrow().passed;
        !passed.is_empty() && passed.contains(&self.steps())
    }
}

/// What is wrong, and the way there from its end.
#[derive(Debug)]
pub(super) struct Wrong {
    way: Vec<Step>,
    problem: Problem,
}

impl Wrong {
    fn below(mut self, step: Step) -> Self {
        self.way.push(step);
        self
    }
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        let way = Vec::new();
        Self { way, problem }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Wrong {}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem::said(&message.to_string()).into()
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
        let allowed = owned(allowed);
        Problem::NoneOf { allowed }.into()
    }

    fn unknown_field(key: &str, allowed: &'static [&'static str]) -> Self {
        let (key, allowed) = (key.to_owned(), owned(allowed));
        Self::from(Problem::UnknownKey {
            key: key.clone(),
            allowed,
        })
        .below(Step::Key(key))
    }

    fn missing_field(key: &'static str) -> Self {
        Problem::MissingKey { key: key.into() }.into()
    }

    fn duplicate_field(key: &'static str) -> Self {
        Problem::Said(format!("duplicate field `{key}`")).into()
    }
}

/// A value that is read.
#[derive(Clone, Copy)]
struct De<'de, 'w> {
    value: &'de Value,
    way: &'w Way<'w>,
    notes: &'w RefCell<Notes>,
}

impl De<'_, '_> {
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

impl<'de> Deserializer<'de> for De<'de, '_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
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
                way: self.way,
                notes: self.notes,
            }),
            Value::Object(entries) => visitor.visit_map(Entries {
                rest: entries.iter(),
                current: None,
                way: self.way,
                notes: self.notes,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    /// An object alone is one: by its keys it says what it means.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
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
    ) -> Result<V::Value, Wrong> {
        if let Value::String(text) = self.value {
            return visitor.visit_enum(text.as_str().into_deserializer());
        }
        let words: Vec<String> = allowed.iter().map(|word| format!("`{word}`")).collect();
        let wanted = format!("one of the texts {}", words.join(", "));
        Err(de::Error::invalid_type(self.found(), &wanted.as_str()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Members<'de, 'w> {
    rest: std::slice::Iter<'de, Value>,
    next: usize,
    way: &'w Way<'w>,
    notes: &'w RefCell<Notes>,
}

impl<'de> de::SeqAccess<'de> for Members<'de, '_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let notes = self.notes;
        loop {
            let Some(value) = self.rest.next() else {
                return Ok(None);
            };
            let number = self.next;
            self.next += 1;
            let way = Way::At(self.way, number);
            if way.is_passed(notes) {
                continue;
            }
            let read = seed.deserialize(De {
                value,
                way: &way,
                notes,
            });
            return read.map(Some).map_err(|wrong| wrong.below(Step::At(number)));
        }
    }
}

struct Entries<'de, 'w> {
    rest: serde_json::map::Iter<'de>,
    current: Option<(&'de String, &'de Value)>,
    way: &'w Way<'w>,
    notes: &'w RefCell<Notes>,
}

impl<'de> de::MapAccess<'de> for Entries<'de, '_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let (way, notes) = (self.way, self.notes);
        self.current = self.rest.find(|(key, _)| !Way::Key(way, key).is_passed(notes));
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let read = seed.deserialize(de::value::BorrowedStrDeserializer::new(key));
        // A field that is not known has its key as way already.
        let told = |wrong: Wrong| {
            let is_there = wrong.way.first() == Some(&Step::Key(key.clone()));
            if is_there {
                wrong
            } else {
                wrong.below(Step::Key(key.clone()))
            }
        };
        read.map(Some).map_err(told)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wrong> {
        let Some((key, value)) = self.current.take() else {
            return Err(Problem::said("no value").into());
        };
        let read = seed.deserialize(De {
            value,
            way: &Way::Key(self.way, key),
            notes: self.notes,
        });
        read.map_err(|wrong| wrong.below(Step::Key(key.clone())))
    }
}
