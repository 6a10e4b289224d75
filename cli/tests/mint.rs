//! `ssa mint`: keys lead where they should, and what leads nowhere is told.

mod support;

use support::{APL, HASHED, SOURCE, ssa};

const RULE: &str = "v=ssa1; addr=hash(obj):12 const(0):52; replicas=2";
const HOME: &str = "2001:db8:5:0:a000::/68";

fn mint(more: &[&str]) -> support::Run {
    ssa(&[&["mint", "--apl", APL, "--rule", RULE], more].concat())
}

#[test]
fn minted_keys_are_composed_home() {
    let run = mint(&["--home", HOME, "--prefix", "session-", "--count", "20"]).exits(0);
    let keys = run.lines();
    assert_eq!(keys.len(), 20);
    for key in keys {
        assert!(key.starts_with("session-"), "{key}");
        let composed = ssa(&[
            "compose",
            "--apl",
            APL,
            "--rule",
            RULE,
            "--source",
            SOURCE,
            "--object",
            key,
            "--replica",
            "all",
        ]);
        let composed = composed.exits(0);
        assert!(
            composed
                .lines()
                .iter()
                .any(|address| address.starts_with("2001:db8:5:0:a")),
            "{key}: {composed:?}"
        );
    }
}

#[test]
fn a_seed_mints_the_same_and_json_says_all() {
    let args = ["--home", HOME, "--seed", "7"];
    let plain = mint(&args).exits(0);
    assert_eq!(mint(&args).exits(0).stdout, plain.stdout);
    let json = mint(&[&args[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(json["home"], HOME);
    assert_eq!(json["keys"][0]["key"].as_str(), plain.lines().first().copied());
    assert!(
        json["keys"][0]["address"]
            .as_str()
            .is_some_and(|address| address.starts_with("2001:db8:5:0:a")),
        "{json}"
    );
    let verbose = mint(&[&args[..], &["--verbose"]].concat()).exits(0);
    verbose.prints(&["  2001:db8:5:0:a", "  replica ", "  tries "]);
}

#[test]
fn what_leads_nowhere_is_told_with_what_is_allowed() {
    mint(&["--home", "2001:db8:6::/68"])
        .exits(2)
        .tells(&["--home: 2001:db8:6::/68 lies in no positive item"]);
    mint(&["--home", "2001:db8:5::/90"])
        .exits(2)
        .tells(&["--home: the slice is 26 bits longer than its item; at most 24"]);
    mint(&["--home", "2001:db8:5::1/68"])
        .exits(2)
        .tells(&["--home: 2001:db8:5::1/68 has bits set past its length; write 2001:db8:5::/68"]);
    mint(&["--home", "x", "--count", "0", "--prefix", &"p".repeat(257)])
        .exits(2)
        .tells(&[
            "--home: `x` is not an IPv6 prefix",
            "--count: `0` is not a number from 1 to 10000",
            "--prefix: the prefix of the key has 257 bytes; at most 256 are allowed",
        ]);
    mint(&[]).exits(2).tells(&["--home: missing"]);
    // Bits that are always zero.
    mint(&["--home", "2001:db8:5:0:8::/77"])
        .exits(1)
        .tells(&["none of 524288 keys leads to 2001:db8:5:0:8::/77"]);
    let by_source = ["mint", "--apl", APL, "--rule", HASHED, "--home", HOME];
    ssa(&by_source)
        .exits(1)
        .tells(&["record: no key leads anywhere: the record does not depend on the object key"]);
    let with =
        |rule: &str, more: &[&str]| ssa(&[&["mint", "--apl", APL, "--rule", rule, "--home", HOME], more].concat());
    with("v=ssa1; addr=hash(obj,src/64):12 const(0):52", &[])
        .exits(2)
        .tells(&["--source: missing; the record needs it"]);
    with("v=ssa1; addr=hash(obj,src/64):12 const(0):52", &["--source", SOURCE]).exits(0);
    with("v=ssa1; addr=hash(obj,chunk,port):12 const(0):52", &[])
        .exits(2)
        .tells(&["--chunk: missing", "--port: missing"]);
    with("v=ssa1; addr=hash(obj):12 mac(obj):52; key=k1", &[])
        .exits(2)
        .tells(&["--secret: the record has a mac"]);
    with("v=ssa1; addr=obj[64:128]", &[]).exits(0);
    with("v=ssa1; addr=obj[64:128]", &["--prefix", "a"])
        .exits(2)
        .tells(&["--prefix: must be empty"]);
    with("v=ssa1; addr=hash(obj):3 rand:61", &[])
        .exits(2)
        .tells(&["draws all but the first 3 at random"]);
    mint(&["--home", HOME, "--source", "::"])
        .exits(2)
        .tells(&["--source: :: is the unspecified address"]);
}
