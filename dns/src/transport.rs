//! What all ways to a server share: how questions are asked, and why one way gave no answer.

use std::io;

use hickory_resolver::{
    net::NetError,
    proto::op::{DnsRequestOptions, Message, Query},
};

use crate::{
    error::{ConnectError, Mismatch, NoWhole},
    wire::Unfit,
};

/// Why one way to a server gave no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nothing came in time.
    Silent,
    /// Only what answers another question came in time.
    Mismatched(Mismatch),
    /// An answer came that does not do.
    Unfit(Unfit),
    /// The answer by UDP is truncated, and TCP gives none for this reason.
    NoWhole(NoWhole),
    /// The server cannot be reached, or left before it answered.
    Net(ConnectError),
}

impl From<Unfit> for Trouble {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Stray(mismatch) => Self::Mismatched(mismatch),
            unfit => Self::Unfit(unfit),
        }
    }
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        Self::Net(error)
    }
}

impl From<NetError> for Trouble {
    fn from(error: NetError) -> Self {
        match &error {
            NetError::Timeout => Self::Silent,
            NetError::Io(inner) if inner.kind() == io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Net(error.into()),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        NetError::from(error).into()
    }
}

/// Returns how questions are asked.
pub(crate) fn options() -> DnsRequestOptions {
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.recursion_desired = true;
    options
}

/// Returns the number of a question.
pub(crate) fn number() -> Result<u16, ConnectError> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(ConnectError::NoRandom)?;
    Ok(u16::from_be_bytes(random))
}

/// Returns what a message asks.
pub(crate) fn asked(question: &Message) -> Query {
    question.queries.first().cloned().unwrap_or_default()
}
