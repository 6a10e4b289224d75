//! What is known of one service: the answers, and for its verifiers what was published before (docs/spec.md §1).

mod rules;
mod seen;
mod state;
#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use ssa_rules::{
    AddressSpace, Class, Key, KeyId, Record, Role, Rule,
    published::{MAX_RECORDS, Publication},
};

pub use self::{
    rules::{Pair, Publishable, publishable},
    state::{Standing, State},
};
use self::{
    rules::{space_of, tell_apart, text},
    seen::{Seen, by_age, mark},
};
use crate::answers::{Answers, List, Seconds, Slot};

/// How long verifiers keep what is gone, beyond its TTL, in seconds.
pub const GRACE: u64 = 60;

/// What a role is told of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The rules.
    pub pairs: Vec<Pair>,
    /// The plain addresses, for clients; a service may have none.
    pub addresses: Vec<Ipv6Addr>,
    /// How it stands.
    pub standing: Standing,
    /// When it changes by itself, if nothing else happens.
    pub until: Option<Seconds>,
}

/// What decides about a service besides its records.
pub struct Terms<'a> {
    /// What is known of the secret of a name.
    pub key_of: &'a dyn Fn(&KeyId) -> Key,
    /// Why the service must not have a prefix, if so.
    pub forbidden: &'a dyn Fn(Ipv6Net) -> Option<String>,
}

/// What is known of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Its address list.
    pub list: Slot<List>,
    /// Its rule records.
    pub records: Slot<Vec<String>>,
    /// Its plain addresses.
    pub addresses: Slot<Vec<Ipv6Addr>>,
    /// The records that were usable.
    seen_records: Vec<Seen<String>>,
    /// The lists that stood with them; none where each record brought its own.
    seen_lists: Vec<Seen<Option<String>>>,
}

/// What the answers say.
struct Judged {
    list: Option<AddressSpace>,
    usable: Vec<(Record, AddressSpace)>,
    standing: Standing,
}

impl Memory {
    /// Takes answers, and says whether they change what is known.
    pub fn take(&mut self, answers: Answers, now: Seconds) -> bool {
        let list = self.list.take(answers.list, now);
        let records = self.records.take(answers.records, now);
        let addresses = self.addresses.take(answers.addresses, now);
        list || records || addresses
    }

    /// Takes no answer for later than now: a clock that went back must not make it last.
    pub fn not_after(&mut self, now: Seconds) {
        self.list.at = self.list.at.min(now);
        self.records.at = self.records.at.min(now);
        self.addresses.at = self.addresses.at.min(now);
    }

    /// Returns when the first of the answers expires.
    #[must_use]
    pub fn fresh_until(&self) -> Seconds {
        let ends = [
            self.list.at.saturating_add(self.list.ttl),
            self.records.at.saturating_add(self.records.ttl),
            self.addresses.at.saturating_add(self.addresses.ttl),
        ];
        ends.into_iter().min().unwrap_or(0)
    }

    /// Says whether anything is known: an answer, or what was stored. A failure tells nothing yet.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.list.value.is_some() || !self.seen_records.is_empty()
    }

    /// Returns the failure of the last questions, if any.
    fn failure(&self) -> Option<String> {
        let failure = self.list.failure.as_ref().or(self.records.failure.as_ref());
        failure.map(|failure| format!("{}: {}", failure.kind, failure.reason))
    }

    /// Says what the service's verifiers are told, and remembers it.
    pub fn verifier(&mut self, now: Seconds, terms: &Terms<'_>) -> View {
        let judged = self.judge(Role::Verifier, terms);
        if let Some(judged) = &judged
            && !judged.usable.is_empty()
        {
            let records = judged.usable.iter().map(|(record, _)| record.to_string()).collect();
            mark(&mut self.seen_records, records, self.records.ttl, self.records.at, now);
            let list = judged.list.as_ref().map(text);
            mark(&mut self.seen_lists, vec![list], self.list.ttl, self.list.at, now);
        }
        let kept = |gone: bool, until: Seconds| !gone || until.saturating_add(GRACE) > now;
        self.seen_records.retain(|seen| kept(seen.gone, seen.until));
        self.seen_lists.retain(|seen| kept(seen.gone, seen.until));
        let (mut pairs, dropped) = self.pairs(terms);
        tell_apart(&mut pairs);
        let ends = self.seen_records.iter().map(|seen| (seen.gone, seen.until));
        let ends = ends.chain(self.seen_lists.iter().map(|seen| (seen.gone, seen.until)));
        let until = ends
            .filter(|(gone, _)| *gone)
            .map(|(_, until)| until.saturating_add(GRACE))
            .min();
        let standing = match (judged, pairs.is_empty()) {
            (None, true) => Standing {
                state: State::Pending,
                reason: self.failure(),
            },
            (None, false) => Standing {
                state: State::Stale,
                reason: self.failure(),
            },
            (Some(judged), true) => judged.standing,
            (Some(judged), false) if judged.usable.is_empty() => Standing {
                state: State::Kept,
                reason: judged.standing.reason,
            },
            (Some(judged), false) => self.freshness(judged.standing),
        };
        let crowded = dropped > 0;
        let standing = Standing {
            state: standing.state,
            reason: standing
                .reason
                .or_else(|| crowded.then(|| format!("{dropped} earlier combinations of record and list do not fit"))),
        };
        View {
            pairs,
            addresses: Vec::new(),
            standing,
            until,
        }
    }

    /// Says what the service's clients are told; `stale` is how many seconds they may live on expired answers.
    #[must_use]
    pub fn client(&self, now: Seconds, stale: u64, terms: &Terms<'_>) -> View {
        let nothing = |state, reason, until| View {
            pairs: Vec::new(),
            addresses: Vec::new(),
            standing: Standing { state, reason },
            until,
        };
        let Some(judged) = self.judge(Role::Client, terms) else {
            return nothing(State::Pending, self.failure(), None);
        };
        let ends = [
            self.list.good_until(stale),
            self.records.good_until(stale),
            self.addresses.good_until(stale),
        ];
        let until = ends.into_iter().flatten().min();
        if until.is_some_and(|until| until <= now) {
            return nothing(State::Expired, self.failure(), None);
        }
        if judged.usable.is_empty() {
            return nothing(judged.standing.state, judged.standing.reason, until);
        }
        let spaces: Vec<&AddressSpace> = judged.usable.iter().map(|(_, space)| space).collect();
        let own = |address: &Ipv6Addr| spaces.iter().any(|space| space.class(*address) != Class::Outside);
        let told = self.addresses.value.iter().flatten();
        let (addresses, foreign): (Vec<Ipv6Addr>, Vec<Ipv6Addr>) = told.copied().partition(|address| own(address));
        if let (true, Some(address)) = (addresses.is_empty(), foreign.first()) {
            let reason = format!("no AAAA record lies in an item of the list, not {address}");
            return nothing(State::Refused, Some(reason), until);
        }
        let published = if addresses.is_empty() {
            // Filters wait for connections to a published address; the front composes without one.
            Standing {
                state: State::Absent,
                reason: Some("no AAAA record stands for the service".to_owned()),
            }
        } else {
            judged.standing
        };
        let mut standing = self.freshness(published);
        if let Some(address) = foreign.first() {
            let told = || format!("the AAAA record {address} lies in no item of the list");
            standing.reason = standing.reason.or_else(|| Some(told()));
        }
        View {
            pairs: judged
                .usable
                .iter()
                .map(|(record, space)| Pair::new(record, space.clone()))
                .collect(),
            addresses,
            standing,
            until,
        }
    }

    /// Says of usable answers whether they are the newest.
    fn freshness(&self, judged: Standing) -> Standing {
        match self.failure() {
            Some(reason) => Standing {
                state: State::Stale,
                reason: Some(reason),
            },
            None => judged,
        }
    }

    /// Judges the answers; nothing where there are none yet.
    fn judge(&self, role: Role, terms: &Terms<'_>) -> Option<Judged> {
        let (list, records) = (self.list.value.as_ref()?, self.records.value.as_ref()?);
        let none = |state, reason: Option<String>| Judged {
            list: None,
            usable: Vec::new(),
            standing: Standing { state, reason },
        };
        let apl = match list {
            List::Absent => None,
            List::Items(apl) => Some(apl),
            List::Faulty(reason) => return Some(none(State::Unusable, Some(format!("APL: {reason}")))),
        };
        let publication = Publication::read(apl, records, role, terms.key_of);
        if publication.candidates.is_empty() {
            return Some(none(State::Absent, None));
        }
        let mut faults = Vec::new();
        let space = match publication.space {
            Ok(space) => space,
            Err(error) => return Some(none(State::Unusable, Some(error.to_string()))),
        };
        if let Err(error) = &publication.set {
            return Some(none(State::Unusable, Some(error.to_string())));
        }
        let mut refused = false;
        let mut usable = Vec::new();
        for candidate in publication.candidates {
            let place = format!("records[{}]", candidate.index);
            let record = match (candidate.record, candidate.rule) {
                (Ok(record), Ok(_)) => record,
                (_, Err(error)) => {
                    faults.push(format!("{place}: {error}"));
                    continue;
                }
                // A rule comes from a record alone.
                (Err(_), Ok(_)) => continue,
            };
            let Some(own) = record.space(space.as_ref()).map(std::borrow::Cow::into_owned) else {
                continue;
            };
            if let Some(why) = forbidden_of(&own, terms) {
                refused = true;
                faults.push(format!("{place}: {why}"));
            } else {
                usable.push((record, own));
            }
        }
        let state = match (usable.is_empty(), refused) {
            (false, _) => State::Usable,
            (true, true) => State::Refused,
            (true, false) => State::Unusable,
        };
        let reason = (!faults.is_empty()).then(|| faults.join("; ").chars().take(400).collect());
        Some(Judged {
            list: space,
            usable,
            standing: Standing { state, reason },
        })
    }

    /// Returns what verifiers accept: every record that stands or is kept with every list that does, those that stand
    /// first; and how many there is no room for.
    fn pairs(&self, terms: &Terms<'_>) -> (Vec<Pair>, usize) {
        let mut found: Vec<(bool, Pair)> = Vec::new();
        for list in by_age(&self.seen_lists) {
            let published = match &list.value {
                None => None,
                Some(text) => match space_of(text) {
                    Some(space) => Some(space),
                    None => continue,
                },
            };
            for seen in by_age(&self.seen_records) {
                let Ok(record) = seen.value.parse::<Record>() else {
                    continue;
                };
                let Some(space) = record.space(published.as_ref()).map(std::borrow::Cow::into_owned) else {
                    continue;
                };
                let key = record.key().map_or(Key::None, terms.key_of);
                let usable = Rule::prepare(&record, Some(&space), &key).is_ok_and(|rule| rule.can_verify());
                if !usable || forbidden_of(&space, terms).is_some() {
                    continue;
                }
                let pair = Pair::new(&record, space);
                let gone = list.gone || seen.gone;
                match found
                    .iter_mut()
                    .find(|(_, other)| other.core == pair.core && other.space == pair.space)
                {
                    Some((_, other)) => other.from = other.from.min(pair.from),
                    None => found.push((gone, pair)),
                }
            }
        }
        found.sort_by_key(|(gone, _)| *gone);
        let dropped = found.len().saturating_sub(MAX_RECORDS);
        let pairs = found.into_iter().take(MAX_RECORDS).map(|(_, pair)| pair).collect();
        (pairs, dropped)
    }
}

fn forbidden_of(space: &AddressSpace, terms: &Terms<'_>) -> Option<String> {
    let mut items = space.positive().iter().chain(space.negated());
    items.find_map(|item| (terms.forbidden)(*item))
}
