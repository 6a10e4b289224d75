//! The verdicts on destinations.

use std::net::Ipv6Addr;

use ssa_oracle::{
    apl::Place, compose::Client, compose::bits, compose::compose, compose::object_number, compose::pow_ok,
    compose::winner, hash, record, record::Field, verify, verify::Part, verify::Seen, verify::Verdict,
};
use ssa_rules::{Expected, ItemSet, Rule, Violation};
use ssa_testing::Draw;

use crate::case::{Case, cases, client, flow, request, verdict};

/// A destination of interest: composed, then perhaps damaged.
fn destination(draw: &mut Draw, case: &Case, client: &Client) -> u128 {
    let mut random = || draw.bits();
    let composed = compose(&case.usable, client, &mut random);
    let Ok(mut address) = composed else {
        return draw.of(&case.usable.apl.items).address ^ u128::from(draw.below(4));
    };
    match draw.below(10) {
        0..=2 => {}
        3..=5 => address ^= 1 << draw.below(u64::from(case.usable.record.w().max(1))),
        6 => address ^= 1 << draw.below(128),
        7 => {
            let item = draw.of(&case.usable.apl.positives());
            let fields = u128::MAX.checked_shr(item.length).unwrap_or(0);
            address = item.address | address & fields;
        }
        8 => {
            let item = draw.of(&case.usable.apl.items);
            let past = u128::MAX.checked_shr(item.length).unwrap_or(0);
            address = item.address | draw.wide() & past;
        }
        _ => {
            // Another value in one field.
            let record = &case.usable.record;
            let mut start = 128 - record.w();
            for field in &record.template {
                let n = field.width();
                if draw.percent(30) {
                    let value = u128::from(draw.bits() >> (64 - n));
                    let shift = 128 - start - n;
                    let mask = ((1u128 << n) - 1) << shift;
                    address = address & !mask | value << shift;
                    break;
                }
                start += n;
            }
        }
    }
    address
}

/// A verifier's time around a client's: the same, or at and past the edges of what is accepted.
fn verifier_time(draw: &mut Draw, case: &Case, time: u64) -> u64 {
    let record = &case.usable.record;
    let step = record.step().map_or(60, u64::from);
    let unit = draw.of(&[step, 60]);
    let (first, last) = (time / unit * unit, (time / unit * unit).saturating_add(unit - 1));
    match draw.below(8) {
        0..=2 => time,
        3 => first.saturating_sub(record.skew),
        4 => first.saturating_sub(record.skew + 1),
        5 => last.saturating_add(record.skew),
        6 => last.saturating_add(record.skew + 1),
        _ => draw.of(&[
            time.saturating_add(unit),
            time.saturating_sub(unit),
            time.saturating_add(3 * unit),
            0,
            u64::MAX,
        ]),
    }
}

/// What the crate tells of a violation is what the oracle would have.
fn same_details(case: &Case, seen: &Seen, violation: &Violation) {
    let record = &case.usable.record;
    let text = &case.text;
    match violation {
        Violation::Item { expected, found } => {
            let winner = winner(&case.usable, &seen.values).unwrap();
            assert_eq!(u128::from(expected.addr()), winner.address, "{text}");
            assert!(found.contains(&Ipv6Addr::from(seen.destination)), "{text}");
        }
        Violation::Field {
            index, expected, found, ..
        } => {
            let place = usize::from(*index);
            let start = 128 - record.w() + record.template[..place].iter().map(Field::width).sum::<u32>();
            let end = start + record.template[place].width();
            assert_eq!(*found, bits(seen.destination, start, end), "{text}");
            let step = record.step().map(|step| seen.time / u64::from(step));
            let key = record
                .has_mac()
                .then(|| ssa_oracle::compose::k(record, &seen.secrets, seen.values.source).unwrap());
            let so_far = hash::cleared(seen.destination, start);
            let value = ssa_oracle::compose::value(record, place, &seen.values, step, key, so_far);
            match expected {
                Expected::Value(number) => assert_eq!(value, Ok(Some(*number)), "{text}"),
                Expected::Hidden(hidden) => {
                    assert!(matches!(record.template[place], Field::Mac(..)), "{text}");
                    assert_eq!(value, Ok(Some(hidden.reveal())), "{text}");
                }
                Expected::Number => assert!(object_number(seen.values.object.as_ref().unwrap()).is_err(), "{text}"),
            }
        }
        Violation::Pow { needed, found } => {
            assert_eq!(u32::from(*needed), record.pow, "{text}");
            let solves = |bits: u32| {
                let harder = record::Record {
                    pow: bits,
                    ..record.clone()
                };
                let port = seen.values.port.unwrap();
                pow_ok(&harder, seen.values.source, seen.destination, port, seen.time / 60)
            };
            assert!(found < needed, "{text}");
            assert!(*found == 0 || solves((*found).into()), "{text}");
            assert!(!solves(u32::from(*found) + 1), "{text}");
        }
    }
}

/// The verdict over any destination, at any time, whatever is known.
#[test]
fn verdicts_are_the_same() {
    let mut draw = Draw::new(6);
    let mut count = std::collections::BTreeMap::new();
    for case in cases(&mut draw, 500) {
        let client = client(&mut draw, &case);
        for _ in 0..3 {
            let mut seen = Seen {
                values: client.values.clone(),
                destination: destination(&mut draw, &case, &client),
                time: verifier_time(&mut draw, &case, client.time.unwrap()),
                secrets: client.secrets.clone(),
            };
            if draw.percent(25) {
                seen.values.object = None;
            }
            if draw.percent(25) {
                seen.values.chunk = None;
            }
            if draw.percent(10) {
                seen.values.port = None;
            }
            if draw.percent(15) {
                seen.values.source ^= 1 << draw.below(128);
            }
            if draw.percent(5) {
                seen.values.object = Some(b"photo.jpg".to_vec());
            }
            let expected = verify::verify(&case.usable, &seen).unwrap();
            let found = case.rule.verify(&flow(&seen)).unwrap();
            assert_eq!(verdict(&found), expected, "{seen:x?} under {}", case.text);
            if let ssa_rules::Verdict::Violation(violation) = &found {
                same_details(&case, &seen, violation);
            }
            let part = expected.part().map_or("", |part| match part {
                Part::Item => " of item",
                Part::Field(_) => " of field",
                Part::Pow => " of pow",
            });
            *count.entry(format!("{}{part}", expected.name())).or_insert(0) += 1;
        }
    }
    for kind in [
        "conforming",
        "legacy",
        "outside",
        "violation of item",
        "violation of field",
        "violation of pow",
    ] {
        assert!(count.get(kind).is_some_and(|count| *count >= 10), "{count:?}");
    }
}

/// A flipped bit of a checked field is never conforming, but for the shift of a replica.
#[test]
fn a_flipped_bit_of_a_checked_field_is_a_violation() {
    let mut draw = Draw::new(7);
    for case in cases(&mut draw, 150) {
        let record = &case.usable.record;
        if record.replicas > 1 || record.step().is_some() {
            continue;
        }
        let client = client(&mut draw, &case);
        let Ok(address) = compose(&case.usable, &client, &mut || draw.bits()) else {
            continue;
        };
        let mut start = 128 - record.w();
        for (place, field) in record.template.iter().enumerate() {
            let bit = start + draw.below(field.width().into()) as u32;
            start += field.width();
            if matches!(field, Field::Rand(_)) {
                continue;
            }
            let seen = Seen {
                values: client.values.clone(),
                destination: address ^ 1 << (127 - bit),
                time: client.time.unwrap(),
                secrets: client.secrets.clone(),
            };
            if !matches!(case.usable.apl.place(seen.destination), Place::Service(_)) {
                continue;
            }
            let found = verdict(&case.rule.verify(&flow(&seen)).unwrap());
            assert_eq!(found, Verdict::Violation(Part::Field(place)), "{}", case.text);
        }
    }
}

/// A rule is plain bytes; bytes that no one prepared may say anything, but panic at nothing.
#[test]
fn a_rule_survives_as_bytes() {
    use zerocopy::{FromBytes, IntoBytes};
    let mut draw = Draw::new(15);
    for case in cases(&mut draw, 40) {
        let client = client(&mut draw, &case);
        let bytes = case.rule.as_bytes().to_vec();
        let again = Rule::read_from_bytes(&bytes).unwrap();
        assert_eq!(again, case.rule, "{}", case.text);
        let seen = Seen {
            values: client.values.clone(),
            destination: case.usable.apl.positives()[0].address,
            time: client.time.unwrap(),
            secrets: vec![],
        };
        for _ in 0..6 {
            let mut damaged = bytes.clone();
            for _ in 0..draw.of(&[1, 5, 100]) {
                let place = draw.below(damaged.len() as u64) as usize;
                let any = draw.bits() as u8;
                damaged[place] = draw.of(&[0, 1, 127, 128, 255, any]);
            }
            let rule = Rule::read_from_bytes(&damaged).unwrap();
            let _ = rule.verify(&flow(&seen));
            let _ = rule.membership(seen.destination.into());
            let mut random = || draw.bits();
            if let Ok(mut search) = rule.search(&request(&client), ItemSet::EMPTY, &mut random) {
                let _ = rule.advance(&mut search, &request(&client), 3, &mut random);
            }
        }
    }
}
