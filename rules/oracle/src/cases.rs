//! Vector files: reading them, asking the oracle, writing them. The format is in
//! rules/vectors/README.md.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::apl;
use crate::choose::{self, Situation};
use crate::compose::{Client, Secrets, compose};
use crate::hash::{self, Values};
use crate::http;
use crate::published;
use crate::record::{self, Usable};
use crate::verify::{Part, Seen, Verdict, verify};

pub use crate::apl::hex;

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex {text:?}");
    (0..text.len() / 2)
        .map(|place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap())
        .collect()
}

pub fn address(text: &str) -> u128 {
    u128::from(text.parse::<Ipv6Addr>().unwrap_or_else(|_| panic!("address {text:?}")))
}

pub fn text(address: u128) -> String {
    Ipv6Addr::from(address).to_string()
}

/// The folder of vector files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// The cases of a file, which is an array, or an object with `cases`.
pub fn cases_of(file: &Value) -> &Vec<Value> {
    match file {
        Value::Array(cases) => cases,
        other => other["cases"].as_array().expect("cases"),
    }
}

/// Every vector file with its name, in order.
pub fn files() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let content = std::fs::read_to_string(&path).unwrap();
            found.push((name, serde_json::from_str(&content).unwrap()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn string<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("no {key} in {case}"))
}

pub fn secrets(case: &Value) -> Secrets {
    let mut found = Vec::new();
    if let Some(secrets) = case["secrets"].as_object() {
        for (id, secret) in secrets {
            let secret = unhex(secret.as_str().unwrap()).try_into().unwrap();
            found.push((id.clone(), secret));
        }
    }
    found
}

pub fn values(case: &Value) -> Values {
    let object = match (case["object"].as_str(), case["object-hex"].as_str()) {
        (Some(text), None) => Some(text.as_bytes().to_vec()),
        (None, Some(hex)) => Some(unhex(hex)),
        (None, None) => None,
        _ => panic!("two objects in {case}"),
    };
    Values {
        // A choice may be without one.
        source: case["source"].as_str().map_or(0, address),
        object,
        chunk: case["chunk"].as_u64(),
        port: case["port"].as_u64().map(|port| port.try_into().unwrap()),
    }
}

pub fn client(case: &Value) -> Client {
    Client {
        values: values(case),
        time: case["time"].as_u64(),
        secrets: secrets(case),
        replica: case["replica"].as_u64().unwrap_or(0) as u32,
    }
}

pub fn seen(case: &Value) -> Seen {
    Seen {
        values: values(case),
        destination: address(string(case, "destination")),
        time: case["time"].as_u64().expect("time"),
        secrets: secrets(case),
    }
}

/// The request of a case.
pub fn request(case: &Value) -> http::Request {
    let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    let fields = case["headers"].as_array().cloned().unwrap_or_default();
    http::Request {
        target: case["path"].as_str().map(|path| path.as_bytes().to_vec()),
        fields: fields.iter().map(|field| (text(&field[0]), text(&field[1]))).collect(),
    }
}

/// What a client knows of its sources and of failures.
pub fn situation(case: &Value) -> Situation {
    let network = |value: &Value| {
        let text = value["item"].as_str().unwrap();
        address(text.split('/').next().unwrap())
    };
    let list = |key: &str| case[key].as_array().cloned().unwrap_or_default();
    Situation {
        sources: list("sources")
            .iter()
            .map(|own| (network(own), address(string(own, "source"))))
            .collect(),
        default: case["source"].as_str().map(address),
        failed: list("failed")
            .iter()
            .map(|failed| {
                let replica = failed["replica"].as_u64().unwrap() as u32;
                (network(failed), replica, address(string(failed, "address")))
            })
            .collect(),
    }
}

fn rrset(case: &Value) -> &str {
    case["apl"].as_str().unwrap_or("")
}

fn usable(case: &Value) -> Result<Usable, String> {
    record::usable(string(case, "rule"), rrset(case))
}

/// TXT records, each a string or an array of the strings it is made of.
pub fn records(case: &Value) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for record in case["records"].as_array().unwrap() {
        match record {
            Value::String(text) => found.push(text.as_bytes().to_vec()),
            strings => {
                // "Strings of one TXT record are concatenated."
                let mut whole = Vec::new();
                for text in strings.as_array().unwrap() {
                    whole.extend(text.as_str().unwrap().as_bytes());
                }
                found.push(whole);
            }
        }
    }
    found
}

/// A compose that leaves nothing to chance gives the same for any random bits.
pub fn certain(usable: &Usable, client: &Client) -> Result<u128, String> {
    let mut results = Vec::new();
    for seed in 0..4u64 {
        let mut counter = 0u64;
        let mut draw = || {
            counter += 1;
            hash::siphash(&[seed as u8; 16], &counter.to_be_bytes())
        };
        results.push(compose(usable, client, &mut draw));
    }
    let first = results[0].is_ok();
    assert!(
        results
            .iter()
            .all(|other| other.is_ok() == first && (!first || *other == results[0])),
        "left to chance: {results:x?}"
    );
    results.remove(0)
}

fn verdict_keys(verdict: &Verdict) -> Vec<(&'static str, Value)> {
    let mut keys = Vec::new();
    if let Some(part) = verdict.part() {
        keys.push(("part", json!(part.to_string())));
    }
    if let Verdict::Conforming { unchecked } = verdict {
        let unchecked: Vec<String> = unchecked.iter().map(Part::to_string).collect();
        keys.push(("unchecked", json!(unchecked)));
    }
    keys
}

/// What the oracle says to a case: `expect` and the keys that go with it.
pub fn answer(case: &Value) -> Vec<(&'static str, Value)> {
    match string(case, "op") {
        "parse" => {
            let result = usable(case);
            let word = if result.is_ok() { "usable" } else { "unusable" };
            vec![("expect", json!(word))]
        }
        "compose" => {
            let found = certain(&usable(case).unwrap(), &client(case)).unwrap();
            vec![("expect", json!(text(found)))]
        }
        "compose-error" => {
            let found = certain(&usable(case).unwrap(), &client(case));
            let word = if found.is_err() { "error" } else { "address" };
            vec![("expect", json!(word))]
        }
        "choose" => {
            let found = choose::choices(&usable(case).unwrap(), &client(case), &situation(case));
            let outcomes: Vec<Value> = found
                .unwrap_or_default()
                .iter()
                .map(|outcome| {
                    let address = outcome.address.expect("few random bits, no proof of work");
                    json!({"address": text(address), "source": text(outcome.source)})
                })
                .collect();
            vec![("expect", json!(outcomes))]
        }
        "verify" => {
            let found = verify(&usable(case).unwrap(), &seen(case)).unwrap();
            let mut keys = vec![("expect", json!(found.name()))];
            keys.extend(verdict_keys(&found));
            keys
        }
        "verify-refused" => {
            let found = verify(&usable(case).unwrap(), &seen(case));
            let word = if found.is_err() { "refused" } else { "verdict" };
            vec![("expect", json!(word))]
        }
        "published" => {
            let records = records(case);
            let seen = seen(case);
            let client = published::client(&records, rrset(case), seen.time);
            let verdict = published::verdict(&records, rrset(case), &seen);
            let mut expect = serde_json::Map::new();
            expect.insert("client".into(), json!(client));
            expect.insert("record".into(), json!(verdict.as_ref().map(|found| found.0)));
            expect.insert(
                "verdict".into(),
                json!(verdict.as_ref().map_or("none", |found| found.1.name())),
            );
            if let Some((_, verdict)) = &verdict {
                for (key, value) in verdict_keys(verdict) {
                    expect.insert(key.into(), value);
                }
            }
            vec![("expect", Value::Object(expect))]
        }
        "extract" => {
            let tags = record::parse(string(case, "rule").as_bytes()).unwrap().http;
            let request = request(case);
            let object = http::object(&tags, &request).map(|object| hex(&object));
            let chunk = http::chunk_of(&tags, &request);
            vec![("expect", json!({"object": object, "chunk": chunk}))]
        }
        "client-key" => {
            let secret = unhex(string(case, "secret")).try_into().unwrap();
            let l = case["kdf"].as_u64().unwrap() as u32;
            let key = hash::client_key(&secret, address(string(case, "source")), l);
            vec![("expect", json!(hex(&key)))]
        }
        "siphash" => {
            let key = unhex(string(case, "key")).try_into().unwrap();
            let number = hash::siphash(&key, &unhex(string(case, "message")));
            vec![("expect", json!(format!("{number:016x}")))]
        }
        "apl-wire" => {
            let wire = unhex(string(case, "wire"));
            match apl::from_wire(&wire) {
                Err(_) => vec![("expect", json!("malformed"))],
                Ok(items) => {
                    assert_eq!(apl::to_wire(&items), wire, "{case}");
                    let texts: Vec<String> = items.iter().map(apl::to_text).collect();
                    vec![("expect", json!(texts.join(" ")))]
                }
            }
        }
        other => panic!("unknown op {other:?}"),
    }
}

/// Compares a case with the oracle's answer; extra keys the case leaves out are not compared.
pub fn check(case: &Value) -> Result<(), String> {
    for (key, value) in answer(case) {
        let stated = &case[key];
        if key != "expect" && stated.is_null() {
            continue;
        }
        let same = if string(case, "op") == "compose" {
            address(stated.as_str().unwrap()) == address(value.as_str().unwrap())
        } else {
            *stated == value
        };
        if !same {
            return Err(format!("{key} is {value} by the oracle in {case}"));
        }
    }
    Ok(())
}

/// The order of keys in a written case.
const ORDER: [&str; 26] = [
    "note",
    "op",
    "rule",
    "records",
    "apl",
    "path",
    "headers",
    "wire",
    "key",
    "message",
    "secret",
    "kdf",
    "source",
    "sources",
    "failed",
    "object",
    "object-hex",
    "chunk",
    "time",
    "port",
    "secrets",
    "replica",
    "destination",
    "expect",
    "part",
    "unchecked",
];

/// A file's text: one case a line.
pub fn print(origin: &str, cases: &[Value]) -> String {
    let mut out = format!("{{\n\"origin\": {},\n\"cases\": [\n", json!(origin));
    for (place, case) in cases.iter().enumerate() {
        let case = case.as_object().unwrap();
        let mut keys = Vec::new();
        for key in ORDER {
            if let Some(value) = case.get(key) {
                keys.push(format!("{}: {value}", json!(key)));
            }
        }
        assert_eq!(keys.len(), case.len(), "a key without a place: {case:?}");
        let comma = if place + 1 == cases.len() { "" } else { "," };
        out += &format!("{{{}}}{comma}\n", keys.join(", "));
    }
    out.push_str("]\n}\n");
    out
}
