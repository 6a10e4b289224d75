//! What is composed for the queriers of a name.

use std::{
    iter,
    net::Ipv6Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ssa_rules::{Choice, Connection, ItemSource, Limits, Membership, Port, Rule, Sources};

use super::{answer::STALE_TTL, querier::Whose};
use crate::{clock::Now, config};

/// The maximum TTL of an answer, in seconds: what changes in the DNS must reach queriers soon.
pub const MAX_TTL: u64 = 300;

/// What is composed for the queriers of a name.
#[derive(Clone, Debug)]
pub struct ComposeEntry {
    /// The rules, that with the greatest `from` first.
    pub rules: Vec<Rule>,
    /// The sources of this host, item by item.
    pub sources: Vec<ItemSource>,
    /// The port, where connections to the name can only be for one.
    pub port: Option<u16>,
    /// Whether keys are this host's own: they are none for other queriers.
    pub own_keys: bool,
    /// Whether no server answers for the records now.
    pub is_stale: bool,
    /// When the first of the records expires.
    pub fresh_until: Arc<AtomicU64>,
    /// What the rules may ask for.
    pub limits: Limits,
}

impl Default for ComposeEntry {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            sources: Vec::new(),
            port: None,
            own_keys: false,
            is_stale: false,
            fresh_until: Arc::default(),
            limits: config::default_limits(),
        }
    }
}

impl ComposeEntry {
    /// Returns whether an address is in the service's items, those for legacy devices included.
    pub(super) fn owns(&self, address: Ipv6Addr) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.membership(address) != Membership::Outside)
    }

    /// Composes an address, and says how long it is good, in seconds; nothing where none can be.
    pub(super) fn compose(
        &self,
        querier: Whose,
        now: Now,
        random: &mut impl FnMut() -> u64,
    ) -> Option<(Ipv6Addr, u32)> {
        let time = now.time.0;
        let rule = self.rules.iter().find(|rule| rule.from().0 <= time)?;
        let step = rule.time_step();
        let foreign_key = self.own_keys && rule.kdf().is_some() && querier != Whose::Host;
        if foreign_key || self.limits.check(rule).is_err() {
            return None;
        }
        let connection = Connection {
            port: self.port.map(Port),
            time: Some(now.time),
            ..Connection::default()
        };
        let sources = match querier {
            Whose::Other(source) => Sources::all(source),
            Whose::Host => Sources {
                by_item: &self.sources,
                default: None,
            },
        };
        let choice = rule.choose(&connection, &sources, &iter::empty(), random).ok()?;
        let chosen = match choice {
            Choice::Chosen(chosen) => chosen,
            Choice::Work(mut work) => {
                let tries = 64_u32.checked_shl(rule.pow().into())?;
                rule.resume(&mut work, &connection, tries, random).ok()??
            }
        };
        let fresh = self.fresh_until.load(Ordering::Relaxed).saturating_sub(now.daemon);
        // What is stale holds a little too: nobody is to ask at every turn (RFC 8767 §4).
        let least = if self.is_stale { STALE_TTL.into() } else { 0 };
        let to_next = |step: u64| time.checked_rem(step).map(|gone| step.saturating_sub(gone));
        let steps = [step.map(u64::from), (rule.pow() > 0).then_some(60)];
        let changes = steps.into_iter().flatten().filter_map(to_next);
        let others = self.rules.iter().map(|rule| rule.from().0);
        let starts = others.filter(|from| *from > time).map(|from| from.saturating_sub(time));
        let left = changes.chain(starts).chain([fresh.max(least), MAX_TTL]).min()?;
        Some((chosen.candidate.address.0, u32::try_from(left).ok()?))
    }
}
