//! What a decision depends on.

use ssa_rules::UnixTime;

use crate::{
    endpoint::Endpoint,
    host::{Clock, End, NS_PER_S, Properties},
};

/// What is known of a connection when it is decided on. What the proxy does not provide is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The client's address; read only for a role whose decisions depend on it.
    pub source: Option<Endpoint>,
    /// The address that the client dialled, before any redirection.
    pub destination: Option<Endpoint>,
    /// The time of the decision.
    pub time: Option<UnixTime>,
}

impl Subject {
    /// Reads it of the effective context's connection. Each property costs a host call, so the source is optional.
    pub(crate) fn read(host: &(impl Clock + Properties), with_source: bool) -> Self {
        let source = if with_source {
            host.get_address(End::Source).ok()
        } else {
            None
        };
        Self {
            source,
            destination: host.get_address(End::Destination).ok(),
            time: host.get_current_time().ok().map(seconds),
        }
    }

    /// Makes a subject of which only the time is known, in nanoseconds.
    pub(crate) fn at(time: u64) -> Self {
        Self {
            time: Some(seconds(time)),
            ..Self::default()
        }
    }

    /// Returns the time for log lines: 1970 without a clock.
    pub(crate) fn logged_at(&self) -> UnixTime {
        self.time.unwrap_or(UnixTime(0))
    }
}

/// Returns a time in seconds, of one in nanoseconds.
pub(crate) fn seconds(nanoseconds: u64) -> UnixTime {
    UnixTime(nanoseconds.div_euclid(NS_PER_S))
}
