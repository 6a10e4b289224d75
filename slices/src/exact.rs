//! The best plan of a small instance, by branch and bound.

use crate::instance::{Conflicts, Instance, Score};
use crate::table::{Table, UNASSIGNED};

/// The maximum number of slices for which the planner searches for the best plan.
pub(crate) const EXACT_SLICES: usize = 12;
/// The maximum number of endpoints for which it does.
pub(crate) const EXACT_ENDPOINTS: usize = 8;
/// Bounds the partial assignments tried: enough for 8 slices on 4 endpoints, of which there are (4⁹ − 1) / 3.
const EXACT_STEPS: usize = 100_000;

/// Searches for the best of all balanced assignments, depth first, slice by slice.
///
/// A branch is pruned as soon as it is worse than the best known assignment, initially `known`. Returns none if
/// [`EXACT_STEPS`] do not suffice.
pub(crate) fn best(instance: &Instance, known: &Table<usize>) -> Option<Table<usize>> {
    let score = instance.score(known);
    let endpoints = instance.endpoints();
    let mut search = Search {
        instance,
        holder: Table::filled(instance.slices(), UNASSIGNED),
        count: Table::filled(endpoints, 0),
        wanting: instance.low.iter().sum(),
        best: known.clone(),
        score,
        steps: EXACT_STEPS,
    };
    search.descend(0, Conflicts::default(), 0)?;
    Some(search.best)
}

struct Search<'a> {
    instance: &'a Instance,
    holder: Table<usize>,
    count: Table<usize>,
    /// How many slices the endpoints below their floor still need.
    wanting: usize,
    best: Table<usize>,
    score: Score,
    steps: usize,
}

impl Search<'_> {
    /// Tries every endpoint for the next slice; returns none once the steps are used up.
    fn descend(&mut self, slice: usize, conflicts: Conflicts, moves: usize) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        if slice == self.instance.slices() {
            let score = self.instance.score(&self.holder);
            if score < self.score {
                self.score = score;
                self.best = self.holder.clone();
            }
            return Some(());
        }
        let left = self.instance.slices() - slice;
        for endpoint in 0..self.instance.endpoints() {
            let count = self.count.at(endpoint);
            let needed = count < self.instance.low.at(endpoint);
            if count == self.instance.high.at(endpoint) || (!needed && self.wanting == left) {
                continue;
            }
            let conflicts = conflicts.plus(self.instance.conflicts(&self.holder, slice, endpoint));
            let moves = moves + usize::from(self.instance.current.at(slice) != endpoint);
            if (conflicts, moves) > (self.score.conflicts, self.score.moves) {
                continue;
            }
            self.count.set(endpoint, count + 1);
            self.wanting -= usize::from(needed);
            self.holder.set(slice, endpoint);
            self.descend(slice + 1, conflicts, moves)?;
            self.holder.set(slice, UNASSIGNED);
            self.wanting += usize::from(needed);
            self.count.set(endpoint, count);
        }
        Some(())
    }
}
