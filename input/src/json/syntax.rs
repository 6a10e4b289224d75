//! The syntax of a document.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{Fault, Problem, excerpt};

/// The errors of `serde_json`, and what is reported for them.
const MESSAGES: [(&str, &str); 20] = [
    ("EOF while parsing a list", "the document ends within a list"),
    ("EOF while parsing an object", "the document ends within an object"),
    ("EOF while parsing a string", "the document ends within a string"),
    ("EOF while parsing a value", "the document ends where a value should be"),
    ("expected value", "a JSON value is missing here"),
    (
        "expected ident",
        "a JSON value is missing here; words are true, false and null",
    ),
    ("expected `:`", "a colon must follow a key"),
    ("expected `,` or `]`", "a comma or ] must follow a member of a list"),
    ("expected `,` or `}`", "a comma or } must follow a value of an object"),
    ("trailing comma", "a value must follow a comma"),
    (
        "trailing characters",
        "unexpected characters after the end of the document",
    ),
    (
        "lone leading surrogate",
        "half of a surrogate pair is escaped without the other half",
    ),
    (
        "unexpected end of hex escape",
        "half of a surrogate pair is escaped without the other half",
    ),
    (
        "invalid unicode code point",
        "half of a surrogate pair is escaped without the other half",
    ),
    (
        "invalid escape",
        "a backslash in a string must be followed by one of \" \\ / b f n r t, or by u and four hex digits",
    ),
    ("key must be a string", "a key must be a string in double quotes"),
    ("invalid number", "not a JSON number"),
    ("number out of range", "the number is too large"),
    (
        "recursion limit exceeded",
        "lists and objects are nested more than 127 levels deep",
    ),
    (
        "control character",
        "a string contains a control character; write it as \\n, \\t or \\u and four hex digits",
    ),
];

/// The prefix of errors of this module itself.
const DUPLICATE: &str = "duplicate: ";

/// Reads a text. A duplicate key in an object is a fault, because one of the two values would be lost.
pub(super) fn read(text: &[u8]) -> Result<Value, Fault> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(whole(Problem::Other(format!(
            "is not UTF-8: invalid byte at offset {}",
            error.valid_up_to()
        ))));
    }
    let error = match serde_json::from_slice::<Unique>(text) {
        Ok(Unique(value)) => return Ok(value),
        Err(error) => error,
    };
    let said = error.to_string();
    let problem = match said.strip_prefix(DUPLICATE) {
        Some(rest) => {
            let key = rest.rsplit_once(" at line ").map_or(rest, |(key, _)| key);
            format!("duplicate field `{}`", excerpt(key))
        }
        None => MESSAGES
            .iter()
            .find(|(words, _)| said.starts_with(words))
            .map_or("not JSON", |(_, meant)| meant)
            .into(),
    };
    let position = (error.line() > 0).then(|| (error.line(), error.column().max(1)));
    Err(Fault {
        position,
        ..whole(Problem::Other(problem))
    })
}

fn whole(problem: Problem) -> Fault {
    Fault {
        path: String::new(),
        problem,
        position: None,
    }
}

/// A value without duplicate keys in any object.
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
                return Err(A::Error::custom(format_args!("{DUPLICATE}{key}")));
            }
            let Unique(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}
