//! Slices: the distribution of a service's addresses over its endpoints, invisible to clients.
//!
//! A service's addresses never change. The cluster divides them into far more [slices](SliceSpace) than it has
//! endpoints, and routes each slice, an IPv6 prefix, to one endpoint. Scaling moves slices; [`plan`] decides which.
//!
//! The planner is a pure function: it announces nothing, knows no load other than the weights given to it, and keeps no
//! state between calls. Its caller carries out the plan, and may perform the [moves](Move) in any order and at any pace.
//!
//! # What this crate does not do
//!
//! It reads no rule records and resolves no names: its input is prefixes. It has no clock, no I/O and no logging.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sums of at most 2^20 slices, 2^16 endpoints and 32-bit weights, kept in 64 bits"
)]
extern crate alloc;

pub mod balance;
mod bits;
pub mod document;
mod ejection_chains;
mod exact;
mod free_lists;
pub mod handover;
mod ids;
mod incremental;
mod initial;
mod instance;
mod planner;
mod replicas;
mod space;
mod table;
mod targets;

pub use bits::{MAX_SLICES, SliceBits, SliceBitsError};
pub use ids::{DomainId, Endpoint, EndpointId, SliceId};
pub use planner::{Bound, MAX_ENDPOINTS, Method, Move, Plan, PlanError, Report, plan, plan_by};
pub use replicas::{ReplicaError, Replicas, Siblings};
pub use space::{SliceError, SliceSpace};
