//! A plan from the present one: who has too many gives, who has too few takes.

use alloc::vec::Vec;

use crate::pool::{Pool, around_part};
use crate::problem::{Conflicts, Problem};
use crate::space::{Block, blocks};
use crate::table::{NOBODY, Table};

/// How many blocks a taker looks at before it settles for smaller ones, and in the end for conflicts.
const LOOKS: usize = 64;
/// Above this number of domains blocks are no longer kept apart by domain.
const SEPARATE_DOMAINS: usize = 64;

/// Moves the fewest slices that bring every endpoint to its target.
///
/// Takers are served the largest blocks first, from slices that nobody holds and from givers alike; a block is
/// taken where it conflicts with nothing its taker holds and, if one of its own domain gave it, first. So only
/// endpoints above their target give and only those below it take.
pub(crate) fn refit(problem: &Problem, targets: &Table<usize>) -> Table<usize> {
    let mut refit = Refit::new(problem, targets);
    for order in (0..=problem.bits.get()).rev() {
        for taker in 0..problem.endpoints() {
            while refit.lacks.at(taker) >> order > 0 {
                let Some(found) = refit.find(taker, order) else { break };
                refit.give(&found, taker);
            }
        }
    }
    refit.holder
}

struct Refit<'a> {
    problem: &'a Problem,
    holder: Table<usize>,
    /// How many slices each endpoint has yet to give.
    spare: Table<usize>,
    /// How many slices each endpoint has yet to take.
    lacks: Table<usize>,
    /// Blocks to take from, by the domain they are in now; the tag is who holds them.
    pools: Vec<Pool<usize>>,
}

/// Where a block was found, and which part of it to take.
struct Found {
    pool: usize,
    shelf: u8,
    depth: usize,
    part: Block,
}

impl<'a> Refit<'a> {
    fn new(problem: &'a Problem, targets: &Table<usize>) -> Self {
        let pairs = || problem.held.iter().zip(targets.iter());
        let separate = !problem.distances.is_empty()
            && problem.domains <= SEPARATE_DOMAINS
            && problem.shares_domain.iter().any(|shares| shares);
        let buckets = if separate { problem.domains + 1 } else { 1 };
        let mut refit = Self {
            problem,
            holder: problem.current.clone(),
            spare: pairs().map(|(held, target)| held.saturating_sub(target)).collect(),
            lacks: pairs().map(|(held, target)| target.saturating_sub(held)).collect(),
            pools: (0..buckets).map(|_| Pool::new(problem.bits.get())).collect(),
        };
        let mut found: Vec<(u8, usize, usize)> = Vec::new();
        for (endpoint, slices) in refit.available().into_iter().enumerate() {
            let endpoint = if endpoint < problem.endpoints() {
                endpoint
            } else {
                NOBODY
            };
            found.extend(blocks(&slices, problem.bits).map(|block| (block.order, block.start, endpoint)));
        }
        // The top of a shelf is the smallest block, and of these the first: whole small blocks go before parts of
        // larger ones.
        found.sort_unstable_by(|one, other| other.cmp(one));
        for (order, start, endpoint) in found {
            refit.put(Block { start, order }, endpoint);
        }
        refit
    }

    /// Lists the slices of each endpoint and, in lists after the last one's, those that nobody holds, by domain.
    fn available(&self) -> Vec<Vec<usize>> {
        let endpoints = self.problem.endpoints();
        let mut lists = Vec::new();
        lists.resize(endpoints + self.pools.len(), Vec::new());
        for (slice, endpoint) in self.holder.iter().enumerate() {
            let list = if endpoint == NOBODY {
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
        self.problem.former_domain.at(slice).min(self.pools.len() - 1)
    }

    /// The greatest order that can be taken from a block; none if its giver has given enough.
    fn order_of(&self, block: Block, tag: usize) -> Option<u8> {
        if tag == NOBODY {
            return Some(block.order);
        }
        let spare = self.spare.at(tag).checked_ilog2()?;
        Some(block.order.min(u8::try_from(spare).unwrap_or(u8::MAX)))
    }

    fn put(&mut self, block: Block, tag: usize) {
        let bucket = self.bucket(block.start);
        let order = self.order_of(block, tag);
        if let (Some(order), Some(pool)) = (order, self.pools.get_mut(bucket)) {
            pool.put(order, block, tag);
        }
    }

    /// Looks for 2^order slices for a taker: those that conflict with nothing or, for one slice, that conflict least.
    fn find(&mut self, taker: usize, order: u8) -> Option<Found> {
        let own = self.problem.domain.at(taker);
        let others = (0..self.pools.len()).filter(|pool| *pool != own);
        let mut best: Option<(Conflicts, Found)> = None;
        for pool in [own].into_iter().chain(others) {
            let mut looks = 0;
            for shelf in order..=self.problem.bits.get() {
                let mut depth = 0;
                while looks < LOOKS {
                    let Some((block, tag)) = self.pools.get(pool).and_then(|pool| pool.peek(shelf, depth)) else {
                        break;
                    };
                    if self.order_of(block, tag).is_none_or(|left| left < order) {
                        // Its giver has less to spare than when it was put here.
                        if let Some(pool) = self.pools.get_mut(pool) {
                            pool.take(shelf, depth);
                        }
                        self.put(block, tag);
                        continue;
                    }
                    for part in parts(block, order) {
                        looks += 1;
                        let conflicts = self.conflicts(part, taker);
                        let found = Found {
                            pool,
                            shelf,
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

    /// The conflicts that the first conflicting slice of a block would have with a taker.
    fn conflicts(&self, block: Block, taker: usize) -> Conflicts {
        let slices = block.start..block.start + (1 << block.order);
        let mut each = slices.map(|slice| self.problem.conflicts(&self.holder, slice, taker));
        each.find(|conflicts| conflicts.any()).unwrap_or_default()
    }

    fn give(&mut self, found: &Found, taker: usize) {
        let Found {
            pool,
            shelf,
            depth,
            part,
        } = *found;
        let Some((block, tag)) = self.pools.get_mut(pool).and_then(|pool| pool.take(shelf, depth)) else {
            return;
        };
        let count = 1 << part.order;
        self.lacks.update(taker, |lacks| lacks - count);
        self.spare.update(tag, |spare| spare - count);
        for slice in part.start..part.start + count {
            self.holder.set(slice, taker);
        }
        for rest in around_part(block, part) {
            self.put(rest, tag);
        }
    }
}

/// Lists parts of a block to try: the first, the last, then some between.
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
