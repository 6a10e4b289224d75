//! A request over HTTP, as the proxy shows it, and what applications are told of one.

use ssa_rules::HttpRequest;

use crate::host::{Fields, Requests};

/// Names of header fields that begin so are the filter's: it removes those of clients.
const OWN: &str = "ssa-";

/// The header field with the object key, percent-encoded.
pub const OBJECT: &str = "ssa-object";

/// The header field with the replica, such as `0/2`.
pub const REPLICA: &str = "ssa-replica";

/// The header field with the slice, in hex.
pub const SLICE: &str = "ssa-slice";

/// The header field of an answer that says why a request was refused.
pub const VERDICT: &str = "ssa-verdict";

/// Removes the header fields that are the filter's own, of a request with these fields.
pub fn strip(fields: &Fields, host: &impl Requests) {
    for (name, _) in fields {
        if name.starts_with(OWN) {
            host.set_request_header(name, None);
        }
    }
}

/// Does something with a request as rules see it.
pub fn with<T>(fields: &Fields, act: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
    let target = fields.iter().find(|(name, _)| name == ":path");
    let target = target.map(|(_, value)| value.as_slice());
    let fields: Vec<(&[u8], &[u8])> = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_slice()))
        .collect();
    act(&HttpRequest::new(target, &fields))
}

/// Writes an object key as a header field can carry it: all but visible ASCII percent-encoded, and `%` too.
#[must_use]
pub fn encoded(object: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(object.len());
    for byte in object {
        if byte.is_ascii_graphic() && *byte != b'%' {
            text.push(*byte);
        } else {
            text.push(b'%');
            text.extend(hex(u64::from(*byte), 2));
        }
    }
    text
}

/// Writes a number as so many hex digits, at most 16.
#[must_use]
pub fn hex(number: u64, digits: u32) -> Vec<u8> {
    let digit = |place: u32| {
        let value = number.unbounded_shr(place.saturating_mul(4)) & 15;
        u8::try_from(value).map_or(b'0', |value| {
            if value < 10 {
                b'0' | value
            } else {
                value.wrapping_add(b'a' - 10)
            }
        })
    };
    (0..digits.min(16)).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_written_in_visible_ascii() {
        for (object, text) in [
            (&b"a/b"[..], "a/b"),
            (b"9 b.bin", "9%20b.bin"),
            (b"100%", "100%25"),
            ("é".as_bytes(), "%c3%a9"),
            (b"\0\r\n\x7f\xff", "%00%0d%0a%7f%ff"),
        ] {
            assert_eq!(encoded(object), text.as_bytes());
        }
    }

    #[test]
    fn slices_have_as_many_digits_as_their_width() {
        assert_eq!(hex(0x2a, 3), b"02a");
        assert_eq!(hex(u64::MAX, 16), [b'f'; 16]);
        assert_eq!(hex(1, 0), b"");
    }
}
