//! What a record says of itself: its inputs, its needs, its address space.

use ssa_rules::{AddressSpace, Apl, Record, record::Needs};

fn record(text: &str) -> Record {
    text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn space(text: &str) -> AddressSpace {
    let apl: Apl = text.parse().expect("a list");
    AddressSpace::new(&apl).expect("a space").expect("items of family 2")
}

#[test]
fn inputs_are_those_of_the_fields_then_of_the_item() {
    let record = record("v=ssa1; addr=hash(src/64):20 rand:10 mac(obj,time/30):34; item=hash(chunk); key=k1");
    let inputs: Vec<String> = record.inputs().map(ToString::to_string).collect();
    assert_eq!(inputs, ["src/64", "obj,time/30", "chunk"]);
}

#[test]
fn each_need_has_its_causes() {
    let none = Needs::default();
    let source = Needs { source: true, ..none };
    let object = Needs { object: true, ..none };
    let number = Needs { number: true, ..object };
    let chunk = Needs { chunk: true, ..none };
    let time = Needs { time: true, ..none };
    let port = Needs { port: true, ..none };
    let key = Needs { key: true, ..object };
    let pow = Needs { port: true, ..time };
    let client_key = Needs { source: true, ..key };
    for (rest, expected) in [
        ("addr=-", none),
        ("addr=rand:64", none),
        ("addr=const(5):64; item=rand", none),
        ("addr=src[0:64]", source),
        ("addr=hash(src/64):64", source),
        ("addr=rand:64; item=hash(src/48)", source),
        ("addr=obj[64:128]", number),
        ("addr=hash(obj):64", object),
        ("addr=rand:64; item=hash(obj)", object),
        ("addr=hash(chunk):64", chunk),
        ("addr=hash(time/30):64", time),
        ("addr=hash(port):64", port),
        ("addr=rand:64; pow=8", pow),
        ("addr=mac(obj):64; key=k1", key),
        ("addr=mac(obj):64; key=k1; kdf=src/64", client_key),
    ] {
        assert_eq!(record(&format!("v=ssa1; {rest}")).needs(), expected, "{rest}");
    }
}

#[test]
fn open_is_every_field_rand_no_hashed_item_and_no_pow() {
    for (rest, open) in [
        ("addr=-", true),
        ("addr=rand:64", true),
        ("addr=rand:64; item=rand", true),
        ("addr=rand:32 rand:32; salt=a", true),
        ("addr=rand:63 const(0):1", false),
        ("addr=hash(src/64):20 rand:44", false),
        ("addr=rand:64; item=hash(src/64)", false),
        ("addr=rand:64; pow=8", false),
    ] {
        assert_eq!(record(&format!("v=ssa1; {rest}")).is_open(), open, "{rest}");
    }
}

#[test]
fn the_published_space_wins_over_the_records_own() {
    let published = space("2:2001:db8:5::/64");
    let with_own = record("v=ssa1; addr=rand:64; apl=2:2001:db8:6::/64");
    let without = record("v=ssa1; addr=rand:64");
    assert_eq!(with_own.space(Some(&published)).as_deref(), Some(&published));
    assert_eq!(with_own.space(None).as_deref(), Some(&space("2:2001:db8:6::/64")));
    assert_eq!(without.space(Some(&published)).as_deref(), Some(&published));
    assert_eq!(without.space(None), None);
}

#[test]
fn a_fault_is_named_with_and_without_its_byte() {
    let error = "v=ssa1; addr=rand:20 hash(what):44; salt=?"
        .parse::<Record>()
        .unwrap_err();
    let names: Vec<String> = error
        .faults
        .iter()
        .map(|fault| fault.location.name().to_string())
        .collect();
    assert_eq!(names, ["addr[1]", "salt"]);
    assert_eq!(error.faults[1].location.to_string(), "salt at byte 41");
    let error = "nothing".parse::<Record>().unwrap_err();
    assert!(error.faults.iter().all(|fault| fault.location.name().to_string() != ""));
}
