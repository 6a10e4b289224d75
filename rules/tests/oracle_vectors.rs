//! The oracle against every vector file, and the files this project makes against the oracle.

use ssa_oracle::{cases, themes};

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

/// The files made here hold what the oracle says today. `SSA_REGENERATE=1` writes them anew.
#[test]
fn made_files_are_what_the_oracle_says() {
    for theme in themes::all() {
        let path = cases::folder().join(theme.file);
        let text = cases::print(theme.origin, &theme.cases);
        if std::env::var_os("SSA_REGENERATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let file = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            file == text,
            "{} is stale: run with SSA_REGENERATE=1 and read the difference",
            theme.file
        );
    }
}
