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
mod report;

pub use case::{Field, FormatError};
pub use report::{Difference, Failure, Report};

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
    ("http.json", include_str!("../http.json")),
    ("http-independent.json", include_str!("../http-independent.json")),
    ("items.json", include_str!("../items.json")),
    ("mac.json", include_str!("../mac.json")),
    ("objects.json", include_str!("../objects.json")),
    ("place.json", include_str!("../place.json")),
    ("pow.json", include_str!("../pow.json")),
    ("published.json", include_str!("../published.json")),
    ("record-grammar.json", include_str!("../record-grammar.json")),
    ("record-http.json", include_str!("../record-http.json")),
    ("record-limits.json", include_str!("../record-limits.json")),
    ("record-numbers.json", include_str!("../record-numbers.json")),
    ("record-rules.json", include_str!("../record-rules.json")),
    ("replicas.json", include_str!("../replicas.json")),
    ("siphash.json", include_str!("../siphash.json")),
    ("ssa1-independent.json", include_str!("../ssa1-independent.json")),
    ("time.json", include_str!("../time.json")),
    ("unchecked.json", include_str!("../unchecked.json")),
];

/// Runs every case of a file.
///
/// # Errors
///
/// [`FormatError`] where the text is not a file of vectors: no case counts then.
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
