//! The filter's real module, linked as it is shipped: run in a small host, and looked into.
//!
//! `SSA_FILTER` names a module to test instead of the one that is built here.

mod build;
mod calls;
mod cost;
mod failures;
mod host;
mod image;
mod memory;
mod order;
mod panics;
mod requests;
mod scenario;
mod scripts;
mod shape;
mod statuses;
mod world;
