//! The corpora of the targets of the filter.

use ssa_fuzz_bodies::{filter as bodies, replay};

#[test]
fn filter_config_corpus_holds() {
    replay("filter_config", bodies::filter_config);
}

#[test]
fn filter_snapshot_corpus_holds() {
    replay("filter_snapshot", bodies::filter_snapshot);
}
