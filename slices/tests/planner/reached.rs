//! Problems that only the whole search solves well: leaving out a part of it, such as chains through a third endpoint
//! or the domain that a block was in, or turning a comparison round, loses some of them.

use ssa_slices::Method;

use crate::common::{Case, Kind};
use crate::naive::{self, Score};

/// Problems of 8 slices at most, of which the scalable search finds the best plan.
const BEST: [u64; 6] = [24, 653, 1391, 3277, 7490, 7994];

/// Larger ones, and scores that it reaches.
#[rustfmt::skip]
const REACHED: [(Kind, u64, Score); 4] = [
    (Kind::Small, 1776, (0, 9, 30, 13)),
    (Kind::Changing, 30, (0, 7, 31, 42)),
    (Kind::Changing, 844, (0, 0, 144, 157)),
    (Kind::Large, 83, (0, 404, 113, 179)),
];

fn scalable(kind: Kind, seed: u64) -> (Case, Score) {
    let case = Case::numbered(kind, seed);
    let plan = case.plan(Method::Scalable);
    let report = plan.report;
    let score = (
        report.endpoint_conflicts,
        report.domain_conflicts,
        plan.moves.len(),
        report.prefixes,
    );
    (case, score)
}

#[test]
fn the_scalable_search_finds_the_best_plan_of_many_a_small_problem() {
    for seed in BEST {
        let (case, reached) = scalable(Kind::Tiny, seed);
        assert_eq!(reached, naive::best(&case), "{seed}: {case:?}");
    }
}

#[test]
fn no_larger_problem_is_solved_worse_than_it_can_be() {
    for (kind, seed, score) in REACHED {
        let (_, reached) = scalable(kind, seed);
        assert!(reached <= score, "{kind:?} {seed}: {reached:?}, not {score:?}");
    }
}
