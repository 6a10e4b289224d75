//! The number of slices that each endpoint should hold.

use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};

use crate::instance::Instance;
use crate::space::blocks;
use crate::table::Table;

/// Chooses the floor or the ceiling of each endpoint's share, so that the fewest slices must move.
///
/// Ceilings go first to endpoints that can keep more than their floor, and among these to the ones that then need not
/// change; then to those that must receive slices anyway; last to those that could stay at their floor. Ties are broken
/// in favour of endpoints that would otherwise have to split a block, then of those for which one more slice costs the
/// fewest prefixes; then domains take turns, so that equal domains are filled equally.
pub(crate) fn targets(instance: &Instance, keepable: &Table<usize>) -> Table<usize> {
    let ceilings = instance.slices() - instance.low.iter().sum::<usize>();
    let smallest = smallest_blocks(instance);
    let turn = turns(instance);
    let mut order: Vec<_> = (0..instance.endpoints())
        .filter(|endpoint| instance.high.at(*endpoint) > instance.low.at(*endpoint))
        .map(|endpoint| {
            let (low, high) = (instance.low.at(endpoint), instance.high.at(endpoint));
            let keepable = keepable.at(endpoint);
            let (rank, smallest) = match keepable.cmp(&high) {
                Ordering::Equal => (Rank::Stays, smallest.at(endpoint)),
                Ordering::Greater => (Rank::Gives, smallest.at(endpoint)),
                Ordering::Less if keepable < low => (Rank::Receives, 0),
                Ordering::Less => (Rank::CouldStay, 0),
            };
            // One more slice joins as many blocks as the count ends in ones, in binary.
            let joins = low.trailing_ones().min(u32::from(instance.bits.get()));
            (rank, Reverse(smallest), Reverse(joins), turn.at(endpoint), endpoint)
        })
        .collect();
    order.sort_unstable();
    let mut targets = instance.low.clone();
    for (.., endpoint) in order.into_iter().take(ceilings) {
        targets.update(endpoint, |count| count + 1);
    }
    targets
}

/// What an endpoint does if its target is the ceiling of its share, in order of preference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It keeps what it has, and would give with the floor as its target.
    Stays,
    /// It gives in either case.
    Gives,
    /// It receives in either case.
    Receives,
    /// It receives one, and would keep what it has with the floor as its target.
    CouldStay,
}

/// Returns the number of slices that move when each endpoint keeps as many of `keepable` as its target allows.
pub(crate) fn moves_for(instance: &Instance, keepable: &Table<usize>) -> usize {
    let targets = targets(instance, keepable);
    let kept: usize = targets
        .iter()
        .zip(keepable.iter())
        .map(|(target, keepable)| target.min(keepable))
        .sum();
    instance.slices() - kept
}

/// Numbers the endpoints of each domain.
fn turns(instance: &Instance) -> Table<usize> {
    let mut seen = Table::filled(instance.domains, 0_usize);
    let turn = |domain| {
        seen.update(domain, |count| count + 1);
        seen.at(domain)
    };
    instance.domain.iter().map(turn).collect()
}

/// Returns the order of the smallest block that each endpoint holds; 0 if it holds none.
fn smallest_blocks(instance: &Instance) -> Table<u8> {
    let mut slices: Vec<Vec<usize>> = Vec::new();
    slices.resize(instance.endpoints(), Vec::new());
    for (slice, endpoint) in instance.current.iter().enumerate() {
        if let Some(list) = slices.get_mut(endpoint) {
            list.push(slice);
        }
    }
    slices
        .iter()
        .map(|list| blocks(list, instance.bits).map(|block| block.order).min().unwrap_or(0))
        .collect()
}
