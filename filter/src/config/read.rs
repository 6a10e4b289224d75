//! Reads JSON values and keeps going at faults.

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde_json::{Map, Value};

use super::fault::{Fault, Problem};

/// Words that name key material wherever they stand.
const SECRET_WORDS: [&str; 4] = ["secret", "secrets", "key", "keys"];

/// The faults met so far.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<Fault>,
}

/// An object, and which of its fields were asked for.
pub(super) struct Object<'a> {
    place: String,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl Reader {
    pub(super) fn fault(&mut self, place: &str, problem: Problem) {
        self.faults.push(Fault {
            place: place.to_owned(),
            problem,
        });
    }

    /// Notes that a value is of the wrong type where it is.
    fn typed<T>(&mut self, place: &str, value: Option<T>, wanted: &'static str) -> Option<T> {
        if value.is_none() {
            self.fault(place, Problem::Not(wanted));
        }
        value
    }

    pub(super) fn object<'a>(&mut self, place: &str, value: &'a Value) -> Option<Object<'a>> {
        let fields = self.typed(place, value.as_object(), "object")?;
        Some(Object {
            place: place.to_owned(),
            fields,
            known: Vec::new(),
        })
    }

    pub(super) fn text<'a>(&mut self, place: &str, value: &'a Value) -> Option<&'a str> {
        self.typed(place, value.as_str(), "text")
    }

    pub(super) fn choice<T: Copy>(&mut self, place: &str, value: &Value, choices: &[(&'static str, T)]) -> Option<T> {
        let choice = choices
            .iter()
            .find(|(name, _)| value.as_str() == Some(name))
            .map(|(_, choice)| *choice);
        if choice.is_none() {
            self.fault(place, Problem::NoneOf(choices.iter().map(|(name, _)| *name).collect()));
        }
        choice
    }

    /// Reads a whole number. Envoy hands on the numbers of a `Struct` as floating point.
    pub(super) fn number(&mut self, place: &str, value: &Value, least: u64, greatest: u64) -> Option<u64> {
        let whole = value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && (0.0..9.0e15).contains(number));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and in range"
        )]
        let number = value.as_u64().or(whole.map(|number| number as u64));
        let value = self.typed(place, number, "whole number")?;
        if (least..=greatest).contains(&value) {
            return Some(value);
        }
        self.fault(place, Problem::OutOfBounds { value, least, greatest });
        None
    }

    pub(super) fn port(&mut self, place: &str, value: &Value) -> Option<u16> {
        u16::try_from(self.number(place, value, 1, u16::MAX.into())?).ok()
    }

    pub(super) fn address(&mut self, place: &str, value: &Value) -> Option<Ipv6Addr> {
        let text = self.text(place, value)?;
        self.parsed(place, text, text.parse().ok(), "no IPv6 address")
    }

    pub(super) fn prefix(&mut self, place: &str, value: &Value) -> Option<Ipv6Net> {
        let text = self.text(place, value)?;
        let prefix = text
            .parse()
            .ok()
            .filter(|prefix: &Ipv6Net| prefix.addr() == prefix.network());
        self.parsed(place, text, prefix, "no IPv6 prefix without bits past its length")
    }

    pub(super) fn parsed<T>(&mut self, place: &str, text: &str, value: Option<T>, wanted: &'static str) -> Option<T> {
        if value.is_none() {
            // A text of any length would end in a log line.
            let text = text.chars().take(64).collect();
            self.fault(place, Problem::NoText { text, wanted });
        }
        value
    }
}

impl<'a> Object<'a> {
    pub(super) fn place_of(&self, field: &str) -> String {
        if self.place.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.place)
        }
    }

    pub(super) fn optional(&mut self, field: &'static str) -> Option<(String, &'a Value)> {
        self.known.push(field);
        self.fields.get(field).map(|value| (self.place_of(field), value))
    }

    pub(super) fn required(&mut self, reader: &mut Reader, field: &'static str) -> Option<(String, &'a Value)> {
        let value = self.optional(field);
        if value.is_none() {
            reader.fault(&self.place_of(field), Problem::Missing);
        }
        value
    }

    pub(super) fn text(&mut self, reader: &mut Reader, field: &'static str) -> Option<String> {
        let (place, value) = self.optional(field)?;
        reader.text(&place, value).map(ToOwned::to_owned)
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let (place, value) = self.optional(field)?;
        reader.choice(&place, value, choices)
    }

    /// Reads each member of a list; those at fault are left out.
    pub(super) fn list<T>(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
        mut read: impl FnMut(&mut Reader, &str, &'a Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let (place, value) = self.optional(field)?;
        let members = reader.typed(&place, value.as_array(), "list")?;
        let read_member = |(index, value)| read(reader, &format!("{place}[{index}]"), value);
        Some(members.iter().enumerate().filter_map(read_member).collect())
    }

    /// Reads a list that has to be there and to have members.
    pub(super) fn members<T>(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
        read: impl FnMut(&mut Reader, &str, &'a Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let (place, value) = self.required(reader, field)?;
        if value.as_array().is_some_and(Vec::is_empty) {
            reader.fault(&place, Problem::Empty);
        }
        self.list(reader, field, read)
    }

    /// Notes the fields that nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader) {
        for field in self.fields.keys().filter(|field| !self.known.contains(&field.as_str())) {
            let secret = SECRET_WORDS.contains(&field.to_ascii_lowercase().as_str());
            reader.fault(
                &self.place_of(field),
                if secret { Problem::Secret } else { Problem::UnknownField },
            );
        }
    }
}
