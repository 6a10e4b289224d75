//! What the filter asks of the proxy that runs it.

/// A counter's number in the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(pub u32);

/// The proxy's refusal or inability. What it was is the proxy's own matter and in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// The end of a connection that an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who connects.
    Source,
    /// Where to, before any redirection.
    Destination,
}

/// The proxy, while it shows one connection to the filter. Any call may fail.
pub trait Proxy {
    /// Returns the time in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// The proxy does not say.
    fn time(&self) -> Result<u64, Refused>;

    /// Returns the address of an end, as text.
    ///
    /// # Errors
    ///
    /// The proxy does not say.
    fn address(&self, end: End) -> Result<Vec<u8>, Refused>;

    /// Sets a value that access logs show as `%FILTER_STATE(wasm.KEY:PLAIN)%`.
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
    fn set_destination(&self, address: &str) -> Result<(), Refused>;

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
