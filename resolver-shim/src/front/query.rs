//! A query: what is wrong with it, whether the front may answer it by itself, and how a server is asked instead.

use std::net::Ipv6Addr;

use super::wire::{
    self, AUTHORITATIVE, Builder, CHECKING_DISABLED, CODE, Code, HEADER, Message, OPCODE, PAYLOAD, RECURSION_AVAILABLE,
    RECURSION_DESIRED, RESPONSE, Record, Section, TRUNCATED,
    edns::{self, Opt},
    kind, number,
};

/// A query for records that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    message: Message<'a>,
    /// The name, in lower case, each label behind its length.
    pub name: Vec<u8>,
    /// The type.
    pub kind: u16,
    opt: Option<Opt<'a>>,
    signed: bool,
}

/// A query that a server is asked in the querier's place, and what its answer must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What the server is asked.
    pub onward: Vec<u8>,
    /// The name, in lower case, each label behind its length.
    pub name: Vec<u8>,
    /// The type.
    pub kind: u16,
    /// Whether the answer may be another than the server's: the querier wants no signatures and no data unchecked.
    pub is_plain: bool,
    /// Whether the query is signed: neither it nor its answer may be changed (RFC 8945 §5.5, RFC 2931 §3).
    pub is_signed: bool,
    /// Whether the answer is for one network of queriers.
    pub has_subnet: bool,
    /// Whether it wants signatures, where it is of EDNS.
    pub edns: Option<bool>,
    /// The maximum size in bytes of an answer by UDP.
    pub limit: usize,
}

impl Asked {
    /// Returns whether a zone is asked for, which takes more than one message.
    #[must_use]
    pub fn is_transfer(&self) -> bool {
        is_transfer(self.kind)
    }
}

fn is_transfer(kind: u16) -> bool {
    matches!(kind, kind::AXFR | kind::IXFR)
}

impl<'a> Query<'a> {
    /// Reads a query that is for records of the Internet.
    ///
    /// # Errors
    ///
    /// The code of the answer that says what is wrong with it.
    pub fn read(bytes: &'a [u8], transfers: bool) -> Result<Self, Code> {
        // What changes records, or tells of changes, is judged by its sender's address, which no server behind would
        // see (RFC 2136 §3.3, RFC 1996 §3.10); and states of connections (RFC 8490) are of this connection.
        if wire::flags(bytes) & OPCODE != 0 {
            return Err(Code::NotImplemented);
        }
        let message = Message::read(bytes).ok_or(Code::FormatError)?;
        let mut opts = message.records.iter().filter(|record| record.kind == kind::OPT);
        let opt = opts.next();
        let misplaced = opt.is_some_and(|record| record.section != Section::Additional);
        // More than one is an error (RFC 6891 §6.1.1).
        if misplaced || opts.next().is_some() || message.question_end == HEADER {
            return Err(Code::FormatError);
        }
        let opt = opt.map(|record| Opt::read(&message, record).ok_or(Code::FormatError));
        let opt = opt.transpose()?;
        if opt.is_some_and(|opt| opt.version > 0) {
            return Err(Code::BadVersion);
        }
        let question = wire::question(bytes);
        let (name, rest) = question.split_last_chunk::<4>().ok_or(Code::FormatError)?;
        let (kind, class) = (number(rest, 0).unwrap_or(0), number(rest, 2).unwrap_or(0));
        // Of other classes servers tell who they are (RFC 4892 §3), and the answer would be another's.
        let is_data = !kind::META.contains(&kind) && kind != kind::OPT;
        if class != kind::IN || !(is_data || transfers && is_transfer(kind)) {
            return Err(Code::Refused);
        }
        // What answers are made of has no place in a query, but for the version that a querier has of a zone (RFC 1995
        // §3); and a signature is of all that stands before it (RFC 8945 §5.1).
        let (last, others) = message.records.split_last().unzip();
        let is_foreign = |record: &Record| match record.section {
            Section::Answer => true,
            Section::Authority => (kind, record.kind) != (kind::IXFR, kind::SOA),
            Section::Additional => false,
        };
        let is_early = |record: &Record| record.kind == kind::TSIG;
        if message.records.iter().any(is_foreign) || others.into_iter().flatten().any(is_early) {
            return Err(Code::FormatError);
        }
        let signed = last.is_some_and(|record: &Record| {
            let covers_nothing = || number(message.data(record), 0) == Some(0);
            record.section == Section::Additional
                && (record.kind == kind::TSIG || record.kind == kind::SIG && covers_nothing())
        });
        Ok(Self {
            // Lengths are below the letters.
            name: name.to_ascii_lowercase(),
            kind,
            opt,
            signed,
            message,
        })
    }

    /// Returns whether an answer alone can say what the querier wants: no signatures, no checks left out, and recursion. What
    /// means nothing in a query makes no other of it: flags of answers, records beside its OPT.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let flags = self.message.flags & (RECURSION_DESIRED | CHECKING_DISABLED);
        flags == RECURSION_DESIRED && !self.signed && !self.opt.is_some_and(|opt| opt.dnssec)
    }

    /// Answers with one address.
    #[must_use]
    pub fn answer(&self, address: Ipv6Addr, ttl: u32) -> Vec<u8> {
        let question = self.message.bytes.get(..self.message.question_end).unwrap_or_default();
        let mut answer = question.to_vec();
        let flags = RESPONSE | RECURSION_DESIRED | RECURSION_AVAILABLE;
        wire::set_header(&mut answer, flags, [1, 1, 0, self.opt.is_some().into()]);
        // The name is that of the question: a pointer to its place.
        answer.extend([0xc0, 12]);
        answer.extend(kind::AAAA.to_be_bytes());
        answer.extend(kind::IN.to_be_bytes());
        answer.extend(ttl.to_be_bytes());
        answer.extend(16_u16.to_be_bytes());
        answer.extend(address.octets());
        if self.opt.is_some() {
            edns::write(&mut answer, PAYLOAD, 0, false, []);
        }
        answer
    }

    /// Returns what a server is asked in its place. Nothing where a name in it cannot be read.
    #[must_use]
    pub fn asked(&self) -> Option<Asked> {
        let size = self.opt.map_or(wire::MIN_PAYLOAD, |opt| opt.size);
        Some(Asked {
            onward: self.onward()?,
            name: self.name.clone(),
            kind: self.kind,
            is_plain: self.is_plain(),
            is_signed: self.signed,
            has_subnet: self.opt.is_some_and(|opt| opt.has_subnet()),
            edns: self.opt.map(|opt| opt.dnssec),
            limit: size.clamp(wire::MIN_PAYLOAD, PAYLOAD).into(),
        })
    }

    /// Writes the query with an OPT record of the front's own in place of the querier's, and without the flags of answers,
    /// at which servers take offence.
    fn onward(&self) -> Option<Vec<u8>> {
        if self.signed {
            return Some(self.message.bytes.to_vec());
        }
        let mut onward = match self.opt {
            None => self.message.bytes.to_vec(),
            Some(opt) => {
                let mut own = Vec::new();
                let size = opt.size.clamp(wire::MIN_PAYLOAD, PAYLOAD);
                edns::write(&mut own, size, 0, opt.dnssec, opt.onward());
                replace_opt(&self.message, Some(&own))?
            }
        };
        let of_answers = AUTHORITATIVE | TRUNCATED | RECURSION_AVAILABLE | CODE;
        let flags = self.message.flags & !of_answers;
        onward.get_mut(2..4)?.copy_from_slice(&flags.to_be_bytes());
        Some(onward)
    }
}

/// Writes a query without EDNS, for servers that know nothing of it (RFC 6891 §7); nothing where it has none, or is
/// signed.
#[must_use]
pub(super) fn without_edns(query: &[u8]) -> Option<Vec<u8>> {
    let message = Message::read(query)?;
    let signs = |kind: u16| kind == kind::TSIG || kind == kind::SIG;
    let has_opt = message.records.iter().any(|record| record.kind == kind::OPT);
    let signed = message.records.last().is_some_and(|record| signs(record.kind));
    replace_opt(&message, None).filter(|_| has_opt && !signed)
}

/// Writes a message with another OPT record, at its end, or with none.
pub(super) fn replace_opt(message: &Message<'_>, own: Option<&[u8]>) -> Option<Vec<u8>> {
    let opts = message.records.iter().filter(|record| record.kind == kind::OPT).count();
    let last = message.records.last().filter(|record| record.kind == kind::OPT);
    if opts > usize::from(last.is_some()) {
        let mut builder = Builder::new(message);
        for record in message.records.iter().filter(|record| record.kind != kind::OPT) {
            builder.copy(message, record)?;
        }
        if let Some(own) = own {
            builder.append(own);
        }
        return builder.finish(message.flags);
    }
    // Nothing stands behind it, so nothing moves.
    let end = last.map_or(message.bytes.len(), |record| record.start);
    let mut bytes = message.bytes.get(..end)?.to_vec();
    let count = number(&bytes, 10)?
        .checked_sub(u16::from(last.is_some()))?
        .checked_add(own.is_some().into())?;
    bytes.get_mut(10..HEADER)?.copy_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(own.unwrap_or_default());
    (bytes.len() <= wire::MAX_MESSAGE).then_some(bytes)
}

#[cfg(test)]
mod tests;
