//! The resolver shim: from DNS records to the snapshots that Envoy filters live on. `docs/resolver.md` says what it
//! serves and how it is configured.
//!
//! Decisions are made by values: [`memory`] and [`claims`] know no clock, socket or file.

pub mod admin;
pub mod answers;
pub mod ask;
pub mod check;
pub mod claims;
pub mod clock;
pub mod concealed;
pub mod config;
pub mod daemon;
mod files;
mod folders;
pub mod forget;
pub mod front;
mod http;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod probe;
pub mod random;
mod reading;
pub mod secrets;
pub mod serve;
pub mod snapshot;
pub mod sources;
pub mod store;
#[cfg(test)]
mod testing;
mod users;
