//! The faults of a configuration.

use std::{fmt, net::SocketAddr};

use ipnet::IpNet;
use ssa_dns::NameError;
use ssa_input::{files, secrets::concealed};
use ssa_rules::apl::{TextError, Unroutable};
use ssa_snapshot::read;

/// Why a configuration is rejected: every fault in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path, such as `services[0].allowed[1]`; empty for the whole document.
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
    /// It is not JSON, or has unknown fields or values of the wrong type.
    #[error("{reason}")]
    Shape {
        /// The error of the parser.
        reason: String,
    },
    /// The text is too long.
    #[error("exceeds {max} bytes")]
    TooLong {
        /// The maximum number of bytes.
        max: usize,
    },
    /// A field is missing, or its value is invalid, as in any document.
    #[error("{0}")]
    Value(
        /// How.
        read::Problem,
    ),
    /// An address that cannot be used here.
    #[error("`{text}` is {what}")]
    Unusable {
        /// The address, truncated.
        text: String,
        /// What it is instead.
        what: &'static str,
    },
    /// An invalid domain name.
    #[error(transparent)]
    Name(
        /// Why it is invalid.
        NameError,
    ),
    /// A duplicate.
    #[error("is a duplicate of [{first}]")]
    Duplicate {
        /// The index of the first occurrence.
        first: usize,
    },
    /// An invalid address list.
    #[error("{0}")]
    Apl(
        /// Its errors.
        TextError,
    ),
    /// A text that is not an SSA record.
    #[error("does not begin with v=ssa1")]
    NotRecord,
    /// A prefix is too short to be a bound.
    #[error("{prefix} is shorter than /{min}")]
    TooShort {
        /// The prefix.
        prefix: IpNet,
        /// The minimum length.
        min: u8,
    },
    /// A prefix or an address that no service can have.
    #[error("{text} overlaps {unroutable}, which no router forwards")]
    Unroutable {
        /// The prefix or the address.
        text: String,
        /// What it overlaps.
        unroutable: Unroutable,
    },
    /// A path that is not absolute.
    #[error("must be an absolute path")]
    Relative,
    /// A path that the system would cut off.
    #[error("must be a path without NUL")]
    Nul,
    /// A field that requires another.
    #[error("requires {missing}")]
    Without {
        /// What is missing.
        missing: &'static str,
    },
    /// A text that looks like a key.
    #[error("looks like a key; its value is not shown")]
    Key,
    /// A path or an address that another field uses too, or that lies within it.
    #[error("conflicts with {with}")]
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
    /// Reports that a configuration cannot be read.
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

    /// Returns whether it could not be read at all.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        let unreadable = |fault: &Fault| matches!(fault.problem, Problem::Unreadable { .. });
        self.faults.iter().any(unreadable)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ssa_rules::text::write_joined(f, &self.faults)
    }
}

impl std::error::Error for ConfigError {}
