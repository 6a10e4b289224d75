//! Which slices are siblings.

use std::collections::BTreeSet;

use ssa_slices::{ReplicaError, Replicas, Siblings, SliceBits, SliceId, SliceSpace};

use crate::common::{replicas, space};
use crate::naive;

#[test]
fn siblings_are_those_that_going_through_all_addresses_finds() {
    for count in 1..=16 {
        for n in 1..=7 {
            for s in 0..=6 {
                let (space, replicas) = (space(1, s), replicas(count, n));
                let expected = naive::siblings(&space, replicas);
                let siblings = Siblings::new(&space, replicas).unwrap();
                let mut found = BTreeSet::new();
                for slice in space.slices() {
                    for sibling in siblings.of(slice) {
                        let (one, other) = (slice.get() as usize, sibling.get() as usize);
                        found.insert((one.min(other), one.max(other)));
                        assert!(
                            siblings.of(sibling).any(|back| back == slice),
                            "siblings are so both ways"
                        );
                    }
                }
                assert_eq!(found, expected, "{count} replicas, field {n}, slices {s}");
                let own = expected.iter().any(|(one, other)| one == other);
                assert_eq!(siblings.within_one_slice(), own);
            }
        }
    }
}

#[test]
fn siblings_stay_within_their_item() {
    let (space, replicas) = (space(3, 3), replicas(3, 5));
    let siblings = Siblings::new(&space, replicas).unwrap();
    let expected = naive::siblings(&space, replicas);
    for slice in space.slices() {
        let of: BTreeSet<usize> = siblings.of(slice).map(|sibling| sibling.get() as usize).collect();
        let one = slice.get() as usize;
        let both = |(a, b): &(usize, usize)| [(*a, *b), (*b, *a)];
        let naive: BTreeSet<usize> = expected
            .iter()
            .flat_map(both)
            .filter(|(a, _)| *a == one)
            .map(|(_, b)| b)
            .collect();
        assert_eq!(of, naive);
    }
}

#[test]
fn a_slice_that_the_space_lacks_has_no_siblings() {
    let siblings = Siblings::new(&space(1, 0), replicas(16, 2)).unwrap();
    assert_eq!(siblings.of(SliceId::new(0)).collect::<Vec<_>>(), [SliceId::new(0)]);
    assert_eq!(siblings.of(SliceId::new(1)).count(), 0);
}

#[test]
fn steps_lie_evenly_around_the_first_field() {
    let steps = |count, bits| replicas(count, bits).steps().collect::<Vec<_>>();
    assert_eq!(steps(1, 20), [0]);
    assert_eq!(steps(3, 4), [0, 5, 10]);
    assert_eq!(steps(4, 64), [0, 1 << 62, 1 << 63, 3 << 62]);
    assert_eq!(steps(5, 1), [0, 0, 0, 1, 1]);
    assert_eq!(steps(16, 64)[15], 15 << 60);
}

#[test]
fn the_widest_field_has_the_siblings_of_a_narrower_one() {
    // Of 2^64 values a third is no whole number of slices either.
    let space = space(1, 4);
    let of = |bits| {
        let siblings = Siblings::new(&space, replicas(3, bits)).unwrap();
        siblings.of(SliceId::new(15)).map(SliceId::get).collect::<Vec<_>>()
    };
    assert_eq!(of(64), [4, 5, 9, 10]);
    assert_eq!(of(64), of(20));
}

#[test]
fn replicas_out_of_bounds_are_refused() {
    assert_eq!(Replicas::new(0, 8), Err(ReplicaError::Count { count: 0 }));
    assert_eq!(Replicas::new(17, 8), Err(ReplicaError::Count { count: 17 }));
    assert_eq!(Replicas::new(2, 0), Err(ReplicaError::FirstField { bits: 0 }));
    assert_eq!(Replicas::new(2, 65), Err(ReplicaError::FirstField { bits: 65 }));
    let widest = replicas(16, 64);
    assert_eq!((widest.count(), widest.first_field_bits()), (16, 64));
}

#[test]
fn a_first_field_past_the_item_is_refused_where_it_matters() {
    let narrow = SliceSpace::new(&["2001:db8::/120".parse().unwrap()], SliceBits::new(2).unwrap()).unwrap();
    let past = ReplicaError::PastWidth { bits: 9, width: 8 };
    assert_eq!(Siblings::new(&narrow, replicas(2, 9)).unwrap_err(), past);
    assert!(Siblings::new(&narrow, replicas(2, 8)).is_ok());
    assert!(
        Siblings::new(&narrow, replicas(1, 9)).is_ok(),
        "a single replica needs no field"
    );
    assert_eq!(
        Siblings::new(&narrow, Replicas::SINGLE)
            .unwrap()
            .of(SliceId::new(0))
            .count(),
        0
    );
}
