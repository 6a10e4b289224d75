//! An independent score: every rule written out anew, from addresses and prefixes, without the planner's parts.

use std::collections::{BTreeMap, BTreeSet};

use ssa_slices::{Endpoint, EndpointId, Replicas, SliceSpace};

use crate::common::Case;

/// Conflicts on endpoints, conflicts in domains, moves, prefixes.
pub(crate) type Score = (usize, usize, usize, usize);

/// Pairs of different slices that hold two replicas of one address, and slices that hold both.
///
/// Goes through all values of the first bits, as many as the slice and the first field need, of one item.
pub(crate) fn siblings(space: &SliceSpace, replicas: Replicas) -> BTreeSet<(usize, usize)> {
    let (s, n) = (u32::from(space.bits().get()), u32::from(replicas.first_field_bits()));
    let (count, wide) = (u64::from(replicas.count()), s.max(n));
    let mut pairs = BTreeSet::new();
    for bits in 0..1_u64 << wide {
        let (field, rest) = (bits >> (wide - n), bits & ((1 << (wide - n)) - 1));
        let slices: Vec<u64> = (0..count)
            .map(|r| (field + r * (1 << n) / count) % (1 << n))
            .map(|field| ((field << (wide - n)) | rest) >> (wide - s))
            .collect();
        for (r, one) in slices.iter().enumerate() {
            for other in &slices[r + 1..] {
                let pair = (*one.min(other), *one.max(other));
                pairs.insert((usize::try_from(pair.0).unwrap(), usize::try_from(pair.1).unwrap()));
            }
        }
    }
    let per_item = space.bits().per_item();
    let items = space.count() / per_item;
    (0..items)
        .flat_map(|item| {
            pairs
                .iter()
                .map(move |(a, b)| (a + item * per_item, b + item * per_item))
        })
        .collect()
}

/// Tells whether every endpoint holds the floor or the ceiling of its share.
pub(crate) fn balanced(assignment: &[usize], endpoints: &[Endpoint]) -> bool {
    let total: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
    endpoints.iter().enumerate().all(|(number, endpoint)| {
        let count = assignment.iter().filter(|holder| **holder == number).count() as u64;
        let share = assignment.len() as u64 * u64::from(endpoint.weight);
        // share/total − 1 < count < share/total + 1, in whole numbers
        count * total < share + total && share < count * total + total
    })
}

/// Counts the prefixes of one holder's slices by joining pairs of equally long ones until none can be joined.
pub(crate) fn prefixes(slices: &BTreeSet<usize>, bits: u8) -> usize {
    let mut total = 0;
    let mut level = slices.clone();
    for _ in 0..bits {
        let joins: BTreeSet<usize> = level
            .iter()
            .map(|block| block / 2)
            .filter(|half| both(&level, *half))
            .collect();
        total += level.len() - 2 * joins.len();
        level = joins;
    }
    total + level.len()
}

fn both(level: &BTreeSet<usize>, half: usize) -> bool {
    level.contains(&(2 * half)) && level.contains(&(2 * half + 1))
}

pub(crate) fn score(case: &Case, siblings: &BTreeSet<(usize, usize)>, assignment: &[usize]) -> Score {
    let domain = |slice: usize| case.endpoints[assignment[slice]].domain;
    let (mut on_endpoint, mut in_domain) = (0, 0);
    for (one, other) in siblings.iter().copied().filter(|(one, other)| one != other) {
        if assignment[one] == assignment[other] {
            on_endpoint += 1;
        } else if domain(one).is_some() && domain(one) == domain(other) {
            in_domain += 1;
        }
    }
    let number = |holder: &usize| Some(EndpointId::new(u32::try_from(*holder).unwrap()));
    let moves = assignment
        .iter()
        .zip(&case.current)
        .filter(|(to, from)| number(to) != **from)
        .count();
    let mut held: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (slice, holder) in assignment.iter().enumerate() {
        held.entry(*holder).or_default().insert(slice);
    }
    let prefixes = held
        .values()
        .map(|slices| prefixes(slices, case.space.bits().get()))
        .sum();
    (on_endpoint, in_domain, moves, prefixes)
}

/// Finds the best score of all balanced assignments by trying every one.
pub(crate) fn best(case: &Case) -> Score {
    let siblings = siblings(&case.space, case.replicas);
    let mut assignment = vec![0; case.space.count()];
    let mut best: Option<Score> = None;
    loop {
        if balanced(&assignment, &case.endpoints) {
            let score = score(case, &siblings, &assignment);
            best = Some(best.map_or(score, |best| best.min(score)));
        }
        // Counts up, the holders being digits.
        let Some(digit) = assignment.iter().position(|holder| holder + 1 < case.endpoints.len()) else {
            break;
        };
        assignment[digit] += 1;
        assignment[..digit].fill(0);
    }
    best.unwrap()
}
