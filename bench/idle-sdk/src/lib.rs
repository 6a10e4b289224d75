//! An Envoy network filter that does nothing, made with the proxy-wasm SDK as its examples do: it exports every callback,
//! and keeps a context for each connection.
#![cfg(target_arch = "wasm32")]

use proxy_wasm::{
    traits::{Context, RootContext, StreamContext},
    types::{ContextType, LogLevel},
};

/// What Envoy calls first.
#[allow(
    unsafe_code,
    reason = "the symbol's name is fixed, and a fixed name counts as unsafe"
)]
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(super::LogLevel::Warn);
        proxy_wasm::set_root_context(|_| Box::new(super::Root));
    }}
}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn create_stream_context(&self, _context: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Connection))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::StreamContext)
    }
}

struct Connection;

impl Context for Connection {}

impl StreamContext for Connection {}
