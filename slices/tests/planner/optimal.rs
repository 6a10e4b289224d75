//! Small problems, solved by trying every assignment.

use ssa_slices::{Bound, Method, Plan};

use ssa_testing::Draw;

use crate::common::{Case, Kind};
use crate::naive::{self, Score};

fn holders(plan: &Plan) -> Vec<usize> {
    plan.assignment.iter().map(|holder| holder.get() as usize).collect()
}

fn score(case: &Case, plan: &Plan) -> Score {
    let holders = holders(plan);
    assert!(naive::balanced(&holders, &case.endpoints), "{case:?}");
    let siblings = naive::siblings(&case.space, case.replicas);
    let score = naive::score(case, &siblings, &holders);
    let report = &plan.report;
    let reported = (
        report.endpoint_conflicts,
        report.domain_conflicts,
        plan.moves.len(),
        report.prefixes,
    );
    assert_eq!(reported, score, "the report is not what the plan costs: {case:?}");
    score
}

/// As many cases as given, or more if the environment asks for them.
fn cases(usual: usize) -> usize {
    std::env::var("SLICE_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(usual)
}

#[test]
fn small_plans_are_best_by_every_aim() {
    let mut random = Draw::seeded(0x5eed_0001);
    for _ in 0..cases(200) {
        let case = Case::random(&mut random, 8, 4);
        let plan = case.plan(Method::Best);
        assert_eq!(score(&case, &plan), naive::best(&case), "{case:?}");
        assert_eq!(plan.report.bound, Bound::Exact);
        assert_eq!(plan.report.lower_bound, plan.moves.len());
    }
}

#[test]
fn scalable_plans_come_close_to_the_best() {
    let mut random = Draw::seeded(0x5eed_0002);
    let (mut conflicts, mut moves, mut prefixes) = (0, 0, 0);
    let all = cases(1000);
    for _ in 0..all {
        let case = Case::random(&mut random, 8, 4);
        let (best, scalable) = (
            score(&case, &case.plan(Method::Best)),
            score(&case, &case.plan(Method::Scalable)),
        );
        assert!(best <= scalable, "{case:?}");
        if case.replicas.count() == 1 {
            assert_eq!(
                best.2, scalable.2,
                "without replicas the moves are the fewest: {case:?}"
            );
        }
        conflicts += usize::from((best.0, best.1) != (scalable.0, scalable.1));
        moves += usize::from((best.0, best.1) == (scalable.0, scalable.1) && best.2 != scalable.2);
        prefixes += usize::from(best.3 < scalable.3 && best.2 == scalable.2);
    }
    println!("of {all}: {conflicts} with more conflicts, {moves} with more moves, {prefixes} with more prefixes");
    assert!(conflicts * 20 <= all, "{conflicts} of {all} have more conflicts");
    assert!(moves * 20 <= all, "{moves} of {all} have more moves");
}

#[test]
fn a_search_that_would_take_too_long_is_given_up() {
    // 12 slices on 8 endpoints have more assignments than the search may try.
    let mut random = Draw::seeded(0x5eed_0003);
    let unproven = (0..40).filter(|_| {
        let case = Case::random(&mut random, 12, 8);
        let plan = case.plan(Method::Best);
        assert!(score(&case, &plan) <= score(&case, &case.plan(Method::Scalable)));
        let proven = plan.report.bound == Bound::Exact;
        assert_eq!(plan.report.settled, proven, "planning again may search further");
        !proven
    });
    assert!(unproven.count() > 0);
}

#[test]
fn branches_that_only_move_more_are_cut_off_too() {
    // Without that the search of these, of 12 slices, would be given up.
    for seed in [48, 65, 130] {
        let plan = Case::numbered(Kind::Twelve, seed).plan(Method::Best);
        assert_eq!(plan.report.bound, Bound::Exact, "{seed}");
    }
}

#[test]
fn of_equally_good_plans_the_exact_search_keeps_the_scalable_one() {
    let mut random = Draw::seeded(0x5eed_0004);
    for _ in 0..cases(200) {
        let case = Case::random(&mut random, 8, 4);
        let (best, scalable) = (case.plan(Method::Best), case.plan(Method::Scalable));
        if score(&case, &best) == score(&case, &scalable) {
            assert_eq!(best.assignment, scalable.assignment, "{case:?}");
        }
    }
}
