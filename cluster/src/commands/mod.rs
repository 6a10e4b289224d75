//! The subcommands of the program.

mod agent;
mod controller;
#[cfg(feature = "kubernetes")]
mod crds;
mod news;
mod node;
mod objects;

pub(crate) use agent::Agent;
pub(crate) use controller::Controller;
#[cfg(feature = "kubernetes")]
pub(crate) use crds::{Args as CrdsArgs, run as crds};
pub(crate) use node::Node;
pub(crate) use objects::{ApplyArgs, DeleteArgs, GetArgs, apply, delete, get};
