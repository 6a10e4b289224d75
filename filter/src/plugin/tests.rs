//! Plugins under a proxy of tables.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;
use crate::proxy::{Counter, Gauge, Request, Response, Version};
use crate::works::MOST_RUNNING;

/// A proxy that answers from tables, and fails on the calls named.
#[derive(Default)]
struct Table {
    shown: Cell<u32>,
    source: &'static str,
    destination: RefCell<String>,
    upstream_source: &'static str,
    failed_upstream: bool,
    time: Cell<u64>,
    /// How far each look at the clock moves it on.
    step: u64,
    failing: RefCell<&'static str>,
    told: RefCell<Vec<String>>,
    metrics: RefCell<BTreeMap<String, u64>>,
    shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    answer: RefCell<Option<(u16, String)>>,
    calls: Cell<u32>,
}

const START: u64 = 1_790_000_000;

impl Table {
    fn new(source: &'static str, destination: &str) -> Self {
        Self {
            source,
            destination: RefCell::new(destination.to_owned()),
            time: Cell::new(START * NS_PER_S),
            ..Self::default()
        }
    }

    fn failing(self, failing: &'static str) -> Self {
        self.failing.replace(failing);
        self
    }

    fn answer<T>(&self, call: &str, value: T) -> Result<T, Refused> {
        if self.failing.borrow().split(' ').any(|failing| failing == call) {
            Err(Refused)
        } else {
            Ok(value)
        }
    }

    fn tell(&self, call: &str, what: &str) -> Result<(), Refused> {
        self.answer(call, ())?;
        self.told
            .borrow_mut()
            .push(format!("{call} {what}").trim_end().to_owned());
        Ok(())
    }

    /// Returns what was told by this call.
    fn told(&self, call: &str) -> Vec<String> {
        self.told
            .borrow()
            .iter()
            .filter(|line| line.starts_with(call))
            .cloned()
            .collect()
    }

    fn metric(&self, name: &str) -> u32 {
        let mut metrics = self.metrics.borrow_mut();
        metrics.entry(name.to_owned()).or_default();
        // Numbers are those of names, whatever comes between them later.
        u32::try_from(crc(name)).unwrap()
    }

    fn count(&self, name: &str) -> u64 {
        self.metrics.borrow().get(name).copied().unwrap_or(0)
    }

    fn pass(&self, ms: u64) {
        self.time.set(self.time.get() + ms * NS_PER_MS);
    }
}

/// A short number of a name.
fn crc(name: &str) -> u64 {
    name.bytes()
        .fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 4_000_000_007)
}

impl Proxy for Table {
    fn time(&self) -> Result<u64, Refused> {
        self.time.set(self.time.get() + self.step);
        self.answer("time", self.time.get())
    }
    fn endpoint(&self, end: End) -> Result<Endpoint, Refused> {
        let text = match end {
            End::Source => self.answer("source", self.source.to_owned()),
            End::Destination => self.answer("destination", self.destination.borrow().clone()),
            End::UpstreamSource => self.answer("upstream_source", self.upstream_source.to_owned()),
        };
        Endpoint::parse(text?.as_bytes()).ok_or(Refused)
    }
    fn note(&self, key: &str, value: &str) -> Result<(), Refused> {
        self.tell("note", &format!("{key}: {value}"))
    }
    fn set_destination(&self, to: &Endpoint) -> Result<(), Refused> {
        self.tell("set_destination", &to.to_string())
    }
    fn set_cluster(&self, name: &str) -> Result<(), Refused> {
        self.tell("set_cluster", name)
    }
    fn close(&self) -> Result<(), Refused> {
        self.tell("close", &format!("{}", self.shown.get()))
    }
    fn resume(&self) -> Result<(), Refused> {
        self.tell("resume", &format!("{}", self.shown.get()))
    }
    fn show(&self, context: ContextId) -> Result<(), Refused> {
        self.answer("show", ())?;
        self.shown.set(context.0);
        Ok(())
    }
    fn failed_upstream(&self) -> Result<bool, Refused> {
        self.answer("failed_upstream", self.failed_upstream)
    }
    fn tick(&self, pause_ms: u32) -> Result<(), Refused> {
        self.tell("tick", &pause_ms.to_string())
    }
    fn fetch(&self, request: &Request<'_>) -> Result<Call, Refused> {
        let (path, wait, etag) = (request.path, request.wait_s, request.etag.unwrap_or("-"));
        self.tell("fetch", &format!("{} {path} {etag} {wait}", request.cluster))?;
        self.calls.set(self.calls.get() + 1);
        Ok(Call(self.calls.get()))
    }
    fn response(&self) -> Result<Response, Refused> {
        let answer = self.answer.borrow();
        let (status, body) = answer.as_ref().ok_or(Refused)?;
        let etag = Some(format!("{:x}", crc(body)));
        self.answer("response", Response { status: *status, etag })
    }
    fn body(&self, most: usize) -> Result<Vec<u8>, Refused> {
        let answer = self.answer.borrow();
        let (_, body) = answer.as_ref().ok_or(Refused)?;
        self.answer("body", body.bytes().take(most).collect())
    }
    fn shared(&self, key: &str) -> Result<(Vec<u8>, Version), Refused> {
        let shared = self.shared.borrow();
        let (value, version) = shared.get(key).ok_or(Refused)?;
        self.answer("shared", (value.clone(), Version(*version)))
    }
    fn share(&self, key: &str, value: &[u8], version: Version) -> Result<(), Refused> {
        let mut shared = self.shared.borrow_mut();
        let entry = shared.entry(key.to_owned()).or_default();
        if entry.1 != version.0 {
            return Err(Refused);
        }
        *entry = (value.to_vec(), version.0 + 1);
        self.answer("share", ())
    }
    fn counter(&self, name: &str) -> Result<Counter, Refused> {
        self.answer("counter", Counter(self.metric(name)))
    }
    fn increment(&self, counter: Counter) -> Result<(), Refused> {
        self.answer("increment", ())?;
        let mut metrics = self.metrics.borrow_mut();
        let mut metrics = metrics.iter_mut();
        *metrics.find(|(name, _)| crc(name) == u64::from(counter.0)).unwrap().1 += 1;
        Ok(())
    }
    fn gauge(&self, name: &str) -> Result<Gauge, Refused> {
        self.answer("gauge", Gauge(self.metric(name)))
    }
    fn record(&self, gauge: Gauge, value: u64) -> Result<(), Refused> {
        self.answer("record", ())?;
        let mut metrics = self.metrics.borrow_mut();
        let mut metrics = metrics.iter_mut();
        *metrics.find(|(name, _)| crc(name) == u64::from(gauge.0)).unwrap().1 = value;
        Ok(())
    }
    fn log(&self, line: &str) {
        self.told.borrow_mut().push(format!("log {line}"));
    }
}

const INBOUND: &str = r#"{"role": "inbound", "demote_cluster": "slow", "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=src[64:128]"], "ports": [80]}]}"#;
const OUTBOUND: &str = r#"{"role": "outbound", "source": "2001:db8::7", "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=src[64:128]"], "addresses": ["2001:db8:6::1"]}]}"#;
const SOURCE: &str = "[2001:db8::7]:40000";

const ROOT: ContextId = ContextId(1);
const ONE: ContextId = ContextId(2);

fn plugin(config: &str, table: &Table) -> Plugin {
    Plugin::new(Config::from_json(config.as_bytes()).unwrap(), table, ROOT, None)
}

fn run(config: &str, table: &Table) -> Next {
    plugin(config, table).on_new_connection(ONE, table)
}

/// The configurations above with a snapshot instead of services.
const SUBSCRIBED_IN: &str =
    r#"{"role": "inbound", "snapshot": {"cluster": "shim"}, "hold": {"connections": 3, "ms": 500}}"#;
const SUBSCRIBED_OUT: &str = r#"{"role": "outbound", "source": "2001:db8::7", "snapshot": {"cluster": "shim",
    "wait_s": 5}, "hold": {"connections": 3, "ms": 500}}"#;

fn snapshot(generation: &str, rule: &str, extra: &str) -> String {
    format!(
        r#"{{"version": 1, "generation": "{generation}"{extra}, "services": [{{"name": "web",
            "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["{rule}"],
            "secrets": {{"k1": {{"secret": "00112233445566778899aabbccddeeff"}}}}, OWN}}]}}"#
    )
}

/// Answers the question that is on its way.
fn respond(plugin: &mut Plugin, table: &Table, status: u16, body: &str) {
    table.answer.replace(Some((status, body.to_owned())));
    plugin.on_response(Call(table.calls.get()), table);
}

fn inbound_snapshot(generation: &str, extra: &str) -> String {
    snapshot(generation, "v=ssa1; addr=mac(src/128):64; key=k1", extra).replace("OWN", r#""ports": [80]"#)
}

fn outbound_snapshot(generation: &str, rule: &str) -> String {
    snapshot(generation, rule, "").replace("OWN", r#""addresses": ["2001:db8:6::1"]"#)
}

#[test]
fn conforming_connections_pass_with_one_note_and_one_count() {
    let table = Table::new(SOURCE, "[2001:db8:5::7]:80");
    assert_eq!(run(INBOUND, &table), Next::Continue);
    assert_eq!(
        *table.told.borrow(),
        ["note ssa: service=web verdict=conforming outcome=allowed generation=-"]
    );
    let name = "ssa_inbound_connections_total.service.web.verdict.conforming.outcome.allowed";
    assert_eq!(*table.metrics.borrow(), BTreeMap::from([(name.to_owned(), 1)]));
}

#[test]
fn violations_are_closed_logged_and_counted_with_their_part() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    assert_eq!(run(INBOUND, &table), Next::Stop);
    assert_eq!(table.told("close").len(), 1);
    assert_eq!(
        table.told("note"),
        [
            "note ssa: service=web verdict=violation part=field_0 outcome=denied generation=-",
            "note ssa_outcome: denied",
        ]
    );
    assert_eq!(
        table.told("log"),
        ["log denied: violation of field_0: service web: [2001:db8::7]:40000 to [2001:db8:5::8]:80"]
    );
    assert_eq!(table.count("ssa_inbound_violations_total.service.web.part.field_0"), 1);
}

#[test]
fn demoted_connections_use_the_other_cluster() {
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    assert_eq!(run(INBOUND, &table), Next::Continue);
    assert_eq!(table.told("set_cluster"), ["set_cluster slow"]);
    assert_eq!(table.told("note")[1], "note ssa_outcome: demoted");
    let failing = Table::new(SOURCE, "[2001:db8:6::1]:80").failing("set_cluster");
    assert_eq!(run(INBOUND, &failing), Next::Stop);
}

#[test]
fn nothing_unread_comes_in_whatever_call_fails() {
    for failing in ["time", "source", "destination", "time source destination note counter"] {
        let table = Table::new(SOURCE, "[2001:db8:5::7]:80").failing(failing);
        assert_eq!(run(INBOUND, &table), Next::Stop, "{failing}");
    }
    for failing in ["note", "counter", "increment", "note counter shared share"] {
        let good = Table::new(SOURCE, "[2001:db8:5::7]:80").failing(failing);
        assert_eq!(run(INBOUND, &good), Next::Continue, "{failing}");
        let bad = Table::new(SOURCE, "[2001:db8:5::8]:80").failing(failing);
        assert_eq!(run(INBOUND, &bad), Next::Stop, "{failing}");
    }
    for odd in ["", "/run/x", "envoy://internal", "[::1]"] {
        assert_eq!(run(INBOUND, &Table::new(SOURCE, odd)), Next::Stop, "{odd:?}");
    }
}

#[test]
fn a_connection_that_cannot_be_closed_stays_stopped_until_it_can() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80").failing("close");
    let mut plugin = plugin(INBOUND, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Next::Stop);
    assert_eq!(plugin.on_data(ONE), Next::Stop);
    plugin.on_tick(&table);
    assert_eq!(plugin.on_data(ONE), Next::Stop);
    table.failing.replace("");
    plugin.on_tick(&table);
    assert_eq!(table.told("close"), ["close 2"]);
    assert_eq!(plugin.on_data(ONE), Next::Continue);
    assert!(table.told("resume").is_empty());
}

#[test]
fn outbound_sets_the_composed_destination() {
    let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    assert_eq!(run(OUTBOUND, &table), Next::Continue);
    assert_eq!(table.told("set_destination"), ["set_destination [2001:db8:5::7]:80"]);
    assert_eq!(
        table.told("note"),
        ["note ssa: service=web outcome=composed generation=-"]
    );
}

#[test]
fn outbound_goes_on_whatever_call_fails() {
    for failing in [
        "time",
        "source",
        "destination",
        "set_destination",
        "note",
        "counter",
        "increment",
        "shared",
        "share",
        "tick",
    ] {
        let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80").failing(failing);
        assert_eq!(run(OUTBOUND, &table), Next::Continue, "{failing}");
    }
}

#[test]
fn log_lines_are_rare_and_say_what_they_hold_back() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(INBOUND, &table);
    for number in 2..27 {
        plugin.on_new_connection(ContextId(number), &table);
    }
    assert_eq!(table.told("log").len(), 10);
    table.pass(1000);
    plugin.on_new_connection(ContextId(30), &table);
    let lines = table.told("log");
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[10], "log 15 lines like the following were held back");
}

#[test]
fn counters_of_unsaid_services_are_apart() {
    let table = Table::new(SOURCE, "[2001:db8:9::1]:9");
    assert_eq!(run(INBOUND, &table), Next::Stop);
    let name = "ssa_inbound_connections_total.service.-.verdict.unclaimed.outcome.denied";
    assert_eq!(table.count(name), 1);
}

#[test]
fn connections_wait_for_the_first_snapshot_and_are_then_judged() {
    let rule = "v=ssa1; addr=mac(src/128):64; key=k1";
    let client = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    let mut outbound = plugin(SUBSCRIBED_OUT, &client);
    assert_eq!(outbound.on_new_connection(ONE, &client), Next::Stop);
    assert_eq!(outbound.on_data(ONE), Next::Stop);
    outbound.on_tick(&client);
    assert_eq!(client.told("fetch"), ["fetch shim /v1/outbound - 0"]);
    assert_eq!(client.count("ssa_outbound_held_connections"), 1);
    respond(&mut outbound, &client, 200, &outbound_snapshot("g1", rule));
    assert_eq!(client.told("resume"), ["resume 2"]);
    assert_eq!(outbound.on_data(ONE), Next::Continue);
    let told = client.told("set_destination");
    let destination = told[0].strip_prefix("set_destination ").unwrap();

    let server = Table::new(SOURCE, destination);
    let mut inbound = plugin(SUBSCRIBED_IN, &server);
    assert_eq!(inbound.on_new_connection(ONE, &server), Next::Stop);
    inbound.on_tick(&server);
    respond(&mut inbound, &server, 200, &inbound_snapshot("g1", ""));
    assert_eq!(server.told("resume"), ["resume 2"]);
    server.destination.replace("[2001:db8:5::8]:80".to_owned());
    assert_eq!(inbound.on_new_connection(ContextId(3), &server), Next::Stop);
    assert!(server.told("note").iter().any(|note| note.ends_with("generation=g1")));
    // The held one is gone from the gauge with the next tick.
    inbound.on_tick(&server);
    assert_eq!(server.count("ssa_inbound_held_connections"), 0);
}

#[test]
fn held_connections_that_do_not_conform_are_closed() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Next::Stop);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(table.told("close"), ["close 2"]);
    assert!(table.told("resume").is_empty());
}

#[test]
fn holding_is_bounded_in_number_and_time() {
    let released = SUBSCRIBED_IN.replace(r#""shim""#, r#""shim", "missing": "release""#);
    for (config, last, call) in [
        (SUBSCRIBED_IN, Next::Stop, "close"),
        (&released, Next::Continue, "resume"),
    ] {
        let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
        let mut plugin = plugin(config, &table);
        for number in 2..5 {
            assert_eq!(plugin.on_new_connection(ContextId(number), &table), Next::Stop);
        }
        assert!(table.told("close").is_empty());
        assert_eq!(plugin.on_new_connection(ContextId(5), &table), last, "a fourth");
        table.pass(499);
        plugin.on_tick(&table);
        assert!(table.told(call).len() < 2);
        table.pass(1);
        plugin.on_tick(&table);
        assert!(table.told(call).len() >= 3, "{:?}", table.told(call));
        let notes = table.told("note ssa:");
        assert_eq!(notes.len(), 4);
        assert!(notes.iter().all(|note| note.contains("verdict=no_snapshot")));
    }
}

#[test]
fn outbound_releases_by_default_and_refuses_on_demand() {
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    let none = SUBSCRIBED_OUT.replace(r#""connections": 3"#, r#""connections": 0"#);
    assert_eq!(run(&none, &table), Next::Continue);
    assert_eq!(
        table.told("note"),
        ["note ssa: service=- outcome=no_snapshot generation=-"]
    );
    let refused = none.replace(r#""wait_s""#, r#""missing": "refuse", "wait_s""#);
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    assert_eq!(run(&refused, &table), Next::Stop);
    assert_eq!(
        table.count("ssa_outbound_connections_total.service.-.outcome.refused"),
        1
    );
}

#[test]
fn many_held_connections_are_let_go_bit_by_bit() {
    let config = SUBSCRIBED_IN.replace(r#""connections": 3"#, r#""connections": 1000"#);
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(&config, &table);
    for number in 2..702 {
        assert_eq!(plugin.on_new_connection(ContextId(number), &table), Next::Stop);
    }
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(table.told("close").len(), 256);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(table.told("close").len(), 700);
}

#[test]
fn one_callback_lets_go_a_bounded_number_whatever_is_due() {
    let config = SUBSCRIBED_IN.replace(r#""connections": 3"#, r#""connections": 1000"#);
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80").failing("close");
    let mut plugin = plugin(&config, &table);
    for number in 2..402 {
        plugin.on_new_connection(ContextId(number), &table);
    }
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    // 256 of them wait for being closed again, 144 for being judged: all of it is due.
    table.failing.replace("");
    plugin.on_tick(&table);
    assert_eq!(table.told("close").len(), 256);
    plugin.on_tick(&table);
    assert_eq!(table.told("close").len(), 400);
}

#[test]
fn lines_of_every_kind_share_one_limit() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(INBOUND, &table);
    for number in 2..42 {
        table.failing.replace(if number % 2 == 0 { "source" } else { "" });
        plugin.on_new_connection(ContextId(number), &table);
    }
    assert_eq!(table.told("log").len(), 10);
    table.pass(1000);
    plugin.on_new_connection(ContextId(50), &table);
    assert_eq!(table.told("log").len(), 12, "the next second has lines of its own");
}

#[test]
fn works_are_bounded_in_number() {
    let services: Vec<String> = (0..=MOST_RUNNING)
        .map(|number| {
            format!(
                r#"{{"name": "s{number}", "apl": "2:2001:db8:{:x}::/64", "rules": ["v=ssa1; addr=rand:64; pow=24"],
                    "addresses": ["2001:db8:6::{number:x}"]}}"#,
                number + 0x1000
            )
        })
        .collect();
    let config = format!(
        r#"{{"role": "outbound", "source": "2001:db8::7", "services": [{}]}}"#,
        services.join(",")
    );
    let table = Table {
        step: NS_PER_MS,
        ..Table::new(SOURCE, "")
    };
    let mut plugin = plugin(&config, &table);
    for number in 0..=MOST_RUNNING {
        table.destination.replace(format!("[2001:db8:6::{number:x}]:80"));
        let next = plugin.on_new_connection(ContextId(u32::try_from(number).unwrap() + 2), &table);
        let expected = if number < MOST_RUNNING {
            Next::Stop
        } else {
            Next::Continue
        };
        assert_eq!(next, expected, "task {number}");
    }
    assert_eq!(table.told("log"), ["log more than 64 proofs of work at once"]);
}

#[test]
fn kill_switch_works_on_what_runs() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(plugin.on_new_connection(ONE, &table), Next::Stop);
    table.pass(2000);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g2", r#", "off": true"#));
    assert_eq!(plugin.on_new_connection(ContextId(3), &table), Next::Continue);
    assert_eq!(
        table.told("note").last().unwrap(),
        "note ssa: service=web verdict=unverified outcome=allowed generation=g2"
    );
}

#[test]
fn what_is_no_snapshot_changes_nothing() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    for (status, body) in [(200, "{"), (200, r#"{"version": 2}"#), (500, ""), (204, ""), (200, "")] {
        table.pass(2000);
        plugin.on_tick(&table);
        respond(&mut plugin, &table, status, body);
    }
    table.pass(2000);
    plugin.on_tick(&table);
    // Asked for by the name of the bad one: it is not fetched again and again.
    assert_eq!(
        *table.told("fetch").last().unwrap(),
        format!("fetch shim /v1/inbound {:x} 30", crc(""))
    );
    respond(&mut plugin, &table, 304, "");
    table.pass(2000);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(plugin.on_new_connection(ONE, &table), Next::Stop);
    for (outcome, count) in [("installed", 1), ("refused", 4), ("failed", 2), ("unchanged", 1)] {
        let name = format!("ssa_inbound_snapshots_total.outcome.{outcome}");
        assert_eq!(table.count(&name), count, "{outcome}");
    }
    let refused = table.told("log inbound snapshot refused");
    assert_eq!(
        refused,
        ["log inbound snapshot refused: not JSON at line 1, column 1"],
        "one line for all"
    );
}

#[test]
fn snapshots_are_asked_for_by_their_name_and_seldom() {
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    let mut plugin = plugin(SUBSCRIBED_OUT, &table);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(table.told("fetch").len(), 1, "one question at a time");
    let body = outbound_snapshot("g1", "v=ssa1; addr=rand:64");
    respond(&mut plugin, &table, 200, &body);
    table.pass(999);
    plugin.on_tick(&table);
    assert_eq!(table.told("fetch").len(), 1);
    table.pass(1);
    plugin.on_tick(&table);
    assert_eq!(
        table.told("fetch")[1],
        format!("fetch shim /v1/outbound {:x} 5", crc(&body))
    );
    table.pass(7000);
    plugin.on_tick(&table);
    assert_eq!(table.count("ssa_outbound_snapshot_age_max_seconds"), 8);
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    table
        .answer
        .replace(Some((200, inbound_snapshot("g1", r#", "off": true"#))));
    plugin.on_response(Call(9), &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Next::Stop);
    assert!(table.told("note").is_empty());
}

#[test]
fn a_proxy_that_cannot_ask_is_asked_again() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80").failing("fetch");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    assert_eq!(
        table.told("log"),
        ["log no inbound snapshot: the proxy cannot ask its cluster"]
    );
    table.failing.replace("");
    table.pass(100);
    plugin.on_tick(&table);
    assert_eq!(table.told("fetch").len(), 1);
}

#[test]
fn proof_of_work_is_solved_while_held_and_kept_for_its_minute() {
    let table = Table {
        // Each look at the clock takes a fifth of a millisecond: a slice is few steps.
        step: NS_PER_MS / 5,
        ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
    };
    let config = OUTBOUND.replace("addr=src[64:128]", "addr=hash(src/128):20 rand:44; pow=14");
    let mut plugin = plugin(&config, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Next::Stop);
    assert_eq!(plugin.on_new_connection(ContextId(3), &table), Next::Stop);
    assert_eq!(table.told("tick").last().unwrap(), "tick 1");
    let mut ticks = 0;
    while table.told("resume").is_empty() {
        plugin.on_tick(&table);
        ticks += 1;
        assert!(ticks < 1000, "no end of work");
    }
    assert!(ticks > 2, "more than a slice's work");
    assert_eq!(table.told("resume"), ["resume 2", "resume 3"]);
    let told = table.told("set_destination");
    assert_eq!(told[0], told[1], "one solution for both");
    assert_eq!(plugin.on_new_connection(ContextId(4), &table), Next::Continue);
    assert_eq!(table.told("set_destination")[2], told[0], "kept");
    plugin.on_tick(&table);
    assert_eq!(table.told("tick").last().unwrap(), "tick 0", "no work, no ticks");
    table.pass(60_000);
    plugin.on_new_connection(ContextId(5), &table);
    while table.told("set_destination").len() < 4 {
        plugin.on_tick(&table);
    }
    assert_ne!(table.told("set_destination")[3], told[0], "for its minute alone");
}

/// Holds 700 connections that wait for a proof of work by a snapshot's rule, of which three batches are let go.
fn many_at_work(rule: &str) -> (Plugin, Table) {
    let config = SUBSCRIBED_OUT.replace(r#""connections": 3, "ms": 500"#, r#""connections": 1000, "ms": 30000"#);
    let table = Table {
        step: NS_PER_MS / 5,
        ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
    };
    let mut plugin = plugin(&config, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &outbound_snapshot("g1", rule));
    for number in 2..702 {
        assert_eq!(plugin.on_new_connection(ContextId(number), &table), Next::Stop);
    }
    (plugin, table)
}

#[test]
fn many_that_wait_for_one_proof_are_let_go_bit_by_bit() {
    let (mut plugin, table) = many_at_work("v=ssa1; addr=hash(src/128):20 rand:44; pow=14");
    while table.told("resume").is_empty() {
        plugin.on_tick(&table);
    }
    assert_eq!(table.told("resume").len(), 256);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(
        (table.told("resume").len(), table.told("set_destination").len()),
        (700, 700)
    );
    plugin.on_tick(&table);
    assert_eq!(table.told("resume").len(), 700);
}

#[test]
fn many_that_wait_for_a_proof_are_let_go_when_none_is_wanted_any_more() {
    let (mut plugin, table) = many_at_work("v=ssa1; addr=hash(src/128):20 rand:44; pow=24");
    plugin.on_tick(&table);
    assert_eq!(table.told("resume").len(), 0);
    table.pass(1000);
    plugin.on_tick(&table);
    let snapshot = outbound_snapshot("g2", "v=ssa1; addr=hash(src/128):20 rand:44");
    respond(&mut plugin, &table, 200, &snapshot);
    assert_eq!(table.told("resume").len(), 256);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(
        (table.told("resume").len(), table.told("set_destination").len()),
        (700, 700)
    );
}

#[test]
fn many_that_wait_for_a_proof_that_takes_too_long_are_given_up_bit_by_bit() {
    let (mut plugin, table) = many_at_work("v=ssa1; addr=hash(src/128):20 rand:44; pow=24");
    table.pass(30_000);
    for resumed in [256, 512, 700] {
        plugin.on_tick(&table);
        assert_eq!(table.told("resume").len(), resumed);
    }
    assert!(table.told("set_destination").is_empty());
    assert_eq!(
        table.count("ssa_outbound_connections_total.service.web.outcome.failed"),
        700
    );
}

#[test]
fn work_that_takes_too_long_is_given_up() {
    let table = Table {
        step: NS_PER_MS / 5,
        ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
    };
    let config = OUTBOUND.replace("addr=src[64:128]", "addr=rand:64; pow=24");
    let mut plugin = plugin(&config, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Next::Stop);
    table.pass(3000);
    plugin.on_tick(&table);
    assert_eq!(table.told("resume"), ["resume 2"]);
    assert!(table.told("set_destination").is_empty());
    assert_eq!(
        table.count("ssa_outbound_connections_total.service.web.outcome.failed"),
        1
    );
}

#[test]
fn addresses_that_failed_are_avoided_where_the_rule_leaves_another() {
    for (rule, seconds, differs) in [
        ("addr=hash(src/128):20 const(0):44; replicas=2", 0, true),
        ("addr=hash(src/128):20 const(0):44; replicas=2", 30, false),
        ("addr=hash(src/128):20 const(0):44", 0, false),
    ] {
        let table = Table {
            failed_upstream: true,
            ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
        };
        let mut plugin = plugin(&OUTBOUND.replace("addr=src[64:128]", rule), &table);
        plugin.on_new_connection(ONE, &table);
        plugin.on_delete(ONE, &table);
        table.pass(seconds * 1000);
        for number in 3..43 {
            plugin.on_new_connection(ContextId(number), &table);
        }
        let told = table.told("set_destination");
        let again = told[1..].contains(&told[0]);
        assert_eq!(again, !differs, "{rule} after {seconds} s");
        assert_eq!(table.count("ssa_outbound_connect_failures_total.service.web"), 1);
    }
}

#[test]
fn other_sources_than_the_one_composed_for_are_counted() {
    for (upstream_source, count) in [("[2001:db8::7]:5", 0), ("[2001:db8::8]:5", 1), ("", 0)] {
        let table = Table {
            upstream_source,
            ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
        };
        let mut plugin = plugin(OUTBOUND, &table);
        plugin.on_new_connection(ONE, &table);
        plugin.on_delete(ONE, &table);
        plugin.on_delete(ONE, &table);
        let name = "ssa_outbound_source_mismatches_total.service.web";
        assert_eq!(table.count(name), count, "{upstream_source:?}");
    }
}

#[test]
fn vms_of_a_process_know_each_other() {
    let table = Table::new(SOURCE, "[2001:db8:5::7]:80");
    let mut vms = [plugin(SUBSCRIBED_IN, &table), plugin(SUBSCRIBED_IN, &table)];
    for (vm, number) in vms.iter_mut().zip(2..) {
        vm.on_new_connection(ContextId(number), &table);
        vm.on_tick(&table);
    }
    assert_eq!(table.count("ssa_inbound_held_connections"), 2);
    respond(&mut vms[1], &table, 200, &inbound_snapshot("g1", ""));
    table.pass(5000);
    for vm in &mut vms {
        vm.on_tick(&table);
    }
    assert_eq!(table.count("ssa_inbound_held_connections"), 0);
    // Neither heard more since.
    assert_eq!(table.count("ssa_inbound_snapshot_age_max_seconds"), 5);
}

#[test]
fn a_pushed_configuration_goes_on_with_the_same_draws() {
    let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    let mut known: Option<Plugin> = None;
    let mut met = std::collections::BTreeSet::new();
    for push in 0..5 {
        let config = Config::from_json(SUBSCRIBED_OUT.as_bytes()).unwrap();
        let mut plugin = Plugin::new(config, &table, ROOT, known.as_ref().map(Plugin::identity));
        plugin.on_tick(&table);
        let seed = format!(r#""version": 1, "seed": "{push}""#);
        let body = outbound_snapshot("g1", "v=ssa1; addr=rand:64").replace(r#""version": 1"#, &seed);
        respond(&mut plugin, &table, 200, &body);
        for number in 2..2000 {
            plugin.on_new_connection(ContextId(number), &table);
        }
        met.extend(table.told("set_destination"));
        known = Some(plugin);
    }
    assert!(met.len() <= 256, "{} addresses", met.len());
}

#[test]
fn a_snapshot_of_the_same_generation_changes_nothing() {
    let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    let mut plugin = plugin(SUBSCRIBED_OUT, &table);
    for rule in ["v=ssa1; addr=src[64:128]", "v=ssa1; addr=src[0:64]"] {
        plugin.on_tick(&table);
        respond(&mut plugin, &table, 200, &outbound_snapshot("g1", rule));
        plugin.on_new_connection(ONE, &table);
        table.pass(1000);
    }
    assert_eq!(table.told("set_destination"), ["set_destination [2001:db8:5::7]:80"; 2]);
    assert_eq!(table.count("ssa_outbound_snapshots_total.outcome.unchanged"), 1);
}

#[test]
fn a_clock_set_back_makes_nobody_wait_longer() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 503, "");
    plugin.on_new_connection(ONE, &table);
    table.time.set(table.time.get() - 3600 * NS_PER_S);
    plugin.on_tick(&table);
    assert_eq!(table.told("close"), ["close 2"]);
    assert_eq!(table.told("fetch").len(), 2);
}

#[test]
fn held_connections_that_leave_are_forgotten() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_new_connection(ONE, &table);
    plugin.on_delete(ONE, &table);
    table.pass(5000);
    plugin.on_tick(&table);
    assert!(table.told("close").is_empty());
}
