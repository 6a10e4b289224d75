//! A request as Envoy knows it: an HTTP context.

use core::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext},
    types::{Action, MapType},
};

use super::{
    host::{self, Envoy, Span},
    stream::ENVOY,
};
use crate::{
    endpoint::Endpoint,
    host::{ContextId, Fields, Refused, Requests},
    plugin::{self, Plugin},
};

/// An HTTP context.
pub(super) struct Request {
    context: ContextId,
    /// None if the plugin's configuration was rejected; Envoy lets no request to such a plugin.
    plugin: Option<Rc<RefCell<Plugin>>>,
}

impl Request {
    pub(super) const fn new(context: u32, plugin: Option<Rc<RefCell<Plugin>>>) -> Self {
        Self {
            context: ContextId(context),
            plugin,
        }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _headers: usize, _end: bool) -> Action {
        let plugin = self.plugin.as_ref().and_then(|plugin| plugin.try_borrow_mut().ok());
        let action = plugin.map(|mut plugin| plugin.on_request_headers(self.context, &ENVOY));
        if action == Some(plugin::Action::Continue) {
            Action::Continue
        } else {
            Action::Pause
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(Ok(mut plugin)) = self.plugin.as_ref().map(|plugin| plugin.try_borrow_mut()) {
            plugin.on_request_delete(self.context);
        }
    }
}

impl Requests for Envoy {
    fn get_request_headers(&self) -> Fields {
        hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
    }

    fn set_request_header(&self, name: &str, value: Option<&[u8]>) {
        // On anything but Ok, the function itself panics.
        let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, value);
    }

    fn get_own_property(&self, key: &str) -> Result<Vec<u8>, Refused> {
        host::found(hostcalls::get_property(vec![key]))
    }

    fn get_attempt(&self) -> Result<u64, Refused> {
        let count = host::found(hostcalls::get_property(vec!["upstream", "request_attempt_count"]))?;
        let count = count.as_slice().try_into().map_err(|_| Refused)?;
        // Before the first attempt, Envoy counts none.
        let count = u64::from_le_bytes(count);
        if count == 0 { Err(Refused) } else { Ok(count) }
    }

    fn set_request_destination(&self, to: &Endpoint) -> Result<(), Refused> {
        host::set_destination_state(to, Span::Request)
    }

    fn clear_route_cache(&self) -> Result<(), Refused> {
        host::done(hostcalls::call_foreign_function("clear_route_cache", None)).map(drop)
    }

    fn resume_request(&self) -> Result<(), Refused> {
        host::done(hostcalls::resume_http_request())
    }

    fn respond(&self, status: u16, name: &str, value: &str) {
        let _ = hostcalls::send_http_response(status.into(), vec![(name, value)], None);
    }
}
