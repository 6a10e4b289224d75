//! Envoy's host calls: the only file that names them.

use std::time::UNIX_EPOCH;

use proxy_wasm::{
    hostcalls,
    types::{BufferType, LogLevel, MetricType},
};

use crate::proxy::{Counter, End, Proxy, Refused};

/// How long a filter state lives: as long as the downstream connection.
const SPAN_CONNECTION: u8 = 2;

/// Where `ORIGINAL_DST` clusters look for a destination first.
const DESTINATION_STATE: &str = "envoy.network.transport_socket.original_dst_address";

/// Where `tcp_proxy` looks for its cluster first.
const CLUSTER_STATE: &str = "envoy.tcp_proxy.cluster";

/// Envoy, showing the context whose callback runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envoy;

/// Returns the plugin's configuration.
pub(crate) fn configuration() -> Option<Vec<u8>> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX)
        .ok()
        .flatten()
}

/// Writes a line that tells of a fault of the operator's.
pub(crate) fn log_error(line: &str) {
    let _ = hostcalls::log(LogLevel::Error, line);
}

fn set_state(path: &str, value: &str) -> Result<(), Refused> {
    let message = [tagged(1, path)?, tagged(2, value)?, vec![3 << 3, SPAN_CONNECTION]].concat();
    hostcalls::call_foreign_function("set_envoy_filter_state", Some(&message))
        .map(|_| ())
        .map_err(|_| Refused)
}

/// Writes a text as a protobuf field of this number.
fn tagged(number: u8, text: &str) -> Result<Vec<u8>, Refused> {
    // Lengths below 128 are one byte of a varint; a cluster's name can be longer.
    let length = u16::try_from(text.len()).map_err(|_| Refused)?;
    let [low, high] = [length & 0x7f, length.checked_shr(7).unwrap_or(0)];
    if high > 0x7f {
        return Err(Refused);
    }
    let byte = |value: u16| u8::try_from(value).unwrap_or(0);
    let length = if high == 0 {
        vec![byte(low)]
    } else {
        vec![byte(low) | 0x80, byte(high)]
    };
    Ok([vec![number << 3 | 2], length, text.as_bytes().to_vec()].concat())
}

impl Proxy for Envoy {
    fn time(&self) -> Result<u64, Refused> {
        let time = hostcalls::get_current_time().map_err(|_| Refused)?;
        let since = time.duration_since(UNIX_EPOCH).map_err(|_| Refused)?;
        u64::try_from(since.as_nanos()).map_err(|_| Refused)
    }

    fn address(&self, end: End) -> Result<Vec<u8>, Refused> {
        let path = match end {
            End::Source => vec!["source", "address"],
            End::Destination => vec!["destination", "address"],
        };
        hostcalls::get_property(path).map_err(|_| Refused)?.ok_or(Refused)
    }

    fn note(&self, key: &str, value: &str) -> Result<(), Refused> {
        hostcalls::set_property(vec![key], Some(value.as_bytes())).map_err(|_| Refused)
    }

    fn set_destination(&self, address: &str) -> Result<(), Refused> {
        set_state(DESTINATION_STATE, address)
    }

    fn set_cluster(&self, name: &str) -> Result<(), Refused> {
        set_state(CLUSTER_STATE, name)
    }

    fn close(&self) -> Result<(), Refused> {
        hostcalls::close_downstream().map_err(|_| Refused)
    }

    fn counter(&self, name: &str) -> Result<Counter, Refused> {
        hostcalls::define_metric(MetricType::Counter, name)
            .map(Counter)
            .map_err(|_| Refused)
    }

    fn increment(&self, counter: Counter) -> Result<(), Refused> {
        hostcalls::increment_metric(counter.0, 1).map_err(|_| Refused)
    }

    fn log(&self, line: &str) {
        let _ = hostcalls::log(LogLevel::Warn, line);
    }
}
