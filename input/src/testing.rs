//! What tests of errors share: the words that no error has, and the way to every value of a document.

use serde_json::Value;

/// What no error says: words of Rust and of its libraries.
const LIBRARY_WORDS: [&str; 21] = [
    "struct",
    "enum",
    "variant",
    "u8",
    "u16",
    "u32",
    "u64",
    "usize",
    "f64",
    "EOF",
    "os error",
    "Err(",
    "Errors",
    "Some(",
    "None",
    "sequence",
    "a map",
    "invalid type",
    "expected",
    "::Error",
    "panicked",
];

/// Returns the first word of Rust or of its libraries that a text has.
#[must_use]
pub fn library_word(text: &str) -> Option<&'static str> {
    LIBRARY_WORDS.into_iter().find(|word| text.contains(word))
}

/// Returns the way to every value of a document: as a pointer (RFC 6901), and as errors write it.
#[must_use]
pub fn paths(document: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(document, "", "", &mut found);
    found
}

fn walk(value: &Value, pointer: &str, way: &str, found: &mut Vec<(String, String)>) {
    found.push((pointer.to_owned(), way.to_owned()));
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                let dot = if way.is_empty() { "" } else { "." };
                walk(inner, &format!("{pointer}/{key}"), &format!("{way}{dot}{key}"), found);
            }
        }
        Value::Array(members) => {
            for (number, inner) in members.iter().enumerate() {
                walk(
                    inner,
                    &format!("{pointer}/{number}"),
                    &format!("{way}[{number}]"),
                    found,
                );
            }
        }
        _ => {}
    }
}
