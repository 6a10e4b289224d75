//! How clients and objects spread, and what checks them.

use ssa_rules::record::{Field, Input, ItemChoice};
use statrs::distribution::{DiscreteCDF, Poisson};

use super::{
    finding::{
        Code::{
            ChunkWithoutObject, DrawnAddresses, FewChoices, HotObjects, ManyAddresses, NearUneven, OpenToAny,
            PortInput, ReplicasPastEndpoints, UncheckedAtLayer4,
        },
        Finding,
        Severity::{Note, Warning},
    },
    source::inputs_of,
    subject::{Subject, power},
};
use crate::{
    counts::plain,
    simulate::{placement::Placement, spread::real},
};

/// The distinct addresses that Envoy bears: 2 to this.
const ENVOY_BITS: u32 = 14;

/// The endpoints that are assumed where their number is not known.
const ENDPOINTS: u32 = 100;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    found.extend(few_choices(subject));
    found.extend(near_uneven(subject));
    replicas(subject, found);
    many_addresses(subject, found);
    unchecked(subject, found);
    if subject.record.is_open() {
        let what = "every address is open to any source".to_string();
        let why = format!(
            "one source can aim everything at any one of {}",
            plain(subject.slices(), "slice")
        );
        let advice = "a hash of the source as the first field, unless all sources are trusted";
        found.push(Finding::new(OpenToAny, Note, subject.place, what, why).instead(advice));
    }
}

/// Returns the greatest of loads over their mean, on average, when so many balls fall into bins at random.
pub(super) fn expected_max_over_mean(balls: u64, bins: u32) -> f64 {
    let mean = real(balls) / f64::from(bins.max(1));
    if bins < 2 || balls == 0 {
        return 1.0;
    }
    if mean > 10_000.0 {
        return 1.0 + (2.0 * f64::from(bins).ln() / mean).sqrt();
    }
    let Ok(poisson) = Poisson::new(mean) else { return 1.0 };
    // E[max] is the sum over m of P(max > m) = 1 − P(X ≤ m)^bins; further out than this the terms vanish.
    let reach = mean + 12.0 * mean.sqrt() + 40.0;
    let mut expected = 0.0;
    let mut m = 0_u64;
    while real(m) < reach {
        expected += 1.0 - (-poisson.sf(m)).ln_1p().mul_add(f64::from(bins), 0.0).exp();
        m += 1;
    }
    expected / mean
}

fn few_choices(subject: &Subject<'_>) -> Option<Finding> {
    let placement = Placement::of(subject.record, subject.slice_bits());
    let replicas = u64::from(subject.record.replicas());
    // Each client has as many places as it has replicas, unless it draws the place itself.
    if placement.source_bits == 0 || placement.drawn.count_ones() >= 4 || placement.object != 0 {
        return None;
    }
    // What is said of copied source bits is worse than this.
    let first = subject
        .fields()
        .first()
        .filter(|first| !matches!(first, Field::Source(_)))?;
    let bins = subject.around.endpoints.unwrap_or(ENDPOINTS);
    let with = |replicas: u64| {
        let count = replicas.to_string();
        matches!(first, Field::Hash { .. } | Field::Mac { .. })
            .then(|| subject.with_tags(&[("replicas", &count)]))
            .flatten()
    };
    let assumed = if subject.around.endpoints.is_some() {
        ""
    } else {
        " (give --endpoints for yours)"
    };
    if let Some(clients) = inputs_of(&subject.around.clients, placement.source_bits) {
        let now = expected_max_over_mean(clients * replicas, bins);
        if now < 1.5 {
            return None;
        }
        let more = [2, 4, 8, 16].into_iter().filter(|more| *more > replicas);
        let more = more.filter(|more| *more <= u64::from(bins));
        let better = more.map(|more| (more, expected_max_over_mean(clients * more, bins)));
        let better: Vec<(u64, f64)> = better.collect();
        let enough = better.iter().find(|(_, over)| *over < 1.5);
        let halved = better.iter().find(|(_, over)| *over < now * 0.6);
        let chosen = enough.or(halved).or(better.last());
        let what = format!("{} with {} each", plain(clients, "client"), plain(replicas, "place"));
        let halves = chosen.map_or_else(String::new, |(more, over)| {
            format!("; replicas={more} makes that {over:.1}")
        });
        let why = format!(
            "on {}{assumed} the fullest is expected to carry {now:.1} times the mean{halves}",
            plain(bins, "endpoint")
        );
        let severity = if now >= 2.0 { Warning } else { Note };
        let instead = enough.and_then(|(more, _)| with(*more));
        let finding = Finding::new(FewChoices, severity, subject.place, what, why).record(instead);
        return Some(finding.or(|| "more clients, or fewer endpoints; replicas alone do not even it out".into()));
    }
    if replicas > 1 || !subject.around.clients.is_empty() {
        return None;
    }
    let enough = (0..40)
        .map(|power| u64::from(bins) << power)
        .find(|clients| expected_max_over_mean(*clients, bins) < 1.5)?;
    // Replicas on one endpoint are none.
    let more = u64::from(bins.min(4));
    let what = "one place for each client".to_string();
    let why = format!(
        "{} hashed onto {}{assumed} load the fullest with {:.1} times the mean, replicas={more} \
         makes that {:.1}; from about {enough} clients on it is less than 1.5",
        plain(bins, "client"),
        plain(bins, "endpoint"),
        expected_max_over_mean(bins.into(), bins),
        expected_max_over_mean(more * u64::from(bins), bins)
    );
    Some(Finding::new(FewChoices, Note, subject.place, what, why).record(with(more)))
}

fn near_uneven(subject: &Subject<'_>) -> Option<Finding> {
    let items = subject.space.positive();
    if *subject.record.item() != ItemChoice::Near || items.len() < 2 || subject.around.clients.is_empty() {
        return None;
    }
    let mut shares = vec![0.0; items.len()];
    for group in &subject.around.clients {
        let network = u128::from(group.prefix.network());
        let shared = |item: &ipnet::Ipv6Net| {
            let length = (network ^ u128::from(item.network())).leading_zeros();
            length.min(group.prefix.prefix_len().into())
        };
        let nearest = items.iter().map(shared).max()?;
        let ties: Vec<usize> = (0..items.len())
            .filter(|index| shared(&items[*index]) == nearest)
            .collect();
        for index in &ties {
            shares[*index] += real(group.known_count().unwrap_or(1)) / crate::simulate::spread::size(ties.len());
        }
    }
    let sum: f64 = shares.iter().sum();
    let (fullest, most) = shares
        .iter()
        .enumerate()
        .max_by(|one, other| one.1.total_cmp(other.1))?;
    let share = most / sum;
    let over = share * crate::simulate::spread::size(items.len());
    (over >= 1.5).then(|| {
        let what = format!(
            "{} is the near item of {:.0} % of these clients",
            items[fullest],
            100.0 * share
        );
        let why = format!("that is {over:.1} times an even share of {} items", items.len());
        let instead = subject.with_tags(&[("item", "rand")]);
        Finding::new(NearUneven, Warning, subject.place, what, why).record(instead)
    })
}

fn replicas(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let replicas = u32::from(subject.record.replicas());
    if let Some(endpoints) = subject.around.endpoints.filter(|endpoints| *endpoints < replicas) {
        let what = format!("{replicas} replicas on {}", plain(endpoints, "endpoint"));
        let why = format!(
            "{} of them share an endpoint with another, and fail with it",
            replicas - endpoints
        );
        let instead = subject.with_tags(&[("replicas", &endpoints.to_string())]);
        found.push(Finding::new(ReplicasPastEndpoints, Warning, subject.place, what, why).record(instead));
    }
    let placement = Placement::of(subject.record, subject.slice_bits());
    if replicas == 1 && placement.object != 0 {
        let what = "one place for each object".to_string();
        let why = "hashing ignores load: a hot object loads one endpoint, and is gone with it";
        let more = subject.around.endpoints.map_or(3, |endpoints| endpoints.min(3));
        let instead = (more > 1)
            .then(|| subject.with_tags(&[("replicas", &more.to_string())]))
            .flatten();
        found.push(Finding::new(HotObjects, Note, subject.place, what, why).record(instead));
    }
    for (index, field, _) in subject.placing() {
        let Some(inputs) = field.inputs() else { continue };
        if inputs.has_kind(Input::Chunk) && !inputs.has_kind(Input::Object) {
            let what = format!("{field} places by the chunk alone");
            let why = "chunk 0 of every object, the one always read, lies in one slice";
            let instead = subject.with_field(index, &field.to_string().replace("chunk", "obj,chunk"));
            found.push(
                Finding::new(ChunkWithoutObject, Warning, &subject.field_place(index), what, why).record(instead),
            );
        }
    }
}

fn many_addresses(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let costs =
        "Envoy's ORIGINAL_DST copies its table of hosts for each new one, 0.08 ms at 1000 known and 0.8 ms at 6000";
    let content: u32 = subject
        .fields()
        .iter()
        .filter(|field| by_content(field))
        .map(|field| u32::from(field.width()))
        .sum();
    // Where requests have their keys, fewer are borne: see `request`.
    if content > ENVOY_BITS && subject.record.keys().is_empty() {
        let what = format!("{} distinct addresses by content", power(content));
        let why = format!("{costs}; {} are enough for 1000 endpoints", power(ENVOY_BITS));
        let instead = quantised(subject, by_content, ENVOY_BITS);
        found.push(Finding::new(ManyAddresses, Warning, subject.place, what, why).record(instead));
    }
    let drawn = u32::from(subject.record.template().rand_bits());
    if drawn > ENVOY_BITS {
        let what = format!("{drawn} bits drawn at random");
        let why = format!("a sidecar that draws anew for each connection uses ever new addresses; {costs}");
        let advice = "sidecars draw from a bounded pool that rotates slowly; nothing in the record needs to change";
        found.push(Finding::new(DrawnAddresses, Note, subject.place, what, why).instead(advice));
    }
}

/// Returns whether a field depends on an object key or a chunk.
pub(super) fn by_content(field: &Field) -> bool {
    matches!(field, Field::Object(_))
        || field
            .inputs()
            .is_some_and(|inputs| inputs.has_kind(Input::Object) || inputs.has_kind(Input::Chunk))
}

/// Cuts the one field of content to so many bits and fills up with zeros.
pub(super) fn quantised(subject: &Subject<'_>, by_object: impl Fn(&Field) -> bool, bits: u32) -> Option<String> {
    let mut content = subject
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| by_object(field));
    let ((index, field), None) = (content.next()?, content.next()) else {
        return None;
    };
    let kept = u8::try_from(bits).ok()?;
    let left = field.width().checked_sub(kept).filter(|left| *left > 0)?;
    let cut = match field {
        Field::Hash { inputs, .. } => format!("hash({inputs}):{kept}"),
        Field::Object(_) => format!("hash(obj):{kept}"),
        _ => return None,
    };
    let mut fields: Vec<String> = subject.fields().iter().map(ToString::to_string).collect();
    *fields.get_mut(index)? = cut;
    match subject.fields().get(index + 1) {
        // Zeros that follow anyway take up what is cut.
        Some(Field::Const { value: 0, width }) if width + left <= 64 => {
            *fields.get_mut(index + 1)? = format!("const(0):{}", width + left);
        }
        _ => fields.insert(index + 1, format!("const(0):{left}")),
    }
    subject.with_fields(&fields)
}

fn unchecked(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let all = subject.slices();
    if subject.record.needs().object {
        let what = "fields of the object key".to_string();
        let why = format!(
            "a verifier at layer 4 does not see the key and leaves them unchecked: any of {} can be aimed at",
            plain(all, "slice")
        );
        let advice = "a layer-7 filter that verifies with the key, or a field of the source beside them";
        found.push(Finding::new(UncheckedAtLayer4, Note, subject.place, what, why).instead(advice));
    }
    if subject.record.inputs().any(|inputs| inputs.has_kind(Input::Port)) {
        let what = "the port is an input".to_string();
        let why = "later fragments have no port: what looks at it stays unchecked for them";
        found.push(
            Finding::new(PortInput, Note, subject.place, what, why)
                .instead("no port among the inputs, unless services share addresses"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_of_100_is_4_times_the_mean_and_replicas_halve_it() {
        let alone = expected_max_over_mean(100, 100);
        assert!((4.0..4.5).contains(&alone), "{alone}");
        let four = expected_max_over_mean(400, 100);
        assert!((2.1..2.5).contains(&four), "{four}");
        assert!((expected_max_over_mean(1 << 40, 100) - 1.0).abs() < 0.01);
        assert!((expected_max_over_mean(5, 1) - 1.0).abs() < f64::EPSILON);
        assert!(expected_max_over_mean(1_000_000, 100) < 1.05);
    }
}
