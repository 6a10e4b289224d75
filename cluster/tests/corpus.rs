//! The corpus of the target of heartbeats.
#![cfg(target_os = "linux")]

use ssa_fuzz_bodies::{cluster as bodies, replay};

#[test]
fn heartbeat_corpus_holds() {
    replay("heartbeat", bodies::heartbeat);
}
