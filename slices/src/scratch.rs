//! A plan from nothing.

use alloc::vec::Vec;

use crate::pool::{Pool, around_part};
use crate::problem::Problem;
use crate::space::{Block, blocks};
use crate::table::{NOBODY, Table};

/// Lays out all slices where none stays with its holder.
///
/// Every item is cut into arcs, one per group of endpoints and in the same order. A group is of one domain (endpoints
/// alone in theirs count as alike), and as large as its arcs stay shorter than the least distance between siblings:
/// within a group nothing can conflict, and arcs of one domain lie side by side, which keeps the domain's siblings few.
/// Within its arcs a group hands out the largest aligned blocks first.
pub(crate) fn lay_out(problem: &Problem, targets: &Table<usize>) -> Table<usize> {
    let items = problem.slices() >> problem.bits.get();
    let mut holder = Table::filled(problem.slices(), NOBODY);
    let mut before = 0;
    for group in groups(problem, targets, items) {
        let total: usize = group.iter().map(|endpoint| targets.at(*endpoint)).sum();
        let mut slots = Vec::new();
        for item in 0..items {
            let base = item << problem.bits.get();
            slots.extend(base + part(before, item, items)..base + part(before + total, item, items));
        }
        before += total;
        hand_out(problem, targets, &group, &slots, &mut holder);
    }
    holder
}

/// Gives an item its part of the first `total` slices: they are dealt to the items in turn.
fn part(total: usize, item: usize, items: usize) -> usize {
    let (each, rest) = (total / items.max(1), total % items.max(1));
    each + usize::from(item < rest)
}

/// Groups endpoints, domain by domain.
fn groups(problem: &Problem, targets: &Table<usize>, items: usize) -> Vec<Vec<usize>> {
    let limit = problem
        .distances
        .first()
        .map_or(usize::MAX, |least| least.saturating_mul(items));
    let kind = |endpoint: usize| {
        let parted = problem.shares_domain.at(endpoint) && !problem.distances.is_empty();
        if parted { problem.domain.at(endpoint) } else { NOBODY }
    };
    let mut order: Vec<usize> = (0..problem.endpoints()).collect();
    order.sort_by_key(|endpoint| kind(*endpoint));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut open = (NOBODY, limit);
    for endpoint in order {
        let (kind, size) = (kind(endpoint), targets.at(endpoint));
        if let Some(group) = groups.last_mut().filter(|_| open.0 == kind && open.1 + size <= limit) {
            group.push(endpoint);
            open.1 += size;
        } else {
            groups.push([endpoint].into());
            open = (kind, size);
        }
    }
    groups
}

/// Hands a group's slots to its endpoints, largest blocks first.
fn hand_out(problem: &Problem, targets: &Table<usize>, group: &[usize], slots: &[usize], holder: &mut Table<usize>) {
    let greatest = problem.bits.get();
    let mut pool = Pool::new(greatest);
    for block in blocks(slots, problem.bits) {
        pool.put(block.order, block, ());
    }
    let mut wanting: Vec<(usize, usize)> = group
        .iter()
        .map(|endpoint| (*endpoint, targets.at(*endpoint)))
        .collect();
    for order in (0..=greatest).rev() {
        for (endpoint, wanted) in &mut wanting {
            while *wanted >> order > 0 {
                let Some(found) = (order..=greatest).find_map(|shelf| pool.take(shelf, 0)) else {
                    break;
                };
                let taken = Block {
                    start: found.0.start,
                    order,
                };
                for rest in around_part(found.0, taken) {
                    pool.put(rest.order, rest, ());
                }
                for slice in taken.start..taken.start + (1 << order) {
                    holder.set(slice, *endpoint);
                }
                *wanted -= 1 << order;
            }
        }
    }
}
