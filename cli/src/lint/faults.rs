//! What makes a list or a record unusable, and what to write instead.

use ssa_rules::{
    AddressSpace, Record,
    apl::{MAX_ITEMS, MIN_POSITIVE_LENGTH, SpaceFault, TextFault},
    record::{FitFault, MAX_SKEW, MAX_SKEW_WITH_POW, MAX_TEMPLATE_BITS, Problem, RecordFault},
};

use crate::counts::counted;

use super::finding::{
    Code::{AplSpace, AplSyntax, ItemLength, LockedOut, RecordFault as RecordFaultCode},
    Finding,
    Severity::Error,
};

/// The maximum number of faults reported for one record.
const MAX_FAULTS: usize = 50;

pub(super) fn of_list(place: &str, fault: &TextFault) -> Finding {
    let why = "an item that cannot be read makes the whole list useless, and no record usable";
    let instead = match fault {
        TextFault::BitsPastLength { address, length, .. } => ipnet::Ipv6Net::new(*address, *length)
            .ok()
            .map(|prefix| format!("2:{}", prefix.trunc())),
        TextFault::Length { max, .. } => Some(format!("a length from 0 to {max}")),
        _ => Some("[!]2:ADDRESS/LENGTH, such as 2:2001:db8:5::/64".into()),
    };
    Finding::new(AplSyntax, Error, place, fault.to_string(), why).maybe(instead)
}

pub(super) fn of_space(place: &str, fault: &SpaceFault) -> Finding {
    let (why, instead) = match fault {
        SpaceFault::TooManyItems { .. } => (
            "a verifier compares with every item".into(),
            format!("at most {MAX_ITEMS} items: shorter ones cover more"),
        ),
        SpaceFault::NoPositiveItem => (
            "no address is in the service".into(),
            "a positive item, such as 2:2001:db8:5::/64".into(),
        ),
        SpaceFault::TooShort { .. } => (
            format!("a template has at most {MAX_TEMPLATE_BITS} bits"),
            format!("an item of {MIN_POSITIVE_LENGTH} bits or more"),
        ),
        SpaceFault::Conflict { .. } => (
            "an address would be in the service and legacy at once".into(),
            "one of the two".into(),
        ),
    };
    Finding::new(AplSpace, Error, place, fault.to_string(), why).instead(instead)
}

/// The faults of a record. What they advise of one tag is one value, which serves all of them.
pub(super) fn of_record(place: &str, faults: &[RecordFault]) -> Vec<Finding> {
    let skews = faults.iter().filter_map(|fault| skew(&fault.problem));
    let skew_of_all = skews.min();
    let found = faults.iter().take(MAX_FAULTS).map(|fault| {
        let place = if fault.location.tag.is_empty() {
            place.to_string()
        } else {
            format!("{place} {}", fault.location.name())
        };
        let why = format!(
            "the record is unusable, from byte {} on: clients do as legacy clients do",
            fault.location.offset
        );
        let advice = match skew(&fault.problem).and(skew_of_all) {
            Some(skew) => Some(format!("skew={skew}")),
            None => fix(&fault.problem),
        };
        Finding::new(RecordFaultCode, Error, &place, fault.problem.to_string(), why).maybe(advice)
    });
    let mut found: Vec<Finding> = found.collect();
    if let Some(more) = faults.len().checked_sub(MAX_FAULTS).filter(|more| *more > 0) {
        let what = format!("{} more, not told", counted(more, "fault"));
        let why = "whatever else is mended, the record is unusable until they are too";
        found.push(Finding::new(RecordFaultCode, Error, place, what, why));
    }
    found
}

/// The skew that a fault allows, if it is one of the skew.
fn skew(problem: &Problem) -> Option<u32> {
    match problem {
        Problem::SkewPastSteps { step, .. } => Some(step.saturating_mul(2).min(MAX_SKEW.into())),
        Problem::SkewPastPow { .. } => Some(MAX_SKEW_WITH_POW.into()),
        _ => None,
    }
}

fn fix(problem: &Problem) -> Option<String> {
    Some(match problem {
        Problem::Version => "v=ssa1 as the first tag".into(),
        Problem::MissingAddr => "a template, such as addr=hash(src/64):20 rand:44".into(),
        Problem::MacWithoutKey => "the name of a secret, such as key=k1".into(),
        Problem::NeedsMac => "a mac field, or the record without this tag".into(),
        Problem::NarrowMac { .. } => "a mac of 32 bits or more".into(),
        Problem::UnknownTag => "a tag of the list, or x-NAME=… for one of your own".into(),
        Problem::RepeatedTag => "the tag once".into(),
        Problem::TimeSteps { first, .. } => format!("time/{first} everywhere"),
        Problem::TimeInItem => "time in a field".into(),
        Problem::PowNeedsRand { needed, .. } => format!("rand:{needed} or wider"),
        Problem::ReplicasFirstField => "hash(src/64):20 or the like as the first field".into(),
        Problem::ConstTooWide { value, .. } => format!("const({value:x}):{}", (64 - value.leading_zeros()).max(1)),
        Problem::AplFit(FitFault::Length { item, expected }) => at_length(*item, *expected),
        Problem::AplFit(FitFault::LockedOut { .. }) => elsewhere(),
        Problem::RepeatedInput { kind } => format!("{kind} once"),
        Problem::Kdf { .. } => "kdf=src/48".into(),
        _ => return None,
    })
}

fn at_length(item: ipnet::Ipv6Net, expected: u8) -> String {
    ipnet::Ipv6Net::new(item.addr(), expected).map_or_else(
        |_| format!("an item of {expected} bits"),
        |net| format!("2:{}", net.trunc()),
    )
}

fn elsewhere() -> String {
    "the negated item outside the positive ones, where it locks nobody out, or a rand field before its last bit".into()
}

/// The faults of a record together with an address space.
pub(super) fn of_fit(place: &str, record: &Record, space: &AddressSpace) -> Vec<Finding> {
    let width = record.template().width();
    let faults = record.template().misfits(space).into_iter().map(|fault| match fault {
        FitFault::Length { item, expected } => {
            let why = format!("the fields have W={width} bits, so every positive item has exactly {expected}");
            let finding = Finding::new(ItemLength, Error, place, format!("2:{item} has {} bits", item.prefix_len()), why);
            finding.instead(format!("{}, or fields of {} bits in all", at_length(item, expected), 128 - item.prefix_len()))
        }
        FitFault::LockedOut { negated, positive } => {
            let bits = negated.prefix_len().saturating_sub(positive.prefix_len());
            let why = format!(
                "none of the first {bits} bits after 2:{positive} is drawn: one source or object in 2^{bits} composes into \
                 it for ever"
            );
            Finding::new(LockedOut, Error, place, format!("!2:{negated} cannot be escaped"), why).instead(elsewhere())
        }
    });
    faults.collect()
}
