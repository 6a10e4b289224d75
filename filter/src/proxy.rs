//! What the filter asks of the proxy that runs it.

use crate::endpoint::Endpoint;

/// A counter's number in the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(pub u32);

/// A gauge's number in the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge(pub u32);

/// The number of a connection in the proxy, or of the plugin itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u32);

/// The number of a question that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(pub u32);

/// Which version of shared data was read. What is written over another is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version(pub u32);

/// A question for a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The proxy's cluster.
    pub cluster: &'a str,
    /// The path there.
    pub path: &'a str,
    /// The name of the snapshot that is here: only another one is of interest.
    pub etag: Option<&'a str>,
    /// How long the answer may wait for another one, in seconds.
    pub wait_s: u16,
    /// How long the proxy waits for the answer, in milliseconds.
    pub timeout_ms: u32,
}

/// An answer.
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

/// The proxy, while it shows one connection to the filter. Any call may fail.
pub trait Proxy {
    /// Returns the time in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// The proxy does not say.
    fn time(&self) -> Result<u64, Refused>;

    /// Returns the address and port of an end.
    ///
    /// # Errors
    ///
    /// The proxy does not say, or says something else.
    fn endpoint(&self, end: End) -> Result<Endpoint, Refused>;

    /// Sets a value that access logs and later filters find as `wasm.KEY`, the former by `%FILTER_STATE(wasm.KEY:PLAIN)%`.
    ///
    /// # Errors
    ///
    /// The proxy did not take it.
    fn note(&self, key: &str, value: &str) -> Result<(), Refused>;

    /// Sets where an `ORIGINAL_DST` cluster connects to.
    ///
    /// # Errors
    ///
    /// The proxy did not take it.
    fn set_destination(&self, to: &Endpoint) -> Result<(), Refused>;

    /// Sets the cluster that a `tcp_proxy` uses.
    ///
    /// # Errors
    ///
    /// The proxy did not take it.
    fn set_cluster(&self, name: &str) -> Result<(), Refused>;

    /// Closes the connection.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn close(&self) -> Result<(), Refused>;

    /// Lets a connection that was stopped go on.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn resume(&self) -> Result<(), Refused>;

    /// Shows another connection from now on, or the plugin itself.
    ///
    /// # Errors
    ///
    /// It is gone.
    fn show(&self, context: ContextId) -> Result<(), Refused>;

    /// Says whether the connection ended because the proxy could not connect upstream.
    ///
    /// # Errors
    ///
    /// The proxy does not say.
    fn failed_upstream(&self) -> Result<bool, Refused>;

    /// Has the proxy call again and again, with this pause in milliseconds.
    ///
    /// # Errors
    ///
    /// The proxy did not take it.
    fn tick(&self, pause_ms: u32) -> Result<(), Refused>;

    /// Asks for a snapshot. The proxy calls when there is an answer, or none in time.
    ///
    /// # Errors
    ///
    /// The proxy cannot, such as for want of the cluster.
    fn fetch(&self, request: &Request<'_>) -> Result<Call, Refused>;

    /// Returns what the answer says of itself.
    ///
    /// # Errors
    ///
    /// There was none.
    fn response(&self) -> Result<Response, Refused>;

    /// Returns what the answer brings, `most` bytes of it.
    ///
    /// # Errors
    ///
    /// The proxy does not say.
    fn body(&self, most: usize) -> Result<Vec<u8>, Refused>;

    /// Returns data that the VMs of this process share.
    ///
    /// # Errors
    ///
    /// There are none of this name.
    fn shared(&self, key: &str) -> Result<(Vec<u8>, Version), Refused>;

    /// Sets data that the VMs of this process share.
    ///
    /// # Errors
    ///
    /// They are of another version by now.
    fn share(&self, key: &str, value: &[u8], version: Version) -> Result<(), Refused>;

    /// Defines a gauge, or finds it.
    ///
    /// # Errors
    ///
    /// The proxy has none.
    fn gauge(&self, name: &str) -> Result<Gauge, Refused>;

    /// Sets a gauge.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn record(&self, gauge: Gauge, value: u64) -> Result<(), Refused>;

    /// Defines a counter, or finds it.
    ///
    /// # Errors
    ///
    /// The proxy has none.
    fn counter(&self, name: &str) -> Result<Counter, Refused>;

    /// Adds 1 to a counter.
    ///
    /// # Errors
    ///
    /// The proxy did not do it.
    fn increment(&self, counter: Counter) -> Result<(), Refused>;

    /// Writes a line to the proxy's log, for operators.
    fn log(&self, line: &str);
}
