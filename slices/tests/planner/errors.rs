//! What the planner refuses, and how every error reads.

use std::error::Error;

use ssa_slices::{
    Endpoint, EndpointId, MAX_ENDPOINTS, PlanError, ReplicaError, Replicas, SliceBits, SliceBitsError, SliceError,
    SliceId, SliceSpace, plan,
};

use crate::common::{alike, endpoint, replicas, space, unassigned};

#[test]
fn the_current_assignment_has_one_entry_per_slice() {
    let space = space(1, 3);
    for entries in [0, 7, 9] {
        let refused = plan(&space, Replicas::SINGLE, &vec![None; entries], &alike(2, 0));
        assert_eq!(refused.unwrap_err(), PlanError::CurrentLength { entries, slices: 8 });
    }
}

#[test]
fn some_endpoint_has_weight() {
    let space = space(1, 3);
    for endpoints in [vec![], vec![endpoint(0, None); 3]] {
        let refused = plan(&space, Replicas::SINGLE, &unassigned(&space), &endpoints);
        assert_eq!(
            refused.unwrap_err(),
            PlanError::NoWeight {
                endpoints: endpoints.len()
            }
        );
    }
}

#[test]
fn endpoints_are_at_most_so_many() {
    let space = space(1, 3);
    let most = vec![Endpoint::of_weight(1); MAX_ENDPOINTS];
    assert_eq!(
        plan(&space, Replicas::SINGLE, &unassigned(&space), &most)
            .unwrap()
            .moves
            .len(),
        8
    );
    let more = vec![Endpoint::of_weight(1); MAX_ENDPOINTS + 1];
    let refused = plan(&space, Replicas::SINGLE, &unassigned(&space), &more);
    assert_eq!(
        refused.unwrap_err(),
        PlanError::TooManyEndpoints {
            endpoints: MAX_ENDPOINTS + 1
        }
    );
}

#[test]
fn a_gone_endpoint_is_numbered_below_the_greatest_count() {
    let space = space(1, 1);
    let with = |number| [None, Some(EndpointId::new(number))];
    let last = u32::try_from(MAX_ENDPOINTS).unwrap() - 1;
    let planned = plan(&space, Replicas::SINGLE, &with(last), &alike(1, 0)).unwrap();
    assert_eq!(planned.moves[1].from, Some(EndpointId::new(last)));
    for number in [last + 1, u32::MAX] {
        let refused = plan(&space, Replicas::SINGLE, &with(number), &alike(1, 0)).unwrap_err();
        let expected = PlanError::EndpointIndex {
            slice: SliceId::new(1),
            endpoint: EndpointId::new(number),
        };
        assert_eq!(refused, expected);
    }
}

#[test]
fn the_first_field_fits_the_items() {
    let narrow = SliceSpace::new(&["2001:db8::/120".parse().unwrap()], SliceBits::new(1).unwrap()).unwrap();
    let refused = plan(&narrow, replicas(2, 9), &[None; 2], &alike(2, 0)).unwrap_err();
    assert_eq!(
        refused,
        PlanError::Replicas(ReplicaError::PastWidth { bits: 9, width: 8 })
    );
    assert!(refused.source().is_some());
    assert!(PlanError::NoWeight { endpoints: 0 }.source().is_none());
}

#[test]
fn the_greatest_weights_do_not_overflow() {
    let space = space(1, 20);
    let heavy = vec![endpoint(u32::MAX, None); 3];
    let planned = plan(&space, Replicas::SINGLE, &unassigned(&space), &heavy).unwrap();
    let count = planned.assignment.iter().filter(|holder| holder.get() == 0).count();
    assert!((349_525..=349_526).contains(&count));
}

#[test]
fn errors_say_the_value_the_bound_and_the_place() {
    let slice = SliceId::new(3);
    let item = "2001:db8::/64".parse().unwrap();
    let texts = [
        (SliceError::NoItems.to_string(), "items: none"),
        (SliceBitsError { bits: 21 }.to_string(), "slice bits: 21 exceeds 20"),
        (
            SliceError::ItemLength {
                index: 2,
                length: 65,
                expected: 64,
            }
            .to_string(),
            "items[2]: length 65 differs from the first item's 64",
        ),
        (
            SliceError::HostBits { index: 2, item }.to_string(),
            "items[2]: 2001:db8::/64 has bits past its length",
        ),
        (
            SliceError::ItemTwice { item }.to_string(),
            "items: 2001:db8::/64 occurs twice",
        ),
        (
            SliceError::PastWidth { bits: 9, width: 8 }.to_string(),
            "slice bits: 9 exceeds the item's 8",
        ),
        (
            SliceError::TooManySlices { slices: 1 << 21 }.to_string(),
            "slices: 2097152 exceeds 1048576",
        ),
        (
            SliceError::UnknownSlice { slice, count: 2 }.to_string(),
            "slice: 3 is not below 2",
        ),
        (
            ReplicaError::Count { count: 17 }.to_string(),
            "replicas: 17 is not 1 to 16",
        ),
        (
            ReplicaError::FirstField { bits: 65 }.to_string(),
            "first field: width 65 is not 1 to 64",
        ),
        (
            PlanError::Replicas(ReplicaError::PastWidth { bits: 9, width: 8 }).to_string(),
            "first field: width 9 exceeds the item's 8",
        ),
        (
            PlanError::CurrentLength { entries: 7, slices: 8 }.to_string(),
            "current: 7 entries for 8 slices",
        ),
        (
            PlanError::EndpointIndex {
                slice,
                endpoint: EndpointId::new(70_000),
            }
            .to_string(),
            "current[3]: endpoint 70000 is not below 65536",
        ),
        (
            PlanError::TooManyEndpoints { endpoints: 65_537 }.to_string(),
            "endpoints: 65537 exceeds 65536",
        ),
        (
            PlanError::NoWeight { endpoints: 3 }.to_string(),
            "endpoints: none of 3 has weight",
        ),
    ];
    for (text, expected) in texts {
        assert_eq!(text, expected);
    }
}
