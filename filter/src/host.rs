//! The interface to the proxy that runs the filter: one trait per concern.
//!
//! Methods are named as the ABI's host calls, except those of [`Downstream`]: behind these are calls that differ between
//! kinds of contexts.

use crate::endpoint::Endpoint;

/// Nanoseconds, the unit of the proxy's clock, in a millisecond.
pub(crate) const NS_PER_MS: u64 = 1_000_000;

/// Nanoseconds in a second.
pub(crate) const NS_PER_S: u64 = 1_000_000_000;

/// The proxy's ID of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(pub u32);

/// The proxy's ID of a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge(pub u32);

/// The proxy's ID of a context: of a connection, or of the plugin itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u32);

/// The proxy's ID of a pending HTTP call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(pub u32);

/// The version of shared data that was read. A write over another version fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version(pub u32);

/// A request for a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The proxy's cluster.
    pub cluster: &'a str,
    /// The path there.
    pub path: &'a str,
    /// The entity tag of the current snapshot: only a different one is needed.
    pub etag: Option<&'a str>,
    /// How long the server may wait for a different one before it responds, in seconds.
    pub wait_s: u32,
    /// How long the proxy waits for the response, in milliseconds.
    pub timeout_ms: u32,
}

/// The headers of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status, such as 200.
    pub status: u16,
    /// The entity tag of the snapshot.
    pub etag: Option<String>,
}

/// A host call failed. The proxy logs why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Which address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client's.
    Source,
    /// The one that the client dialled, before any redirection.
    Destination,
    /// The proxy's own, of the upstream connection, once there is one.
    UpstreamSource,
}

/// The clock.
pub trait Clock {
    /// Returns the time in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// The proxy has no time.
    fn get_current_time(&self) -> Result<u64, Refused>;
}

/// Properties of the effective context's connection: what Envoy calls its attributes, and filter state.
pub trait Properties {
    /// Returns an address of the connection, with its port.
    ///
    /// # Errors
    ///
    /// The proxy does not provide it, or provides something else.
    fn get_address(&self, end: End) -> Result<Endpoint, Refused>;

    /// Returns whether the connection ended because the proxy could not connect upstream.
    ///
    /// # Errors
    ///
    /// The proxy does not know.
    fn get_upstream_failure(&self) -> Result<bool, Refused>;

    /// Sets a property: access logs and later filters find it as `wasm.KEY`, the former by
    /// `%FILTER_STATE(wasm.KEY:PLAIN)%`.
    ///
    /// # Errors
    ///
    /// The proxy did not accept it.
    fn set_property(&self, key: &str, value: &str) -> Result<(), Refused>;
}

/// How a decision is carried out, on the connection of the effective context. Each kind of context has its own
/// implementation, for the ABI's calls differ between streams and HTTP requests.
pub trait Downstream {
    /// Lets what was paused go on.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn resume(&self) -> Result<(), Refused>;

    /// Ends what must not go on: a connection is closed.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn reject(&self) -> Result<(), Refused>;

    /// Sets where an `ORIGINAL_DST` cluster connects to.
    ///
    /// # Errors
    ///
    /// The proxy did not accept it.
    fn set_destination(&self, to: &Endpoint) -> Result<(), Refused>;

    /// Sets the cluster that a `tcp_proxy` uses.
    ///
    /// # Errors
    ///
    /// The proxy did not accept it.
    fn set_cluster(&self, name: &str) -> Result<(), Refused>;
}

/// Contexts, and the timer of the plugin.
pub trait Contexts {
    /// Directs the host calls that follow to another connection, or to the plugin itself.
    ///
    /// # Errors
    ///
    /// There is no such context any more.
    fn set_effective_context(&self, context: ContextId) -> Result<(), Refused>;

    /// Has the proxy call the plugin periodically, in milliseconds; 0 stops that.
    ///
    /// # Errors
    ///
    /// The proxy did not accept it.
    fn set_tick_period(&self, period_ms: u32) -> Result<(), Refused>;
}

/// HTTP calls that the plugin makes.
pub trait HttpCalls {
    /// Requests a snapshot. The proxy calls back when there is a response, or none in time.
    ///
    /// # Errors
    ///
    /// The proxy cannot, for instance because it has no such cluster.
    fn http_call(&self, request: &Request<'_>) -> Result<Call, Refused>;

    /// Returns the headers of the response.
    ///
    /// # Errors
    ///
    /// They have no status.
    fn http_call_response(&self) -> Result<Response, Refused>;

    /// Returns the body of the response, at most `max` bytes of it.
    ///
    /// # Errors
    ///
    /// The proxy cannot provide it.
    fn http_call_response_body(&self, max: usize) -> Result<Vec<u8>, Refused>;
}

/// Data shared by the VMs of this process.
pub trait SharedData {
    /// Returns the value of a key, and its version.
    ///
    /// # Errors
    ///
    /// There is no such key.
    fn get_shared_data(&self, key: &str) -> Result<(Vec<u8>, Version), Refused>;

    /// Sets the value of a key, if its version is still this one.
    ///
    /// # Errors
    ///
    /// It has another version by now.
    fn set_shared_data(&self, key: &str, value: &[u8], version: Version) -> Result<(), Refused>;
}

/// Metrics.
pub trait Metrics {
    /// Defines a counter, or finds it.
    ///
    /// # Errors
    ///
    /// The proxy did not define it.
    fn define_counter(&self, name: &str) -> Result<Counter, Refused>;

    /// Adds 1 to a counter.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn increment_metric(&self, counter: Counter) -> Result<(), Refused>;

    /// Defines a gauge, or finds it.
    ///
    /// # Errors
    ///
    /// The proxy did not define it.
    fn define_gauge(&self, name: &str) -> Result<Gauge, Refused>;

    /// Sets a gauge.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn record_metric(&self, gauge: Gauge, value: u64) -> Result<(), Refused>;
}

/// The proxy's log.
pub trait Log {
    /// Writes a warning, for operators.
    fn warn(&self, line: &str);
}

/// The header fields of a request: names in lower case, and values, in the order received.
pub type Fields = Vec<(String, Vec<u8>)>;

/// The request of the effective context, which is an HTTP filter's.
pub trait Requests {
    /// Returns the header fields, pseudo-header fields among them.
    fn get_request_headers(&self) -> Fields;

    /// Replaces all header fields of a name with one, or removes them.
    fn set_request_header(&self, name: &str, value: Option<&[u8]>);

    /// Returns what another of the filter's contexts [set](Properties::set_property), of this request or its connection.
    ///
    /// # Errors
    ///
    /// None did.
    fn get_own_property(&self, key: &str) -> Result<Vec<u8>, Refused>;

    /// Returns the number of the attempt to send the request, counted from 1.
    ///
    /// # Errors
    ///
    /// It is not being sent yet: the filter is not that of attempts.
    fn get_attempt(&self) -> Result<u64, Refused>;

    /// Sets where an `ORIGINAL_DST` cluster sends the request.
    ///
    /// # Errors
    ///
    /// The proxy did not accept it.
    fn set_request_destination(&self, to: &Endpoint) -> Result<(), Refused>;

    /// Has the proxy choose the route again, by properties that were set meanwhile.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn clear_route_cache(&self) -> Result<(), Refused>;

    /// Lets a request that was paused go on.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn resume_request(&self) -> Result<(), Refused>;

    /// Answers the request with a status and one header field: it goes no further.
    fn respond(&self, status: u16, name: &str, value: &str);
}

/// All of them.
pub trait Host: Clock + Properties + Downstream + Contexts + HttpCalls + SharedData + Metrics + Log + Requests {}

impl<T: Clock + Properties + Downstream + Contexts + HttpCalls + SharedData + Metrics + Log + Requests> Host for T {}
