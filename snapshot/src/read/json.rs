//! A JSON value as it stands: objects keep the order of their fields, and a field that is there twice is seen.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::fmt;

use serde_json::de::SliceRead;
use serde_json::{Deserializer, Error};

/// A JSON value. It is never printed: it may hold secrets.
#[cfg_attr(test, derive(Clone, Debug, PartialEq))]
pub enum Json {
    /// A text.
    Text(String),
    /// A whole number that is not negative.
    Number(u64),
    /// `true` or `false`.
    Flag(bool),
    /// A list.
    List(Vec<Json>),
    /// An object's fields in their order.
    Object(Vec<(String, Json)>),
    /// `null`, or a number that is none of the above.
    Other,
}

impl Json {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Error> {
        let mut deserializer = Deserializer::new(SliceRead::new(json));
        let value = serde::Deserialize::deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// Returns the value of a field, if this is an object that has it; the first where it is a duplicate.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> serde::de::Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Flag(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(u64::try_from(value).map_or(Json::Other, Json::Number))
    }

    /// Takes `80.0` as 80: some writers of JSON know only floating point.
    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a cast saturates; of what is equal again nothing was lost, for integers below 2^53 are exact"
        )]
        let (number, again) = (value as u64, value as u64 as f64);
        #[expect(clippy::float_cmp, reason = "only exact integers are taken")]
        let is_integer = value < 9.0e15 && value == again;
        Ok(if is_integer { Json::Number(number) } else { Json::Other })
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = list.next_element()? {
            members.push(member);
        }
        Ok(Json::List(members))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn values_are_read_as_they_stand() {
        let text = br#"{"b": [1, 2.0, -1, 0.5, null], "a": true, "b": "x"}"#;
        let list = vec![Json::Number(1), Json::Number(2), Json::Other, Json::Other, Json::Other];
        let fields = [
            ("b", Json::List(list)),
            ("a", Json::Flag(true)),
            ("b", Json::Text("x".to_owned())),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(Json::parse(text).unwrap(), Json::Object(fields.to_vec()));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(Json::parse(deep.as_bytes()).is_err());
    }
}
