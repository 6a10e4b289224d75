//! What a stateful application is told of its endpoint's slices, and what it is asked before they come and after they go.

mod hooks;
mod socket;
mod state;

pub(super) use hooks::{Finished, Hooks};
pub use hooks::{Hook, HookError};
pub(super) use socket::serve;
pub(super) use state::state;
