//! What comes of looking at the source: who can search, who shares it, and when it changes.

use ssa_rules::record::{Field, Inputs};

use super::{
    finding::{
        Code::{PublicHash, SaltMissing, SaltUnused, SourceCoarse, SourceMustSurvive, TemporaryAddresses},
        Finding,
        Severity::{Note, Warning},
    },
    subject::{Subject, power, with_source},
};
use crate::simulate::{clients::ClientGroup, spread::real};

/// What a core hashes in a second, or thereabouts.
const HASHES_PER_SECOND: f64 = 1e7;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    public_hash(subject, found);
    coarse(subject, found);
    temporary(subject, found);
    if subject.record.needs().source {
        let what = "the source decides of the address".to_string();
        let why = "the client must compose with the source that the cluster sees: NAT, IPv4 translators and forward \
                   proxies in between make every connection a violation; renumbering moves clients to other endpoints";
        let advice = "legacy addresses (a negated item and an AAAA record in it) for clients behind such devices";
        found.push(Finding::new(SourceMustSurvive, Note, subject.place, what, why).instead(advice));
    }
    let salted = subject.record.inputs().any(|inputs| inputs.source_bits().is_some());
    if let Some(salt) = subject.record.salt()
        && !salted
        && subject.record.pow() == 0
    {
        let what = format!("salt={} changes nothing", salt.as_str());
        let why = "a salt is mixed into hashes of the source and into proofs of work, and there is neither";
        let advice = without_tag(subject, "salt");
        found.push(Finding::new(SaltUnused, Warning, subject.place, what, why).perhaps(advice));
    }
}

fn without_tag(subject: &Subject<'_>, name: &str) -> Option<String> {
    let text = subject.record.to_string();
    let tags = text
        .split(';')
        .map(str::trim)
        .filter(|tag| tag.split('=').next() != Some(name));
    let record: ssa_rules::Record = tags.collect::<Vec<_>>().join("; ").parse().ok()?;
    Some(record.to_string())
}

/// The first hash of the source that places, with its number.
fn placing_hash<'a>(subject: &'a Subject<'_>) -> Option<(usize, &'a Inputs, u8)> {
    subject.placing().find_map(|(index, field, _)| match field {
        Field::Hash { inputs, .. } => Some((index, inputs, inputs.source_bits()?.get())),
        _ => None,
    })
}

fn public_hash(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some((index, inputs, bits)) = placing_hash(subject) else {
        return;
    };
    let record = subject.record;
    let guarded = subject.has_mac() || record.pow() > 0;
    if guarded {
        if record.salt().is_none() && !subject.has_mac() {
            let what = "the hash of the source has no salt".to_string();
            let why = "what an attacker once found stays found; a changed salt would void all of it";
            found.push(Finding::new(SaltMissing, Note, subject.place, what, why).perhaps(salted(subject)));
        }
        return;
    }
    let (owner, whose) = if bits > 48 {
        (48, "a /48 holder")
    } else {
        (32.min(bits), "a /32 holder")
    };
    let choices = bits - owner;
    let slices = subject.slices();
    let hits = 2_f64.powi(choices.into()) * f64::from(record.replicas()) / real(slices.max(1));
    let seconds = 2_f64.powi(choices.into()) / HASHES_PER_SECOND;
    let effort = if seconds < 1.0 {
        "in less than a second".to_string()
    } else if seconds < 172_800.0 {
        format!("in {seconds:.0} s")
    } else {
        format!("in {:.0} days", seconds / 86_400.0)
    };
    let why = format!(
        "the hash is public: {whose} owns {} inputs of src/{bits} and searches them all {effort}; {hits:.1} of them hit \
         any one of {slices} slices",
        power(choices.into())
    );
    let what = format!("hash({inputs}) is all that chooses the slice");
    let place = subject.field_place(index);
    // src/48 leaves a site one choice, and a salt makes the search start again: that is what is to be had in public.
    let severity = if record.salt().is_some() || bits <= 48 {
        Note
    } else {
        Warning
    };
    let advice = match record.salt() {
        None => salted(subject),
        Some(_) if bits > 48 => {
            let width = subject.fields().get(index).map_or(20, Field::width);
            subject.with_field(index, &format!("hash({}):{width}", with_source(inputs, 48)))
        }
        Some(_) => subject.with_tags(&[("pow", "14")]),
    };
    found.push(Finding::new(PublicHash, severity, &place, what, why).perhaps(advice));
}

fn salted(subject: &Subject<'_>) -> Option<String> {
    subject
        .with_tags(&[("salt", "2026a")])
        .map(|record| format!("{record} (and another salt now and then)"))
}

/// How many inputs of so many bits clients have, if their number is known.
pub(super) fn inputs_of(clients: &[ClientGroup], bits: u8) -> Option<u64> {
    let of = |group: &ClientGroup| {
        let prefixes = 1_u64
            .checked_shl(bits.saturating_sub(group.prefix.prefix_len()).into())
            .unwrap_or(u64::MAX);
        if prefixes == 1 {
            Some(1)
        } else {
            group.known_count().map(|count| count.min(prefixes))
        }
    };
    if clients.is_empty() {
        return None;
    }
    // Groups within one prefix of so many bits are one input together.
    let mut alone: Vec<u128> = Vec::new();
    let mut sum = 0_u64;
    for group in clients {
        if group.prefix.prefix_len() >= bits {
            let kept = u128::from(group.prefix.network()) >> (128 - u32::from(bits.max(1)));
            alone.push(kept);
        } else {
            sum = sum.saturating_add(of(group)?);
        }
    }
    alone.sort_unstable();
    alone.dedup();
    Some(sum.saturating_add(u64::try_from(alone.len()).unwrap_or(u64::MAX)))
}

fn coarse(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some((index, inputs, bits)) = placing_hash(subject).filter(|(_, _, bits)| *bits <= 64) else {
        return;
    };
    let width = subject.fields().get(index).map_or(20, Field::width);
    let instead = subject.with_field(index, &format!("hash({}):{width}", with_source(inputs, 128)));
    let place = subject.field_place(index);
    let known: Option<u64> = subject.around.clients.iter().map(ClientGroup::known_count).sum();
    let known = known.filter(|_| !subject.around.clients.is_empty());
    match (inputs_of(&subject.around.clients, bits), known) {
        (Some(distinct), Some(clients)) if distinct.saturating_mul(2) <= clients => {
            let what = format!("src/{bits} does not tell these clients apart");
            let why = format!(
                "{clients} clients are {distinct} inputs: each place carries {:.0} of them",
                real(clients) / real(distinct)
            );
            found.push(Finding::new(SourceCoarse, Warning, &place, what, why).perhaps(instead));
        }
        (None, None) if bits == 64 => {
            let what = "src/64 takes a /64 for a client".to_string();
            let why = "on the Internet that is a home or an office; inside a cluster it is often a whole node, and all \
                       its pods share one place";
            let instead = instead.map(|record| format!("inside a cluster: {record}"));
            found.push(Finding::new(SourceCoarse, Note, &place, what, why).perhaps(instead));
        }
        _ => {}
    }
}

fn temporary(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (index, field) in subject.fields().iter().enumerate() {
        let bits = match field {
            Field::Source(range) => range.end(),
            _ => field
                .inputs()
                .and_then(Inputs::source_bits)
                .map_or(0, ssa_rules::SourceBits::get),
        };
        if bits <= 64 {
            continue;
        }
        let instead = match field {
            Field::Hash { inputs, width } => {
                subject.with_field(index, &format!("hash({}):{width}", with_source(inputs, 64)))
            }
            Field::Mac { inputs, width } => {
                subject.with_field(index, &format!("mac({}):{width}", with_source(inputs, 64)))
            }
            _ => None,
        };
        let instead = instead.map(|record| format!("outside a cluster: {record}"));
        let what = format!("{field} takes {} bits past /64", bits - 64);
        let why = "temporary addresses (RFC 8981) change them, by default every 24 hours: the client moves, and what was \
                   issued for its old address is void";
        found.push(Finding::new(TemporaryAddresses, Note, &subject.field_place(index), what, why).perhaps(instead));
    }
    if let Some(bits) = subject
        .record
        .kdf()
        .map(ssa_rules::SourceBits::get)
        .filter(|bits| *bits > 64)
    {
        let what = format!("kdf=src/{bits} gives each address its own key");
        let why = "a temporary address (RFC 8981) needs a new key, by default every 24 hours";
        let instead = subject.with_tags(&[("kdf", "src/64")]);
        found.push(Finding::new(TemporaryAddresses, Warning, subject.place, what, why).perhaps(instead));
    }
}
