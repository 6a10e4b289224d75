//! The DNS front: clients without a filter ask it, and get addresses that are composed for them.
//!
//! [`Table::decide`] says what becomes of a query, and [`Table::receive`] what of a server's answer; they know no socket
//! and no clock.

mod answer;
mod compose_entry;
mod connection;
mod framing;
mod querier;
mod query;
pub mod serve;
mod shared;
mod stale_cache;
mod upstreams;
pub mod wire;

use std::{collections::HashMap, sync::Arc};

use ipnet::IpNet;
use ssa_dns::Name;

use self::wire::Code;
pub use self::{
    answer::Received,
    compose_entry::{ComposeEntry, MAX_TTL},
    querier::Querier,
    query::{Asked, Query},
    upstreams::Upstreams,
};
use crate::{clock::Now, probe::Probe};

/// What the front knows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Who may ask, besides this host.
    pub clients: Vec<IpNet>,
    /// Whether zones are handed on.
    pub transfers: bool,
    /// The servers that all else is handed to.
    pub upstreams: Arc<Upstreams>,
    /// What is composed, by name.
    pub entries: HashMap<Vec<u8>, ComposeEntry>,
    /// The shim's own questions that must not come here.
    pub probe: Arc<Probe>,
}

/// What became of a query. The names are labels of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An address was composed.
    Composed,
    /// It is for addresses of a service, but none can be composed for the querier: those published are told.
    Published,
    /// It concerns no service's addresses.
    Passed,
    /// No server answered it, and what was known before is told.
    Stale,
    /// It is none that the front hands on.
    Faulty,
    /// The querier is none of the clients, or asks for what the front hands to nobody.
    Refused,
    /// It is not a query.
    Ignored,
    /// There is no room for it now.
    Dropped,
    /// No server answered it.
    Failed,
}

impl Outcome {
    /// Returns the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Composed => "composed",
            Self::Published => "published",
            Self::Passed => "passed",
            Self::Stale => "stale",
            Self::Faulty => "faulty",
            Self::Refused => "refused",
            Self::Ignored => "ignored",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// What is done about a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Ignore,
    /// This is answered.
    Answer(Outcome, Vec<u8>),
    /// A server is asked.
    Pass(Outcome, Asked),
}

impl Table {
    /// Returns whether a querier may ask.
    #[must_use]
    pub fn admits(&self, querier: Querier) -> bool {
        querier.is_host || self.clients.iter().any(|clients| clients.contains(&querier.address))
    }

    /// Returns what is done about a message of a querier. `random` gives 64 random bits a call.
    pub fn decide(&self, message: &[u8], querier: Querier, now: Now, random: &mut impl FnMut() -> u64) -> Decision {
        if !wire::is_query(message) || !querier.is_one() {
            return Decision::Ignore;
        }
        let failure = |outcome, code| {
            let answer = wire::failure(message, code);
            answer.map_or(Decision::Ignore, |answer| Decision::Answer(outcome, answer))
        };
        if !self.admits(querier) {
            return failure(Outcome::Refused, Code::Refused);
        }
        if self.probe.meets(wire::question(message)) {
            return failure(Outcome::Refused, Code::Refused);
        }
        let query = match Query::read(message, self.transfers) {
            Ok(query) => query,
            Err(Code::Refused) => return failure(Outcome::Refused, Code::Refused),
            Err(code) => return failure(Outcome::Faulty, code),
        };
        let mut outcome = Outcome::Passed;
        if query.kind == wire::kind::AAAA && query.is_plain() && self.entries.contains_key(&query.name) {
            if let Some((address, ttl)) = self.compose(&query.name, querier, now, random) {
                return Decision::Answer(Outcome::Composed, query.answer(address, ttl));
            }
            outcome = Outcome::Published;
        }
        query.asked().map_or_else(
            || failure(Outcome::Faulty, Code::FormatError),
            |asked| Decision::Pass(outcome, asked),
        )
    }
}

/// Returns a name as [`Table::entries`] has it.
#[must_use]
pub fn key(name: &Name) -> Vec<u8> {
    let mut key = Vec::new();
    for label in name {
        // Labels have 63 bytes at most.
        key.push(u8::try_from(label.len()).unwrap_or(0));
        key.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    key.push(0);
    key
}

#[cfg(test)]
mod tests;
