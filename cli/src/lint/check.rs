//! All checks of a service's records, the faults that make them unusable included.

use std::borrow::Cow;

use ssa_rules::{AddressSpace, Apl, Record};

use super::{
    addresses, advice, faults,
    finding::{
        Code::{AplAbsent, NoAddresses, RecordMissing, RecordUncounted},
        Finding,
        Severity::{Error, Warning},
    },
    placement, publication, request, secret, source, spread,
    subject::{Subject, Surroundings},
};

/// What is published, faults and all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// The APL records united, if any stands.
    pub(crate) apl: Option<Apl>,
    /// The faults of those that cannot be read.
    pub(crate) apl_faults: Vec<Finding>,
    /// The rule records.
    pub(crate) rules: Vec<Vec<u8>>,
}

/// Checks everything, the worst first. What it advises agrees: see [`advice`].
pub(crate) fn check(given: &Given, around: &Surroundings) -> Vec<Finding> {
    let mut found = findings(given, around);
    advice::settle(given, around, &mut found);
    found
}

/// The place of a record among so many.
pub(super) fn place(index: usize, records: usize) -> String {
    if records > 1 {
        format!("rule[{index}]")
    } else {
        "rule".into()
    }
}

/// Finds everything, the worst first, each finding with advice of its own.
pub(super) fn findings(given: &Given, around: &Surroundings) -> Vec<Finding> {
    let mut found = given.apl_faults.clone();
    let readable = given.apl_faults.is_empty();
    let published = published(given, &mut found);

    let texts: Vec<(String, String)> = given
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            (
                place(index, given.rules.len()),
                String::from_utf8_lossy(rule).into_owned(),
            )
        })
        .collect();
    let mut records: Vec<(&str, &str, Record, Option<Cow<'_, AddressSpace>>)> = Vec::new();
    for ((place, text), bytes) in texts.iter().zip(&given.rules) {
        match Record::from_bytes(bytes) {
            Ok(record) => {
                let space = record.space(published.as_ref());
                records.push((place, text, record, space));
            }
            Err(error) => found.extend(faults::of_record(place, &error.faults)),
        }
        if !Record::counts(bytes) {
            let what = "v=ssa1 is not the first tag".to_string();
            let why = "clients take it for a TXT record of something else".to_string();
            found.push(Finding::new(RecordUncounted, Error, place, what, why).instead("v=ssa1; addr=…"));
        }
    }
    if given.rules.is_empty() {
        let what = "no rule record is published".to_string();
        let why = "clients know no rule, and do as legacy clients do";
        let advice = "a TXT record at the _ssa name, such as \"v=ssa1; addr=hash(src/64):20 rand:44; salt=2026a\"";
        found.push(Finding::new(RecordMissing, Error, "rule", what, why).instead(advice));
    }
    publication::check_count(
        given.rules.iter().filter(|rule| Record::counts(rule)).count(),
        &mut found,
    );

    let mut subjects: Vec<Subject<'_>> = Vec::new();
    let mut widths: Vec<u8> = Vec::new();
    for (place, text, record, space) in &records {
        widths.push(record.template().width());
        let Some(space) = space else {
            // Where the list is faulty that is reported already.
            if readable {
                let what = "there are no addresses".to_string();
                let why = "neither an APL record with items of family 2 nor a tag apl";
                let advice = format!(
                    "an item of {} bits, such as apl=2:2001:db8:5::/{0}",
                    record.template().item_length()
                );
                found.push(Finding::new(NoAddresses, Error, place, what, why).instead(advice));
            }
            continue;
        };
        let misfits = faults::of_fit(place, record, space);
        if misfits.is_empty() {
            subjects.push(Subject {
                record,
                text,
                place,
                space,
                around,
            });
        }
        // Those of the record's own list were told as faults of the record.
        found.extend(misfits);
    }
    widths.sort_unstable();
    widths.dedup();
    if published.is_some() && widths.len() > 1 {
        publication::widths_differ(&widths, &mut found);
    }
    publication::check_set(&subjects, around, &mut found);
    for subject in &subjects {
        one(subject, published.is_some(), &mut found);
    }
    lists(given, published.as_ref(), &subjects, &mut found);
    found.sort_by_key(|finding| finding.severity);
    // One list or AAAA record may stand beside several rules.
    let mut told: Vec<Finding> = Vec::new();
    for finding in found {
        if !told.contains(&finding) {
            told.push(finding);
        }
    }
    told
}

fn published(given: &Given, found: &mut Vec<Finding>) -> Option<AddressSpace> {
    let apl = given.apl.as_ref()?;
    addresses::check_list(apl, "apl", found);
    match AddressSpace::new(apl) {
        Ok(Some(space)) => Some(space),
        Ok(None) => {
            if given.apl_faults.is_empty() {
                let what = "the list has no item of family 2".to_string();
                let why = "what it lists counts for nothing, as if there were no APL record";
                let advice = "an item of family 2, such as 2:2001:db8:5::/64";
                found.push(Finding::new(AplAbsent, Warning, "apl", what, why).instead(advice));
            }
            None
        }
        Err(error) => {
            found.extend(error.faults.iter().map(|fault| faults::of_space("apl", fault)));
            None
        }
    }
}

fn one(subject: &Subject<'_>, published: bool, found: &mut Vec<Finding>) {
    publication::check_text(subject, published, found);
    placement::check(subject, found);
    source::check(subject, found);
    secret::check(subject, found);
    spread::check(subject, found);
    request::check(subject, found);
    addresses::check_aaaa(subject, found);
}

fn lists(given: &Given, published: Option<&AddressSpace>, subjects: &[Subject<'_>], found: &mut Vec<Finding>) {
    if let Some(space) = published {
        addresses::check_space(space, "apl", found);
    }
    for subject in subjects {
        if let Some(own) = subject.record.apl() {
            let place = format!("{} apl", subject.place);
            addresses::check_list(own, &place, found);
            if given.apl.is_none() {
                addresses::check_space(subject.space, &place, found);
            }
        }
    }
}
