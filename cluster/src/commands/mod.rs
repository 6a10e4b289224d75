//! The subcommands of the program.

mod agent;
mod controller;

pub(crate) use agent::Agent;
pub(crate) use controller::Controller;
