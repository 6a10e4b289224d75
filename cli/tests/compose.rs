//! `ssa compose` on good and bad input.

mod support;

use support::{APL, HASHED, MACED, SECRET_HEX, SOURCE, file, ssa, text, verify};

fn compose(rule: &str, more: &[&str]) -> support::Run {
    ssa(&[&["compose", "--apl", APL, "--rule", rule, "--source", SOURCE], more].concat())
}

#[test]
fn an_address_is_all_that_is_printed() {
    let run = compose(HASHED, &[]).exits(0);
    assert_eq!(run.lines().len(), 1);
    assert!(run.stdout.starts_with("2001:db8:5:0:f28c:"), "{}", run.stdout);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_seed_makes_it_reproducible() {
    let draw = |seed| compose(HASHED, &["--count", "5", "--seed", seed]).exits(0).stdout;
    assert_eq!(draw("7"), draw("7"));
    assert_ne!(draw("7"), draw("8"));
}

#[test]
fn system_bits_differ_from_draw_to_draw() {
    let run = compose("v=ssa1; addr=rand:64", &["--count", "300"]).exits(0);
    let distinct: std::collections::BTreeSet<&str> = run.lines().into_iter().collect();
    assert_eq!(distinct.len(), 300);
}

#[test]
fn all_replicas_lie_evenly_around_the_space() {
    let rule = "v=ssa1; addr=hash(obj):20 const(0):44; replicas=4";
    let json = compose(rule, &["--object", "a", "--replica", "all", "--json"])
        .exits(0)
        .json();
    let field = |index: usize| {
        let address: std::net::Ipv6Addr = json["addresses"][index]["address"].as_str().unwrap().parse().unwrap();
        u128::from(address) >> 44 & 0xf_ffff
    };
    for replica in 0..4 {
        assert_eq!(json["addresses"][replica]["replica"], replica);
        assert_eq!(field(replica), (field(0) + 0x4_0000 * replica as u128) & 0xf_ffff);
    }
}

#[test]
fn a_random_replica_is_drawn_where_none_is_given() {
    let rule = "v=ssa1; addr=hash(obj):20 const(0):44; replicas=4";
    let run = compose(rule, &["--object", "a", "--count", "100"]).exits(0);
    let distinct: std::collections::BTreeSet<&str> = run.lines().into_iter().collect();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn the_greatest_from_not_after_the_time_counts() {
    let later = "v=ssa1; addr=const(7):64; from=1000";
    let at = |time| {
        let args = [
            "compose",
            "--apl",
            APL,
            "--rule",
            "v=ssa1; addr=const(1):64",
            "--rule",
            later,
        ];
        ssa(&[&args[..], &["--source", SOURCE, "--time", time]].concat())
            .exits(0)
            .stdout
    };
    assert_eq!(at("999"), "2001:db8:5::1\n");
    assert_eq!(at("1000"), "2001:db8:5::7\n");
    compose(later, &["--time", "999"])
        .exits(1)
        .tells(&["none is in force at 999, the first from 1000"]);
}

#[test]
fn json_gives_address_item_replica_and_record() {
    let json = compose(HASHED, &["--json", "--time", "5"]).exits(0).json();
    assert_eq!(json["record"], HASHED);
    assert_eq!(json["from"], 0);
    assert_eq!(json["time"], 5);
    assert_eq!(json["source"], SOURCE);
    assert_eq!(json["addresses"][0]["item"], APL.trim_start_matches("2:"));
    assert_eq!(json["addresses"][0]["replica"], 0);
    assert_eq!(json["addresses"][0]["tries"], 1);
}

#[test]
fn a_proof_of_work_is_found_and_verified() {
    let rule = "v=ssa1; addr=hash(src/48):20 rand:44; pow=8";
    let more = ["--port", "443", "--time", "1000"];
    let address = compose(rule, &more).exits(0).stdout;
    verify(rule, address.trim(), &more).exits(0);
}

#[test]
fn secrets_come_from_flag_or_file() {
    let by_flag = compose(MACED, &["--secret", &format!("k1={SECRET_HEX}")])
        .exits(0)
        .stdout;
    let content = format!("# keys\n\nk0={}\n  k1 = {SECRET_HEX}  \n", "0".repeat(32));
    let keys = file("compose_keys.txt", &content);
    let by_file = compose(MACED, &["--secret-file", text(&keys)]).exits(0).stdout;
    assert_eq!(by_flag, by_file);
    compose(MACED, &["--secret", &format!("k2={SECRET_HEX}")])
        .exits(2)
        .tells(&["--secret: missing; k1 is needed, k2 was given"]);
    compose(MACED, &[])
        .exits(2)
        .tells(&["--secret: missing; k1 is needed; give --secret"]);
}

#[test]
fn a_client_key_composes_for_that_client_and_only_with_kdf() {
    let rule = "v=ssa1; addr=mac(src/64):64; key=k1; kdf=src/48";
    let secret: ssa_rules::Secret = SECRET_HEX.parse().unwrap();
    let source = ssa_rules::Source(SOURCE.parse().unwrap());
    let own = secret.client_key(ssa_rules::SourceBits::new(48).unwrap(), source);
    let hex = format!("{:032x}", u128::from_be_bytes(*own.expose()));
    let by_own = compose(rule, &["--client-key", &format!("k1={hex}")]).exits(0).stdout;
    let by_secret = compose(rule, &["--secret", &format!("k1={SECRET_HEX}")])
        .exits(0)
        .stdout;
    assert_eq!(by_own, by_secret);
    compose(MACED, &["--client-key", &format!("k1={hex}")])
        .exits(2)
        .tells(&["--secret: missing", "with kdf, --client-key"]);
}

#[test]
fn every_missing_input_is_told_at_once() {
    let rule = "v=ssa1; addr=hash(obj,chunk):20 hash(port):44";
    compose(rule, &[])
        .exits(2)
        .tells(&["--object: missing", "--chunk: missing", "--port: missing"]);
}

#[test]
fn every_fault_of_the_command_line_is_told_at_once() {
    let apl = "2:2001:db8:5::/64 2:zz/3 !2:2001:db8:5:1::/60";
    let rule = "v=ssa1; addr=rand:65 mac(src/64):8; replicas=17";
    let args = [
        "compose",
        "--apl",
        apl,
        "--rule",
        rule,
        "--source",
        "7",
        "--port=65536",
        "--chunk=-1",
    ];
    let more = ["--time", "x", "--replica", "16", "--count", "0", "--seed", "+1"];
    let run = ssa(&[&args[..], &more].concat()).exits(2).tells(&[
        "--source: `7` is not an IPv6 address",
        "--port: `65536` is not a number from 0 to 65535",
        "--chunk: `-1`",
        "--time: `x`",
        "--replica: `16` is not a number from 0 to 15",
        "--count: `0` is not a number from 1 to 1000000",
        "--seed: `+1`",
        "apl[1].address: `zz` is not IPv6",
        "apl[2]: a bit of 2001:db8:5:1:: past length 60 is set",
        "--rule addr[0]: `65` is not a number from 1 to 64",
        "--rule addr[1]: mac of 8 bits",
        "--rule addr: a mac needs the tag key",
        "--rule replicas: `17`",
    ]);
    assert_eq!(run.stdout, "");
}

#[test]
fn an_item_without_its_family_is_told_what_to_write() {
    for (apl, told) in [
        (
            "fd00:5::/64",
            "apl[0]: an item begins with its family; write 2:fd00:5::/64",
        ),
        (
            "2001:db8:5::/64",
            "apl[0]: an item begins with its family; write 2:2001:db8:5::/64",
        ),
        (
            "2:2001:db8:5::/64 !2001:db8:5:0:8000::/65",
            "apl[1]: an item begins with its family; write !2:2001:",
        ),
    ] {
        let run = ssa(&["compose", "--apl", apl, "--rule", HASHED, "--source", SOURCE]);
        run.exits(2).tells(&[told]);
    }
    // Not of a prefix, but of another fault.
    let run = ssa(&[
        "compose",
        "--apl",
        "2:2001:db8:5::/129",
        "--rule",
        HASHED,
        "--source",
        SOURCE,
    ]);
    run.exits(2).tells(&["apl[0].length: `129`"]);
}

#[test]
fn carets_stand_under_the_fault() {
    let run = compose("v=ssa1; addr=rand:65", &[]).exits(2);
    let lines: Vec<&str> = run.stderr.lines().collect();
    let shown = lines.iter().position(|line| line.contains("addr=rand:65")).unwrap();
    let column = lines[shown].find("65").unwrap();
    assert_eq!(lines[shown + 1], format!("{}^^", " ".repeat(column)));
}

#[test]
fn a_fault_far_into_a_long_record_is_shown() {
    let rule = format!("v=ssa1; x-note={}; addr=rand:65", "n".repeat(400));
    let run = compose(&rule, &[]).exits(2);
    assert!(run.stderr.lines().all(|line| line.len() < 160), "{}", run.stderr);
    assert!(run.stderr.contains("addr=rand:65"), "{}", run.stderr);
}

#[test]
fn a_record_that_does_not_fit_the_addresses_is_bad_input() {
    compose("v=ssa1; addr=rand:60", &[])
        .exits(2)
        .tells(&["needs positive items of exactly 68 bits"]);
    ssa(&["compose", "--rule", HASHED, "--source", SOURCE])
        .exits(2)
        .tells(&["no addresses"]);
    let none = ssa(&[
        "compose",
        "--apl",
        "1:192.0.2.0/24",
        "--rule",
        HASHED,
        "--source",
        SOURCE,
    ]);
    none.exits(2).tells(&["no addresses"]);
    let conflict = "2:2001:db8:5::/64 !2:2001:db8:5::/64";
    let conflicting = ssa(&["compose", "--apl", conflict, "--rule", HASHED, "--source", SOURCE]);
    conflicting.exits(2).tells(&["is both positive and negated"]);
}

#[test]
fn records_of_equal_from_are_bad_input() {
    compose(HASHED, &["--rule", "v=ssa1; addr=rand:64"])
        .exits(2)
        .tells(&["have from=0"]);
    let more: Vec<String> = (1..5)
        .map(|from| format!("--rule=v=ssa1; addr=rand:64; from={from}"))
        .collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    compose(HASHED, &more).exits(2).tells(&["5 records exceed 4"]);
}

#[test]
fn no_address_outside_of_negated_items_is_not_fine() {
    // Both halves of the item are negated: every draw lies in one.
    let apl = "2:2001:db8:5::/64 !2:2001:db8:5::/65 !2:2001:db8:5:0:8000::/65";
    let run = ssa(&[
        "compose",
        "--apl",
        apl,
        "--rule",
        "v=ssa1; addr=rand:64",
        "--source",
        SOURCE,
    ]);
    run.exits(1).tells(&["negated item"]);
}

#[test]
fn an_object_that_is_no_number_is_bad_input() {
    let rule = "v=ssa1; addr=obj[80:128] const(0):16";
    compose(rule, &["--object", "12"]).exits(0).prints(&["2001:db8:5::c:0"]);
    compose(rule, &["--object", "twelve"])
        .exits(2)
        .tells(&["--object: `twelve`: the object key is not decimal"]);
}
