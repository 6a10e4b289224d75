//! Chains of exchanges that part siblings.

use alloc::vec::Vec;

use super::problem::{Conflicts, NOBODY, Problem};
use super::table::Table;

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
pub(super) fn part_siblings(problem: &Problem, holder: Table<usize>) -> Table<usize> {
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
struct Reached {
    endpoint: usize,
    /// The hop that reached it; none if it gives one less because another holds one more.
    hop: Option<Hop>,
    before: Option<usize>,
    conflicts: Conflicts,
    moves: i64,
}

/// What a search looks for.
#[derive(Clone, Copy)]
struct Goal {
    /// The endpoint that the first slice leaves.
    short: usize,
    extra_moves: bool,
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
            let mut failures = 0;
            for slice in self.conflicting(on_endpoint, kept) {
                if failures == FAILURES || self.work == 0 {
                    break;
                }
                let now = self.problem.conflicts(&self.holder, slice, self.holder.at(slice));
                if now.on_endpoint == 0 && (on_endpoint || now.in_domain == 0) {
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

    /// Lists the slices that conflict and are kept or not, spread over the space so that the first few stand for all.
    fn conflicting(&self, on_endpoint: bool, kept: bool) -> Vec<usize> {
        let conflicts = |slice| self.problem.conflicts(&self.holder, slice, self.holder.at(slice));
        let is_kept = |slice: usize| self.holder.at(slice) == self.problem.current.at(slice);
        let asked = |slice: &usize| is_kept(*slice) == kept;
        let all = (0..self.problem.slices())
            .filter(asked)
            .map(|slice| (slice, conflicts(slice)));
        let chosen = all.filter(|(_, found)| {
            if on_endpoint {
                found.on_endpoint > 0
            } else {
                found.in_domain > 0
            }
        });
        let mut slices: Vec<usize> = chosen.map(|(slice, _)| slice).collect();
        slices.sort_unstable_by_key(|slice| slice.reverse_bits());
        slices
    }

    /// Counts what a hop changes; the other slices stay.
    fn effect(&mut self, hop: Hop) -> (Conflicts, i64) {
        self.work = self.work.saturating_sub(2 * self.problem.distances.len());
        let after = self.problem.conflicts(&self.holder, hop.slice, hop.to);
        let before = self.problem.conflicts(&self.holder, hop.slice, hop.from);
        (after.minus(before), self.moves(hop))
    }

    fn moves(&self, hop: Hop) -> i64 {
        let home = self.problem.current.at(hop.slice);
        i64::from(home != hop.to) - i64::from(home != hop.from)
    }

    fn count(&self, endpoint: usize) -> usize {
        self.slices.get(endpoint).map_or(0, Vec::len)
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
        let goal = Goal {
            short: self.holder.at(slice),
            extra_moves,
        };
        let mut reached: Vec<Reached> = Vec::new();
        let mut least_moves = Table::filled(endpoints, i64::MAX);

        // Its former holder first, then all others, from a place that differs from slice to slice.
        let home = self.problem.current.at(slice);
        let turn = slice.wrapping_mul(0x9e37_79b1) % endpoints.max(1);
        let others = (turn..endpoints).chain(0..turn).filter(|to| *to != home);
        let first = (home != NOBODY).then_some(home);
        for to in first.into_iter().chain(others).filter(|to| *to != goal.short) {
            let hop = Hop {
                slice,
                from: goal.short,
                to,
            };
            self.work = self.work.saturating_sub(self.problem.distances.len());
            let conflicts = self.problem.conflicts(&self.holder, slice, to).minus(now);
            if !conflicts.improves() {
                continue;
            }
            let moves = self.moves(hop);
            least_moves.set(to, moves);
            reached.push(Reached {
                endpoint: to,
                hop: Some(hop),
                before: None,
                conflicts,
                moves,
            });
            if self.close(&reached, reached.len() - 1, goal) {
                return true;
            }
        }
        let mut next = 0;
        let mut rounded = false;
        while let Some(state) = reached.get(next) {
            let (from, conflicts, moves) = (state.endpoint, state.conflicts, state.moves);
            if !rounded && self.has_room(from) {
                rounded = true;
                for to in (0..endpoints).filter(|to| *to != from && *to != goal.short) {
                    if self.can_spare(to) && moves < least_moves.at(to) {
                        least_moves.set(to, moves);
                        reached.push(Reached {
                            endpoint: to,
                            hop: None,
                            before: Some(next),
                            conflicts,
                            moves,
                        });
                        if self.close(&reached, reached.len() - 1, goal) {
                            return true;
                        }
                    }
                }
            }
            if endpoints <= LONG_CHAINS {
                for index in 0..self.count(from) {
                    let Some(slice) = self.slices.get(from).and_then(|list| list.get(index)).copied() else {
                        break;
                    };
                    for to in (0..endpoints).filter(|to| *to != from && *to != goal.short) {
                        let hop = Hop { slice, from, to };
                        let all_moves = moves + self.moves(hop);
                        if all_moves >= least_moves.at(to) {
                            continue;
                        }
                        let all = conflicts.plus(self.effect(hop).0);
                        if !all.improves() {
                            continue;
                        }
                        least_moves.set(to, all_moves);
                        reached.push(Reached {
                            endpoint: to,
                            hop: Some(hop),
                            before: Some(next),
                            conflicts: all,
                            moves: all_moves,
                        });
                        if self.close(&reached, reached.len() - 1, goal) {
                            return true;
                        }
                    }
                }
            }
            if self.work == 0 {
                return false;
            }
            next += 1;
        }
        false
    }

    /// Tries to end a chain at the endpoint reached last, and if that helps, makes all its hops.
    fn close(&mut self, reached: &[Reached], at: usize, goal: Goal) -> bool {
        let Some(state) = reached.get(at) else { return false };
        let fits = |conflicts: Conflicts, moves: i64| conflicts.improves() && (goal.extra_moves || moves <= 0);
        let takes_it = self.has_room(state.endpoint) && self.can_spare(goal.short);
        if takes_it && fits(state.conflicts, state.moves) && self.make(reached, at, None) {
            return true;
        }
        for index in 0..self.count(state.endpoint) {
            let Some(slice) = self
                .slices
                .get(state.endpoint)
                .and_then(|list| list.get(index))
                .copied()
            else {
                break;
            };
            let hop = Hop {
                slice,
                from: state.endpoint,
                to: goal.short,
            };
            if !goal.extra_moves && state.moves + self.moves(hop) > 0 {
                continue;
            }
            let (conflicts, moves) = self.effect(hop);
            if fits(state.conflicts.plus(conflicts), state.moves + moves) && self.make(reached, at, Some(hop)) {
                return true;
            }
        }
        false
    }

    /// Makes the hops of a chain; undoes them if slices of the chain were siblings and it helps no more.
    fn make(&mut self, reached: &[Reached], at: usize, last: Option<Hop>) -> bool {
        let mut hops: Vec<Hop> = last.into_iter().collect();
        let mut next = Some(at);
        while let Some(state) = next.and_then(|index| reached.get(index)) {
            hops.extend(state.hop);
            next = state.before;
        }
        let mut total = Conflicts::default();
        let mut made = Vec::new();
        for hop in hops.iter().rev() {
            if self.holder.at(hop.slice) != hop.from {
                break; // the chain would take one slice twice
            }
            total = total.plus(self.effect(*hop).0);
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
        if let Some(list) = self.slices.get_mut(hop.from) {
            if position < list.len() {
                list.swap_remove(position);
            }
            if let Some(moved) = list.get(position) {
                self.position.set(*moved, position);
            }
        }
        if let Some(list) = self.slices.get_mut(hop.to) {
            self.position.set(hop.slice, list.len());
            list.push(hop.slice);
        }
        self.holder.set(hop.slice, hop.to);
    }
}
