//! The best plan of a small problem, found by trying all.

use crate::problem::{Conflicts, Problem, Score};
use crate::table::{NOBODY, Table};

/// Up to this many slices the planner tries to find the best plan of all.
pub(crate) const EXACT_SLICES: usize = 12;
/// Up to this many endpoints, too.
pub(crate) const EXACT_ENDPOINTS: usize = 8;
/// Bounds the partial assignments tried: enough for 8 slices on 4 endpoints, of which there are (4⁹ − 1) / 3.
const EXACT_STEPS: usize = 100_000;

/// Searches for the best of all balanced assignments, depth first, slice by slice.
///
/// A branch ends where it is worse already than the best assignment known, at first `known`. None if there are too
/// many to try.
pub(crate) fn best(problem: &Problem, known: &Table<usize>) -> Option<Table<usize>> {
    let score = problem.score(known);
    let endpoints = problem.endpoints();
    let mut search = Search {
        problem,
        holder: Table::filled(problem.slices(), NOBODY),
        count: Table::filled(endpoints, 0),
        wanting: problem.low.iter().sum(),
        best: known.clone(),
        score,
        steps: EXACT_STEPS,
    };
    search.descend(0, Conflicts::default(), 0)?;
    Some(search.best)
}

struct Search<'a> {
    problem: &'a Problem,
    holder: Table<usize>,
    count: Table<usize>,
    /// How many slices the endpoints below their floor still need.
    wanting: usize,
    best: Table<usize>,
    score: Score,
    steps: usize,
}

impl Search<'_> {
    /// Tries every endpoint for the next slice; none when the steps are used up.
    fn descend(&mut self, slice: usize, conflicts: Conflicts, moves: usize) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        if slice == self.problem.slices() {
            let score = self.problem.score(&self.holder);
            if score < self.score {
                self.score = score;
                self.best = self.holder.clone();
            }
            return Some(());
        }
        let left = self.problem.slices() - slice;
        for endpoint in 0..self.problem.endpoints() {
            let count = self.count.at(endpoint);
            let needed = count < self.problem.low.at(endpoint);
            if count == self.problem.high.at(endpoint) || (!needed && self.wanting == left) {
                continue;
            }
            let conflicts = conflicts.plus(self.problem.conflicts(&self.holder, slice, endpoint));
            let moves = moves + usize::from(self.problem.current.at(slice) != endpoint);
            if (conflicts, moves) > (self.score.conflicts, self.score.moves) {
                continue;
            }
            self.count.set(endpoint, count + 1);
            self.wanting -= usize::from(needed);
            self.holder.set(slice, endpoint);
            self.descend(slice + 1, conflicts, moves)?;
            self.holder.set(slice, NOBODY);
            self.wanting += usize::from(needed);
            self.count.set(endpoint, count);
        }
        Some(())
    }
}
