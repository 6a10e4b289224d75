//! What becomes of a server's answer on its way to the querier: EDNS is the front's own, and addresses of services are
//! composed wherever they stand.

use std::{collections::HashMap, net::Ipv6Addr};

use super::{
    Querier, Table,
    query::{Asked, replace_opt},
    wire::{
        self, AUTHENTIC_DATA, AUTHORITATIVE, Builder, CODE, Message, PAYLOAD, RECURSION_DESIRED, Record, Section,
        TRUNCATED,
        edns::{self, Opt},
        kind,
        svcb::Service,
    },
};
use crate::clock::Now;

/// The maximum number of aliases followed in an answer.
const MAX_ALIASES: usize = 16;

/// The maximum number of hints of an answer that are compared with the addresses of services; behind them all are taken for such.
const MAX_HINTS: usize = 16;

/// The TTL of what is told without a server, in seconds (RFC 8767 §4).
pub(super) const STALE_TTL: u32 = 30;

/// The code of Extended DNS Error, and its reason for what is stale (RFC 8914 §4.4).
const STALE_ANSWER: (u16, &[u8]) = (15, &[0, 3]);

/// An answer as the querier gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether an address that was asked for is composed.
    pub is_composed: bool,
}

/// Returns whether an answer tells what was asked, so that no other server must be: that there are records, or none
/// (RFC 1035 §4.1.1), or that an alias is too long (RFC 6672 §2.2). What a stub could use no more than a failure is one:
/// a referral elsewhere (RFC 1034 §4.3.1), and what cannot be read.
#[must_use]
pub(super) fn is_final(answer: &[u8], query: &[u8]) -> bool {
    let flags = wire::flags(answer);
    if flags & TRUNCATED != 0 && matches!(flags & CODE, 0 | 3 | 6) {
        return true;
    }
    let Some(message) = Message::read(answer) else {
        return false;
    };
    let opt = message.records.iter().find(|record| record.kind == kind::OPT);
    let extended = opt.map_or(0, |record| record.ttl >> 24);
    let has = |section, kind| {
        let mut records = message.records.iter();
        records.any(|record| record.section == section && record.kind == kind)
    };
    let has_answer = message.records.iter().any(|record| record.section == Section::Answer);
    let unserved =
        flags & (AUTHORITATIVE | wire::RECURSION_AVAILABLE | CODE) == 0 && wire::flags(query) & RECURSION_DESIRED != 0;
    let refers = has(Section::Authority, kind::NS) && !has(Section::Authority, kind::SOA);
    let is_referral = unserved && refers && !has_answer;
    matches!(flags & CODE, 0 | 3 | 6) && extended == 0 && !is_referral
}

/// Returns whether a server seems to know nothing of EDNS (RFC 6891 §7).
#[must_use]
pub(super) fn knows_no_edns(answer: &[u8]) -> bool {
    matches!(wire::flags(answer) & CODE, 1 | 4) && edns::of_query(answer).is_none()
}

/// Answers that nothing more fits: the querier comes again by TCP.
#[must_use]
pub(super) fn truncated(asked: &Asked, answer: &[u8]) -> Option<Vec<u8>> {
    let flags = wire::flags(answer);
    wire::bare(&asked.onward, TRUNCATED | flags & AUTHORITATIVE, flags & CODE)
}

/// Returns an answer without EDNS as one to a querier, with the TTL of what is stale. Nothing where it does not fit the
/// question.
#[must_use]
pub(super) fn stale(asked: &Asked, answer: &[u8]) -> Option<Vec<u8>> {
    let message = Message::read(answer)?;
    let mut bytes = answer.to_vec();
    for record in &message.records {
        let place = bytes.get_mut(record.ttl_at..record.ttl_at.checked_add(4)?)?;
        place.copy_from_slice(&STALE_TTL.to_be_bytes());
    }
    // The querier's own letters and number.
    let question = wire::question(&asked.onward);
    let place = bytes.get_mut(wire::HEADER..message.question_end)?;
    if place.len() != question.len() {
        return None;
    }
    place.copy_from_slice(question);
    wire::set_number(&mut bytes, &asked.onward);
    let flags = message.flags & !(AUTHENTIC_DATA | AUTHORITATIVE);
    bytes.get_mut(2..4)?.copy_from_slice(&flags.to_be_bytes());
    with_stale_edns(bytes, asked)
}

/// Answers that there are no records of this type, as far as anybody knows: without a SOA record nobody keeps it
/// (RFC 2308 §5).
#[must_use]
pub(super) fn nothing_known(asked: &Asked) -> Option<Vec<u8>> {
    let mut plain = wire::bare(&asked.onward, 0, 0)?;
    let message = Message::read(&plain)?;
    plain = replace_opt(&message, None)?;
    with_stale_edns(plain, asked)
}

fn with_stale_edns(bytes: Vec<u8>, asked: &Asked) -> Option<Vec<u8>> {
    let Some(dnssec) = asked.edns else { return Some(bytes) };
    let mut own = Vec::new();
    edns::write(&mut own, PAYLOAD, 0, dnssec, [STALE_ANSWER]);
    replace_opt(&Message::read(&bytes)?, Some(&own))
}

impl Table {
    /// Returns a server's answer as the querier gets it; nothing where it cannot be read.
    pub fn receive(
        &self,
        asked: &Asked,
        answer: Vec<u8>,
        querier: Querier,
        now: Now,
        random: &mut impl FnMut() -> u64,
    ) -> Option<Received> {
        let unchanged = |bytes| Received {
            bytes,
            is_composed: false,
        };
        if asked.is_signed {
            return Some(unchanged(answer));
        }
        let Some(message) = Message::read(&answer) else {
            // What is truncated may be cut anywhere (RFC 2181 §9).
            let is_cut = wire::flags(&answer) & TRUNCATED != 0;
            return truncated(asked, &answer).filter(|_| is_cut).map(unchanged);
        };
        let mut opts = message.records.iter().filter(|record| record.kind == kind::OPT);
        let opt = opts.next().map(|record| Opt::read(&message, record));
        if opts.next().is_some() || opt.is_some_and(|opt| opt.is_none()) {
            return None;
        }
        let opt = opt.flatten();
        let own = asked.edns.map(|dnssec| {
            let mut own = Vec::new();
            let extended = opt.map_or(0, |opt| opt.extended);
            let back = opt.iter().flat_map(Opt::back);
            edns::write(&mut own, PAYLOAD, extended, opt.map_or(dnssec, |opt| opt.dnssec), back);
            own
        });
        if asked.is_plain && !self.entries.is_empty() && querier.whose().is_some() {
            let mut known = Composed {
                table: self,
                by_name: HashMap::new(),
                hints: 0,
            };
            let mut compose = |name: &[u8]| self.compose(name, querier, now, random);
            match known.edit(asked, &message, own.as_deref(), &mut compose) {
                Edited::Not => {}
                Edited::Changed(bytes, is_composed) => return Some(Received { bytes, is_composed }),
                Edited::Failed => return None,
            }
        }
        let same = matches!((&own, message.records.last()), (Some(own), Some(last))
            if last.kind == kind::OPT && answer.get(last.start..) == Some(own));
        if same || own.is_none() && opt.is_none() {
            return Some(unchanged(answer));
        }
        replace_opt(&message, own.as_deref()).map(unchanged)
    }

    /// Composes an address of a name for a querier, where it is one of a service.
    pub(super) fn compose(
        &self,
        name: &[u8],
        querier: Querier,
        now: Now,
        random: &mut impl FnMut() -> u64,
    ) -> Option<(Ipv6Addr, u32)> {
        self.entries.get(name)?.compose(querier.whose()?, now, random)
    }
}

/// What became of an answer.
enum Edited {
    /// No service is in it.
    Not,
    /// It has other addresses; whether that which was asked for is among them.
    Changed(Vec<u8>, bool),
    /// A service is in it, and it cannot be changed.
    Failed,
}

/// The addresses composed for one answer.
struct Composed<'a> {
    table: &'a Table,
    by_name: HashMap<Vec<u8>, Option<(Ipv6Addr, u32)>>,
    /// How many hints have been compared.
    hints: usize,
}

/// What is done with a record.
enum Disposition {
    Keep,
    Drop,
    /// It is malformed, and dropped with its whole record set.
    Malformed,
    /// Its data are replaced, and its TTL if one is given.
    Replace(Option<u32>, Vec<u8>),
}

/// Drops every record set with a malformed record: clients must not use any of it (RFC 9460 §2.2), and what some use all the
/// same could bypass the rule.
fn reject_sets(message: &Message<'_>, dispositions: &mut [Disposition]) {
    let set_of = |record: &Record| (record.kind, record.class, message.owner(record));
    let pairs = message.records.iter().zip(dispositions.iter());
    let rejected: Vec<_> = pairs
        .filter(|(_, disposition)| matches!(disposition, Disposition::Malformed))
        .map(|(record, _)| set_of(record))
        .collect();
    if rejected.is_empty() {
        return;
    }
    for (record, disposition) in message.records.iter().zip(dispositions) {
        if rejected.contains(&set_of(record)) {
            *disposition = Disposition::Drop;
        }
    }
}

impl Composed<'_> {
    /// Returns the address for a name, the same whenever it is asked for.
    fn of(
        &mut self,
        name: &[u8],
        compose: &mut impl FnMut(&[u8]) -> Option<(Ipv6Addr, u32)>,
    ) -> Option<(Ipv6Addr, u32)> {
        if !self.table.entries.contains_key(name) {
            return None;
        }
        *self.by_name.entry(name.to_vec()).or_insert_with(|| compose(name))
    }

    fn edit(
        &mut self,
        asked: &Asked,
        message: &Message<'_>,
        own: Option<&[u8]>,
        compose: &mut impl FnMut(&[u8]) -> Option<(Ipv6Addr, u32)>,
    ) -> Edited {
        let target = (asked.kind == kind::AAAA)
            .then(|| self.alias(asked, message, compose))
            .flatten();
        let mut told = Vec::new();
        let mut dispositions = Vec::new();
        for record in &message.records {
            let Some(owner) = message.owner(record) else {
                // Whose it is may still be read by others.
                return Edited::Failed;
            };
            dispositions.push(self.disposition(message, record, owner, &mut told, compose));
        }
        reject_sets(message, &mut dispositions);
        let cut = message.flags & TRUNCATED != 0;
        let ends = message.flags & CODE == 0 && !cut;
        let missing = target.filter(|(name, _)| ends && !told.contains(&(Section::Answer, name.clone())));
        let changed = dispositions
            .iter()
            .any(|disposition| !matches!(disposition, Disposition::Keep));
        if missing.is_none() && !changed {
            return Edited::Not;
        }
        let is_composed = missing.is_some() || told.iter().any(|(section, _)| *section == Section::Answer);
        match rebuilt(message, &dispositions, missing, own) {
            Some(bytes) => Edited::Changed(bytes, is_composed),
            None => Edited::Failed,
        }
    }

    /// Returns the service that a question for addresses leads to by the aliases in its answer, and its address.
    fn alias(
        &mut self,
        asked: &Asked,
        message: &Message<'_>,
        compose: &mut impl FnMut(&[u8]) -> Option<(Ipv6Addr, u32)>,
    ) -> Option<(Vec<u8>, (Ipv6Addr, u32))> {
        let mut name = asked.name.clone();
        for _ in 0..MAX_ALIASES {
            let alias = message.records.iter().find(|record| {
                let is_alias = (record.section, record.kind) == (Section::Answer, kind::CNAME);
                is_alias && message.owner(record).as_ref() == Some(&name)
            });
            name = message.target(alias?)?;
            if let Some(found) = self.of(&name, compose) {
                return Some((name, found));
            }
        }
        None
    }

    /// Returns what is done with a record. `told` are the services whose address is in the answer already, by section.
    fn disposition(
        &mut self,
        message: &Message<'_>,
        record: &Record,
        owner: Vec<u8>,
        told: &mut Vec<(Section, Vec<u8>)>,
        compose: &mut impl FnMut(&[u8]) -> Option<(Ipv6Addr, u32)>,
    ) -> Disposition {
        if record.class != kind::IN {
            return Disposition::Keep;
        }
        match record.kind {
            kind::AAAA => {
                let Some((address, ttl)) = self.of(&owner, compose) else {
                    return Disposition::Keep;
                };
                let place = (record.section, owner);
                if told.contains(&place) {
                    return Disposition::Drop;
                }
                told.push(place);
                Disposition::Replace(Some(ttl), address.octets().to_vec())
            }
            kind::SVCB | kind::HTTPS => {
                let Some(service) = Service::read(message.data(record)) else {
                    return Disposition::Malformed;
                };
                if service.hints().next().is_some() && self.hints_at(owner, &service, compose) {
                    Disposition::Replace(None, service.without_hints())
                } else {
                    Disposition::Keep
                }
            }
            _ => Disposition::Keep,
        }
    }

    /// Returns whether hints lead to a service that is composed for the querier: by its name, or by its addresses.
    fn hints_at(
        &mut self,
        owner: Vec<u8>,
        service: &Service<'_>,
        compose: &mut impl FnMut(&[u8]) -> Option<(Ipv6Addr, u32)>,
    ) -> bool {
        let target = if service.target == [0] {
            owner
        } else {
            service.target.clone()
        };
        if self.of(&target, compose).is_some() {
            return true;
        }
        let table = self.table;
        for hint in service.hints() {
            if self.hints == MAX_HINTS {
                return true;
            }
            self.hints = self.hints.saturating_add(1);
            let owned = table.entries.iter().filter(|(_, entry)| entry.owns(hint));
            if owned.into_iter().any(|(name, _)| self.of(name, compose).is_some()) {
                return true;
            }
        }
        false
    }
}

/// Writes an answer with other records, and at the end of what was asked for an address that was missing. It is no
/// server's own any more, and nobody has proven it.
fn rebuilt(
    message: &Message<'_>,
    dispositions: &[Disposition],
    missing: Option<(Vec<u8>, (Ipv6Addr, u32))>,
    own: Option<&[u8]>,
) -> Option<Vec<u8>> {
    let mut builder = Builder::new(message);
    let is_whole = missing.is_some();
    let mut missing = missing;
    let mut add = |builder: &mut Builder| -> Option<()> {
        if let Some((name, (address, ttl))) = missing.take() {
            builder.put(Section::Answer, &name, (kind::AAAA, kind::IN, ttl), &address.octets())?;
        }
        Some(())
    };
    for (record, disposition) in message.records.iter().zip(dispositions) {
        if record.section != Section::Answer {
            add(&mut builder)?;
        }
        // What proves that there is no address would say the contrary of the answer.
        if record.kind == kind::OPT || is_whole && record.section == Section::Authority {
            continue;
        }
        match disposition {
            Disposition::Keep => builder.copy(message, record)?,
            Disposition::Drop | Disposition::Malformed => {}
            Disposition::Replace(ttl, data) => {
                let (owner, _) = wire::name(message.bytes, record.start)?;
                let fixed = (record.kind, record.class, ttl.unwrap_or(record.ttl));
                builder.put(record.section, &owner, fixed, data)?;
            }
        }
    }
    add(&mut builder)?;
    if let Some(own) = own {
        builder.append(own);
    }
    builder.finish(message.flags & !(AUTHENTIC_DATA | AUTHORITATIVE))
}

#[cfg(test)]
mod tests;
