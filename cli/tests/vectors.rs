//! `ssa vectors` on good and bad files.

mod support;

use support::{file, ssa, ssa_reading, text};

const PASSING: &str =
    r#"[{"op": "parse", "rule": "v=ssa1; addr=rand:64", "apl": "2:2001:db8:5::/64", "expect": "usable"}]"#;
const FAILING: &str =
    r#"[{"op": "parse", "rule": "v=ssa1; addr=rand:64", "apl": "2:2001:db8::/48", "expect": "usable"}]"#;

#[test]
fn a_file_that_passes_ends_with_its_count() {
    let path = file("vectors_passing.json", PASSING);
    let run = ssa(&["vectors", text(&path)]).exits(0);
    assert_eq!(run.stdout, "1 passed, 0 failed\n");
    assert_eq!(
        ssa_reading(&["vectors", "-"], PASSING).exits(0).stdout,
        "1 passed, 0 failed\n"
    );
}

#[test]
fn every_difference_is_printed_and_the_counts_come_last() {
    let (passing, failing) = (file("vectors_one.json", PASSING), file("vectors_other.json", FAILING));
    let run = ssa(&["vectors", text(&passing), text(&failing)]).exits(1);
    let run = run.prints(&["vectors_other.json: case 0 (parse)", "usable expected, unusable found"]);
    assert_eq!(run.lines().last(), Some(&"1 passed, 1 failed"));
    let json = ssa(&["vectors", text(&passing), text(&failing), "--json"])
        .exits(1)
        .json();
    assert_eq!((&json["passed"], &json["failed"]), (&1.into(), &1.into()));
    assert_eq!(json["files"][1]["failures"][0]["differences"][0]["expected"], "usable");
}

#[test]
fn a_file_without_vectors_does_not_pass() {
    let (empty, passing) = (file("vectors_empty.json", "[]"), file("vectors_full.json", PASSING));
    let run = ssa(&["vectors", text(&passing), text(&empty)]).exits(1);
    assert_eq!(run.stdout, "");
    run.tells(&["vectors_empty.json: contains no vectors"]);
    let json = ssa(&["vectors", text(&empty), "--json"]).exits(1).json();
    assert_eq!(json["error"]["faults"][0]["message"], "contains no vectors");
}

#[test]
fn a_file_that_is_none_is_bad_input() {
    for (name, content) in [
        ("none", "{"),
        ("op", r#"[{"op": "ponder"}]"#),
        ("shape", r#"{"op": "parse"}"#),
    ] {
        let path = file(&format!("vectors_bad_{name}.json"), content);
        let run = ssa(&["vectors", text(&path)])
            .exits(2)
            .tells(&[&format!("vectors_bad_{name}.json")]);
        assert_eq!(run.stdout, "");
    }
    ssa(&["vectors", "/no/such/file"]).exits(2).tells(&["/no/such/file"]);
    ssa(&["vectors"]).exits(2);
}
