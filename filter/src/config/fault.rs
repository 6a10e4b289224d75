//! What can be wrong with a configuration, where, and what is allowed.

use core::fmt;

use ssa_rules::{
    KeyMaterialError,
    apl::{SpaceError, TextError},
    published::{SetError, Unusable},
    text::write_joined,
};
use ssa_snapshot::read;

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
    /// The document is not JSON, or a value in it is not what its type asks for.
    Document(read::Problem),
    /// A list has to have members.
    Empty,
    /// Key material that is none. It is not repeated.
    KeyMaterial(KeyMaterialError),
    /// The whole is too long.
    TooLong {
        /// The most bytes.
        max: usize,
        /// Its bytes.
        found: usize,
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
