//! The functions as C calls them: what they are given is read, and what they answer is written.
//!
//! Each says what C promises. Null where a value is required is an error, and so is text that is not UTF-8.
#![expect(unsafe_code, reason = "C hands over pointers; this file alone follows them")]

use std::{
    ffi::{CStr, c_char, c_int},
    net::Ipv6Addr,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr, slice,
};

use crate::{
    calls::{self, Settings, Wanted},
    fault::{Fault, Status, invalid},
};

/// How services are planned and connected to; zeros are the defaults.
#[repr(C)]
#[derive(Debug)]
pub struct Options {
    /// The source of all connections, 16 bytes, or null.
    pub source: *const u8,
    /// The folder of this client's own keys, or null.
    pub client_keys: *const c_char,
    /// The delay between attempts, in milliseconds, or 0.
    pub attempt_delay_ms: u32,
    /// The timeout of an attempt, in milliseconds, or 0.
    pub attempt_timeout_ms: u32,
}

/// What a client wants; zeros are the defaults, but for the port.
#[repr(C)]
#[derive(Debug)]
pub struct Want {
    /// The object key, or null.
    pub object: *const u8,
    /// Its length in bytes.
    pub object_length: usize,
    /// The chunk, or null.
    pub chunk: *const u64,
    /// The source, 16 bytes, or null.
    pub source: *const u8,
    /// The replica, or null for any.
    pub replica: *const u8,
    /// The time in seconds since 1970, or 0 for now.
    pub time: u64,
    /// The most targets, or 0.
    pub targets: usize,
    /// The port, in the host's byte order.
    pub port: u16,
    /// Whether replica 0 comes first, and all random bits are zero.
    pub fixed_order: bool,
}

/// A place to connect to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Target {
    /// The address.
    pub address: [u8; 16],
    /// The source that the connection has to come from.
    pub source: [u8; 16],
    /// The port, in the host's byte order.
    pub port: u16,
    /// The replica.
    pub replica: u8,
}

impl From<ssa_client::Target> for Target {
    fn from(target: ssa_client::Target) -> Self {
        Self {
            address: target.address.ip().octets(),
            source: target.source.octets(),
            port: target.address.port(),
            replica: target.replica,
        }
    }
}

/// A service, as C has it: a pointer to what it cannot look into.
#[derive(Debug)]
pub struct Service(ssa_client::Service);

/// Runs a call; no panic leaves it.
///
/// # Safety
///
/// `error` is null, or `error_size` bytes can be written there.
unsafe fn guarded(error: *mut c_char, error_size: usize, call: impl FnOnce() -> Result<(), Fault>) -> Status {
    let done = catch_unwind(AssertUnwindSafe(call));
    let fault = match done {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(fault)) => fault,
        Err(_) => Fault(
            Status::Internal,
            "a fault of this library; its standard error says more".into(),
        ),
    };
    let Fault(status, text) = fault;
    if !error.is_null() && error_size > 0 {
        // Cut where a character ends.
        let mut length = text.len().min(error_size - 1);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        // SAFETY: there is room for `error_size` bytes, of which these and a zero take no more; the text is another place.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), error.cast(), length);
            error.add(length).write(0);
        }
    }
    status
}

/// Reads a text, or nothing of null.
///
/// # Safety
///
/// `text` is null, or a text that ends by a zero and stays as it is for `'a`.
unsafe fn text<'a>(what: &str, text: *const c_char) -> Result<Option<&'a str>, Fault> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: by the contract of this function.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map(Some)
        .map_err(|_| invalid(format!("{what}: must be UTF-8")))
}

/// Reads a value, or nothing of null.
///
/// # Safety
///
/// `value` is null, or aligned and readable.
unsafe fn optional<T: Copy>(value: *const T) -> Option<T> {
    // SAFETY: by the contract of this function.
    (!value.is_null()).then(|| unsafe { value.read() })
}

/// Reads an address, or nothing of null.
///
/// # Safety
///
/// `address` is null, or 16 bytes can be read there.
unsafe fn address(address: *const u8) -> Option<Ipv6Addr> {
    // SAFETY: by the contract of this function; an array of bytes has no alignment.
    unsafe { optional(address.cast::<[u8; 16]>()) }.map(Ipv6Addr::from)
}

fn required<T>(what: &str, value: Option<T>) -> Result<T, Fault> {
    value.ok_or_else(|| invalid(format!("{what}: must not be null")))
}

/// Reads options, the defaults of null.
///
/// # Safety
///
/// `options` is null or readable, and so are the places that it names, for `'a`.
unsafe fn settings<'a>(options: *const Options) -> Result<Settings<'a>, Fault> {
    if options.is_null() {
        return Ok(Settings {
            source: None,
            client_keys: None,
            attempt_delay_ms: 0,
            attempt_timeout_ms: 0,
        });
    }
    // SAFETY: by the contract of this function.
    unsafe {
        let options = &*options;
        Ok(Settings {
            source: address(options.source),
            client_keys: text("client_keys", options.client_keys)?,
            attempt_delay_ms: options.attempt_delay_ms,
            attempt_timeout_ms: options.attempt_timeout_ms,
        })
    }
}

/// Reads what is wanted.
///
/// # Safety
///
/// `want` is null or readable, and so are the places that it names, for `'a`.
unsafe fn wanted<'a>(want: *const Want) -> Result<Wanted<'a>, Fault> {
    if want.is_null() {
        return Err(invalid("want: must not be null"));
    }
    // SAFETY: by the contract of this function.
    unsafe {
        let want = &*want;
        Ok(Wanted {
            port: want.port,
            object: (!want.object.is_null()).then(|| slice::from_raw_parts(want.object, want.object_length)),
            chunk: optional(want.chunk),
            replica: optional(want.replica),
            source: address(want.source),
            time: (want.time != 0).then_some(want.time),
            fixed_order: want.fixed_order,
            targets: (want.targets != 0).then_some(want.targets),
        })
    }
}

/// Gives a service away.
///
/// # Safety
///
/// `service` is null or writable.
unsafe fn give(service: *mut *mut Service, made: Result<ssa_client::Service, Fault>) -> Result<(), Fault> {
    if service.is_null() {
        return Err(invalid("service: must not be null"));
    }
    let made = Box::new(Service(made?));
    // SAFETY: by the contract of this function.
    unsafe { service.write(Box::into_raw(made)) };
    Ok(())
}

/// Makes a service of records that are known already.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssa_service_fixed(
    name: *const c_char,
    apl: *const c_char,
    records: *const *const c_char,
    record_count: usize,
    options: *const Options,
    service: *mut *mut Service,
    error: *mut c_char,
    error_size: usize,
) -> Status {
    // SAFETY: by the contract of this function.
    unsafe {
        guarded(error, error_size, || {
            let name = required("name", text("name", name)?)?;
            let apl = text("apl", apl)?;
            let list = if records.is_null() || record_count == 0 {
                &[]
            } else {
                slice::from_raw_parts(records, record_count)
            };
            let list: Result<Vec<&str>, Fault> = list
                .iter()
                .map(|record| required("record", text("record", *record)?))
                .collect();
            give(service, calls::fixed(name, apl, &list?, &settings(options)?))
        })
    }
}

/// Asks the DNS for a service, and follows it.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssa_service_dns(
    name: *const c_char,
    server: *const c_char,
    options: *const Options,
    service: *mut *mut Service,
    error: *mut c_char,
    error_size: usize,
) -> Status {
    // SAFETY: by the contract of this function.
    unsafe {
        guarded(error, error_size, || {
            let name = required("name", text("name", name)?)?;
            give(service, calls::dns(name, text("server", server)?, &settings(options)?))
        })
    }
}

/// Asks a shim for a service by its socket, and follows it.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssa_service_socket(
    name: *const c_char,
    path: *const c_char,
    options: *const Options,
    service: *mut *mut Service,
    error: *mut c_char,
    error_size: usize,
) -> Status {
    // SAFETY: by the contract of this function.
    unsafe {
        guarded(error, error_size, || {
            let name = required("name", text("name", name)?)?;
            let path = required("path", text("path", path)?)?;
            give(service, calls::socket(name, path, &settings(options)?))
        })
    }
}

/// Ends a service.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssa_service_free(service: *mut Service) {
    if !service.is_null() {
        // SAFETY: C has it from `give`, and does not use it any more.
        let service = unsafe { Box::from_raw(service) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(service)));
    }
}

/// Plans for what is wanted.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssa_plan(
    service: *const Service,
    want: *const Want,
    targets: *mut Target,
    capacity: usize,
    count: *mut usize,
    error: *mut c_char,
    error_size: usize,
) -> Status {
    // SAFETY: by the contract of this function.
    unsafe {
        guarded(error, error_size, || {
            let Service(service) = required("service", service.as_ref())?;
            let count = required("count", count.as_mut())?;
            let plan = calls::plan(service, &wanted(want)?)?;
            *count = plan.targets().len();
            if capacity > 0 {
                required("targets", targets.as_ref())?;
            }
            for (place, target) in plan.into_iter().take(capacity).enumerate() {
                targets.add(place).write(target.into());
            }
            Ok(())
        })
    }
}

/// Connects to what is wanted.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssa_connect(
    service: *const Service,
    want: *const Want,
    descriptor: *mut c_int,
    target: *mut Target,
    error: *mut c_char,
    error_size: usize,
) -> Status {
    // SAFETY: by the contract of this function.
    unsafe {
        guarded(error, error_size, || {
            let Service(service) = required("service", service.as_ref())?;
            let descriptor = required("descriptor", descriptor.as_mut())?;
            let (opened, reached) = calls::connect(service, &wanted(want)?)?;
            *descriptor = opened;
            if let Some(target) = target.as_mut() {
                *target = reached.map_or_else(Target::default, Target::from);
            }
            Ok(())
        })
    }
}

/// Remembers that an address fails.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssa_report_failure(service: *const Service, target: *const Target) {
    // SAFETY: by the contract of this function.
    let (service, target) = unsafe { (service.as_ref(), optional(target)) };
    if let (Some(Service(service)), Some(target)) = (service, target) {
        let report = || calls::report_failure(service, target.address.into());
        let _ = catch_unwind(AssertUnwindSafe(report));
    }
}
