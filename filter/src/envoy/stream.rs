//! A connection as Envoy knows it: a stream context.

use core::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::{
    hostcalls,
    traits::{Context, StreamContext},
    types::Action,
};

use super::host::{self, Envoy, Span};
use crate::{
    endpoint::Endpoint,
    host::{ContextId, Downstream, Refused},
    plugin::{self, Plugin},
};

/// Envoy, for connections.
pub(super) const ENVOY: Envoy = Envoy::new(&Stream);

/// Carries out decisions on a connection.
struct Stream;

impl Downstream for Stream {
    fn resume(&self) -> Result<(), Refused> {
        host::done(hostcalls::resume_downstream())
    }

    fn reject(&self) -> Result<(), Refused> {
        host::done(hostcalls::close_downstream())
    }

    fn set_destination(&self, to: &Endpoint) -> Result<(), Refused> {
        host::set_destination_state(to, Span::Connection)
    }

    fn set_cluster(&self, name: &str) -> Result<(), Refused> {
        host::set_cluster_state(name, Span::Connection)
    }
}

/// A stream context.
pub(super) struct Connection {
    context: ContextId,
    /// None if the plugin's configuration was rejected; Envoy lets no connection to such a plugin.
    plugin: Option<Rc<RefCell<Plugin>>>,
    /// Whether it was let through: from then on, its data passes.
    open: bool,
    /// Whether the client sent its FIN.
    half_closed: bool,
}

impl Connection {
    pub(super) const fn new(context: u32, plugin: Option<Rc<RefCell<Plugin>>>) -> Self {
        Self {
            context: ContextId(context),
            plugin,
            open: false,
            half_closed: false,
        }
    }

    /// Has the plugin decide whether Envoy may go on; without a plugin it may not.
    fn decide(&mut self, act: impl FnOnce(&mut Plugin, ContextId) -> plugin::Action) -> Action {
        let plugin = self.plugin.as_ref().and_then(|plugin| plugin.try_borrow_mut().ok());
        self.open = plugin.is_some_and(|mut plugin| act(&mut plugin, self.context) == plugin::Action::Continue);
        if self.open { Action::Continue } else { Action::Pause }
    }
}

impl Context for Connection {}

impl StreamContext for Connection {
    fn on_new_connection(&mut self) -> Action {
        self.decide(|plugin, context| plugin.on_new_connection(context, &ENVOY))
    }

    fn on_downstream_data(&mut self, _size: usize, end: bool) -> Action {
        self.half_closed |= end;
        if self.open {
            return Action::Continue;
        }
        self.decide(|plugin, context| plugin.on_downstream_data(context))
    }
}

/// The SDK has no callback for `proxy_on_delete`: it drops the context while its properties can still be read.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(Ok(mut plugin)) = self.plugin.as_ref().map(|plugin| plugin.try_borrow_mut()) {
            plugin.on_delete(self.context, self.half_closed, &ENVOY);
        }
    }
}
