//! Where the leading bits put clients and objects.

use ssa_rules::record::{BitRange, Field, Input};

use super::{
    finding::{
        Code::{FewSlices, FirstFieldSame, LeadingBitsShared, LeadingObjectBits},
        Finding,
        Severity::{Note, Warning},
    },
    subject::Subject,
};
use crate::{counts::plain, simulate::spread::real};

/// Fewer slices than this for an endpoint make loads uneven: 16 and 17 differ by 6 %.
const SLICES_PER_ENDPOINT: u64 = 16;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (index, field, inside) in subject.placing() {
        match field {
            Field::Source(range) => found.push(source_bits(subject, index, *range, inside)),
            Field::Object(range) => found.push(object_bits(subject, index, *range, inside)),
            _ => {}
        }
    }
    found.extend(same_for_all(subject));
    found.extend(few_slices(subject));
}

fn source_bits(subject: &Subject<'_>, index: usize, range: BitRange, inside: u8) -> Finding {
    let (start, end) = (range.start(), range.end());
    let slices = subject.slices();
    let all_slices = plain(slices, "slice");
    let reached = |patterns: u64| slices >> inside << patterns.ilog2();
    let shared_by = |length: u8| length.saturating_sub(start).min(inside);
    let why = if let Some(patterns) = patterns(subject, range, inside) {
        let reached = (slices >> inside).saturating_mul(patterns);
        let prefixes = subject.around.clients.len();
        let of = if prefixes == 1 {
            "the clients' prefix reaches".into()
        } else {
            format!("the clients' {prefixes} prefixes reach")
        };
        format!("{of} {reached} of {all_slices}: the bits before differ in nothing else")
    } else if start < 3 {
        let all = reached(1 << (inside - shared_by(3)));
        let site = reached(1 << (inside - shared_by(14)));
        format!(
            "leading source bits are shared: 2000::/3 reaches {all} of {all_slices}, and all clients of one /14 {site}"
        )
    } else if start < 64 {
        let site = reached(1 << (inside - shared_by(48)));
        format!("clients of one /48 share their first 48 bits: they reach {site} of {all_slices}")
    } else {
        let one = reached(1);
        format!(
            "interface identifiers like ::1 and ::2 share their leading zeros: such clients reach {one} of {all_slices}"
        )
    };
    let bits = if end > 64 { end } else { 64 };
    let instead = subject.with_field(index, &format!("hash(src/{bits}):{}", range.width()));
    let what = format!(
        "src[{start}:{end}] chooses {inside} of the {} bits of a slice",
        subject.slice_bits()
    );
    Finding::new(LeadingBitsShared, Warning, &subject.field_place(index), what, why).record(instead)
}

/// Returns the number of values that the first bits of a range take for the given clients; nothing where there are none.
fn patterns(subject: &Subject<'_>, range: BitRange, inside: u8) -> Option<u64> {
    if subject.around.clients.is_empty() {
        return None;
    }
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for group in &subject.around.clients {
        let fixed = group.prefix.prefix_len().saturating_sub(range.start()).min(inside);
        let leading = (u128::from(group.prefix.network()) << range.start()) >> (128 - u32::from(inside));
        let first = u64::try_from(leading).ok()?;
        ranges.push((first, first + (1 << (inside - fixed)) - 1));
    }
    ranges.sort_unstable();
    let (mut count, mut next) = (0, 0);
    for (first, last) in ranges {
        if last >= next {
            count += last - first.max(next) + 1;
            next = last + 1;
        }
    }
    let clients = subject
        .around
        .clients
        .iter()
        .map(crate::simulate::clients::ClientGroup::known_count);
    let most = clients.sum::<Option<u64>>().unwrap_or(u64::MAX);
    Some(count.min(most))
}

fn object_bits(subject: &Subject<'_>, index: usize, range: BitRange, inside: u8) -> Finding {
    let (start, end) = (range.start(), range.end());
    let run = 128 - u32::from(start) - u32::from(inside);
    // Numbers that are counted up differ in their last bits; those of UUIDs and digests in all.
    let counted = start > 0;
    let what = format!(
        "obj[{start}:{end}] chooses {inside} of the {} bits of a slice",
        subject.slice_bits()
    );
    let why = format!(
        "objects numbered one after the other share their leading bits: the first 2^{run} lie in one slice of {}",
        subject.slices()
    );
    let severity = if counted { Warning } else { Note };
    let instead = subject.with_field(index, &format!("hash(obj):{}", range.width()));
    Finding::new(LeadingObjectBits, severity, &subject.field_place(index), what, why).record(instead)
}

/// A field whose value is the same for all clients and objects at one time.
fn is_same_for_all(field: &Field) -> bool {
    let inputs = |wanted: fn(&Input) -> bool| {
        field
            .inputs()
            .is_some_and(|inputs| inputs.as_slice().iter().any(wanted))
    };
    match field {
        Field::Const { .. } => true,
        Field::Hash { .. } => !inputs(|input| matches!(input, Input::Source(_) | Input::Object | Input::Chunk)),
        // A mac covers the bits before it, and with kdf the source.
        Field::Mac { .. } => !inputs(|input| matches!(input, Input::Source(_) | Input::Object | Input::Chunk)),
        Field::Rand { .. } | Field::Source(_) | Field::Object(_) => false,
    }
}

fn same_for_all(subject: &Subject<'_>) -> Option<Finding> {
    let same: Vec<(usize, &Field, u8)> = subject
        .placing()
        .take_while(|(_, field, _)| {
            is_same_for_all(field) && !(matches!(field, Field::Mac { .. }) && subject.record.kdf().is_some())
        })
        .collect();
    let (first, field, _) = same.first()?;
    let bits: u8 = same.iter().map(|(_, _, inside)| inside).sum();
    let reached = subject.slices() >> bits;
    let mut others: Vec<String> = subject
        .fields()
        .iter()
        .skip(same.len())
        .map(ToString::to_string)
        .collect();
    let differs = subject
        .fields()
        .iter()
        .skip(same.len())
        .any(|other| !is_same_for_all(other));
    let moved = if matches!(field, Field::Const { .. }) && differs {
        others.extend(same.iter().map(|(_, field, _)| field.to_string()));
        subject.with_fields(&others)
    } else {
        let width = field.width();
        let of_all = match field {
            Field::Hash { inputs, .. } => subject.with_field(
                *first,
                &format!("hash({}):{width}", super::subject::with_source(inputs, 64)),
            ),
            Field::Mac { inputs, .. } => subject.with_field(
                *first,
                &format!("mac({}):{width}", super::subject::with_source(inputs, 64)),
            ),
            _ => None,
        };
        of_all.or_else(|| subject.with_field(*first, &format!("hash(src/64):{width}")))
    };
    let what = format!("{field} leads, and is the same for everyone");
    let why = format!(
        "placement follows the leading bits: no more than {reached} of {} are in use at any time",
        plain(subject.slices(), "slice")
    );
    Some(Finding::new(FirstFieldSame, Warning, &subject.field_place(*first), what, why).record(moved))
}

fn few_slices(subject: &Subject<'_>) -> Option<Finding> {
    let width = subject.record.template().width().min(20);
    let items = u64::try_from(subject.space.positive().len()).unwrap_or(64);
    let most = (items << width).min(1 << 20);
    let items = plain(items, "item");
    let what = if width == 0 {
        format!("{items} of 1 address each: that is all there is to hand out")
    } else {
        format!("{items} of 2^{width} addresses each: that is all there is to hand out")
    };
    let advice = format!(
        "a wider template, such as addr=rand:64 with items of 64 bits; {} slices leave endpoints within {} %",
        SLICES_PER_ENDPOINT,
        100 / SLICES_PER_ENDPOINT
    );
    match subject.around.endpoints {
        Some(endpoints) if most < SLICES_PER_ENDPOINT * u64::from(endpoints) => {
            let (least, fullest) = (most / u64::from(endpoints), most.div_ceil(u64::from(endpoints)));
            // A quarter more is felt.
            let severity = if fullest * 4 > least * 5 { Warning } else { Note };
            let over = real(fullest) / (real(most) / f64::from(endpoints));
            let why = format!(
                "{} over {}: some hold {fullest}, {over:.2} times the mean, others {least}",
                plain(most, "slice"),
                plain(endpoints, "endpoint")
            );
            Some(Finding::new(FewSlices, severity, subject.place, what, why).instead(advice))
        }
        None if most < 1024 => {
            let why = format!(
                "with more than {}, some hold a slice more than others, and feel it",
                plain((most / SLICES_PER_ENDPOINT).max(1), "endpoint")
            );
            let why = format!("{why} ({} in all)", plain(most, "slice"));
            Some(Finding::new(FewSlices, Note, subject.place, what, why).instead(advice))
        }
        _ => None,
    }
}
