//! What holds for every plan, small or middling.

use ssa_slices::{Bound, DomainId, Endpoint, EndpointId, Method, Plan, Replicas};

use ssa_testing::Draw;

use crate::common::{Case, alike, as_current, endpoint, replicas, space, unassigned};
use crate::naive;

fn middling(seed: u64) -> impl Iterator<Item = Case> {
    let mut random = Draw::seeded(seed);
    (0..60).map(move |_| Case::random(&mut random, 64, 12))
}

fn held(plan: &Plan, endpoints: usize) -> Vec<usize> {
    let mut held = vec![0; endpoints];
    plan.assignment
        .iter()
        .for_each(|holder| held[holder.get() as usize] += 1);
    held
}

/// The fewest moves that any balance allows, by giving out the ceilings one by one where they keep a slice.
fn fewest_moves(case: &Case) -> usize {
    let slices = case.current.len();
    let total: usize = case.endpoints.iter().map(|endpoint| endpoint.weight as usize).sum();
    let (mut kept, mut floors, mut gains) = (0, 0, 0);
    for (number, endpoint) in case.endpoints.iter().enumerate() {
        let number = Some(EndpointId::new(u32::try_from(number).unwrap()));
        let holds = case.current.iter().filter(|holder| **holder == number).count();
        let (share, exact) = (
            slices * endpoint.weight as usize / total,
            (slices * endpoint.weight as usize).is_multiple_of(total),
        );
        kept += holds.min(share);
        floors += share;
        gains += usize::from(!exact && holds > share);
    }
    slices - kept - gains.min(slices - floors)
}

#[test]
fn every_plan_is_balanced_and_its_moves_are_what_changes() {
    for case in middling(0x5eed_2001) {
        let plan = case.plan(Method::Best);
        let holders: Vec<usize> = plan.assignment.iter().map(|holder| holder.get() as usize).collect();
        assert_eq!(holders.len(), case.space.count());
        assert!(naive::balanced(&holders, &case.endpoints), "{case:?}");
        let mut current = case.current.clone();
        for moved in &plan.moves {
            let holder = &mut current[moved.slice.get() as usize];
            assert_eq!(*holder, moved.from);
            assert_ne!(*holder, Some(moved.to));
            *holder = Some(moved.to);
        }
        assert_eq!(current, as_current(&plan));
        assert!(plan.moves.is_sorted_by_key(|moved| moved.slice));
        let siblings = naive::siblings(&case.space, case.replicas);
        let report = plan.report;
        let reported = (
            report.endpoint_conflicts,
            report.domain_conflicts,
            plan.moves.len(),
            report.prefixes,
        );
        assert_eq!(reported, naive::score(&case, &siblings, &holders));
    }
}

#[test]
fn without_replicas_the_moves_are_the_fewest() {
    for case in middling(0x5eed_2002) {
        let case = Case {
            replicas: Replicas::SINGLE,
            ..case
        };
        let plan = case.plan(Method::Scalable);
        assert_eq!(plan.moves.len(), fewest_moves(&case), "{case:?}");
        assert_eq!(plan.report.lower_bound, plan.moves.len());
        assert_eq!(plan.report.bound, Bound::Balance);
    }
}

#[test]
fn without_replicas_no_endpoint_both_gives_and_takes() {
    for case in middling(0x5eed_2003) {
        let plan = Case {
            replicas: Replicas::SINGLE,
            ..case
        }
        .plan(Method::Scalable);
        let gives: Vec<EndpointId> = plan.moves.iter().filter_map(|moved| moved.from).collect();
        assert!(plan.moves.iter().all(|moved| !gives.contains(&moved.to)));
    }
}

#[test]
fn planning_again_moves_nothing() {
    let mut unsettled = 0;
    for case in middling(0x5eed_2004) {
        for method in [Method::Best, Method::Scalable] {
            let plan = case.plan(method);
            if !plan.report.settled {
                unsettled += 1;
                continue;
            }
            let again = Case {
                current: as_current(&plan),
                ..case.clone()
            }
            .plan(method);
            assert_eq!(again.moves, [], "{case:?}");
            assert_eq!(again.assignment, plan.assignment);
        }
    }
    assert!(unsettled <= 6, "{unsettled} of 120 searches ran out of work");
}

#[test]
fn the_lower_bound_is_never_passed() {
    for case in middling(0x5eed_2005) {
        let plan = case.plan(Method::Scalable);
        assert!(plan.report.lower_bound <= plan.moves.len(), "{case:?}");
        assert_ne!(plan.report.bound, Bound::Exact);
    }
}

#[test]
fn the_same_problem_gives_the_same_plan() {
    for case in middling(0x5eed_2006).take(20) {
        assert_eq!(case.plan(Method::Best), case.clone().plan(Method::Best));
    }
}

#[test]
fn a_plan_follows_endpoints_that_change_places() {
    let mut random = Draw::seeded(0x5eed_2007);
    for case in middling(0x5eed_2008) {
        // All endpoints hold something, so that nothing but their place could tell them apart.
        let count = case.endpoints.len();
        if case.space.count() < count {
            continue;
        }
        let number = |place: usize| EndpointId::new(u32::try_from(place).unwrap());
        let current: Vec<usize> = (0..case.space.count())
            .map(|slice| if slice < count { slice } else { random.index(count) })
            .collect();
        let turned = |place: usize| (place + 1) % count;
        let mut endpoints: Vec<Endpoint> = case.endpoints.clone();
        endpoints.rotate_right(1);
        let here = Case {
            current: current.iter().map(|place| Some(number(*place))).collect(),
            ..case.clone()
        };
        let there = Case {
            current: current.iter().map(|place| Some(number(turned(*place)))).collect(),
            endpoints,
            ..case
        };
        let (here, there) = (here.plan(Method::Scalable), there.plan(Method::Scalable));
        let expected: Vec<EndpointId> = here
            .assignment
            .iter()
            .map(|h| number(turned(h.get() as usize)))
            .collect();
        assert_eq!(there.assignment, expected);
        assert_eq!(there.report, here.report);
    }
}

#[test]
fn drained_and_gone_endpoints_get_nothing() {
    let space = space(1, 6);
    let first = Case {
        replicas: replicas(2, 10),
        current: unassigned(&space),
        endpoints: alike(5, 0),
        space: space.clone(),
    };
    let current = as_current(&first.plan(Method::Best));
    let mut endpoints = alike(4, 0);
    endpoints[1].weight = 0;
    let plan = Case {
        current: current.clone(),
        endpoints,
        ..first
    }
    .plan(Method::Best);
    let held = held(&plan, 4);
    assert_eq!((held[1], held.iter().sum::<usize>()), (0, 64));
    for moved in &plan.moves {
        assert!([Some(EndpointId::new(1)), Some(EndpointId::new(4))].contains(&moved.from));
    }
    assert_eq!(plan.report.endpoint_conflicts, 0);
}

#[test]
fn shares_follow_the_weights() {
    let space = space(1, 6);
    let endpoints = [1, 2, 5, 0, 8].map(|weight| endpoint(weight, None));
    let case = Case {
        replicas: Replicas::SINGLE,
        current: unassigned(&space),
        endpoints: endpoints.to_vec(),
        space,
    };
    let plan = case.plan(Method::Best);
    assert_eq!(held(&plan, 5), [4, 8, 20, 0, 32]);
    assert_eq!(plan.report.prefixes, 5, "20 slices are 16 and 4");
}

#[test]
fn more_endpoints_than_slices_hold_one_or_none() {
    let space = space(1, 3);
    let case = Case {
        replicas: replicas(4, 8),
        current: unassigned(&space),
        endpoints: alike(100, 3),
        space,
    };
    let plan = case.plan(Method::Best);
    assert_eq!(held(&plan, 100).iter().max(), Some(&1));
    assert_eq!(plan.report.endpoint_conflicts, 0);
}

#[test]
fn a_newcomer_takes_the_ceiling_before_an_endpoint_that_could_stay() {
    // 16 slices: shares of 3:3:2 become shares of 3:3:2:1, and the second, at its floor of 5, may stay there.
    let space = space(1, 4);
    let old = [3, 3, 2].map(|weight| endpoint(weight, None)).to_vec();
    let first = Case {
        replicas: Replicas::SINGLE,
        current: unassigned(&space),
        endpoints: old,
        space,
    };
    let current = as_current(&first.plan(Method::Scalable));
    let endpoints = [3, 3, 2, 1].map(|weight| endpoint(weight, None)).to_vec();
    let plan = Case {
        current,
        endpoints,
        ..first
    }
    .plan(Method::Scalable);
    assert!(plan.moves.iter().all(|moved| moved.to == EndpointId::new(3)));
}

/// What is known of plans for 8 slices, each the sibling of the fourth after it: bound, its kind, moves, conflicts.
fn bounds(current: [Option<u32>; 8], domains: &[u32]) -> (usize, Bound, usize, (usize, usize)) {
    let plan = Case {
        space: space(1, 3),
        replicas: replicas(2, 8),
        current: current.map(|holder| holder.map(EndpointId::new)).to_vec(),
        endpoints: domains.iter().map(|domain| endpoint(1, Some(*domain))).collect(),
    }
    .plan(Method::Scalable);
    let report = plan.report;
    let conflicts = (report.endpoint_conflicts, report.domain_conflicts);
    (report.lower_bound, report.bound, plan.moves.len(), conflicts)
}

#[test]
fn of_siblings_that_part_one_moves_at_least() {
    let both = [0, 0, 1, 1, 0, 0, 1, 1].map(Some);
    assert_eq!(bounds(both, &[0, 1]), (4, Bound::Replicas, 4, (0, 0)));
    assert_eq!(bounds(both, &[0, 0]), (4, Bound::Replicas, 4, (0, 4)));
    let one = [0; 8].map(Some);
    assert_eq!(bounds(one, &[0]), (0, Bound::Balance, 0, (4, 0)));
    let in_domains = [0, 0, 2, 2, 1, 1, 3, 3].map(Some);
    assert_eq!(bounds(in_domains, &[0, 0, 1, 1]), (4, Bound::Replicas, 4, (0, 0)));
    assert_eq!(bounds(in_domains, &[0, 0, 0, 0]), (0, Bound::Balance, 0, (0, 4)));
}

#[test]
fn slices_that_nobody_holds_count_beside_siblings_that_part() {
    let current = [None, Some(0), Some(2), Some(2), Some(1), Some(1), Some(3), Some(3)];
    let (bound, kind, moves, conflicts) = bounds(current, &[0, 0, 1, 1]);
    assert_eq!((bound, kind, conflicts), (4, Bound::Replicas, (0, 0)));
    assert!(moves >= 4);
}

#[test]
fn a_domain_gives_its_number_back() {
    assert_eq!(DomainId::new(7).get(), 7);
}
