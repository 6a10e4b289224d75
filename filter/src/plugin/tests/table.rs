//! A proxy of tables.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;
use crate::{
    endpoint::Endpoint,
    host::{
        Clock, Contexts, Counter, Downstream, End, Fields, Gauge, HttpCalls, Log, Metrics, Properties, Refused,
        Request, Requests, Response, SharedData, Version,
    },
};

/// A proxy that answers from tables, and fails on the calls named.
#[derive(Default)]
pub(super) struct Table {
    pub(super) effective: Cell<u32>,
    pub(super) source: &'static str,
    pub(super) destination: RefCell<String>,
    pub(super) upstream_source: &'static str,
    pub(super) failed_upstream: bool,
    /// How often it was queried for the source of an upstream connection.
    pub(super) queried: Cell<u64>,
    pub(super) time: Cell<u64>,
    /// How far each look at the clock moves it on.
    pub(super) step: u64,
    pub(super) failing: RefCell<&'static str>,
    pub(super) recorded: RefCell<Vec<String>>,
    pub(super) metrics: RefCell<BTreeMap<String, u64>>,
    pub(super) shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    pub(super) answer: RefCell<Option<(u16, String)>>,
    pub(super) requests: Cell<u32>,
    /// The header fields of the request that is the effective context.
    pub(super) fields: RefCell<Fields>,
    /// The attempt whose filter is asked; none where it is that of the request.
    pub(super) attempt: Cell<Option<u64>>,
    pub(super) own: RefCell<BTreeMap<String, String>>,
}

pub(super) const START: u64 = 1_790_000_000;

impl Table {
    pub(super) fn new(source: &'static str, destination: &str) -> Self {
        Self {
            source,
            destination: RefCell::new(destination.to_owned()),
            time: Cell::new(START * NS_PER_S),
            ..Self::default()
        }
    }

    pub(super) fn failing(self, failing: &'static str) -> Self {
        self.failing.replace(failing);
        self
    }

    pub(super) fn reply<T>(&self, call: &str, value: T) -> Result<T, Refused> {
        if self.failing.borrow().split(' ').any(|failing| failing == call) {
            Err(Refused)
        } else {
            Ok(value)
        }
    }

    pub(super) fn record(&self, call: &str, what: &str) -> Result<(), Refused> {
        self.reply(call, ())?;
        self.recorded
            .borrow_mut()
            .push(format!("{call} {what}").trim_end().to_owned());
        Ok(())
    }

    /// Returns what was recorded of this call.
    pub(super) fn calls(&self, call: &str) -> Vec<String> {
        self.recorded
            .borrow()
            .iter()
            .filter(|line| line.starts_with(call))
            .cloned()
            .collect()
    }

    pub(super) fn metric(&self, name: &str) -> u32 {
        let mut metrics = self.metrics.borrow_mut();
        metrics.entry(name.to_owned()).or_default();
        // Numbers are those of names, whatever comes between them later.
        u32::try_from(crc(name)).unwrap()
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        self.metrics.borrow().get(name).copied().unwrap_or(0)
    }

    pub(super) fn advance(&self, ms: u64) {
        self.time.set(self.time.get() + ms * NS_PER_MS);
    }
}

/// A short number of a name.
pub(super) fn crc(name: &str) -> u64 {
    name.bytes()
        .fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 4_000_000_007)
}

impl Clock for Table {
    fn get_current_time(&self) -> Result<u64, Refused> {
        self.time.set(self.time.get() + self.step);
        self.reply("time", self.time.get())
    }
}

impl Properties for Table {
    fn get_address(&self, end: End) -> Result<Endpoint, Refused> {
        let text = match end {
            End::Source => self.reply("source", self.source.to_owned()),
            End::Destination => self.reply("destination", self.destination.borrow().clone()),
            End::UpstreamSource => {
                self.queried.set(self.queried.get() + 1);
                self.reply("upstream_source", self.upstream_source.to_owned())
            }
        };
        Endpoint::parse(text?.as_bytes()).ok_or(Refused)
    }
    fn get_upstream_failure(&self) -> Result<bool, Refused> {
        self.reply("failed_upstream", self.failed_upstream)
    }
    fn set_property(&self, key: &str, value: &str) -> Result<(), Refused> {
        self.own.borrow_mut().insert(key.to_owned(), value.to_owned());
        self.record("property", &format!("{key}: {value}"))
    }
}

impl Downstream for Table {
    fn set_destination(&self, to: &Endpoint) -> Result<(), Refused> {
        self.record("set_destination", &to.to_string())
    }
    fn set_cluster(&self, name: &str) -> Result<(), Refused> {
        self.record("set_cluster", name)
    }
    fn reject(&self) -> Result<(), Refused> {
        self.record("close", &format!("{}", self.effective.get()))
    }
    fn resume(&self) -> Result<(), Refused> {
        self.record("resume", &format!("{}", self.effective.get()))
    }
}

impl Contexts for Table {
    fn set_effective_context(&self, context: ContextId) -> Result<(), Refused> {
        self.reply("show", ())?;
        self.effective.set(context.0);
        Ok(())
    }
    fn set_tick_period(&self, period_ms: u32) -> Result<(), Refused> {
        self.record("tick", &period_ms.to_string())
    }
}

impl HttpCalls for Table {
    fn http_call(&self, request: &Request<'_>) -> Result<Call, Refused> {
        let (path, wait, etag) = (request.path, request.wait_s, request.etag.unwrap_or("-"));
        self.record("fetch", &format!("{} {path} {etag} {wait}", request.cluster))?;
        self.requests.set(self.requests.get() + 1);
        Ok(Call(self.requests.get()))
    }
    fn http_call_response(&self) -> Result<Response, Refused> {
        let answer = self.answer.borrow();
        let (status, body) = answer.as_ref().ok_or(Refused)?;
        let etag = Some(format!("{:x}", crc(body)));
        self.reply("response", Response { status: *status, etag })
    }
    fn http_call_response_body(&self, max: usize) -> Result<Vec<u8>, Refused> {
        let answer = self.answer.borrow();
        let (_, body) = answer.as_ref().ok_or(Refused)?;
        self.reply("body", body.bytes().take(max).collect())
    }
}

impl SharedData for Table {
    fn get_shared_data(&self, key: &str) -> Result<(Vec<u8>, Version), Refused> {
        let shared = self.shared.borrow();
        let (value, version) = shared.get(key).ok_or(Refused)?;
        self.reply("shared", (value.clone(), Version(*version)))
    }
    fn set_shared_data(&self, key: &str, value: &[u8], version: Version) -> Result<(), Refused> {
        let mut shared = self.shared.borrow_mut();
        let entry = shared.entry(key.to_owned()).or_default();
        if entry.1 != version.0 {
            return Err(Refused);
        }
        *entry = (value.to_vec(), version.0 + 1);
        self.reply("share", ())
    }
}

impl Metrics for Table {
    fn define_counter(&self, name: &str) -> Result<Counter, Refused> {
        self.reply("counter", Counter(self.metric(name)))
    }
    fn increment_metric(&self, counter: Counter) -> Result<(), Refused> {
        self.reply("increment", ())?;
        let mut metrics = self.metrics.borrow_mut();
        let mut metrics = metrics.iter_mut();
        *metrics.find(|(name, _)| crc(name) == u64::from(counter.0)).unwrap().1 += 1;
        Ok(())
    }
    fn define_gauge(&self, name: &str) -> Result<Gauge, Refused> {
        self.reply("gauge", Gauge(self.metric(name)))
    }
    fn record_metric(&self, gauge: Gauge, value: u64) -> Result<(), Refused> {
        self.reply("record", ())?;
        let mut metrics = self.metrics.borrow_mut();
        let mut metrics = metrics.iter_mut();
        *metrics.find(|(name, _)| crc(name) == u64::from(gauge.0)).unwrap().1 = value;
        Ok(())
    }
}

impl Log for Table {
    fn warn(&self, line: &str) {
        self.recorded.borrow_mut().push(format!("log {line}"));
    }
}

impl Requests for Table {
    fn get_request_headers(&self) -> Fields {
        self.reply("headers", self.fields.borrow().clone()).unwrap_or_default()
    }
    fn set_request_header(&self, name: &str, value: Option<&[u8]>) {
        let mut fields = self.fields.borrow_mut();
        fields.retain(|(own, _)| own != name);
        fields.extend(value.map(|value| (name.to_owned(), value.to_vec())));
    }
    fn get_own_property(&self, key: &str) -> Result<Vec<u8>, Refused> {
        let own = self.own.borrow().get(key).cloned().ok_or(Refused)?;
        self.reply("own", own.into_bytes())
    }
    fn get_attempt(&self) -> Result<u64, Refused> {
        self.reply("attempt", self.attempt.get().ok_or(Refused)?)
    }
    fn set_request_destination(&self, to: &Endpoint) -> Result<(), Refused> {
        self.record("set_destination", &to.to_string())
    }
    fn clear_route_cache(&self) -> Result<(), Refused> {
        self.record("route", "")
    }
    fn resume_request(&self) -> Result<(), Refused> {
        self.record("go_on", &format!("{}", self.effective.get()))
    }
    fn respond(&self, status: u16, name: &str, value: &str) {
        self.record("respond", &format!("{status} {name}: {value}")).unwrap();
    }
}
