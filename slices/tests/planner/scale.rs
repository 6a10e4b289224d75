//! Scaling: thousands of slices, hundreds of endpoints.

use ssa_slices::{Bound, Endpoint, EndpointId, Plan, Replicas, SliceSpace, plan};

use ssa_testing::Draw;

use crate::common::{alike, as_current, replicas, space, unassigned};

fn from_nothing(space: &SliceSpace, replicas: Replicas, endpoints: &[Endpoint]) -> Plan {
    plan(space, replicas, &unassigned(space), endpoints).unwrap()
}

fn again(space: &SliceSpace, replicas: Replicas, before: &Plan, endpoints: &[Endpoint]) -> Plan {
    plan(space, replicas, &as_current(before), endpoints).unwrap()
}

/// With and without replicas and domains: enough endpoints and domains to part all siblings.
fn ways() -> [(Replicas, u32); 5] {
    [
        (Replicas::SINGLE, 0),
        (replicas(3, 20), 0),
        (replicas(16, 20), 0),
        (replicas(3, 20), 5),
        (replicas(2, 7), 3),
    ]
}

#[test]
fn a_plan_from_nothing_parts_all_siblings() {
    let space = space(1, 12);
    for (replicas, domains) in ways() {
        let plan = from_nothing(&space, replicas, &alike(250, domains));
        assert_eq!(
            (plan.report.endpoint_conflicts, plan.report.domain_conflicts),
            (0, 0),
            "{replicas:?}"
        );
        assert_eq!(plan.report.lower_bound, space.count());
    }
}

#[test]
fn a_plan_from_nothing_needs_hardly_more_prefixes_than_blocks() {
    // 4096 slices are 16 or 17 for each of 250: one block, or two.
    for items in [1, 4] {
        let space = space(items, if items == 1 { 12 } else { 10 });
        assert_eq!(
            from_nothing(&space, Replicas::SINGLE, &alike(250, 0)).report.prefixes,
            250 + 96
        );
        for (replicas, domains) in ways() {
            let plan = from_nothing(&space, replicas, &alike(250, domains));
            assert!(
                plan.report.prefixes < (250 + 96) * 3 / 2,
                "{replicas:?}: {}",
                plan.report.prefixes
            );
        }
    }
}

#[test]
fn adding_an_endpoint_moves_nothing_between_old_ones() {
    let space = space(1, 12);
    for (replicas, domains) in ways() {
        let before = from_nothing(&space, replicas, &alike(250, domains));
        let after = again(&space, replicas, &before, &alike(251, domains));
        assert!(
            after.moves.iter().all(|moved| moved.to == EndpointId::new(250)),
            "{replicas:?}"
        );
        assert_eq!(after.moves.len(), 16);
        assert_eq!((after.report.endpoint_conflicts, after.report.domain_conflicts), (0, 0));
    }
}

#[test]
fn removing_an_endpoint_moves_only_its_slices() {
    let space = space(1, 12);
    for (replicas, domains) in ways() {
        for gone in [0, 101, 249] {
            let mut endpoints = alike(250, domains);
            let before = from_nothing(&space, replicas, &endpoints);
            endpoints[gone].weight = 0;
            let after = again(&space, replicas, &before, &endpoints);
            let gone = Some(EndpointId::new(u32::try_from(gone).unwrap()));
            assert!(after.moves.iter().all(|moved| moved.from == gone), "{replicas:?}");
            let held = before.assignment.iter().filter(|holder| Some(**holder) == gone).count();
            assert_eq!(after.moves.len(), held);
            assert_eq!((after.report.endpoint_conflicts, after.report.domain_conflicts), (0, 0));
        }
    }
}

#[test]
fn scaling_by_a_tenth_and_back_moves_the_fewest() {
    let space = space(1, 12);
    for (replicas, domains) in ways().into_iter().filter(|(_, domains)| *domains == 0) {
        let (small, large) = (alike(250, domains), alike(275, domains));
        let mut last = from_nothing(&space, replicas, &small);
        for endpoints in [&large, &small, &large, &small] {
            last = again(&space, replicas, &last, endpoints);
            assert_eq!(last.moves.len(), last.report.lower_bound, "{replicas:?}");
            assert_eq!(last.report.bound, Bound::Balance);
            assert_eq!(last.report.endpoint_conflicts, 0);
        }
    }
}

#[test]
fn few_endpoints_scale_without_conflicts() {
    // Each holds so much that it finds siblings of its own in most of what others give.
    let (space, three) = (space(1, 9), replicas(3, 20));
    let mut last = from_nothing(&space, three, &alike(6, 0));
    for count in [7, 8, 9, 10, 9, 8, 7] {
        last = again(&space, three, &last, &alike(count, 0));
        assert_eq!(last.report.endpoint_conflicts, 0, "{count} endpoints");
        assert!(
            last.moves.len() * 100 <= last.report.lower_bound * 110,
            "{count} endpoints"
        );
    }
}

#[test]
fn replicas_switched_on_later_move_only_what_conflicts() {
    let (space, endpoints) = (space(1, 12), alike(100, 0));
    let mut random = Draw::seeded(0x5eed_3001);
    let mut scattered = from_nothing(&space, Replicas::SINGLE, &endpoints);
    for slice in (1..space.count()).rev() {
        scattered.assignment.swap(slice, random.index(slice + 1));
    }
    let parted = again(&space, replicas(3, 20), &scattered, &endpoints);
    assert_eq!(parted.report.endpoint_conflicts, 0);
    assert_eq!(parted.report.bound, Bound::Replicas);
    assert!(parted.report.lower_bound > 0);
    assert!(
        parted.moves.len() <= 3 * parted.report.lower_bound,
        "{:?}",
        parted.report
    );
    assert_eq!(again(&space, replicas(3, 20), &parted, &endpoints).moves, []);
}

#[test]
fn domains_that_are_too_few_share_what_cannot_be_parted() {
    // Of three replicas in two domains two share one.
    let (space, three) = (space(1, 10), replicas(3, 20));
    let plan = from_nothing(&space, three, &alike(64, 2));
    assert_eq!(plan.report.endpoint_conflicts, 0);
    assert!(
        plan.report.domain_conflicts.abs_diff(2 * 1024 / 3) < 8,
        "{}",
        plan.report.domain_conflicts
    );
}

#[test]
fn a_lost_domain_is_spread_over_the_others() {
    let (space, three) = (space(1, 12), replicas(3, 20));
    let mut endpoints = alike(120, 6);
    let before = from_nothing(&space, three, &endpoints);
    endpoints.iter_mut().step_by(6).for_each(|endpoint| endpoint.weight = 0);
    let after = again(&space, three, &before, &endpoints);
    assert_eq!((after.report.endpoint_conflicts, after.report.domain_conflicts), (0, 0));
    // Each sixth of the space had one domain, so two of the five left held all siblings of what was lost: their
    // new share, a thirtieth each, has to come from others.
    let forced = after.report.lower_bound + 2 * 4096 / 30;
    assert!(
        after.moves.len() * 100 <= forced * 102,
        "{} moves, {forced} forced",
        after.moves.len()
    );
}

#[test]
fn domains_named_later_bound_the_moves_from_below() {
    let (space, three) = (space(1, 10), replicas(3, 20));
    let before = from_nothing(&space, three, &alike(60, 0));
    let parted = again(&space, three, &before, &alike(60, 6));
    assert_eq!(
        (parted.report.endpoint_conflicts, parted.report.domain_conflicts),
        (0, 0)
    );
    assert_eq!(parted.report.bound, Bound::Replicas);
    assert!((1..=parted.moves.len()).contains(&parted.report.lower_bound));
    assert!(
        parted.moves.len() <= 3 * parted.report.lower_bound,
        "{:?}",
        parted.report
    );
}
