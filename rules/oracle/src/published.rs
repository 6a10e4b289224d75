//! Sections 1 and 4: several records that stand together.

use super::record::{self, Usable};
use super::verify::{Seen, Verdict, verify};

/// The usable ones of the published TXT records, by their place in the answer. `has_secret` tells
/// whether the reader holds the secret of that key id.
pub fn standing(records: &[Vec<u8>], rrset: &str, has_secret: &dyn Fn(&str) -> bool) -> Vec<(usize, Usable)> {
    // "Only records whose first tag is v with the value ssa1 count."
    let counting: Vec<(usize, &Vec<u8>)> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| record::counts(record))
        .collect();
    // "More than 4 … make all unusable."
    if counting.len() > 4 {
        return Vec::new();
    }
    let mut usable: Vec<(usize, Usable)> = Vec::new();
    for (place, text) in counting {
        if let Ok(found) = record::usable_bytes(text, rrset) {
            // "A record whose secret a verifier lacks counts as unusable."
            if found.record.key.as_deref().is_none_or(has_secret) {
                usable.push((place, found));
            }
        }
    }
    // "Equal `from` values among usable ones make all unusable."
    for (one, a) in &usable {
        for (other, b) in &usable {
            if one != other && a.record.from == b.record.from {
                return Vec::new();
            }
        }
    }
    usable
}

/// "Clients use the usable one with the greatest `from` not after now." None: as a legacy client.
pub fn client(records: &[Vec<u8>], rrset: &str, now: u64) -> Option<usize> {
    standing(records, rrset, &|_| true)
        .into_iter()
        .filter(|(_, usable)| usable.record.from <= now)
        .max_by_key(|(_, usable)| usable.record.from)
        .map(|(place, _)| place)
}

/// "Verifiers accept every usable one whose `from` is not after now + its skew"; "the best verdict
/// over them (conforming, legacy, violation, outside; then fewest unchecked, then greatest `from`),
/// and which record gave it". None: no record stands.
pub fn verdict(records: &[Vec<u8>], rrset: &str, seen: &Seen) -> Option<(usize, Verdict)> {
    let has_secret = |id: &str| seen.secrets.iter().any(|(other, _)| other == id);
    let mut found: Vec<(u8, usize, u64, usize, Verdict)> = Vec::new();
    for (place, usable) in standing(records, rrset, &has_secret) {
        if usable.record.from > seen.time.saturating_add(usable.record.skew) {
            continue;
        }
        let verdict = verify(&usable, seen).unwrap();
        let rank = match verdict {
            Verdict::Conforming { .. } => 0,
            Verdict::Legacy => 1,
            Verdict::Violation(_) => 2,
            Verdict::Outside => 3,
        };
        let unchecked = verdict.unchecked().len();
        found.push((rank, unchecked, usable.record.from, place, verdict));
    }
    found.sort_by(|a, b| (a.0, a.1, u64::MAX - a.2).cmp(&(b.0, b.1, u64::MAX - b.2)));
    found
        .into_iter()
        .next()
        .map(|(_, _, _, place, verdict)| (place, verdict))
}
