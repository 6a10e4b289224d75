//! The documents that sidecars receive: [snapshots](Snapshot) of services with their policies, and the configuration of the
//! [plugin]. The resolver shim writes these types, and the filter reads them.
//!
//! Each field's type, bounds, default and meaning are defined at the field, and nowhere else. With the feature `schema`, the
//! JSON Schemas are generated from these types, and from the schemas the tables of the documentation and the parts of the
//! chart's schema for the same fields.
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
//! It does no I/O and interprets no rules: address lists and records are strings here, to be parsed with `ssa-rules`. Of
//! that crate it uses only the limits.
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

/// The default path of the Unix socket on which a resolver serves snapshots.
pub const DEFAULT_SOCKET: &str = "/run/ssa-resolver/snapshot.sock";

/// The path of that socket in pods of the chart.
pub const CHART_SOCKET: &str = "/run/ssa/snapshot.sock";

/// The maximum time that a request for a snapshot may wait for a change, in seconds.
pub const MAX_WAIT_S: u32 = 300;
