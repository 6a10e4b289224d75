//! Chains of exchanges that part siblings.

use alloc::vec::Vec;

use crate::problem::{Conflicts, Problem};
use crate::table::{NOBODY, Table};

/// Up to this many endpoints a chain may pass through any; beyond, only through the slices of two.
const LONG_CHAINS: usize = 64;
/// After this many slices that no chain helps, a pass ends: the rest is taken for hopeless too.
const FAILURES: usize = 32;
/// Bounds the siblings looked at: so many, and so many more per slice, up to so many.
const WORK_PER_SLICE: usize = 1024;
const WORK: usize = 1 << 21;
const MOST_WORK: usize = 1 << 27;

/// Parts siblings, endpoints first and then domains, without leaving the balance.
///
/// A chain takes a slice from its endpoint to another, which passes a slice on in turn, until the last comes to the
/// first endpoint, or to one that may hold one more while another gives one less. First come only chains
/// that move no more slices in all than moved before; then, conflicts counting more than moves, any others.
/// Passes repeat until one finds nothing, or the bound on work is reached.
pub(crate) fn part_siblings(problem: &Problem, holder: Table<usize>) -> Table<usize> {
    if problem.distances.is_empty() {
        return holder;
    }
    let mut chains = Chains::new(problem, holder);
    for extra_moves in [false, true] {
        while chains.pass(extra_moves) {}
    }
    chains.holder
}

struct Chains<'a> {
    problem: &'a Problem,
    holder: Table<usize>,
    /// The slices of each endpoint, in no order.
    slices: Vec<Vec<usize>>,
    /// Where each slice stands in its endpoint's list.
    position: Table<usize>,
    work: usize,
}

/// A slice that goes to another endpoint, and what that changes.
#[derive(Clone, Copy)]
struct Hop {
    slice: usize,
    from: usize,
    to: usize,
}

/// An endpoint that a chain has reached: it holds one slice too many.
#[derive(Clone, Copy)]
struct Reached {
    endpoint: usize,
    /// The hop that reached it; none if it gives one less because another holds one more.
    hop: Option<Hop>,
    before: Option<usize>,
    conflicts: Conflicts,
    moves: i64,
}

/// A search for a chain.
struct Search {
    /// The endpoint that the first slice leaves.
    short: usize,
    extra_moves: bool,
    reached: Vec<Reached>,
    /// The fewest moves with which each endpoint was reached.
    least_moves: Table<i64>,
}

impl<'a> Chains<'a> {
    fn new(problem: &'a Problem, holder: Table<usize>) -> Self {
        let mut slices: Vec<Vec<usize>> = Vec::new();
        slices.resize(problem.endpoints(), Vec::new());
        let mut position = Table::filled(problem.slices(), 0);
        for (slice, endpoint) in holder.iter().enumerate() {
            if let Some(list) = slices.get_mut(endpoint) {
                position.set(slice, list.len());
                list.push(slice);
            }
        }
        let work = (WORK + WORK_PER_SLICE * problem.slices()).min(MOST_WORK);
        Self {
            problem,
            holder,
            slices,
            position,
            work,
        }
    }

    /// Tries to help every conflicting slice once; tells whether any was helped.
    fn pass(&mut self, extra_moves: bool) -> bool {
        let mut helped = false;
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
            for slice in self.spread(kept, asked) {
                if failures == FAILURES || self.work == 0 {
                    break;
                }
                let now = self.problem.conflicts(&self.holder, slice, self.holder.at(slice));
                if !asked(now) {
                    continue; // an earlier chain has helped it
                }
                if self.help(slice, now, extra_moves) {
                    helped = true;
                } else {
                    failures += 1;
                }
            }
        }
        helped
    }

    /// Lists the slices that conflict as asked and are kept or not, spread over the space so that the first few stand
    /// for all.
    fn spread(&self, kept: bool, asked: impl Fn(Conflicts) -> bool) -> Vec<usize> {
        let chosen = |slice: &usize| {
            let (holder, home) = (self.holder.at(*slice), self.problem.current.at(*slice));
            (holder == home) == kept && asked(self.problem.conflicts(&self.holder, *slice, holder))
        };
        let mut slices: Vec<usize> = (0..self.problem.slices()).filter(chosen).collect();
        slices.sort_unstable_by_key(|slice| slice.reverse_bits());
        slices
    }

    /// Counts a slice's conflicts with an endpoint, at the cost of looking at all its siblings.
    fn conflicts(&mut self, slice: usize, endpoint: usize) -> Conflicts {
        self.work = self.work.saturating_sub(self.problem.distances.len());
        self.problem.conflicts(&self.holder, slice, endpoint)
    }

    /// Counts what a hop changes; the other slices stay.
    fn effect(&mut self, hop: Hop) -> Conflicts {
        let after = self.conflicts(hop.slice, hop.to);
        after.minus(self.conflicts(hop.slice, hop.from))
    }

    /// Counts how many slices more a hop moves.
    fn moves(&self, hop: Hop) -> i64 {
        let home = self.problem.current.at(hop.slice);
        i64::from(home != hop.to) - i64::from(home != hop.from)
    }

    fn count(&self, endpoint: usize) -> usize {
        self.slices.get(endpoint).map_or(0, Vec::len)
    }

    /// The slice at a place in its endpoint's list.
    fn nth(&self, endpoint: usize, index: usize) -> Option<usize> {
        self.slices.get(endpoint)?.get(index).copied()
    }

    fn has_room(&self, endpoint: usize) -> bool {
        self.count(endpoint) < self.problem.high.at(endpoint)
    }

    fn can_spare(&self, endpoint: usize) -> bool {
        self.count(endpoint) > self.problem.low.at(endpoint)
    }

    /// Searches, breadth first, a chain that begins with `slice` and has fewer conflicts in all.
    fn help(&mut self, slice: usize, now: Conflicts, extra_moves: bool) -> bool {
        let endpoints = self.problem.endpoints();
        let mut search = Search {
            short: self.holder.at(slice),
            extra_moves,
            reached: Vec::new(),
            least_moves: Table::filled(endpoints, i64::MAX),
        };
        search.least_moves.set(search.short, i64::MIN); // only the end of a chain comes back to it
        // Its former holder first, then all others, from a place that differs from slice to slice.
        let home = self.problem.current.at(slice);
        let turn = slice.wrapping_mul(0x9e37_79b1) % endpoints.max(1);
        let others = (turn..endpoints).chain(0..turn).filter(|to| *to != home);
        let first = (home != NOBODY).then_some(home);
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
        while let Some(&state) = search.reached.get(at).filter(|_| self.work > 0) {
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

    /// Goes on from an endpoint that may keep the slice too many: any other that can spare one gives it instead.
    fn by_room(&mut self, search: &mut Search, at: usize, state: Reached) -> bool {
        for to in 0..self.problem.endpoints() {
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

    /// Goes on from an endpoint by passing any of its slices to any other endpoint.
    fn by_hop(&mut self, search: &mut Search, at: usize, state: Reached) -> bool {
        let from = state.endpoint;
        let mut index = 0;
        while let Some(slice) = self.nth(from, index) {
            index += 1;
            for to in (0..self.problem.endpoints()).filter(|to| *to != from) {
                let hop = Hop { slice, from, to };
                let moves = state.moves + self.moves(hop);
                if moves >= search.least_moves.at(to) {
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

    /// Notes an endpoint as reached, unless it was with as few moves, and tries to end the chain there.
    fn reach(&mut self, search: &mut Search, reached: Reached) -> bool {
        let to = reached.endpoint;
        if reached.moves >= search.least_moves.at(to) {
            return false;
        }
        search.least_moves.set(to, reached.moves);
        search.reached.push(reached);
        self.close(search, reached)
    }

    /// Tries to end a chain at the endpoint reached last, and if that helps, makes all its hops.
    fn close(&mut self, search: &Search, last: Reached) -> bool {
        let allowed = |moves: i64| search.extra_moves || moves <= 0;
        let takes_it = self.has_room(last.endpoint) && self.can_spare(search.short);
        if takes_it && allowed(last.moves) && self.make(&search.reached, last, None) {
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
            if fits && self.make(&search.reached, last, Some(hop)) {
                return true;
            }
        }
        false
    }

    /// Makes the hops of a chain; undoes them if slices of the chain were siblings and it helps no more.
    fn make(&mut self, reached: &[Reached], last: Reached, end: Option<Hop>) -> bool {
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
                break; // the chain would take one slice twice
            }
            total = total.plus(self.effect(*hop));
            self.relocate(*hop);
            made.push(*hop);
        }
        let balanced = hops.iter().flat_map(|hop| [hop.from, hop.to]).all(|endpoint| {
            (self.problem.low.at(endpoint)..=self.problem.high.at(endpoint)).contains(&self.count(endpoint))
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
        // The last of the list takes the slice's place in it.
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
    use crate::{Endpoint, EndpointIdx, SliceBits};

    /// Eight slices on two endpoints, each slice the sibling of the fourth after it.
    fn problem(holders: [u32; 8]) -> Problem {
        let current = holders.map(|holder| Some(EndpointIdx::new(holder)));
        Problem::new(
            SliceBits::new(3).unwrap(),
            vec![4],
            &current,
            &[Endpoint::of_weight(1); 2],
        )
    }

    fn hop(slice: usize, from: usize, to: usize) -> Hop {
        Hop { slice, from, to }
    }

    /// Makes a chain of hops, the last one its end.
    fn make(problem: &Problem, hops: [Hop; 2]) -> (bool, Table<usize>) {
        let mut chains = Chains::new(problem, problem.current.clone());
        let [first, end] = hops;
        let last = Reached {
            endpoint: first.to,
            hop: Some(first),
            before: None,
            conflicts: Conflicts::default(),
            moves: 0,
        };
        let made = chains.make(&[last], last, Some(end));
        (made, chains.holder)
    }

    #[test]
    fn a_chain_that_exchanges_slices_which_conflict_is_made() {
        let problem = problem([0, 0, 0, 1, 0, 1, 1, 1]);
        let (made, holder) = make(&problem, [hop(4, 0, 1), hop(7, 1, 0)]);
        assert!(made);
        assert!(holder.iter().eq([0, 0, 0, 1, 1, 1, 1, 0]));
    }

    #[test]
    fn a_chain_of_siblings_that_helps_nothing_is_undone() {
        let problem = problem([0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(
            make(&problem, [hop(0, 0, 1), hop(4, 1, 0)]),
            (false, problem.current.clone())
        );
    }

    #[test]
    fn a_chain_that_would_leave_the_balance_is_undone() {
        let problem = problem([0, 0, 0, 1, 0, 1, 1, 1]);
        assert_eq!(
            make(&problem, [hop(4, 0, 1), hop(1, 0, 1)]),
            (false, problem.current.clone())
        );
    }

    #[test]
    fn a_chain_that_would_take_a_slice_twice_is_undone() {
        let problem = problem([0, 0, 0, 1, 0, 1, 1, 1]);
        assert_eq!(
            make(&problem, [hop(4, 0, 1), hop(4, 0, 1)]),
            (false, problem.current.clone())
        );
    }
}
