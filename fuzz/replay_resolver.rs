//! The corpora of the targets of the resolver shim.

#[path = "bodies/resolver.rs"]
mod bodies;
mod corpus;

use corpus::replay;

#[test]
fn resolver_config_corpus_holds() {
    replay("resolver_config", bodies::resolver_config);
}

#[test]
fn resolver_state_corpus_holds() {
    replay("resolver_state", bodies::resolver_state);
}
