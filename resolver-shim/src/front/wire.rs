//! The little of DNS messages that the front reads and writes (RFC 1035 §4.1, RFC 6891 §6.1).
//!
//! ```text
//! ID:16  QR:1 Opcode:4 AA:1 TC:1 RD:1  RA:1 Z:1 AD:1 CD:1 RCODE:4  QDCOUNT:16 ANCOUNT:16 NSCOUNT:16 ARCOUNT:16
//! QNAME QTYPE:16 QCLASS:16 …
//! ```

use std::net::Ipv6Addr;

/// The bytes of a header.
const HEADER: usize = 12;

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const CHECKING_DISABLED: u16 = 0x0010;
const CODE: u16 = 0x000f;

const AAAA: u16 = 28;
const OPT: u16 = 41;
const IXFR: u16 = 251;
const AXFR: u16 = 252;
const IN: u16 = 1;

/// The flag of OPT by which an asker wants signatures.
const DNSSEC_OK: u16 = 0x8000;

/// The size that the front names in its own answers, in bytes (RFC 9715 §3).
const PAYLOAD: u16 = 1232;

/// Why there is no answer, as a header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// No server answered.
    ServerFailure = 2,
    /// The asker is none of the clients.
    Refused = 5,
}

/// A plain question for AAAA records: one that the front may answer by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The header, and the question as it was asked.
    bytes: &'a [u8],
    /// The name, in lower case, each label behind its length.
    pub name: Vec<u8>,
    edns: bool,
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// Says whether a message is a query: answers to answers would go back and forth without end.
#[must_use]
pub fn is_query(message: &[u8]) -> bool {
    message.len() >= HEADER && number(message, 2).is_some_and(|flags| flags & RESPONSE == 0)
}

/// Returns the first question of a message; nothing where there is none that can be read.
#[must_use]
pub fn question(message: &[u8]) -> &[u8] {
    let question = first_question(message).and_then(|end| message.get(HEADER..end));
    question.unwrap_or_default()
}

/// Says whether a message answers this question, whatever its number. Only what is no ordinary answer may leave the
/// question out, as servers do that could not read it (RFC 1035 §4.1.1) or were told of a change (RFC 2136 §3.8).
#[must_use]
pub fn answers(message: &[u8], asked: &[u8]) -> bool {
    let Some(flags) = number(message, 2) else { return false };
    let is_answer = message.len() >= HEADER && flags & RESPONSE != 0;
    let told = question(message);
    let left_out = number(message, 4) == Some(0) && flags & (OPCODE | CODE) != 0;
    is_answer && (asked.is_empty() || told.eq_ignore_ascii_case(asked) || left_out)
}

/// Says whether a query asks for a whole zone, which takes more than one message.
#[must_use]
pub fn is_transfer(query: &[u8]) -> bool {
    let kind = first_question(query).and_then(|end| number(query, end.checked_sub(4)?));
    matches!(kind, Some(AXFR | IXFR))
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

impl<'a> Question<'a> {
    /// Reads a question for AAAA records in the Internet. Nothing where the asker wants more than an answer alone can
    /// say: signatures, no recursion, no checks, a later version of EDNS, a signed answer.
    #[must_use]
    pub fn read(message: &'a [u8]) -> Option<Self> {
        let flags = number(message, 2)?;
        let wanted = RECURSION_DESIRED;
        let unwanted = RESPONSE | OPCODE | TRUNCATED | CHECKING_DISABLED | CODE;
        if flags & (wanted | unwanted) != wanted {
            return None;
        }
        if (number(message, 4)?, number(message, 6)?, number(message, 8)?) != (1, 0, 0) {
            return None;
        }
        let end = first_question(message)?;
        let (bytes, rest) = message.split_at_checked(end)?;
        let (name, kind) = bytes.get(HEADER..)?.split_last_chunk::<4>()?;
        if (number(kind, 0)?, number(kind, 2)?) != (AAAA, IN) {
            return None;
        }
        let edns = match number(message, 10)? {
            0 if rest.is_empty() => false,
            1 if is_plain_opt(rest)? => true,
            _ => return None,
        };
        Some(Self {
            bytes,
            // Lengths are below the letters.
            name: name.to_ascii_lowercase(),
            edns,
        })
    }

    /// Answers with one address.
    #[must_use]
    pub fn answer(&self, address: Ipv6Addr, ttl: u32) -> Vec<u8> {
        let mut answer = self.bytes.to_vec();
        let flags = RESPONSE | RECURSION_DESIRED | RECURSION_AVAILABLE;
        header(&mut answer, flags, [1, 1, 0, self.edns.into()]);
        // The name is that of the question: a pointer to its place.
        answer.extend([0xc0, 12]);
        answer.extend(AAAA.to_be_bytes());
        answer.extend(IN.to_be_bytes());
        answer.extend(ttl.to_be_bytes());
        answer.extend(16_u16.to_be_bytes());
        answer.extend(address.octets());
        if self.edns {
            answer.push(0);
            answer.extend(OPT.to_be_bytes());
            answer.extend(PAYLOAD.to_be_bytes());
            answer.extend([0; 6]);
        }
        answer
    }
}

/// Says whether the rest of a message is one OPT record of version 0 that wants no signatures; nothing where it is cut
/// short.
///
/// ```text
/// 0:8  TYPE:16=41  size:16  code:8 VERSION:8 DO:1 Z:15  RDLENGTH:16  options
/// ```
fn is_plain_opt(rest: &[u8]) -> Option<bool> {
    let (name, kind, version, flags) = (rest.first()?, number(rest, 1)?, number(rest, 5)?, number(rest, 7)?);
    let length = usize::from(number(rest, 9)?);
    let plain = (*name, kind, version, flags & DNSSEC_OK) == (0, OPT, 0, 0);
    Some(plain && rest.len() == length.checked_add(11)?)
}

/// Answers a query with nothing but a code; nothing where it is no message.
#[must_use]
pub fn failure(query: &[u8], code: Code) -> Option<Vec<u8>> {
    let flags = number(query, 2)? & (OPCODE | RECURSION_DESIRED);
    let end = first_question(query);
    let mut answer = query.get(..end.unwrap_or(HEADER))?.to_vec();
    let flags = RESPONSE | RECURSION_AVAILABLE | flags | code as u16;
    header(&mut answer, flags, [end.is_some().into(), 0, 0, 0]);
    Some(answer)
}

/// Writes flags and counts into the header of a message.
fn header(message: &mut [u8], flags: u16, counts: [u16; 4]) {
    let numbers = std::iter::once(flags).chain(counts);
    for (place, number) in message.iter_mut().skip(2).zip(numbers.flat_map(u16::to_be_bytes)) {
        *place = number;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Writes a query with so many additional records, whose bytes follow.
    pub(crate) fn query(name: &str, kind: u16, additional: u16, rest: &[u8]) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0];
        message.extend(additional.to_be_bytes());
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message.extend(rest);
        message
    }

    pub(crate) fn opt(version: u8, dnssec: bool, options: &[u8]) -> Vec<u8> {
        let mut record = vec![0, 0, 41, 0x10, 0, 0, version, if dnssec { 0x80 } else { 0 }, 0];
        record.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
        record.extend(options);
        record
    }

    #[test]
    fn plain_questions_for_addresses_are_read_and_answered() {
        let message = query("Web.Demo.test", AAAA, 0, &[]);
        let plain = Question::read(&message).unwrap();
        assert_eq!(plain.name, b"\x03web\x04demo\x04test\0");
        let answer = plain.answer("2001:db8::7".parse().unwrap(), 30);
        assert!(answers(&answer, question(&message)) && !is_query(&answer));
        assert_eq!(answer[2..12], [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(answer[12..message.len()], message[12..]);
        let record = b"\xc0\x0c\0\x1c\0\x01\0\0\0\x1e\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07";
        assert_eq!(answer[message.len()..], *record);
        // A cookie may be there.
        let message = query("web.demo.test", AAAA, 1, &opt(0, false, b"\0\x0a\0\x08abcdefgh"));
        let answer = Question::read(&message).unwrap().answer(Ipv6Addr::LOCALHOST, 0);
        assert_eq!(answer[10..12], [0, 1]);
        assert!(answer.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"));
    }

    #[test]
    fn whatever_wants_more_is_not_the_fronts() {
        let plain = query("web.demo.test", AAAA, 0, &[]);
        let with = |at: usize, value: u8| {
            let mut message = plain.clone();
            message[at] = value;
            message
        };
        let cases = [
            query("web.demo.test", 1, 0, &[]),
            query("web.demo.test", 255, 0, &[]),
            query("web.demo.test", AAAA, 1, &opt(0, true, &[])),
            query("web.demo.test", AAAA, 1, &opt(1, false, &[])),
            query("web.demo.test", AAAA, 1, &[]),
            query("web.demo.test", AAAA, 0, &opt(0, false, &[])),
            query(
                "web.demo.test",
                AAAA,
                2,
                &[opt(0, false, &[]), opt(0, false, &[])].concat(),
            ),
            query("web.demo.test", AAAA, 1, &[opt(0, false, &[]), vec![0]].concat()),
            query("web.demo.test", AAAA, 0, b"x"),
            with(2, 0),
            with(2, 0x81),
            with(2, 0x29),
            with(2, 0x03),
            with(3, 0x10),
            with(5, 2),
            with(7, 1),
            with(plain.len() - 1, 3),
            with(12, 0xc0),
            plain[..plain.len() - 1].to_vec(),
            query(&vec!["a".repeat(63); 4].join("."), AAAA, 0, &[]),
        ];
        for (number, message) in cases.iter().enumerate() {
            assert_eq!(Question::read(message), None, "case {number}: {message:x?}");
        }
    }

    #[test]
    fn failures_repeat_the_question() {
        let message = query("web.demo.test", 1, 1, &opt(0, true, &[]));
        let answer = failure(&message, Code::Refused).unwrap();
        assert_eq!(answer[2..12], [0x81, 0x85, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer[12..], message[12..message.len() - 11]);
        assert_eq!(failure(&message[..14], Code::ServerFailure).unwrap().len(), 12);
        assert_eq!(failure(&message[..11], Code::ServerFailure), None);
    }

    #[test]
    fn answers_have_the_question_or_a_reason_not_to() {
        let message = query("web.demo.test", 1, 0, &[]);
        let asked = question(&message);
        let with = |flags: u16, message: &[u8]| {
            let mut answer = message.to_vec();
            header(&mut answer, flags, [u16::from(message.len() > HEADER), 0, 0, 0]);
            answers(&answer, asked)
        };
        let other = query("wab.demo.test", 1, 0, &[]);
        assert!(with(RESPONSE, &message) && with(RESPONSE | 3, &message) && !with(0, &message));
        assert!(with(RESPONSE, &message.to_ascii_uppercase()));
        assert!(!with(RESPONSE, &other) && !with(RESPONSE, &message[..message.len() - 1]));
        assert!(!with(RESPONSE, &message[..HEADER]));
        assert!(with(RESPONSE | 1, &message[..HEADER]) && with(RESPONSE | 0x2800, &message[..HEADER]));
        // A question that cannot be read has no answer to compare.
        assert!(answers(&[0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]) && !answers(&[0, 0, 0x80], &[]));
    }

    #[test]
    fn transfers_are_told_from_other_queries() {
        for (kind, expected) in [(251, true), (252, true), (255, false), (28, false)] {
            assert_eq!(is_transfer(&query("demo.test", kind, 0, &[])), expected);
        }
    }
}
