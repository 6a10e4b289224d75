//! What fills a part and who checks it, in a few words.

use crate::{counts::counted, input::sources_text};
use ssa_rules::{
    Apl, Record,
    record::{Field, Input, Inputs, ItemChoice},
};

pub(super) fn field(field: &Field) -> String {
    match field {
        Field::Rand { .. } => "random bits".into(),
        Field::Const { value, .. } => format!("the constant {value:#x}"),
        Field::Source(range) => format!("source bits {}-{}", range.start(), range.end().saturating_sub(1)),
        Field::Object(range) => format!("object bits {}-{}", range.start(), range.end().saturating_sub(1)),
        Field::Hash { inputs, .. } => format!("hash({inputs})"),
        Field::Mac { inputs, .. } => format!("mac({inputs})"),
    }
}

/// Returns what a verifier may lack for these inputs.
fn if_known(inputs: &Inputs) -> &'static str {
    let has = |kind| inputs.has_kind(kind);
    match (has(Input::Object), has(Input::Chunk)) {
        (false, false) => "",
        (true, false) => " if object known",
        (false, true) => " if chunk known",
        (true, true) => " if both known",
    }
}

pub(super) fn field_check(record: &Record, field: &Field) -> String {
    match field {
        Field::Rand { .. } => "leaves it open".into(),
        Field::Const { .. } | Field::Source(_) => "compares".into(),
        Field::Object(_) => "compares if object known".into(),
        Field::Hash { inputs, .. } => format!("recomputes{}", if_known(inputs)),
        Field::Mac { inputs, .. } => {
            let key = record.key().map_or("", |key| key.as_str());
            format!("recomputes by {key}{}", if_known(inputs))
        }
    }
}

pub(super) fn item(record: &Record) -> String {
    match record.item() {
        ItemChoice::Near => "nearest to the source".into(),
        ItemChoice::Rand => "any, at random".into(),
        ItemChoice::Hash(inputs) => format!("hash({inputs})"),
    }
}

pub(super) fn item_check(record: &Record) -> String {
    match record.item() {
        ItemChoice::Near | ItemChoice::Rand => "takes any item".into(),
        ItemChoice::Hash(inputs) => format!("recomputes{}", if_known(inputs)),
    }
}

/// Returns what else is to say of a record, by heading.
pub(super) fn facts(record: &Record, apl: Option<&Apl>) -> Vec<(&'static str, String)> {
    let width = record.template().width();
    let mut facts = Vec::new();
    if let Some(apl) = apl.or(record.apl()) {
        facts.push(("items", apl.to_string()));
    } else {
        facts.push((
            "items",
            format!("of exactly {} bits each", record.template().item_length()),
        ));
    }
    let count = |bits: u8| if bits == 0 { "1".to_owned() } else { format!("2^{bits}") };
    let (all, open) = (count(width), count(record.template().rand_bits()));
    facts.push((
        "addresses",
        format!("{all} in an item, {open} of them for one set of inputs"),
    ));
    if record.replicas() > 1 {
        let spread = "spread evenly over the values of field 0";
        facts.push(("replicas", format!("{}, {spread}", record.replicas())));
    }
    if let Some(salt) = record.salt() {
        facts.push(("salt", format!("{}: changes hashes of the source", salt.as_str())));
    }
    if let Some(step) = record.time_step() {
        let skew = record.skew();
        facts.push(("time", format!("steps of {step} s; a verifier bears {skew} s of skew")));
    }
    if let Some(key) = record.key() {
        let holders = match record.kdf() {
            Some(bits) => format!("each client holds its own key, of the first {bits} bits of its source"),
            None => "clients and verifiers hold the secret itself".into(),
        };
        facts.push(("key", format!("{key}: {holders}")));
    }
    if record.pow() > 0 {
        let (bits, skew) = (record.pow(), record.skew());
        facts.push((
            "pow",
            format!(
                "{}, 2^{bits} tries on average; good for its minute and {skew} s",
                counted(bits, "bit")
            ),
        ));
    }
    let keys = record.keys();
    if !keys.object().is_empty() {
        facts.push(("object", format!("in a request: {}", sources_text(keys.object()))));
    }
    if let Some(source) = keys.chunk() {
        facts.push(("chunk", format!("in a request: {source}")));
    }
    let from = record.from().0;
    facts.push((
        "from",
        if from == 0 {
            "always in force".into()
        } else {
            format!("in force from {from} on")
        },
    ));
    facts
}
