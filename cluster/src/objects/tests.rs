//! Documents, and what is wrong with them.

use serde_json::{Value, json};

use super::*;

fn told<S: Spec>(spec: impl Into<Value>) -> Vec<String> {
    let spec = spec.into();
    let document = json!({
        "apiVersion": "ssa.dev.example/v1alpha1", "kind": S::KIND.name(), "metadata": {"name": "one"}, "spec": spec
    });
    match Object::<S>::from_value(&document) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// Spoils a spec.
type Change = fn(&mut Value);

fn set(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = json!({"service": "store.example", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}});
    change(&mut spec);
    spec
}

fn moved(prefixes: &[&str]) -> Value {
    json!({"sliceSet": "s", "epoch": 1, "from": "a", "to": "b", "prefixes": prefixes, "reason": "Scale"})
}

#[test]
fn every_fault_is_told_with_its_field() {
    let faults = told::<SliceSetSpec>(set(|spec| {
        spec["service"] = "".into();
        spec["bits"] = 21.into();
        spec["ownership"] = "available".into();
        spec["handover"] = json!({"parallel": 0, "drain": 1});
        spec["allowed"] = json!(["2001:db8::1/64", "192.0.2.0/24"]);
        spec["endpoints"]["list"] = json!([{"name": "A", "address": "192.0.2.1", "weight": -1}]);
    }));
    let wanted = [
        "spec.service: must be 1 to 253 of a-z A-Z 0-9 - _ .",
        "spec.bits: must be an integer from 0 to 20, not 21",
        "spec.ownership: must be one of Available, Exclusive",
        "spec.handover.parallel: must be an integer from 1 to 1024, not 0",
        "spec.handover.drain: unknown field",
        "spec.allowed[0]: must be an IPv6 prefix without bits past its length, such as 2001:db8:5::/64",
        "spec.allowed[1]: must be an IPv6 prefix",
        "spec.endpoints.list[0].name: must be 1 to 253 of a-z 0-9 - .",
        "spec.endpoints.list[0].address: must be an IPv6 address",
        "spec.endpoints.list[0].weight: must be an integer from 0 to 4294967295, not -1",
    ];
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
    for wanted in wanted {
        assert!(
            faults.iter().any(|told| told.starts_with(wanted)),
            "{wanted}: {faults:#?}"
        );
    }
}

#[test]
fn what_no_field_is_to_blame_for_alone_is_told() {
    let of_sets: [(Change, &str); 12] = [
        (|spec| spec["apl"] = "".into(), "spec.apl: "),
        (
            |spec| spec["apl"] = "1:192.0.2.0/24".into(),
            "spec.apl: has no IPv6 item",
        ),
        (
            |spec| spec["apl"] = " ".repeat(4097).into(),
            "spec.apl: has 4097 bytes; there may be at most 4096",
        ),
        (
            |spec| spec["apl"] = "2:2001:db8::/120".into(),
            "spec.bits: slice bits: 14 exceeds the item's 8",
        ),
        (
            |spec| spec["replicas"] = 3.into(),
            "spec.firstFieldBits: is required with more than one replica",
        ),
        (
            |spec| spec["allowed"] = json!(["2001:db8:5::/65"]),
            "spec.allowed: does not cover the item 2001:db8:5::/64",
        ),
        (
            |spec| spec["endpoints"] = json!({}),
            "spec.endpoints: exactly one of selector and list is required",
        ),
        (
            |spec| spec["endpoints"]["selector"] = json!({"a": "b"}),
            "spec.endpoints: exactly one of selector and list is required",
        ),
        (
            |spec| spec["endpoints"] = json!({"selector": {}}),
            "spec.endpoints.selector: has 0 labels; there have to be 1 to 16",
        ),
        (
            |spec| {
                let one = json!({"name": "a", "address": "2001:db8::1"});
                spec["endpoints"]["list"] = json!([one.clone(), one]);
            },
            "spec.endpoints.list[1].name: a is there already",
        ),
        (
            |spec| spec["placement"] = json!({"pinned": [{"prefix": "2001:db8:6::/80", "endpoint": "a"}]}),
            "spec.placement.pinned[0].prefix: 2001:db8:6::/80 lies in no item",
        ),
        (
            |spec| {
                let one = json!({"prefix": "2001:db8:5::/78", "endpoint": "a"});
                spec["placement"] = json!({"pinned": [one.clone(), one]});
            },
            "spec.placement.pinned[1].prefix: 2001:db8:5::/78 is there already",
        ),
    ];
    for (change, wanted) in of_sets {
        let faults = told::<SliceSetSpec>(set(change));
        assert!(
            matches!(&faults[..], [told] if told.starts_with(wanted)),
            "{wanted}: {faults:?}"
        );
    }
    assert_eq!(told::<SliceSetSpec>(set(|_| ())), Vec::<String>::new());
    let of_moves = [
        (moved(&[]), "spec.prefixes: must not be empty"),
        (
            moved(&["2001:db8:5:0:8000::/66", "2001:db8:5:0:8000::/65"]),
            "spec.prefixes[0]: 2001:db8:5:0:8000::/66 lies in 2001:db8:5:0:8000::/65",
        ),
        (
            moved(&["2001:db8:5::/65", "2001:db8:5::/65"]),
            "spec.prefixes[1]: 2001:db8:5::/65 lies in 2001:db8:5::/65",
        ),
    ];
    for (spec, wanted) in of_moves {
        assert_eq!(told::<SliceMoveSpec>(spec), [wanted]);
    }
    let mut same = moved(&["2001:db8:5::/65"]);
    same["to"] = "a".into();
    assert_eq!(told::<SliceMoveSpec>(same), ["spec.to: must differ from spec.from"]);
    let map = json!({
        "sliceSet": "s", "epoch": 1, "part": 2, "parts": 2,
        "endpoints": [{"name": "a", "owned": ["2001:db8::/64"]}, {"name": "a", "standby": ["2001:db8::/64"]},
                      {"name": "b", "owned": ["2001:db8::/65"]}]
    });
    let wanted = [
        "spec.part: must be below spec.parts, 2",
        "spec.endpoints[1].name: a is there already",
        "spec.endpoints[2].owned[0]: 2001:db8::/65 lies in 2001:db8::/64 of a",
    ];
    assert_eq!(told::<SliceMapSpec>(map), wanted);
    let endpoint = json!({"address": "ff02::1", "sliceSets": ["s", "s"], "tunnel": {"address": "::"}});
    let wanted = [
        "spec.sliceSets[1]: s is there already",
        "spec.address: ff02::1 is multicast; wanted is the address of a host that others reach",
        "spec.tunnel.address: :: is loopback, unspecified or IPv4-compatible; wanted is the address of a host that others reach",
    ];
    assert_eq!(told::<SliceEndpointSpec>(endpoint), wanted);
}

#[test]
fn a_document_of_another_kind_is_refused() {
    for (api_version, kind, wanted) in [
        (
            json!("v1"),
            json!("SliceSet"),
            "apiVersion: must be `ssa.dev.example/v1alpha1`",
        ),
        (
            json!("ssa.dev.example/v1alpha1"),
            json!("Pod"),
            "kind: must be `SliceSet`",
        ),
    ] {
        let document = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": set(|_| ())});
        let faults = SliceSet::from_value(&document).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].to_string(), wanted);
    }
    let large = vec![b' '; MAX_BYTES + 1];
    let faults = SliceSet::read(&large).unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "has 1048577 bytes; an object has at most 1048576"
    );
}

#[test]
fn lists_have_bounds_that_are_reached() {
    let prefixes: Vec<String> = (0..=MAX_MOVE_PREFIXES)
        .map(|number| format!("2001:db8:{number:x}::/48"))
        .collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    assert_eq!(told::<SliceMoveSpec>(moved(&prefixes[1..])), Vec::<String>::new());
    let wanted = "spec.prefixes: has 1025 members; there may be at most 1024";
    assert_eq!(told::<SliceMoveSpec>(moved(&prefixes)), [wanted]);
    let names: Vec<String> = (0..=MAX_ENDPOINT_SETS).map(|number| format!("s{number}")).collect();
    let endpoint = json!({"address": "2001:db8::1", "sliceSets": names});
    let wanted = "spec.sliceSets: has 17 members; there may be at most 16";
    assert_eq!(told::<SliceEndpointSpec>(endpoint), [wanted]);
    let epoch = json!({"sliceSet": "s", "epoch": 1_u64 << 53});
    assert_eq!(
        told::<SliceMapSpec>(epoch),
        ["spec.epoch: must be an integer from 0 to 9007199254740991"]
    );
}

#[test]
fn names_that_others_are_made_of_are_shorter() {
    fn named<S: Spec>(length: usize, spec: &Value) -> Vec<String> {
        let document = json!({
            "apiVersion": "ssa.dev.example/v1alpha1", "kind": S::KIND.name(),
            "metadata": {"name": "a".repeat(length)}, "spec": spec,
        });
        let read = Object::<S>::from_value(&document);
        read.map_or_else(
            |faults| faults.iter().map(ToString::to_string).collect(),
            |_| Vec::new(),
        )
    }
    let endpoint = json!({"address": "2001:db8::1"});
    assert_eq!(named::<SliceSetSpec>(233, &set(|_| ())), Vec::<String>::new());
    assert_eq!(named::<SliceEndpointSpec>(237, &endpoint), Vec::<String>::new());
    assert_eq!(
        named::<SliceSetSpec>(234, &set(|_| ())),
        ["metadata.name: has 234 bytes; the name of a SliceSet has at most 233, for others are made of it"]
    );
    assert_eq!(
        named::<SliceEndpointSpec>(238, &endpoint),
        ["metadata.name: has 238 bytes; the name of a SliceEndpoint has at most 237, for others are made of it"]
    );
    // The longest ones that are made of them are names everywhere.
    let most = Epoch::new(Epoch::MAX).unwrap();
    assert_eq!(format!("{}-{most}", "a".repeat(SliceSetSpec::MAX_NAME)).len(), 250);
    let endpoint = Name::new(&"a".repeat(SliceEndpointSpec::MAX_NAME)).unwrap();
    assert_eq!(crate::lease::name(&endpoint).unwrap().len(), 250);
    let listed = set(|spec| spec["endpoints"]["list"] = json!([{"name": "a".repeat(238), "address": "2001:db8::1"}]));
    assert_eq!(
        told::<SliceSetSpec>(listed),
        ["spec.endpoints.list[0].name: has 238 bytes; the name of an endpoint has at most 237"]
    );
}

#[test]
fn messages_are_cut_and_steer_nothing() {
    let message = Message::new(&format!("{}é\n", "a".repeat(1023)));
    assert_eq!(message.as_str().len(), 1023);
    assert_eq!(Message::new("a\nb").as_str(), "a\u{fffd}b");
    let long = "a".repeat(1025);
    let error = serde_json::from_value::<Message>(long.into()).unwrap_err();
    assert_eq!(error.to_string(), "has 1025 bytes; a message has at most 1024");
}

#[test]
fn names_are_those_of_kubernetes() {
    let longest = "a".repeat(253);
    for good in ["a", "a-b.c", "0", "pod-7f9c.example", &longest] {
        assert_eq!(Name::new(good).unwrap().as_str(), good);
    }
    let longer = "a".repeat(254);
    for bad in [
        "", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a/b", "..", "é", &longer,
    ] {
        assert!(Name::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn moments_keep_microseconds_and_four_digits_of_years() {
    for text in [
        "2026-01-31T12:00:00.123456Z",
        "0001-01-01T00:00:00.000000Z",
        "9999-12-30T22:00:00.000000Z",
    ] {
        let moment: Timestamp = text.parse().unwrap();
        assert_eq!(moment.to_string(), text);
        assert_eq!(Timestamp::from_micros(moment.micros()), moment);
    }
    let other: Timestamp = "2026-01-31T13:00:00.1234567+01:00".parse().unwrap();
    assert_eq!(other.to_string(), "2026-01-31T12:00:00.123456Z");
    for bad in [
        "",
        "2026-01-31",
        "now",
        "2026-01-31T12:00:00",
        "-000001-01-01T00:00:00Z",
    ] {
        assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
    }
    for micros in [i64::MIN, i64::MAX] {
        let text = Timestamp::from_micros(micros).to_string();
        assert!(text.parse::<Timestamp>().is_ok(), "{text}");
    }
}

#[test]
fn prefixes_outside_what_is_allowed_are_known() {
    let of = |value| -> SliceSetSpec { serde_json::from_value(value).unwrap() };
    let prefix = |text: &str| text.parse::<Prefix>().unwrap();
    let by_items = of(set(|_| ()));
    assert!(by_items.allows(prefix("2001:db8:5::/70")) && by_items.allows(prefix("2001:db8:5::/64")));
    assert!(!by_items.allows(prefix("2001:db8::/32")) && !by_items.allows(prefix("2001:db8:6::/70")));
    let wider = of(set(|spec| spec["allowed"] = json!(["2001:db8::/32"])));
    assert!(wider.allows(prefix("2001:db8:6::/70")) && !wider.allows(prefix("::/0")));
}
