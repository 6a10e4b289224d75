//! Test vectors of SSA-1: their format, which README.md beside this crate describes, and their runner.
//!
//! The same runner serves the tests of `ssa-rules`, native and wasm32, and the command `ssa vectors`.
//!
//! ```
//! let report = ssa_vectors::run(
//!     r#"[{"op": "parse", "rule": "v=ssa1; addr=rand:64", "apl": "2:2001:db8::/48", "expect": "usable"}]"#,
//! )?;
//! assert_eq!(report.passed, 0);
//! assert_eq!(report.failures[0].to_string(), "case 0 (parse): expect: usable expected, unusable found");
//! # Ok::<(), ssa_vectors::FormatError>(())
//! ```

mod case;
mod ops;

use std::fmt;

pub use case::{Field, FormatError};

/// The vector files of this project, by name. Each names its origin.
pub const FILES: &[(&str, &str)] = &[
    ("apl-lists.json", include_str!("../apl-lists.json")),
    ("apl-negated.json", include_str!("../apl-negated.json")),
    ("apl-tag.json", include_str!("../apl-tag.json")),
    ("apl-wire.json", include_str!("../apl-wire.json")),
    ("choice.json", include_str!("../choice.json")),
    ("client-key.json", include_str!("../client-key.json")),
    ("composing.json", include_str!("../composing.json")),
    ("fields.json", include_str!("../fields.json")),
    ("items.json", include_str!("../items.json")),
    ("mac.json", include_str!("../mac.json")),
    ("objects.json", include_str!("../objects.json")),
    ("place.json", include_str!("../place.json")),
    ("pow.json", include_str!("../pow.json")),
    ("published.json", include_str!("../published.json")),
    ("record-grammar.json", include_str!("../record-grammar.json")),
    ("record-limits.json", include_str!("../record-limits.json")),
    ("record-numbers.json", include_str!("../record-numbers.json")),
    ("record-rules.json", include_str!("../record-rules.json")),
    ("replicas.json", include_str!("../replicas.json")),
    ("siphash.json", include_str!("../siphash.json")),
    ("ssa1-independent.json", include_str!("../ssa1-independent.json")),
    ("time.json", include_str!("../time.json")),
    ("unchecked.json", include_str!("../unchecked.json")),
];

/// What running a file of vectors came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many cases came out as expected.
    pub passed: usize,
    /// The cases that did not.
    pub failures: Vec<Failure>,
}

/// A case that came out other than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The number of the case, counted from 0.
    pub case: usize,
    /// Its operation.
    pub op: String,
    /// Its note, if it has one.
    pub note: Option<String>,
    /// Everything that differs.
    pub differences: Vec<Difference>,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key of the case.
    pub key: &'static str,
    /// What the case expects.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "case {} ({}", self.case, self.op)?;
        if let Some(note) = &self.note {
            write!(f, ", {note}")?;
        }
        f.write_str("): ")?;
        for (index, Difference { key, expected, found }) in self.differences.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{key}: {expected} expected, {found} found")?;
        }
        Ok(())
    }
}

/// Runs every case of a file.
///
/// # Errors
///
/// [`FormatError`] where the text is no file of vectors: no case counts then.
pub fn run(json: &str) -> Result<Report, FormatError> {
    let cases = case::read(json)?;
    let mut report = Report::default();
    for (index, case) in cases.iter().enumerate() {
        let differences = ops::run(case).map_err(|fault| FormatError::Case { case: index, fault })?;
        if differences.is_empty() {
            report.passed += 1;
        } else {
            let (op, note) = (case.op.clone(), case.note.clone());
            report.failures.push(Failure {
                case: index,
                op,
                note,
                differences,
            });
        }
    }
    Ok(report)
}
