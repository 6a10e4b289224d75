//! The faults of a document: what, where, and what is allowed.

use alloc::string::String;
use core::fmt;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path, such as `services[0].ports[1]`; empty for the whole document.
    pub place: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The text is not JSON from here on.
    NotJson {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A required field is missing.
    Missing,
    /// A field of this name is unknown.
    UnknownField,
    /// The object has the field twice.
    DuplicateField,
    /// Key material, in a document that others can read.
    Secret,
    /// The value has the wrong type.
    Type(
        /// The type wanted.
        &'static str,
    ),
    /// The value is not one of the allowed words.
    NoneOf(
        /// The allowed words.
        &'static [&'static str],
    ),
    /// A value is out of range, or violates its grammar.
    Value {
        /// The value, truncated.
        found: String,
        /// What it must be.
        wanted: String,
    },
    /// A list is too short or too long.
    Length {
        /// The number of its members.
        found: usize,
        /// How many it must have.
        wanted: String,
    },
    /// Exactly one of two fields is required.
    OneOf(
        /// The fields.
        [&'static str; 2],
    ),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => write!(f, "not JSON at line {line}, column {column}"),
            Self::Missing => f.write_str("missing"),
            Self::UnknownField => f.write_str("unknown field"),
            Self::DuplicateField => f.write_str("duplicate field"),
            Self::Secret => f.write_str("secrets do not belong here: Envoy shows the configuration in its config_dump"),
            Self::Type(wanted) => write!(f, "must be {wanted}"),
            Self::NoneOf(choices) => {
                f.write_str("must be one of ")?;
                let mut choices = choices.iter();
                f.write_str(choices.next().unwrap_or(&""))?;
                choices.try_for_each(|choice| write!(f, ", {choice}"))
            }
            Self::Value { found, wanted } => write!(f, "must be {wanted}, not {found}"),
            Self::Length { found: 0, .. } => f.write_str("must not be empty"),
            Self::Length { found, wanted } => write!(f, "must have {wanted}, not {found}"),
            Self::OneOf([one, other]) => write!(f, "exactly one of {one} and {other} is required"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            self.problem.fmt(f)
        } else {
            write!(f, "{}: {}", self.place, self.problem)
        }
    }
}

impl core::error::Error for Fault {}
