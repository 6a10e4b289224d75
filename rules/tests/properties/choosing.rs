//! What a client chooses: item, source and replica.

use std::net::Ipv6Addr;

use ssa_oracle::{
    choose, choose::Situation, compose::Client, compose::fill, compose::groups, compose::winner, record::Pick,
};
use ssa_rules::{
    Candidate, Choice, ComposeError, Connection, Destination, Flow, ItemIndex, ItemSet, ItemSource, Replica, Source,
    Sources, UnixTime,
};
use ssa_testing::Draw;

use crate::case::{Case, cases, client, item_address, request};

/// Items that failed are passed over, in the order that the text gives.
#[test]
fn items_to_avoid_are_passed_over() {
    let mut draw = Draw::new(12);
    for case in cases(&mut draw, 120) {
        let mut client = client(&mut draw, &case);
        client.values.object = Some(b"42".to_vec());
        let request = request(&client);
        let address_of = |wanted: ItemIndex| {
            let mut items = case.rule.positive_items();
            items
                .find(|(index, _)| *index == wanted)
                .map(|(_, net)| u128::from(net.addr()))
                .unwrap()
        };
        let count = case.usable.apl.positives().len();
        let mut avoid = ItemSet::EMPTY;
        if let Pick::Hash(_) = case.usable.record.item {
            let winner = winner(&case.usable, &client.values).unwrap();
            for _ in 0..2 {
                let found = case.rule.choose_item(&request, avoid, &mut || draw.bits()).unwrap();
                assert_eq!(address_of(found), winner.address, "{}", case.text);
                avoid = avoid.with(found);
            }
            continue;
        }
        let mut found = Vec::new();
        for _ in 0..count {
            let item = case.rule.choose_item(&request, avoid, &mut || draw.bits()).unwrap();
            assert!(!avoid.contains(item));
            avoid = avoid.with(item);
            assert!(avoid.contains(item));
            found.push(address_of(item));
        }
        let none = case.rule.choose_item(&request, avoid, &mut || draw.bits());
        assert_eq!(none, Err(ComposeError::NoItemLeft), "{}", case.text);
        let none = case.rule.search(&request, avoid, &mut || draw.bits());
        assert!(none.is_err(), "{}", case.text);
        // Group after group, in any order within one.
        for group in groups(&case.usable, &client.values).unwrap() {
            let mut first: Vec<u128> = found.drain(..group.len()).collect();
            let mut group: Vec<u128> = group.iter().map(|item| item.address).collect();
            first.sort_unstable();
            group.sort_unstable();
            assert_eq!(first, group, "{}", case.text);
        }
    }
}

/// The sources of a client, and what failed of late: some candidates, or all of an item.
fn situation(draw: &mut Draw, case: &Case, client: &Client) -> Situation {
    let items = case.usable.apl.positives();
    let mut situation = Situation {
        default: draw.percent(60).then_some(client.values.source),
        ..Situation::default()
    };
    for item in &items {
        if draw.percent(50) {
            // Near the item, near another, or the same for several.
            let near = draw.of(&items).address ^ u128::from(draw.below(4));
            let source = draw.of(&[item.address ^ 1, near, client.values.source]);
            situation.sources.push((item.address, source));
        }
    }
    for _ in 0..draw.of(&[0, 0, 1, 3, 20]) {
        let item = draw.of(&items).address;
        let replica = draw.below(u64::from(case.usable.record.replicas)) as u32;
        let address = fill(&case.usable, client, item, &case.rand_of(draw.bits().into())).unwrap_or(item);
        situation.failed.push((item, replica, address));
    }
    situation
}

#[test]
fn what_is_chosen_is_among_what_may_be() {
    let mut draw = Draw::new(21);
    let (mut chosen_of, mut refused) = (0, 0);
    for case in cases(&mut draw, 400) {
        let mut client = client(&mut draw, &case);
        client.values.object = Some(b"42".to_vec());
        client.replica = 0;
        let situation = situation(&mut draw, &case, &client);
        let item = |address: u128| {
            let mut items = case.rule.positive_items();
            items.find(|(_, net)| u128::from(net.addr()) == address).unwrap()
        };
        let by_item: Vec<ItemSource> = situation
            .sources
            .iter()
            .map(|(address, source)| ItemSource {
                item: item(*address).1,
                source: (*source).into(),
            })
            .collect();
        let sources = Sources {
            by_item: &by_item,
            default: situation.default.map(Ipv6Addr::from),
        };
        let failed: Vec<Candidate> = situation
            .failed
            .iter()
            .map(|(address, replica, found)| Candidate {
                item: item(*address).0,
                replica: Replica(*replica as u8),
                address: Destination((*found).into()),
            })
            .collect();
        let given = request(&client);
        let connection = Connection {
            object: given.object,
            chunk: given.chunk,
            port: given.port,
            time: given.time,
        };
        // The draws are bounded: now and then an address that failed remains, where hardly another is left.
        let may_be = choose::of_one_draw(&case.usable, &client, &situation);
        for _ in 0..8 {
            let random = &mut || draw.bits();
            let choice = case.rule.choose(&connection, &sources, &failed.iter().copied(), random);
            let found = choice.and_then(|choice| match choice {
                Choice::Chosen(chosen) => Ok(Some(chosen)),
                Choice::Work(mut work) => case.rule.resume(&mut work, &connection, u32::MAX, random),
            });
            let found = match found {
                Ok(found) => found.expect("as many tries as there may be"),
                Err(error) => {
                    let wide = matches!(error, ComposeError::NotInService | ComposeError::PowExhausted { .. });
                    assert!(may_be.is_err() || wide, "{}: {error}: {may_be:x?}", case.text);
                    refused += 1;
                    continue;
                }
            };
            let outcome = |address| choose::Outcome {
                item: u128::from(item_address(&case.rule, found.candidate.item)),
                source: found.source.into(),
                replica: found.candidate.replica.0.into(),
                address,
            };
            let exact = outcome(Some(found.candidate.address.0.into()));
            let may_be = may_be.as_ref().unwrap_or_else(|error| panic!("{}: {error}", case.text));
            assert!(
                may_be.contains(&exact) || may_be.contains(&outcome(None)),
                "{}: {exact:x?} of {may_be:x?} for {situation:x?}",
                case.text
            );
            chosen_of += 1;
            // A verifier takes it.
            let seen = Flow {
                source: Source(found.source),
                destination: found.candidate.address,
                port: given.port,
                object: given.object,
                chunk: given.chunk,
                time: UnixTime(client.time.unwrap()),
            };
            if case.rule.can_verify() {
                let verdict = case.rule.verify(&seen).unwrap();
                assert!(matches!(verdict, ssa_rules::Verdict::Conforming(_)), "{}", case.text);
            }
        }
    }
    assert!(
        chosen_of > 2000 && refused > 100,
        "{chosen_of} chosen, {refused} refused"
    );
}
