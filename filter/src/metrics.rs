//! Counters and gauges, defined when they are first used.
//!
//! Envoy's stats have no labels; its `stats_tags` take them out of names. Labels come from enums and the
//! configuration alone, never from a client:
//!
//! ```text
//! ssa_inbound_connections_total.service.NAME.verdict.VERDICT.outcome.OUTCOME
//! ssa_inbound_violations_total.service.NAME.part.PART
//! ssa_inbound_snapshots_total.outcome.OUTCOME
//! ssa_inbound_snapshot_age_min_seconds, ssa_inbound_snapshot_age_max_seconds
//! ssa_inbound_held_connections
//! ssa_outbound_connections_total.service.NAME.outcome.OUTCOME
//! ssa_outbound_requests_total.service.NAME.outcome.OUTCOME[.replica.NUMBER]
//! ssa_outbound_connect_failures_total.service.NAME
//! ssa_outbound_source_mismatches_total.service.NAME
//! ```
//!
//! and for outbound the same as for inbound about snapshots and held connections. The service is `-` for
//! connections that do not concern any.

use core::fmt::Display;

use crate::{
    host::{self, Counter, Gauge},
    index::NameIndex,
    vm_registry::Summary,
};

/// The outcome of a request for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// There was a new one, and it is in force.
    Installed,
    /// The current one is still the newest.
    Unchanged,
    /// There was a new one, and it is faulty.
    Refused,
    /// There was no usable response.
    Failed,
}

impl Refresh {
    const COUNT: usize = 4;

    const fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    const fn number(self) -> usize {
        match self {
            Self::Installed => 0,
            Self::Unchanged => 1,
            Self::Refused => 2,
            Self::Failed => 3,
        }
    }
}

/// The counters of one service, in a row: found by a number, and defined by a name when they first count.
#[derive(Debug)]
struct Row {
    service: String,
    counters: Vec<Option<Counter>>,
}

impl Row {
    fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            counters: Vec::new(),
        }
    }

    fn count(&mut self, host: &impl host::Metrics, number: usize, name: impl FnOnce(&str) -> String) {
        if self.counters.len() <= number {
            self.counters.resize(number.saturating_add(1), None);
        }
        let Some(counter) = self.counters.get_mut(number) else {
            return;
        };
        if counter.is_none() {
            *counter = host.define_counter(&name(&self.service)).ok();
        }
        if let Some(counter) = counter {
            // A lost count must not change how a connection is treated.
            let _ = host.increment_metric(*counter);
        }
    }
}

/// The counters and gauges of one plugin. Those of equal names are the same in the whole proxy.
#[derive(Debug)]
pub struct Metrics {
    role: &'static str,
    /// One row for each service, and one for none.
    rows: Vec<Row>,
    refreshes: Row,
    gauges: Option<[Gauge; 3]>,
}

impl Metrics {
    /// Makes the counters of a role, for services of these names.
    #[must_use]
    pub fn new(role: &'static str, names: &[String]) -> Self {
        let mut metrics = Self {
            role,
            rows: vec![Row::new("-")],
            refreshes: Row::new("-"),
            gauges: None,
        };
        metrics.rename(names);
        metrics
    }

    /// Replaces the services; the counters of those that stay are kept.
    pub fn rename(&mut self, names: &[String]) {
        let old = core::mem::take(&mut self.rows);
        let known = NameIndex::new(old.iter().map(|row| row.service.as_str()));
        let places: Vec<Option<usize>> = names
            .iter()
            .map(String::as_str)
            .chain(["-"])
            .map(|name| known.get(name))
            .collect();
        let mut old: Vec<Option<Row>> = old.into_iter().map(Some).collect();
        let mut kept = |place: usize| old.get_mut(place).and_then(Option::take);
        let rows = names.iter().map(String::as_str).chain(["-"]).zip(places);
        // The last row is that of connections that concern no service.
        self.rows = rows
            .map(|(name, place)| place.and_then(&mut kept).unwrap_or_else(|| Row::new(name)))
            .collect();
    }

    fn row(&mut self, service: Option<usize>) -> Option<&mut Row> {
        match service {
            Some(number) if number.saturating_add(1) < self.rows.len() => self.rows.get_mut(number),
            _ => self.rows.last_mut(),
        }
    }

    /// Increments a counter of a service, or of none: it is found by its number among those of a service, and defined
    /// by its name, which is made of the service's, when it is first incremented.
    pub fn count(
        &mut self,
        host: &impl host::Metrics,
        service: Option<usize>,
        number: usize,
        name: impl FnOnce(&str) -> String,
    ) {
        if let Some(row) = self.row(service) {
            row.count(host, number, name);
        }
    }

    /// Counts a request for a snapshot.
    pub fn count_refresh(&mut self, host: &impl host::Metrics, refresh: Refresh) {
        debug_assert!(refresh.number() < Refresh::COUNT, "numbers are below their count");
        let role = self.role;
        self.refreshes.count(host, refresh.number(), |_| {
            format!("ssa_{role}_snapshots_total.outcome.{}", refresh.name())
        });
    }

    /// Sets the gauges over all VMs.
    pub fn show(&mut self, host: &impl host::Metrics, summary: &Summary) {
        let gauge = |name: &dyn Display| host.define_gauge(&format!("ssa_{}_{name}", self.role)).ok();
        if self.gauges.is_none() {
            let names = [
                "snapshot_age_min_seconds",
                "snapshot_age_max_seconds",
                "held_connections",
            ];
            if let [Some(youngest), Some(oldest), Some(held)] = names.map(|name| gauge(&name)) {
                self.gauges = Some([youngest, oldest, held]);
            }
        }
        let Some([youngest, oldest, held]) = self.gauges else {
            return;
        };
        for (gauge, value) in [
            (youngest, summary.youngest),
            (oldest, summary.oldest),
            (held, summary.held),
        ] {
            let _ = host.record_metric(gauge, value);
        }
    }

    /// Returns a service's name, `-` for none.
    #[must_use]
    pub fn name(&self, service: Option<usize>) -> &str {
        service
            .and_then(|number| self.rows.get(number))
            .map_or("-", |row| row.service.as_str())
    }
}
