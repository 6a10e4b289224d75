//! What can be wrong with a value.

use std::fmt;

use serde::de::{Expected, Unexpected};

/// What is wrong with a value, in the words of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is of another type than is wanted, or out of the type's bounds.
    Type {
        /// What is there.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// It is none of the texts that are allowed.
    NoneOf {
        /// What is allowed.
        allowed: Vec<String>,
    },
    /// A key of it is not known.
    UnknownKey {
        /// The key.
        key: String,
        /// Those that are known.
        allowed: Vec<String>,
    },
    /// A key of it is missing.
    MissingKey {
        /// The key.
        key: String,
    },
    /// Anything else.
    Said(
        /// What.
        String,
    ),
}

impl Problem {
    /// Returns the key that is missing, if that is what is wrong.
    pub(super) fn missing(&self) -> Option<&str> {
        match self {
            Self::MissingKey { key } => Some(key),
            _ => None,
        }
    }

    pub(super) fn of_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::Type {
            found: in_words(found),
            wanted: meant(&wanted.to_string()),
        }
    }

    pub(super) fn of_length(length: usize, wanted: &dyn Expected) -> Self {
        Self::Type {
            found: format!("a list of {length}"),
            wanted: meant(&wanted.to_string()),
        }
    }

    /// Takes what a type says of a text that it does not accept.
    pub(super) fn said(text: &str) -> Self {
        let meant = match text {
            "invalid IPv6 address syntax" => "is not an IPv6 address, such as 2001:db8::7",
            "invalid IPv4 address syntax" => "is not an IPv4 address, such as 192.0.2.7",
            "invalid IP address syntax" => "is not an address or a prefix, such as 2001:db8::/32",
            text => text,
        };
        Self::Said(meant.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { found, wanted } => write!(f, "found {found} where there should be {wanted}"),
            Self::NoneOf { allowed } => write!(f, "is not {}", choice(allowed)),
            Self::UnknownKey { key, allowed } if allowed.is_empty() => write!(f, "unknown key `{key}`; there are none"),
            Self::UnknownKey { key, allowed } => {
                write!(f, "unknown key `{key}`; there are {}", list(allowed))
            }
            Self::MissingKey { key } => write!(f, "the key is missing: `{key}`"),
            Self::Said(text) => f.write_str(text),
        }
    }
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

fn choice(words: &[String]) -> String {
    if words.len() == 1 {
        list(words)
    } else {
        format!("one of {}", list(words))
    }
}

/// Says what is there. Texts are not repeated: one may be a key.
fn in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {}", short(number)),
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "a text".into(),
        Unexpected::Unit | Unexpected::Option => "null".into(),
        Unexpected::Seq => "a list".into(),
        _ => "an object".into(),
    }
}

/// Writes a number without a long row of digits: of one that is beyond all bounds, what its size is.
fn short(number: f64) -> String {
    if number == 0.0 || (1e-6..1e20).contains(&number.abs()) {
        return number.to_string();
    }
    let rounded = format!("{number:.5e}");
    rounded.parse::<f64>().map_or(rounded, |rounded| format!("{rounded:e}"))
}

/// Says in words of JSON what a type wants.
fn meant(wanted: &str) -> String {
    if let Some(length) = wanted.strip_prefix("a tuple of size ") {
        return format!("a list of {length}");
    }
    let words = match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0 to 2^64-1",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" | "isize" => "a whole number from -2^63 to 2^63-1",
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" | "a character" => "a text",
        "path string" => "a text with a path",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "unit" => "null",
        "IPv6 address" => "a text with an IPv6 address",
        "IPv6 network address" => "a text with an IPv6 prefix",
        "IP address" => "a text with an address",
        "IP network address" => "a text with a prefix",
        text if text.starts_with("struct ") => "an object",
        text if text.starts_with("tuple ") => "a list",
        text => text,
    };
    words.into()
}
