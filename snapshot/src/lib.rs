//! What sidecars are told: [snapshots](Snapshot) of services with their policies, and the [plugin]'s
//! configuration. The resolver shim writes these types, the filter reads them.
//!
//! Each field's type, bounds, default and meaning stand at the field, once. They are read by it and, with serde, written; with the
//! feature `schema` the JSON Schemas follow from them, and from those the tables of the documentation and what the chart
//! says of the same fields.
//!
//! ```
//! use ssa_snapshot::{Action, Finding, InboundSnapshot, read::Document};
//!
//! let json = br#"{"version": 1, "generation": "7", "services": [{
//!     "name": "store.example", "rules": [], "ports": [80], "policy": {"legacy": "deny"}}]}"#;
//! let mut document = Document::new(json)?;
//! let snapshot: InboundSnapshot = document.read();
//! assert!(document.take_faults().is_empty());
//! let policy = &snapshot.services[0].policy;
//! assert_eq!(policy.action(Finding::Legacy), Action::Deny);
//! assert_eq!(policy.action(Finding::Conforming), Action::Allow);
//!
//! let mut document = Document::new(br#"{"version": 1, "generation": "a b", "services": [], "of": true}"#)?;
//! let _: InboundSnapshot = document.read();
//! let faults: Vec<String> = document.take_faults().iter().map(ToString::to_string).collect();
//! assert_eq!(
//!     faults,
//!     ["of: unknown field", r#"generation: must be 1 to 64 of a-z A-Z 0-9 - _ . :, not "a b""#]
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What this crate does not do
//!
//! It does no I/O and knows no rule: address lists and records are texts here. Whoever reads them asks `ssa-rules`.
#![no_std]
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
extern crate alloc;
#[cfg(test)]
extern crate std;

mod key;
mod list;
mod number;
pub mod plugin;
mod policy;
pub mod read;
mod role;
mod service;
mod snapshot;
mod text;
mod traffic_class;

pub use key::{KeyMaterial, KeyText, Secrets};
pub use list::List;
pub use number::{Number, Port};
pub use policy::{Action, Finding, Mode, Policy};
pub use role::Role;
pub use service::{InboundService, ItemSource, OutboundService};
pub use snapshot::{InboundSnapshot, MAX_BYTES, MAX_SERVICES, OutboundSnapshot, Snapshot, VERSION, Version};
pub use text::{Address, ClusterName, Generation, Prefix, RequestPath, ServiceName};
pub use traffic_class::TrafficClass;

/// Where a resolver serves snapshots by default: the path of its Unix socket.
pub const DEFAULT_SOCKET: &str = "/run/ssa-resolver/snapshot.sock";

/// The longest that a request for a snapshot may wait for a change, in seconds.
pub const MAX_WAIT_S: u32 = 300;
