use std::{collections::BTreeMap, net::Ipv6Addr, path::PathBuf};

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read, and not looked at")]
struct Whole {
    #[serde(default)]
    off: bool,
    name: String,
    path: Option<PathBuf>,
    share: Option<f64>,
    address: Option<Ipv6Addr>,
    mode: Option<Mode>,
    #[serde(default)]
    by_mode: BTreeMap<Mode, u32>,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a part, an object with the key `ports`")]
#[expect(dead_code, reason = "read, and not looked at")]
struct Part {
    ports: Vec<u16>,
    pair: Option<(u8, i64)>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    On,
    Off,
}

fn told(json: &str) -> Vec<String> {
    match read::<Whole>(json.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_fault_is_reported_with_its_path_in_terms_of_json() {
    let json = r#"{
        "nmae": 1, "off": 1, "path": ["00112233445566778899aabbccddeeff"],
        "share": "x", "address": "2001:db8::g", "mode": "0123456789abcdef0123", "by_mode": {"of": 1, "off": -1},
        "parts": [{"ports": [80, "http", true]}, {"ports": [70000]}, {"port": [], "ports": {}}, 7, {}]
    }"#;
    assert_eq!(
        told(json),
        [
            "address: must be an IPv6 address, such as 2001:db8::7 (line 3, column 34)",
            "by_mode.of: must be one of on, off (line 3, column 99)",
            "by_mode.off: must be an integer from 0 to 4294967295, not -1 (line 3, column 109)",
            "mode: must be one of on, off (line 3, column 57)",
            "nmae: unknown field; allowed: off, name, path, share, address, mode, by_mode, parts (line 2, column 17)",
            "off: must be true or false, not 1 (line 2, column 27)",
            "parts[0].ports[1]: must be an integer from 0 to 65535, not a string (line 4, column 34)",
            "parts[0].ports[2]: must be an integer from 0 to 65535, not true (line 4, column 42)",
            "parts[1].ports[0]: must be an integer from 0 to 65535, not 70000 (line 4, column 61)",
            "parts[2].port: unknown field; allowed: ports, pair (line 4, column 79)",
            "parts[2].ports: must be a list, not an object (line 4, column 92)",
            "parts[3]: must be a part, an object with the key `ports`, not 7 (line 4, column 97)",
            "parts[4].ports: missing (line 4, column 100)",
            "path: must be a path, not a list (line 2, column 38)",
            "share: must be a number, not a string (line 3, column 18)",
            "name: missing (line 1, column 1)",
        ]
    );
    assert!(told(r#"{"name": "a", "mode": "on", "path": null, "by_mode": {"on": 1}}"#).is_empty());
}

#[test]
fn a_list_is_not_an_object() {
    assert_eq!(told("[]"), ["must be an object, not a list (line 1, column 1)"]);
    let pair = |json: &str| {
        told(&format!(
            r#"{{"name": "a", "parts": [{{"ports": [], "pair": {json}}}]}}"#
        ))
        .concat()
    };
    assert!(pair("[1]").starts_with("parts[0].pair: must be a list of 2, not a list of 1"));
    assert!(pair("[1, 1.5]").contains("pair[1]: must be an integer from -2^63 to 2^63-1, not 1.5"));
}

#[test]
fn a_number_is_repeated_in_short() {
    let huge = format!("1{}", "0".repeat(30));
    for (json, wanted) in [
        ("1e300", "must be a string, not 1e300 "),
        (&huge, "must be a string, not 1e30 "),
        ("-1e300", "must be a string, not -1e300 "),
        ("1.7976931348623157e308", "must be a string, not 1.79769e308 "),
        ("5e-324", "must be a string, not 5e-324 "),
        ("18446744073709551615", "must be a string, not 18446744073709551615 "),
        ("18446744073709551616", "must be a string, not 18446744073709552000 "),
        ("1.0", "must be a string, not 1 "),
        ("0.0", "must be a string, not 0 "),
        ("0.1", "must be a string, not 0.1 "),
    ] {
        let told = told(&format!(r#"{{"name": {json}}}"#)).concat();
        assert!(told.contains(wanted), "{json}: {told}");
    }
}

#[test]
fn a_byte_order_mark_is_ignored() {
    assert_eq!(told("\u{feff}{\"name\": \"a\"}"), [""; 0]);
    assert!(told("\u{feff}{\"name\": 1}").concat().contains("(line 1, column 10)"));
}

#[test]
fn a_syntax_error_is_reported_once_with_its_line() {
    for (json, wanted) in [
        ("{\n\"off\": }", "a JSON value is missing here (line 2, column 8)"),
        ("", "the document ends where a value should be (line 1, column 1)"),
        (
            r#"{"off": true, "off": true}"#,
            "duplicate field `off` (line 1, column 19)",
        ),
        (r#"{"by_mode": {"on": 1, "on": 2}}"#, "duplicate field `on`"),
        (r#"{"name": "a"#, "the document ends within a string"),
        ("[1", "the document ends within a list"),
        (r#"{"a": 1"#, "the document ends within an object"),
        ("[1,]", "a value must follow a comma"),
        ("{} x", "unexpected characters after the end of the document"),
        ("{1: 2}", "a key must be a string in double quotes"),
        ("[01]", "not a JSON number"),
        ("[1e999]", "the number is too large"),
        ("[nul]", "a JSON value is missing here; words are true, false and null"),
        ("[1 2]", "a comma or ] must follow a member of a list"),
        (r#"{"a" 1}"#, "a colon must follow a key"),
        (r#"{"a": 1 "b"}"#, "a comma or } must follow a value of an object"),
        ("[\"\n\"]", "a string contains a control character"),
        (r#"["\x"]"#, "a backslash in a string must be followed by one of"),
        (r#"["\ud800"]"#, "half of a surrogate pair"),
        (r#"["\ud800\u0041"]"#, "half of a surrogate pair"),
        (r#"["\udc00"]"#, "half of a surrogate pair"),
        (&"[".repeat(200), "more than 127 levels deep"),
    ] {
        let told = told(json);
        assert!(told.len() == 1 && told[0].contains(wanted), "{json}: {told:?}");
    }
    let fault = read::<Whole>(b"\"\xff\"").unwrap_err();
    assert_eq!(fault[0].to_string(), "is not UTF-8: invalid byte at offset 1");
}

#[test]
fn misplaced_keys_are_not_repeated() {
    const KEY: &str = "00112233445566778899aabbccddeeff";
    for json in [
        format!(r#""{KEY}""#),
        format!(r#"{{"{KEY}": 1}}"#),
        format!(r#"{{"name": "a", "mode": "{KEY}"}}"#),
        format!(r#"{{"name": "a", "by_mode": {{"{KEY}": 1}}}}"#),
        format!(r#"{{"name": "a", "share": "{KEY}"}}"#),
        format!(r#"{{"{KEY}": 1, "{KEY}": 2}}"#),
    ] {
        let told = told(&json).concat();
        assert!(!told.is_empty() && !told.contains(&KEY[..8]), "{json}: {told}");
    }
}

#[test]
fn long_names_of_fields_are_cut_and_keys_in_them_not_shown() {
    let long = "k".repeat(100_000);
    let shown = format!("{}…", "k".repeat(64));
    for json in [
        format!(r#"{{"{long}": 1}}"#),
        format!(r#"{{"{long}": 1, "{long}": 1}}"#),
    ] {
        let told = told(&json).concat();
        assert!(told.len() < 400 && told.contains(&shown), "{told}");
    }
    let key = "00112233445566778899aabbccddeeff";
    let told = told(&format!(r#"{{"{}{key}{long}": 1}}"#, "-".repeat(50))).concat();
    assert!(!told.contains(&key[..8]), "{told}");
}

#[test]
fn the_number_of_reported_faults_is_bounded() {
    let many: Vec<String> = (0..1000).map(|number| format!("\"k{number}\": 1")).collect();
    assert_eq!(told(&format!("{{{}}}", many.join(", "))).len(), MAX_FAULTS);
}

#[test]
fn faults_are_worded_as_those_of_the_reader_of_snapshots() {
    fn same<T: DeserializeOwned + ssa_snapshot::read::Value>(json: &str) {
        let ours = read::<T>(json.as_bytes()).map(drop).unwrap_err();
        let mut document = ssa_snapshot::read::Document::new(json.as_bytes()).unwrap();
        let _: T = document.read();
        let theirs = document.take_faults();
        assert_eq!(ours.len(), theirs.len(), "{json}: {ours:?}, {theirs:?}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            // This reader adds what it found or what is allowed, which the filter has no room for.
            let (our, their) = (ours.problem.to_string(), theirs.problem.to_string());
            assert_eq!(ours.path, theirs.place, "{json}");
            assert!(our.starts_with(&their), "{json}: {our} and {their}");
        }
    }
    for json in [
        "[]",
        "7",
        r#"{"legacy": "x"}"#,
        r#"{"legacy": 1}"#,
        r#"{"legacies": "deny"}"#,
    ] {
        same::<ssa_snapshot::Policy>(json);
    }
    for json in ["0", "6", "4294967296", r#""2""#, "true", "null"] {
        same::<ssa_snapshot::Number<1, 5, 2>>(json);
    }
    for json in [r#""inbounds""#, "1", "[]"] {
        same::<ssa_snapshot::Role>(json);
    }
}
