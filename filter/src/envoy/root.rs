//! A plugin as Envoy knows it: its root context in one VM.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext, StreamContext},
    types::{BufferType, ContextType},
};

use super::{
    host::Envoy,
    http::Request,
    stream::{self, Connection},
};
use crate::{
    config::{Config, plugin::FilterType},
    host::{Call, ContextId},
    plugin::Plugin,
    random::Identity,
};

thread_local! {
    /// The source of random draws of the plugins in this VM.
    static IDENTITY: Cell<Option<Identity>> = const { Cell::new(None) };
}

fn keep(identity: Identity) {
    let _ = IDENTITY.try_with(|place| place.set(Some(identity)));
}

/// A root context.
pub(super) struct Root {
    context: ContextId,
    /// The type of Envoy filter that runs it, which determines the kind of its contexts.
    filter: FilterType,
    /// The plugin, once it is configured. Its connections share it.
    plugin: Option<Rc<RefCell<Plugin>>>,
}

impl Root {
    pub(super) fn new(context: u32) -> Self {
        Self {
            context: ContextId(context),
            // Until it is known, whatever comes is told apart.
            filter: FilterType::Both,
            plugin: None,
        }
    }

    /// Returns Envoy as the contexts of this plugin see it.
    const fn envoy() -> Envoy {
        stream::ENVOY
    }

    fn with(&self, act: impl FnOnce(&mut Plugin, &Envoy)) {
        // No callback runs within another: Envoy defers what a host call would lead to until the callback has returned.
        if let Some(Ok(mut plugin)) = self.plugin.as_ref().map(|plugin| plugin.try_borrow_mut()) {
            act(&mut plugin, &Self::envoy());
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, headers: usize, _body: usize, _trailers: usize) {
        self.with(|plugin, envoy| {
            // No headers mean that there was no response; Envoy would fail a call that reads one.
            plugin.on_http_call_response(Call(call), headers > 0, envoy);
            keep(plugin.identity());
        });
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let json = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX);
        match Config::from_json(&json.ok().flatten().unwrap_or_default()) {
            Ok(config) => {
                self.filter = config.filter;
                let identity = IDENTITY.try_with(Cell::get).ok().flatten();
                let plugin = Plugin::new(config, &Self::envoy(), self.context, identity);
                keep(plugin.identity());
                self.plugin = Some(Rc::new(RefCell::new(plugin)));
                true
            }
            Err(error) => {
                log::error!("configuration refused: {error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.with(Plugin::on_tick);
    }

    fn create_stream_context(&self, context: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Connection::new(context, self.plugin.clone())))
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request::new(context, self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(match self.filter {
            FilterType::Network => ContextType::StreamContext,
            FilterType::Http => ContextType::HttpContext,
            // The SDK asks while the new context is the effective one: only requests have a protocol.
            FilterType::Both => match hostcalls::get_property(vec!["request", "protocol"]) {
                Ok(Some(_)) => ContextType::HttpContext,
                _ => ContextType::StreamContext,
            },
        })
    }
}
