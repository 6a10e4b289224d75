//! The module's contexts: they pass what Envoy calls on to the plugin.

use std::rc::Rc;

use proxy_wasm::{
    traits::{Context, RootContext, StreamContext},
    types::{Action, ContextType, LogLevel},
};

use crate::{
    config::Config,
    connection::{Next, Plugin},
    host::{self, Envoy},
};

/// What Envoy calls first.
#[allow(
    unsafe_code,
    reason = "the symbol's name is fixed, and a fixed name counts as unsafe"
)]
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(super::LogLevel::Warn);
        proxy_wasm::set_root_context(|context| Box::new(super::Root { context, plugin: None }));
    }}
}

/// A plugin in one VM: configured again with each change, while connections keep what they began with.
struct Root {
    context: u32,
    plugin: Option<Rc<Plugin>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let json = host::configuration().unwrap_or_default();
        match Config::from_json(&json) {
            Ok(config) => {
                self.plugin = Some(Rc::new(Plugin::new(config, &Envoy, self.context)));
                true
            }
            Err(error) => {
                host::log_error(&format!("configuration refused: {error}"));
                false
            }
        }
    }

    fn create_stream_context(&self, _context: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Connection {
            plugin: self.plugin.clone(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::StreamContext)
    }
}

/// A connection. Without a plugin, which cannot be while Envoy refuses what failed to configure, it stops.
struct Connection {
    plugin: Option<Rc<Plugin>>,
}

impl Context for Connection {}

impl StreamContext for Connection {
    fn on_new_connection(&mut self) -> Action {
        match self.plugin.as_ref().map(|plugin| plugin.on_new_connection(&Envoy)) {
            Some(Next::Continue) => Action::Continue,
            Some(Next::Stop) | None => Action::Pause,
        }
    }
}
