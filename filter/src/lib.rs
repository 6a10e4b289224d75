//! The Envoy filter of Structured Service Addressing: one Wasm module, network contexts, two roles.
//!
//! ```text
//!            client's Envoy                                server's Envoy
//!  app ──▶ [outbound] ──▶ ORIGINAL_DST cluster ──▶ … ──▶ [inbound] ──▶ application on loopback
//!          composes the address                          verifies it before anything reaches upstream
//! ```
//!
//! **Outbound** takes a connection to one of a service's published plain addresses, composes the address that the
//! service's rule asks for, and hands it to Envoy's `ORIGINAL_DST` cluster. **Inbound** finds the service of the
//! destination, verifies source and destination by its rules, and lets pass, marks for low priority, or closes.
//!
//! What happens on a connection is decided by values alone: [`connection`] talks to a [`proxy::Proxy`], which
//! `host.rs` implements with Envoy's host calls and the tests with a table of answers.
//!
//! # What this crate does not do
//!
//! It reads no DNS and holds no secrets: rules with `mac` need a snapshot, which is not there yet.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod config;
pub mod connection;
pub mod endpoint;
pub mod inbound;
pub mod metrics;
pub mod outbound;
pub mod proxy;
pub mod random;

#[cfg(target_arch = "wasm32")]
mod entry;
#[cfg(target_arch = "wasm32")]
mod host;
