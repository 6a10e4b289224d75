//! What the fuzz targets (`fuzz/targets/`) do with an input; the ordinary tests replay the committed corpora through the same
//! bodies.
//!
//! Each body returns whether the input was accepted: a corpus that only makes inputs which are refused at the door
//! shows nothing. Whatever does not hold panics.
#![allow(
    clippy::missing_panics_doc,
    reason = "to panic where something does not hold is what bodies are for"
)]
#![allow(
    clippy::must_use_candidate,
    reason = "a fuzz target does not look at what a body returns"
)]

#[cfg(all(feature = "cluster", target_os = "linux"))]
pub mod cluster;
mod corpus;
#[cfg(feature = "filter")]
pub mod filter;
#[cfg(feature = "rules")]
pub mod requests;
#[cfg(feature = "resolver")]
pub mod resolver;
#[cfg(feature = "rules")]
pub mod rules;
#[cfg(feature = "rules")]
mod scenario;

pub use corpus::replay;
