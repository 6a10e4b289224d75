//! What each service is told. Whose addresses are whose is decided for all services together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::Ipv6Net;
use ssa_rules::{Key, KeyId, Party};

use super::{Known, Model, entries::client_key};
use crate::{
    answers::Seconds,
    config::{Role, Service},
    history::{Judged, Terms, View},
    ownership::Ownership,
    secrets::Keyring,
};

/// How far it is looked for who can have which prefixes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rounds: usize,
    pub(super) looks: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            rounds: MAX_ROUNDS,
            looks: MAX_LOOKS,
        }
    }
}

/// The most rounds in which services leave prefixes and others get them. A chain of services, each of which waits for the
/// one before, takes a round a service; each round judges all services anew, some milliseconds for a thousand. What is left
/// then is settled with the next snapshots.
const MAX_ROUNDS: usize = 32;

/// The most prefixes that a round looks at to find who can exchange prefixes. Each service publishes 64 items in 5 records
/// at most, and a thousand services that publish one another's prefixes could ask for a search that is quadratic in that.
const MAX_LOOKS: usize = 1 << 16;

/// What a service's roles are told.
pub(super) struct Views {
    pub(super) inbound: Option<View>,
    pub(super) outbound: Option<View>,
    demand: Demand,
}

/// The prefixes that a service publishes, against those that others hold.
#[derive(Default)]
struct Demand {
    /// What it publishes and may have, held by others or not.
    prefixes: BTreeSet<Ipv6Net>,
    /// Whether others hold some of it.
    is_contested: bool,
    /// Whether they hold some of every record, so that its verifiers live on what was published before.
    is_refused: bool,
}

/// The services that leave what they hold for what they publish, by number, each with that.
type Moves = BTreeMap<usize, Vec<Ipv6Net>>;

impl Views {
    /// Returns the prefixes of what is in force: what is kept though gone is of the past.
    fn in_force(&self) -> impl Iterator<Item = Ipv6Net> {
        self.pairs()
            .filter(|pair| !pair.is_kept)
            .flat_map(crate::history::Pair::items)
    }

    fn pairs(&self) -> impl Iterator<Item = &crate::history::Pair> {
        let views = self.inbound.iter().chain(&self.outbound);
        views.flat_map(|view| &view.pairs)
    }
}

impl Demand {
    /// Returns it by what is found of a service's records in each role.
    fn of(judged: [(Role, Option<&Judged>); 2]) -> Self {
        let mut demand = Self::default();
        for (role, judged) in judged {
            let Some(judged) = judged else { continue };
            let is_usable = judged.usable().next().is_some();
            let is_contested = judged.contested().next().is_some();
            demand.is_contested |= is_contested;
            demand.is_refused |= role == Role::Inbound && !is_usable && is_contested;
            let prefixes = judged.usable().chain(judged.contested()).flatten();
            demand.prefixes.extend(prefixes);
        }
        demand
    }
}

/// What services are judged by.
struct Judging<'a> {
    ownership: &'a Ownership,
    names: &'a [Arc<str>],
    keyring: &'a Keyring,
    max_ttl: u64,
}

impl Judging<'_> {
    /// Does something by the terms of a service's role.
    fn terms<T>(&self, number: usize, service: &Service, role: Role, act: impl FnOnce(&Terms<'_>) -> T) -> T {
        let key_of = |key: &KeyId| match (role, &service.inbound, &service.outbound) {
            (Role::Inbound, Some(inbound), _) => {
                let secrets = inbound.secrets.as_ref();
                secrets.map_or(Key::None, |path| self.keyring.secret(path, key))
            }
            (Role::Outbound, _, Some(outbound)) => client_key(outbound, self.keyring, key),
            _ => Key::None,
        };
        let forbidden = |prefix: Ipv6Net| {
            let is_allowed = service.allowed.iter().any(|allowed| allowed.contains(&prefix));
            (!is_allowed).then(|| format!("{prefix} lies in no allowed prefix"))
        };
        let taken = |prefix: Ipv6Net| {
            let other = self.ownership.other(prefix, number)?;
            let name = self.names.get(other).map_or("", |name| name);
            Some(format!("{prefix} shares addresses with {name}"))
        };
        act(&Terms {
            key_of: &key_of,
            forbidden: &forbidden,
            taken: &taken,
            max_ttl: self.max_ttl,
        })
    }
}

impl Model {
    /// Returns what each service's roles are told. Those who hold addresses keep them; of those who want the same new
    /// ones, the first in the configuration gets them. Services that publish one another's addresses exchange them.
    pub(super) fn settle(&mut self, now: Seconds) -> Vec<Views> {
        let mut views = self.views(now, &Moves::new());
        let mut is_settled = false;
        let mut is_searched = true;
        for _ in 0..self.bounds.rounds {
            // Who left a place makes it free for another.
            let left = self.hold(&views);
            is_settled = !views.iter().any(|view| view.demand.is_contested);
            if is_settled {
                break;
            }
            let (moves, is_whole) = self.moves(&views);
            is_searched &= is_whole;
            is_settled = !left && moves.is_empty();
            if is_settled {
                break;
            }
            views = self.views(now, &moves);
        }
        self.hold(&views);
        let was_settled = std::mem::replace(&mut self.is_settled, is_settled && is_searched);
        if was_settled && !self.is_settled {
            tracing::warn!(
                rounds = self.bounds.rounds,
                prefixes = self.bounds.looks,
                "too many services publish one another's prefixes to resolve all exchanges at once; the rest keep what \
                 they have"
            );
        }
        views
    }

    fn views(&mut self, now: Seconds, moves: &Moves) -> Vec<Views> {
        let names: Vec<Arc<str>> = self.services.iter().map(|known| known.name.clone()).collect();
        let (stale, max_ttl) = (self.config.dns.stale, self.config.dns.max_ttl);
        let keyring = &self.keyring;
        let mut ownership = owned(&self.services, moves);
        // What is published comes first, whoever had the addresses before; then what is kept though gone.
        let mut judged = Vec::new();
        for (number, (service, known)) in self.config.services.iter().zip(&self.services).enumerate() {
            let judging = Judging {
                ownership: &ownership,
                names: &names,
                keyring,
                max_ttl,
            };
            let judge = |role, party| {
                let judge = |terms: &Terms<'_>| known.history.judge(party, terms);
                judging.terms(number, service, role, judge)
            };
            let inbound = service.inbound.as_ref().map(|_| judge(Role::Inbound, Party::Verifier));
            let outbound = service.outbound.as_ref().map(|_| judge(Role::Outbound, Party::Client));
            for prefix in [&inbound, &outbound].into_iter().flatten().flatten().flat_map(usable) {
                ownership.take(prefix, number);
            }
            judged.push((inbound, outbound));
        }
        let mut all = Vec::new();
        let services = self.config.services.iter().zip(&mut self.services);
        for (number, ((service, known), (inbound, outbound))) in services.zip(judged).enumerate() {
            let judging = Judging {
                ownership: &ownership,
                names: &names,
                keyring,
                max_ttl,
            };
            let by_role = [(Role::Inbound, &inbound), (Role::Outbound, &outbound)];
            let found = by_role.map(|(role, judged)| (role, judged.as_ref().and_then(Option::as_ref)));
            let demand = Demand::of(found);
            let inbound = inbound.map(|judged| {
                let tell = |terms: &Terms<'_>| known.history.view_for_verifiers(judged, now, terms);
                judging.terms(number, service, Role::Inbound, tell)
            });
            let outbound = outbound.map(|judged| known.history.view_for_clients(judged, now, stale, max_ttl));
            let views = Views {
                inbound,
                outbound,
                demand,
            };
            for prefix in views.pairs().flat_map(crate::history::Pair::items) {
                ownership.take(prefix, number);
            }
            all.push(views);
        }
        all
    }

    /// Records what each service holds now, and returns whether any left something.
    fn hold(&mut self, views: &[Views]) -> bool {
        let mut left = false;
        for (known, views) in self.services.iter_mut().zip(views) {
            let held: BTreeSet<Ipv6Net> = views.in_force().collect();
            left |= !known.held.is_subset(&held);
            known.held = held;
        }
        left
    }

    /// Returns the services that can get what they publish if others leave it at the same time. Each of them gives up by
    /// its own answers what others get: nobody has to who publishes it still, or nothing that is usable. That one moves has
    /// all those move who hold what it wants, and so on; if one of these does not, or two of them want the same, it stays.
    /// Also returns whether all were looked at.
    fn moves(&self, views: &[Views]) -> (Moves, bool) {
        let held = owned(&self.services, &Moves::new());
        let can_move = |number: usize| views.get(number).is_some_and(|views| views.demand.is_refused);
        let mut moves = Moves::new();
        let mut taken = Ownership::default();
        let mut looks = self.bounds.looks;
        'next: for first in (0..views.len()).filter(|number| can_move(*number)) {
            if moves.contains_key(&first) {
                continue;
            }
            let mut ownership = taken.clone();
            let mut moving = Moves::new();
            let mut open = BTreeSet::from([first]);
            while let Some(number) = open.pop_first() {
                let wanted: Vec<Ipv6Net> = (views.get(number).into_iter())
                    .flat_map(|views| &views.demand.prefixes)
                    .copied()
                    .collect();
                for prefix in &wanted {
                    let Some(left) = looks.checked_sub(1) else {
                        return (moves, false);
                    };
                    looks = left;
                    if ownership.other(*prefix, number).is_some() {
                        continue 'next;
                    }
                    for holder in held.others(*prefix, number) {
                        if moves.contains_key(&holder) || moving.contains_key(&holder) {
                            continue;
                        }
                        if !can_move(holder) {
                            continue 'next;
                        }
                        open.insert(holder);
                    }
                    ownership.take(*prefix, number);
                }
                moving.insert(number, wanted);
            }
            taken = ownership;
            moves.append(&mut moving);
        }
        (moves, true)
    }
}

/// Returns what services hold, or get by moving.
fn owned(services: &[Known], moves: &Moves) -> Ownership {
    let mut ownership = Ownership::default();
    for (number, known) in services.iter().enumerate() {
        match moves.get(&number) {
            Some(wanted) => wanted.iter().for_each(|prefix| ownership.take(*prefix, number)),
            None => known.held.iter().for_each(|prefix| ownership.take(*prefix, number)),
        }
    }
    ownership
}

fn usable(judged: &Judged) -> Vec<Ipv6Net> {
    judged.usable().flatten().collect()
}
