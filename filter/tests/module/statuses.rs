//! The statuses of host calls, as docs/host-calls.md has them.

use std::collections::BTreeSet;

const TABLE: &str = include_str!("../../../docs/host-calls.md");

/// The failures that the SDK's `Status` names. It names no other, so that another would be undefined behaviour.
pub(crate) const NAMES: [(u32, &str); 7] = [
    (1, "NotFound"),
    (2, "BadArgument"),
    (3, "SerializationFailure"),
    (4, "ParseFailure"),
    (7, "Empty"),
    (8, "CasMismatch"),
    (10, "InternalFailure"),
];

/// Returns the statuses that stand in a column of a call's row.
fn column(name: &str, number: usize) -> impl Iterator<Item = u32> {
    let row = TABLE.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    let row = row.unwrap_or_else(|| panic!("docs/host-calls.md has no row of {name}"));
    let words: BTreeSet<&str> = row
        .split('|')
        .nth(number)
        .unwrap_or_else(|| panic!("{row}: too short"))
        .split('`')
        .collect();
    NAMES
        .into_iter()
        .filter(move |(_, name)| words.contains(name))
        .map(|(status, _)| status)
}

/// Returns the calls that have a row.
pub(crate) fn calls() -> BTreeSet<&'static str> {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

/// Returns the failures that Envoy returns from a call as the filter makes it.
pub(crate) fn returned(name: &str) -> impl Iterator<Item = u32> {
    column(name, 2)
}

/// Returns the failures at which a call is known to trap. Envoy returns none of them.
pub(crate) fn trapping(name: &str) -> impl Iterator<Item = u32> {
    column(name, 3)
}

/// Names statuses as the table does.
pub(crate) fn names(statuses: &BTreeSet<u32>) -> String {
    let names = NAMES.into_iter().filter(|(status, _)| statuses.contains(status));
    names.map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>().join(" ")
}
