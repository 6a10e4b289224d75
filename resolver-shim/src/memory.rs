//! What is known of one service: the answers, and for its verifiers what was published before (docs/spec.md §1).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use ssa_rules::{
    AddressSpace, Apl, Class, Key, KeyId, Record, Role, Rule,
    published::{MAX_RECORDS, Publication},
    record::ItemChoice,
};

use crate::answers::{Answers, List, Seconds, Slot};

/// How long verifiers keep what is gone, beyond its TTL, in seconds.
pub const GRACE: u64 = 60;

/// The most records and lists remembered.
const MAX_SEEN: usize = 16;

/// How it stands with a service in a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No question has been answered yet.
    Pending,
    /// Its records are in use.
    Usable,
    /// Its last records are in use, for no server answers now.
    Stale,
    /// Its verifiers keep what was usable last, for what is published is not.
    Kept,
    /// Its clients do as legacy ones: no server has answered for too long.
    Expired,
    /// It publishes no records.
    Absent,
    /// What it publishes is unusable.
    Unusable,
    /// What it publishes lies where it must not.
    Refused,
}

impl State {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Usable,
        Self::Stale,
        Self::Kept,
        Self::Expired,
        Self::Absent,
        Self::Unusable,
        Self::Refused,
    ];

    /// Returns the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Usable => "usable",
            Self::Stale => "stale",
            Self::Kept => "kept",
            Self::Expired => "expired",
            Self::Absent => "absent",
            Self::Unusable => "unusable",
            Self::Refused => "refused",
        }
    }

    /// Says whether rules are in use.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Usable | Self::Stale | Self::Kept)
    }
}

/// How it stands with a service in a role, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How.
    pub state: State,
    /// Why, where there is something to say.
    pub reason: Option<String>,
}

/// A rule with the addresses that it decides about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The record without its tags `from` and `apl`.
    pub core: String,
    /// Its `from`.
    pub from: u64,
    /// The addresses.
    pub space: AddressSpace,
    /// The secret that it names.
    pub key: Option<KeyId>,
    by_hash: bool,
}

impl Pair {
    fn new(record: &Record, space: AddressSpace) -> Self {
        let text = record.to_string();
        let tags = text.split(';').map(str::trim);
        let core: Vec<&str> = tags
            .filter(|tag| !tag.starts_with("from=") && !tag.starts_with("apl="))
            .collect();
        Self {
            core: core.join("; "),
            from: record.from().0,
            space,
            key: record.key().cloned(),
            by_hash: matches!(record.item(), ItemChoice::Hash(_)),
        }
    }

    /// Returns the record without its tag `apl`.
    #[must_use]
    pub fn record(&self) -> String {
        if self.from == 0 {
            self.core.clone()
        } else {
            format!("{}; from={}", self.core, self.from)
        }
    }

    /// Returns all items, positive and negated.
    pub fn items(&self) -> impl Iterator<Item = Ipv6Net> {
        self.space.positive().iter().chain(self.space.negated()).copied()
    }
}

/// What a role is told of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The rules.
    pub pairs: Vec<Pair>,
    /// The plain addresses, for clients.
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

/// Something published, and how long caches may hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen<T> {
    value: T,
    ttl: u64,
    until: Seconds,
    gone: bool,
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
        let published = self.addresses.value.iter().flatten();
        let (addresses, foreign): (Vec<Ipv6Addr>, Vec<Ipv6Addr>) = published.copied().partition(|address| own(address));
        if addresses.is_empty() {
            let reason = foreign.first().map_or_else(
                || "no AAAA record stands for the service".to_owned(),
                |address| format!("no AAAA record lies in an item of the list, not {address}"),
            );
            let state = if foreign.is_empty() {
                State::Absent
            } else {
                State::Refused
            };
            return nothing(state, Some(reason), until);
        }
        let mut standing = self.freshness(judged.standing);
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

/// Those that stand first, then those that went last.
fn by_age<T>(seen: &[Seen<T>]) -> Vec<&Seen<T>> {
    let mut sorted: Vec<&Seen<T>> = seen.iter().collect();
    sorted.sort_by_key(|seen| (seen.gone, std::cmp::Reverse(seen.until)));
    sorted
}

/// Notes what stands now, answered at a time; all else is gone.
fn mark<T: PartialEq>(seen: &mut Vec<Seen<T>>, standing: Vec<T>, ttl: u64, at: Seconds, now: Seconds) {
    for one in seen
        .iter_mut()
        .filter(|one| !one.gone && !standing.contains(&one.value))
    {
        one.gone = true;
        // Others may have got it up to now.
        one.until = one.until.max(now.saturating_add(one.ttl));
    }
    for value in standing {
        let until = at.saturating_add(ttl);
        match seen.iter_mut().find(|one| one.value == value) {
            Some(one) => {
                one.gone = false;
                one.ttl = ttl;
                one.until = one.until.max(until);
            }
            None => seen.push(Seen {
                value,
                ttl,
                until,
                gone: false,
            }),
        }
    }
    seen.sort_by_key(|one| (one.gone, std::cmp::Reverse(one.until)));
    seen.truncate(MAX_SEEN);
}

fn forbidden_of(space: &AddressSpace, terms: &Terms<'_>) -> Option<String> {
    let mut items = space.positive().iter().chain(space.negated());
    items.find_map(|item| (terms.forbidden)(*item))
}

/// Gives each pair a `from` of its own, for a set has no equal ones. A verifier looks at it only to see whether a
/// record is in force.
fn tell_apart(pairs: &mut [Pair]) {
    let mut taken: Vec<u64> = Vec::new();
    for pair in pairs {
        let lower = (0..=pair.from).rev().take(MAX_RECORDS);
        let higher = (pair.from..).take(MAX_RECORDS);
        if let Some(free) = lower.chain(higher).find(|from| !taken.contains(from)) {
            pair.from = free;
        }
        taken.push(pair.from);
    }
}

/// Returns the items of a space as an address list.
fn text(space: &AddressSpace) -> String {
    let positive = space.positive().iter().map(|item| format!("2:{item}"));
    let negated = space.negated().iter().map(|item| format!("!2:{item}"));
    positive.chain(negated).collect::<Vec<_>>().join(" ")
}

fn space_of(text: &str) -> Option<AddressSpace> {
    let apl: Apl = text.parse().ok()?;
    AddressSpace::new(&apl).ok().flatten()
}

/// Rules as a snapshot has them: the service's address list, and its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publishable {
    /// The list, unless each record has its own.
    pub apl: Option<String>,
    /// The records.
    pub rules: Vec<String>,
    /// How many rules could not be expressed.
    pub dropped: usize,
}

/// Puts rules into records: with one list where they share it, else each with its own (tag `apl`), else with the
/// lists united.
#[must_use]
pub fn publishable(pairs: &[Pair]) -> Publishable {
    let Some(first) = pairs.first() else {
        return Publishable {
            apl: None,
            rules: Vec::new(),
            dropped: 0,
        };
    };
    let with_list = |apl: String, pairs: Vec<&Pair>| Publishable {
        apl: Some(apl),
        rules: pairs.iter().map(|pair| pair.record()).collect(),
        dropped: 0,
    };
    if pairs.iter().all(|pair| pair.space == first.space) {
        return with_list(text(&first.space), pairs.iter().collect());
    }
    let own = |pair: &Pair| {
        let record = format!("{}; apl={}", pair.record(), text(&pair.space));
        Record::from_bytes(record.as_bytes()).is_ok().then_some(record)
    };
    if let Some(rules) = pairs.iter().map(own).collect() {
        return Publishable {
            apl: None,
            rules,
            dropped: 0,
        };
    }
    let union: Vec<String> = pairs.iter().map(|pair| text(&pair.space)).collect();
    let union = space_of(&union.join(" "));
    let fits = |space: &AddressSpace| {
        pairs.iter().all(|pair| {
            let record = pair.core.parse::<Record>();
            !pair.by_hash && record.is_ok_and(|record| Rule::prepare(&record, Some(space), &Key::None).is_ok())
        })
    };
    if let Some(union) = union.filter(fits) {
        return with_list(text(&union), pairs.iter().collect());
    }
    let (sharing, others): (Vec<&Pair>, Vec<&Pair>) = pairs.iter().partition(|pair| pair.space == first.space);
    Publishable {
        dropped: others.len(),
        ..with_list(text(&first.space), sharing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::{Answer, Failure};

    const LIST: &str = "2:2001:db8:5::/64 !2:2001:db8:6::/120";
    const OTHER: &str = "2:2001:db8:7::/64 !2:2001:db8:6::/120";
    const RULE: &str = "v=ssa1; addr=rand:64";
    const NEXT: &str = "v=ssa1; addr=hash(src/64):20 rand:44";
    const PLAIN: &str = "2001:db8:6::1";

    fn terms() -> Terms<'static> {
        Terms {
            key_of: &|_| Key::None,
            forbidden: &|_| None,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "answers hold results")]
    fn answer<T>(value: T, ttl: u64) -> Result<Answer<T>, Failure> {
        Ok(Answer {
            value,
            ttl,
            present: true,
        })
    }

    fn answers(list: Option<&str>, records: &[&str]) -> Answers {
        Answers {
            list: answer(list.map_or(List::Absent, |text| List::of(&text.parse().unwrap())), 100),
            records: answer(records.iter().map(ToString::to_string).collect(), 100),
            addresses: answer(vec![PLAIN.parse().unwrap()], 100),
        }
    }

    fn told(memory: &mut Memory, now: u64) -> (State, Vec<String>) {
        let view = memory.verifier(now, &terms());
        let published = publishable(&view.pairs);
        let rules = published.apl.into_iter().chain(published.rules).collect();
        (view.standing.state, rules)
    }

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        let mut memory = Memory::default();
        assert_eq!(told(&mut memory, 1), (State::Pending, vec![]));
        assert_eq!(memory.client(1, 9, &terms()).standing.state, State::Pending);
        assert!(!memory.is_known());
    }

    #[test]
    fn verifiers_keep_what_is_gone_for_its_ttl_and_a_minute() {
        let mut memory = Memory::default();
        memory.take(answers(Some(LIST), &[RULE]), 1000);
        assert_eq!(told(&mut memory, 1000), (State::Usable, vec![LIST.into(), RULE.into()]));
        memory.take(answers(Some(LIST), &[RULE, &format!("{NEXT}; from=1200")]), 1080);
        assert_eq!(told(&mut memory, 1080).1.len(), 3);
        memory.take(answers(Some(LIST), &[&format!("{NEXT}; from=1200")]), 1300);
        let both = vec![LIST.to_owned(), format!("{NEXT}; from=1200"), RULE.to_owned()];
        assert_eq!(told(&mut memory, 1300), (State::Usable, both.clone()));
        let view = memory.verifier(1459, &terms());
        assert_eq!((view.pairs.len(), view.until), (2, Some(1460)));
        assert_eq!(told(&mut memory, 1460), (State::Usable, both[..2].to_vec()));
        // Clients never see what is gone.
        assert_eq!(memory.client(1300, 9, &terms()).pairs.len(), 1);
    }

    #[test]
    fn a_longer_ttl_of_the_past_counts() {
        let mut memory = Memory::default();
        let mut long = answers(Some(LIST), &[RULE]);
        long.records = answer(vec![RULE.into()], 5000);
        memory.take(long, 1000);
        told(&mut memory, 1000);
        memory.take(answers(Some(LIST), &[RULE]), 1100);
        told(&mut memory, 1100);
        memory.take(answers(Some(LIST), &[NEXT]), 1200);
        told(&mut memory, 1200);
        assert_eq!(told(&mut memory, 1000 + 5000 + GRACE - 1).1.len(), 3);
        assert_eq!(told(&mut memory, 1000 + 5000 + GRACE).1.len(), 2);
    }

    #[test]
    fn a_record_replaced_in_place_stands_beside_its_successor() {
        let mut memory = Memory::default();
        memory.take(answers(Some(LIST), &[RULE]), 1000);
        told(&mut memory, 1000);
        memory.take(answers(Some(LIST), &[NEXT]), 1001);
        let (state, rules) = told(&mut memory, 1001);
        assert_eq!(state, State::Usable);
        assert_eq!(rules, [LIST.to_owned(), NEXT.to_owned(), format!("{RULE}; from=1")]);
    }

    #[test]
    fn an_earlier_list_is_kept_with_every_record() {
        let mut memory = Memory::default();
        memory.take(answers(Some(LIST), &[RULE]), 1000);
        told(&mut memory, 1000);
        memory.take(answers(Some(OTHER), &[RULE]), 1001);
        let (state, rules) = told(&mut memory, 1001);
        assert_eq!(state, State::Usable);
        assert_eq!(
            rules,
            [format!("{RULE}; apl={OTHER}"), format!("{RULE}; from=1; apl={LIST}")]
        );
        assert_eq!(told(&mut memory, 2000).1, [OTHER, RULE]);
    }

    #[test]
    fn the_width_changes_through_own_lists() {
        let mut memory = Memory::default();
        let old = format!("{RULE}; apl={LIST}");
        let new = "v=ssa1; addr=rand:64 rand:16; from=1500; apl=2:2001:db8:5::/48 !2:2001:db8:6::/120";
        memory.take(answers(Some(LIST), &[&old]), 1000);
        told(&mut memory, 1000);
        memory.take(answers(None, &[&old]), 1200);
        assert_eq!(told(&mut memory, 1200).1, [LIST, RULE]);
        memory.take(answers(None, &[&old, new]), 1300);
        let (_, rules) = told(&mut memory, 1300);
        assert_eq!(rules, [old.clone(), new.to_owned()]);
        // The old list, still kept, does not fit the new record: that record is not lost for it.
        assert_eq!(rules.len(), 2);
        memory.take(answers(None, &[new]), 1400);
        assert_eq!(told(&mut memory, 1400).1.len(), 2);
        assert_eq!(told(&mut memory, 1400 + 100 + GRACE).1.len(), 2, "its list, and itself");
    }

    #[test]
    fn without_a_usable_record_verifiers_keep_the_last_and_clients_do_not() {
        for bad in [
            answers(Some(LIST), &[]),
            answers(Some(LIST), &["v=ssa1; addr=rand:63"]),
            answers(Some(LIST), &[RULE, "v=ssa1; addr=hash(src/64):64"]),
            answers(Some("!2:2001:db8:5::/64"), &[RULE]),
            answers(None, &[RULE]),
            Answers {
                list: answer(List::faulty("x"), 9),
                ..answers(None, &[RULE])
            },
        ] {
            let mut memory = Memory::default();
            memory.take(answers(Some(LIST), &[RULE]), 1000);
            told(&mut memory, 1000);
            memory.take(bad.clone(), 1001);
            for now in [1001, 1 << 40] {
                assert_eq!(
                    told(&mut memory, now),
                    (State::Kept, vec![LIST.into(), RULE.into()]),
                    "{bad:?}"
                );
            }
            let client = memory.client(1001, 9, &terms());
            assert!(client.pairs.is_empty());
            assert!(matches!(client.standing.state, State::Absent | State::Unusable));
        }
    }

    #[test]
    fn failures_leave_verifiers_and_for_a_time_clients_what_they_had() {
        let mut memory = Memory::default();
        memory.take(answers(Some(LIST), &[RULE]), 1000);
        told(&mut memory, 1000);
        memory.take(Answers::failed(&Failure::new("timeout", "no answer")), 1090);
        assert_eq!(
            told(&mut memory, 1 << 40),
            (State::Stale, vec![LIST.into(), RULE.into()])
        );
        let client = memory.client(1100 + 49, 50, &terms());
        assert_eq!((client.standing.state, client.until), (State::Stale, Some(1150)));
        assert_eq!(client.standing.reason.as_deref(), Some("timeout: no answer"));
        assert_eq!(client.pairs.len(), 1);
        let client = memory.client(1150, 50, &terms());
        assert_eq!((client.standing.state, client.pairs.len()), (State::Expired, 0));
        memory.take(answers(Some(LIST), &[RULE]), 2000);
        assert_eq!(memory.client(2000, 50, &terms()).standing.state, State::Usable);
    }

    #[test]
    fn what_must_not_be_is_refused_and_the_last_kept() {
        let mut memory = Memory::default();
        memory.take(answers(Some(LIST), &[RULE]), 1000);
        told(&mut memory, 1000);
        memory.take(answers(Some(OTHER), &[RULE]), 1001);
        let seven: Ipv6Net = "2001:db8:7::/48".parse().unwrap();
        let forbidden = |prefix: Ipv6Net| seven.contains(&prefix).then(|| format!("{prefix} is not allowed"));
        let terms = Terms {
            key_of: &|_| Key::None,
            forbidden: &forbidden,
        };
        let view = memory.verifier(1001, &terms);
        assert_eq!(view.standing.state, State::Kept);
        assert_eq!(
            view.standing.reason.as_deref(),
            Some("records[0]: 2001:db8:7::/64 is not allowed")
        );
        assert_eq!(view.pairs.len(), 1);
        assert_eq!(memory.client(1001, 9, &terms).standing.state, State::Refused);
        let mut fresh = Memory::default();
        fresh.take(answers(Some(OTHER), &[RULE]), 1001);
        assert_eq!(fresh.verifier(1001, &terms).standing.state, State::Refused);
    }

    #[test]
    fn plain_addresses_lie_in_the_list() {
        let mut memory = Memory::default();
        let mut foreign = answers(Some(LIST), &[RULE]);
        foreign.addresses = answer(vec![PLAIN.parse().unwrap(), "2001:db8:f::1".parse().unwrap()], 9);
        memory.take(foreign.clone(), 1);
        let client = memory.client(1, 9, &terms());
        assert_eq!(client.addresses, [PLAIN.parse::<Ipv6Addr>().unwrap()]);
        assert!(client.standing.reason.unwrap().contains("2001:db8:f::1"));
        foreign.addresses = answer(vec!["2001:db8:f::1".parse().unwrap()], 9);
        memory.take(foreign, 2);
        assert_eq!(memory.client(2, 9, &terms()).standing.state, State::Refused);
    }

    #[test]
    fn a_secret_that_comes_later_makes_the_record_usable() {
        let mut memory = Memory::default();
        memory.take(answers(Some(LIST), &["v=ssa1; addr=mac(src/128):64; key=k1"]), 1);
        let lacking = memory.verifier(1, &terms());
        assert_eq!(lacking.standing.state, State::Unusable);
        assert_eq!(
            lacking.standing.reason.as_deref(),
            Some("records[0]: the secret k1 is not at hand")
        );
        let key = Key::Secret(ssa_rules::Secret::new([7; 16]));
        let given = Terms {
            key_of: &|_| key,
            forbidden: &|_| None,
        };
        let view = memory.verifier(1, &given);
        assert_eq!(view.standing.state, State::Usable);
        assert_eq!(view.pairs[0].key.as_ref().unwrap().as_str(), "k1");
        // Clients need no secret for a record to be usable, only to use it.
        assert_eq!(memory.client(1, 9, &terms()).standing.state, State::Usable);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memory = Memory::default();
        for number in 0..100 {
            let list = format!("2:2001:db8:5:{number:x}::/64");
            let rule = format!("v=ssa1; addr=rand:64; salt=s{number}");
            memory.take(answers(Some(&list), &[&rule]), 1000);
            let (_, rules) = told(&mut memory, 1000);
            assert!(rules.len() <= 5, "{rules:?}");
            assert!(
                rules.iter().any(|rule| rule.contains(&format!("salt=s{number}"))),
                "{rules:?}"
            );
        }
        assert!(memory.seen_records.len() <= MAX_SEEN && memory.seen_lists.len() <= MAX_SEEN);
        assert!(memory.verifier(1000, &terms()).standing.reason.is_some());
    }

    #[test]
    fn long_lists_are_united() {
        const RULE: &str = "v=ssa1; addr=rand:48";
        let list = |of: u16| -> String {
            let items: Vec<String> = (0..32)
                .map(|n| format!("2:2001:db8:a123:{of:x}0{n:02x}:8000::/80"))
                .collect();
            items.join(" ")
        };
        let mut memory = Memory::default();
        memory.take(answers(Some(&list(5)), &[RULE]), 1000);
        told(&mut memory, 1000);
        memory.take(answers(Some(&list(6)), &[RULE]), 1001);
        let view = memory.verifier(1001, &terms());
        let published = publishable(&view.pairs);
        assert_eq!(published.rules, [RULE.to_owned(), format!("{RULE}; from=1")]);
        assert_eq!(space_of(&published.apl.unwrap()).unwrap().positive().len(), 64);
        // With more than 64 items there is no union: what stands counts.
        memory.take(answers(Some(&list(7)), &[RULE]), 1002);
        let published = publishable(&memory.verifier(1002, &terms()).pairs);
        assert_eq!((published.rules.len(), published.dropped), (1, 2));
        assert!(published.apl.unwrap().contains("2001:db8:a123:7000:"));
    }

    #[test]
    fn memories_are_stored() {
        let mut memory = Memory::default();
        memory.take(answers(Some(LIST), &[RULE]), 1000);
        told(&mut memory, 1000);
        memory.take(answers(Some(OTHER), &[NEXT]), 1001);
        told(&mut memory, 1001);
        let json = serde_json::to_string(&memory).unwrap();
        let stored: Memory = serde_json::from_str(&json).unwrap();
        assert_eq!(stored, memory);
    }
}
