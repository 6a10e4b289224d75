//! OPT records, which are of one hop alone (RFC 6891 §6.1.1): the front reads those of both sides, and writes its own.
//!
//! ```text
//! 0:8  TYPE:16=41  size:16  extended code:8 VERSION:8 DO:1 Z:15  RDLENGTH:16  (code:16 length:16 data)…
//! ```

use super::{HEADER, Message, Record, Section, kind, number};

/// The flag of OPT by which a querier wants signatures.
const DNSSEC_OK: u32 = 0x8000;

/// Client Subnet (RFC 7871 §7.1.3: forwarders may hand it on, for the network is the querier's own).
const CLIENT_SUBNET: u16 = 8;

/// Extended DNS Error (RFC 8914 §3: who forwards may hand it on).
const EXTENDED_ERROR: u16 = 15;

/// What a resolver that validates understands: who does not validate hands it on (RFC 6975 §4.2.2).
const UNDERSTOOD: std::ops::RangeInclusive<u16> = 5..=7;

/// What an OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt<'a> {
    /// The most bytes that its sender takes by UDP.
    pub size: u16,
    /// The upper bits of the response code.
    pub extended: u8,
    /// The version of EDNS.
    pub version: u8,
    /// Whether its sender wants signatures, or has heard that the querier does (RFC 3225 §3).
    pub dnssec: bool,
    options: &'a [u8],
}

impl<'a> Opt<'a> {
    /// Reads a record that is one. Nothing where it has another name than the root, or its options are truncated.
    #[must_use]
    pub fn read(message: &Message<'a>, record: &Record) -> Option<Self> {
        let options = message.data(record);
        let [extended, version, _, _] = record.ttl.to_be_bytes();
        let is_root = message.bytes.get(record.start) == Some(&0);
        let opt = Self {
            size: record.class,
            extended,
            version,
            dnssec: record.ttl & DNSSEC_OK != 0,
            options,
        };
        let told: usize = opt.options().map(|(_, data)| data.len().saturating_add(4)).sum();
        (is_root && told == options.len()).then_some(opt)
    }

    /// Returns the options: their codes and data.
    pub fn options(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            let (code, length) = (number(rest, 0)?, number(rest, 2)?);
            let (data, left) = rest.get(4..)?.split_at_checked(length.into())?;
            rest = left;
            Some((code, data))
        })
    }

    /// Returns the options of a query that are for whoever answers it in the end.
    pub fn onward(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        self.options()
            .filter(|(code, _)| UNDERSTOOD.contains(code) || *code == CLIENT_SUBNET)
    }

    /// Returns the options of an answer that are for whoever asked in the first place.
    pub fn back(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        self.options()
            .filter(|(code, _)| [CLIENT_SUBNET, EXTENDED_ERROR].contains(code))
    }

    /// Returns whether the answer is for one network of queriers.
    #[must_use]
    pub fn has_subnet(&self) -> bool {
        self.options().any(|(code, _)| code == CLIENT_SUBNET)
    }
}

/// Writes an OPT record of version 0.
pub fn write<'a>(
    message: &mut Vec<u8>,
    size: u16,
    extended: u8,
    dnssec: bool,
    options: impl IntoIterator<Item = (u16, &'a [u8])>,
) {
    message.push(0);
    message.extend(kind::OPT.to_be_bytes());
    message.extend(size.to_be_bytes());
    message.extend([extended, 0, if dnssec { 0x80 } else { 0 }, 0]);
    let mut data = Vec::new();
    for (code, option) in options {
        data.extend(code.to_be_bytes());
        // It was as long in the message that it comes from.
        data.extend(u16::try_from(option.len()).unwrap_or(0).to_be_bytes());
        data.extend_from_slice(option);
    }
    message.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    message.extend(data);
}

/// Returns whether a query that has an OPT record wants signatures, as far as the record can be read.
#[must_use]
pub fn of_query(query: &[u8]) -> Option<bool> {
    let mut at = if number(query, 4)? == 0 {
        HEADER
    } else {
        super::first_question(query)?
    };
    let counts = [number(query, 6)?, number(query, 8)?, number(query, 10)?];
    let mut left: u32 = counts.into_iter().map(u32::from).sum();
    while left > 0 {
        let record = Record::read(query, at, Section::Additional)?;
        if record.kind == kind::OPT && left <= u32::from(counts[2]) {
            return Some(record.ttl & DNSSEC_OK != 0);
        }
        at = record.end;
        left = left.saturating_sub(1);
    }
    None
}
