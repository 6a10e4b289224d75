//! Every store keeps the same promises: each case of `cases` against each store, real servers among them.
//!
//! `cargo test -p ssa-cluster --test stores -- etcd` runs those of one store. A store whose server is missing is skipped,
//! and says so.

mod cases;
mod fixture;
#[cfg(all(feature = "etcd", feature = "kubernetes"))]
mod servers;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};

use crate::fixture::fixtures;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (name, fixture) in fixtures() {
        #[cfg(all(feature = "etcd", feature = "kubernetes"))]
        let own = if name == "kubernetes" { servers::OWN } else { &[] };
        #[cfg(not(all(feature = "etcd", feature = "kubernetes")))]
        let own = &[];
        for (case, disturbs, run) in cases::CASES.iter().chain(own) {
            let title = format!("{name}::{case}");
            let fixture = Arc::clone(&fixture);
            trials.push(match fixture.missing() {
                Some(why) => Trial::test(title, || Ok(())).with_kind(why).with_ignored_flag(true),
                None => Trial::test(title, move || {
                    fixture.run(case, *disturbs, *run);
                    Ok(())
                }),
            });
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
