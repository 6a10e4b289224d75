//! A proxy as the filter sees it: tables of results, and records of its calls.

use std::collections::BTreeMap;

/// A status of proxy-wasm's; zero is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

impl Status {
    pub(crate) const NOT_FOUND: Self = Self(1);
    pub(crate) const BAD_ARGUMENT: Self = Self(2);
    pub(crate) const INVALID_MEMORY_ACCESS: Self = Self(6);
    pub(crate) const CAS_MISMATCH: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
}

/// How a host call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It fails with this status, and does nothing.
    Status(u32),
    /// It succeeds, and writes no answer.
    Unwritten,
    /// It succeeds with a null pointer and this length.
    Null(u32),
    /// It succeeds with these octets.
    Octets(&'static [u8]),
    /// It succeeds with a mebibyte of text.
    Huge,
    /// It succeeds with this number.
    Number(u64),
}

/// Which calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The call of this number, from 0, since the module was loaded; its name while all goes well.
    Nth(usize, &'static str),
    /// Every call of this name.
    Named(&'static str),
}

/// What an answer consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A status alone.
    Nothing,
    /// A number.
    Number,
    /// Octets.
    Octets,
    /// Header fields, which Envoy writes well-formed or not at all.
    Fields,
}

/// A connection, or a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    /// The header fields, of a request.
    pub(crate) fields: Option<Vec<(String, Vec<u8>)>>,
    /// The status that the filter answered a request with, and one header field.
    pub(crate) answer: Option<(u32, String, String)>,
    /// Properties, by their parts joined with `.`.
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
    /// What the filter set: `wasm.KEY` in access logs.
    pub(crate) filter_state: BTreeMap<String, String>,
    /// Filter states: path to value and span.
    pub(crate) states: BTreeMap<String, (String, u8)>,
    /// Whether the filters after this one were let see it.
    pub(crate) admitted: bool,
    /// Whether the filter closed it.
    pub(crate) closed: bool,
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    /// 0 counter, 1 gauge, 2 histogram.
    pub(crate) kind: u32,
    pub(crate) name: String,
    pub(crate) value: u64,
}

/// A request of the filter's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpCall {
    pub(crate) token: u32,
    pub(crate) cluster: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout_ms: u32,
    /// When it fails for want of an answer, in nanoseconds since 1970.
    pub(crate) until: u64,
}

/// An answer to such a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpResponse {
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// The plugin's configuration.
    pub(crate) configuration: Vec<u8>,
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    /// By how many each look at the clock moves it.
    pub(crate) clock_step: u64,
    pub(crate) connections: BTreeMap<u32, Connection>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) log: Vec<String>,
    /// Requests that were not answered yet.
    pub(crate) http_calls: Vec<HttpCall>,
    /// The response of the callback that runs.
    pub(crate) http_response: Option<HttpResponse>,
    /// How many requests there were.
    pub(crate) requests: u32,
    /// The milliseconds between ticks.
    pub(crate) tick_ms: Option<u32>,
    pub(crate) shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    /// The context that host calls are about.
    pub(crate) context: u32,
    /// The calls that fail, and how.
    pub(crate) fault: Option<(Which, How)>,
    /// The host calls so far: each one's name and the kind of its answer.
    pub(crate) trace: Vec<(&'static str, Kind)>,
    /// How many there were, also while they are not kept.
    pub(crate) calls: usize,
    /// Whether the trace is not kept.
    pub(crate) forgetful: bool,
}

impl World {
    /// Returns empty tables at a time.
    pub(crate) fn at(time: u64) -> Self {
        Self {
            time,
            ..Self::default()
        }
    }

    /// Returns all texts that the filter wrote.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &String> {
        let filter_state = self
            .connections
            .values()
            .flat_map(|connection| connection.filter_state.values());
        let headers = self.http_calls.iter().flat_map(|call| &call.headers);
        let metrics = self.metrics.iter().map(|metric| &metric.name);
        self.log
            .iter()
            .chain(filter_state)
            .chain(headers.map(|(_, value)| value))
            .chain(metrics)
    }

    /// Returns the connection that host calls are about.
    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.connections.get_mut(&self.context)
    }

    /// Records a call, and returns how it fails.
    pub(crate) fn enter(&mut self, name: &'static str, kind: Kind) -> Option<How> {
        let number = self.calls;
        self.calls += 1;
        if !self.forgetful {
            self.trace.push((name, kind));
        }
        match self.fault {
            Some((Which::Nth(wrong, _), how)) if wrong == number => Some(how),
            Some((Which::Named(wrong), how)) if wrong == name => Some(how),
            _ => None,
        }
    }
}
