//! What the filter asks of the proxy that runs it: a trait for each thing that it serves.
//!
//! Methods have the names of the ABI's host calls, but for those of [`Downstream`], which stands for calls that differ
//! between kinds of contexts.

use crate::endpoint::Endpoint;

/// Nanoseconds, in which the proxy tells the time, of a millisecond.
pub(crate) const NS_PER_MS: u64 = 1_000_000;

/// Nanoseconds of a second.
pub(crate) const NS_PER_S: u64 = 1_000_000_000;

/// A counter's number in the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(pub u32);

/// A gauge's number in the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge(pub u32);

/// The number of a connection in the proxy, or of the plugin itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u32);

/// The number of an HTTP call that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(pub u32);

/// Which version of shared data was read. What is written over another is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version(pub u32);

/// A request for a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The proxy's cluster.
    pub cluster: &'a str,
    /// The path there.
    pub path: &'a str,
    /// The name of the snapshot that is here: only another one is of interest.
    pub etag: Option<&'a str>,
    /// How long the response may wait for another one, in seconds.
    pub wait_s: u32,
    /// How long the proxy waits for the response, in milliseconds.
    pub timeout_ms: u32,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status, such as 200.
    pub status: u16,
    /// The name of the snapshot.
    pub etag: Option<String>,
}

/// The proxy's refusal or inability. What it was is the proxy's own matter and in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// An address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who connects.
    Source,
    /// Where to, before any redirection.
    Destination,
    /// From where the proxy itself connects upstream, once it has.
    UpstreamSource,
}

/// The clock.
pub trait Clock {
    /// Returns the time in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// The proxy does not say.
    fn get_current_time(&self) -> Result<u64, Refused>;
}

/// Properties of the effective context's connection: what Envoy calls its attributes, and filter state.
pub trait Properties {
    /// Returns the address and port of an end.
    ///
    /// # Errors
    ///
    /// The proxy does not provide it, or provides something else.
    fn get_address(&self, end: End) -> Result<Endpoint, Refused>;

    /// Says whether the connection ended because the proxy could not connect upstream.
    ///
    /// # Errors
    ///
    /// The proxy does not say.
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

/// Contexts, and when the plugin is called.
pub trait Contexts {
    /// Makes host calls about another connection from now on, or about the plugin itself.
    ///
    /// # Errors
    ///
    /// It is gone.
    fn set_effective_context(&self, context: ContextId) -> Result<(), Refused>;

    /// Has the proxy call again and again, with this pause in milliseconds.
    ///
    /// # Errors
    ///
    /// The proxy did not take it.
    fn set_tick_period(&self, period_ms: u32) -> Result<(), Refused>;
}

/// HTTP calls of the plugin's own.
pub trait HttpCalls {
    /// Asks for a snapshot. The proxy calls back when there is a response, or none in time.
    ///
    /// # Errors
    ///
    /// The proxy cannot, such as for want of the cluster.
    fn http_call(&self, request: &Request<'_>) -> Result<Call, Refused>;

    /// Returns what the response says of itself.
    ///
    /// # Errors
    ///
    /// It says nothing of use.
    fn http_call_response(&self) -> Result<Response, Refused>;

    /// Returns what the response brings, `max` bytes of it.
    ///
    /// # Errors
    ///
    /// The proxy does not say.
    fn http_call_response_body(&self, max: usize) -> Result<Vec<u8>, Refused>;
}

/// Data that the VMs of this process share.
pub trait SharedData {
    /// Returns what a key stands for.
    ///
    /// # Errors
    ///
    /// There is nothing of this name.
    fn get_shared_data(&self, key: &str) -> Result<(Vec<u8>, Version), Refused>;

    /// Sets what a key stands for.
    ///
    /// # Errors
    ///
    /// It is of another version by now.
    fn set_shared_data(&self, key: &str, value: &[u8], version: Version) -> Result<(), Refused>;
}

/// Metrics.
pub trait Metrics {
    /// Defines a counter, or finds it.
    ///
    /// # Errors
    ///
    /// The proxy has none.
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
    /// The proxy has none.
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

/// All of it, as the contexts of connections need it.
pub trait Host: Clock + Properties + Downstream + Contexts + HttpCalls + SharedData + Metrics + Log {}

impl<T: Clock + Properties + Downstream + Contexts + HttpCalls + SharedData + Metrics + Log> Host for T {}
