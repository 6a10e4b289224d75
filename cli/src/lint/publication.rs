//! The records together: which one counts when, and how they are written.

use ssa_rules::record::MAX_RECORD_BYTES;

use super::{
    finding::{
        Code::{
            EqualFrom, FromFar, FromSoon, NoneInForce, NotCanonical, OwnAplIgnored, RecordLong, Superseded,
            TooManyRecords, WidthsDiffer,
        },
        Finding,
        Severity::{Error, Note, Warning},
    },
    subject::{Subject, Surroundings, span},
};
use crate::simulate::spread::real;

const YEAR: u64 = 366 * 86_400;

/// The maximum number of records that may stand together.
const MAX_RECORDS: usize = ssa_rules::published::MAX_RECORDS;

/// Checks how many records there are.
pub(super) fn check_count(records: usize, found: &mut Vec<Finding>) {
    if records > MAX_RECORDS {
        let what = format!("{records} records stand together");
        let why = format!("more than {MAX_RECORDS} make all of them unusable");
        found.push(
            Finding::new(TooManyRecords, Error, "rule", what, why).instead("the record in force and the next one"),
        );
    }
}

/// Checks usable records together.
pub(super) fn check_set(subjects: &[Subject<'_>], around: &Surroundings, found: &mut Vec<Finding>) {
    let now = around.now.0;
    let mut froms: Vec<u64> = subjects.iter().map(|subject| subject.record.from().0).collect();
    froms.sort_unstable();
    for pair in froms.windows(2) {
        if let [one, other] = pair
            && one == other
        {
            let what = format!("two records have from={one}");
            let why = "a client could use either: equal values make all records unusable".to_string();
            let instead = format!("from={} in the newer one", now + around.ttl);
            found.push(Finding::new(EqualFrom, Error, "rule", what, why).instead(instead));
            break;
        }
    }
    if let Some(first) = froms.first().filter(|first| **first > now) {
        let what = format!("no record may be used before from={first}");
        let why = format!(
            "for the next {} clients do as legacy clients do",
            span(real(first - now))
        );
        found.push(
            Finding::new(NoneInForce, Warning, "rule", what, why).instead("a record without from beside it until then"),
        );
    }
    let in_force = froms.iter().rev().find(|from| **from <= now).copied();
    for subject in subjects {
        let from = subject.record.from().0;
        if from > now {
            ahead(subject, from, around, found);
        }
        if in_force.is_some_and(|in_force| from < in_force && in_force + around.ttl < now) {
            let what = format!(
                "from={from} is past, and so is from={} of a newer record",
                in_force.unwrap_or(0)
            );
            let why = format!(
                "no client has used it for more than a TTL of {} s, and verifiers still accept it",
                around.ttl
            );
            found.push(Finding::new(Superseded, Note, subject.place, what, why).instead("without this record"));
        }
    }
}

/// Records of different widths cannot share an APL record.
pub(super) fn widths_differ(widths: &[u8], found: &mut Vec<Finding>) {
    let widths: Vec<String> = widths.iter().map(ToString::to_string).collect();
    let what = format!("records of W={} beside one APL record", widths.join(" and W="));
    let why = "its items fit only 1 of them; the others are unusable".to_string();
    let advice = "a tag apl in every record, and no APL record from a TTL before the change on";
    found.push(Finding::new(WidthsDiffer, Error, "rule", what, why).instead(advice));
}

fn ahead(subject: &Subject<'_>, from: u64, around: &Surroundings, found: &mut Vec<Finding>) {
    let seconds = from - around.now.0;
    if seconds < around.ttl {
        let what = format!("from={from} is {seconds} s ahead");
        let why = format!(
            "answers without it are kept for a TTL of {} s: verifiers may still refuse what it composes",
            around.ttl
        );
        // Later by as much as it takes, so that records that came one after another still do.
        let instead = with_from(subject, from.saturating_add(2 * around.ttl));
        found.push(Finding::new(FromSoon, Warning, subject.place, what, why).record(instead));
    } else if seconds > YEAR {
        let what = format!("from={from} is {} ahead", span(real(seconds)));
        let why = "from is in seconds since 1970; milliseconds are 1000 times as many".to_string();
        let in_milliseconds = (from / 1000).checked_sub(around.now.0);
        let meant = in_milliseconds.is_some_and(|ahead| (around.ttl..=YEAR).contains(&ahead));
        let day = around.now.0.saturating_add(86_400.max(2 * around.ttl));
        let instead = with_from(subject, if meant { from / 1000 } else { day });
        found.push(Finding::new(FromFar, Warning, subject.place, what, why).record(instead));
    }
}

fn with_from(subject: &Subject<'_>, from: u64) -> Option<String> {
    subject.with_tags(&[("from", &from.to_string())])
}

/// Checks how one record is written, and its own address list against the published one.
pub(super) fn check_text(subject: &Subject<'_>, published: bool, found: &mut Vec<Finding>) {
    let bytes = subject.text.len();
    if bytes > 255 {
        let near = bytes > MAX_RECORD_BYTES * 9 / 10;
        let what = format!("the record has {bytes} bytes of at most {MAX_RECORD_BYTES}");
        let why = format!(
            "a TXT string holds 255: it takes {} strings, which clients concatenate",
            bytes.div_ceil(255)
        );
        let advice = "a published APL record in place of a long tag apl, and no x- tags";
        let severity = if near { Warning } else { Note };
        found.push(Finding::new(RecordLong, severity, subject.place, what, why).instead(advice));
    }
    let canonical = subject.record.to_string();
    if canonical != subject.text {
        let (what, why) = match bytes.saturating_sub(canonical.len()) {
            0 => (
                "the record is not written in its canonical form",
                "tools print it otherwise, with other blanks, order of tags or hex digits, and a search for its text misses one of the two".into(),
            ),
            spared => (
                "the record could be written plainer",
                format!("defaults, x- tags, zeros or blanks take {spared} of its {bytes} bytes"),
            ),
        };
        found.push(Finding::new(NotCanonical, Note, subject.place, what, why).record(Some(canonical)));
    }
    if published && subject.record.apl().is_some() {
        let what = "a tag apl beside an APL record".to_string();
        let why = "the APL record wins, and of the tag nothing counts but its errors";
        let advice = "one of the two, unless W is about to change";
        found.push(Finding::new(OwnAplIgnored, Note, subject.place, what, why).instead(advice));
    }
}
