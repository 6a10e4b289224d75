//! What all transports share: options of queries, and why an exchange with a server failed.

use std::io;

use hickory_resolver::{
    net::NetError,
    proto::op::{DnsRequestOptions, Message, Query},
};

use crate::{
    error::{ConnectError, Mismatch, TcpRetryError},
    wire::Unfit,
};

/// Why an exchange with a server over one transport failed.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// No response arrived in time.
    Silent,
    /// Only responses to other questions arrived in time.
    Mismatched(Mismatch),
    /// A response arrived that cannot be used.
    Unfit(Unfit),
    /// The response over UDP is truncated, and the retry over TCP failed.
    Truncated(TcpRetryError),
    /// The server cannot be reached, or closed the connection before it responded.
    Net(ConnectError),
}

impl From<Unfit> for ExchangeError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Stray(mismatch) => Self::Mismatched(mismatch),
            unfit => Self::Unfit(unfit),
        }
    }
}

impl From<ConnectError> for ExchangeError {
    fn from(error: ConnectError) -> Self {
        Self::Net(error)
    }
}

impl From<NetError> for ExchangeError {
    fn from(error: NetError) -> Self {
        match &error {
            NetError::Timeout => Self::Silent,
            NetError::Io(inner) if inner.kind() == io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Net(error.into()),
        }
    }
}

impl From<io::Error> for ExchangeError {
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
