//! A planning instance in canonical numbers, and the score of a candidate.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::replicas::around;
use crate::table::{Table, UNASSIGNED};
use crate::{DomainId, Endpoint, EndpointId, SliceBits};

/// A planning instance in canonical numbers.
///
/// Only endpoints with weight count. They are numbered by the first slice they hold, then those that hold none by
/// weight, domain and index. So the plan does not depend on the order of the caller's list, except between new
/// endpoints that are otherwise identical.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) bits: SliceBits,
    /// Distances between siblings within an item: see `Distances`.
    pub(crate) distances: Vec<usize>,
    /// The endpoint that holds each slice, or [`UNASSIGNED`].
    pub(crate) current: Table<usize>,
    /// The domain that each slice is in now, even on a drained endpoint; [`UNASSIGNED`] if unknown.
    pub(crate) former_domain: Table<usize>,
    /// How many slices each endpoint holds.
    pub(crate) held: Table<usize>,
    /// The floor of each endpoint's weighted share.
    pub(crate) low: Table<usize>,
    /// Its ceiling.
    pub(crate) high: Table<usize>,
    /// Each endpoint's domain; an endpoint without one has a domain of its own.
    pub(crate) domain: Table<usize>,
    /// Whether the endpoint shares its domain with another.
    pub(crate) shares_domain: Table<bool>,
    pub(crate) domains: usize,
    /// The caller's number of each endpoint.
    pub(crate) index: Table<usize>,
}

impl Instance {
    /// Renumbers a validated request: one current holder for each slice, and at least one endpoint with weight.
    pub(crate) fn new(
        bits: SliceBits,
        distances: Vec<usize>,
        current: &[Option<EndpointId>],
        endpoints: &[Endpoint],
    ) -> Self {
        let mut first = Table::filled(endpoints.len(), UNASSIGNED);
        for (slice, holder) in current.iter().enumerate().rev() {
            if let Some(holder) = holder {
                first.set(holder.index(), slice);
            }
        }
        let mut order: Vec<(usize, u32, Option<DomainId>, usize)> = endpoints
            .iter()
            .enumerate()
            .filter(|(_, endpoint)| endpoint.weight > 0)
            .map(|(index, endpoint)| (first.at(index), endpoint.weight, endpoint.domain, index))
            .collect();
        order.sort_unstable();

        let mut names = BTreeMap::new();
        let mut members: Vec<usize> = Vec::new();
        let mut domain = Vec::new();
        for (_, _, name, _) in &order {
            let number = match name {
                Some(name) => *names.entry(*name).or_insert(members.len()),
                None => members.len(),
            };
            match members.get_mut(number) {
                Some(known) => *known += 1,
                None => members.push(1),
            }
            domain.push(number);
        }

        let mut canonical = Table::filled(endpoints.len(), UNASSIGNED);
        let mut domain_at = Table::filled(endpoints.len(), UNASSIGNED);
        for (index, endpoint) in endpoints.iter().enumerate() {
            let number = endpoint.domain.and_then(|name| names.get(&name).copied());
            domain_at.set(index, number.unwrap_or(UNASSIGNED));
        }
        for (number, (.., index)) in order.iter().enumerate() {
            canonical.set(*index, number);
        }
        let known = |holder: &Option<EndpointId>| holder.map(EndpointId::index).filter(|p| *p < endpoints.len());
        let holder: Table<usize> = current
            .iter()
            .map(|h| known(h).map_or(UNASSIGNED, |p| canonical.at(p)))
            .collect();
        let former_domain = current
            .iter()
            .map(|h| known(h).map_or(UNASSIGNED, |p| domain_at.at(p)))
            .collect();
        let mut held = Table::filled(order.len(), 0_usize);
        for endpoint in holder.iter() {
            held.update(endpoint, |count| count + 1);
        }

        let slices = current.len() as u64;
        let total: u64 = order.iter().map(|(_, weight, ..)| u64::from(*weight)).sum();
        let share = |weight: u32| slices * u64::from(weight);
        let count = |share: u64| usize::try_from(share).unwrap_or(usize::MAX);
        Self {
            bits,
            distances,
            low: order
                .iter()
                .map(|(_, weight, ..)| count(share(*weight).checked_div(total).unwrap_or(0)))
                .collect(),
            high: order
                .iter()
                .map(|(_, weight, ..)| count(share(*weight).div_ceil(total.max(1))))
                .collect(),
            shares_domain: domain
                .iter()
                .map(|number| members.get(*number).is_some_and(|count| *count > 1))
                .collect(),
            domain: domain.into_iter().collect(),
            domains: members.len(),
            index: order.iter().map(|(.., index)| *index).collect(),
            current: holder,
            former_domain,
            held,
        }
    }

    /// The caller's number of an endpoint.
    pub(crate) fn endpoint(&self, endpoint: usize) -> EndpointId {
        EndpointId::at(self.index.at(endpoint))
    }

    pub(crate) fn slices(&self) -> usize {
        self.current.len()
    }

    pub(crate) fn endpoints(&self) -> usize {
        self.low.len()
    }

    pub(crate) fn per_item(&self) -> usize {
        self.bits.per_item()
    }

    /// Returns the siblings of a slice, itself never among them.
    pub(crate) fn siblings(&self, slice: usize) -> impl Iterator<Item = usize> + '_ {
        let per_item = self.per_item();
        self.distances
            .iter()
            .map(move |distance| around(slice, *distance, per_item))
    }

    /// Counts a slice's conflicts if `endpoint` held it and its siblings stayed with `holder`.
    pub(crate) fn conflicts(&self, holder: &Table<usize>, slice: usize, endpoint: usize) -> Conflicts {
        let mut found = Conflicts::default();
        if self.distances.is_empty() {
            return found;
        }
        let domain = self.domain.at(endpoint);
        for sibling in self.siblings(slice) {
            let other = holder.at(sibling);
            if other == endpoint {
                found.on_endpoint += 1;
            } else if other != UNASSIGNED && self.domain.at(other) == domain {
                found.in_domain += 1;
            }
        }
        found
    }

    /// Scores a complete assignment; a lower score is better.
    pub(crate) fn score(&self, holder: &Table<usize>) -> Score {
        let mut conflicts = Conflicts::default();
        for (slice, endpoint) in holder.iter().enumerate() {
            let found = self.conflicts(holder, slice, endpoint);
            conflicts.on_endpoint += found.on_endpoint;
            conflicts.in_domain += found.in_domain;
        }
        // Every pair was counted at both ends.
        conflicts.on_endpoint /= 2;
        conflicts.in_domain /= 2;
        let moves = holder
            .iter()
            .zip(self.current.iter())
            .filter(|(to, from)| to != from)
            .count();
        Score {
            conflicts,
            moves,
            prefixes: prefixes(holder, self.bits),
        }
    }
}

/// The numbers of sibling pairs that a single failure would affect together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Conflicts {
    /// Both on one endpoint.
    pub(crate) on_endpoint: i64,
    /// On two endpoints of one domain.
    pub(crate) in_domain: i64,
}

impl Conflicts {
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            on_endpoint: self.on_endpoint - other.on_endpoint,
            in_domain: self.in_domain - other.in_domain,
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            on_endpoint: self.on_endpoint + other.on_endpoint,
            in_domain: self.in_domain + other.in_domain,
        }
    }

    pub(crate) fn any(self) -> bool {
        self > Self::default()
    }

    /// Returns whether this difference of two counts is an improvement.
    pub(crate) fn improves(self) -> bool {
        self < Self::default()
    }
}

/// Orders balanced assignments by the planner's objectives, in lexicographic order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    pub(crate) conflicts: Conflicts,
    pub(crate) moves: usize,
    pub(crate) prefixes: usize,
}

/// Returns the number of prefixes that all endpoints together announce.
///
/// Every slice is a prefix; two halves of a block that have the same holder throughout aggregate to one.
pub(crate) fn prefixes(holder: &Table<usize>, bits: SliceBits) -> usize {
    let mut level: Vec<usize> = holder.iter().collect();
    let mut count = level.len();
    for _ in 0..bits.get() {
        let joined = level.chunks_exact(2).map(|halves| match halves {
            [one, other] if one == other => *one,
            _ => UNASSIGNED,
        });
        level = joined.collect();
        count -= level.iter().filter(|endpoint| **endpoint != UNASSIGNED).count();
    }
    count
}
