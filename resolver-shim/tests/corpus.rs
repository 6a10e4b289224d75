//! The corpora of the targets of the resolver shim.

use ssa_fuzz_bodies::{replay, resolver as bodies};

#[test]
fn resolver_config_corpus_holds() {
    replay("resolver_config", bodies::resolver_config);
}

#[test]
fn resolver_state_corpus_holds() {
    replay("resolver_state", bodies::resolver_state);
}
