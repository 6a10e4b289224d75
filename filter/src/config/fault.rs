//! What can be wrong with a configuration, where, and what is allowed.

use core::fmt;

use ssa_rules::{
    KeyMaterialError,
    apl::{SpaceError, TextError},
    published::{SetError, Unusable},
    text::write_all,
};

/// Why a configuration is refused: every fault of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults.
    pub faults: Vec<Fault>,
}

impl ConfigError {
    /// A fault of the whole.
    pub(super) fn whole(problem: Problem) -> Self {
        let place = String::new();
        Self {
            faults: vec![Fault { place, problem }],
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is, such as `services[0].ports[1]`; empty for the whole.
    pub place: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The text is no JSON from here on.
    NotJson {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A field has to be there.
    Missing,
    /// A list has to have members.
    Empty,
    /// No field has this name here.
    UnknownField,
    /// The field stands here twice.
    Twice,
    /// One of two fields has to be there, and not both.
    OneOf(
        /// The fields.
        [&'static str; 2],
    ),
    /// Key material that is none. It is not repeated.
    KeyMaterial(KeyMaterialError),
    /// The whole is too long.
    TooLong {
        /// The most bytes.
        most: usize,
        /// Its bytes.
        found: usize,
    },
    /// Key material, which the configuration would show to everyone who may see it.
    Secret,
    /// The value is of another type.
    Not(
        /// The type wanted.
        &'static str,
    ),
    /// The text is none of a few.
    NoneOf(
        /// Those it may be.
        Vec<&'static str>,
    ),
    /// A number is out of bounds.
    OutOfBounds {
        /// The number.
        value: u64,
        /// The least.
        least: u64,
        /// The greatest.
        greatest: u64,
    },
    /// A list is too long.
    TooMany {
        /// The most members.
        most: usize,
        /// Its members.
        found: usize,
    },
    /// A text breaks the grammar of what it stands for.
    NoText {
        /// The text.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The address prefix list cannot be read.
    Apl(TextError),
    /// The address prefix list describes no address space.
    Space(SpaceError),
    /// A text is no SSA-1 record at all: it does not begin by `v=ssa1`.
    NoRecord,
    /// A record is unusable.
    Rule(Unusable),
    /// No record is usable, though some would be alone.
    Set(SetError),
    /// Something stands in another service too.
    Repeated {
        /// The number of the first service that has it.
        first: usize,
    },
    /// Two services share addresses.
    Overlap {
        /// Their names.
        names: [String; 2],
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => write!(f, "not JSON at line {line}, column {column}"),
            Self::Missing => f.write_str("missing"),
            Self::Empty => f.write_str("empty"),
            Self::UnknownField => f.write_str("unknown field"),
            Self::Twice => f.write_str("stands here twice"),
            Self::OneOf([one, other]) => write!(f, "either {one} or {other} has to be there, and not both"),
            Self::KeyMaterial(error) => error.fmt(f),
            Self::TooLong { most, found } => write!(f, "{found} bytes exceed {most}"),
            Self::Secret => f.write_str("secrets do not belong here: Envoy shows the configuration in its config_dump"),
            Self::Not(wanted) => write!(f, "is no {wanted}"),
            Self::NoneOf(choices) => {
                f.write_str("is none of ")?;
                let mut choices = choices.iter();
                f.write_str(choices.next().unwrap_or(&""))?;
                choices.try_for_each(|choice| write!(f, ", {choice}"))
            }
            Self::OutOfBounds { value, least, greatest } => write!(f, "{value} is not {least} to {greatest}"),
            Self::TooMany { most, found } => write!(f, "{found} members exceed {most}"),
            Self::NoText { text, wanted } => write!(f, "\"{}\" is {wanted}", text.escape_default()),
            Self::Apl(error) => error.fmt(f),
            Self::Space(error) => error.fmt(f),
            Self::NoRecord => f.write_str("no record of SSA-1: the first tag is v=ssa1"),
            Self::Rule(error) => error.fmt(f),
            Self::Set(error) => error.fmt(f),
            Self::Repeated { first } => write!(f, "stands in services[{first}] too"),
            Self::Overlap { names: [one, other] } => write!(f, "{one} and {other} share addresses"),
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

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_all(f, &self.faults)
    }
}

impl core::error::Error for ConfigError {}
