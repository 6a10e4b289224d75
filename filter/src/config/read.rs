//! Reads JSON values and keeps going at faults.

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::{
    fault::{Fault, Problem},
    json::Json,
};

/// Words that name key material wherever they stand.
const SECRET_WORDS: [&str; 6] = ["secret", "secrets", "key", "keys", "client_key", "client_keys"];

/// The longest piece of a text that a fault repeats: it ends in a log line.
const REPEATED: usize = 64;

/// The longest name of a cluster, in bytes.
pub const MAX_CLUSTER: usize = 255;

/// The faults met so far.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<Fault>,
}

/// An object, and which of its fields were asked for.
pub(super) struct Object<'a> {
    place: String,
    fields: &'a [(String, Json)],
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

    pub(super) fn object<'a>(&mut self, place: &str, value: &'a Json) -> Option<Object<'a>> {
        let fields = self.fields(place, value)?;
        Some(Object {
            place: place.to_owned(),
            fields,
            known: Vec::new(),
        })
    }

    /// Reads an object whose field names are data. None stands twice.
    pub(super) fn fields<'a>(&mut self, place: &str, value: &'a Json) -> Option<&'a [(String, Json)]> {
        let fields = if let Json::Object(fields) = value {
            Some(fields.as_slice())
        } else {
            None
        };
        let fields = self.typed(place, fields, "object")?;
        for (number, (name, _)) in fields.iter().enumerate() {
            if fields.iter().take(number).any(|(earlier, _)| earlier == name) {
                self.fault(&join(place, name), Problem::Twice);
            }
        }
        Some(fields)
    }

    pub(super) fn text<'a>(&mut self, place: &str, value: &'a Json) -> Option<&'a str> {
        let text = if let Json::Text(text) = value {
            Some(text.as_str())
        } else {
            None
        };
        self.typed(place, text, "text")
    }

    pub(super) fn flag(&mut self, place: &str, value: &Json) -> Option<bool> {
        let flag = if let Json::Flag(flag) = value {
            Some(*flag)
        } else {
            None
        };
        self.typed(place, flag, "true or false")
    }

    pub(super) fn choice<T: Copy>(&mut self, place: &str, value: &Json, choices: &[(&'static str, T)]) -> Option<T> {
        let chosen = |name: &str| matches!(value, Json::Text(text) if text == name);
        let choice = choices.iter().find(|(name, _)| chosen(name)).map(|(_, choice)| *choice);
        if choice.is_none() {
            self.fault(place, Problem::NoneOf(choices.iter().map(|(name, _)| *name).collect()));
        }
        choice
    }

    pub(super) fn number(&mut self, place: &str, value: &Json, least: u64, greatest: u64) -> Option<u64> {
        let number = if let Json::Number(number) = value {
            Some(*number)
        } else {
            None
        };
        let value = self.typed(place, number, "whole number")?;
        if (least..=greatest).contains(&value) {
            return Some(value);
        }
        self.fault(place, Problem::OutOfBounds { value, least, greatest });
        None
    }

    pub(super) fn port(&mut self, place: &str, value: &Json) -> Option<u16> {
        u16::try_from(self.number(place, value, 1, u16::MAX.into())?).ok()
    }

    pub(super) fn address(&mut self, place: &str, value: &Json) -> Option<Ipv6Addr> {
        let text = self.text(place, value)?;
        self.parsed(place, text, text.parse().ok(), "no IPv6 address")
    }

    pub(super) fn prefix(&mut self, place: &str, value: &Json) -> Option<Ipv6Net> {
        let text = self.text(place, value)?;
        let read = || {
            let (address, length) = text.split_once('/')?;
            Ipv6Net::new(address.parse().ok()?, length.parse().ok()?).ok()
        };
        let prefix = read().filter(|prefix| prefix.addr() == prefix.network());
        self.parsed(place, text, prefix, "no IPv6 prefix without bits past its length")
    }

    /// Reads what metrics and logs bear: 1 to 253 letters, digits, hyphens, underscores and dots.
    pub(super) fn name(&mut self, place: &str, value: &Json) -> Option<String> {
        let text = self.text(place, value)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good = matches!(text.len(), 1..=253) && text.bytes().all(allowed);
        self.parsed(
            place,
            text,
            good.then(|| text.to_owned()),
            "not 1 to 253 of a-z A-Z 0-9 - _ .",
        )
    }

    /// Reads the name of a cluster of the proxy's.
    pub(super) fn cluster(&mut self, place: &str, value: &Json) -> Option<String> {
        let text = self.text(place, value)?;
        let name = matches!(text.len(), 1..=MAX_CLUSTER).then(|| text.to_owned());
        self.parsed(place, text, name, "no name of a cluster, of 1 to 255 bytes")
    }

    pub(super) fn parsed<T>(&mut self, place: &str, text: &str, value: Option<T>, wanted: &'static str) -> Option<T> {
        if value.is_none() {
            let text = text.chars().take(REPEATED).collect();
            self.fault(place, Problem::NoText { text, wanted });
        }
        value
    }
}

fn join(place: &str, field: &str) -> String {
    let field: String = field.chars().take(REPEATED).collect();
    if place.is_empty() {
        field
    } else {
        format!("{place}.{field}")
    }
}

impl<'a> Object<'a> {
    pub(super) fn place_of(&self, field: &str) -> String {
        join(&self.place, field)
    }

    pub(super) fn optional(&mut self, field: &'static str) -> Option<(String, &'a Json)> {
        self.known.push(field);
        let (_, value) = self.fields.iter().find(|(name, _)| name == field)?;
        Some((self.place_of(field), value))
    }

    pub(super) fn required(&mut self, reader: &mut Reader, field: &'static str) -> Option<(String, &'a Json)> {
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

    /// Reads a whole number, or takes the default where the field is absent.
    pub(super) fn number<T: TryFrom<u64>>(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
        default: T,
        [least, greatest]: [u64; 2],
    ) -> Option<T> {
        match self.optional(field) {
            None => Some(default),
            Some((place, value)) => T::try_from(reader.number(&place, value, least, greatest)?).ok(),
        }
    }

    /// Reads each member of a list; those at fault are left out.
    pub(super) fn list<T>(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
        mut read: impl FnMut(&mut Reader, &str, &'a Json) -> Option<T>,
    ) -> Option<Vec<T>> {
        let (place, value) = self.optional(field)?;
        let members = if let Json::List(members) = value {
            Some(members)
        } else {
            None
        };
        let members = reader.typed(&place, members, "list")?;
        let read_member = |(index, value)| read(reader, &format!("{place}[{index}]"), value);
        Some(members.iter().enumerate().filter_map(read_member).collect())
    }

    /// Reads a list that has to be there and to have members.
    pub(super) fn members<T>(
        &mut self,
        reader: &mut Reader,
        field: &'static str,
        read: impl FnMut(&mut Reader, &str, &'a Json) -> Option<T>,
    ) -> Option<Vec<T>> {
        let (place, value) = self.required(reader, field)?;
        if matches!(value, Json::List(members) if members.is_empty()) {
            reader.fault(&place, Problem::Empty);
        }
        self.list(reader, field, read)
    }

    /// Notes the fields that nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader) {
        for (field, _) in self
            .fields
            .iter()
            .filter(|(field, _)| !self.known.contains(&field.as_str()))
        {
            let secret = SECRET_WORDS.contains(&field.to_ascii_lowercase().as_str());
            reader.fault(
                &self.place_of(field),
                if secret { Problem::Secret } else { Problem::UnknownField },
            );
        }
    }
}
