//! `ssa explain` on good and bad input.

mod support;

use support::{APL, DESTINATION, HASHED, MACED, Run, SECRET_HEX, SOURCE, ssa};

fn explain(rule: &str, more: &[&str]) -> Run {
    ssa(&[&["explain", "--rule", rule], more].concat())
}

#[test]
fn the_map_has_a_letter_for_every_bit() {
    let run = explain(HASHED, &[]).exits(0);
    let rows = ["    0  ", "   32  ", "   64  ", "   96  "];
    let map: String = rows
        .iter()
        .map(|label| {
            run.lines()
                .into_iter()
                .find_map(|line| line.strip_prefix(label))
                .expect("the row is there")
        })
        .collect();
    let count = |letter| map.chars().filter(|c| *c == letter).count();
    assert_eq!((count('·'), count('A'), count('B')), (64, 20, 44));
    run.prints(&["hash(src/64)", "random bits", "64-83", "84-127"]);
}

#[test]
fn no_line_is_wider_than_80_columns() {
    let rule = "v=ssa1; addr=hash(src/128,obj,chunk,time/86400,port):20 mac(src/128,obj,chunk,time/86400,port):30 \
                src[0:4] obj[0:4] const(7):4 rand:2; key=k1; kdf=src/48; replicas=3; salt=pepper";
    for run in [
        explain(rule, &[]),
        explain(rule, &[DESTINATION]),
        explain(HASHED, &[DESTINATION]),
    ] {
        // The record itself is the one line that cannot be shortened.
        let wide = run
            .lines()
            .into_iter()
            .find(|line| line.chars().count() > 80 && !line.starts_with("v=ssa1"));
        assert_eq!(wide, None);
    }
}

#[test]
fn the_widest_template_has_a_letter_for_every_field() {
    let rule = format!("v=ssa1; addr={}", ["rand:7"; 16].join(" "));
    explain(&rule, &[]).exits(0).prints(&["PPPPPPP", "field 15"]);
    explain("v=ssa1; addr=-; item=rand", &[])
        .exits(0)
        .prints(&["any, at random", "1 in an item"]);
}

#[test]
fn an_address_is_decoded_field_by_field() {
    let run = explain(HASHED, &[DESTINATION, "--apl", APL, "--source", SOURCE]).exits(0);
    run.prints(&[
        "11110010 10001100 00001000 00111001  f28c:0839",
        "conforming",
        "0xf28c0",
        "fits",
        "open",
    ]);
    let json = explain(HASHED, &[DESTINATION, "--apl", APL, "--source", SOURCE, "--json"])
        .exits(0)
        .json();
    let parts = &json["records"][0]["parts"];
    assert_eq!(json["records"][0]["verdict"], "conforming");
    assert_eq!(
        (&parts[0]["part"], &parts[0]["width"], &parts[0]["fits"]),
        (&"item".into(), &64.into(), &true.into())
    );
    assert_eq!(
        (&parts[1]["kind"], &parts[1]["value"], &parts[1]["fits"]),
        (&"hash".into(), &"0xf28c0".into(), &true.into())
    );
    assert_eq!(
        (&parts[2]["kind"], &parts[2]["fits"]),
        (&"rand".into(), &serde_json::Value::Null)
    );
}

#[test]
fn every_field_that_differs_is_shown_and_not_the_first_alone() {
    let rule = "v=ssa1; addr=hash(src/64):20 const(7):44";
    let run = explain(rule, &["2001:db8:5::1", "--apl", APL, "--source", SOURCE]).exits(1);
    run.prints(&["violation of field_0", "expected 0xf28c0", "expected 0x7"]);
    explain(HASHED, &["2001:db8:6::1", "--apl", APL, "--source", SOURCE])
        .exits(1)
        .prints(&["outside"]);
}

#[test]
fn what_lacks_inputs_says_which() {
    explain(HASHED, &[DESTINATION])
        .exits(0)
        .prints(&["needs --apl, --source", "needs --source"]);
    explain(MACED, &[DESTINATION])
        .exits(0)
        .prints(&["needs --source, --secret"]);
}

#[test]
fn where_an_address_lies_needs_no_source() {
    let list = format!("{APL} !2:2001:db8:5:0:8000::/65");
    for (address, verdict) in [("2001:db8:6::1", "outside"), ("2001:db8:5:0:8000::1", "legacy")] {
        for (rule, more) in [
            ("v=ssa1; addr=rand:1 hash(src/64):20 rand:43", &[][..]),
            ("v=ssa1; addr=rand:1 hash(src/64):20 mac(src/64):43; key=k1", &[]),
        ] {
            let args = [&[address, "--apl", &list][..], more].concat();
            let run = explain(rule, &args).exits(1);
            assert!(!run.stdout.contains("verdict   unknown"), "{}", run.stdout);
            run.prints(&[&format!("verdict   {verdict}")]);
            let json = explain(rule, &[&args[..], &["--json"]].concat()).exits(1).json();
            assert_eq!(json["records"][0]["verdict"], verdict);
        }
    }
    // And a rule that does not look at the source needs none anywhere.
    explain("v=ssa1; addr=const(1):64", &["2001:db8:5::1", "--apl", APL])
        .exits(0)
        .prints(&["verdict   conforming"]);
    explain(
        "v=ssa1; addr=const(1):20 rand:44; pow=8",
        &["2001:db8:5:0:0:1000::1", "--apl", APL],
    )
    .exits(0)
    .prints(&["unknown: needs --source"]);
}

#[test]
fn a_mac_that_is_revealed_is_the_same_in_both_lines() {
    let rule = "v=ssa1; addr=hash(src/64):20 mac(src/64,time/30):44; key=k1";
    let secret = format!("--secret=k1={SECRET_HEX}");
    let known = ["--apl", APL, "--source", SOURCE, &secret, "--time", "1790000000"];
    let decode = [&["2001:db8:5:0:f28c:800::1"][..], &known].concat();
    let shown = explain(rule, &[&decode[..], &["--reveal"]].concat()).exits(1).stdout;
    let expected: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.split_once("expected 0x"))
        .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or_default())
        .collect();
    assert_eq!(expected.len(), 2, "{shown}");
    assert_eq!(expected[0], expected[1], "{shown}");
    let hidden = explain(rule, &decode).exits(1).stdout;
    assert!(!hidden.contains(expected[0]), "{hidden}");
}

#[test]
fn fields_that_fit_at_different_times_alone_are_not_said_to_fit() {
    // One field is of the step before, the other of the step after: no step fits both.
    let rule = |skew: &str| format!("v=ssa1; addr=hash(src/64,time/30):32 hash(time/30):32; skew={skew}");
    let at = |time: &str| -> u128 {
        let compose = [
            "compose",
            "--apl",
            APL,
            "--rule",
            &rule("0"),
            "--source",
            SOURCE,
            "--time",
            time,
        ];
        let address: std::net::Ipv6Addr = ssa(&compose).exits(0).stdout.trim().parse().unwrap();
        address.into()
    };
    let low = u128::from(u32::MAX);
    let mixed = std::net::Ipv6Addr::from(at("1790000000") & !low | at("1790000030") & low);
    let args = [
        &mixed.to_string(),
        "--apl",
        APL,
        "--source",
        SOURCE,
        "--time",
        "1790000015",
    ];
    let run = explain(&rule("30"), &args).exits(1);
    run.prints(&["verdict   violation of field_", "differs"]);
}

#[test]
fn a_replica_is_told_from_the_others() {
    let rule = "v=ssa1; addr=hash(obj):20 const(0):44; replicas=4";
    let compose = [
        "compose",
        "--apl",
        APL,
        "--rule",
        rule,
        "--source",
        SOURCE,
        "--object",
        "a",
        "--replica",
        "3",
    ];
    let address = ssa(&compose).exits(0).stdout;
    explain(rule, &[address.trim(), "--object", "a"])
        .exits(0)
        .prints(&["replica 3"]);
}

#[test]
fn a_mac_covers_the_bits_before_it() {
    let rule = "v=ssa1; addr=hash(src/64):20 mac(src/64):44; key=k1";
    let secret = format!("--secret=k1={SECRET_HEX}");
    let compose = ["compose", "--apl", APL, "--rule", rule, "--source", SOURCE, &secret];
    let address = ssa(&compose).exits(0).stdout;
    let decode = [address.trim(), "--source", SOURCE, &secret, "--json"];
    let fits = |json: serde_json::Value| json["records"][0]["parts"][2]["fits"].clone();
    assert_eq!(fits(explain(rule, &decode).exits(0).json()), true);
    // The same mac under another item does not fit.
    let moved = address.replace("2001:db8:5:", "2001:db8:6:");
    let decode = [moved.trim(), "--source", SOURCE, &secret, "--json"];
    assert_eq!(fits(explain(rule, &decode).exits(1).json()), false);
}

#[test]
fn colours_are_for_terminals_and_those_who_ask() {
    assert!(!explain(HASHED, &[]).exits(0).stdout.contains('\u{1b}'));
    assert!(
        explain(HASHED, &["--color", "always"])
            .exits(0)
            .stdout
            .contains('\u{1b}')
    );
    assert!(
        !explain(HASHED, &["--color", "never"])
            .exits(0)
            .stdout
            .contains('\u{1b}')
    );
    let no_color = support::command(&["explain", "--rule", HASHED])
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(!no_color.stdout.contains(&0x1b));
}

#[test]
fn bad_input_is_told() {
    explain("v=ssa1; addr=rand:65", &[]).exits(2).tells(&["addr[0]: `65`"]);
    ssa(&["explain"]).exits(2).tells(&["--rule: missing"]);
    explain(HASHED, &["::1", "::2"]).exits(2).tells(&["two of a kind"]);
    explain(HASHED, &["store.example"])
        .exits(2)
        .tells(&["stands in place of --apl and --rule"]);
    explain("v=ssa1; addr=rand:60", &["--apl", APL])
        .exits(2)
        .tells(&["exactly 68 bits"]);
}

#[test]
fn json_and_text_have_the_same_facts() {
    let run = explain(HASHED, &["--apl", APL]).exits(0);
    let json = explain(HASHED, &["--apl", APL, "--json"]).exits(0).json();
    let lines = run.lines();
    for (name, fact) in json["records"][0]["facts"].as_object().unwrap() {
        let line = format!("{name:<9} {}", fact.as_str().unwrap());
        assert!(lines.contains(&line.as_str()), "{line}");
    }
    assert_eq!(json["records"][0]["facts"]["items"], APL);
}

#[test]
fn beside_a_list_without_ipv6_the_records_own_counts() {
    let rule = format!("{HASHED}; apl={APL}");
    let more = ["--apl", "1:192.0.2.0/24", "--source", SOURCE, DESTINATION];
    explain(&rule, &more)
        .exits(0)
        .prints(&[&format!("items     {APL}"), "conforming", "in the service"]);
}
