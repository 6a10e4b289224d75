//! The vectors, run as wasm32 under Node.js.
#![cfg(target_arch = "wasm32")]

use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn every_vector_comes_out_as_expected_on_wasm32() {
    let mut passed = 0;
    for (name, json) in ssa_vectors::FILES {
        let report = ssa_vectors::run(json).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(report.failures.is_empty(), "{name}: {}", report.failures[0]);
        passed += report.passed;
    }
    assert!(passed > 0);
}
