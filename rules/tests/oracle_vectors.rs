//! The oracle against every vector file, and the files this project makes against the oracle.

mod oracle;

use oracle::cases;

/// Vectors of all files are true of the oracle.
#[test]
fn oracle_agrees_with_every_vector() {
    let mut failures = Vec::new();
    let mut count = 0;
    for (name, file) in cases::files() {
        for case in cases::cases_of(&file) {
            count += 1;
            if let Err(failure) = cases::check(case) {
                failures.push(format!("{name}: {failure}"));
            }
        }
    }
    assert!(count >= 120, "{count} cases");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
