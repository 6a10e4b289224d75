//! A plugin: the proxy's callbacks, and what the filter does in them.
//!
//! ```text
//!  new connection ──▶ is there a snapshot? ──no──▶ held ──▶ snapshot arrives, or time out ┐
//!                           │ yes                    ▲                                    │
//!                           ▼                        │ proof of work is needed            ▼
//!                        decided ────────────────────┘                      passes, or is closed
//! ```
//!
//! `filter` has what both roles share: the `queue` of held connections, and the snapshots. What a role decides, and what
//! else its connections wait for, is its own: `inbound` and `outbound`.

mod filter;
mod inbound;
mod inbound_requests;
mod outbound;
mod outbound_requests;
mod queue;
mod requests;
mod role;
mod telemetry;
mod updates;
mod upstream;

use self::{filter::Filter, inbound::InboundRole, outbound::OutboundRole};
use crate::{
    config::{Config, RoleConfig},
    host::{Call, ContextId, Host},
    random::Identity,
    vm_registry,
};

/// Whether the proxy goes on with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on to the next filter.
    Continue,
    /// It does not.
    Pause,
}

/// A configured plugin in one VM.
#[derive(Debug)]
pub struct Plugin(ByRole);

#[derive(Debug)]
enum ByRole {
    Inbound(Box<Filter<InboundRole>>),
    Outbound(Box<Filter<OutboundRole>>),
}

/// Does the same with the filter of whichever role.
macro_rules! each {
    ($plugin:expr, $filter:ident => $act:expr) => {
        match $plugin {
            ByRole::Inbound($filter) => $act,
            ByRole::Outbound($filter) => $act,
        }
    };
}

impl Plugin {
    /// Makes a plugin of its configuration. `context` is its root context in this VM, and `identity` that of the VM's
    /// earlier plugins, if there were any.
    #[must_use]
    pub fn new(config: Config, host: &impl Host, context: ContextId, identity: Option<Identity>) -> Self {
        let time = host.get_current_time().unwrap_or(0);
        let identity = |seed: &[u8]| identity.unwrap_or_else(|| Identity::new(seed, time, vm_registry::number(host)));
        let (hold, subscription) = (config.hold, config.subscription);
        Self(match config.role {
            RoleConfig::Inbound(inbound) => {
                let role = InboundRole::new(inbound);
                let filter = Filter::new(role, context, hold, subscription, identity(&[]), host);
                ByRole::Inbound(Box::new(filter))
            }
            RoleConfig::Outbound(outbound) => {
                let identity = identity(outbound.seed());
                let role = OutboundRole::new(outbound, &identity, time, context);
                let filter = Filter::new(role, context, hold, subscription, identity, host);
                ByRole::Outbound(Box::new(filter))
            }
        })
    }

    /// Returns the source of the VM's draws, for the plugins that come after this one.
    #[must_use]
    pub fn identity(&self) -> Identity {
        each!(&self.0, filter => filter.identity())
    }

    /// Decides on a new connection, which is the effective context.
    pub fn on_new_connection(&mut self, connection: ContextId, host: &impl Host) -> Action {
        each!(&mut self.0, filter => filter.on_new_connection(connection, host))
    }

    /// Returns whether the proxy may go on with a connection that has data: not while it is held.
    #[must_use]
    pub fn on_downstream_data(&self, connection: ContextId) -> Action {
        each!(&self.0, filter => filter.on_downstream_data(connection))
    }

    /// Decides on a request, which is the effective context.
    pub fn on_request_headers(&mut self, request: ContextId, host: &impl Host) -> Action {
        each!(&mut self.0, filter => filter.on_request_headers(request, host))
    }

    /// Handles the end of a request.
    pub fn on_request_delete(&mut self, request: ContextId) {
        each!(&mut self.0, filter => filter.on_request_delete(request));
    }

    /// Handles the end of a connection, which is the effective context for the last time; `half_closed` says whether its
    /// client had sent its FIN.
    pub fn on_delete(&mut self, connection: ContextId, half_closed: bool, host: &impl Host) {
        each!(&mut self.0, filter => filter.on_delete(connection, half_closed, host));
    }

    /// Does what is due: requests a snapshot, works on tasks, decides on held connections.
    pub fn on_tick(&mut self, host: &impl Host) {
        each!(&mut self.0, filter => filter.on_tick(host));
    }

    /// Handles the end of an HTTP call; `responded` says whether there is a response.
    pub fn on_http_call_response(&mut self, call: Call, responded: bool, host: &impl Host) {
        each!(&mut self.0, filter => filter.on_http_call_response(call, responded, host));
    }
}

#[cfg(test)]
mod tests;
