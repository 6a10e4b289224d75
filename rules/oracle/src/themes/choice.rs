//! Section 3.5: what a client may choose.

use super::*;

const TWO: &str = "2:2001:db8:5::/64 2:2001:db8:6::/64";
const THREE: &str = "2:2001:db8:5::/64 2:2001:db8:6::/64 2:fd00:7::/64";
const HOME: &str = "2001:db8:77::1";

/// The items, sources and failures of a client.
#[derive(Clone, Copy, Default)]
struct On<'a> {
    source: Option<&'a str>,
    sources: &'a [(&'a str, &'a str)],
    failed: &'a [(&'a str, u32, &'a str)],
}

impl Cases {
    /// A choice, and how many outcomes it has.
    fn choose(&mut self, note: &str, rule: &str, apl: &str, on: On<'_>, outcomes: usize) -> Vec<(String, String)> {
        let mut case = who().keys();
        case.remove("source");
        case.insert("rule".into(), json!(rule));
        case.insert("apl".into(), json!(apl));
        if let Some(source) = on.source {
            case.insert("source".into(), json!(source));
        }
        let own = |(item, source): &(&str, &str)| json!({"item": item, "source": source});
        case.insert("sources".into(), on.sources.iter().map(own).collect());
        let failed = |(item, replica, address): &(&str, u32, &str)| json!({"item": item, "replica": replica, "address": address});
        case.insert("failed".into(), on.failed.iter().map(failed).collect());
        self.push(note, "choose", case, None);
        let expect = self.0.last().unwrap()["expect"].as_array().unwrap();
        assert_eq!(expect.len(), outcomes, "{note}: {rule}: {expect:?}");
        let word = |outcome: &Value, key: &str| outcome[key].as_str().unwrap().to_string();
        let both = |outcome: &Value| (word(outcome, "address"), word(outcome, "source"));
        expect.iter().map(both).collect()
    }
}

/// A client with one source for all items.
fn home() -> On<'static> {
    On {
        source: Some(HOME),
        ..On::default()
    }
}

pub(super) fn choice() -> Cases {
    let mut c = Cases::default();
    sources(&mut c);
    failures(&mut c);
    shadows(&mut c);
    c
}

fn sources(c: &mut Cases) {
    let hashed = "v=ssa1; addr=hash(src/128):20 const(0):44";
    c.choose("3.5.1: one source may serve all", hashed, A, home(), 1);
    let near = c.choose("3.5.3: near: the item of 3.1", hashed, THREE, home(), 2);
    assert!(near.iter().all(|(address, _)| !address.starts_with("fd00")), "ties");
    let all = format!("{hashed}; item=rand");
    c.choose("3.5.3: rand: any item", &all, THREE, home(), 3);
    for rule in [hashed, &all] {
        c.choose("3.5.1: no source, no item", rule, TWO, On::default(), 0);
    }

    let own: &[(&str, &str)] = &[
        ("2001:db8:5::/64", "2001:db8:77::5"),
        ("2001:db8:6::/64", "2001:db8:77::6"),
    ];
    let on = On {
        sources: own,
        ..On::default()
    };
    for (address, source) in c.choose("3.5.3: the address is for the item's own source", &all, TWO, on, 2) {
        assert_eq!(address.starts_with("2001:db8:5"), source.ends_with("::5"), "{address}");
    }
    for (address, _) in c.choose("3.5.1: an item without a source is passed over", &all, THREE, on, 2) {
        assert!(address.starts_with("2001"), "{address}");
    }
    c.choose(
        "3.5.1: an item without a source is passed over, with near too",
        hashed,
        "2:2001:db8:77::/64 2:fd00:7::/64",
        On {
            sources: &[("fd00:7::/64", "2001:db8:77::1")],
            ..On::default()
        },
        1,
    );
    let mixed = On {
        source: Some(HOME),
        sources: &[("fd00:7::/64", "fd00:1::7")],
        ..On::default()
    };
    c.choose("3.5.1: its own source, or that of all", &all, THREE, mixed, 3);
    let near = c.choose(
        "3.5.3: near: the first source that reaches its item",
        hashed,
        THREE,
        mixed,
        1,
    );
    assert_eq!(near[0].1, "fd00:1::7");
    // Neither source is nearest to the item that it reaches: the last decides.
    let crossed = On {
        sources: &[("fd00:7::/64", "2001:db8:5::9"), ("2001:db8:5::/64", "fd00:7::9")],
        ..On::default()
    };
    let near = c.choose(
        "3.5.3: near: the item chosen last, with its own source",
        hashed,
        "2:2001:db8:5::/64 2:fd00:7::/64",
        crossed,
        1,
    );
    assert!(near[0].0.starts_with("fd00:7:"), "{near:?}");
    assert_eq!(near[0].1, "2001:db8:5::9");

    // Where the item is a hash of the source, both must agree.
    let by_hash = "v=ssa1; addr=hash(src/128):20 const(0):44; item=hash(src/128)";
    let one = c.choose("3.5.3: hash: one source", by_hash, THREE, home(), 1);
    let mut agreeing = 0;
    for last in 1..=9 {
        let texts: Vec<String> = ["5", "6", "7"]
            .iter()
            .map(|item| format!("2001:db8:77::{item}{last}"))
            .collect();
        let sources = [
            ("2001:db8:5::/64", texts[0].as_str()),
            ("2001:db8:6::/64", texts[1].as_str()),
            ("fd00:7::/64", texts[2].as_str()),
        ];
        let on = On {
            sources: &sources,
            ..On::default()
        };
        let usable = usable(by_hash, THREE).unwrap();
        let agrees = sources.iter().any(|(item, source)| {
            let mut values = client(&Value::Object(who().keys())).values;
            values.source = address(source);
            let winner = groups(&usable, &values).unwrap()[0][0];
            text(winner.address) == item.trim_end_matches("/64")
        });
        agreeing += usize::from(agrees);
        let note = if agrees {
            "3.5.3: hash: a source that reaches the item chosen for it"
        } else {
            "3.5.3: hash: no source reaches the item chosen for it: an error"
        };
        c.choose(note, by_hash, THREE, on, usize::from(agrees));
    }
    assert!((1..9).contains(&agreeing), "{agreeing} of 9 agree");
    let item = if one[0].0.starts_with("fd00") {
        "fd00:7::/64"
    } else {
        &one[0].0[..10]
    };
    let elsewhere = if item == "fd00:7::/64" {
        "2001:db8:5::/64"
    } else {
        "fd00:7::/64"
    };
    c.choose(
        "3.5.3: with hash no item is passed over",
        by_hash,
        THREE,
        On {
            sources: &[(elsewhere, HOME)],
            ..On::default()
        },
        0,
    );
    for rule in [
        "v=ssa1; addr=obj[0:64]",
        "v=ssa1; addr=mac(src/64):64; key=nobody-has-it",
    ] {
        let mut blind = who().blind().keys();
        blind.insert("rule".into(), json!(rule));
        blind.insert("apl".into(), json!(A));
        c.push(
            "3.5: what cannot be composed is not chosen",
            "choose",
            blind,
            Some(json!([])),
        );
    }
}

fn failures(c: &mut Cases) {
    let replicas = "v=ssa1; addr=hash(src/128):20 const(0):44; replicas=4";
    let all = c.choose("3.5.4: any replica", replicas, A, home(), 4);
    let failed = |numbers: &[u32]| -> Vec<(&'static str, u32, &'static str)> {
        numbers
            .iter()
            .map(|number| ("2001:db8:5::/64", *number, "2001:db8:5::"))
            .collect()
    };
    for numbers in [&[0][..], &[3], &[1, 2], &[0, 1, 3], &[2, 2, 2]] {
        let failed = failed(numbers);
        let distinct: HashSet<&u32> = numbers.iter().collect();
        let on = On {
            failed: &failed,
            ..home()
        };
        c.choose(
            "3.5.4: a replica that failed is not taken",
            replicas,
            A,
            on,
            4 - distinct.len(),
        );
    }
    let every = failed(&[0, 1, 2, 3]);
    let on = On {
        failed: &every,
        ..home()
    };
    assert_eq!(c.choose("3.5.4: if all failed, any", replicas, A, on, 4), all);

    // Items.
    let two = "v=ssa1; addr=hash(src/128):20 const(0):44; replicas=2; item=rand";
    c.choose("3.5.4: any replica of any item", two, TWO, home(), 4);
    for (numbers, outcomes) in [
        (&[("2001:db8:5::/64", 0, "2001:db8:5::")][..], 3),
        (
            &[
                ("2001:db8:5::/64", 0, "2001:db8:5::"),
                ("2001:db8:5::/64", 1, "2001:db8:5::"),
            ],
            2,
        ),
        (
            &[
                ("2001:db8:5::/64", 0, "2001:db8:5::"),
                ("2001:db8:6::/64", 1, "2001:db8:6::"),
            ],
            2,
        ),
        (
            &[
                ("2001:db8:5::/64", 0, "2001:db8:5::"),
                ("2001:db8:5::/64", 1, "2001:db8:5::"),
                ("2001:db8:6::/64", 1, "2001:db8:6::"),
            ],
            1,
        ),
        (
            &[
                ("2001:db8:5::/64", 0, "2001:db8:5::"),
                ("2001:db8:5::/64", 1, "2001:db8:5::"),
                ("2001:db8:6::/64", 0, "2001:db8:6::"),
                ("2001:db8:6::/64", 1, "2001:db8:6::"),
            ],
            4,
        ),
    ] {
        let on = On {
            failed: numbers,
            ..home()
        };
        c.choose(
            "3.5.2: an item whose every replica failed is passed over",
            two,
            TWO,
            on,
            outcomes,
        );
    }
    let near = "v=ssa1; addr=hash(src/128):20 const(0):44";
    let by_hash = format!("{near}; item=hash(port)");
    let far = "2:2001:db8:77::/64 2:fd00:7::/64";
    let nearest = ("2001:db8:77::/64", 0, "2001:db8:77::");
    let on = On {
        failed: &[nearest],
        ..home()
    };
    let moved = c.choose("3.5.2: near: the next nearest", near, far, on, 1);
    assert!(moved[0].0.starts_with("fd00"), "{moved:?}");
    let on = On {
        sources: &[("2001:db8:77::/64", HOME)],
        failed: &[nearest],
        ..On::default()
    };
    c.choose(
        "3.5.2: unless no item would be left that can be reached",
        near,
        far,
        on,
        1,
    );
    let before = c.choose("3.5.3: hash: the winner", &by_hash, TWO, home(), 1);
    let on = On {
        failed: &[
            ("2001:db8:5::/64", 0, "2001:db8:5::"),
            ("2001:db8:6::/64", 0, "2001:db8:6::"),
        ],
        ..home()
    };
    let same = c.choose("3.5.3: with hash the item stays", &by_hash, TWO, on, 1);
    assert_eq!(same, before);
    let on = On {
        failed: &on.failed[..1],
        ..home()
    };
    assert_eq!(
        c.choose("3.5.3: with hash the item stays", &by_hash, TWO, on, 1),
        before
    );

    // Random bits.
    let drawn = "v=ssa1; addr=rand:3";
    let hosts = "2:2001:db8:5::/125";
    let addresses = c.choose("3.5.6: any address", drawn, hosts, home(), 8);
    let on = On {
        failed: &[("2001:db8:5::/125", 0, "2001:db8:5::3")],
        ..home()
    };
    let left = c.choose("3.5.6: an address that failed is drawn again", drawn, hosts, on, 7);
    assert!(left.iter().all(|(address, _)| address != "2001:db8:5::3"));
    let every: Vec<(&str, u32, &str)> = addresses
        .iter()
        .map(|(address, _)| ("2001:db8:5::/125", 0, address.as_str()))
        .collect();
    let on = On {
        failed: &every,
        ..home()
    };
    c.choose("3.5.6: if all failed, any", drawn, hosts, on, 8);
    // The same address may have failed under another item's number: only the address counts.
    let later = "v=ssa1; addr=const(1):61 rand:3";
    let on = On {
        failed: &[("2001:db8:5::/64", 0, "2001:db8:5::8")],
        ..home()
    };
    c.choose("3.5.6: only if the first field is rand", later, A, on, 8);
    let pair = On {
        failed: &[
            ("2001:db8:5::/126", 0, "2001:db8:5::1"),
            ("2001:db8:5::8/126", 0, "2001:db8:5::9"),
        ],
        ..home()
    };
    c.choose(
        "3.5.6: item and address are drawn again",
        "v=ssa1; addr=rand:2; item=rand",
        "2:2001:db8:5::/126 2:2001:db8:5::8/126",
        pair,
        6,
    );
}

fn shadows(c: &mut Cases) {
    // An item that negated ones cover.
    let covered = "2:2001:db8:77::/64 !2:2001:db8:77::/65 !2:2001:db8:77:0:8000::/65 2:fd00:7::/64";
    let moved = c.choose(
        "3.5.5: an item with no address in the service is passed over",
        "v=ssa1; addr=rand:2 const(0):62",
        covered,
        home(),
        4,
    );
    assert!(
        moved.iter().all(|(address, _)| address.starts_with("fd00")),
        "{moved:?}"
    );
    c.choose(
        "3.5.5: no item is left",
        "v=ssa1; addr=rand:2 const(0):62",
        "2:2001:db8:77::/64 !2:2001:db8:77::/65 !2:2001:db8:77:0:8000::/65",
        home(),
        0,
    );
    let on = On {
        sources: &[("2001:db8:77::/64", HOME)],
        ..On::default()
    };
    c.choose(
        "3.5.5: no item is left that can be reached",
        "v=ssa1; addr=rand:2 const(0):62",
        covered,
        on,
        0,
    );
    let half = "2:2001:db8:77::/64 !2:2001:db8:77::/65";
    c.choose(
        "3.5.5: an address in the service is found",
        "v=ssa1; addr=rand:2 const(0):62",
        half,
        home(),
        2,
    );
}
