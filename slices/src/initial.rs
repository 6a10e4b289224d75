//! The initial assignment, when no slice stays with its holder.

use alloc::vec::Vec;

use crate::free_lists::{FreeLists, remainder};
use crate::instance::Instance;
use crate::space::{Block, blocks};
use crate::table::{Table, UNASSIGNED};

/// Assigns all slices, where none stays with its holder.
///
/// Every item is divided into arcs, one for each group of endpoints, in the same order. The endpoints of a group share a
/// domain (those without one count as sharing one), and a group is as large as possible while its arcs are shorter than
/// the minimum distance between siblings. So nothing conflicts within a group, and the arcs of a domain are adjacent,
/// which keeps its sibling conflicts few. Within its arcs, a group allocates the largest aligned blocks first.
pub(crate) fn assign(instance: &Instance, targets: &Table<usize>) -> Table<usize> {
    let items = instance.slices() >> instance.bits.get();
    let mut holder = Table::filled(instance.slices(), UNASSIGNED);
    let mut before = 0;
    for group in groups(instance, targets, items) {
        let total: usize = group.iter().map(|endpoint| targets.at(*endpoint)).sum();
        let mut slots = Vec::new();
        for item in 0..items {
            let base = item << instance.bits.get();
            slots.extend(base + part(before, item, items)..base + part(before + total, item, items));
        }
        before += total;
        allocate(instance, targets, &group, &slots, &mut holder);
    }
    holder
}

/// Returns an item's share of the first `total` slices, which are dealt to the items in turn.
fn part(total: usize, item: usize, items: usize) -> usize {
    let (each, rest) = (total / items.max(1), total % items.max(1));
    each + usize::from(item < rest)
}

/// Groups endpoints, domain by domain.
fn groups(instance: &Instance, targets: &Table<usize>, items: usize) -> Vec<Vec<usize>> {
    let limit = instance
        .distances
        .first()
        .map_or(usize::MAX, |least| least.saturating_mul(items));
    let kind = |endpoint: usize| {
        let parted = instance.shares_domain.at(endpoint) && !instance.distances.is_empty();
        if parted {
            instance.domain.at(endpoint)
        } else {
            UNASSIGNED
        }
    };
    let mut order: Vec<usize> = (0..instance.endpoints()).collect();
    order.sort_by_key(|endpoint| kind(*endpoint));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut open = (UNASSIGNED, limit);
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

/// Allocates a group's slots to its endpoints, the largest blocks first.
fn allocate(instance: &Instance, targets: &Table<usize>, group: &[usize], slots: &[usize], holder: &mut Table<usize>) {
    let greatest = instance.bits.get();
    let mut free = FreeLists::new(greatest);
    for block in blocks(slots, instance.bits) {
        free.push(block.order, block, ());
    }
    let mut demand: Vec<(usize, usize)> = group
        .iter()
        .map(|endpoint| (*endpoint, targets.at(*endpoint)))
        .collect();
    for order in (0..=greatest).rev() {
        for (endpoint, missing) in &mut demand {
            while *missing >> order > 0 {
                let Some(found) = (order..=greatest).find_map(|list| free.take(list, 0)) else {
                    break;
                };
                let taken = Block {
                    start: found.0.start,
                    order,
                };
                for rest in remainder(found.0, taken) {
                    free.push(rest.order, rest, ());
                }
                for slice in taken.start..taken.start + (1 << order) {
                    holder.set(slice, *endpoint);
                }
                *missing -= 1 << order;
            }
        }
    }
}
