use std::{
    net::Ipv6Addr,
    sync::atomic::{AtomicU64, Ordering},
};

use ssa_rules::{
    AddressSpace, ClientKey, Destination, Flow, ItemSource, Key, Limits, Port, Record, Rule, Secret, Source, UnixTime,
    Verdict,
};

use super::{
    wire::tests::{opt, query},
    *,
};
use ssa_testing::Draw;

pub(super) const NOW: Now = Now {
    time: UnixTime(1_790_000_017),
    daemon: 1000,
};
pub(super) const QUERIER: &str = "2001:db8:77:1::7";

/// Returns who asks from an address; loopback is this host.
pub(super) fn querier(text: &str) -> Querier {
    let address: std::net::IpAddr = text.parse().unwrap();
    Querier {
        address,
        is_host: address.is_loopback(),
    }
}

fn prepared(rule: &str, list: &str, key: &Key) -> Rule {
    let record: Record = rule.parse().unwrap();
    let space = AddressSpace::new(&list.parse().unwrap()).unwrap().unwrap();
    Rule::prepare(&record, Some(&space), key).unwrap()
}

fn own(item: &str, source: &str) -> ItemSource {
    ItemSource {
        item: item.parse().unwrap(),
        source: source.parse().unwrap(),
    }
}

fn entry(rules: &[&str], key: &Key) -> ComposeEntry {
    let list = "2:2001:db8:5::/64 2:2001:db8:7::/64 !2:2001:db8:6::/120";
    ComposeEntry {
        rules: rules.iter().map(|rule| prepared(rule, list, key)).collect(),
        sources: vec![
            own("2001:db8:5::/64", "2001:db8:1::5"),
            own("2001:db8:7::/64", "2001:db8:1::7"),
        ],
        port: Some(443),
        own_keys: matches!(key, Key::Client(_)),
        is_stale: false,
        fresh_until: Arc::new(AtomicU64::new(1100)),
        limits: crate::config::default_limits(),
    }
}

/// Returns the entries of web.demo.test under one rule.
pub(super) fn entries(rule: &str) -> HashMap<Vec<u8>, ComposeEntry> {
    let name = key(&ssa_dns::name("Web.demo.test").unwrap());
    HashMap::from([(name, entry(&[rule], &Key::None))])
}

fn compose(entry: &ComposeEntry, from: &str) -> Option<(Ipv6Addr, u32)> {
    thread_local! {
        // Each test has a thread of its own, and each call other draws.
        static CALLS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
    CALLS.set(CALLS.get() + 1);
    let mut random = Draw::seeded(CALLS.get());
    entry.compose(querier(from).whose()?, NOW, &mut || random.bits())
}

fn verdict(entry: &ComposeEntry, source: &str, address: Ipv6Addr) -> Verdict {
    let flow = Flow {
        source: Source(source.parse().unwrap()),
        destination: Destination(address),
        object: None,
        chunk: None,
        port: Some(Port(443)),
        time: NOW.time,
    };
    entry.rules[0].verify(&flow).unwrap()
}

#[test]
fn addresses_are_composed_for_the_querier() {
    let key = Key::Secret(Secret::new([7; 16]));
    for rule in [
        "v=ssa1; addr=rand:64",
        "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4",
        "v=ssa1; addr=hash(src/64,time/30):64; item=hash(src/64)",
        "v=ssa1; addr=mac(src/64):40 rand:24; key=k1; kdf=src/64",
        "v=ssa1; addr=hash(src/128,port):40 rand:24; pow=6",
    ] {
        let entry = entry(&[rule], &key);
        let mut met = std::collections::HashSet::new();
        for _ in 0..40 {
            let (address, _) = compose(&entry, QUERIER).unwrap();
            assert!(
                matches!(verdict(&entry, QUERIER, address), Verdict::Conforming(_)),
                "{rule}"
            );
            met.insert(address);
        }
        assert!(met.len() > 20 || !rule.contains("rand"), "{rule}");
    }
}

#[test]
fn replicas_are_taken_at_random() {
    let entry = entry(&["v=ssa1; addr=hash(src/128):64; replicas=4"], &Key::None);
    let met: std::collections::HashSet<_> = (0..200).map(|_| compose(&entry, QUERIER).unwrap().0).collect();
    assert!(met.len() >= 4, "{met:?}");
}

#[test]
fn this_host_is_told_by_the_sources_that_it_uses() {
    for rule in [
        "v=ssa1; addr=hash(src/128):64",
        "v=ssa1; addr=hash(src/128):64; item=rand",
        "v=ssa1; addr=rand:64",
    ] {
        let mut entry = entry(&[rule], &Key::None);
        for querier in ["::1", "127.0.0.1"] {
            let (address, _) = compose(&entry, querier).unwrap();
            let own = entry.sources.iter().find(|own| own.item.contains(&address)).unwrap();
            let verdict = verdict(&entry, &own.source.to_string(), address);
            assert!(matches!(verdict, Verdict::Conforming(_)), "{rule}");
        }
        entry.sources.clear();
        assert_eq!(compose(&entry, "::1"), None);
    }
}

#[test]
fn items_that_this_host_cannot_reach_are_passed_over() {
    for rule in ["v=ssa1; addr=rand:64; item=rand", "v=ssa1; addr=hash(src/128):64"] {
        let mut entry = entry(&[rule], &Key::None);
        entry.sources.truncate(1);
        for _ in 0..40 {
            let (address, _) = compose(&entry, "::1").unwrap();
            assert!(entry.sources[0].item.contains(&address), "{rule}: {address}");
        }
    }
}

#[test]
fn records_ask_for_as_much_as_the_operator_says() {
    for (rule, limits, composed) in [
        ("v=ssa1; addr=rand:64; pow=5", [4, 1], false),
        ("v=ssa1; addr=rand:64; pow=5", [5, 1], true),
        ("v=ssa1; addr=rand:64; pow=1", [0, 1], false),
        ("v=ssa1; addr=hash(src/64,time/29):64", [0, 30], false),
        ("v=ssa1; addr=hash(src/64,time/30):64", [0, 30], true),
        ("v=ssa1; addr=hash(src/64):64", [0, 86_400], true),
    ] {
        let mut entry = entry(&[rule], &Key::None);
        entry.limits = Limits {
            max_pow: u8::try_from(limits[0]).unwrap(),
            min_time_step: limits[1],
        };
        assert_eq!(compose(&entry, QUERIER).is_some(), composed, "{rule} under {limits:?}");
    }
}

#[test]
fn what_cannot_be_composed_is_not() {
    let none = Key::None;
    let client = Key::Client(ClientKey::new([7; 16]));
    let keyed = "v=ssa1; addr=mac(src/64):64; key=k1; kdf=src/64";
    let cases = [
        (entry(&["v=ssa1; addr=hash(obj):64"], &none), QUERIER),
        (entry(&["v=ssa1; addr=hash(src/64,chunk):64"], &none), QUERIER),
        (entry(&["v=ssa1; addr=rand:64; pow=13"], &none), QUERIER),
        (entry(&["v=ssa1; addr=rand:64; from=1790000018"], &none), QUERIER),
        (entry(&[keyed], &none), QUERIER),
        (entry(&[keyed], &client), QUERIER),
        (entry(&["v=ssa1; addr=rand:64"], &none), "192.0.2.1"),
        (entry(&["v=ssa1; addr=rand:64"], &none), "fe80::1"),
        (entry(&["v=ssa1; addr=rand:64"], &none), "::ffff:192.0.2.1"),
        (entry(&[], &none), QUERIER),
    ];
    for (number, (entry, querier)) in cases.iter().enumerate() {
        assert_eq!(compose(entry, querier), None, "case {number}");
    }
    let mut without_port = entry(&["v=ssa1; addr=hash(port):64"], &none);
    assert!(compose(&without_port, QUERIER).is_some());
    without_port.port = None;
    assert_eq!(compose(&without_port, QUERIER), None);
    // A key of this host's own is good for this host.
    assert!(compose(&entry(&[keyed], &client), "::1").is_some());
}

#[test]
fn answers_hold_no_longer_than_what_they_rest_on() {
    let ttl = |rules: &[&str]| compose(&entry(rules, &Key::None), QUERIER).unwrap().1;
    assert_eq!(ttl(&["v=ssa1; addr=rand:64"]), 100);
    assert_eq!(ttl(&["v=ssa1; addr=hash(time/30):64"]), 23);
    assert_eq!(ttl(&["v=ssa1; addr=rand:64; pow=4"]), 23);
    let later = "v=ssa1; addr=hash(src/64):64; from=1790000024";
    assert_eq!(ttl(&[later, "v=ssa1; addr=rand:64"]), 7);
    let fresh = |until| {
        let mut entry = entry(&["v=ssa1; addr=rand:64"], &Key::None);
        entry.fresh_until.store(until, Ordering::Relaxed);
        let fresh = compose(&entry, QUERIER).unwrap().1;
        entry.is_stale = true;
        (fresh, compose(&entry, QUERIER).unwrap().1)
    };
    // What is stale is told for half a minute (RFC 8767 §4).
    assert_eq!(
        (fresh(900), fresh(1003), fresh(u64::MAX)),
        ((0, 30), (3, 30), (300, 300))
    );
}

#[test]
fn each_query_has_its_decision() {
    let table = Table {
        clients: vec!["2001:db8:77::/48".parse().unwrap()],
        entries: entries("v=ssa1; addr=rand:64"),
        ..Table::default()
    };
    let mut random = Draw::seeded(102);
    let mut decide = |message: &[u8], from: &str| {
        let decision = table.decide(message, querier(from), NOW, &mut || random.bits());
        match decision {
            Decision::Ignore => Outcome::Ignored,
            Decision::Answer(outcome, _) | Decision::Pass(outcome, _) => outcome,
        }
    };
    let asked = query("wEb.demo.TEST", 28, 0, &[]);
    assert_eq!(decide(&asked, QUERIER), Outcome::Composed);
    assert_eq!(decide(&asked, "::1"), Outcome::Composed);
    assert_eq!(decide(&asked, "2001:db8:78::1"), Outcome::Refused);
    assert_eq!(decide(&query("web.demo.test", 1, 0, &[]), QUERIER), Outcome::Passed);
    assert_eq!(decide(&query("other.demo.test", 28, 0, &[]), QUERIER), Outcome::Passed);
    assert_eq!(
        decide(&query("web.demo.test", 28, 1, &opt(0, true, &[])), QUERIER),
        Outcome::Passed
    );
    assert_eq!(decide(&asked[..11], QUERIER), Outcome::Ignored);
    assert_eq!(decide(&asked, "ff02::1"), Outcome::Ignored);
    assert_eq!(decide(&query("demo.test", 252, 0, &[]), QUERIER), Outcome::Refused);
    assert_eq!(decide(&asked[..asked.len() - 1], QUERIER), Outcome::Faulty);
    assert_eq!(decide(&query("x", 0x8000, 0, &[])[..5], QUERIER), Outcome::Ignored);
    let table = Table {
        entries: entries("v=ssa1; addr=hash(obj):64"),
        ..Table::default()
    };
    let published = table.decide(&asked, querier("::1"), NOW, &mut || 7);
    assert!(matches!(published, Decision::Pass(Outcome::Published, _)));
}

/// A host that asks at a global address of its own asks from there, not from loopback.
#[test]
fn this_host_may_ask_from_any_address_of_its_own() {
    let table = Table {
        entries: entries("v=ssa1; addr=hash(src/128):64"),
        ..Table::default()
    };
    let own = Querier {
        address: "2001:db8:0:54::53".parse().unwrap(),
        is_host: true,
    };
    let mut random = Draw::seeded(103);
    let asked = query("web.demo.test", 28, 0, &[]);
    let mut decide = |querier| table.decide(&asked, querier, NOW, &mut || random.bits());
    let Decision::Answer(Outcome::Composed, answer) = decide(own) else {
        panic!()
    };
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(&answer[answer.len() - 16..]).unwrap());
    let entry = table.entries.values().next().unwrap();
    let used = entry.sources.iter().find(|own| own.item.contains(&address)).unwrap();
    assert!(matches!(
        verdict(entry, &used.source.to_string(), address),
        Verdict::Conforming(_)
    ));
    let other = Querier { is_host: false, ..own };
    assert!(matches!(decide(other), Decision::Answer(Outcome::Refused, _)));
}

#[test]
fn any_octets_have_a_decision() {
    let table = Table {
        clients: vec!["::/0".parse().unwrap()],
        entries: entries("v=ssa1; addr=hash(src/64):20 rand:44"),
        ..Table::default()
    };
    let mut random = Draw::seeded(3);
    let seeds = [
        query("web.demo.test", 28, 0, &[]),
        query("web.demo.test", 28, 1, &opt(0, false, b"\0\x0a\0\x08abcdefgh")),
        query("web.demo.test", 252, 1, &opt(0, true, &[])),
        query(
            "web.demo.test",
            1,
            1,
            &opt(0, true, b"\0\x08\0\x04abcd\0\x0a\0\x08abcdefgh"),
        ),
        Vec::new(),
    ];
    let [mut composed, mut passed, mut refused, mut ignored] = [0; 4];
    for step in 0..50_000 {
        let mut message = seeds[step % seeds.len()].clone();
        let mut below = |end: usize| usize::try_from(random.below(u64::try_from(end).unwrap())).unwrap();
        for _ in 0..below(4) {
            let place = below(message.len().max(1));
            match below(4) {
                0 => message.truncate(place),
                1 => message.insert(place.min(message.len()), u8::try_from(below(256)).unwrap()),
                2 => message.extend((0..below(40)).map(|_| u8::try_from(below(256)).unwrap())),
                _ => message
                    .iter_mut()
                    .skip(place)
                    .take(1)
                    .for_each(|byte| *byte = u8::try_from(below(256)).unwrap()),
            }
        }
        let mut draw = || random.bits();
        match table.decide(&message, querier(QUERIER), NOW, &mut draw) {
            Decision::Ignore => ignored += 1,
            Decision::Pass(_, asked) => {
                passed += 1;
                assert!(wire::is_query(&asked.onward));
                assert_eq!(wire::question(&asked.onward), wire::question(&message));
                assert!(asked.onward.len() <= message.len() && (512..=1232).contains(&asked.limit));
                let failure = wire::failure(&asked.onward, Code::ServerFailure).unwrap();
                assert!(wire::answers(&failure, wire::question(&message)) && failure.len() <= message.len());
            }
            Decision::Answer(Outcome::Composed, answer) => {
                composed += 1;
                assert!(wire::answers(&answer, wire::question(&message)) && answer.len() <= 512);
            }
            Decision::Answer(outcome, answer) => {
                refused += 1;
                assert!(matches!(outcome, Outcome::Faulty | Outcome::Refused));
                // Nobody is sent more than came under his name.
                assert!(!wire::is_query(&answer) && answer.len() <= message.len());
            }
        }
    }
    assert!(
        composed > 5000 && passed > 1000 && refused > 5000 && ignored > 5000,
        "{composed} {passed} {refused} {ignored}"
    );
}
