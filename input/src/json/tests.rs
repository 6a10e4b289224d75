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
fn every_fault_is_told_with_its_place_in_words_of_json() {
    let json = r#"{
        "nmae": 1, "off": 1, "path": ["00112233445566778899aabbccddeeff"],
        "share": "x", "address": "2001:db8::g", "mode": "0123456789abcdef0123", "by_mode": {"of": 1, "off": -1},
        "parts": [{"ports": [80, "http", true]}, {"ports": [70000]}, {"port": [], "ports": {}}, 7, {}]
    }"#;
    assert_eq!(
        told(json),
        [
            "address: is not an IPv6 address, such as 2001:db8::7 (line 3, column 34)",
            "by_mode.of: is not one of `on`, `off` (line 3, column 99)",
            "by_mode.off: found the number -1 where there should be a whole number from 0 to 4294967295 (line 3, column 109)",
            "mode: is not one of `on`, `off` (line 3, column 57)",
            "nmae: unknown key `nmae`; there are `off`, `name`, `path`, `share`, `address`, `mode`, `by_mode`, `parts` (line 2, column 17)",
            "off: found the number 1 where there should be true or false (line 2, column 27)",
            "parts[0].ports[1]: found a text where there should be a whole number from 0 to 65535 (line 4, column 34)",
            "parts[0].ports[2]: found true where there should be a whole number from 0 to 65535 (line 4, column 42)",
            "parts[1].ports[0]: found the number 70000 where there should be a whole number from 0 to 65535 (line 4, column 61)",
            "parts[2].port: unknown key `port`; there are `ports`, `pair` (line 4, column 79)",
            "parts[2].ports: found an object where there should be a list (line 4, column 92)",
            "parts[3]: found the number 7 where there should be a part, an object with the key `ports` (line 4, column 97)",
            "parts[4]: the key is missing: `ports` (line 4, column 100)",
            "path: found a list where there should be a text with a path (line 2, column 38)",
            "share: found a text where there should be a number (line 3, column 18)",
            "the key is missing: `name` (line 1, column 1)",
        ]
    );
    assert!(told(r#"{"name": "a", "mode": "on", "path": null, "by_mode": {"on": 1}}"#).is_empty());
}

#[test]
fn a_list_is_no_object() {
    assert_eq!(
        told("[]"),
        ["found a list where there should be an object (line 1, column 1)"]
    );
    let pair = |json: &str| {
        told(&format!(
            r#"{{"name": "a", "parts": [{{"ports": [], "pair": {json}}}]}}"#
        ))
        .concat()
    };
    assert!(pair("[1]").starts_with("parts[0].pair: found a list of 1 where there should be a list of 2"));
    assert!(pair("[1, 1.5]").contains("pair[1]: found the number 1.5 where there should be a whole number from -2^63"));
}

#[test]
fn a_number_is_no_key_however_large_it_is() {
    let huge = format!("1{}", "0".repeat(30));
    for (json, wanted) in [
        ("1e300", "the number 1e300 "),
        (&huge, "the number 1e30 "),
        ("-1e300", "the number -1e300 "),
        ("1.7976931348623157e308", "the number 1.79769e308 "),
        ("5e-324", "the number 5e-324 "),
        ("18446744073709551615", "the number 18446744073709551615 "),
        ("18446744073709551616", "the number 18446744073709552000 "),
        ("1.0", "the number 1 "),
        ("0.0", "the number 0 "),
        ("0.1", "the number 0.1 "),
    ] {
        let told = told(&format!(r#"{{"name": {json}}}"#)).concat();
        assert!(told.contains(wanted), "{json}: {told}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert_eq!(told("\u{feff}{\"name\": \"a\"}"), [""; 0]);
    assert!(told("\u{feff}{\"name\": 1}").concat().contains("(line 1, column 10)"));
}

#[test]
fn what_is_no_json_is_told_once_with_its_line() {
    for (json, wanted) in [
        ("{\n\"off\": }", "no JSON value stands here (line 2, column 8)"),
        ("", "the document ends where a value should be (line 1, column 1)"),
        (
            r#"{"off": true, "off": true}"#,
            "duplicate field `off` (line 1, column 19)",
        ),
        (r#"{"by_mode": {"on": 1, "on": 2}}"#, "duplicate field `on`"),
        (r#"{"name": "a"#, "the document ends within a text"),
        ("[1", "the document ends within a list"),
        (r#"{"a": 1"#, "the document ends within an object"),
        ("[1,]", "a value has to follow a comma"),
        ("{} x", "something follows the end of the document"),
        ("{1: 2}", "a key has to be a text in double quotes"),
        ("[01]", "this is not a number of JSON"),
        ("[1e999]", "the number is too large"),
        ("[nul]", "no JSON value stands here; words are true, false and null"),
        ("[1 2]", "a comma or ] has to follow a member of a list"),
        (r#"{"a" 1}"#, "a colon has to follow a key"),
        (r#"{"a": 1 "b"}"#, "a comma or } has to follow a value of an object"),
        ("[\"\n\"]", "a text has a control character"),
        (r#"["\x"]"#, "this is not JSON"),
        (&"[".repeat(200), "more than 127 deep"),
    ] {
        let told = told(json);
        assert!(told.len() == 1 && told[0].contains(wanted), "{json}: {told:?}");
    }
    let fault = read::<Whole>(b"\"\xff\"").unwrap_err();
    assert_eq!(fault[0].to_string(), "is no text: byte 1 is not UTF-8");
}

#[test]
fn keys_that_stand_anywhere_are_not_repeated() {
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
fn no_more_faults_are_told_than_anybody_reads() {
    let many: Vec<String> = (0..1000).map(|number| format!("\"k{number}\": 1")).collect();
    assert_eq!(told(&format!("{{{}}}", many.join(", "))).len(), MAX_FAULTS);
}
