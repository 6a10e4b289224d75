//! Envoy's host calls, except those that differ between kinds of contexts: `stream` has these of a connection.
//!
//! The functions of `hostcalls` are called, and what they return is looked at: the methods of the SDK's `Context` unwrap
//! it. On a status that the SDK does not expect from a call, the function itself panics. docs/host-calls.md lists which
//! statuses Envoy returns for each.

use core::time::Duration;
use std::time::UNIX_EPOCH;

use arrayvec::{ArrayVec, CapacityError};
use proxy_wasm::{
    hostcalls,
    types::{BufferType, MapType, MetricType},
};

use crate::{
    config,
    endpoint::{self, Endpoint},
    host::{
        Call, Clock, ContextId, Contexts, Counter, Downstream, End, Gauge, HttpCalls, Log, Metrics, Properties,
        Refused, Request, Response, SharedData, Version,
    },
};

/// How long a filter state lives.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Span {
    /// As long as the request.
    Request = 1,
    /// As long as the downstream connection.
    Connection = 2,
}

/// The response flags that mean that no upstream connection was made: no healthy upstream, connection failure.
const FLAGS_NOT_CONNECTED: i64 = 0x2 | 0x20;

/// Where `ORIGINAL_DST` clusters look for a destination first.
const DESTINATION_STATE: &str = "envoy.network.transport_socket.original_dst_address";

/// Where `tcp_proxy` looks for its cluster first.
const CLUSTER_STATE: &str = "envoy.tcp_proxy.cluster";

/// The most bytes that a filter state's message has besides the value.
const MESSAGE: usize = 64;

/// Envoy, as contexts of one kind see it.
#[derive(Clone, Copy)]
pub(super) struct Envoy {
    /// How decisions are carried out on them.
    downstream: &'static dyn Downstream,
}

impl Envoy {
    pub(super) const fn new(downstream: &'static dyn Downstream) -> Self {
        Self { downstream }
    }
}

/// Returns the result of a call that may find nothing.
pub(super) fn found<T, E>(result: Result<Option<T>, E>) -> Result<T, Refused> {
    result.ok().flatten().ok_or(Refused)
}

/// Returns the result of a call, without the reason of its failure.
pub(super) fn done<T, E>(result: Result<T, E>) -> Result<T, Refused> {
    result.map_err(|_| Refused)
}

/// Sets where an `ORIGINAL_DST` cluster connects to.
pub(super) fn set_destination_state(to: &Endpoint, span: Span) -> Result<(), Refused> {
    let mut text = ArrayVec::<u8, { endpoint::LONGEST }>::new();
    to.write(&mut text).map_err(|_| Refused)?;
    set_state::<{ MESSAGE + endpoint::LONGEST }>(DESTINATION_STATE, &text, span)
}

/// Sets the cluster that a `tcp_proxy` uses.
pub(super) fn set_cluster_state(name: &str, span: Span) -> Result<(), Refused> {
    set_state::<{ MESSAGE + config::MAX_CLUSTER }>(CLUSTER_STATE, name.as_bytes(), span)
}

/// Sets a filter state; `N` bytes hold the message.
fn set_state<const N: usize>(path: &str, value: &[u8], span: Span) -> Result<(), Refused> {
    let message = state::<N>(path, value, span).map_err(|_| Refused)?;
    done(hostcalls::call_foreign_function(
        "set_envoy_filter_state",
        Some(&message),
    ))
    .map(drop)
}

/// Writes the protobuf message of a filter state.
fn state<const N: usize>(path: &str, value: &[u8], span: Span) -> Result<ArrayVec<u8, N>, CapacityError> {
    let mut message = ArrayVec::new();
    for (number, bytes) in [(1, path.as_bytes()), (2, value)] {
        message.try_extend_from_slice(&[number << 3 | 2])?;
        // A varint: seven bits in a byte, the low ones first. Values are shorter than 2^14 bytes.
        let low = u8::try_from(bytes.len() & 0x7f).unwrap_or(0);
        match u8::try_from(bytes.len() >> 7).unwrap_or(0) {
            0 => message.try_extend_from_slice(&[low])?,
            high => message.try_extend_from_slice(&[low | 0x80, high])?,
        }
        message.try_extend_from_slice(bytes)?;
    }
    message.try_extend_from_slice(&[3 << 3, span as u8])?;
    Ok(message)
}

impl Clock for Envoy {
    fn get_current_time(&self) -> Result<u64, Refused> {
        let time = done(hostcalls::get_current_time())?;
        let since = time.duration_since(UNIX_EPOCH).map_err(|_| Refused)?;
        u64::try_from(since.as_nanos()).map_err(|_| Refused)
    }
}

impl Properties for Envoy {
    fn get_address(&self, end: End) -> Result<Endpoint, Refused> {
        let path = match end {
            End::Source => ["source", "address"],
            End::Destination => ["destination", "address"],
            End::UpstreamSource => ["upstream", "local_address"],
        };
        let text = found(hostcalls::get_property(path.into()))?;
        Endpoint::parse(&text).ok_or(Refused)
    }

    fn get_upstream_failure(&self) -> Result<bool, Refused> {
        let flags = found(hostcalls::get_property(vec!["response", "flags"]))?;
        let flags = flags.as_slice().try_into().map_err(|_| Refused)?;
        Ok(i64::from_le_bytes(flags) & FLAGS_NOT_CONNECTED != 0)
    }

    fn set_property(&self, key: &str, value: &str) -> Result<(), Refused> {
        done(hostcalls::set_property(vec![key], Some(value.as_bytes())))
    }
}

impl Downstream for Envoy {
    fn resume(&self) -> Result<(), Refused> {
        self.downstream.resume()
    }

    fn reject(&self) -> Result<(), Refused> {
        self.downstream.reject()
    }

    fn set_destination(&self, to: &Endpoint) -> Result<(), Refused> {
        self.downstream.set_destination(to)
    }

    fn set_cluster(&self, name: &str) -> Result<(), Refused> {
        self.downstream.set_cluster(name)
    }
}

impl Contexts for Envoy {
    fn set_effective_context(&self, context: ContextId) -> Result<(), Refused> {
        done(hostcalls::set_effective_context(context.0))
    }

    fn set_tick_period(&self, period_ms: u32) -> Result<(), Refused> {
        done(hostcalls::set_tick_period(Duration::from_millis(period_ms.into())))
    }
}

impl HttpCalls for Envoy {
    fn http_call(&self, request: &Request<'_>) -> Result<Call, Refused> {
        let wait = format!("wait={}", request.wait_s);
        let mut headers = vec![
            (":method", "GET"),
            (":path", request.path),
            (":authority", "ssa-resolver"),
            ("accept", "application/json"),
        ];
        if let Some(etag) = request.etag {
            headers.push(("if-none-match", etag));
        }
        if request.wait_s > 0 {
            headers.push(("prefer", &wait));
        }
        let timeout = Duration::from_millis(request.timeout_ms.into());
        done(hostcalls::dispatch_http_call(
            request.cluster,
            headers,
            None,
            Vec::new(),
            timeout,
        ))
        .map(Call)
    }

    fn http_call_response(&self) -> Result<Response, Refused> {
        let header = |name| found(hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, name));
        let status = header(":status")?;
        let status = core::str::from_utf8(&status).ok().and_then(|text| text.parse().ok());
        let etag = header("etag").ok().and_then(|etag| String::from_utf8(etag).ok());
        Ok(Response {
            status: status.ok_or(Refused)?,
            etag: etag.filter(|etag| !etag.is_empty()),
        })
    }

    fn http_call_response_body(&self, max: usize) -> Result<Vec<u8>, Refused> {
        // Envoy gives an empty body no buffer.
        let body = done(hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, max));
        body.map(Option::unwrap_or_default)
    }
}

impl SharedData for Envoy {
    fn get_shared_data(&self, key: &str) -> Result<(Vec<u8>, Version), Refused> {
        let (data, version) = done(hostcalls::get_shared_data(key))?;
        Ok((data.ok_or(Refused)?, Version(version.unwrap_or(0))))
    }

    fn set_shared_data(&self, key: &str, value: &[u8], version: Version) -> Result<(), Refused> {
        done(hostcalls::set_shared_data(key, Some(value), Some(version.0)))
    }
}

impl Metrics for Envoy {
    fn define_counter(&self, name: &str) -> Result<Counter, Refused> {
        done(hostcalls::define_metric(MetricType::Counter, name)).map(Counter)
    }

    fn increment_metric(&self, counter: Counter) -> Result<(), Refused> {
        done(hostcalls::increment_metric(counter.0, 1))
    }

    fn define_gauge(&self, name: &str) -> Result<Gauge, Refused> {
        done(hostcalls::define_metric(MetricType::Gauge, name)).map(Gauge)
    }

    fn record_metric(&self, gauge: Gauge, value: u64) -> Result<(), Refused> {
        done(hostcalls::record_metric(gauge.0, value))
    }
}

impl Log for Envoy {
    fn warn(&self, line: &str) {
        log::warn!("{line}");
    }
}
