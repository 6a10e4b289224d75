//! Incremental reassignment: from the current assignment to the targets, with the fewest moves.

use alloc::vec::Vec;

use crate::free_lists::{FreeLists, remainder};
use crate::instance::{Conflicts, Instance};
use crate::space::{Block, blocks};
use crate::table::{Table, UNASSIGNED};

/// The number of blocks that a receiver examines before it accepts smaller ones and, in the end, conflicts.
const MAX_CANDIDATES: usize = 64;
/// Above this number of domains, free lists are no longer kept by domain.
const MAX_SEPARATE_DOMAINS: usize = 64;

/// Moves the fewest slices that bring every endpoint to its target.
///
/// Only endpoints above their target give slices, and only those below it receive them. Receivers are served the largest
/// blocks first, from unassigned slices and from givers alike: a block that conflicts with nothing the receiver holds,
/// preferably one from its own domain.
pub(crate) fn reassign(instance: &Instance, targets: &Table<usize>) -> Table<usize> {
    let mut plan = Reassignment::new(instance, targets);
    for order in (0..=instance.bits.get()).rev() {
        for receiver in 0..instance.endpoints() {
            while plan.deficit.at(receiver) >> order > 0 {
                let Some(found) = plan.find(receiver, order) else { break };
                plan.assign(&found, receiver);
            }
        }
    }
    plan.holder
}

struct Reassignment<'a> {
    instance: &'a Instance,
    holder: Table<usize>,
    /// The number of slices above each endpoint's target.
    surplus: Table<usize>,
    /// The number of slices below each endpoint's target.
    deficit: Table<usize>,
    /// Blocks to allocate from, by the domain they are in now; the tag is the endpoint that holds them.
    free: Vec<FreeLists<usize>>,
}

/// The position of a block in the free lists, and the part of it to move.
struct Found {
    domain: usize,
    list: u8,
    depth: usize,
    part: Block,
}

impl<'a> Reassignment<'a> {
    fn new(instance: &'a Instance, targets: &Table<usize>) -> Self {
        let pairs = || instance.held.iter().zip(targets.iter());
        let separate = !instance.distances.is_empty()
            && instance.domains <= MAX_SEPARATE_DOMAINS
            && instance.shares_domain.iter().any(|shares| shares);
        let buckets = if separate { instance.domains + 1 } else { 1 };
        let mut plan = Self {
            instance,
            holder: instance.current.clone(),
            surplus: pairs().map(|(held, target)| held.saturating_sub(target)).collect(),
            deficit: pairs().map(|(held, target)| target.saturating_sub(held)).collect(),
            free: (0..buckets).map(|_| FreeLists::new(instance.bits.get())).collect(),
        };
        let mut found: Vec<(u8, usize, usize)> = Vec::new();
        for (endpoint, slices) in plan.available().into_iter().enumerate() {
            let endpoint = if endpoint < instance.endpoints() {
                endpoint
            } else {
                UNASSIGNED
            };
            found.extend(blocks(&slices, instance.bits).map(|block| (block.order, block.start, endpoint)));
        }
        // The top of a list is the smallest block, and of these the first: small blocks are moved as a whole before
        // larger ones are split.
        found.sort_unstable_by(|one, other| other.cmp(one));
        for (order, start, endpoint) in found {
            plan.put(Block { start, order }, endpoint);
        }
        plan
    }

    /// Returns the slices of each endpoint and, in the lists that follow, the unassigned ones by domain.
    fn available(&self) -> Vec<Vec<usize>> {
        let endpoints = self.instance.endpoints();
        let mut lists = Vec::new();
        lists.resize(endpoints + self.free.len(), Vec::new());
        for (slice, endpoint) in self.holder.iter().enumerate() {
            let list = if endpoint == UNASSIGNED {
                endpoints + self.bucket(slice)
            } else {
                endpoint
            };
            if let Some(list) = lists.get_mut(list) {
                list.push(slice);
            }
        }
        lists
    }

    fn bucket(&self, slice: usize) -> usize {
        self.instance.former_domain.at(slice).min(self.free.len() - 1)
    }

    /// Returns the greatest order that can be moved from a block; none if its endpoint has no surplus left.
    fn order_of(&self, block: Block, tag: usize) -> Option<u8> {
        if tag == UNASSIGNED {
            return Some(block.order);
        }
        let surplus = self.surplus.at(tag).checked_ilog2()?;
        Some(block.order.min(u8::try_from(surplus).unwrap_or(u8::MAX)))
    }

    fn put(&mut self, block: Block, tag: usize) {
        let bucket = self.bucket(block.start);
        let order = self.order_of(block, tag);
        if let (Some(order), Some(free)) = (order, self.free.get_mut(bucket)) {
            free.push(order, block, tag);
        }
    }

    /// Finds 2^order slices for a receiver: without conflicts or, for a single slice, with the fewest.
    fn find(&mut self, receiver: usize, order: u8) -> Option<Found> {
        let own = self.instance.domain.at(receiver);
        let others = (0..self.free.len()).filter(|domain| *domain != own);
        let mut best: Option<(Conflicts, Found)> = None;
        for domain in [own].into_iter().chain(others) {
            let mut candidates = 0;
            for list in order..=self.instance.bits.get() {
                let mut depth = 0;
                while candidates < MAX_CANDIDATES {
                    let Some((block, tag)) = self.free.get(domain).and_then(|free| free.peek(list, depth)) else {
                        break;
                    };
                    if self.order_of(block, tag).is_none_or(|left| left < order) {
                        // The surplus of its endpoint has shrunk since it was listed.
                        if let Some(free) = self.free.get_mut(domain) {
                            free.take(list, depth);
                        }
                        self.put(block, tag);
                        continue;
                    }
                    for part in parts(block, order) {
                        candidates += 1;
                        let conflicts = self.conflicts(part, receiver);
                        let found = Found {
                            domain,
                            list,
                            depth,
                            part,
                        };
                        if !conflicts.any() {
                            return Some(found);
                        }
                        if order == 0 && best.as_ref().is_none_or(|(least, _)| conflicts < *least) {
                            best = Some((conflicts, found));
                        }
                    }
                    depth += 1;
                }
            }
        }
        best.map(|(_, found)| found)
    }

    /// Returns the conflicts that the first conflicting slice of a block would have with a receiver.
    fn conflicts(&self, block: Block, receiver: usize) -> Conflicts {
        let slices = block.start..block.start + (1 << block.order);
        let mut each = slices.map(|slice| self.instance.conflicts(&self.holder, slice, receiver));
        each.find(|conflicts| conflicts.any()).unwrap_or_default()
    }

    fn assign(&mut self, found: &Found, receiver: usize) {
        let Found {
            domain,
            list,
            depth,
            part,
        } = *found;
        let Some((block, tag)) = self.free.get_mut(domain).and_then(|free| free.take(list, depth)) else {
            return;
        };
        let count = 1 << part.order;
        self.deficit.update(receiver, |deficit| deficit - count);
        self.surplus.update(tag, |surplus| surplus - count);
        for slice in part.start..part.start + count {
            self.holder.set(slice, receiver);
        }
        for rest in remainder(block, part) {
            self.put(rest, tag);
        }
    }
}

/// Yields parts of a block to try: the first, the last, then some in between.
fn parts(block: Block, order: u8) -> impl Iterator<Item = Block> {
    let count = 1_usize << (block.order - order);
    let step = (count / 16).max(1);
    let between = (1..count.saturating_sub(1)).step_by(step);
    let last = (count > 1).then_some(count - 1);
    [0].into_iter().chain(last).chain(between).map(move |index| Block {
        start: block.start + (index << order),
        order,
    })
}
