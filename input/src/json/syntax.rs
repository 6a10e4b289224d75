//! The text of a document: whether it is JSON.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{Fault, Problem};

/// What the reader of JSON says of a text, and what is meant.
const WORDS: [(&str, &str); 16] = [
    ("EOF while parsing a list", "the document ends within a list"),
    ("EOF while parsing an object", "the document ends within an object"),
    ("EOF while parsing a string", "the document ends within a text"),
    ("EOF while parsing a value", "the document ends where a value should be"),
    ("expected value", "no JSON value stands here"),
    (
        "expected ident",
        "no JSON value stands here; words are true, false and null",
    ),
    ("expected `:`", "a colon has to follow a key"),
    ("expected `,` or `]`", "a comma or ] has to follow a member of a list"),
    ("expected `,` or `}`", "a comma or } has to follow a value of an object"),
    ("trailing comma", "a value has to follow a comma"),
    ("trailing characters", "something follows the end of the document"),
    ("key must be a string", "a key has to be a text in double quotes"),
    ("invalid number", "this is not a number of JSON"),
    ("number out of range", "the number is too large"),
    (
        "recursion limit exceeded",
        "lists and objects lie in each other more than 127 deep",
    ),
    (
        "control character",
        "a text has a control character, which is written as \\n, \\t or \\u and four hex digits",
    ),
];

/// The prefix of what this module says itself.
const TWICE: &str = "twice: ";

/// Reads a text. A key that stands twice in an object is a fault: one of the two would be lost.
pub(super) fn read(text: &[u8]) -> Result<Value, Fault> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(whole(Problem::Said(format!(
            "is no text: byte {} is not UTF-8",
            error.valid_up_to()
        ))));
    }
    let error = match serde_json::from_slice::<Unique>(text) {
        Ok(Unique(value)) => return Ok(value),
        Err(error) => error,
    };
    let said = error.to_string();
    let problem = match said.strip_prefix(TWICE) {
        Some(rest) => {
            let key = rest.rsplit_once(" at line ").map_or(rest, |(key, _)| key);
            format!("duplicate field `{key}`")
        }
        None => WORDS
            .iter()
            .find(|(words, _)| said.starts_with(words))
            .map_or("this is not JSON", |(_, meant)| meant)
            .into(),
    };
    let position = (error.line() > 0).then(|| (error.line(), error.column().max(1)));
    Err(Fault {
        position,
        ..whole(Problem::Said(problem))
    })
}

fn whole(problem: Problem) -> Fault {
    Fault {
        path: String::new(),
        problem,
        position: None,
    }
}

/// A value of which no object has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(member)) = members.next_element()? {
            list.push(member);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{TWICE}{key}")));
            }
            let Unique(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}
