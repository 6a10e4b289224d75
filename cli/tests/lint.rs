//! `ssa lint`: every code has a record that triggers it and one that does not.

mod dns;
mod support;

use std::collections::BTreeSet;

use dns::{Kind, Server};
use serde_json::Value;
use support::{APL, HASHED, ssa};

/// The time that all cases are linted at.
const NOW: &str = "1800000000";

/// A record that gives nothing but notes.
const GOOD: &str = "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/48";

/// Lints, and returns the codes told, each with how bad it is.
fn lint(args: &[&str]) -> Vec<(String, String)> {
    let run = ssa(&[&["lint", "--json", "--time", NOW], args].concat());
    assert!(
        matches!(run.code, Some(0 | 1)),
        "{args:?}: {}{}",
        run.stdout,
        run.stderr
    );
    let document = run.json();
    let findings = document["findings"].as_array().expect("findings are a list");
    let told = findings.iter().map(|finding| {
        for key in ["what", "why", "place"] {
            assert!(
                finding[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key} of {finding}"
            );
        }
        (text(&finding["code"]), text(&finding["severity"]))
    });
    let told: Vec<(String, String)> = told.collect();
    let bad = findings.iter().any(|finding| finding["severity"] != "note");
    assert_eq!(run.code, Some(i32::from(bad)), "{}", run.stdout);
    told
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").into()
}

fn rule(rule: &str) -> [&str; 4] {
    ["--apl", APL, "--rule", rule]
}

/// Takes a line of cases apart: words between blanks, or in single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.into());
            continue;
        }
        for word in part.split_whitespace() {
            words.push(match word {
                "$APL" => APL.into(),
                "$GOOD" => GOOD.into(),
                "$HASHED" => HASHED.into(),
                word => word.into(),
            });
        }
    }
    words
}

#[test]
fn every_code_is_triggered_and_not_triggered() {
    let listed = ssa(&["lint", "--codes", "--json"]).exits(0).json();
    let listed: BTreeSet<&str> = listed
        .as_object()
        .expect("codes by name")
        .keys()
        .map(String::as_str)
        .collect();
    let mut tried = BTreeSet::new();
    let (mut code, mut severity) = ("", "");
    for line in include_str!("lint.cases")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let Some((sign @ ("+" | "-"), arguments)) = line.split_once(' ') else {
            (code, severity) = line.split_once(' ').expect("a code and how bad it is");
            tried.insert(code);
            continue;
        };
        let arguments = words(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let told = lint(&arguments);
        let wanted = (sign == "+").then_some(severity);
        let told_here = told
            .iter()
            .filter(|(told, _)| told == code)
            .map(|(_, severity)| severity.as_str());
        // A code may be told twice, and be worse in one place than in another.
        let told_here: Vec<&str> = told_here.collect();
        match wanted {
            Some(severity) => assert!(told_here.contains(&severity), "{code} with {arguments:?}: {told:?}"),
            None => assert!(!told_here.contains(&severity), "{code} with {arguments:?}: {told:?}"),
        }
    }
    assert_eq!(tried, listed);
}

/// Returns what is told under a code, as `what`, `why` and `instead`.
fn told(args: &[&str], code: &str) -> [String; 3] {
    let document = ssa(&[&["lint", "--json", "--time", NOW], args].concat()).json();
    let findings = document["findings"].as_array().expect("findings are a list");
    let found = findings.iter().find(|finding| finding["code"] == code);
    let found = found.unwrap_or_else(|| panic!("no {code} in {document}"));
    ["what", "why", "instead"].map(|key| found[key].as_str().unwrap_or_default().to_string())
}

#[test]
fn shared_leading_bits_reach_2048_of_16384_slices() {
    let [_, why, instead] = told(&rule("v=ssa1; addr=src[0:64]"), "leading-bits-shared");
    assert!(
        why.contains("2000::/3 reaches 2048 of 16384 slices, and all clients of one /14 1"),
        "{why}"
    );
    assert_eq!(instead, "v=ssa1; addr=hash(src/64):64; salt=2026a; replicas=4");
}

#[test]
fn clients_that_are_given_are_counted_exactly() {
    let with = |clients: &[&str]| {
        let clients: Vec<&str> = clients.iter().flat_map(|prefix| ["--clients", prefix]).collect();
        let [_, why, _] = told(
            &[&rule("v=ssa1; addr=src[0:64]")[..], &clients].concat(),
            "leading-bits-shared",
        );
        why
    };
    assert!(with(&["2000::/3"]).contains("the clients' prefix reaches 2048 of 16384"));
    assert!(with(&["2001:db8::/32"]).contains("reaches 1 of 16384"));
    assert!(
        with(&["2001:db8::/32", "2001:db9::/32", "2a00::/12"]).contains("reach 5 of 16384"),
        "4 of the /12 and 1"
    );
    assert!(with(&["2000::/3=10"]).contains("reaches 10 of 16384"));
    let [_, why, _] = told(
        &[
            &rule("v=ssa1; addr=src[32:64] rand:32")[..],
            &["--clients", "2001:db8::/34"],
        ]
        .concat(),
        "leading-bits-shared",
    );
    assert!(why.contains("reaches 4096 of 16384"), "{why}");
}

#[test]
fn few_clients_load_the_fullest_with_4_times_the_mean() {
    let args = [
        &rule(HASHED)[..],
        &["--clients", "2001:db8::/32=100", "--endpoints", "100"],
    ]
    .concat();
    let [_, why, instead] = told(&args, "few-choices");
    assert!(why.contains("4.2 times the mean; replicas=4 makes that 2.5"), "{why}");
    assert!(
        instead.starts_with("more clients"),
        "16 replicas are not enough: {instead}"
    );
    let args = [
        &rule(HASHED)[..],
        &["--clients", "2001:db8::/32=400", "--endpoints", "100"],
    ]
    .concat();
    let [_, why, instead] = told(&args, "few-choices");
    assert!(why.contains("2.5 times the mean; replicas=8 makes that 1.5"), "{why}");
    assert_eq!(instead, "v=ssa1; addr=hash(src/64):20 rand:44; salt=2026a; replicas=8");
}

#[test]
fn what_to_write_instead_is_linted_better() {
    for (record, code) in [
        ("v=ssa1; addr=src[0:64]", "leading-bits-shared"),
        ("v=ssa1; addr=obj[80:128] const(0):16", "leading-object-bits"),
        ("v=ssa1; addr=const(0):44 hash(src/64):20", "first-field-same"),
        ("v=ssa1; addr=hash(time/60):20 rand:44", "first-field-same"),
        ("v=ssa1; addr=hash(obj):20 const(0):44; replicas=3", "many-addresses"),
        ("v=ssa1; addr=hash(obj):20 hash(src/64):44", "many-addresses"),
        (
            "v=ssa1; addr=hash(src/64):20 mac(src/64,time/60):16 rand:28; key=k1",
            "mac-narrow",
        ),
        (
            "v=ssa1; addr=hash(src/64):20 mac(time/60):44; key=k1",
            "mac-without-source",
        ),
        (
            "v=ssa1; addr=hash(src/64):20 mac(src/32):44; key=k1",
            "mac-source-coarse",
        ),
        (
            "v=ssa1; addr=hash(src/64):20 mac(src/64):44; key=k1",
            "mac-without-time",
        ),
        (
            "v=ssa1; addr=hash(src/64):20 mac(src/48):44; key=k1; kdf=src/64",
            "kdf-past-mac",
        ),
        (
            "v=ssa1; addr=hash(src/64):20 mac(src/64):44; key=k1; kdf=src/16",
            "kdf-coarse",
        ),
        ("v=ssa1; addr=mac(src/64,time/30):64; key=k1; skew=0", "skew-tight"),
        ("v=ssa1; addr=hash(src/64):20 rand:44; pow=1", "pow-weak"),
        ("v=ssa1; addr=hash(src/64):20 rand:44; pow=23", "pow-heavy"),
        ("v=ssa1; addr=hash(chunk):14 const(0):50", "chunk-without-object"),
        (
            "v=ssa1; addr=hash(obj):20 const(0):44; replicas=3; obj=path:/{obj}",
            "wide-at-layer-7",
        ),
        (
            "v=ssa1; addr=hash(obj,time/60):12 const(0):52; obj=path:/{obj}",
            "object-with-time",
        ),
        (
            "v=ssa1; addr=hash(src/64):20 rand:44; salt=a; obj=path:/{obj}",
            "sources-unused",
        ),
        ("v=ssa1; addr=hash(obj):14 const(0):50; salt=a", "salt-unused"),
        ("v=ssa1;addr=rand:64; x-a=b", "not-canonical"),
    ] {
        let [_, _, instead] = told(&rule(record), code);
        let told = lint(&rule(&instead));
        let still = told.iter().any(|(told, _)| told == "record-fault" || told == code);
        assert!(!still, "{record} → {instead}: {told:?}");
    }
}

#[test]
fn a_search_is_told_by_what_one_hit_costs() {
    let record = "v=ssa1; addr=hash(src/128):20 rand:44; salt=2026a";
    let list = "2:2001:db8:5::/64 !2:2001:db8:5:ffff::/112";
    let args = ["--apl", list, "--rule", record];
    let [_, why, _] = told(&args, "public-hash");
    assert!(
        why.contains("2^80 inputs of src/128") && why.contains("some 16384 tries, in less than a second"),
        "{why}"
    );
    let run = ssa(&[&["lint", "--time", NOW], &args[..]].concat()).exits(0);
    assert!(!run.stdout.contains("days"), "{}", run.stdout);
    let advised: BTreeSet<&str> = run
        .lines()
        .into_iter()
        .filter_map(|line| line.split_once("v=ssa1; ").map(|(_, record)| record))
        .collect();
    assert_eq!(advised.len(), 1, "one record is advised: {}", run.stdout);
    let [_, why, _] = told(&rule("v=ssa1; addr=hash(src/48):20 rand:44"), "public-hash");
    assert!(
        why.contains("65536 inputs of src/48") && why.contains("16384 tries"),
        "{why}"
    );
    let [_, why, _] = told(
        &[&rule("v=ssa1; addr=hash(src/48):20 rand:44")[..], &["--bits", "20"]].concat(),
        "public-hash",
    );
    assert!(why.contains("reaches 6.2 % of 1048576 slices"), "{why}");
}

#[test]
fn skew_is_advised_once() {
    let run = ssa(&[
        &["lint", "--json"],
        &rule("v=ssa1; addr=hash(time/100):20 rand:44; pow=9; skew=500")[..],
    ]
    .concat());
    let document = run.exits(1).json();
    let findings = document["findings"].as_array().expect("findings are a list");
    let advised = findings.iter().filter_map(|finding| finding["instead"].as_str());
    let advised: BTreeSet<&str> = advised.filter(|text| text.starts_with("skew=")).collect();
    assert_eq!(advised, BTreeSet::from(["skew=120"]), "{document}");
}

#[test]
fn an_aaaa_record_that_no_item_may_keep_out_goes_elsewhere() {
    let address = ["--aaaa", "2001:db8:5::1"];
    let [_, _, instead] = told(&[&rule(HASHED)[..], &address].concat(), "aaaa-refused");
    assert!(instead.ends_with("!2:2001:db8:5::1/128"), "{instead}");
    let [_, _, instead] = told(
        &[&rule("v=ssa1; addr=hash(src/64):64")[..], &address].concat(),
        "aaaa-refused",
    );
    assert!(instead.contains("outside the positive items"), "{instead}");
}

#[test]
fn plainer_is_said_of_what_is_shorter() {
    let [what, why, _] = told(&rule("v=ssa1; addr=rand:64; x-a=b"), "not-canonical");
    assert!(
        what.contains("plainer") && why.contains("7 of its 27 bytes"),
        "{what}: {why}"
    );
    let [what, why, _] = told(&rule("v=ssa1;  addr=rand:32 const(0A):32"), "not-canonical");
    assert!(what.contains("plainer") && why.contains("2 of its"), "{what}: {why}");
    for equal in ["v=ssa1; salt=a; addr=hash(src/48):64", "v=ssa1;addr=rand:64"] {
        let [what, _, _] = told(&rule(equal), "not-canonical");
        assert!(what.contains("canonical form"), "{equal}: {what}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let args = [
        "lint",
        "--json",
        "--apl",
        "2:2001:db8:5::/64 2:::/8",
        "--rule",
        "v=ssa1; addr=rand:65 mac(src/64):8; replicas=17",
    ];
    let document = ssa(&args).exits(1).json();
    assert_eq!(document["errors"], 5, "{document}");
    assert_eq!(document["findings"][1]["place"], "rule addr[0]");
}

#[test]
fn a_fine_record_exits_0_and_notes_can_be_left_out() {
    let args = [&["lint", "--time", NOW][..], &rule(GOOD)].concat();
    ssa(&args)
        .exits(0)
        .prints(&["0 errors, 0 warnings", "why:", "instead:"]);
    let run = ssa(&[&args[..], &["--no-notes"]].concat()).exits(0);
    assert_eq!(run.stdout, "0 errors, 0 warnings, 0 notes\n");
}

#[test]
fn bad_input_exits_2() {
    for (args, wanted) in [
        (&[][..], "--rule"),
        (&["--rule", GOOD, "--aaaa", "192.0.2.1"], "not an IPv6 address"),
        (&["--rule", GOOD, "--clients", "x"], "not an IPv6 prefix"),
        (&["--rule", GOOD, "--clients", "2001:db8::/32=0"], "count"),
        (&["--rule", GOOD, "--endpoints", "0"], "1 to 65536"),
        (&["--rule", GOOD, "--bits", "21"], "0 to 20"),
        (&["--rule", GOOD, "--ttl", "-1"], ""),
        (&["store.example", "--rule", GOOD], "cannot be used with"),
    ] {
        ssa(&[&["lint"], args].concat()).exits(2).tells(&[wanted]);
    }
    let run = ssa(&["lint", "--json", "--rule", GOOD, "--bits", "x", "--clients", "y"]).exits(2);
    assert_eq!(run.json()["error"]["faults"].as_array().map(Vec::len), Some(2));
}

#[test]
fn no_text_makes_it_panic() {
    let texts = [
        "",
        ";",
        "v=ssa1",
        "v=ssa1; addr=",
        "\u{7f}ä\u{1b}[31m",
        "v=ssa1; addr=-; apl=2:::/0",
        "v=ssa1; addr=hash(src/128):64 mac(src/1):48; key=k; kdf=src/128; apl=2:2001::/16",
    ];
    for rule in texts {
        for apl in ["", "x", "2:::/0", "!2:::/0", APL, "2:2000::/16"] {
            let run = ssa(&[
                "lint",
                "--apl",
                apl,
                "--rule",
                rule,
                "--clients",
                "::/0",
                "--aaaa",
                "::",
                "--bits",
                "20",
                "--endpoints",
                "65536",
            ]);
            assert!(
                matches!(run.code, Some(0 | 1)),
                "{apl} {rule}: {}{}",
                run.stdout,
                run.stderr
            );
            assert!(!run.stdout.contains('\u{1b}'), "control characters reach the terminal");
        }
    }
}

#[test]
fn the_host_is_checked() {
    let run = ssa(&["lint", "--host", "--json"]);
    assert!(matches!(run.code, Some(0 | 1)), "{}{}", run.stdout, run.stderr);
    let document = run.json();
    let checks = document["host"].as_array().expect("checks are a list");
    let codes: BTreeSet<&str> = checks.iter().filter_map(|check| check["code"].as_str()).collect();
    for code in [
        "host-ipv6",
        "host-anyip",
        "host-namespaces",
        "host-temporary",
        "host-nat",
        "host-source-filter",
    ] {
        assert!(codes.contains(code), "{codes:?}");
    }
    let states = ["fine", "error", "warning", "note", "unavailable"];
    assert!(
        checks
            .iter()
            .all(|check| states.iter().any(|state| check["state"] == *state)),
        "{document}"
    );
    let bad = checks
        .iter()
        .any(|check| check["state"] == "error" || check["state"] == "warning");
    assert_eq!(run.code, Some(i32::from(bad)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_host_is_checked_against_a_service() {
    let codes = |args: &[&str]| {
        let run = ssa(&[&["lint", "--host", "--json"], args].concat());
        assert!(matches!(run.code, Some(0 | 1)), "{}{}", run.stdout, run.stderr);
        let checks = run.json()["host"].as_array().cloned().expect("checks are a list");
        checks
            .iter()
            .filter(|check| check["code"] == "host-route")
            .map(|check| text(&check["state"]))
            .collect::<Vec<String>>()
    };
    assert_eq!(codes(&[]), Vec::<String>::new());
    assert_eq!(
        codes(&["--apl", "2:3fff:db8:5::/64", "--rule", HASHED]),
        ["note"],
        "no route to it is here"
    );
    // The record's own list counts where there is no other.
    assert_eq!(
        codes(&["--rule", "v=ssa1; addr=rand:64; apl=2:3fff:db8:5::/64"]),
        ["note"]
    );
}

#[test]
fn names_are_linted_with_what_the_dns_says() {
    let zone = "\
$ORIGIN example.
$TTL 300
@ SOA ns.example. host.example. 1 3600 600 86400 60
@ NS ns.example.
ns A 127.0.0.1
store APL 2:2001:db8:5::/64
store AAAA 2001:db8:5::1
_ssa.store 900 TXT \"v=ssa1; addr=hash(src/64):20 \" \"rand:44\"
_ssa.store 900 TXT \"v=ssa1; addr=rand:64; from=1800000600\"
_ssa.store 900 TXT \"something else\"
bare APL 2:2001:db8:5::/64
";
    let server = Server::start(Kind::Knot, "lint-names", zone);
    let lint = |name: &str| {
        let run = ssa(&["lint", name, "--server", &server.v4(), "--json", "--time", NOW]).exits(1);
        let findings = run.json()["findings"].as_array().cloned().unwrap_or_default();
        findings
            .iter()
            .map(|finding| text(&finding["code"]))
            .collect::<BTreeSet<String>>()
    };
    let store = lint("store.example");
    for code in ["aaaa-refused", "public-hash", "from-soon"] {
        assert!(store.contains(code), "{store:?}");
    }
    assert!(
        !store.contains("record-uncounted"),
        "other TXT records are no concern: {store:?}"
    );
    assert!(lint("bare.example").contains("record-missing"));
    let simulated = [
        "simulate",
        "store.example",
        "--server",
        &server.v4(),
        "--clients",
        "2001:db8::/32=50",
        "--endpoints",
        "2",
    ];
    ssa(&simulated)
        .exits(0)
        .prints(&["v=ssa1; addr=hash(src/64):20 rand:44"]);
}
