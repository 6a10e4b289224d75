//! What can be wrong with a configuration, and where.

use std::{fmt, net::SocketAddr};

use ipnet::Ipv6Net;
use ssa_dns::NameError;
use ssa_input::{files, secrets::concealed};
use ssa_rules::apl::TextError;

/// Why a configuration is refused: every fault of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is, such as `services[0].allowed[1]`; empty for the whole.
    pub place: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// Why not.
        reason: String,
    },
    /// It is no JSON, or has fields or types that are not foreseen.
    #[error("{reason}")]
    Shape {
        /// What the parser says.
        reason: String,
    },
    /// The whole is too long.
    #[error("exceeds {most} bytes")]
    TooLong {
        /// The most bytes.
        most: usize,
    },
    /// There are too many members.
    #[error("{found} members exceed the maximum of {most}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// The most.
        most: usize,
    },
    /// There have to be members.
    #[error("must not be empty")]
    Empty,
    /// It is needed.
    #[error("is required")]
    Missing,
    /// One of two fields has to be there, and not both.
    #[error("exactly one of {} and {} is required", .0[0], .0[1])]
    OneOf(
        /// The fields.
        [&'static str; 2],
    ),
    /// A number out of its bounds.
    #[error("{value} is out of range: {least} to {greatest}")]
    OutOfBounds {
        /// The number.
        value: u64,
        /// The least.
        least: u64,
        /// The greatest.
        greatest: u64,
    },
    /// A text that is not what it should be.
    #[error("`{text}` is {wanted}")]
    NoText {
        /// The text, cut short.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A domain name that is none.
    #[error(transparent)]
    NoName(
        /// Why.
        NameError,
    ),
    /// It stands twice.
    #[error("is a duplicate of [{first}]")]
    Repeated {
        /// Where it stood first.
        first: usize,
    },
    /// A list of addresses that is none.
    #[error("{0}")]
    Apl(
        /// Its faults.
        TextError,
    ),
    /// A text that is no SSA record.
    #[error("does not begin with v=ssa1")]
    NoRecord,
    /// A prefix that is no proper bound.
    #[error("{prefix} is shorter than /{least}")]
    TooWide {
        /// The prefix.
        prefix: Ipv6Net,
        /// Its least length.
        least: u8,
    },
    /// A path that is not absolute.
    #[error("must be an absolute path")]
    Relative,
    /// A field that requires another.
    #[error("requires {missing}")]
    Without {
        /// What is missing.
        missing: &'static str,
    },
    /// A text that looks like a key.
    #[error("looks like a key; its value is not shown")]
    Key,
    /// A path or an address that another field has too, or lies in.
    #[error("is the same place as {with}")]
    Collides {
        /// That field.
        with: String,
    },
    /// A server that is the front itself.
    #[error("{server} is the front itself")]
    Loop {
        /// The server.
        server: SocketAddr,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = if self.place.is_empty() {
            self.problem.to_string()
        } else {
            format!("{}: {}", self.place, self.problem)
        };
        f.write_str(&concealed(&told))
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}

impl ConfigError {
    /// Says that a configuration cannot be read.
    pub(super) fn unreadable(place: &str, error: &std::io::Error) -> Self {
        Self {
            faults: vec![Fault {
                place: place.to_owned(),
                problem: Problem::Unreadable {
                    reason: files::reason(error),
                },
            }],
        }
    }

    /// Says whether it could not be read at all.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        let unreadable = |fault: &Fault| matches!(fault.problem, Problem::Unreadable { .. });
        self.faults.iter().any(unreadable)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ssa_rules::text::write_all(f, &self.faults)
    }
}

impl std::error::Error for ConfigError {}
