//! The faults of a value.

use std::fmt;

use serde::de::{Expected, Unexpected};
use ssa_snapshot::read;

/// A fault of a value, in the terms of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A fault that every reader of documents reports, in the same words.
    Value(
        /// Which one.
        read::Problem,
    ),
    /// The name of a field is unknown.
    UnknownField {
        /// The known names.
        allowed: &'static [&'static str],
    },
    /// Any other.
    Other(
        /// The message.
        String,
    ),
}

impl Problem {
    pub(super) const MISSING: Self = Self::Value(read::Problem::Missing);

    pub(super) fn of_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::not(described(found), &wanted.to_string())
    }

    pub(super) fn of_length(length: usize, wanted: &dyn Expected) -> Self {
        Self::not(format!("a list of {length}"), &wanted.to_string())
    }

    fn not(found: String, wanted: &str) -> Self {
        let wanted = in_terms_of_json(wanted);
        Self::Value(read::Problem::Value { found, wanted })
    }

    /// Translates the error of a type that rejects a string.
    pub(super) fn other(text: &str) -> Self {
        let message = match text {
            "invalid IPv6 address syntax" => "must be an IPv6 address, such as 2001:db8::7",
            "invalid IPv4 address syntax" => "must be an IPv4 address, such as 192.0.2.7",
            "invalid IP address syntax" => "must be an address or a prefix, such as 2001:db8::/32",
            text => text,
        };
        Self::Other(message.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(problem) => problem.fmt(f),
            Self::UnknownField { allowed } => {
                read::Problem::UnknownField.fmt(f)?;
                if allowed.is_empty() {
                    return Ok(());
                }
                write!(f, "; allowed: {}", allowed.join(", "))
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Describes a value. Strings are not repeated: one may be a key.
fn described(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => short(number),
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "a string".into(),
        Unexpected::Unit | Unexpected::Option => "null".into(),
        Unexpected::Seq => "a list".into(),
        _ => "an object".into(),
    }
}

/// Writes a number, in scientific notation if it would otherwise have many digits.
fn short(number: f64) -> String {
    if number == 0.0 || (1e-6..1e20).contains(&number.abs()) {
        return number.to_string();
    }
    let rounded = format!("{number:.5e}");
    rounded.parse::<f64>().map_or(rounded, |rounded| format!("{rounded:e}"))
}

/// Translates the name of an expected type into terms of JSON.
fn in_terms_of_json(wanted: &str) -> String {
    if let Some(length) = wanted.strip_prefix("a tuple of size ") {
        return format!("a list of {length}");
    }
    let words = match wanted {
        "u8" => "an integer from 0 to 255",
        "u16" => "an integer from 0 to 65535",
        "u32" => "an integer from 0 to 4294967295",
        "u64" | "usize" => "an integer from 0 to 2^64-1",
        "i8" => "an integer from -128 to 127",
        "i16" => "an integer from -32768 to 32767",
        "i32" => "an integer from -2147483648 to 2147483647",
        "i64" | "isize" => "an integer from -2^63 to 2^63-1",
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" | "a character" => "a string",
        "path string" => "a path",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "unit" => "null",
        "IPv6 address" => "an IPv6 address",
        "IPv6 network address" => "an IPv6 prefix",
        "IP address" => "an address",
        "IP network address" => "a prefix",
        text if text.starts_with("struct ") => "an object",
        text if text.starts_with("tuple ") => "a list",
        text => text,
    };
    words.into()
}
