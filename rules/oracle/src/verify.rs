//! Section 4: the verdict over an address.

use super::apl::Place;
use super::compose::{Secrets, k, object_number, pow_ok, shifted, value, winner};
use super::hash::{Values, cleared};
use super::record::{Field, Input, Pick, Record, Usable};

/// What a verifier sees. `None` is unknown.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub values: Values,
    pub destination: u128,
    pub time: u64,
    pub secrets: Secrets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Item,
    Field(usize),
    Pow,
}

impl std::fmt::Display for Part {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Item => write!(out, "item"),
            Part::Field(place) => write!(out, "field {place}"),
            Part::Pow => write!(out, "pow"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Conforming { unchecked: Vec<Part> },
    Legacy,
    Violation(Part),
    Outside,
}

impl Verdict {
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Conforming { .. } => "conforming",
            Verdict::Legacy => "legacy",
            Verdict::Violation(_) => "violation",
            Verdict::Outside => "outside",
        }
    }

    pub fn part(&self) -> Option<Part> {
        match self {
            Verdict::Violation(part) => Some(*part),
            _ => None,
        }
    }

    pub fn unchecked(&self) -> Vec<Part> {
        match self {
            Verdict::Conforming { unchecked } => unchecked.clone(),
            _ => Vec::new(),
        }
    }
}

/// Whether all that a field needs is known.
fn known(field: &Field, values: &Values) -> bool {
    match field {
        Field::Obj(..) => values.object.is_some(),
        _ => values.knows(field.inputs()),
    }
}

/// "The steps from ⌊(now−skew)/s⌋ to ⌊(now+skew)/s⌋"; "sums and differences of times saturate".
pub fn window(now: u64, skew: u64, s: u64) -> Vec<u64> {
    let first = now.saturating_sub(skew) / s;
    let last = now.saturating_add(skew) / s;
    let mut steps = vec![first];
    while *steps.last().unwrap() < last {
        steps.push(steps.last().unwrap() + 1);
    }
    steps
}

/// The fields, in order, that are known, not rand, and not what they should be in this step.
fn failing(record: &Record, seen: &Seen, step: Option<u64>, key: Option<[u8; 16]>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut start = 128 - record.w();
    for (place, field) in record.template.iter().enumerate() {
        let n = field.width();
        let actual = super::compose::bits(seen.destination, start, start + n);
        // "mac over the destination's own bits"
        let so_far = cleared(seen.destination, start);
        start += n;
        if !known(field, &seen.values) {
            continue;
        }
        // "A non-numeric object under `obj[a:b]` is a violation of that field."
        let numeric = seen
            .values
            .object
            .as_ref()
            .is_some_and(|object| object_number(object).is_ok());
        if matches!(field, Field::Obj(..)) && !numeric {
            found.push(place);
            continue;
        }
        let expected = value(record, place, &seen.values, step, key, so_far).unwrap();
        let Some(expected) = expected else { continue };
        // "The first field may match any replica."
        let replicas = if place == 0 { record.replicas } else { 1 };
        if !(0..replicas).any(|r| shifted(expected, n, r, replicas) == actual) {
            found.push(place);
        }
    }
    found
}

/// Section 4, 1 to 4. An error is a refusal: "A verifier without the secret refuses the record."
pub fn verify(usable: &Usable, seen: &Seen) -> Result<Verdict, String> {
    let record = &usable.record;
    let key = if record.has_mac() {
        Some(k(record, &seen.secrets, seen.values.source)?)
    } else {
        None
    };
    // 1. "No item contains the destination: `outside`. The longest is negated: `legacy`."
    let item = match usable.apl.place(seen.destination) {
        Place::Outside => return Ok(Verdict::Outside),
        Place::Legacy => return Ok(Verdict::Legacy),
        Place::Service(item) => item,
    };
    let mut unchecked = Vec::new();
    // 2. "item=hash with known inputs: another item than the destination's wins: `violation` of
    // item."
    if let Pick::Hash(inputs) = &record.item {
        if seen.values.knows(inputs) {
            if winner(usable, &seen.values)? != item {
                return Ok(Verdict::Violation(Part::Item));
            }
        } else {
            unchecked.push(Part::Item);
        }
    }
    for (place, field) in record.template.iter().enumerate() {
        if !known(field, &seen.values) {
            unchecked.push(Part::Field(place));
        }
    }
    // "With time, every step from ⌊(now−skew)/s⌋ to ⌊(now+skew)/s⌋ is tried, one step for all
    // fields."
    let (steps, now) = match record.step() {
        None => (vec![None], None),
        Some(s) => {
            let s = u64::from(s);
            let steps = window(seen.time, record.skew, s);
            (steps.into_iter().map(Some).collect(), Some(seen.time / s))
        }
    };
    let any = steps.iter().any(|step| failing(record, seen, *step, key).is_empty());
    if !any {
        // "No step fits: `violation`, naming the first field that fails in the step of now."
        let place = failing(record, seen, now, key)[0];
        return Ok(Verdict::Violation(Part::Field(place)));
    }
    // 3. "pow fails for every minute from ⌊(now−skew)/60⌋ to ⌊(now+skew)/60⌋: `violation` of pow."
    if record.pow > 0 {
        match seen.values.port {
            // "A later fragment has no port (what needs it is unchecked)."
            None => unchecked.push(Part::Pow),
            Some(port) => {
                let minutes = window(seen.time, record.skew, 60);
                if !minutes
                    .iter()
                    .any(|minute| pow_ok(record, seen.values.source, seen.destination, port, *minute))
                {
                    return Ok(Verdict::Violation(Part::Pow));
                }
            }
        }
    }
    // 4. "Otherwise `conforming`, with the list of what is unchecked."
    Ok(Verdict::Conforming { unchecked })
}

/// Whether any field or the item takes this kind of input.
pub fn needs(record: &Record, kind: &Input) -> bool {
    let same = |input: &Input| std::mem::discriminant(input) == std::mem::discriminant(kind);
    record.template.iter().any(|field| field.inputs().iter().any(same))
        || matches!(&record.item, Pick::Hash(inputs) if inputs.iter().any(same))
}
