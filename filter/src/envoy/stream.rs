//! A connection as Envoy knows it: a stream context.

use core::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::{
    traits::{Context, StreamContext},
    types::Action,
};

use super::host::Envoy;
use crate::{
    host::ContextId,
    plugin::{self, Plugin},
};

/// A stream context.
pub(super) struct Connection {
    context: ContextId,
    /// None where the plugin took no configuration; Envoy lets no connection to such a one.
    plugin: Option<Rc<RefCell<Plugin>>>,
    /// Whether it was let go: from then on nothing is asked for its data.
    open: bool,
    /// Whether the client sent its FIN.
    finished: bool,
}

impl Connection {
    pub(super) const fn new(context: u32, plugin: Option<Rc<RefCell<Plugin>>>) -> Self {
        Self {
            context: ContextId(context),
            plugin,
            open: false,
            finished: false,
        }
    }

    /// Says whether Envoy may go on; without a plugin that answers it may not.
    fn ask(&self, act: impl FnOnce(&mut Plugin) -> plugin::Action) -> Action {
        let plugin = self.plugin.as_ref().and_then(|plugin| plugin.try_borrow_mut().ok());
        match plugin.map_or(plugin::Action::Pause, |mut plugin| act(&mut plugin)) {
            plugin::Action::Continue => Action::Continue,
            plugin::Action::Pause => Action::Pause,
        }
    }
}

impl Context for Connection {}

impl StreamContext for Connection {
    fn on_new_connection(&mut self) -> Action {
        self.ask(|plugin| plugin.on_new_connection(self.context, &Envoy))
    }

    fn on_downstream_data(&mut self, _size: usize, end: bool) -> Action {
        self.finished |= end;
        if !self.open {
            self.open = self.ask(|plugin| plugin.on_downstream_data(self.context)) == Action::Continue;
        }
        if self.open { Action::Continue } else { Action::Pause }
    }
}

/// The SDK has no callback for `proxy_on_delete`: it drops the context, while Envoy still shows it.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(Ok(mut plugin)) = self.plugin.as_ref().map(|plugin| plugin.try_borrow_mut()) {
            plugin.on_delete(self.context, self.finished, &Envoy);
        }
    }
}
