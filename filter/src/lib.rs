//! The Envoy filter of Structured Service Addressing: one Wasm module, network and HTTP contexts, two roles.
//!
//! ```text
//!            client's Envoy                                server's Envoy
//!  app ──▶ [outbound] ──▶ ORIGINAL_DST cluster ──▶ … ──▶ [inbound] ──▶ application on loopback
//!          composes the address                          verifies it before anything reaches upstream
//! ```
//!
//! **Outbound** takes a connection to one of a service's published plain addresses, composes the address that the
//! service's rule asks for, and hands it to Envoy's `ORIGINAL_DST` cluster. **Inbound** finds the service of the
//! destination, verifies source and destination by its rules, and passes, demotes or closes the connection.
//!
//! Decisions depend on values alone: a [`subject::Subject`] says what is known of a connection. [`plugin`] reads that
//! from a [`host::Host`], which `envoy/` implements with Envoy's host calls and the tests with tables. Services come from
//! the plugin's configuration, or with secrets from a [snapshot](config::Snapshot) that the plugin fetches.
//!
//! # What this crate does not do
//!
//! It does not query the DNS: services are given to it.
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
pub mod in_flight;
pub mod inbound;
pub mod index;
pub mod metrics;
pub mod outbound;
pub mod outliers;
pub mod plugin;
pub mod pow_scheduler;
pub mod random;
pub mod rate_limited_log;
pub mod request;
pub mod service;
pub mod subject;
pub mod subscription;
pub mod table;
pub mod vm_registry;

#[cfg(target_arch = "wasm32")]
mod envoy;
