//! The corpora of the targets of `rules`.

use ssa_fuzz_bodies::{replay, requests, rules as bodies};

#[test]
fn apl_wire_corpus_holds() {
    replay("apl_wire", bodies::apl_wire);
}

#[test]
fn apl_text_corpus_holds() {
    replay("apl_text", bodies::apl_text);
}

#[test]
fn record_corpus_holds() {
    replay("record", bodies::record);
}

#[test]
fn compose_corpus_holds() {
    replay("compose", bodies::compose);
}

#[test]
fn verify_corpus_holds() {
    replay("verify", bodies::verify);
}

#[test]
fn request_corpus_holds() {
    replay("request", requests::request);
}
