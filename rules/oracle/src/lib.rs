//! A second implementation of SSA-1, written from the text of the specification alone.
//!
//! It is slow and obvious on purpose: vectors of bytes, strings and `u128`, one function for each
//! sentence, no code shared with `ssa-rules`. Tests compare the two; where they differ, the text
//! decides. Quoted sentences are the specification's (docs/), by section.
#![allow(missing_docs, reason = "each function quotes the sentence that it is")]
#![allow(
    clippy::pedantic,
    reason = "the oracle follows the text's order and words, not the house's"
)]

pub mod apl;
pub mod cases;
pub mod choose;
pub mod compose;
pub mod generate;
pub mod generate_http;
pub mod hash;
pub mod http;
pub mod published;
pub mod record;
pub mod themes;
pub mod verify;
