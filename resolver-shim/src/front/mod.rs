//! The DNS front: clients without a filter ask it, and get addresses that are composed for them.
//!
//! [`Table::decide`] says what becomes of a query; it knows no socket and no clock.

pub mod serve;
mod share;
mod upstreams;
pub mod wire;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ipnet::{IpNet, Ipv6Net};
use ssa_dns::Name;
use ssa_rules::{ItemIndex, ItemSet, Port, Progress, Replica, Request, Rule, Source, UnixTime};

pub use self::upstreams::Upstreams;
use self::wire::{Code, Question};
use crate::answers::Seconds;

/// The longest TTL of an answer, in seconds: what changes in the DNS must reach askers soon.
pub const MAX_TTL: u64 = 300;

/// The most bits of a proof of work that the front does for its askers: some 4000 hashes.
pub const MAX_POW: u8 = 12;

/// What the front knows.
#[derive(Debug, Default)]
pub struct Table {
    /// Who may ask, besides this host.
    pub clients: Vec<IpNet>,
    /// The servers that all else is handed to.
    pub upstreams: Arc<Upstreams>,
    /// What is composed, by name.
    pub offers: HashMap<Vec<u8>, Offer>,
}

/// What is composed for the askers of a name.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// The rules, that with the greatest `from` first.
    pub rules: Vec<Timed>,
    /// The sources of this host, item by item.
    pub sources: Vec<(Ipv6Net, Ipv6Addr)>,
    /// The port, where connections to the name can only be for one.
    pub port: Option<u16>,
    /// Whether keys are this host's own: they are none for other askers.
    pub own_keys: bool,
    /// When the first of the records expires.
    pub fresh_until: Arc<AtomicU64>,
}

/// A rule, and the seconds of its time step.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The rule.
    pub rule: Rule,
    /// The step, where it has one.
    pub step: Option<u32>,
}

/// What became of a query. The names are labels of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An address was composed.
    Composed,
    /// It is for addresses of a service, but none can be composed for the asker: those published are told.
    Published,
    /// It concerns no service's addresses.
    Passed,
    /// The asker is none of the clients.
    Refused,
    /// It is no query.
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
    /// It is handed to a server.
    Pass(Outcome),
}

/// The time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// As rules have it.
    pub time: UnixTime,
    /// As the daemon has it, by which records expire.
    pub daemon: Seconds,
}

/// For whom an address is composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// For this host, whose sources the kernel says.
    Host,
    /// For the host of this address.
    Other(Ipv6Addr),
}

impl Asker {
    /// Returns nothing for those whose source is not to be known: IPv4, and what is of the link alone.
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            address if address.is_loopback() => Some(Self::Host),
            IpAddr::V4(_) => None,
            IpAddr::V6(address) if address.is_unicast_link_local() || address.to_ipv4_mapped().is_some() => None,
            IpAddr::V6(address) => Some(Self::Other(address)),
        }
    }
}

impl Table {
    /// Says what is done about a message of an asker. `random` gives 64 random bits a call.
    pub fn decide(&self, message: &[u8], asker: IpAddr, now: Now, random: &mut impl FnMut() -> u64) -> Decision {
        if !wire::is_query(message) {
            return Decision::Ignore;
        }
        if !asker.is_loopback() && !self.clients.iter().any(|clients| clients.contains(&asker)) {
            return wire::failure(message, Code::Refused)
                .map_or(Decision::Ignore, |refusal| Decision::Answer(Outcome::Refused, refusal));
        }
        let question = Question::read(message);
        let offer = question.as_ref().and_then(|question| self.offers.get(&question.name));
        let (Some(question), Some(offer)) = (question, offer) else {
            return Decision::Pass(Outcome::Passed);
        };
        match Asker::of(asker).and_then(|asker| offer.compose(asker, now, random)) {
            Some((address, ttl)) => Decision::Answer(Outcome::Composed, question.answer(address, ttl)),
            None => Decision::Pass(Outcome::Published),
        }
    }
}

impl Offer {
    /// Composes an address, and says how long it is good, in seconds; nothing where none can be.
    fn compose(&self, asker: Asker, now: Now, random: &mut impl FnMut() -> u64) -> Option<(Ipv6Addr, u32)> {
        let time = now.time.0;
        let Timed { rule, step } = self.rules.iter().find(|timed| timed.rule.from().0 <= time)?;
        let foreign_key = self.own_keys && rule.kdf().is_some() && asker != Asker::Host;
        if foreign_key || rule.pow() > MAX_POW {
            return None;
        }
        let replica = random().checked_rem(rule.replicas().into()).unwrap_or(0);
        let request = |source: Ipv6Addr| Request {
            port: self.port.map(Port),
            time: Some(now.time),
            replica: Replica(u8::try_from(replica).unwrap_or(0)),
            ..Request::new(Source(source))
        };
        let (source, mut search) = match asker {
            Asker::Other(source) => (source, rule.search(&request(source), ItemSet::EMPTY, random).ok()?),
            Asker::Host => {
                let (item, source) = self.choose_item(rule, random, &request)?;
                (source, rule.search_in(item, &request(source), random).ok()?)
            }
        };
        let tries = 64_u32.checked_shl(rule.pow().into())?;
        let Ok(Progress::Found(address)) = rule.advance(&mut search, &request(source), tries, random) else {
            return None;
        };
        let fresh = self.fresh_until.load(Ordering::Relaxed).saturating_sub(now.daemon);
        let to_next = |step: u64| time.checked_rem(step).map(|gone| step.saturating_sub(gone));
        let steps = [step.map(u64::from), (rule.pow() > 0).then_some(60)];
        let changes = steps.into_iter().flatten().filter_map(to_next);
        let others = self.rules.iter().map(|timed| timed.rule.from().0);
        let starts = others.filter(|from| *from > time).map(|from| from.saturating_sub(time));
        let left = changes.chain(starts).chain([fresh, MAX_TTL]).min()?;
        Some((address.0, u32::try_from(left).ok()?))
    }

    /// Chooses an item, and the source that this host's connections to it use: the one may depend on the other, and a
    /// pair is taken that agrees with itself.
    fn choose_item<'r>(
        &self,
        rule: &Rule,
        random: &mut impl FnMut() -> u64,
        request: &impl Fn(Ipv6Addr) -> Request<'r>,
    ) -> Option<(ItemIndex, Ipv6Addr)> {
        let source_of = |item: ItemIndex| {
            let (_, prefix) = rule.positive_items().find(|(index, _)| *index == item)?;
            let (_, source) = self.sources.iter().find(|(item, _)| *item == prefix)?;
            Some(*source)
        };
        let mut last = None;
        for (_, source) in &self.sources {
            let item = rule.choose_item(&request(*source), ItemSet::EMPTY, random).ok()?;
            let own = source_of(item);
            if own == Some(*source) {
                return Some((item, *source));
            }
            last = own.map(|own| (item, own));
        }
        last.filter(|_| !rule.computes_item())
    }
}

/// Returns a name as [`Table::offers`] has it.
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
