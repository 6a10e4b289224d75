//! What can be wrong with a configuration, and where.

use std::{fmt, net::SocketAddr};

use ipnet::Ipv6Net;
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file cannot be read.
    Unreadable {
        /// Why not.
        reason: String,
    },
    /// It is no JSON, or has fields or types that are not foreseen.
    Shape {
        /// What the parser says.
        reason: String,
    },
    /// The whole is too long.
    TooLong {
        /// The most bytes.
        most: usize,
    },
    /// There are too many members.
    TooMany {
        /// How many there are.
        found: usize,
        /// The most.
        most: usize,
    },
    /// There have to be members.
    Empty,
    /// It is needed.
    Missing,
    /// One of two fields has to be there, and not both.
    OneOf(
        /// The fields.
        [&'static str; 2],
    ),
    /// A number out of its bounds.
    OutOfBounds {
        /// The number.
        value: u64,
        /// The least.
        least: u64,
        /// The greatest.
        greatest: u64,
    },
    /// A text that is not what it should be.
    NoText {
        /// The text, cut short.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A domain name that is none.
    NoName {
        /// Why.
        reason: String,
    },
    /// It stands twice.
    Repeated {
        /// Where it stood first.
        first: usize,
    },
    /// A list of addresses that is none.
    Apl(
        /// Its faults.
        TextError,
    ),
    /// A text that is no SSA record.
    NoRecord,
    /// A prefix that is no proper bound.
    TooWide {
        /// The prefix.
        prefix: Ipv6Net,
        /// Its least length.
        least: u8,
    },
    /// A path that is not absolute.
    Relative,
    /// A field that has no meaning without another.
    Without {
        /// What is missing.
        missing: &'static str,
    },
    /// A text that looks like a key.
    Key,
    /// A path or an address that another field has too, or lies in.
    Collides {
        /// That field.
        with: String,
    },
    /// A server that is the front itself.
    Loop {
        /// The server.
        server: SocketAddr,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            Self::TooLong { most } => write!(f, "more than {most} bytes"),
            Self::TooMany { found, most } => write!(f, "{found} members exceed {most}"),
            Self::Empty => f.write_str("has no members"),
            Self::Missing => f.write_str("is missing"),
            Self::OneOf([one, other]) => write!(f, "either {one} or {other} has to be there, and not both"),
            Self::OutOfBounds { value, least, greatest } => write!(f, "{value} is not {least} to {greatest}"),
            Self::NoText { text, wanted } => write!(f, "`{text}` is {wanted}"),
            Self::Shape { reason } | Self::NoName { reason } => f.write_str(reason),
            Self::Repeated { first } => write!(f, "stands already at [{first}]"),
            Self::Apl(error) => error.fmt(f),
            Self::NoRecord => f.write_str("does not begin with v=ssa1"),
            Self::TooWide { prefix, least } => write!(f, "{prefix} is shorter than /{least}"),
            Self::Relative => f.write_str("is no absolute path"),
            Self::Without { missing } => write!(f, "has no meaning without {missing}"),
            Self::Key => f.write_str("looks like a key, which is told to nobody"),
            Self::Collides { with } => write!(f, "stands for the same place as {with}"),
            Self::Loop { server } => write!(f, "{server} would be asked by the front itself"),
        }
    }
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
        ssa_rules::record::write_all(f, &self.faults)
    }
}

impl std::error::Error for ConfigError {}
