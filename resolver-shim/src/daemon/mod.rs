//! The daemon: what happens when, and nothing else.
//!
//! - `run` binds everything, and waits for what comes: reports of the DNS, orders, signals, a tick each second.
//! - `snapshots` has the model, and makes of it what verifiers, clients and the front are told.
//! - `reload` has the configuration's files: it looks for changes, and takes another configuration or keeps the last.
//! - `files`, `servers`, `pollers`, `socket` and `writer` each know one thing: what a file was when it was read, which
//!   DNS servers are asked, who asks them, whether the socket is where it should be, and when the state was written.

mod error;
mod files;
mod pollers;
mod reload;
mod run;
mod servers;
mod settings;
mod snapshots;
mod socket;
mod writer;

pub use self::{error::StartError, run::run, settings::Settings};
pub(crate) use servers::unusable_files;
