//! Answers as octets. What matters is read with care, and what does not is forgiven: one record that cannot be decoded
//! costs no other, for servers hold records of which a resolver asks nothing.

use hickory_resolver::proto::{
    op::{Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::NULL},
    serialize::binary::{BinDecodable, BinDecoder},
};

use crate::error::{Malformation, Mismatch};

/// The octets of a header (RFC 1035 §4.1.1).
const HEADER: usize = 12;

/// The octets between a record's owner and its data: TYPE, CLASS, TTL and RDLENGTH (RFC 1035 §4.1.3).
const FIXED: usize = 10;

/// Why octets are no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// They are none to this question; another message may be.
    Stray(Mismatch),
    /// The answer is truncated (TC): whatever it has does not count (RFC 2181 §9).
    Truncated,
    /// They break off, or are no DNS message.
    Malformed(Malformation),
    /// The answer has records, of other classes alone.
    OffTopic,
}

/// Decodes the answer to a question that was asked under a number.
pub(crate) fn decode(octets: &[u8], id: u16, query: &Query) -> Result<Message, Unfit> {
    if octets.len() < HEADER {
        return Err(Unfit::Stray(Mismatch::Short));
    }
    let mut decoder = BinDecoder::new(octets);
    let Ok(Header { metadata, counts }) = Header::read(&mut decoder) else {
        return Err(Unfit::Stray(Mismatch::NoHeader));
    };
    if metadata.id != id {
        return Err(Unfit::Stray(Mismatch::OtherId));
    }
    if metadata.message_type != MessageType::Response {
        return Err(Unfit::Stray(Mismatch::NoResponse));
    }
    if metadata.op_code != OpCode::Query {
        return Err(Unfit::Stray(Mismatch::OtherOpcode));
    }
    let mut at = HEADER;
    for number in 0..counts.queries {
        match question(octets, at) {
            Some((found, next)) => {
                if number == 0 {
                    fits(&found, query)?;
                }
                at = next;
            }
            None if metadata.truncation => return Err(Unfit::Truncated),
            None => return Err(Unfit::Malformed(Malformation::Question)),
        }
    }
    if metadata.truncation {
        return Err(Unfit::Truncated);
    }
    let has_question = counts.queries > 0;
    let mut message = Message::new(id, MessageType::Response, OpCode::Query);
    message.metadata = metadata;
    if has_question {
        message.add_query(query.clone());
    }
    let broken = Unfit::Malformed(Malformation::Answers);
    let (answers, next) = section(octets, at, counts.answers).ok_or(broken)?;
    message.insert_answers(only(answers, query));
    if counts.answers > 0 && message.answers.is_empty() {
        return Err(Unfit::OffTopic);
    }
    let authorities = next.and_then(|at| section(octets, at, counts.authorities));
    let Some((authorities, next)) = authorities.or((!message.answers.is_empty()).then(|| (Vec::new(), None))) else {
        return Err(Unfit::Malformed(Malformation::Authority));
    };
    message.insert_authorities(only(authorities, query));
    // Only the upper bits of the response code are of use here.
    let (additionals, _) = next
        .and_then(|at| section(octets, at, counts.additionals))
        .unwrap_or_default();
    if let Some(Found::Options(high)) = additionals.iter().find(|found| matches!(found, Found::Options(_))) {
        message.metadata.merge_response_code(*high);
    }
    judge_bare(&mut message, has_question)?;
    Ok(message)
}

/// Judges an answer without a question. Servers that do not understand a query leave it out of their errors, and of
/// nothing that says that there is something or nothing.
fn judge_bare(message: &mut Message, has_question: bool) -> Result<(), Unfit> {
    let says = matches!(
        message.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    );
    if has_question || !says || !message.answers.is_empty() {
        return Ok(());
    }
    if message.authorities.is_empty() {
        // The bare header of a server that cannot read what it was asked.
        message.metadata.response_code = ResponseCode::FormErr;
        return Ok(());
    }
    Err(Unfit::Stray(Mismatch::NoQuestion))
}

/// Returns whether an answer is of an error that a server without EDNS may give to it (RFC 6891 §7, RFC 2671 §5.3).
pub(crate) fn may_be_for_edns(metadata: &Metadata) -> bool {
    matches!(
        metadata.response_code,
        ResponseCode::FormErr
            | ResponseCode::NotImp
            | ResponseCode::ServFail
            | ResponseCode::BADVERS
            | ResponseCode::BADSIG
    )
}

fn fits(found: &Query, query: &Query) -> Result<(), Unfit> {
    if found.query_class() != query.query_class() {
        return Err(Unfit::Stray(Mismatch::OtherClass));
    }
    // Names are compared without case: servers may or may not keep it.
    if found.query_type() != query.query_type() || found.name() != query.name() {
        return Err(Unfit::Stray(Mismatch::OtherQuestion));
    }
    Ok(())
}

/// A record as it was found.
enum Found {
    Record(Box<Record>),
    /// EDNS, and the upper bits of its response code (RFC 6891 §6.1.3).
    Options(u8),
    /// One that can be left out.
    Nothing,
}

/// Returns the records of the class asked for.
fn only(found: Vec<Found>, query: &Query) -> Vec<Record> {
    let of_class = |found| match found {
        Found::Record(record) if record.dns_class == query.query_class() => Some(*record),
        Found::Record(_) | Found::Options(_) | Found::Nothing => None,
    };
    found.into_iter().filter_map(of_class).collect()
}

fn question(octets: &[u8], at: usize) -> Option<(Query, usize)> {
    let mut decoder = at_offset(octets, at)?;
    let query = Query::read(&mut decoder).ok()?;
    Some((query, decoder.index()))
}

/// Reads so many records, and returns where they end: nothing where the octets break off.
fn section(octets: &[u8], mut at: usize, count: u16) -> Option<(Vec<Found>, Option<usize>)> {
    let mut records = Vec::new();
    for _ in 0..count {
        let (record, next) = record(octets, at)?;
        records.push(record);
        at = next;
    }
    Some((records, Some(at)))
}

fn record(octets: &[u8], start: usize) -> Option<(Found, usize)> {
    let mut decoder = at_offset(octets, start)?;
    let name = Name::read(&mut decoder).ok()?;
    let at = decoder.index();
    let fixed: [u8; FIXED] = octets.get(at..at.checked_add(FIXED)?)?.try_into().ok()?;
    let [t0, t1, c0, c1, l0, l1, l2, l3, n0, n1] = fixed;
    let kind = RecordType::from(u16::from_be_bytes([t0, t1]));
    let length = usize::from(u16::from_be_bytes([n0, n1]));
    let data_at = at + FIXED;
    let end = data_at.checked_add(length)?;
    let data = octets.get(data_at..end)?;
    if kind == RecordType::OPT {
        return Some((Found::Options(l0), end));
    }
    let decoded = || {
        let mut decoder = at_offset(octets, start)?;
        let record = Record::<RData>::read(&mut decoder).ok()?;
        (decoder.index() == end && length > 0).then_some(record)
    };
    let mut record = match decoded() {
        Some(record) => record,
        // Signatures and proofs that cannot be read prove nothing.
        None if kind.is_dnssec() => return Some((Found::Nothing, end)),
        None => {
            let mut rdata = NULL::new();
            rdata.anything = data.to_vec();
            Record::from_rdata(name, 0, RData::Unknown { code: kind, rdata })
        }
    };
    record.dns_class = DNSClass::from(u16::from_be_bytes([c0, c1]));
    record.ttl = ttl(u32::from_be_bytes([l0, l1, l2, l3]));
    Some((Found::Record(Box::new(record)), end))
}

/// Returns a TTL as it counts: one with the uppermost bit is zero (RFC 2181 §8).
pub(crate) fn ttl(octets: u32) -> u32 {
    if octets > 0x7fff_ffff { 0 } else { octets }
}

fn at_offset(octets: &[u8], at: usize) -> Option<BinDecoder<'_>> {
    let at = u16::try_from(at).ok().filter(|at| usize::from(*at) <= octets.len())?;
    Some(BinDecoder::new(octets).clone(at))
}

#[cfg(test)]
mod tests;
