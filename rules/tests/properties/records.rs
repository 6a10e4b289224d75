//! What a record and a list mean, and which are usable.

use std::net::Ipv6Addr;

use ssa_oracle::{apl::Place, generate, record};
use ssa_rules::{AddressSpace, Membership, Record};
use ssa_testing::Draw;

use crate::case::{cases, crate_usable, other_family, same_record};

/// Records of random text: both take the same ones, and read the same in them.
#[test]
fn what_is_usable_is_the_same() {
    let mut draw = Draw::new(1);
    let (mut good, mut bad) = (0, 0);
    for round in 0..1500 {
        let mut published = generate::published(&mut draw);
        match round % 3 {
            0 => published.rule = generate::broken(&mut draw, &published.rule),
            1 if draw.percent(30) => {
                published.apl = published.apl.replace("1:192.0.2.0/24", "");
                published.apl = generate::broken(&mut draw, &published.apl);
            }
            _ => {}
        }
        if round % 3 < 2 && (other_family(&published.rule) || other_family(&published.apl)) {
            continue;
        }
        let text = format!("{:?} with {:?}", published.rule, published.apl);
        let expected = record::usable(&published.rule, &published.apl);
        let found = crate_usable(&published.rule, &published.apl);
        match (&expected, &found) {
            (Ok(expected), Ok((found, _))) => {
                good += 1;
                same_record(found, &expected.record, &text);
            }
            (Err(_), Err(_)) => bad += 1,
            _ => panic!("oracle: {:?}; crate: {:?}; {text}", expected.err(), found.err()),
        }
        assert_eq!(
            Record::counts(published.rule.as_bytes()),
            record::counts(published.rule.as_bytes()),
            "{text}"
        );
    }
    assert!(good > 500 && bad > 300, "{good} usable, {bad} unusable");
}

/// What a record prints is the same record, and printed again the same text.
#[test]
fn a_printed_record_is_the_same_record() {
    let mut draw = Draw::new(2);
    for case in cases(&mut draw, 150) {
        let printed = case.record.to_string();
        assert_eq!(
            printed.parse().as_ref(),
            Ok(&case.record),
            "{} prints {printed}",
            case.text
        );
        let again: Record = printed.parse().unwrap();
        assert_eq!(again.to_string(), printed);
        assert!(printed.len() <= 1024);
        let oracle = record::parse(printed.as_bytes()).unwrap();
        assert_eq!(oracle, case.usable.record, "{} prints {printed}", case.text);
    }
}

/// Where an address lies, by list and by rule.
#[test]
fn places_are_the_same() {
    let mut draw = Draw::new(3);
    for case in cases(&mut draw, 100) {
        let space = AddressSpace::new(&case.usable_text()).unwrap().unwrap();
        let items = &case.usable.apl.items;
        for _ in 0..8 {
            let item = draw.of(items);
            let mut address = item.address;
            if draw.percent(80) {
                address ^= 1 << draw.below(128);
            }
            if draw.percent(50) {
                address |= u128::MAX.checked_shr(item.length).unwrap_or(0);
            }
            let expected = case.usable.apl.place(address);
            for class in [space.membership(address.into()), case.rule.membership(address.into())] {
                match (class, expected) {
                    (Membership::Outside, Place::Outside) | (Membership::Legacy(_), Place::Legacy) => {}
                    (Membership::Service(net), Place::Service(item)) => {
                        assert_eq!(u128::from(net.addr()), item.address, "{}", case.text);
                        assert_eq!(u32::from(net.prefix_len()), item.length, "{}", case.text);
                    }
                    _ => panic!(
                        "{class:?} is not {expected:?}: {} in {}",
                        Ipv6Addr::from(address),
                        case.text
                    ),
                }
            }
        }
        let mut positives: Vec<u128> = case.usable.apl.positives().iter().map(|item| item.address).collect();
        positives.sort_unstable();
        let found: Vec<u128> = case.rule.positive_items().map(|(_, net)| net.addr().into()).collect();
        assert_eq!(found, positives, "{}", case.text);
    }
}
