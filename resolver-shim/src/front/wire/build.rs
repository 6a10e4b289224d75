//! Writes a message again with other records. Names behind pointers are written anew, for what they point to may have
//! gone or moved.

use std::collections::HashMap;

use super::{HEADER, MAX_MESSAGE, Message, Record, Section, message::name, set_header};

/// How the names in the data of a type lie: so many bytes in front of them, and how many names.
enum Layout {
    /// Names, which may be pointed to and may point (RFC 1035 §3.3).
    Compressed(usize, usize),
    /// Names that others may have compressed, but nobody should (RFC 3597 §4).
    Plain(usize, usize),
    /// A name behind four bytes and three strings (RFC 3403 §4.1).
    Naptr,
    /// None that could be behind a pointer.
    None,
}

fn layout(kind: u16) -> Layout {
    match kind {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR
        2..=5 | 7..=9 | 12 => Layout::Compressed(0, 1),
        // SOA, MINFO
        6 | 14 => Layout::Compressed(0, 2),
        // MX
        15 => Layout::Compressed(2, 1),
        // RP
        17 => Layout::Plain(0, 2),
        // AFSDB, RT, KX
        18 | 21 | 36 => Layout::Plain(2, 1),
        // SIG, RRSIG
        24 | 46 => Layout::Plain(18, 1),
        // PX
        26 => Layout::Plain(2, 2),
        // NXT, DNAME, NSEC
        30 | 39 | 47 => Layout::Plain(0, 1),
        // SRV
        33 => Layout::Plain(6, 1),
        35 => Layout::Naptr,
        _ => Layout::None,
    }
}

/// A message that is written, section by section in their order.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    /// Where names stand that can be pointed to.
    names: HashMap<Vec<u8>, u16>,
    counts: [u16; 4],
}

impl Builder {
    /// Begins with the header and the question of a message.
    #[must_use]
    pub fn new(message: &Message<'_>) -> Self {
        let bytes = message.bytes.get(..message.question_end).unwrap_or_default().to_vec();
        let mut builder = Self {
            counts: [u16::from(message.question_end > HEADER), 0, 0, 0],
            names: HashMap::new(),
            bytes,
        };
        if let Some((question, _)) = name(message.bytes, HEADER).filter(|_| message.question_end > HEADER) {
            builder.note(&question, HEADER);
        }
        builder
    }

    /// Adds a record as it stands in a message. Nothing where a name in it cannot be read.
    pub fn copy(&mut self, message: &Message<'_>, record: &Record) -> Option<()> {
        let (owner, _) = name(message.bytes, record.start)?;
        self.begin(record.section, &owner, (record.kind, record.class, record.ttl))?;
        let length_at = self.bytes.len().checked_sub(2)?;
        let (before, names, compressed) = match layout(record.kind) {
            Layout::Compressed(before, names) => (before, names, true),
            Layout::Plain(before, names) => (before, names, false),
            Layout::Naptr => (naptr(message.data(record))?, 1, false),
            Layout::None => (0, 0, false),
        };
        let mut at = record.data.checked_add(before)?;
        // Data of dynamic updates may be empty, and so may those of APL.
        if record.end > record.data || names == 0 {
            self.bytes.extend_from_slice(message.bytes.get(record.data..at)?);
            for _ in 0..names {
                let (name, end) = name(message.bytes, at)?;
                self.name(&name, compressed);
                at = end;
            }
            self.bytes.extend_from_slice(message.bytes.get(at..record.end)?);
        }
        self.end(length_at)
    }

    /// Adds a record with these data, in which no name is.
    pub fn put(
        &mut self,
        section: Section,
        owner: &[u8],
        (kind, class, ttl): (u16, u16, u32),
        data: &[u8],
    ) -> Option<()> {
        self.begin(section, owner, (kind, class, ttl))?;
        let length_at = self.bytes.len().checked_sub(2)?;
        self.bytes.extend_from_slice(data);
        self.end(length_at)
    }

    /// Adds a record to the last section as it is.
    pub fn append(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.counts[3] = self.counts[3].saturating_add(1);
    }

    /// Returns the whole with these flags; nothing where it has become too large.
    #[must_use]
    pub fn finish(mut self, flags: u16) -> Option<Vec<u8>> {
        set_header(&mut self.bytes, flags, self.counts);
        (self.bytes.len() <= MAX_MESSAGE).then_some(self.bytes)
    }

    fn begin(&mut self, section: Section, owner: &[u8], (kind, class, ttl): (u16, u16, u32)) -> Option<()> {
        // What is too large is not to grow further.
        if self.bytes.len() > MAX_MESSAGE {
            return None;
        }
        let count = match section {
            Section::Answer => &mut self.counts[1],
            Section::Authority => &mut self.counts[2],
            Section::Additional => &mut self.counts[3],
        };
        *count = count.checked_add(1)?;
        self.name(owner, true);
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend(class.to_be_bytes());
        self.bytes.extend(ttl.to_be_bytes());
        self.bytes.extend([0, 0]);
        Some(())
    }

    /// Records how long the data are that followed.
    fn end(&mut self, length_at: usize) -> Option<()> {
        let data = self.bytes.len().checked_sub(length_at.checked_add(2)?)?;
        let length = u16::try_from(data).ok()?.to_be_bytes();
        let place = self.bytes.get_mut(length_at..length_at.checked_add(2)?)?;
        place.copy_from_slice(&length);
        Some(())
    }

    /// Writes a name, by a pointer as far as it stands there already.
    fn name(&mut self, name: &[u8], compressed: bool) {
        let start = self.bytes.len();
        let mut at = 0;
        while let Some(rest) = name.get(at..).filter(|rest| rest.len() > 1) {
            if let Some(known) = self.names.get(rest).filter(|_| compressed) {
                let pointer = 0xc000 | known;
                self.bytes.extend_from_slice(name.get(..at).unwrap_or_default());
                self.bytes.extend(pointer.to_be_bytes());
                self.note_until(name, start, at);
                return;
            }
            at = next_label(rest).map_or(name.len(), |length| at.saturating_add(length));
        }
        self.bytes.extend_from_slice(name);
        if compressed {
            self.note(name, start);
        }
    }

    fn note(&mut self, name: &[u8], start: usize) {
        self.note_until(name, start, name.len().saturating_sub(1));
    }

    /// Records the labels of a name, up to this one, as what can be pointed to.
    fn note_until(&mut self, name: &[u8], start: usize, end: usize) {
        let mut at = 0;
        while at < end {
            let Ok(place) = u16::try_from(start.saturating_add(at)) else {
                return;
            };
            let Some(rest) = name.get(at..).filter(|_| place < 0x4000) else {
                return;
            };
            self.names.entry(rest.to_vec()).or_insert(place);
            at = next_label(rest).map_or(end, |length| at.saturating_add(length));
        }
    }
}

/// Returns how many bytes the first label of a name has, its length included.
fn next_label(name: &[u8]) -> Option<usize> {
    name.first().map(|length| usize::from(*length).saturating_add(1))
}

/// Returns how many bytes are before the name in the data of a NAPTR record.
fn naptr(data: &[u8]) -> Option<usize> {
    let mut at = 4_usize;
    for _ in 0..3 {
        at = at.checked_add(1)?.checked_add((*data.get(at)?).into())?;
    }
    Some(at)
}
