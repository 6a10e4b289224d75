//! The contexts that Envoy creates and calls, on the proxy-wasm SDK: a file for each kind of them.
//!
//! [`root`] is for plugins, [`stream`] for connections, [`http`] for requests; [`host`] has the host calls that all kinds share.

mod host;
mod http;
mod root;
mod stream;

/// The SDK's callbacks that the linker keeps; included here so that cargo links anew when the list changes.
const _: &str = include_str!("../../exports.txt");

/// The module's start function.
#[allow(
    unsafe_code,
    reason = "the symbol's name is fixed, and a fixed name counts as unsafe"
)]
mod start {
    proxy_wasm::main! {{
        // This sets the panic hook too: without it, a trap would leave no word in Envoy's log.
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Warn);
        proxy_wasm::set_root_context(|context| Box::new(super::root::Root::new(context)));
    }}
}
