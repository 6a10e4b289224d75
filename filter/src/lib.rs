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
//! What happens on a connection is decided by values alone: [`plugin`] talks to a [`host::Host`], which
//! `envoy/host.rs` implements with Envoy's host calls and the tests with a table of answers. Services come from the
//! plugin's configuration, or from a [snapshot](config::Snapshot) that the plugin fetches, with secrets then.
//!
//! # What this crate does not do
//!
//! It reads no DNS: what it knows of services it is told.
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

pub mod access_log;
pub mod compose_failure;
pub mod config;
pub mod endpoint;
pub mod host;
pub mod inbound;
pub mod index;
pub mod metrics;
pub mod outbound;
pub mod outliers;
pub mod plugin;
pub mod pow_scheduler;
pub mod random;
pub mod rate_limited_log;
pub mod service;
pub mod subject;
pub mod subscription;
pub mod table;
pub mod vm_registry;

#[cfg(target_arch = "wasm32")]
mod envoy;
