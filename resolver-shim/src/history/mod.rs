//! What is known of one service: the answers, and for its verifiers what was published before (docs/spec.md §1).

mod entry;
#[cfg(test)]
mod oracle;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use ssa_input::secrets::concealed;
use ssa_rules::{
    AddressSpace, Key, KeyId, Membership, Party, Record, Rule,
    published::{MAX_RECORDS, Publication},
};

use self::{
    entry::{Entry, by_age, mark},
    rules::{make_unique, space_of, text},
};
pub use self::{
    rules::{Pair, Publishable, publishable},
    state::{Standing, State},
};
pub use crate::answers::GRACE;
use crate::answers::{Answers, List, Seconds, Slot};

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
    /// What is kept though gone.
    pub kept: Kept,
}

/// What verifiers keep though it is gone from the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many records.
    pub records: usize,
    /// How many lists.
    pub lists: usize,
    /// Until when the last of them counts.
    pub until: Option<Seconds>,
}

impl Kept {
    /// Returns how much it is.
    #[must_use]
    pub const fn count(self) -> usize {
        self.records.saturating_add(self.lists)
    }
}

/// What decides about a service besides its records.
pub struct Terms<'a> {
    /// What is known of the secret of a name.
    pub key_of: &'a dyn Fn(&KeyId) -> Key,
    /// Why the service must not have a prefix, whoever else has it, if so.
    pub forbidden: &'a dyn Fn(Ipv6Net) -> Option<String>,
    /// Who else has addresses of a prefix, if so: why the service must not have it now.
    pub taken: &'a dyn Fn(Ipv6Net) -> Option<String>,
    /// The longest that a TTL counts, in seconds.
    pub max_ttl: u64,
}

/// What is known of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Its address list.
    pub list: Slot<List>,
    /// Its rule records.
    pub records: Slot<Vec<String>>,
    /// Its plain addresses.
    pub addresses: Slot<Vec<Ipv6Addr>>,
    /// The records that were usable.
    #[serde(rename = "seen_records")]
    past_records: Vec<Entry<String>>,
    /// The lists that stood with them; none where each record brought its own.
    #[serde(rename = "seen_lists")]
    past_lists: Vec<Entry<Option<String>>>,
    /// Whether what is gone is to be forgotten.
    #[serde(skip)]
    forgets: bool,
    /// Whether the answers were usable when verifiers were told last.
    #[serde(default)]
    is_usable: bool,
}

/// What the answers say.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    list: Option<AddressSpace>,
    usable: Vec<(Record, AddressSpace)>,
    /// What would be usable if no other service had addresses of it.
    contested: Vec<AddressSpace>,
    standing: Standing,
}

impl Judged {
    /// Returns the items of each record that is usable.
    pub(crate) fn usable(&self) -> impl Iterator<Item = Vec<Ipv6Net>> {
        self.usable.iter().map(|(_, space)| items(space).collect())
    }

    /// Returns the items of each record that would be, if no other service had addresses of them.
    pub(crate) fn contested(&self) -> impl Iterator<Item = Vec<Ipv6Net>> {
        self.contested.iter().map(|space| items(space).collect())
    }
}

fn items(space: &AddressSpace) -> impl Iterator<Item = Ipv6Net> {
    space.positive().iter().chain(space.negated()).copied()
}

/// What verifiers accept.
struct Paired {
    pairs: Vec<Pair>,
    /// How many there is no room for.
    dropped: usize,
    /// To whom something that is kept gives way.
    gives_way: Option<String>,
}

impl History {
    /// Takes answers, and returns whether they change what is known.
    pub fn take(&mut self, answers: Answers, now: Seconds) -> bool {
        let list = self.list.take(answers.list, now);
        let records = self.records.take(answers.records, now);
        let addresses = self.addresses.take(answers.addresses, now);
        list || records || addresses
    }

    /// Moves what is known to another time.
    pub fn shift(&mut self, moved: impl Fn(Seconds) -> Seconds + Copy) {
        self.list.shift(moved);
        self.records.shift(moved);
        self.addresses.shift(moved);
        self.past_records.iter_mut().for_each(|entry| entry.shift(moved));
        self.past_lists.iter_mut().for_each(|entry| entry.shift(moved));
    }

    /// Takes nothing for later than now: a clock that was wrong must not make it last.
    pub fn not_after(&mut self, now: Seconds) {
        let not_after = |time: Seconds| time.min(now);
        self.list.shift(not_after);
        self.records.shift(not_after);
        self.addresses.shift(not_after);
        for gone in self.past_records.iter_mut().filter_map(|entry| entry.gone.as_mut()) {
            *gone = now.min(*gone);
        }
        for gone in self.past_lists.iter_mut().filter_map(|entry| entry.gone.as_mut()) {
            *gone = now.min(*gone);
        }
    }

    /// Forgets what verifiers keep though it is not published, from when they are told next.
    pub fn forget(&mut self) {
        self.forgets = true;
        self.list.forget();
        self.records.forget();
    }

    /// Returns how many records and lists are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.past_records.len().saturating_add(self.past_lists.len())
    }

    /// Returns how many of them stand, as far as is known: none where what is published is not usable.
    #[must_use]
    pub fn standing(&self) -> usize {
        let records = self.past_records.iter().filter(|entry| entry.gone.is_none()).count();
        let lists = self.past_lists.iter().filter(|entry| entry.gone.is_none()).count();
        if self.is_usable {
            records.saturating_add(lists)
        } else {
            0
        }
    }

    /// Returns when the first of the answers expires, where a TTL counts for so long at most.
    #[must_use]
    pub fn fresh_until(&self, max_ttl: u64) -> Seconds {
        let ends = [
            self.list.expires(max_ttl),
            self.records.expires(max_ttl),
            self.addresses.expires(max_ttl),
        ];
        ends.into_iter().min().unwrap_or(0)
    }

    /// Returns whether anything is known: an answer, or what was stored. A failure tells nothing yet.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.list.value.is_some() || !self.past_records.is_empty()
    }

    /// Returns the failure of the last questions, if any.
    fn failure(&self) -> Option<String> {
        let failure = self.list.failure.as_ref().or(self.records.failure.as_ref());
        failure.map(|failure| format!("{}: {}", failure.kind, failure.reason))
    }

    /// Returns what the service's verifiers are told by what the answers say, and remembers it.
    pub(crate) fn view_for_verifiers(&mut self, judged: Option<Judged>, now: Seconds, terms: &Terms<'_>) -> View {
        let usable = judged.as_ref().filter(|judged| !judged.usable.is_empty());
        self.is_usable = usable.is_some();
        if let Some(judged) = usable {
            let records = judged.usable.iter().map(|(record, _)| record.to_string()).collect();
            let ttl = self.records.greatest.ttl();
            mark(&mut self.past_records, records, |_| ttl, now);
            let (present, absent) = (self.list.greatest.ttl(), self.list.greatest_absent.ttl());
            let ttl_of = |list: &Option<String>| if list.is_some() { present } else { absent };
            let list = judged.list.as_ref().map(text);
            mark(&mut self.past_lists, vec![list], ttl_of, now);
        }
        if std::mem::take(&mut self.forgets) {
            // What no answer has now goes; where none is usable, that is everything.
            let stands = usable.is_some();
            self.past_records.retain(|entry| stands && entry.gone.is_none());
            self.past_lists.retain(|entry| stands && entry.gone.is_none());
        }
        let counts = |ends: Option<Seconds>| ends.is_none_or(|ends| ends > now);
        self.past_records.retain(|entry| counts(entry.ends(terms.max_ttl)));
        self.past_lists.retain(|entry| counts(entry.ends(terms.max_ttl)));
        let Paired {
            mut pairs,
            dropped,
            gives_way,
        } = self.pairs(terms);
        make_unique(&mut pairs);
        let records = self.past_records.iter().filter_map(|entry| entry.ends(terms.max_ttl));
        let lists = self.past_lists.iter().filter_map(|entry| entry.ends(terms.max_ttl));
        let kept = Kept {
            records: records.clone().count(),
            lists: lists.clone().count(),
            until: records.clone().chain(lists.clone()).max(),
        };
        let until = records.chain(lists).min();
        let standing = match (judged, pairs.is_empty()) {
            (None, true) => Standing::new(State::Pending, self.failure().or_else(unanswered)),
            (None, false) => Standing::new(State::Stale, self.failure().or_else(unanswered)),
            (Some(judged), true) => judged.standing,
            (Some(judged), false) if judged.usable.is_empty() => Standing {
                state: State::Kept,
                ..judged.standing
            },
            (Some(judged), false) => self.freshness(judged.standing),
        };
        let gives_way = || gives_way.map(|why| format!("what is gone from the DNS gives way: {why}"));
        let remark = || gives_way().or_else(|| self.remark(dropped, kept, terms.max_ttl));
        let reason = standing.reason.clone().or_else(remark);
        View {
            pairs,
            addresses: Vec::new(),
            standing: Standing { reason, ..standing },
            until,
            kept,
        }
    }

    /// Returns what is worth knowing of rules that are in use.
    fn remark(&self, dropped: usize, kept: Kept, max_ttl: u64) -> Option<String> {
        let ttl = self.records.greatest.ttl().max(self.list.greatest.ttl());
        if dropped > 0 {
            Some(format!("{dropped} earlier combinations of record and list do not fit"))
        } else if ttl > max_ttl {
            Some(format!(
                "a TTL of {ttl} s exceeds dns.max_ttl_s, {max_ttl} s: what goes is kept for the shorter, and caches may hold it longer"
            ))
        } else {
            let until = kept.until?;
            let (records, lists) = (kept.records, kept.lists);
            Some(format!(
                "gone from the DNS and kept until {until}: records {records}, lists {lists}"
            ))
        }
    }

    /// Returns what the service's clients are told by what the answers say; `stale` is how many seconds they may live on
    /// expired answers, and `max_ttl` for how many a TTL counts.
    #[must_use]
    pub(crate) fn view_for_clients(&self, judged: Option<Judged>, now: Seconds, stale: u64, max_ttl: u64) -> View {
        let nothing = |standing, until| View {
            pairs: Vec::new(),
            addresses: Vec::new(),
            standing,
            until,
            kept: Kept::default(),
        };
        let Some(judged) = judged else {
            return nothing(Standing::new(State::Pending, self.failure().or_else(unanswered)), None);
        };
        let ends = [
            self.list.good_until(stale, max_ttl),
            self.records.good_until(stale, max_ttl),
            self.addresses.good_until(stale, max_ttl),
        ];
        let until = ends.into_iter().flatten().min();
        if until.is_some_and(|until| until <= now) {
            return nothing(Standing::new(State::Expired, self.failure()), None);
        }
        if judged.usable.is_empty() {
            return nothing(judged.standing, until);
        }
        let spaces: Vec<&AddressSpace> = judged.usable.iter().map(|(_, space)| space).collect();
        let own = |address: &Ipv6Addr| {
            spaces
                .iter()
                .any(|space| space.membership(*address) != Membership::Outside)
        };
        let told = self.addresses.value.iter().flatten();
        let (addresses, foreign): (Vec<Ipv6Addr>, Vec<Ipv6Addr>) = told.copied().partition(|address| own(address));
        if let (true, Some(address)) = (addresses.is_empty(), foreign.first()) {
            let reason = format!("no AAAA record lies in an item of the list, not {address}");
            return nothing(Standing::new(State::Refused, Some(reason)), until);
        }
        let published = if addresses.is_empty() {
            // Filters wait for connections to a published address; the front composes without one.
            Standing::new(State::Absent, Some("no AAAA record stands for the service".to_owned()))
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
            kept: Kept::default(),
        }
    }

    /// Returns whether usable answers are the newest.
    fn freshness(&self, judged: Standing) -> Standing {
        match self.failure() {
            Some(reason) => Standing::new(State::Stale, Some(reason)),
            None => judged,
        }
    }

    /// Judges the answers; nothing where there are none yet.
    pub(crate) fn judge(&self, party: Party, terms: &Terms<'_>) -> Option<Judged> {
        let (list, records) = (self.list.value.as_ref()?, self.records.value.as_ref()?);
        let none = |state, reason: Option<String>| Judged {
            list: None,
            usable: Vec::new(),
            contested: Vec::new(),
            standing: Standing::new(state, reason),
        };
        let apl = match list {
            List::Absent => None,
            List::Items(apl) => Some(apl),
            List::Faulty(reason) => return Some(none(State::Unusable, Some(format!("APL: {reason}")))),
        };
        let publication = Publication::read(apl, records, party, terms.key_of);
        if publication.candidates.is_empty() {
            let reason = "no TXT record at the _ssa name begins with v=ssa1";
            let reason = match self.records.absence {
                Some(absence) => format!("{reason}: {}", absence.name()),
                None => reason.to_owned(),
            };
            return Some(none(State::Absent, Some(reason)));
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
        let mut contested = Vec::new();
        for candidate in publication.candidates {
            let record = match (candidate.record, candidate.rule) {
                (Ok(record), Ok(_)) => record,
                (_, Err(error)) => {
                    faults.push((candidate.index, error.to_string()));
                    continue;
                }
                // A rule comes from a record alone.
                (Err(_), Ok(_)) => continue,
            };
            let Some(own) = record.space(space.as_ref()).map(std::borrow::Cow::into_owned) else {
                continue;
            };
            let forbidden = items(&own).find_map(terms.forbidden);
            let is_contested = forbidden.is_none();
            let why = forbidden.or_else(|| items(&own).find_map(terms.taken));
            let Some(why) = why else {
                usable.push((record, own));
                continue;
            };
            refused = true;
            faults.push((candidate.index, why));
            contested.extend(is_contested.then_some(own));
        }
        let state = match (usable.is_empty(), refused) {
            (false, _) => State::Usable,
            (true, true) => State::Refused,
            (true, false) => State::Unusable,
        };
        let told = faults.iter().map(|(index, fault)| format!("records[{index}]: {fault}"));
        let told = told.collect::<Vec<_>>().join("; ");
        let reason = (!faults.is_empty()).then(|| concealed(&told).chars().take(400).collect());
        Some(Judged {
            list: space,
            usable,
            contested,
            standing: Standing { state, reason, faults },
        })
    }

    /// Returns what verifiers accept: every record that stands or is kept with every list that does, those that stand
    /// first; and how many there is no room for.
    fn pairs(&self, terms: &Terms<'_>) -> Paired {
        let mut found: Vec<Pair> = Vec::new();
        let mut gives_way = None;
        for list in by_age(&self.past_lists) {
            let published = match &list.value {
                None => None,
                Some(text) => match space_of(text) {
                    Some(space) => Some(space),
                    None => continue,
                },
            };
            for entry in by_age(&self.past_records) {
                let Ok(record) = entry.value.parse::<Record>() else {
                    continue;
                };
                let Some(space) = record.space(published.as_ref()).map(std::borrow::Cow::into_owned) else {
                    continue;
                };
                let key = record.key().map_or(Key::None, terms.key_of);
                let usable = Rule::prepare(&record, Some(&space), &key).is_ok_and(|rule| rule.can_verify());
                if !usable || items(&space).find_map(terms.forbidden).is_some() {
                    continue;
                }
                if let Some(why) = items(&space).find_map(terms.taken) {
                    gives_way.get_or_insert(why);
                    continue;
                }
                let mut pair = Pair::new(&record, space);
                pair.is_kept = list.gone.is_some() || entry.gone.is_some();
                match found
                    .iter_mut()
                    .find(|other| other.core == pair.core && other.space == pair.space)
                {
                    Some(other) => other.from = other.from.min(pair.from),
                    None => found.push(pair),
                }
            }
        }
        found.sort_by_key(|pair| pair.is_kept);
        let dropped = found.len().saturating_sub(MAX_RECORDS);
        found.truncate(MAX_RECORDS);
        Paired {
            pairs: found,
            dropped,
            gives_way,
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where there is no failure")]
fn unanswered() -> Option<String> {
    Some("no question has been answered yet".into())
}
