//! Plans as documents: what one says, the next plan starts from.

use ssa_slices::{
    Replicas, SliceBits, SliceSpace,
    document::{Document, Endpoint, Roster, StateFault, Wanted},
    plan,
};

fn space() -> SliceSpace {
    let items = ["2001:db8:5::/64", "2001:db8:6::/64"].map(|item| item.parse().unwrap());
    SliceSpace::new(&items, SliceBits::new(4).unwrap()).unwrap()
}

fn wanted(name: &str, weight: u32) -> Wanted {
    Wanted {
        name: name.into(),
        weight,
        domain: None,
        via: None,
    }
}

fn state(endpoints: &[(&str, &[&str])]) -> Document {
    let endpoints = endpoints.iter().map(|(name, prefixes)| Endpoint {
        name: (*name).into(),
        weight: 0,
        domain: None,
        via: None,
        slices: 0,
        share: 0.0,
        moves_in: 0,
        moves_out: 0,
        prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
    });
    Document {
        items: Vec::new(),
        bits: 0,
        replicas: 0,
        endpoints: endpoints.collect(),
        moves: Vec::new(),
        report: None,
    }
}

#[test]
fn a_plan_is_the_state_that_the_next_one_starts_from() {
    let space = space();
    let roster = Roster::new(vec![wanted("a", 1), wanted("b", 2)], None);
    let first = plan(&space, Replicas::SINGLE, &vec![None; space.count()], &roster.planned()).unwrap();
    let document = roster.document(&space, Replicas::SINGLE, &first).unwrap();
    let read: Document = serde_json::from_str(&serde_json::to_string(&document).unwrap()).unwrap();

    // The order of the wanted is another one, and one leaves.
    let roster = Roster::new(vec![wanted("b", 1), wanted("c", 1)], Some(&read));
    let current = roster.current(&space, &read).unwrap();
    let names: Vec<u32> = current.iter().map(|endpoint| endpoint.unwrap().get()).collect();
    let before: Vec<u32> = first.assignment.iter().map(|endpoint| endpoint.get()).collect();
    let renumbered: Vec<u32> = before
        .iter()
        .map(|endpoint| if *endpoint == 1 { 0 } else { 2 })
        .collect();
    assert_eq!(names, renumbered);
    let next = plan(&space, Replicas::SINGLE, &current, &roster.planned()).unwrap();
    let document = roster.document(&space, Replicas::SINGLE, &next).unwrap();
    let left: Vec<usize> = document.endpoints.iter().map(|endpoint| endpoint.slices).collect();
    assert_eq!(left, [16, 16, 0], "b, c, and a, which leaves");
}

#[test]
fn all_that_is_wrong_with_a_state_is_told() {
    let roster = |document: &Document| Roster::new(vec![wanted("a", 1), wanted("b", 1)], Some(document));
    let faults = |document: &Document| roster(document).current(&space(), document).unwrap_err();

    let other = state(&[("a", &["2001:db8:7::/64"])]);
    assert_eq!(faults(&other), [StateFault::OtherService]);

    let two = state(&[
        ("a", &["2001:db8:5::/64", "2001:db8:6::/69"]),
        ("b", &["2001:db8:5:0:8000::/65"]),
    ]);
    let told: Vec<String> = faults(&two).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "2001:db8:6::/69 is smaller than a slice of /68",
            "2001:db8:5:0:8000::/65 is another endpoint's too"
        ]
    );
    assert_eq!(
        faults(&two).iter().map(StateFault::endpoint).collect::<Vec<_>>(),
        [Some("a"), Some("b")]
    );
}
