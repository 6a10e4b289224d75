//! The resolver shim: from DNS records to the snapshots that Envoy filters live on. `docs/resolver.md` says what it
//! serves and how it is configured.
//!
//! Modules in layers, of which each uses lower ones alone:
//!
//! | layer | modules | what |
//! | --- | --- | --- |
//! | commands | [`daemon`], [`check`], [`forget`] | what the program does |
//! | servers | [`serve`], [`admin`] | who is told: filters and operators |
//! | model | [`model`], [`snapshot`], [`store`] | what all services together come to, published and stored |
//! | front | [`front`] | what clients without a filter are answered, from the DNS messages up |
//! | sources | [`poller`], [`probe`], [`secrets`], [`sources`] | what comes from the DNS, from files and from the kernel |
//! | values | [`config`], [`answers`], [`history`], [`ownership`], [`metrics`] | what operators want, what was answered, and what follows for one service |
//! | system | `clock`, `files`, `folders`, `reading`, `users`, [`random`], `http`, `fair_semaphore`, [`output`] | the machine |

pub mod admin;
pub mod answers;
pub mod check;
pub mod clock;
pub mod config;
pub mod daemon;
mod fair_semaphore;
mod files;
mod folders;
pub mod forget;
pub mod front;
pub mod history;
mod http;
pub mod metrics;
pub mod model;
pub mod output;
pub mod ownership;
pub mod poller;
pub mod probe;
pub mod random;
mod reading;
pub mod secrets;
pub mod serve;
pub mod snapshot;
pub mod sources;
pub mod store;
#[cfg(test)]
mod testing;
mod users;
