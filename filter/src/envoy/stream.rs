//! A connection as Envoy knows it: a stream context.

use core::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::{
    traits::{Context, StreamContext},
    types::Action,
};

use super::host::Envoy;
use crate::{
    plugin::{Next, Plugin},
    proxy::ContextId,
};

/// A stream context.
pub(super) struct Connection {
    context: ContextId,
    /// None where the plugin took no configuration; Envoy lets no connection to such a one.
    plugin: Option<Rc<RefCell<Plugin>>>,
}

impl Connection {
    pub(super) const fn new(context: u32, plugin: Option<Rc<RefCell<Plugin>>>) -> Self {
        Self {
            context: ContextId(context),
            plugin,
        }
    }

    /// Says whether Envoy may go on; without a plugin that answers it may not.
    fn ask(&self, act: impl FnOnce(&mut Plugin) -> Next) -> Action {
        let plugin = self.plugin.as_ref().and_then(|plugin| plugin.try_borrow_mut().ok());
        match plugin.map_or(Next::Stop, |mut plugin| act(&mut plugin)) {
            Next::Continue => Action::Continue,
            Next::Stop => Action::Pause,
        }
    }
}

impl Context for Connection {}

impl StreamContext for Connection {
    fn on_new_connection(&mut self) -> Action {
        self.ask(|plugin| plugin.on_new_connection(self.context, &Envoy))
    }

    fn on_downstream_data(&mut self, _size: usize, _end: bool) -> Action {
        self.ask(|plugin| plugin.on_data(self.context))
    }
}

/// The SDK has no callback for `proxy_on_delete`: it drops the context, while Envoy still shows it.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(Ok(mut plugin)) = self.plugin.as_ref().map(|plugin| plugin.try_borrow_mut()) {
            plugin.on_delete(self.context, &Envoy);
        }
    }
}
