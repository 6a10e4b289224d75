//! The client library for C: `include/ssa_client.h` is its documentation.
//!
//! No panic crosses the boundary. Pointers are followed in `raw.rs` alone; all else is safe code over the values that it read.

mod calls;
mod fault;
mod raw;

pub use fault::Status;
pub use raw::{
    Options, Service, Target, Want, ssa_connect, ssa_plan, ssa_report_failure, ssa_service_dns, ssa_service_fixed,
    ssa_service_free, ssa_service_socket,
};
