//! How many slices each endpoint is to hold.

use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};

use crate::problem::Problem;
use crate::space::blocks;
use crate::table::Table;

/// Picks each endpoint's number of slices, floor or ceiling of its share, so that the fewest slices must move.
///
/// Ceilings go first to those that can keep more than their floor, and of these to the ones that then need not change;
/// then to those that must take slices anyway; last to those that could stay at their floor. Among equals, those keep the
/// ceiling that would have to split a block, and those get it whom one more slice costs the fewest prefixes; then
/// domains take turns, so that endpoints alike in alike domains fill them alike.
pub(crate) fn targets(problem: &Problem, keepable: &Table<usize>) -> Table<usize> {
    let ceilings = problem.slices() - problem.low.iter().sum::<usize>();
    let smallest = smallest_blocks(problem);
    let turn = turns(problem);
    let mut order: Vec<_> = (0..problem.endpoints())
        .filter(|endpoint| problem.high.at(*endpoint) > problem.low.at(*endpoint))
        .map(|endpoint| {
            let (low, high) = (problem.low.at(endpoint), problem.high.at(endpoint));
            let keepable = keepable.at(endpoint);
            let (rank, smallest) = match keepable.cmp(&high) {
                Ordering::Equal => (Rank::Stays, smallest.at(endpoint)),
                Ordering::Greater => (Rank::Gives, smallest.at(endpoint)),
                Ordering::Less if keepable < low => (Rank::Takes, 0),
                Ordering::Less => (Rank::CouldStay, 0),
            };
            // One more slice joins as many blocks as the count ends in ones, in binary.
            let joins = low.trailing_ones().min(u32::from(problem.bits.get()));
            (rank, Reverse(smallest), Reverse(joins), turn.at(endpoint), endpoint)
        })
        .collect();
    order.sort_unstable();
    let mut targets = problem.low.clone();
    for (.., endpoint) in order.into_iter().take(ceilings) {
        targets.update(endpoint, |count| count + 1);
    }
    targets
}

/// What an endpoint does if it is given the ceiling of its share, in the order in which they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It keeps what it has, and would give with the floor.
    Stays,
    /// It gives in either case.
    Gives,
    /// It takes in either case.
    Takes,
    /// It takes one, and would keep what it has with the floor.
    CouldStay,
}

/// Counts the slices that move when each endpoint keeps as many of `keepable` as its target allows.
pub(crate) fn moves_for(problem: &Problem, keepable: &Table<usize>) -> usize {
    let targets = targets(problem, keepable);
    let kept: usize = targets
        .iter()
        .zip(keepable.iter())
        .map(|(target, keepable)| target.min(keepable))
        .sum();
    problem.slices() - kept
}

/// Counts, for each endpoint, those of its domain before it.
fn turns(problem: &Problem) -> Table<usize> {
    let mut seen = Table::filled(problem.domains, 0_usize);
    let turn = |domain| {
        seen.update(domain, |count| count + 1);
        seen.at(domain)
    };
    problem.domain.iter().map(turn).collect()
}

/// The order of the smallest block that each endpoint holds; 0 for those that hold none.
fn smallest_blocks(problem: &Problem) -> Table<u8> {
    let mut slices: Vec<Vec<usize>> = Vec::new();
    slices.resize(problem.endpoints(), Vec::new());
    for (slice, endpoint) in problem.current.iter().enumerate() {
        if let Some(list) = slices.get_mut(endpoint) {
            list.push(slice);
        }
    }
    slices
        .iter()
        .map(|list| blocks(list, problem.bits).map(|block| block.order).min().unwrap_or(0))
        .collect()
}
