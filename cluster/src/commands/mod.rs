//! The subcommands of the program.

mod agent;

pub(crate) use agent::Agent;
