//! Slices on real hosts: what is stored of them, and the programs that carry it out.
//!
//! - [`objects`] are what the programs tell each other: a user's `SliceSet`, the leader's `SliceMap` and `SliceMove`, the
//!   `SliceEndpoint` and `SliceNode` that agents report in, and leases.
//! - [`election`] makes one of several candidates the leader.
//! - [`clock`] is the time that objects tell people.
//! - [`contact`] is whether the store answers.
//! - [`metrics`] and [`http`] are what a command tells of itself, and where.
//! - [`alone`] keeps two of one program out of one network namespace.
//! - [`heartbeat`] tells endpoints who of their peers is lost.
//! - [`lease`] is by what endpoints take new flows where no two may.
//! - [`kernel`] makes a kernel's routes, rules and tunnels what they shall be.
//! - [`yaml`] writes values for people.
//! - [`store`] keeps them, behind one interface: in a directory, in etcd, or in Kubernetes.
//!
//! An object has one writer for its `spec` and one for its `status`. Every write says which version it changes; one that
//! has changed meanwhile is a [conflict](store::StoreError::Conflict), so that nobody overwrites what they have not seen.

#[cfg(target_os = "linux")]
pub mod agent;
#[cfg(target_os = "linux")]
pub mod alone;
pub mod clock;
pub mod contact;
pub mod controller;
pub mod election;
#[cfg(target_os = "linux")]
mod followed;
#[cfg(target_os = "linux")]
pub mod heartbeat;
pub mod http;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod lease;
pub mod load;
pub mod metrics;
#[cfg(target_os = "linux")]
pub mod node;
pub mod objects;
pub mod store;
#[cfg(target_os = "linux")]
mod writing;
pub mod yaml;
