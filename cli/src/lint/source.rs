//! What comes of looking at the source: who can search, who shares it, and when it changes.

use ssa_rules::record::{Field, Inputs};

use super::{
    finding::{
        Code::{
            KdfTemporary, PublicHash, SaltMissing, SaltUnused, SourceCoarse, SourceMustSurvive, TemporaryAddresses,
        },
        Finding,
        Severity::{Note, Warning},
    },
    subject::{Subject, power, span, with_source},
};
use crate::{
    counts::plain,
    simulate::{clients::ClientGroup, spread::real},
};

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
        found.push(Finding::new(SaltUnused, Warning, subject.place, what, why).record(advice));
    }
}

fn without_tag(subject: &Subject<'_>, name: &str) -> Option<String> {
    let mut tags = subject.record.tags();
    tags.remove(name);
    Some(tags.record().ok()?.to_string())
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
    let has_pow = record.pow() > 0;
    if record.salt().is_none() && !subject.has_mac() {
        let what = "the hash of the source has no salt".to_string();
        let why = "what an attacker once found stays found; a salt that is changed now and then voids all of it";
        // src/48 leaves a site one choice, and each solution of a proof of work has its price.
        let severity = if has_pow || bits <= 48 { Note } else { Warning };
        let salted = subject.with_tags(&[("salt", "2026a")]);
        found.push(Finding::new(SaltMissing, severity, subject.place, what, why).record(salted));
    }
    if has_pow || subject.has_mac() {
        return;
    }
    let (owner, whose) = if bits > 48 {
        (48, "a /48 holder")
    } else {
        (32.min(bits), "a /32 holder")
    };
    let choices = bits - owner;
    let slices = subject.slices();
    let owned = if choices == 0 {
        format!("one input of src/{bits}")
    } else {
        format!("{} inputs of src/{bits}", power(choices.into()))
    };
    // What a hit takes on average: as many tries as there are slices, for each place that an input has.
    let tries = (real(slices) / f64::from(record.replicas())).max(1.0);
    let hits = 2_f64.powi(choices.into()) / tries;
    let found_in = |tries: f64| span(tries / HASHES_PER_SECOND);
    let reach = if hits >= 1.0 {
        format!(
            "finds one that hits any one of {} after some {tries:.0} tries, in {}",
            plain(slices, "slice"),
            found_in(tries)
        )
    } else {
        format!(
            "reaches {:.1} % of {} with them, known after {}",
            100.0 * hits,
            plain(slices, "slice"),
            found_in(2_f64.powi(choices.into()))
        )
    };
    let why = format!("the hash is public: {whose} owns {owned}, and {reach}");
    let what = format!("hash({inputs}) is all that chooses the slice");
    let advice = "a mac under a key of each client, or a proof of work, where nobody may aim at one endpoint";
    found.push(Finding::new(PublicHash, Note, &subject.field_place(index), what, why).instead(advice));
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
                "{} are {}: each place carries {:.0} of them",
                plain(clients, "client"),
                plain(distinct, "input"),
                real(clients) / real(distinct)
            );
            found.push(Finding::new(SourceCoarse, Warning, &place, what, why).record(instead));
        }
        (None, None) if bits == 64 && subject.around.clients.is_empty() => {
            let what = "src/64 takes a /64 for a client".to_string();
            let why = "on the Internet that is a home or an office; inside a cluster it is often a whole node, and all \
                       its pods share one place";
            let advice = "--clients with the prefixes of yours: it tells whether this is too coarse for them";
            found.push(Finding::new(SourceCoarse, Note, &place, what, why).instead(advice));
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
        let what = format!("{field} takes {} past /64", plain(bits - 64, "bit"));
        let why = "temporary addresses (RFC 8981) change them, by default every 24 hours: the client moves, and what was \
                   issued for its old address is void";
        let advice = "clients whose addresses stay, as those of pods do: elsewhere sysctl net.ipv6.conf.INTERFACE.use_tempaddr=0";
        found.push(Finding::new(TemporaryAddresses, Note, &subject.field_place(index), what, why).instead(advice));
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
        found.push(Finding::new(KdfTemporary, Warning, subject.place, what, why).record(instead));
    }
}
