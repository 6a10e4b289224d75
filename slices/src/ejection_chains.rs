//! A local search by ejection chains, which separates siblings.

use alloc::vec::Vec;

use crate::instance::{Conflicts, Instance};
use crate::table::{Table, UNASSIGNED};

/// Up to this number of endpoints a chain may pass through any of them; beyond it, through two at most.
const LONG_CHAINS: usize = 64;
/// After this number of slices that no chain improves a pass ends, assuming that the rest cannot be improved either.
const FAILURES: usize = 32;
/// Bounds the siblings examined: `BASE_BUDGET`, plus `BUDGET_PER_SLICE` for each slice, at most `MAX_BUDGET`.
const BUDGET_PER_SLICE: usize = 1024;
const BASE_BUDGET: usize = 1 << 21;
const MAX_BUDGET: usize = 1 << 27;

/// Separates siblings, by endpoint first and then by domain, and preserves the balance.
///
/// A chain moves a slice to another endpoint, which ejects one of its own in turn, until the last slice arrives at the
/// first endpoint (a cyclic exchange), or at one that may hold one more while another holds one less (a path). The first
/// passes accept only chains that do not increase the total number of moves; later ones accept any, because conflicts
/// count more than moves. Passes repeat until one finds nothing, or the budget is spent.
pub(crate) fn separate_siblings(instance: &Instance, holder: Table<usize>) -> Table<usize> {
    if instance.distances.is_empty() {
        return holder;
    }
    let mut chains = EjectionChains::new(instance, holder);
    for extra_moves in [false, true] {
        while chains.pass(extra_moves) {}
    }
    chains.holder
}

struct EjectionChains<'a> {
    instance: &'a Instance,
    holder: Table<usize>,
    /// The slices of each endpoint, in no order.
    slices: Vec<Vec<usize>>,
    /// The index of each slice in its endpoint's list.
    position: Table<usize>,
    /// How many more siblings may be examined.
    budget: usize,
}

/// The move of one slice to another endpoint.
#[derive(Clone, Copy)]
struct Hop {
    slice: usize,
    from: usize,
    to: usize,
}

/// An endpoint that a chain has reached, which now holds one slice too many.
#[derive(Clone, Copy)]
struct Reached {
    endpoint: usize,
    /// The hop that reached it; none if it holds one less because another holds one more.
    hop: Option<Hop>,
    before: Option<usize>,
    conflicts: Conflicts,
    moves: i64,
}

/// A search for a chain.
struct Search {
    /// The endpoint that the first slice leaves, which is short of one.
    short: usize,
    extra_moves: bool,
    reached: Vec<Reached>,
    /// The fewest moves with which each endpoint was reached.
    min_moves: Table<i64>,
}

impl<'a> EjectionChains<'a> {
    fn new(instance: &'a Instance, holder: Table<usize>) -> Self {
        let mut slices: Vec<Vec<usize>> = Vec::new();
        slices.resize(instance.endpoints(), Vec::new());
        let mut position = Table::filled(instance.slices(), 0);
        for (slice, endpoint) in holder.iter().enumerate() {
            if let Some(list) = slices.get_mut(endpoint) {
                position.set(slice, list.len());
                list.push(slice);
            }
        }
        let budget = (BASE_BUDGET + BUDGET_PER_SLICE * instance.slices()).min(MAX_BUDGET);
        Self {
            instance,
            holder,
            slices,
            position,
            budget,
        }
    }

    /// Tries to improve every conflicting slice once, and returns whether any was improved.
    fn pass(&mut self, extra_moves: bool) -> bool {
        let mut improved = false;
        for (on_endpoint, kept) in [(true, false), (true, true), (false, false), (false, true)] {
            let asked = |found: Conflicts| {
                let count = if on_endpoint {
                    found.on_endpoint
                } else {
                    found.in_domain
                };
                count > 0
            };
            let mut failures = 0;
            for slice in self.sample(kept, asked) {
                if failures == FAILURES || self.budget == 0 {
                    break;
                }
                let now = self.instance.conflicts(&self.holder, slice, self.holder.at(slice));
                if !asked(now) {
                    continue; // resolved by an earlier chain
                }
                if self.improve(slice, now, extra_moves) {
                    improved = true;
                } else {
                    failures += 1;
                }
            }
        }
        improved
    }

    /// Returns the slices that conflict as asked and are kept or not, in bit-reversed order, so that the first few are a
    /// sample of the whole space.
    fn sample(&self, kept: bool, asked: impl Fn(Conflicts) -> bool) -> Vec<usize> {
        let chosen = |slice: &usize| {
            let (holder, home) = (self.holder.at(*slice), self.instance.current.at(*slice));
            (holder == home) == kept && asked(self.instance.conflicts(&self.holder, *slice, holder))
        };
        let mut slices: Vec<usize> = (0..self.instance.slices()).filter(chosen).collect();
        slices.sort_unstable_by_key(|slice| slice.reverse_bits());
        slices
    }

    /// Counts a slice's conflicts with an endpoint, which examines all of its siblings.
    fn conflicts(&mut self, slice: usize, endpoint: usize) -> Conflicts {
        self.budget = self.budget.saturating_sub(self.instance.distances.len());
        self.instance.conflicts(&self.holder, slice, endpoint)
    }

    /// Returns the change in conflicts of a hop, other slices staying where they are.
    fn effect(&mut self, hop: Hop) -> Conflicts {
        let after = self.conflicts(hop.slice, hop.to);
        after.minus(self.conflicts(hop.slice, hop.from))
    }

    /// Returns the change in the number of moves of a hop.
    fn moves(&self, hop: Hop) -> i64 {
        let home = self.instance.current.at(hop.slice);
        i64::from(home != hop.to) - i64::from(home != hop.from)
    }

    fn count(&self, endpoint: usize) -> usize {
        self.slices.get(endpoint).map_or(0, Vec::len)
    }

    /// Returns the slice at an index of its endpoint's list.
    fn nth(&self, endpoint: usize, index: usize) -> Option<usize> {
        self.slices.get(endpoint)?.get(index).copied()
    }

    fn has_room(&self, endpoint: usize) -> bool {
        self.count(endpoint) < self.instance.high.at(endpoint)
    }

    fn can_spare(&self, endpoint: usize) -> bool {
        self.count(endpoint) > self.instance.low.at(endpoint)
    }

    /// Searches, breadth first, for a chain that begins with `slice` and reduces the number of conflicts.
    fn improve(&mut self, slice: usize, now: Conflicts, extra_moves: bool) -> bool {
        let endpoints = self.instance.endpoints();
        let mut search = Search {
            short: self.holder.at(slice),
            extra_moves,
            reached: Vec::new(),
            min_moves: Table::filled(endpoints, i64::MAX),
        };
        search.min_moves.set(search.short, i64::MIN); // only the end of a chain comes back to it
        // Its former holder first, then all others, starting at one that differs from slice to slice.
        let home = self.instance.current.at(slice);
        let turn = slice.wrapping_mul(0x9e37_79b1) % endpoints.max(1);
        let others = (turn..endpoints).chain(0..turn).filter(|to| *to != home);
        let first = (home != UNASSIGNED).then_some(home);
        for to in first.into_iter().chain(others) {
            let from = search.short;
            let hop = Some(Hop { slice, from, to });
            let conflicts = self.conflicts(slice, to).minus(now);
            let moves = self.moves(Hop { slice, from, to });
            let reached = Reached {
                endpoint: to,
                hop,
                before: None,
                conflicts,
                moves,
            };
            if conflicts.improves() && self.reach(&mut search, reached) {
                return true;
            }
        }
        let mut at = 0;
        let mut found_room = false;
        while let Some(&state) = search.reached.get(at).filter(|_| self.budget > 0) {
            if !found_room && self.has_room(state.endpoint) {
                found_room = true;
                if self.by_room(&mut search, at, state) {
                    return true;
                }
            }
            if endpoints <= LONG_CHAINS && self.by_hop(&mut search, at, state) {
                return true;
            }
            at += 1;
        }
        false
    }

    /// Extends a chain from an endpoint that may keep its surplus slice: any other that can spare one ejects it instead.
    fn by_room(&mut self, search: &mut Search, at: usize, state: Reached) -> bool {
        for to in 0..self.instance.endpoints() {
            let reached = Reached {
                endpoint: to,
                hop: None,
                before: Some(at),
                ..state
            };
            if to != state.endpoint && self.can_spare(to) && self.reach(search, reached) {
                return true;
            }
        }
        false
    }

    /// Extends a chain from an endpoint by ejecting any of its slices to any other endpoint.
    fn by_hop(&mut self, search: &mut Search, at: usize, state: Reached) -> bool {
        let from = state.endpoint;
        let mut index = 0;
        while let Some(slice) = self.nth(from, index) {
            index += 1;
            for to in (0..self.instance.endpoints()).filter(|to| *to != from) {
                let hop = Hop { slice, from, to };
                let moves = state.moves + self.moves(hop);
                if moves >= search.min_moves.at(to) {
                    continue;
                }
                let conflicts = state.conflicts.plus(self.effect(hop));
                let reached = Reached {
                    endpoint: to,
                    hop: Some(hop),
                    before: Some(at),
                    conflicts,
                    moves,
                };
                if conflicts.improves() && self.reach(search, reached) {
                    return true;
                }
            }
        }
        false
    }

    /// Records an endpoint as reached, unless it was already with as few moves, and tries to end the chain there.
    fn reach(&mut self, search: &mut Search, reached: Reached) -> bool {
        let to = reached.endpoint;
        if reached.moves >= search.min_moves.at(to) {
            return false;
        }
        search.min_moves.set(to, reached.moves);
        search.reached.push(reached);
        self.close(search, reached)
    }

    /// Tries to end a chain at the endpoint reached last, and applies all of its hops if that is an improvement.
    fn close(&mut self, search: &Search, last: Reached) -> bool {
        let allowed = |moves: i64| search.extra_moves || moves <= 0;
        let has_room_for_it = self.has_room(last.endpoint) && self.can_spare(search.short);
        if has_room_for_it && allowed(last.moves) && self.apply(&search.reached, last, None) {
            return true;
        }
        let mut index = 0;
        while let Some(slice) = self.nth(last.endpoint, index) {
            index += 1;
            let hop = Hop {
                slice,
                from: last.endpoint,
                to: search.short,
            };
            let fits = allowed(last.moves + self.moves(hop)) && last.conflicts.plus(self.effect(hop)).improves();
            if fits && self.apply(&search.reached, last, Some(hop)) {
                return true;
            }
        }
        false
    }

    /// Applies the hops of a chain, and reverts them if, its slices being siblings, it is no improvement.
    fn apply(&mut self, reached: &[Reached], last: Reached, end: Option<Hop>) -> bool {
        let mut hops: Vec<Hop> = end.into_iter().chain(last.hop).collect();
        let mut before = last.before;
        while let Some(state) = before.and_then(|index| reached.get(index)) {
            hops.extend(state.hop);
            before = state.before;
        }
        let mut total = Conflicts::default();
        let mut made = Vec::new();
        for hop in hops.iter().rev() {
            if self.holder.at(hop.slice) != hop.from {
                break; // the chain would move one slice twice
            }
            total = total.plus(self.effect(*hop));
            self.relocate(*hop);
            made.push(*hop);
        }
        let balanced = hops.iter().flat_map(|hop| [hop.from, hop.to]).all(|endpoint| {
            (self.instance.low.at(endpoint)..=self.instance.high.at(endpoint)).contains(&self.count(endpoint))
        });
        if made.len() == hops.len() && balanced && total.improves() {
            return true;
        }
        for hop in made.into_iter().rev() {
            self.relocate(Hop {
                slice: hop.slice,
                from: hop.to,
                to: hop.from,
            });
        }
        false
    }

    fn relocate(&mut self, hop: Hop) {
        let position = self.position.at(hop.slice);
        // Swap-remove.
        if let Some(list) = self.slices.get_mut(hop.from)
            && let Some(last) = list.pop()
            && let Some(slot) = list.get_mut(position)
        {
            *slot = last;
            self.position.set(last, position);
        }
        if let Some(list) = self.slices.get_mut(hop.to) {
            self.position.set(hop.slice, list.len());
            list.push(hop.slice);
        }
        self.holder.set(hop.slice, hop.to);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{Endpoint, EndpointId, SliceBits};

    /// Eight slices on two endpoints; the sibling of each slice is four slices away.
    fn instance(holders: [u32; 8]) -> Instance {
        let current = holders.map(|holder| Some(EndpointId::new(holder)));
        Instance::new(
            SliceBits::new(3).unwrap(),
            vec![4],
            &current,
            &[Endpoint::of_weight(1); 2],
        )
    }

    fn hop(slice: usize, from: usize, to: usize) -> Hop {
        Hop { slice, from, to }
    }

    /// Applies a chain of two hops, the second of which ends it.
    fn make(instance: &Instance, hops: [Hop; 2]) -> (bool, Table<usize>) {
        let mut chains = EjectionChains::new(instance, instance.current.clone());
        let [first, end] = hops;
        let last = Reached {
            endpoint: first.to,
            hop: Some(first),
            before: None,
            conflicts: Conflicts::default(),
            moves: 0,
        };
        let made = chains.apply(&[last], last, Some(end));
        (made, chains.holder)
    }

    #[test]
    fn a_chain_that_exchanges_conflicting_slices_is_applied() {
        let instance = instance([0, 0, 0, 1, 0, 1, 1, 1]);
        let (made, holder) = make(&instance, [hop(4, 0, 1), hop(7, 1, 0)]);
        assert!(made);
        assert!(holder.iter().eq([0, 0, 0, 1, 1, 1, 1, 0]));
    }

    #[test]
    fn a_chain_of_siblings_without_improvement_is_reverted() {
        let instance = instance([0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(
            make(&instance, [hop(0, 0, 1), hop(4, 1, 0)]),
            (false, instance.current.clone())
        );
    }

    #[test]
    fn a_chain_that_violates_the_balance_is_reverted() {
        let instance = instance([0, 0, 0, 1, 0, 1, 1, 1]);
        assert_eq!(
            make(&instance, [hop(4, 0, 1), hop(1, 0, 1)]),
            (false, instance.current.clone())
        );
    }

    #[test]
    fn a_chain_that_would_take_a_slice_twice_is_undone() {
        let instance = instance([0, 0, 0, 1, 0, 1, 1, 1]);
        assert_eq!(
            make(&instance, [hop(4, 0, 1), hop(4, 0, 1)]),
            (false, instance.current.clone())
        );
    }
}
