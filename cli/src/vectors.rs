//! `ssa vectors`: runs files of test vectors.

use std::path::PathBuf;

use serde_json::{Value, json};
use ssa_input::text::clean;

use crate::{
    Outcome,
    failure::{Failure, Fault, Faults, Kind},
    input::files,
    output::Output,
    style::{self, paint},
};

const EXAMPLES: &str = "\
A file is a JSON array of cases, each with op, the inputs of that op (rule, apl, source, destination, object, chunk, \
time, port, secrets, replica, path, headers and others) and expect. The ops are parse, compose, compose-error, choose, verify, \
verify-refused, published, extract, client-key, siphash and apl-wire; rules/vectors/README.md describes them. Each difference is \
printed; the last line is `N passed, N failed`.

Examples:
  ssa vectors rules/vectors/*.json
  ssa vectors mine.json --json

Exit codes: 0 all passed; 1 any failed, or a file has none; 2 a file cannot be read, or holds something that is no case.";

/// Runs files of test vectors
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Files of vectors; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(crate) fn run(args: Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    // The keys of vectors are for everyone.
    out.show_keys();
    let (mut passed, mut failed) = (0, 0);
    let mut documents: Vec<Value> = Vec::new();
    let mut empty = Vec::new();
    for path in args.files {
        let name = path.display().to_string();
        let Some(text) = faults.take(&name, files::read_text(&path)) else {
            continue;
        };
        let Some(report) = faults.take(&name, ssa_vectors::run(&text)) else {
            continue;
        };
        if report.passed == 0 && report.failures.is_empty() {
            empty.push(Fault::new(name, "contains no vectors"));
            continue;
        }
        passed += report.passed;
        failed += report.failures.len();
        if out.is_json() {
            let failures = report.failures.iter().map(|failure| {
                let differences = failure.differences.iter().map(|difference| {
                    json!({ "key": difference.key, "expected": difference.expected, "found": difference.found })
                });
                json!({
                    "case": failure.case,
                    "op": failure.op,
                    "note": failure.note,
                    "differences": differences.collect::<Vec<_>>(),
                })
            });
            let failures: Vec<Value> = failures.collect();
            documents
                .push(json!({ "file": name, "passed": report.passed, "failed": failures.len(), "failures": failures }));
        } else {
            for failure in &report.failures {
                let text = failure.to_string();
                let text = clean(&text);
                out.line(format_args!("{} {name}: {text}", paint(style::BAD, "failed")));
            }
        }
    }
    faults.check()?;
    if !empty.is_empty() {
        return Err(Failure {
            faults: empty,
            kind: Kind::NotFine,
        });
    }
    if out.is_json() {
        out.json(&json!({ "passed": passed, "failed": failed, "files": documents }));
    } else {
        out.line(format_args!("{passed} passed, {failed} failed"));
    }
    Ok(if failed == 0 { Outcome::Fine } else { Outcome::NotFine })
}
