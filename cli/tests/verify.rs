//! `ssa verify` on good and bad input.

mod support;

use std::{
    io::{Read, Write},
    process::Stdio,
};

use support::{APL, DESTINATION, HASHED, MACED, SECRET_HEX, SOURCE, file, ssa, ssa_reading, text, verify};

#[test]
fn what_was_composed_conforms() {
    verify(HASHED, DESTINATION, &[])
        .exits(0)
        .prints(&["conforming", HASHED]);
    let json = verify(HASHED, DESTINATION, &["--json", "--time", "9"]).exits(0).json();
    assert_eq!(json["verdict"], "conforming");
    assert_eq!(json["unchecked"], serde_json::json!([]));
    assert_eq!(json["violation"], serde_json::Value::Null);
    assert_eq!(
        (&json["record"], &json["from"], &json["time"]),
        (&HASHED.into(), &0.into(), &9.into())
    );
    assert_eq!(json["records"][0]["verdict"], "conforming");
}

#[test]
fn a_violation_names_the_field_with_expected_and_found() {
    let run = verify(HASHED, "2001:db8:5::1", &[]).exits(1);
    run.prints(&["violation", "field_0 (hash)", "0xf28c0", "0x0"]);
    let json = verify(HASHED, "2001:db8:5::1", &["--json"]).exits(1).json();
    assert_eq!(json["verdict"], "violation");
    let expected = serde_json::json!({"part": "field_0", "kind": "hash", "expected": "0xf28c0", "found": "0x0"});
    assert_eq!(json["violation"], expected);
}

#[test]
fn outside_and_legacy_are_not_conforming() {
    verify(HASHED, "2001:db8:6::1", &[]).exits(1).prints(&["outside"]);
    let apl = "2:2001:db8:5::/64 !2:2001:db8:5:0:f000::/68";
    let rule = "v=ssa1; addr=rand:64";
    let args = [
        "verify",
        "--apl",
        apl,
        "--rule",
        rule,
        "--source",
        SOURCE,
        "--destination",
        "2001:db8:5:0:f000::1",
    ];
    ssa(&args).exits(1).prints(&["legacy"]);
}

#[test]
fn what_lacks_inputs_stays_unchecked() {
    let rule = "v=ssa1; addr=hash(obj):20 hash(port):44";
    verify(rule, "2001:db8:5::1", &[])
        .exits(0)
        .prints(&["field_0, field_1"]);
    let json = verify(rule, "2001:db8:5::1", &["--json"]).exits(0).json();
    assert_eq!(json["unchecked"], serde_json::json!(["field_0", "field_1"]));
    verify(rule, "2001:db8:5::1", &["--object", "a", "--port", "1"]).exits(1);
}

#[test]
fn the_mac_that_is_expected_stays_hidden() {
    let secret = format!("--secret=k1={SECRET_HEX}");
    let compose = ["compose", "--apl", APL, "--rule", MACED, "--source", SOURCE, &secret];
    let address: std::net::Ipv6Addr = ssa(&compose).exits(0).stdout.trim().parse().unwrap();
    let mac = format!("{:#x}", u128::from(address) & u128::from(u64::MAX));
    verify(MACED, &address.to_string(), &[&secret]).exits(0);

    let hidden = verify(MACED, "2001:db8:5::1", &[&secret]).exits(1);
    assert!(!hidden.stdout.contains(&mac), "{}", hidden.stdout);
    let json = verify(MACED, "2001:db8:5::1", &[&secret, "--json"]).exits(1);
    assert!(!json.stdout.contains(&mac), "{}", json.stdout);
    assert_eq!(json.json()["violation"]["expected"], serde_json::Value::Null);
    verify(MACED, "2001:db8:5::1", &[&secret, "--reveal"])
        .exits(1)
        .prints(&[&mac]);
}

#[test]
fn a_verifier_without_the_secret_has_nothing_to_judge_by() {
    verify(MACED, DESTINATION, &[])
        .exits(2)
        .tells(&["the secret k1 is not given"]);
    verify(MACED, DESTINATION, &["--client-key", &format!("k1={SECRET_HEX}")]).exits(2);
}

#[test]
fn the_best_verdict_of_several_records_counts() {
    let other = "v=ssa1; addr=const(1):64; from=1000";
    let args = ["--rule", other, "--time", "2000", "--json"];
    let json = verify(HASHED, DESTINATION, &args).exits(0).json();
    assert_eq!((&json["verdict"], &json["from"]), (&"conforming".into(), &0.into()));
    assert_eq!(json["records"][0]["verdict"], "violation");
    assert_eq!(json["records"][0]["record"], other);
    let json = verify(HASHED, "2001:db8:5::1", &args).exits(0).json();
    assert_eq!(json["from"], 1000);
    // Before its time, and its skew, the later record is not accepted.
    verify(HASHED, "2001:db8:5::1", &["--rule", other, "--time", "900"]).exits(1);
    verify(other, "2001:db8:5::1", &["--time", "900"])
        .exits(1)
        .tells(&["none is in force at 900"]);
}

#[test]
fn a_batch_is_judged_line_by_line() {
    let lines =
        format!("# connections\n\n{SOURCE} {DESTINATION}\n{SOURCE}\t2001:db8:5::1 443\n{SOURCE} 2001:db8:6::1\n");
    let args = ["verify", "--apl", APL, "--rule", HASHED, "--batch"];
    let run = ssa_reading(&[&args[..], &["-"]].concat(), &lines).exits(1);
    assert_eq!(run.lines().len(), 4);
    let run = run.prints(&["3 connections: 1 conforming, 0 legacy, 1 violation, 1 outside"]);
    assert!(run.lines().iter().all(|line| !line.ends_with(' ')), "{}", run.stdout);
    let path = file("verify_batch.txt", &lines);
    let json = ssa(&[&args[..], &[text(&path), "--json"]].concat()).exits(1).json();
    assert_eq!(json["counts"]["conforming"], 1);
    assert_eq!(json["connections"][1]["port"], 443);
    let good = format!("{SOURCE} {DESTINATION}\n");
    ssa_reading(&[&args[..], &["-"]].concat(), &good).exits(0);
}

#[test]
fn every_fault_of_a_batch_is_told() {
    let lines = format!("{SOURCE}\n{SOURCE} x\n{SOURCE} {DESTINATION} 65536\n");
    let args = ["verify", "--apl", APL, "--rule", HASHED, "--batch", "-"];
    ssa_reading(&args, &lines).exits(2).tells(&[
        "line 1: 1 word; a line is SOURCE DESTINATION [PORT]",
        "line 2: `x` is not an IPv6 address",
        "line 3: `65536` is not a number",
    ]);
    ssa(&["verify", "--apl", APL, "--rule", HASHED, "--batch", "/no/such/file"])
        .exits(2)
        .tells(&["/no/such/file"]);
}

#[test]
fn a_source_that_no_connection_has_is_a_fault_of_its_line() {
    let logged = |source: &str| format!(r#"{{"source":"[{source}]:5","destination":"[{DESTINATION}]:443"}}"#);
    let lines = [
        format!(":: {DESTINATION}"),
        format!("[ff02::1]:5 {DESTINATION}"),
        format!("::ffff:192.0.2.7 {DESTINATION}"),
        logged("::"),
        logged("ff02::1"),
        // As of any connection of IPv4, whose lines a log has too.
        logged("::ffff:192.0.2.7"),
        format!("{SOURCE} {DESTINATION}"),
    ];
    let args = ["verify", "--apl", APL, "--rule", HASHED, "--batch", "-"];
    let run = ssa_reading(&args, &lines.join("\n")).exits(2);
    run.prints(&["1 connection: 1 conforming, 0 legacy, 0 violation, 0 outside; 1 line passed over"])
        .tells(&[
            "line 1: the source :: is the unspecified address",
            "line 2: the source ff02::1 is multicast",
            "line 3: the source ::ffff:192.0.2.7 is IPv4-mapped",
            "line 4: the source :: is the unspecified address",
            "line 5: the source ff02::1 is multicast",
        ]);
}

#[test]
fn a_byte_order_mark_before_a_file_is_passed_over() {
    let args = ["verify", "--apl", APL, "--rule", HASHED, "--batch", "-"];
    ssa_reading(&args, &format!("\u{feff}{SOURCE} {DESTINATION}\n")).exits(0);
    // One that stands elsewhere is no part of an address.
    ssa_reading(&args, &format!("# first\n\u{feff}{SOURCE} {DESTINATION}\n")).exits(2);
    let secrets = file("verify_marked", &format!("\u{feff}k1={SECRET_HEX}\n"));
    let rule = ["--apl", APL, "--rule", MACED, "--source", SOURCE];
    let run = ssa(&[&["compose", "--secret-file", text(&secrets)][..], &rule].concat()).exits(0);
    assert!(run.stdout.starts_with("2001:db8:5:"), "{}", run.stdout);
}

#[test]
fn lines_of_envoys_access_log_are_judged() {
    let own = format!(
        r#"{{"time":"2026-09-21T14:13:20.123Z","source":"[{SOURCE}]:50000","destination":"[{DESTINATION}]:443","ssa":"verdict=conforming"}}"#
    );
    let envoys = format!(
        r#"{{"start_time":"2026-09-21T14:13:20.123Z","downstream_remote_address":"[{SOURCE}]:50000","downstream_local_address":"[2001:db8:5::1]:80"}}"#
    );
    let ipv4 = r#"{"source":"192.0.2.7:50000","destination":"192.0.2.1:443"}"#;
    let lines = format!("{own}\n{envoys}\n{ipv4}\n[{SOURCE}]:1 [{DESTINATION}]:443\n");
    let args = ["verify", "--apl", APL, "--rule", HASHED, "--batch", "-"];
    ssa_reading(&args, &lines)
        .exits(1)
        .prints(&["3 connections: 2 conforming, 0 legacy, 1 violation, 0 outside; 1 line passed over"]);
    let json = ssa_reading(&[&args[..], &["--json"]].concat(), &lines).exits(1).json();
    assert_eq!(json["connections"][0]["port"], 443);
    assert_eq!(json["connections"][1]["port"], 80);
    assert_eq!(json["connections"][1]["time"], 1_790_000_000);
    assert_eq!(
        (&json["passed_over"], &json["counts"]["conforming"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn a_logged_connection_is_judged_by_its_own_time() {
    let rule = "v=ssa1; addr=hash(src/64,time/30):64; skew=5";
    let compose = [
        "compose",
        "--apl",
        APL,
        "--rule",
        rule,
        "--source",
        SOURCE,
        "--time",
        "1790000000",
    ];
    let address = ssa(&compose).exits(0).stdout.trim().to_owned();
    let line = format!(
        "{{\"time\":\"2026-09-21T14:13:20.123Z\",\"source\":\"[{SOURCE}]:5\",\"destination\":\"[{address}]:443\"}}\n"
    );
    let args = ["verify", "--apl", APL, "--rule", rule, "--batch", "-"];
    ssa_reading(&args, &line).exits(0);
    ssa_reading(&[&args[..], &["--time", "1790009000"]].concat(), &line).exits(1);
}

#[test]
fn each_line_of_a_batch_is_answered_before_the_next_comes() {
    for json in [false, true] {
        let mut args = vec!["verify", "--apl", APL, "--rule", HASHED, "--batch", "-"];
        args.extend(json.then_some("--json"));
        let mut child = support::command(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        let mut stdout = child.stdout.take().expect("its output is a pipe");
        let mut seen = String::new();
        for count in 1..=3 {
            stdin
                .write_all(format!("{SOURCE} {DESTINATION}\n").as_bytes())
                .expect("it reads");
            // Without an answer this waits for ever, and the test with it.
            while seen.matches(DESTINATION).count() < count {
                let mut bytes = [0; 4096];
                let read = stdout.read(&mut bytes).expect("it is read");
                assert!(read > 0, "{seen}");
                seen += std::str::from_utf8(&bytes[..read]).expect("it prints UTF-8");
            }
        }
        drop(stdin);
        stdout.read_to_string(&mut seen).expect("it is read");
        assert!(child.wait().expect("it ends").success());
        if json {
            let document: serde_json::Value = serde_json::from_str(&seen).expect("one document");
            assert_eq!(document["counts"]["conforming"], 3);
        }
    }
}

#[test]
fn lines_of_a_batch_are_bounded() {
    let args = ["verify", "--apl", APL, "--rule", HASHED, "--batch", "-"];
    let long = format!("{}\n{SOURCE} {DESTINATION}\n", "x".repeat(1 << 20));
    ssa_reading(&args, &long)
        .exits(2)
        .prints(&["1 connection: 1 conforming"])
        .tells(&["line 1: exceeds 65536 bytes"]);
    let run = ssa_reading(&args, &"x\n".repeat(1000))
        .exits(2)
        .tells(&["20 faults; the rest"]);
    assert!(run.stderr.matches("error: ").count() < 30, "{}", run.stderr);
    let json = ssa_reading(&[&args[..], &["--json"]].concat(), "x\n").exits(2);
    assert_eq!(json.json()["error"]["faults"].as_array().map(Vec::len), Some(1));
    ssa(&["verify", "--apl", APL, "--rule", HASHED, "--batch", "/"])
        .exits(2)
        .tells(&["--batch /: is a directory; a file is wanted"]);
}

#[test]
fn what_is_missing_is_told_at_once() {
    ssa(&["verify"])
        .exits(2)
        .tells(&["--source: missing", "--destination: missing", "--rule: missing"]);
}
