//! What happens on a new connection, from what the proxy says to what it is told.

use core::cell::{Cell, RefCell};

use ssa_rules::UnixTime;

use crate::{
    config::{Config, Service},
    endpoint::Endpoint,
    inbound::{self, Inbound},
    metrics::Metrics,
    outbound::{self, Outbound},
    proxy::{End, Proxy, Refused},
    random::{Pool, Random},
};

/// The most lines a second that one VM logs.
const LINES_PER_SECOND: u32 = 10;

/// Whether the proxy goes on with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on to the next filter.
    Continue,
    /// It does not.
    Stop,
}

/// A configured plugin in one VM.
#[derive(Debug)]
pub struct Plugin {
    role: Role,
    metrics: Metrics,
    lines: Lines,
}

#[derive(Debug)]
enum Role {
    Inbound(Inbound),
    Outbound {
        outbound: Outbound,
        random: RefCell<Random>,
        pool: Pool,
    },
}

/// Keeps log lines rare.
#[derive(Debug, Default)]
struct Lines {
    second: Cell<u64>,
    written: Cell<u32>,
    held_back: Cell<u64>,
}

impl Lines {
    fn write(&self, proxy: &impl Proxy, now: UnixTime, line: impl FnOnce() -> String) {
        if self.second.replace(now.0) != now.0 {
            self.written.set(0);
            let held_back = self.held_back.take();
            if held_back > 0 {
                proxy.log(&format!("{held_back} lines like the following were held back"));
            }
        }
        let written = self.written.get().saturating_add(1);
        self.written.set(written);
        if written > LINES_PER_SECOND {
            self.held_back.set(self.held_back.get().saturating_add(1));
        } else {
            proxy.log(&line());
        }
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

fn seconds(nanoseconds: u64) -> UnixTime {
    UnixTime(nanoseconds.checked_div(NANOSECONDS).unwrap_or(0))
}

impl Plugin {
    /// Makes a plugin of its configuration. `context` is the proxy's number of it in this VM.
    #[must_use]
    pub fn new(config: Config, proxy: &impl Proxy, context: u32) -> Self {
        fn names<T: AsRef<Service>>(services: &[T]) -> Vec<String> {
            services.iter().map(|service| service.as_ref().name.clone()).collect()
        }
        let (role, names) = match config {
            Config::Inbound(inbound) => {
                let names = names(&inbound.services);
                (Role::Inbound(inbound), names)
            }
            Config::Outbound(outbound) => {
                let names = names(&outbound.services);
                let mut random = Random::new(&outbound.seed, proxy.time().unwrap_or(0), context);
                let pool = Pool::new(outbound.pool, &mut random);
                (
                    Role::Outbound {
                        outbound,
                        random: RefCell::new(random),
                        pool,
                    },
                    names,
                )
            }
        };
        Self {
            role,
            metrics: Metrics::new(names),
            lines: Lines::default(),
        }
    }

    /// Treats a new connection.
    pub fn on_new_connection(&self, proxy: &impl Proxy) -> Next {
        match &self.role {
            Role::Inbound(inbound) => self.inbound(inbound, proxy),
            Role::Outbound { outbound, random, pool } => {
                self.outbound(outbound, random, pool, proxy);
                Next::Continue
            }
        }
    }

    fn inbound(&self, inbound: &Inbound, proxy: &impl Proxy) -> Next {
        let read = || {
            Some((
                endpoint(proxy, End::Source)?,
                endpoint(proxy, End::Destination)?,
                proxy.time().ok()?,
            ))
        };
        let ends = read();
        let now = ends.map_or(UnixTime(0), |(_, _, time)| seconds(time));
        let decision = match ends {
            Some((source, destination, _)) => inbound.decide(source, destination, now),
            None => inbound.decide_unreadable(),
        };
        self.metrics.count_inbound(proxy, &decision);
        let part = decision.finding.part();
        let service = self.metrics.name(decision.service);
        let mut notes = vec![("ssa_service", service), ("ssa_verdict", decision.finding.name())];
        if decision.outcome != inbound::Outcome::Allowed {
            notes.push(("ssa_outcome", decision.outcome.name()));
        }
        if let Some(part) = part {
            notes.push(("ssa_part", part.name()));
        }
        for (key, value) in notes {
            // An access log that lacks a field is no reason to treat the connection differently.
            let _ = proxy.note(key, value);
        }
        if decision.outcome != inbound::Outcome::Allowed {
            self.lines.write(proxy, now, || {
                let (outcome, verdict) = (decision.outcome.name(), decision.finding.name());
                let part = part.map_or(String::new(), |part| format!(" of {part}"));
                let ends = ends.map_or("unreadable addresses".to_owned(), |(source, destination, _)| {
                    format!("{source} to {destination}")
                });
                format!("{outcome}: {verdict}{part}: service {service}: {ends}")
            });
        }
        match decision.outcome {
            inbound::Outcome::Denied => {
                // Where it cannot be closed it stays where it is: nothing reaches upstream.
                let _ = proxy.close();
                Next::Stop
            }
            inbound::Outcome::Demoted => match &inbound.demote_cluster {
                Some(cluster) if proxy.set_cluster(cluster) == Err(Refused) => {
                    self.lines
                        .write(proxy, now, || format!("the proxy does not take the cluster {cluster}"));
                    let _ = proxy.close();
                    Next::Stop
                }
                _ => Next::Continue,
            },
            _ => Next::Continue,
        }
    }

    fn outbound(&self, outbound: &Outbound, random: &RefCell<Random>, pool: &Pool, proxy: &impl Proxy) {
        let read = || {
            Some((
                endpoint(proxy, End::Source)?,
                endpoint(proxy, End::Destination)?,
                proxy.time().ok()?,
            ))
        };
        let Some((source, destination, time)) = read() else {
            self.metrics.count_outbound(proxy, None, outbound::Outcome::Unreadable);
            return;
        };
        let now = seconds(time);
        let slot = random.try_borrow_mut().map_or(time, |mut random| {
            random.mix(time ^ u64::from(source.port).rotate_left(48));
            random.bits()
        });
        let mut decision = outbound.decide(destination, now, pool.draw(slot, now));
        if decision
            .destination
            .is_some_and(|to| proxy.set_destination(&to.to_string()).is_err())
        {
            decision.outcome = outbound::Outcome::Unreadable;
        }
        self.metrics.count_outbound(proxy, decision.service, decision.outcome);
        let service = self.metrics.name(decision.service);
        if decision.service.is_some() {
            let _ = proxy.note("ssa_service", service);
            let _ = proxy.note("ssa_outcome", decision.outcome.name());
        }
        if let Some(error) = decision.error {
            self.lines.write(proxy, now, || {
                format!("no address of service {service} for {destination}: {error}")
            });
        }
    }
}

fn endpoint(proxy: &impl Proxy, end: End) -> Option<Endpoint> {
    Endpoint::parse(&proxy.address(end).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::proxy::Counter;

    /// A proxy that answers from a table, and fails on the calls named.
    #[derive(Default)]
    struct Table {
        source: &'static str,
        destination: String,
        time: Cell<u64>,
        failing: &'static str,
        told: RefCell<Vec<String>>,
        counters: RefCell<BTreeMap<String, u64>>,
    }

    impl Table {
        fn new(source: &'static str, destination: &str) -> Self {
            let time = Cell::new(1_790_000_000 * NANOSECONDS);
            Self {
                source,
                destination: destination.to_owned(),
                time,
                ..Self::default()
            }
        }

        fn answer<T>(&self, call: &str, value: T) -> Result<T, Refused> {
            if self.failing.split(' ').any(|failing| failing == call) {
                Err(Refused)
            } else {
                Ok(value)
            }
        }

        fn tell(&self, call: &str, what: &str) -> Result<(), Refused> {
            self.answer(call, ())?;
            self.told.borrow_mut().push(format!("{call} {what}"));
            Ok(())
        }

        fn told(&self, call: &str) -> Vec<String> {
            self.told
                .borrow()
                .iter()
                .filter(|line| line.starts_with(call))
                .cloned()
                .collect()
        }
    }

    impl Proxy for Table {
        fn time(&self) -> Result<u64, Refused> {
            self.answer("time", self.time.get())
        }
        fn address(&self, end: End) -> Result<Vec<u8>, Refused> {
            match end {
                End::Source => self.answer("source", self.source.into()),
                End::Destination => self.answer("destination", self.destination.clone().into()),
            }
        }
        fn note(&self, key: &str, value: &str) -> Result<(), Refused> {
            self.tell("note", &format!("{key}={value}"))
        }
        fn set_destination(&self, address: &str) -> Result<(), Refused> {
            self.tell("set_destination", address)
        }
        fn set_cluster(&self, name: &str) -> Result<(), Refused> {
            self.tell("set_cluster", name)
        }
        fn close(&self) -> Result<(), Refused> {
            self.tell("close", "")
        }
        fn counter(&self, name: &str) -> Result<Counter, Refused> {
            self.answer("counter", ())?;
            let mut counters = self.counters.borrow_mut();
            counters.entry(name.to_owned()).or_default();
            let position = counters.keys().position(|known| known == name).unwrap();
            Ok(Counter(u32::try_from(position).unwrap()))
        }
        fn increment(&self, counter: Counter) -> Result<(), Refused> {
            self.answer("increment", ())?;
            *self.counters.borrow_mut().values_mut().nth(counter.0 as usize).unwrap() += 1;
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

    fn run(config: &str, table: &Table) -> Next {
        let plugin = Plugin::new(Config::from_json(config.as_bytes()).unwrap(), table, 1);
        plugin.on_new_connection(table)
    }

    #[test]
    fn conforming_connections_pass_with_two_notes_and_one_count() {
        let table = Table::new(SOURCE, "[2001:db8:5::7]:80");
        assert_eq!(run(INBOUND, &table), Next::Continue);
        assert_eq!(
            *table.told.borrow(),
            ["note ssa_service=web", "note ssa_verdict=conforming"]
        );
        let name = "ssa_inbound_connections_total.service.web.verdict.conforming.outcome.allowed";
        assert_eq!(*table.counters.borrow(), BTreeMap::from([(name.to_owned(), 1)]));
    }

    #[test]
    fn violations_are_closed_logged_and_counted_with_their_part() {
        let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
        assert_eq!(run(INBOUND, &table), Next::Stop);
        assert_eq!(table.told("close").len(), 1);
        assert_eq!(
            table.told("note")[1..],
            [
                "note ssa_verdict=violation",
                "note ssa_outcome=denied",
                "note ssa_part=field_0"
            ]
        );
        assert_eq!(
            table.told("log"),
            ["log denied: violation of field_0: service web: [2001:db8::7]:40000 to [2001:db8:5::8]:80"]
        );
        assert!(
            table
                .counters
                .borrow()
                .contains_key("ssa_inbound_violations_total.service.web.part.field_0")
        );
    }

    #[test]
    fn demoted_connections_use_the_other_cluster() {
        let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
        assert_eq!(run(INBOUND, &table), Next::Continue);
        assert_eq!(table.told("set_cluster"), ["set_cluster slow"]);
        let failing = Table {
            failing: "set_cluster",
            ..Table::new(SOURCE, "[2001:db8:6::1]:80")
        };
        assert_eq!(run(INBOUND, &failing), Next::Stop);
    }

    #[test]
    fn nothing_unread_comes_in_whatever_call_fails() {
        for failing in [
            "time",
            "source",
            "destination",
            "time source destination close note counter",
        ] {
            let table = Table {
                failing,
                ..Table::new(SOURCE, "[2001:db8:5::7]:80")
            };
            assert_eq!(run(INBOUND, &table), Next::Stop, "{failing}");
        }
        for failing in ["note", "counter", "increment", "note counter"] {
            let good = Table {
                failing,
                ..Table::new(SOURCE, "[2001:db8:5::7]:80")
            };
            assert_eq!(run(INBOUND, &good), Next::Continue, "{failing}");
            let bad = Table {
                failing,
                ..Table::new(SOURCE, "[2001:db8:5::8]:80")
            };
            assert_eq!(run(INBOUND, &bad), Next::Stop, "{failing}");
        }
        for odd in ["", "/run/x", "envoy://internal", "[::1]"] {
            assert_eq!(run(INBOUND, &Table::new(SOURCE, odd)), Next::Stop, "{odd:?}");
        }
    }

    #[test]
    fn outbound_sets_the_composed_destination() {
        let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
        assert_eq!(run(OUTBOUND, &table), Next::Continue);
        assert_eq!(table.told("set_destination"), ["set_destination [2001:db8:5::7]:80"]);
        assert_eq!(
            table.told("note"),
            ["note ssa_service=web", "note ssa_outcome=composed"]
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
        ] {
            let table = Table {
                failing,
                ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
            };
            assert_eq!(run(OUTBOUND, &table), Next::Continue, "{failing}");
        }
    }

    #[test]
    fn log_lines_are_rare_and_say_what_they_hold_back() {
        let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
        let plugin = Plugin::new(Config::from_json(INBOUND.as_bytes()).unwrap(), &table, 1);
        for _ in 0..25 {
            plugin.on_new_connection(&table);
        }
        assert_eq!(table.told("log").len(), 10);
        table.time.set(table.time.get() + NANOSECONDS);
        plugin.on_new_connection(&table);
        let lines = table.told("log");
        assert_eq!(lines.len(), 12);
        assert_eq!(lines[10], "log 15 lines like the following were held back");
    }

    #[test]
    fn counters_of_unsaid_services_are_apart() {
        let table = Table::new(SOURCE, "[2001:db8:9::1]:9");
        assert_eq!(run(INBOUND, &table), Next::Stop);
        let name = "ssa_inbound_connections_total.service.-.verdict.unclaimed.outcome.denied";
        assert!(table.counters.borrow().contains_key(name));
    }
}
