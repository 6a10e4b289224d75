//! The addresses that clients compose.

use std::net::Ipv6Addr;

use ssa_oracle::{
    apl::Place, compose::Client, compose::compose, compose::fill, compose::groups, compose::pow_ok, generate,
    generate::NOW, hash, record, record::Field, record::Input, verify, verify::Seen, verify::Verdict,
};
use ssa_rules::{
    AddressSpace, ComposeError, Destination, ItemSet, Key, Progress, Request, Rule, Secret, Source, SourceBits,
};
use ssa_testing::Draw;

use crate::case::{cases, client, flow, prepared, request, verdict};

/// Which of object, chunk, time and port the record needs and the client lacks.
fn lacks(record: &record::Record, client: &Client) -> [bool; 4] {
    let values = &client.values;
    let object = record.template.iter().any(|field| matches!(field, Field::Obj(..)));
    [
        (object || verify::needs(record, &Input::Obj)) && values.object.is_none(),
        verify::needs(record, &Input::Chunk) && values.chunk.is_none(),
        (record.pow > 0 || verify::needs(record, &Input::Time(1))) && client.time.is_none(),
        (record.pow > 0 || verify::needs(record, &Input::Port)) && values.port.is_none(),
    ]
}

/// An address the crate composes is, for the rand bits in it, the oracle's to the bit.
#[test]
fn composing_gives_the_same_address() {
    let mut draw = Draw::new(4);
    let (mut made, mut refused) = (0, 0);
    for case in cases(&mut draw, 250) {
        let mut client = client(&mut draw, &case);
        match draw.below(12) {
            0 => client.values.object = None,
            1 => client.values.chunk = None,
            2 => client.values.port = None,
            3 => client.time = None,
            4 => client.replica = case.usable.record.replicas,
            _ => {}
        }
        let record = &case.usable.record;
        let zeros = [0; 16];
        for (index, net) in case.rule.positive_items() {
            let item = u128::from(net.addr());
            let lacks_pow = record.pow > 0 && (client.values.port.is_none() || client.time.is_none());
            match case.compose_in(index, &client, &mut draw) {
                Ok(address) => {
                    made += 1;
                    let expected = fill(&case.usable, &client, item, &case.rand_of(address));
                    assert_eq!(expected, Ok(address), "{}", case.text);
                    let place = case.usable.apl.place(address);
                    assert!(
                        matches!(place, Place::Service(found) if found.address == item),
                        "{}",
                        case.text
                    );
                    if record.pow > 0 {
                        let (port, minute) = (client.values.port.unwrap(), client.time.unwrap() / 60);
                        assert!(
                            pow_ok(record, client.values.source, address, port, minute),
                            "{}",
                            case.text
                        );
                    }
                }
                Err(ComposeError::NotInService) => {
                    // None of many draws of the oracle's is in the service either.
                    for _ in 0..40 {
                        let rand: Vec<u64> = (0..16).map(|_| draw.bits()).collect();
                        let address = fill(&case.usable, &client, item, &rand).unwrap();
                        assert_eq!(case.usable.apl.place(address), Place::Legacy, "{}", case.text);
                    }
                }
                Err(error) => {
                    if let ComposeError::Missing(missing) = error {
                        let found = [missing.object, missing.chunk, missing.time, missing.port];
                        assert_eq!(found, lacks(record, &client), "{}", case.text);
                    }
                    refused += 1;
                    let no_item = groups(&case.usable, &client.values).is_err();
                    let oracle = fill(&case.usable, &client, item, &zeros);
                    assert!(oracle.is_err() || lacks_pow || no_item, "{error} in {}", case.text);
                }
            }
        }
    }
    assert!(made > 300 && refused > 30, "{made} made, {refused} refused");
}

/// The whole of composing: the item, the address, and what each verifier says of it.
#[test]
fn each_accepts_what_the_other_composes() {
    let mut draw = Draw::new(5);
    for case in cases(&mut draw, 200) {
        let mut client = client(&mut draw, &case);
        if draw.percent(10) {
            client.values.object = None;
        }
        let mine = compose(&case.usable, &client, &mut || draw.bits());
        let theirs = case.rule.compose(&request(&client), &mut || draw.bits());
        assert_eq!(mine.is_ok(), theirs.is_ok(), "{mine:x?}, {theirs:?}: {}", case.text);
        let (Ok(mine), Ok(Destination(theirs))) = (mine, theirs) else {
            continue;
        };
        let theirs = u128::from(theirs);
        // The item is of the best group, unless that group has nothing in the service.
        let Place::Service(item) = case.usable.apl.place(theirs) else {
            panic!("{}", case.text);
        };
        for group in groups(&case.usable, &client.values).unwrap() {
            if group.contains(&item) {
                break;
            }
            for (index, net) in case.rule.positive_items() {
                if group.iter().any(|item| item.address == u128::from(net.addr())) {
                    let found = case.compose_in(index, &client, &mut draw);
                    assert_eq!(found, Err(ComposeError::NotInService), "{}", case.text);
                }
            }
        }
        for destination in [mine, theirs] {
            let seen = Seen {
                values: client.values.clone(),
                destination,
                time: client.time.unwrap(),
                secrets: client.secrets.clone(),
            };
            let conforming = Verdict::Conforming { unchecked: vec![] };
            assert_eq!(
                verify::verify(&case.usable, &seen),
                Ok(conforming.clone()),
                "{}",
                case.text
            );
            let found = case.rule.verify(&flow(&seen)).unwrap();
            assert_eq!(verdict(&found), conforming, "{}", case.text);
        }
    }
}

/// A client with its own key composes as one with the secret; without either, nothing composes or verifies.
#[test]
fn own_keys_serve_as_the_secret_does() {
    let mut draw = Draw::new(9);
    let mut own_keys = 0;
    for case in cases(&mut draw, 250) {
        let record = &case.usable.record;
        if !record.has_mac() {
            continue;
        }
        let client = client(&mut draw, &case);
        let space = AddressSpace::new(&case.usable_text()).unwrap();
        let request = request(&client);
        let seed = draw.bits();
        let run = |rule: &Rule| {
            let mut draw = Draw::seeded(seed);
            rule.compose(&request, &mut || draw.bits())
        };
        let expected = run(&case.rule);

        let without = Rule::prepare(&case.record, space.as_ref(), &Key::None).unwrap();
        let seen = Seen {
            values: client.values.clone(),
            destination: case.usable.apl.positives()[0].address,
            time: NOW,
            secrets: vec![],
        };
        assert!(
            !without.can_verify() && without.verify(&flow(&seen)).is_err(),
            "{}",
            case.text
        );
        assert!(verify::verify(&case.usable, &seen).is_err());
        assert!(run(&without).is_err(), "{}", case.text);

        let (_, secret) = generate::secrets()
            .into_iter()
            .find(|(id, _)| Some(id) == record.key.as_ref())
            .unwrap();
        let bits = record.kdf.unwrap_or(48);
        let own = Secret::new(secret).client_key(SourceBits::new(bits as u8).unwrap(), request.source);
        assert_eq!(*own.expose(), hash::client_key(&secret, client.values.source, bits));
        let with_own = Rule::prepare(&case.record, space.as_ref(), &Key::Client(own)).unwrap();
        if record.kdf.is_none() {
            assert!(run(&with_own).is_err(), "{}", case.text);
            continue;
        }
        assert_eq!(run(&with_own), expected, "{}", case.text);
        assert!(
            !with_own.can_verify() && with_own.verify(&flow(&seen)).is_err(),
            "{}",
            case.text
        );
        own_keys += 1;
    }
    assert!(own_keys > 0, "{own_keys}");
}

/// Every rand bit takes both values, and so do ties among items.
#[test]
fn what_is_random_varies() {
    let mut draw = Draw::new(13);
    for template in [
        "rand:64",
        "rand:1 const(0):62 rand:1",
        "rand:33 hash(src/64):14 rand:17",
    ] {
        let rule = format!("v=ssa1; addr={template}");
        let case = prepared(&rule, "2:2001:db8:5::/64");
        let client = client(&mut draw, &case);
        let (mut ones, mut zeros) = (0, 0);
        let mut halves = std::collections::BTreeSet::new();
        for _ in 0..60 {
            let Destination(found) = case.rule.compose(&request(&client), &mut || draw.bits()).unwrap();
            for (place, value) in case.rand_of(found.into()).into_iter().enumerate() {
                ones |= u128::from(value) << (64 * place);
                zeros |= u128::from(!value) << (64 * place);
                halves.insert((place, value));
            }
        }
        let mut place = 0;
        for field in &case.usable.record.template {
            if let Field::Rand(n) = field {
                let mask = u128::from(u64::MAX >> (64 - n)) << (64 * place);
                assert_eq!((ones & mask, zeros & mask), (mask, mask), "{rule}");
                place += 1;
            }
        }
    }
    for (item, apl, source) in [
        (
            "near",
            "2:2001:db8:1::/64 2:2001:db8:2::/64 2:2001:db8:3::/64 2:2001:db8:4::/64",
            "2001:db9::",
        ),
        (
            "rand",
            "2:2001:db8:1::/64 2:2001:db8:2::/64 2:2001:db8:3::/64 2:fd00::/64",
            "fd00::",
        ),
    ] {
        let case = prepared(&format!("v=ssa1; addr=rand:64; item={item}"), apl);
        let mut found = std::collections::BTreeSet::new();
        let request = Request::new(Source(source.parse().unwrap()));
        for _ in 0..80 {
            found.insert(
                case.rule
                    .choose_item(&request, ItemSet::EMPTY, &mut || draw.bits())
                    .unwrap(),
            );
        }
        assert_eq!(found.len(), 4, "{item}");
    }
}

/// "Redraw the rand fields, at most 64 times."
#[test]
fn the_65th_redraw_is_not_made() {
    let case = prepared(
        "v=ssa1; addr=rand:1 const(5):63",
        "2:2001:db8:5::/64 !2:2001:db8:5::/65",
    );
    let request = Request::new(Source(Ipv6Addr::LOCALHOST));
    let (item, _) = case.rule.positive_items().next().unwrap();
    for (bad, fits) in [(0, true), (1, true), (63, true), (64, true), (65, false), (66, false)] {
        let mut draws = 0;
        let mut random = || {
            draws += 1;
            if draws <= bad { 0 } else { u64::MAX }
        };
        let found = case.rule.search_in(item, &request, &mut random).is_ok();
        assert_eq!(found, fits, "{bad} draws that are not in the service");
    }
}

/// "After 64·2^d tries, an error", and the same address whatever the steps of a search.
#[test]
fn a_search_is_bounded_and_resumes() {
    let mut draw = Draw::new(14);
    for d in 1..=4u32 {
        let case = prepared(
            &format!("v=ssa1; addr=hash(src/64):20 rand:44; pow={d}"),
            "2:2001:db8:5::/64",
        );
        let mut client = client(&mut draw, &case);
        client.time = Some(NOW);
        let request = request(&client);
        let port = client.values.port.unwrap();
        // A generator that is stuck on bits that do not solve it, whichever 44 of them are taken.
        let fails = |bits: u64| {
            let item = case.usable.apl.items[0].address;
            [bits, bits >> 20].into_iter().all(|bits| {
                let address = fill(&case.usable, &client, item, &[bits]).unwrap();
                !pow_ok(&case.usable.record, client.values.source, address, port, NOW / 60)
            })
        };
        let stuck = (0..1000).map(|_| draw.bits()).find(|bits| fails(*bits)).unwrap();
        {
            let tries = 64 << d;
            assert_eq!(
                case.rule.compose(&request, &mut || stuck),
                Err(ComposeError::PowExhausted { tries })
            );
            let mut search = case.rule.search(&request, ItemSet::EMPTY, &mut || stuck).unwrap();
            for _ in 0..tries - 1 {
                let progress = case.rule.advance(&mut search, &request, 1, &mut || stuck);
                assert_eq!(progress, Ok(Progress::More));
            }
            assert!(case.rule.advance(&mut search, &request, 2, &mut || stuck).is_err());
        }
        // In one go, or in steps.
        for steps in [1, 2, 3, 1000] {
            let seed = draw.bits();
            let (mut one, mut other) = (Draw::seeded(seed), Draw::seeded(seed));
            let expected = case.rule.compose(&request, &mut || one.bits());
            let mut search = case
                .rule
                .search(&request, ItemSet::EMPTY, &mut || other.bits())
                .unwrap();
            let found = loop {
                match case.rule.advance(&mut search, &request, steps, &mut || other.bits()) {
                    Ok(Progress::More) => {}
                    Ok(Progress::Found(found)) => break Ok(found),
                    Err(error) => break Err(error),
                }
            };
            assert_eq!(found, expected, "{steps} at a time");
            assert!((1..=64 << d).contains(&search.tries()), "{} tries", search.tries());
        }
    }
}
