//! What operators are told of rules that work, and not as well as they seem.

use crate::history::Pair;

/// Returns the rules of a service with macs that its inbound filters cannot check, for they are over what a filter at
/// layer 4 does not know.
pub(super) fn unchecked_macs(pairs: &[Pair]) -> Option<String> {
    let of_objects = |pair: &Pair| {
        pair.core.record().ok()?.macs_of_objects().next()?;
        Some(pair.core.to_string())
    };
    let mut rules: Vec<String> = pairs.iter().filter_map(of_objects).collect();
    rules.sort();
    rules.dedup();
    (!rules.is_empty()).then(|| rules.join(" | "))
}
