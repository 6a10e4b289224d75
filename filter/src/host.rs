//! Envoy's host calls: the only file that names them.
//!
//! They are those of the proxy-wasm ABI 0.2.1, without its Rust SDK: docs/architecture.md says why.
#![allow(unsafe_code, reason = "host calls take and give addresses in the module's memory")]

use core::cell::{Cell, UnsafeCell};
use std::alloc::{self, Layout};

use arrayvec::{ArrayVec, CapacityError};

use crate::{
    config,
    endpoint::{self, Endpoint},
    proxy::{Call, ContextId, Counter, End, Gauge, Proxy, Refused, Request, Response, Version},
};

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

/// Answers up to this size, all that one connection brings among them, need no memory from the allocator.
const SHORT: usize = 64;

/// What a filter state's message takes besides the value, at most.
const MESSAGE: usize = 64;

/// No memory.
const NOTHING: (*mut u8, usize) = (core::ptr::null_mut(), 0);

thread_local! {
    /// The memory that Envoy asked for last, to put an answer in.
    static ANSWER: Cell<(*mut u8, usize)> = const { Cell::new(NOTHING) };
    /// Where short answers are put.
    static PLACE: UnsafeCell<[u8; SHORT]> = const { UnsafeCell::new([0; SHORT]) };
}

/// Gives Envoy memory for an answer; null where there is none.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    let memory = match Layout::array::<u8>(size) {
        Ok(_) if size == 0 => core::ptr::null_mut(),
        Ok(_) if size <= SHORT => place(),
        // SAFETY: the layout is not empty.
        Ok(layout) => unsafe { alloc::alloc(layout) },
        Err(_) => core::ptr::null_mut(),
    };
    let _ = ANSWER.try_with(|answer| answer.set((memory, size)));
    memory
}

fn place() -> *mut u8 {
    PLACE
        .try_with(|place| place.get().cast())
        .unwrap_or(core::ptr::null_mut())
}

/// What Envoy put into memory of ours.
enum Answer {
    Short(ArrayVec<u8, SHORT>),
    /// Memory of the allocator, which this owns.
    Long(*mut u8, usize),
}

impl Answer {
    /// Takes the memory that Envoy asked for last, and its address.
    fn take() -> (Self, *mut u8) {
        let (memory, size) = ANSWER.try_with(|answer| answer.replace(NOTHING)).unwrap_or(NOTHING);
        let answer = if memory.is_null() {
            Self::Short(ArrayVec::new())
        } else if memory == place() {
            let mut short = ArrayVec::new();
            // SAFETY: the place has at least this size, was zeroed, and nobody writes there between calls.
            let _ = short.try_extend_from_slice(unsafe { core::slice::from_raw_parts(memory, size) });
            Self::Short(short)
        } else {
            Self::Long(memory, size)
        };
        (answer, memory)
    }

    fn length(&self) -> usize {
        match self {
            Self::Short(bytes) => bytes.len(),
            Self::Long(_, size) => *size,
        }
    }

    /// Returns it. Envoy wrote all of it: that is looked at before anything has the answer.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            // SAFETY: the memory is of this size, was written, and is nobody else's.
            Self::Long(memory, size) => unsafe { core::slice::from_raw_parts(*memory, *size) },
        }
    }

    fn into_vec(self) -> Vec<u8> {
        let Self::Long(memory, size) = self else {
            return self.bytes().to_vec();
        };
        core::mem::forget(self);
        let bytes = core::ptr::slice_from_raw_parts_mut(memory, size);
        // SAFETY: the memory is of this size, from this allocator, and now nobody else's.
        unsafe { Box::from_raw(bytes) }.into_vec()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Self::Long(memory, size) = self {
            let bytes = core::ptr::slice_from_raw_parts_mut(*memory, *size);
            // SAFETY: the memory is of this size, from this allocator, and nobody else's.
            drop(unsafe { Box::from_raw(bytes) });
        }
    }
}

fn ok(status: u32) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Refused) }
}

/// Makes a call whose answer is put into memory of ours.
fn answer(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Answer, Refused> {
    let (mut data, mut length) = (core::ptr::null_mut(), 0);
    drop(Answer::take());
    let status = call(&raw mut data, &raw mut length);
    let (answer, memory) = Answer::take();
    ok(status)?;
    // Nothing is read that was not asked for.
    if length == 0 {
        Ok(Answer::Short(ArrayVec::new()))
    } else if data == memory && length == answer.length() {
        Ok(answer)
    } else {
        Err(Refused)
    }
}

/// Envoy, showing the context whose callback runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envoy;

/// Returns the plugin's configuration.
pub(crate) fn configuration() -> Result<Vec<u8>, Refused> {
    buffer(BUFFER_PLUGIN_CONFIGURATION, usize::MAX).map(Answer::into_vec)
}

/// Writes a line that tells of a fault of the operator's.
pub(crate) fn log_error(line: &str) {
    log(LEVEL_ERROR, line);
}

fn log(level: u32, line: &str) {
    // SAFETY: address and length are of one text.
    let _ = unsafe { proxy_log(level, line.as_ptr(), line.len()) };
}

fn buffer(kind: u32, most: usize) -> Result<Answer, Refused> {
    // SAFETY: both places can be written.
    answer(|data, length| unsafe { proxy_get_buffer_bytes(kind, 0, most, data, length) })
}

fn header(name: &str) -> Result<Answer, Refused> {
    // SAFETY: address and length are of one text, and both places can be written.
    answer(|data, length| unsafe {
        proxy_get_header_map_value(MAP_CALL_HEADERS, name.as_ptr(), name.len(), data, length)
    })
}

/// Reads a property; the parts of its path end in zeros.
fn property(path: &[u8]) -> Result<Answer, Refused> {
    // SAFETY: address and length are of one path, and both places can be written.
    answer(|data, length| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, length) })
}

fn metric(kind: u32, name: &str) -> Result<u32, Refused> {
    let mut metric = 0;
    // SAFETY: address and length are of one text, and the place can be written.
    ok(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut metric) })?;
    Ok(metric)
}

/// Sets a filter state; `N` bytes hold the message.
fn set_state<const N: usize>(path: &str, value: &[u8]) -> Result<(), Refused> {
    let message = state::<N>(path, value).map_err(|_| Refused)?;
    let name = "set_envoy_filter_state";
    // SAFETY: addresses and lengths are of a text and a message, and both places can be written.
    answer(|data, length| unsafe {
        proxy_call_foreign_function(name.as_ptr(), name.len(), message.as_ptr(), message.len(), data, length)
    })
    .map(drop)
}

/// Writes the protobuf message of a filter state.
fn state<const N: usize>(path: &str, value: &[u8]) -> Result<ArrayVec<u8, N>, CapacityError> {
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
    message.try_extend_from_slice(&[3 << 3, SPAN_CONNECTION])?;
    Ok(message)
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

    fn endpoint(&self, end: End) -> Result<Endpoint, Refused> {
        let text = property(match end {
            End::Source => b"source\0address\0",
            End::Destination => b"destination\0address\0",
            End::UpstreamSource => b"upstream\0local_address\0",
        })?;
        Endpoint::parse(text.bytes()).ok_or(Refused)
    }

    fn note(&self, key: &str, value: &str) -> Result<(), Refused> {
        // SAFETY: addresses and lengths are of one text each.
        ok(unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) })
    }

    fn set_destination(&self, to: &Endpoint) -> Result<(), Refused> {
        let mut text = ArrayVec::<u8, { endpoint::LONGEST }>::new();
        to.write(&mut text).map_err(|_| Refused)?;
        set_state::<{ MESSAGE + endpoint::LONGEST }>(DESTINATION_STATE, &text)
    }

    fn set_cluster(&self, name: &str) -> Result<(), Refused> {
        set_state::<{ MESSAGE + config::MAX_CLUSTER }>(CLUSTER_STATE, name.as_bytes())
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
        let flags = flags.bytes().try_into().map_err(|_| Refused)?;
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
        let status = core::str::from_utf8(status.bytes())
            .ok()
            .and_then(|text| text.parse().ok());
        let etag = header("etag")
            .ok()
            .and_then(|etag| String::from_utf8(etag.into_vec()).ok());
        Ok(Response {
            status: status.ok_or(Refused)?,
            etag: etag.filter(|etag| !etag.is_empty()),
        })
    }

    fn body(&self, most: usize) -> Result<Vec<u8>, Refused> {
        buffer(BUFFER_CALL_BODY, most).map(Answer::into_vec)
    }

    fn shared(&self, key: &str) -> Result<(Vec<u8>, Version), Refused> {
        let mut version = 0;
        // SAFETY: address and length are of one text, and the places can be written.
        let data = answer(|data, length| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, length, &raw mut version)
        })?;
        Ok((data.into_vec(), Version(version)))
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
