//! The worked examples of docs/spec-examples.md: its JSON blocks are vectors, and what its text states stands in them too.

use std::collections::BTreeSet;

use serde_json::Value;
use ssa_oracle::cases;

const SPEC: &str = include_str!("../../docs/spec-examples.md");

/// The examples, which are section 9, each with its heading.
fn examples() -> impl Iterator<Item = &'static str> {
    SPEC.split("\n## ").filter(|section| section.starts_with("9."))
}

/// The blocks of a language in a piece of the text.
fn blocks(text: &'static str, language: &str) -> Vec<&'static str> {
    let open = format!("\n```{language}\n");
    let starts = text.split(open.as_str()).skip(1);
    starts.map(|rest| rest.split("\n```").next().unwrap()).collect()
}

fn cases_of(text: &'static str) -> Vec<Value> {
    let parsed = blocks(text, "json").into_iter().map(|block| {
        let cases: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        cases.as_array().expect("a block is an array of cases").clone()
    });
    parsed.flatten().collect()
}

#[test]
fn every_json_block_of_the_specification_holds() {
    let (mut passed, mut failures) = (0, Vec::new());
    for (number, block) in blocks(SPEC, "json").into_iter().enumerate() {
        let report = ssa_vectors::run(block).unwrap_or_else(|error| panic!("block {number}: {error}"));
        passed += report.passed;
        failures.extend(
            report
                .failures
                .iter()
                .map(|failure| format!("block {number}: {failure}")),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(passed >= 182, "{passed} cases");
    assert!(examples().count() >= 19, "{} examples", examples().count());
    assert!(
        examples().all(|example| !cases_of(example).is_empty()),
        "an example without vectors"
    );
}

#[test]
fn the_oracle_says_the_same() {
    let failures: Vec<String> = cases_of(SPEC)
        .iter()
        .filter_map(|case| cases::check(case).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Key, message and hash of every hash that the text states, in hex.
fn stated_hashes(example: &'static str) -> BTreeSet<[String; 3]> {
    let mut hashes = BTreeSet::new();
    let (mut key, mut message) = (String::new(), String::new());
    for line in blocks(example, "text").into_iter().flat_map(str::lines) {
        // Labels stand behind the columns of 16 octets.
        let value: String = line.chars().skip(9).take(47).filter(|c| *c != ' ').collect();
        match line.split(' ').next() {
            Some("key") => {
                key = value.chars().take(32).collect();
                message.clear();
            }
            Some("message") => message.push_str(&value),
            Some("SipHash") => {
                hashes.insert([key.clone(), message.clone(), value]);
            }
            _ => {}
        }
    }
    hashes
}

#[test]
fn every_hash_of_the_text_is_a_vector_and_every_such_vector_is_in_the_text() {
    let mut count = 0;
    for example in examples() {
        let hex = |case: &Value, key: &str| case[key].as_str().unwrap().to_string();
        let vectors: BTreeSet<[String; 3]> = cases_of(example)
            .iter()
            .filter(|case| case["op"] == "siphash")
            .map(|case| ["key", "message", "expect"].map(|key| hex(case, key)))
            .collect();
        assert_eq!(stated_hashes(example), vectors, "{example}");
        count += vectors.len();
    }
    assert!(count >= 20, "{count} hashes");
}

#[test]
fn every_address_and_key_of_the_text_is_in_the_vectors() {
    let mut count = 0;
    for example in examples() {
        let cases = cases_of(example);
        for line in blocks(example, "text").into_iter().flat_map(str::lines) {
            let Some((name @ ("address" | "own"), rest)) = line.split_once(' ') else {
                continue;
            };
            let value = rest.rsplit(' ').next().unwrap();
            let stated = cases.iter().any(|case| match case["op"].as_str() {
                Some("compose") => name == "address" && case["expect"] == value,
                Some("verify") => name == "address" && case["destination"] == value && case["expect"] == "conforming",
                Some("published") => name == "address" && case["destination"] == value,
                Some("client-key") => name == "own" && case["expect"] == value,
                _ => false,
            });
            assert!(stated, "{name} {value} is in no vector of {example}");
            count += 1;
        }
    }
    assert!(count >= 25, "{count} addresses and keys");
}
