//! Slices: how the cluster spreads a service's addresses over its endpoints, unseen by clients.
//!
//! A service's addresses stay what they are; the cluster cuts them into far more [slices](SliceSpace) than it has
//! endpoints and routes each slice, an IPv6 prefix, to one endpoint. Scaling moves slices; [`plan`] says which.
//!
//! The planner gives values for values: it announces nothing, knows no loads but the weights it is told, and keeps no
//! state between calls. A plan is handed over by others, who may take its [moves](Move) in any order and pace.
//!
//! # What this crate does not do
//!
//! It reads no rule records and resolves no names: a space is given to it as prefixes. It has no clock, no I/O and no
//! logging.
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

mod bits;
mod chains;
pub mod document;
mod exact;
pub mod handover;
mod ids;
mod planner;
mod pool;
mod problem;
mod refit;
mod replicas;
mod scratch;
mod space;
mod table;
mod targets;

pub use bits::{MAX_SLICES, SliceBits, SliceBitsError};
pub use ids::{DomainId, Endpoint, EndpointIdx, SliceId};
pub use planner::{Bound, MAX_ENDPOINTS, Method, Move, Plan, PlanError, Report, plan, plan_by};
pub use replicas::{ReplicaError, Replicas, Siblings};
pub use space::{SliceError, SliceSpace};
