//! The little of DNS messages that the front reads and writes (RFC 1035 §4.1, RFC 6891 §6.1).
//!
//! ```text
//! ID:16  QR:1 Opcode:4 AA:1 TC:1 RD:1  RA:1 Z:1 AD:1 CD:1 RCODE:4  QDCOUNT:16 ANCOUNT:16 NSCOUNT:16 ARCOUNT:16
//! QNAME QTYPE:16 QCLASS:16 …
//! ```

mod build;
pub mod edns;
mod message;
pub mod svcb;

pub use self::{
    build::Builder,
    message::{Message, Record, Section, name},
};

/// The bytes of a header.
pub(super) const HEADER: usize = 12;

/// The maximum size in bytes of a message.
pub(super) const MAX_MESSAGE: usize = 65_535;

/// The most bytes by UDP where nothing else is said (RFC 1035 §4.2.1), and the least that EDNS can say (RFC 6891 §6.2.3).
pub const MIN_PAYLOAD: u16 = 512;

/// The size that the front names to queriers and to servers, in bytes: no more comes by UDP (RFC 9715 §3).
pub const PAYLOAD: u16 = 1232;

pub(super) const RESPONSE: u16 = 0x8000;
pub(super) const OPCODE: u16 = 0x7800;
pub(super) const AUTHORITATIVE: u16 = 0x0400;
pub(super) const TRUNCATED: u16 = 0x0200;
pub(super) const RECURSION_DESIRED: u16 = 0x0100;
pub(super) const RECURSION_AVAILABLE: u16 = 0x0080;
pub(super) const AUTHENTIC_DATA: u16 = 0x0020;
pub(super) const CHECKING_DISABLED: u16 = 0x0010;
pub(super) const CODE: u16 = 0x000f;

/// The types and the class that the front knows something of.
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A server of a zone.
    pub const NS: u16 = 2;
    /// An alias.
    pub const CNAME: u16 = 5;
    /// The start of a zone.
    pub const SOA: u16 = 6;
    /// A signature of a message, where it covers no type (RFC 2931 §3).
    pub const SIG: u16 = 24;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// EDNS (RFC 6891).
    pub const OPT: u16 = 41;
    /// How a service is reached (RFC 9460).
    pub const SVCB: u16 = 64;
    /// The same of HTTP.
    pub const HTTPS: u16 = 65;
    /// A signature of a message (RFC 8945).
    pub const TSIG: u16 = 250;
    /// What changed in a zone (RFC 1995).
    pub const IXFR: u16 = 251;
    /// A zone (RFC 5936).
    pub const AXFR: u16 = 252;
    /// The first of the types that are no data, and the last but ANY (RFC 6895 §3.1).
    pub const META: std::ops::RangeInclusive<u16> = 128..=254;
    /// The Internet.
    pub const IN: u16 = 1;
}

/// Why there is no answer, as a response code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The query is none that can be read.
    FormatError = 1,
    /// No server answered.
    ServerFailure = 2,
    /// It is not a query for records.
    NotImplemented = 4,
    /// The querier is none of the clients, or asks for what the front hands to nobody.
    Refused = 5,
    /// It is of a later EDNS (RFC 6891 §6.1.3).
    BadVersion = 16,
}

pub(super) fn number(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// Returns the flags of a message, none where it has no header.
#[must_use]
pub fn flags(message: &[u8]) -> u16 {
    number(message, 2).unwrap_or(0)
}

/// Returns whether a message is a query: answers to answers would go back and forth without end.
#[must_use]
pub fn is_query(message: &[u8]) -> bool {
    message.len() >= HEADER && flags(message) & RESPONSE == 0
}

/// Returns the first question of a message; nothing where there is none that can be read.
#[must_use]
pub fn question(message: &[u8]) -> &[u8] {
    let question = first_question(message).and_then(|end| message.get(HEADER..end));
    question.unwrap_or_default()
}

/// Returns whether a message answers this question, whatever its number. Only what is no ordinary answer may leave the
/// question out, as servers do that could not read it (RFC 1035 §4.1.1).
#[must_use]
pub fn answers(message: &[u8], asked: &[u8]) -> bool {
    let Some(flags) = number(message, 2) else { return false };
    let is_answer = message.len() >= HEADER && flags & RESPONSE != 0;
    let told = question(message);
    let left_out = number(message, 4) == Some(0) && flags & (OPCODE | CODE) != 0;
    is_answer && (asked.is_empty() || told.eq_ignore_ascii_case(asked) || left_out)
}

/// Returns where the first question ends.
fn first_question(message: &[u8]) -> Option<usize> {
    if number(message, 4)? == 0 {
        return None;
    }
    let mut at = HEADER;
    loop {
        let length = *message.get(at)?;
        at = at.checked_add(1)?.checked_add(length.into())?;
        match length {
            0 => break,
            1..=63 => {}
            // Nothing stands before the first name that it could point to.
            _ => return None,
        }
    }
    let end = at.checked_add(4)?;
    // A name has 255 bytes at most.
    (at <= HEADER.checked_add(255)? && end <= message.len()).then_some(end)
}

/// Answers a query with no records; nothing where it is no message. Where the query has an OPT record, the answer has
/// one too (RFC 6891 §6.1.1).
#[must_use]
pub fn bare(query: &[u8], flags: u16, code: u16) -> Option<Vec<u8>> {
    let own = OPCODE | RECURSION_DESIRED | CHECKING_DISABLED;
    let end = first_question(query);
    let mut answer = query.get(..end.unwrap_or(HEADER))?.to_vec();
    let low = code & CODE;
    let edns = edns::of_query(query);
    let flags = RESPONSE | RECURSION_AVAILABLE | flags | (self::flags(query) & own) | low;
    set_header(&mut answer, flags, [end.is_some().into(), 0, 0, edns.is_some().into()]);
    if let Some(dnssec) = edns {
        edns::write(&mut answer, PAYLOAD, u8::try_from(code >> 4).unwrap_or(0), dnssec, []);
    }
    Some(answer)
}

/// Answers a query with nothing but a code; nothing where it is no message.
#[must_use]
pub fn failure(query: &[u8], code: Code) -> Option<Vec<u8>> {
    bare(query, 0, code as u16)
}

/// Returns a message the number that stands at the beginning of another.
pub(super) fn set_number(message: &mut [u8], from: &[u8]) {
    for (place, byte) in message.iter_mut().zip(from.iter().take(2)) {
        *place = *byte;
    }
}

/// Writes flags and counts into the header of a message.
pub(super) fn set_header(message: &mut [u8], flags: u16, counts: [u16; 4]) {
    let numbers = std::iter::once(flags).chain(counts);
    for (place, number) in message.iter_mut().skip(2).zip(numbers.flat_map(u16::to_be_bytes)) {
        *place = number;
    }
}

#[cfg(test)]
pub(super) mod tests;
