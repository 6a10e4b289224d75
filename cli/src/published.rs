//! Judging a published set before it is used.

use ssa_rules::{
    Party, Record, UnixTime, ValidFrom,
    published::{Candidate, Publication, Unusable},
};

use crate::{
    failure::{Failure, Fault, Kind},
    input::{Service, prepare_faults, record_faults},
};

/// Fails, with every reason, where no record of the set is usable.
///
/// A client without a usable record falls back to a plain connection; a verifier has nothing to judge by.
/// What flags say is bad input, and so is a secret that is not given; all else is the service's fault.
pub(crate) fn check(service: &Service, publication: &Publication, party: Party) -> Result<(), Failure> {
    if publication.set.as_ref().is_ok_and(|set| !set.rules().is_empty()) {
        return Ok(());
    }
    let advice = match party {
        Party::Client => "fall back to a plain connection",
        Party::Verifier => "there is nothing to judge by",
    };
    let mut faults = faults(service, publication);
    if publication.candidates.is_empty() {
        let name = service
            .resolution
            .as_ref()
            .map_or_else(String::new, |found| found.rule_name.to_string());
        faults.push(Fault::new(
            format!("{name} TXT"),
            format!("no SSA record is published; {advice}"),
        ));
    } else {
        faults.push(Fault::new("records", format!("none is usable; {advice}")));
    }
    let lacks_secret = |unusable: &Unusable| matches!(unusable, Unusable::SecretMissing(_));
    let by_flags = service.resolution.is_none();
    let lacks = |candidate: &Candidate| candidate.rule.as_ref().is_err_and(lacks_secret);
    let is_input = by_flags || publication.candidates.iter().any(lacks);
    Err(Failure {
        faults,
        kind: if is_input { Kind::Input } else { Kind::NotFine },
    })
}

/// Returns every fault of a set: of its addresses, of each record, and of the records together.
pub(crate) fn faults(service: &Service, publication: &Publication) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Err(error) = &publication.space {
        faults.extend(error.faults.iter().map(|fault| Fault::new("APL", fault)));
    }
    let texts = service.texts();
    for (index, (candidate, text)) in publication.candidates.iter().zip(&texts).enumerate() {
        let place = if publication.candidates.len() > 1 {
            format!("record[{index}]")
        } else {
            "record".into()
        };
        if let Err(unusable) = &candidate.rule {
            faults.extend(unusable_faults(&place, text, unusable));
        }
    }
    if let Err(error) = publication.set {
        faults.push(Fault::new("records", error));
    }
    faults
}

/// Returns why a record is unusable, fault by fault.
pub(crate) fn unusable_faults(place: &str, text: &str, unusable: &Unusable) -> Vec<Fault> {
    match unusable {
        Unusable::Record(error) => record_faults(place, text, error),
        Unusable::Prepare(error) => prepare_faults(place, error),
        Unusable::Space(_) => vec![Fault::new(place, "unusable, because the APL is invalid")],
        Unusable::SecretMissing(id) => {
            vec![Fault::new(
                place,
                format!("the secret {id} is not given; --secret {id}=HEX or --secret-file FILE"),
            )]
        }
    }
}

/// Returns the usable record of this `from` in canonical form.
pub(crate) fn record_of(publication: &Publication, from: ValidFrom) -> Option<&Record> {
    let usable = publication.candidates.iter().filter(|candidate| candidate.rule.is_ok());
    usable
        .filter_map(|candidate| candidate.record.as_ref().ok())
        .find(|record| record.from() == from)
}

/// Returns when the next usable record comes into force.
pub(crate) fn next_start(publication: &Publication, now: UnixTime) -> Option<ValidFrom> {
    let set = publication.set.as_ref().ok()?;
    set.rules()
        .iter()
        .map(ssa_rules::Rule::from)
        .filter(|from| from.0 > now.0)
        .min()
}

/// Names what a client needs to compose by a record: `source`, `object key`, `chunk number`, `time`, `port`
/// and `key NAME`.
pub(crate) fn needs(record: &Record) -> Vec<String> {
    let needed = record.needs();
    let inputs = [
        ("object key", needed.object),
        ("chunk number", needed.chunk),
        ("time", needed.time),
        ("port", needed.port),
    ];
    let mut needs = vec!["source".to_owned()];
    needs.extend(
        inputs
            .into_iter()
            .filter(|(_, needed)| *needed)
            .map(|(name, _)| name.to_owned()),
    );
    needs.extend(record.key().map(|key| format!("key {key}")));
    needs
}
