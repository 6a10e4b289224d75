//! Composing: what is missing, which items are tried, and when it gives up.

use std::collections::BTreeSet;

use ssa_rules::{
    AddressSpace, Apl, Chunk, ComposeError, Destination, ItemSet, Key, Port, Record, Request, Rule, Source, UnixTime,
    rule::{ItemIndex, Missing},
};
use ssa_testing::Draw;

fn prepare(record: &str, apl: &str) -> Rule {
    let record: Record = record.parse().unwrap();
    let apl: Apl = apl.parse().unwrap();
    Rule::prepare(&record, AddressSpace::new(&apl).unwrap().as_ref(), &Key::None).unwrap()
}

fn request() -> Request<'static> {
    Request::new(Source("2001:db8:77::1".parse().unwrap()))
}

fn random() -> impl FnMut() -> u64 {
    let mut draw = Draw::seeded(7);
    move || draw.bits()
}

fn items(rule: &Rule) -> Vec<ItemIndex> {
    rule.positive_items().map(|(index, _)| index).collect()
}

const TWO: &str = "2:2001:db8:5::/64 2:2001:db8:6::/64";
const THREE: &str = "2:2001:db8:5::/64 2:2001:db8:6::/64 2:2001:db8:7::/64";

#[test]
fn exactly_what_is_missing_is_said() {
    let none = Missing::default();
    let cases = [
        ("v=ssa1; addr=hash(obj):64", Missing { object: true, ..none }),
        ("v=ssa1; addr=obj[0:64]", Missing { object: true, ..none }),
        ("v=ssa1; addr=rand:64; item=hash(obj)", Missing { object: true, ..none }),
        ("v=ssa1; addr=hash(chunk):64", Missing { chunk: true, ..none }),
        (
            "v=ssa1; addr=rand:64; item=hash(chunk)",
            Missing { chunk: true, ..none },
        ),
        ("v=ssa1; addr=hash(port):64", Missing { port: true, ..none }),
        ("v=ssa1; addr=rand:64; item=hash(port)", Missing { port: true, ..none }),
        ("v=ssa1; addr=hash(time/30):64", Missing { time: true, ..none }),
        (
            "v=ssa1; addr=rand:64; pow=3",
            Missing {
                time: true,
                port: true,
                ..none
            },
        ),
        (
            "v=ssa1; addr=hash(obj,time/5):32 hash(chunk):32; item=hash(port)",
            Missing {
                object: true,
                chunk: true,
                time: true,
                port: true,
            },
        ),
    ];
    let whole = Request {
        object: Some(b"7"),
        chunk: Some(Chunk(7)),
        port: Some(Port(7)),
        time: Some(UnixTime(7)),
        ..request()
    };
    for (record, missing) in cases {
        let rule = prepare(record, TWO);
        let error = rule.compose(&request(), &mut random()).unwrap_err();
        assert_eq!(error, ComposeError::Missing(missing), "{record}");
        assert!(rule.compose(&whole, &mut random()).is_ok(), "{record}");
    }
}

#[test]
fn every_item_is_drawn() {
    for apl in ["2:2001:db8:5::/64", TWO, THREE] {
        let rule = prepare("v=ssa1; addr=rand:64; item=rand", apl);
        let mut random = random();
        let draws = (0..200).map(|_| rule.choose_item(&request(), ItemSet::EMPTY, &mut random).unwrap());
        assert_eq!(
            draws.collect::<BTreeSet<_>>(),
            items(&rule).into_iter().collect(),
            "{apl}"
        );
    }
}

#[test]
fn items_equally_near_are_all_drawn() {
    // 2001:db8:77:: shares as many bits with 8000:: as with c000::.
    let rule = prepare("v=ssa1; addr=rand:64 rand:48", "2:8000::/16 2:c000::/16");
    let mut random = random();
    let draws = (0..100).map(|_| rule.choose_item(&request(), ItemSet::EMPTY, &mut random).unwrap());
    assert_eq!(draws.collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn a_set_holds_what_was_put_into_it() {
    let rule = prepare("v=ssa1; addr=rand:64", THREE);
    let [first, second, third] = items(&rule)[..] else {
        panic!("three items")
    };
    let set = ItemSet::EMPTY.with(first).with(third).with(third);
    assert!(set.contains(first) && !set.contains(second) && set.contains(third));
    assert_eq!(set, ItemSet::EMPTY.with(third).with(first));
}

#[test]
fn no_item_left_differs_from_no_address_in_the_service() {
    let all = |rule: &Rule| items(rule).into_iter().fold(ItemSet::EMPTY, ItemSet::with);
    let rule = prepare("v=ssa1; addr=rand:64; item=rand", TWO);
    assert_eq!(
        rule.search(&request(), all(&rule), &mut random()),
        Err(ComposeError::NoItemLeft)
    );

    // Random bits that always fall in the negated items: every item is tried, then it is given up.
    let negated = "2:2001:db8:5::/64 2:2001:db8:6::/64 !2:2001:db8:5::/65 !2:2001:db8:6::/65";
    let rule = prepare("v=ssa1; addr=rand:64; item=rand", negated);
    let mut draws = 0;
    let mut zeros = || {
        draws += 1;
        0
    };
    assert_eq!(
        rule.search(&request(), ItemSet::EMPTY, &mut zeros),
        Err(ComposeError::NotInService)
    );
    // 65 draws in each item, and one to choose between the two.
    assert_eq!(draws, 2 * 65 + 1);
    let [first, second] = items(&rule)[..] else {
        panic!("two items")
    };
    assert_eq!(
        rule.search(&request(), ItemSet::EMPTY.with(first), &mut || 0),
        Err(ComposeError::NotInService)
    );
    assert_eq!(
        rule.search_in(second, &request(), &mut || 0),
        Err(ComposeError::NotInService)
    );
    assert_eq!(
        rule.search_in(second, &request(), &mut || 1 << 63)
            .map(|search| search.item()),
        Ok(second)
    );

    // A hashed item has no other to move to.
    let rule = prepare("v=ssa1; addr=rand:64; item=hash(src/64)", negated);
    let mut draws = 0;
    let mut zeros = || {
        draws += 1;
        0
    };
    assert_eq!(
        rule.search(&request(), ItemSet::EMPTY, &mut zeros),
        Err(ComposeError::NotInService)
    );
    assert_eq!(draws, 65);
}

#[test]
fn a_hashed_item_is_not_avoided() {
    let rule = prepare("v=ssa1; addr=rand:64; item=hash(src/64)", TWO);
    let item = rule.search(&request(), ItemSet::EMPTY, &mut || 0).unwrap().item();
    let again = rule.search(&request(), ItemSet::EMPTY.with(item), &mut || 0).unwrap();
    assert_eq!(again.item(), item);
}

#[test]
fn an_address_without_work_needs_one_try() {
    let rule = prepare("v=ssa1; addr=rand:64", TWO);
    let mut search = rule.search(&request(), ItemSet::EMPTY, &mut || 5).unwrap();
    assert_eq!(search.tries(), 0);
    let found = rule.advance(&mut search, &request(), 1, &mut || 5).unwrap();
    let destination: Destination = Destination("2001:db8:5::5".parse().unwrap());
    assert_eq!((found, search.tries()), (ssa_rules::Progress::Found(destination), 1));
}

#[test]
fn a_rule_says_what_leaves_a_choice() {
    for (record, computes_item, leads_at_random, deciding_bits) in [
        ("v=ssa1; addr=rand:64", false, true, 0),
        ("v=ssa1; addr=rand:64; item=rand", false, true, 0),
        ("v=ssa1; addr=rand:8 hash(src/64):56", false, true, 0),
        (
            "v=ssa1; addr=hash(src/64):20 rand:44; item=hash(src/64)",
            true,
            false,
            20,
        ),
        ("v=ssa1; addr=const(1):4 rand:60", false, false, 0),
        (
            "v=ssa1; addr=const(1):4 src[0:8] hash(src/64):12 rand:4 hash(port):36",
            false,
            false,
            20,
        ),
        ("v=ssa1; addr=src[0:64]", false, false, 64),
    ] {
        let rule = prepare(record, TWO);
        assert_eq!(
            (rule.computes_item(), rule.leads_at_random(), rule.deciding_bits()),
            (computes_item, leads_at_random, deciding_bits),
            "{record}"
        );
    }
}
