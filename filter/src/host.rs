//! Envoy's host calls: the only file that names them.
//!
//! They are those of the proxy-wasm ABI 0.2.1, without its Rust SDK: docs/architecture.md says why.
#![allow(unsafe_code, reason = "host calls take and give addresses in the module's memory")]

use core::cell::Cell;
use std::alloc::{self, Layout};

use crate::proxy::{Call, ContextId, Counter, End, Gauge, Proxy, Refused, Request, Response, Version};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, length: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(pause: u32) -> u32;
    fn proxy_get_buffer_bytes(kind: u32, start: usize, most: usize, data: *mut *mut u8, length: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_length: usize,
        data: *mut *mut u8,
        length: *mut usize,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_length: usize, data: *mut *mut u8, length: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_length: usize, data: *const u8, length: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_length: usize,
        data: *mut *mut u8,
        length: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_length: usize, data: *const u8, length: usize, version: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_length: usize,
        headers: *const u8,
        headers_length: usize,
        body: *const u8,
        body_length: usize,
        trailers: *const u8,
        trailers_length: usize,
        timeout_ms: u32,
        call: *mut u32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, length: usize, metric: *mut u32) -> u32;
    fn proxy_increment_metric(metric: u32, by: i64) -> u32;
    fn proxy_record_metric(metric: u32, value: u64) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_length: usize,
        arguments: *const u8,
        arguments_length: usize,
        data: *mut *mut u8,
        length: *mut usize,
    ) -> u32;
}

/// `proxy_log`'s levels.
const LEVEL_WARN: u32 = 3;
const LEVEL_ERROR: u32 = 4;

/// `proxy_get_buffer_bytes`' buffers.
const BUFFER_CALL_BODY: u32 = 4;
const BUFFER_PLUGIN_CONFIGURATION: u32 = 7;

/// `proxy_get_header_map_value`'s map of an answer's headers.
const MAP_CALL_HEADERS: u32 = 6;

/// The downstream side of a connection.
const STREAM_DOWNSTREAM: u32 = 2;

/// `proxy_define_metric`'s kinds.
const METRIC_COUNTER: u32 = 0;
const METRIC_GAUGE: u32 = 1;

/// How long a filter state lives: as long as the downstream connection.
const SPAN_CONNECTION: u8 = 2;

/// The response flags that say that no upstream connection was made: no healthy upstream, connection failure.
const FLAGS_NOT_CONNECTED: i64 = 0x2 | 0x20;

/// Where `ORIGINAL_DST` clusters look for a destination first.
const DESTINATION_STATE: &str = "envoy.network.transport_socket.original_dst_address";

/// Where `tcp_proxy` looks for its cluster first.
const CLUSTER_STATE: &str = "envoy.tcp_proxy.cluster";

/// No memory.
const NOTHING: (*mut u8, usize) = (core::ptr::null_mut(), 0);

thread_local! {
    /// The memory that Envoy asked for last, to put an answer in.
    static ANSWER: Cell<(*mut u8, usize)> = const { Cell::new(NOTHING) };
}

/// Gives Envoy memory for an answer; null where there is none.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    let memory = match Layout::array::<u8>(size) {
        // SAFETY: the layout is not empty.
        Ok(layout) if size > 0 => unsafe { alloc::alloc(layout) },
        _ => core::ptr::null_mut(),
    };
    let _ = ANSWER.try_with(|answer| answer.set((memory, size)));
    memory
}

fn ok(status: u32) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Refused) }
}

/// Makes a call that puts an answer into memory of ours, and takes it.
fn answer(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Refused> {
    let (mut data, mut length) = (core::ptr::null_mut(), 0);
    let _ = ANSWER.try_with(|answer| answer.set(NOTHING));
    let status = call(&raw mut data, &raw mut length);
    let (memory, size) = ANSWER.try_with(|answer| answer.replace(NOTHING)).unwrap_or(NOTHING);
    let given = if memory.is_null() {
        Vec::new()
    } else {
        // SAFETY: the memory is of this size, from this allocator, and nobody else's.
        unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(memory, size)) }.into_vec()
    };
    ok(status)?;
    // Nothing is read that was not asked for.
    if length == 0 {
        Ok(Vec::new())
    } else if data == memory && length == given.len() {
        Ok(given)
    } else {
        Err(Refused)
    }
}

/// Envoy, showing the context whose callback runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envoy;

/// Returns the plugin's configuration.
pub(crate) fn configuration() -> Result<Vec<u8>, Refused> {
    buffer(BUFFER_PLUGIN_CONFIGURATION, usize::MAX)
}

/// Writes a line that tells of a fault of the operator's.
pub(crate) fn log_error(line: &str) {
    log(LEVEL_ERROR, line);
}

fn log(level: u32, line: &str) {
    // SAFETY: address and length are of one text.
    let _ = unsafe { proxy_log(level, line.as_ptr(), line.len()) };
}

fn buffer(kind: u32, most: usize) -> Result<Vec<u8>, Refused> {
    // SAFETY: both places can be written.
    answer(|data, length| unsafe { proxy_get_buffer_bytes(kind, 0, most, data, length) })
}

fn header(name: &str) -> Result<Vec<u8>, Refused> {
    // SAFETY: address and length are of one text, and both places can be written.
    answer(|data, length| unsafe {
        proxy_get_header_map_value(MAP_CALL_HEADERS, name.as_ptr(), name.len(), data, length)
    })
}

/// Reads a property; the parts of its path end in zeros.
fn property(path: &[u8]) -> Result<Vec<u8>, Refused> {
    // SAFETY: address and length are of one path, and both places can be written.
    answer(|data, length| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, length) })
}

fn metric(kind: u32, name: &str) -> Result<u32, Refused> {
    let mut metric = 0;
    // SAFETY: address and length are of one text, and the place can be written.
    ok(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut metric) })?;
    Ok(metric)
}

fn set_state(path: &str, value: &str) -> Result<(), Refused> {
    let mut message = Vec::with_capacity(128);
    tag(&mut message, 1, path)?;
    tag(&mut message, 2, value)?;
    message.extend([3 << 3, SPAN_CONNECTION]);
    let name = "set_envoy_filter_state";
    // SAFETY: addresses and lengths are of a text and a message, and both places can be written.
    answer(|data, length| unsafe {
        proxy_call_foreign_function(name.as_ptr(), name.len(), message.as_ptr(), message.len(), data, length)
    })
    .map(|_| ())
}

/// Writes a text as a protobuf field of this number.
fn tag(message: &mut Vec<u8>, number: u8, text: &str) -> Result<(), Refused> {
    // Lengths below 128 are one byte of a varint; a cluster's name can be longer.
    let length = u16::try_from(text.len()).map_err(|_| Refused)?;
    let low = u8::try_from(length & 0x7f).map_err(|_| Refused)?;
    let high = u8::try_from(length >> 7).map_err(|_| Refused)?;
    message.push(number << 3 | 2);
    match high {
        0 => message.push(low),
        1..=0x7f => message.extend([low | 0x80, high]),
        _ => return Err(Refused),
    }
    message.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Writes headers as the ABI has them: their number, the lengths of each, then each name and value with a zero.
fn serialize(headers: &[(&str, &str)]) -> Vec<u8> {
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(0).to_le_bytes();
    let mut bytes = Vec::with_capacity(256);
    bytes.extend(u32::try_from(headers.len()).unwrap_or(0).to_le_bytes());
    for (name, value) in headers {
        bytes.extend(length(name));
        bytes.extend(length(value));
    }
    for (name, value) in headers {
        for text in [name, value] {
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

impl Proxy for Envoy {
    fn time(&self) -> Result<u64, Refused> {
        let mut time = 0;
        // SAFETY: the place can be written.
        ok(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
        Ok(time)
    }

    fn address(&self, end: End) -> Result<Vec<u8>, Refused> {
        property(match end {
            End::Source => b"source\0address\0",
            End::Destination => b"destination\0address\0",
            End::UpstreamSource => b"upstream\0local_address\0",
        })
    }

    fn note(&self, key: &str, value: &str) -> Result<(), Refused> {
        // SAFETY: addresses and lengths are of one text each.
        ok(unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) })
    }

    fn set_destination(&self, address: &str) -> Result<(), Refused> {
        set_state(DESTINATION_STATE, address)
    }

    fn set_cluster(&self, name: &str) -> Result<(), Refused> {
        set_state(CLUSTER_STATE, name)
    }

    fn close(&self) -> Result<(), Refused> {
        // SAFETY: nothing is handed over.
        ok(unsafe { proxy_close_stream(STREAM_DOWNSTREAM) })
    }

    fn resume(&self) -> Result<(), Refused> {
        // SAFETY: nothing is handed over.
        ok(unsafe { proxy_continue_stream(STREAM_DOWNSTREAM) })
    }

    fn show(&self, context: ContextId) -> Result<(), Refused> {
        // SAFETY: nothing is handed over.
        ok(unsafe { proxy_set_effective_context(context.0) })
    }

    fn failed_upstream(&self) -> Result<bool, Refused> {
        let flags = property(b"response\0flags\0")?;
        let flags = flags.as_slice().try_into().map_err(|_| Refused)?;
        Ok(i64::from_le_bytes(flags) & FLAGS_NOT_CONNECTED != 0)
    }

    fn tick(&self, pause_ms: u32) -> Result<(), Refused> {
        // SAFETY: nothing is handed over.
        ok(unsafe { proxy_set_tick_period_milliseconds(pause_ms) })
    }

    fn fetch(&self, request: &Request<'_>) -> Result<Call, Refused> {
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
        let (headers, trailers) = (serialize(&headers), serialize(&[]));
        let mut call = 0;
        // SAFETY: addresses and lengths belong together, and the place can be written.
        ok(unsafe {
            proxy_http_call(
                request.cluster.as_ptr(),
                request.cluster.len(),
                headers.as_ptr(),
                headers.len(),
                core::ptr::null(),
                0,
                trailers.as_ptr(),
                trailers.len(),
                request.timeout_ms,
                &raw mut call,
            )
        })?;
        Ok(Call(call))
    }

    fn response(&self) -> Result<Response, Refused> {
        let status = header(":status")?;
        let status = core::str::from_utf8(&status).ok().and_then(|text| text.parse().ok());
        let etag = header("etag").ok().and_then(|etag| String::from_utf8(etag).ok());
        Ok(Response {
            status: status.ok_or(Refused)?,
            etag: etag.filter(|etag| !etag.is_empty()),
        })
    }

    fn body(&self, most: usize) -> Result<Vec<u8>, Refused> {
        buffer(BUFFER_CALL_BODY, most)
    }

    fn shared(&self, key: &str) -> Result<(Vec<u8>, Version), Refused> {
        let mut version = 0;
        // SAFETY: address and length are of one text, and the places can be written.
        let data = answer(|data, length| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, length, &raw mut version)
        })?;
        Ok((data, Version(version)))
    }

    fn share(&self, key: &str, value: &[u8], version: Version) -> Result<(), Refused> {
        // SAFETY: addresses and lengths are of a text and of bytes.
        ok(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version.0) })
    }

    fn counter(&self, name: &str) -> Result<Counter, Refused> {
        metric(METRIC_COUNTER, name).map(Counter)
    }

    fn increment(&self, counter: Counter) -> Result<(), Refused> {
        // SAFETY: nothing is handed over.
        ok(unsafe { proxy_increment_metric(counter.0, 1) })
    }

    fn gauge(&self, name: &str) -> Result<Gauge, Refused> {
        metric(METRIC_GAUGE, name).map(Gauge)
    }

    fn record(&self, gauge: Gauge, value: u64) -> Result<(), Refused> {
        // SAFETY: nothing is handed over.
        ok(unsafe { proxy_record_metric(gauge.0, value) })
    }

    fn log(&self, line: &str) {
        log(LEVEL_WARN, line);
    }
}
