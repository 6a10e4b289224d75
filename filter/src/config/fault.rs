//! The faults of a configuration: what is wrong, where, and what is allowed.

use core::fmt;

use ssa_rules::{
    KeyMaterialError,
    apl::{SpaceError, TextError},
    published::{SetError, Unusable},
    text::write_joined,
};
use ssa_snapshot::read;

/// Why a configuration is rejected: all of its faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults.
    pub faults: Vec<Fault>,
}

impl ConfigError {
    /// Makes an error of one fault of the whole document.
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
    /// The place, such as `services[0].ports[1]`; empty for the whole document.
    pub place: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The document is not JSON, or a value in it does not have its type.
    Document(read::Problem),
    /// A list must not be empty.
    Empty,
    /// Key material is malformed. It is not repeated.
    KeyMaterial(KeyMaterialError),
    /// The document is too long.
    TooLong {
        /// The limit, in bytes.
        max: usize,
        /// Its size, in bytes.
        found: usize,
    },
    /// The address list cannot be parsed.
    Apl(TextError),
    /// The address list is not a valid address space.
    Space(SpaceError),
    /// A text is not an SSA-1 record: it does not begin with `v=ssa1`.
    NoRecord,
    /// A record is unusable.
    Rule(Unusable),
    /// The records are not usable together, though some would be alone.
    Set(SetError),
    /// Another service has the same.
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
            Self::Document(problem) => problem.fmt(f),
            Self::Empty => f.write_str("must not be empty"),
            Self::KeyMaterial(error) => error.fmt(f),
            Self::TooLong { max, found } => write!(f, "{found} bytes exceed {max}"),
            Self::Apl(error) => error.fmt(f),
            Self::Space(error) => error.fmt(f),
            Self::NoRecord => f.write_str("not a record of SSA-1: its first tag must be v=ssa1"),
            Self::Rule(error) => error.fmt(f),
            Self::Set(error) => error.fmt(f),
            Self::Repeated { first } => write!(f, "duplicate of services[{first}]"),
            Self::Overlap { names: [one, other] } => write!(f, "{one} and {other} share addresses"),
        }
    }
}

impl From<read::Fault> for Fault {
    fn from(read::Fault { place, problem }: read::Fault) -> Self {
        let problem = Problem::Document(problem);
        Self { place, problem }
    }
}

impl From<read::Fault> for ConfigError {
    fn from(fault: read::Fault) -> Self {
        Self {
            faults: vec![fault.into()],
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
        write_joined(f, &self.faults)
    }
}

impl core::error::Error for ConfigError {}
