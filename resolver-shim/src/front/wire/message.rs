//! Where the records of a message lie, and names behind pointers. What records say is not looked at.

use super::{HEADER, first_question, flags, number};

/// The maximum size in bytes of a name.
const MAX_NAME: usize = 255;

/// A section of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who says so.
    Authority,
    /// What may be of use besides.
    Additional,
}

/// Where a record lies, and what stands in front of its data.
///
/// ```text
/// owner  TYPE:16 CLASS:16 TTL:32 RDLENGTH:16  data
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The section.
    pub section: Section,
    /// The type.
    pub kind: u16,
    /// The class.
    pub class: u16,
    /// The TTL.
    pub ttl: u32,
    /// Where it begins: at its owner's name.
    pub start: usize,
    /// Where the TTL stands.
    pub ttl_at: usize,
    /// Where its data begin.
    pub data: usize,
    /// Where it ends.
    pub end: usize,
}

/// A message with one question or none, and where its records lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The whole.
    pub bytes: &'a [u8],
    /// The flags.
    pub flags: u16,
    /// Where the question ends.
    pub question_end: usize,
    /// The records.
    pub records: Vec<Record>,
}

impl<'a> Message<'a> {
    /// Reads a message. Nothing where a record does not end in it, where its counts are not true, or where more than
    /// one question stands in it (RFC 9619 §4).
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let question_end = match number(bytes, 4)? {
            0 => HEADER,
            1 => first_question(bytes)?,
            _ => return None,
        };
        let mut at = question_end;
        let mut records = Vec::new();
        let sections = [(6, Section::Answer), (8, Section::Authority), (10, Section::Additional)];
        for (count, section) in sections {
            for _ in 0..number(bytes, count)? {
                let record = Record::read(bytes, at, section)?;
                at = record.end;
                records.push(record);
            }
        }
        (at == bytes.len()).then(|| Self {
            bytes,
            flags: flags(bytes),
            question_end,
            records,
        })
    }

    /// Returns the data of a record.
    #[must_use]
    pub fn data(&self, record: &Record) -> &'a [u8] {
        self.bytes.get(record.data..record.end).unwrap_or_default()
    }

    /// Returns the name of a record's owner in lower case; nothing where it cannot be read.
    #[must_use]
    pub fn owner(&self, record: &Record) -> Option<Vec<u8>> {
        lower_name(self.bytes, record.start)
    }

    /// Returns the name that a record's data begin with in lower case; nothing where it cannot be read.
    #[must_use]
    pub fn target(&self, record: &Record) -> Option<Vec<u8>> {
        lower_name(self.bytes, record.data)
    }
}

fn lower_name(bytes: &[u8], at: usize) -> Option<Vec<u8>> {
    let (mut name, _) = name(bytes, at)?;
    // Lengths are below the letters.
    name.make_ascii_lowercase();
    Some(name)
}

impl Record {
    pub(super) fn read(bytes: &[u8], start: usize, section: Section) -> Option<Self> {
        let fixed = skip_name(bytes, start)?;
        let ttl_at = fixed.checked_add(4)?;
        let data = fixed.checked_add(10)?;
        let length = number(bytes, fixed.checked_add(8)?)?;
        let end = data.checked_add(length.into())?;
        let ttl = [number(bytes, ttl_at)?, number(bytes, ttl_at.checked_add(2)?)?];
        (end <= bytes.len()).then_some(Self {
            section,
            kind: number(bytes, fixed)?,
            class: number(bytes, fixed.checked_add(2)?)?,
            ttl: u32::from(ttl[0]) << 16 | u32::from(ttl[1]),
            start,
            ttl_at,
            data,
            end,
        })
    }
}

/// Returns where a name ends that begins here.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    let last = at.checked_add(MAX_NAME)?;
    loop {
        let length = *bytes.get(at)?;
        at = at.checked_add(1)?;
        match length {
            0 => return (at <= last).then_some(at),
            1..=63 => at = at.checked_add(length.into())?,
            // A pointer is the end of it (RFC 1035 §4.1.4).
            192..=255 => return (at < last).then_some(at.checked_add(1)?),
            64..=191 => return None,
        }
    }
}

/// Returns the name that begins here, each label behind its length, with what its pointers lead to; and where it ends.
/// Pointers lead back only, so each name is read in a bounded time.
#[must_use]
pub fn name(bytes: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let mut end = None;
    let mut before = at;
    loop {
        let length = *bytes.get(at)?;
        match length {
            0..=63 => {
                let next = at.checked_add(1)?.checked_add(length.into())?;
                name.extend_from_slice(bytes.get(at..next)?);
                if name.len() > MAX_NAME {
                    return None;
                }
                if length == 0 {
                    return Some((name, end.unwrap_or(next)));
                }
                at = next;
            }
            192..=255 => {
                end = end.or(at.checked_add(2));
                let target = usize::from(number(bytes, at)? & 0x3fff);
                if target >= before || target < HEADER {
                    return None;
                }
                (at, before) = (target, target);
            }
            64..=191 => return None,
        }
    }
}
