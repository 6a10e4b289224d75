//! The vectors, run natively; `wasm.rs` runs the same ones as wasm32.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_vector_comes_out_as_expected() {
    let mut failures = Vec::new();
    for (name, json) in ssa_vectors::FILES {
        let report = ssa_vectors::run(json).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(report.passed > 0, "{name} holds no case that passes");
        failures.extend(report.failures.iter().map(|failure| format!("{name}: {failure}")));
    }
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_vector_file_of_the_folder_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let there: BTreeSet<String> = files
        .map(|path| path.file_name().unwrap().to_str().unwrap().into())
        .collect();
    let run: BTreeSet<String> = ssa_vectors::FILES.iter().map(|(name, _)| (*name).to_string()).collect();
    assert_eq!(there, run);
}

#[test]
fn every_vector_file_of_an_object_names_its_origin() {
    for (name, json) in ssa_vectors::FILES {
        let file: serde_json::Value = serde_json::from_str(json).unwrap();
        assert!(
            file.is_array() || file["origin"].as_str().is_some_and(|origin| !origin.is_empty()),
            "{name}"
        );
    }
}
