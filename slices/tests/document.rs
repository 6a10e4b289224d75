//! Plans as documents: what one says, the next plan starts from.

use ssa_slices::{
    EndpointId, Replicas, SliceBits, SliceSpace,
    document::{Document, Endpoint, Move, Roster, StateFault, Wanted, is_name},
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

#[test]
fn names_are_1_to_253_of_the_allowed_characters() {
    let longest = "x".repeat(253);
    for name in ["a", "A-z_0.9:8", longest.as_str()] {
        assert!(is_name(name), "{name}");
    }
    let too_long = "x".repeat(254);
    for name in ["", "a b", "a/b", "\u{e9}", "a\n", too_long.as_str()] {
        assert!(!is_name(name), "{name:?}");
    }
}

#[test]
fn an_endpoint_without_a_weight_has_weight_1() {
    let read: Wanted = serde_json::from_str(r#"{"name": "a"}"#).unwrap();
    assert_eq!(read, wanted("a", 1));
}

/// How many slices a document moves to an endpoint, and from it.
fn moved(document: &Document, name: &str) -> (usize, usize) {
    let sum = |chosen: &dyn Fn(&Move) -> bool| {
        document
            .moves
            .iter()
            .filter(|one| chosen(one))
            .map(|one| one.slices)
            .sum()
    };
    (
        sum(&|one: &Move| one.to == name),
        sum(&|one: &Move| one.from.as_deref() == Some(name)),
    )
}

#[test]
fn a_document_says_what_each_endpoint_has_and_what_moves() {
    let space = space();
    let roster = Roster::new(vec![wanted("a", 1), wanted("b", 2)], None);
    let plan_of = |roster: &Roster, current: &[Option<EndpointId>]| {
        let made = plan(&space, Replicas::SINGLE, current, &roster.planned()).unwrap();
        roster.document(&space, Replicas::SINGLE, &made).unwrap()
    };
    let first = plan_of(&roster, &vec![None; space.count()]);
    let roster = Roster::new(vec![wanted("c", 1), wanted("b", 2)], Some(&first));
    let second = plan_of(&roster, &roster.current(&space, &first).unwrap());

    for (document, former) in [(&first, None), (&second, Some("a"))] {
        for endpoint in &document.endpoints {
            let share = 32.0 * f64::from(endpoint.weight) / 3.0;
            assert!((endpoint.share - share).abs() < 1e-9, "{endpoint:?}");
            assert_eq!((endpoint.moves_in, endpoint.moves_out), moved(document, &endpoint.name));
        }
        let report = document.report.as_ref().unwrap();
        assert_eq!(report.moves, document.moves.iter().map(|one| one.slices).sum::<usize>());
        assert_eq!(report.bound, "balance");
        assert!(
            document.moves.iter().all(|one| one.from.as_deref() == former),
            "{:?}",
            document.moves
        );
    }
    let slices = |document: &Document| -> Vec<(String, usize)> {
        let endpoints = document.endpoints.iter();
        endpoints
            .map(|endpoint| (endpoint.name.clone(), endpoint.slices))
            .collect()
    };
    let (a, b) = (first.endpoints[0].slices, first.endpoints[1].slices);
    assert_eq!(moved(&first, "a"), (a, 0));
    assert_eq!(moved(&first, "b"), (b, 0));
    assert_eq!(slices(&second), [("c".into(), a), ("b".into(), b), ("a".into(), 0)]);
    assert_eq!(moved(&second, "c"), (a, 0), "c replaces a, and b keeps what it has");
    assert_eq!(moved(&second, "a"), (0, a));
}
