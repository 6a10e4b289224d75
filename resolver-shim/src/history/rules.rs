//! Rules with the addresses that they decide about, and how a snapshot has them.

use ipnet::Ipv6Net;
use ssa_rules::{
    AddressSpace, Apl, Key, KeyId, Record, Rule,
    published::MAX_RECORDS,
    record::{ItemChoice, Tags},
};

/// A rule with the addresses that it decides about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The record without its tags `from` and `apl`.
    pub core: Tags,
    /// Its `from`.
    pub from: u64,
    /// The addresses.
    pub space: AddressSpace,
    /// The secret that it names.
    pub key: Option<KeyId>,
    /// Whether it is kept though gone.
    pub is_kept: bool,
    by_hash: bool,
}

impl Pair {
    pub(super) fn new(record: &Record, space: AddressSpace) -> Self {
        let mut core = record.tags();
        core.remove("from");
        core.remove("apl");
        Self {
            core,
            from: record.from().0,
            space,
            key: record.key().cloned(),
            is_kept: false,
            by_hash: matches!(record.item(), ItemChoice::Hash(_)),
        }
    }

    /// Returns the record without its tag `apl`.
    #[must_use]
    pub fn record(&self) -> String {
        self.tags().to_string()
    }

    fn tags(&self) -> Tags {
        let mut tags = self.core.clone();
        if self.from != 0 {
            // A number has no semicolon.
            let _ = tags.set("from", &self.from);
        }
        tags
    }

    /// Returns all items, positive and negated.
    pub fn items(&self) -> impl Iterator<Item = Ipv6Net> {
        self.space.positive().iter().chain(self.space.negated()).copied()
    }
}

/// Returns each pair a `from` of its own, for a set has no equal ones. A verifier looks at it only to see whether a
/// record is in force.
pub(super) fn make_unique(pairs: &mut [Pair]) {
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
pub(super) fn text(space: &AddressSpace) -> String {
    space.apl().to_string()
}

pub(super) fn space_of(text: &str) -> Option<AddressSpace> {
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
        let mut tags = pair.tags();
        tags.set("apl", &pair.space.apl()).ok()?;
        tags.record().is_ok().then(|| tags.to_string())
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
            let record = pair.core.record();
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
