//! Key material in texts: found by its looks, and hidden.
//!
//! A key has 16 octets. It may stand anywhere that something else is expected: as a file's name, a service's, a word of a
//! record. So every text that is told of goes through [`concealed`]. What people have to read stays: addresses and
//! prefixes, domain names, UUIDs, salts, digests by SHA-256, paths.

use std::{borrow::Cow, ops::Range};

/// So many hex digits are taken for a key: one has 32, and one that was copied badly some fewer.
const HEX: usize = 24;

/// So many octets in sequence, each written as a number of a program, are taken for a key.
const OCTETS: usize = HEX / 2;

/// The maximum number of characters between two of them.
const BETWEEN: usize = 8;

/// The most groups of hex digits that are taken together.
const GROUPS: usize = 64;

/// The length of 16 octets in base64, without padding.
const BASE64: usize = 22;

/// The lengths in base64 of a key that is written in hex, and of one with a line's end behind it: so Kubernetes writes a
/// Secret's value.
const BASE64_OF_HEX: [usize; 2] = [44, 43];

/// So often at least kinds of characters change in 16 random octets as base64. Words do so less often.
const CHANGES: usize = 5;

/// The longest salt of a record.
const SALT: usize = 32;

/// What stands in place of a key.
pub const HIDDEN: &str = "(hidden)";

/// Returns the text without what may be a key.
#[must_use]
pub fn concealed(text: &str) -> Cow<'_, str> {
    replaced(text, |_| HIDDEN.into())
}

/// Returns the text with an asterisk for each byte of what may be a key, so that places in it stay.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    replaced(text, |length| "*".repeat(length))
}

/// Returns whether there is something in the text that may be a key.
#[must_use]
pub fn has_key(text: &str) -> bool {
    !keys(text).is_empty()
}

fn replaced(text: &str, replacement: impl Fn(usize) -> String) -> Cow<'_, str> {
    let keys = keys(text);
    if keys.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for key in keys {
        shown.push_str(text.get(at..key.start).unwrap_or_default());
        shown.push_str(&replacement(key.len()));
        at = key.end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(shown)
}

/// A character as a reader sees it, and where it is in the text.
#[derive(Clone, Copy)]
struct Seen {
    /// The character, or a blank where it cannot be part of a key.
    byte: u8,
    start: usize,
    end: usize,
}

/// Returns what may be a key, from first to last.
fn keys(text: &str) -> Vec<Range<usize>> {
    let seen = seen(text);
    let bytes: Vec<u8> = seen.iter().map(|seen| seen.byte).collect();
    let mut keys: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    // Where the characters of base64 end that `at` is among: counted once, for texts may be long.
    let mut run = 0;
    while at < bytes.len() {
        if at >= run {
            run = at + count(&bytes, at, is_base64);
        }
        let hex = in_hex(&bytes, at).or_else(|| in_octets(&bytes, at));
        let found = hex.or_else(|| in_base64(&bytes, at, run));
        if let Some(length) = found.filter(|length| !is_public(&bytes, at, *length)) {
            // What runs into a key may look like one with its beginning.
            match keys.last_mut().filter(|last| at < last.end) {
                Some(last) => last.end = last.end.max(at + length),
                None => keys.push(at..at + length),
            }
        }
        at += hex.unwrap_or(1);
    }
    let place = |key: Range<usize>| {
        let key = seen.get(key)?;
        Some(key.first()?.start..key.last()?.end)
    };
    keys.into_iter().filter_map(place).collect()
}

/// Returns the characters of a text. Escapes of JSON are what they stand for; colours of a terminal end a word.
fn seen(text: &str) -> Vec<Seen> {
    let mut seen = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let start = at;
        at += 1;
        let mut byte = if byte.is_ascii() { byte } else { b' ' };
        if byte == b'\\' && bytes.get(at..at + 3) == Some(b"u00") {
            let digits = text.get(at + 3..at + 5);
            if let Some(escaped) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                byte = escaped;
                at += 5;
            }
        } else if byte == b'\x1b' {
            at += count(bytes, at, |byte| byte == b'[' || byte == b';' || byte.is_ascii_digit()) + 1;
            byte = b' ';
        }
        let end = at.min(bytes.len());
        seen.push(Seen { byte, start, end });
    }
    seen
}

fn count(bytes: &[u8], from: usize, is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(from).take_while(|byte| is(**byte)).count()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_alphanumeric)
}

/// Returns the length of a key in hex that begins here: digits in sequence, or in groups as fingerprints are written.
fn in_hex(bytes: &[u8], at: usize) -> Option<usize> {
    let hex = |byte: u8| byte.is_ascii_hexdigit();
    if at > 0 && bytes.get(at - 1).is_some_and(|byte| hex(*byte)) {
        return None;
    }
    let group = count(bytes, at, hex);
    if group >= HEX {
        return Some(group);
    }
    let separator = *bytes.get(at + group)?;
    if ![2, 4, 8, 16].contains(&group) || !b":-_., ".contains(&separator) {
        return None;
    }
    let mut end = at + group;
    let mut groups = 1;
    // Bounded, so that a long table is not counted anew at each of its numbers.
    while groups < GROUPS && bytes.get(end) == Some(&separator) && count(bytes, end + 1, hex) == group {
        end += 1 + group;
        groups += 1;
    }
    // Eight groups of four behind colons are an address, numbers alone a table, and letters alone words or a map of bits.
    let is_address = separator == b':' && group == 4 && groups <= 8;
    let key = bytes.get(at..end)?;
    let is_mixed = key.iter().any(u8::is_ascii_alphabetic) && key.iter().any(u8::is_ascii_digit);
    (group * groups >= HEX && is_mixed && !is_address).then_some(end - at)
}

/// Returns the length of a key that begins here as programs write octets: `0xb9, 0xe1` and so on, or `\xb9\xe1`.
fn in_octets(bytes: &[u8], at: usize) -> Option<usize> {
    let octet = |from: usize| {
        let lead = match bytes.get(from)? {
            b'0' => 1,
            b'\\' => count(bytes.get(..bytes.len().min(from + BETWEEN))?, from, |byte| {
                byte == b'\\'
            }),
            _ => return None,
        };
        let is_hex = bytes.get(from + lead).is_some_and(|byte| b"xX".contains(byte));
        let digits = count(bytes, from + lead + 1, |byte| byte.is_ascii_hexdigit());
        (is_hex && matches!(digits, 1 | 2)).then_some(from + lead + 1 + digits)
    };
    let mut end = octet(at)?;
    let mut octets = 1;
    while let Some(next) = octet(end + count(bytes, end, |byte| b",;: \t\r\n\"'".contains(&byte)).min(BETWEEN)) {
        end = next;
        octets += 1;
    }
    (octets >= OCTETS).then_some(end - at)
}

/// Returns the length of a key in base64 that begins here, of characters that end at `run`.
fn in_base64(bytes: &[u8], at: usize, run: usize) -> Option<usize> {
    let padded = |length: usize, padding: &[u8]| bytes.get(at + length..at + length + padding.len()) == Some(padding);
    if at + BASE64 == run && padded(BASE64, b"==") {
        // A text before it, such as `k1/`, may run into it.
        return Some(BASE64 + 2);
    }
    if at > 0 && is_word(bytes.get(at - 1)) {
        return None;
    }
    let ends = |length: usize| at + length <= run && !is_word(bytes.get(at + length));
    if ends(BASE64) && looks_random(bytes.get(at..at + BASE64)?) {
        return Some(BASE64);
    }
    let length = BASE64_OF_HEX.into_iter().find(|length| ends(*length))?;
    let is_hex = decoded(bytes.get(at..at + length)?)
        .iter()
        .take(32)
        .all(u8::is_ascii_hexdigit);
    is_hex.then(|| length + count(bytes, at + length, |byte| byte == b'='))
}

/// Returns whether characters may be 16 octets as base64, and no words: the last one stands for two bits alone, and kinds of
/// characters change often.
fn looks_random(text: &[u8]) -> bool {
    let kind = |byte: &u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let changes = text
        .windows(2)
        .filter(|pair| pair.first().map(kind) != pair.last().map(kind));
    text.last().is_some_and(|last| b"AQgw".contains(last))
        && text.iter().any(u8::is_ascii_lowercase)
        && text.iter().any(u8::is_ascii_uppercase)
        && changes.count() >= CHANGES
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let sextet = |byte: &u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    };
    let mut octets = Vec::new();
    for quantum in text.chunks(4) {
        let bits = quantum
            .iter()
            .fold(0_u32, |bits, byte| bits << 6 | u32::from(sextet(byte)));
        let bits = bits << (6 * (4 - quantum.len()));
        octets.extend(
            bits.to_be_bytes()
                .into_iter()
                .skip(1)
                .take(quantum.len().saturating_sub(1)),
        );
    }
    octets
}

/// Returns whether what looks like a key is known to be none by what stands before it: a record's salt, or a digest.
fn is_public(bytes: &[u8], at: usize, length: usize) -> bool {
    let before = bytes.get(at.saturating_sub(SALT + 5)..at).unwrap_or_default();
    let of_salt = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let begun = before.iter().rev().take_while(|byte| of_salt(byte)).count();
    let is_salt = before
        .get(..before.len() - begun)
        .is_some_and(|before| before.ends_with(b"salt="));
    let blanks = before.iter().rev().take_while(|byte| b":=@\" ".contains(byte)).count();
    let named = before.get(..before.len() - blanks).unwrap_or_default();
    let is_digest = length == 64 && named.to_ascii_lowercase().ends_with(b"sha256");
    is_digest || (is_salt && begun + length <= SALT)
}

#[cfg(test)]
mod tests;
