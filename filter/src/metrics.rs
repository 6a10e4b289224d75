//! Counters: one for each service, finding and outcome, defined when it first counts.
//!
//! Envoy's stats have no labels; its `stats_tags` take them out of names. Labels come from enums and the
//! configuration alone, never from a client:
//!
//! ```text
//! ssa_inbound_connections_total.service.NAME.verdict.VERDICT.outcome.OUTCOME
//! ssa_inbound_violations_total.service.NAME.part.PART
//! ssa_outbound_connections_total.service.NAME.outcome.OUTCOME
//! ```
//!
//! The service is `-` for connections that concern none.

use core::cell::Cell;

use ssa_rules::Part;

use crate::{
    inbound, outbound,
    proxy::{Counter, Proxy},
};

/// Parts of an address that have a counter: the item, 16 fields, the proof of work.
const PARTS: usize = 18;

/// A counter that may not be defined yet.
type Slot = Cell<Option<Counter>>;

/// The counters of one configuration. Those of equal names are the same in the whole proxy.
#[derive(Debug)]
pub struct Metrics {
    names: Vec<String>,
    inbound: Vec<Slot>,
    violations: Vec<Slot>,
    outbound: Vec<Slot>,
}

fn slots(services: usize, each: usize) -> Vec<Slot> {
    let places = services.saturating_add(1).saturating_mul(each);
    core::iter::repeat_with(Slot::default).take(places).collect()
}

impl Metrics {
    /// Makes the counters of services of these names.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let services = names.len();
        Self {
            names,
            inbound: slots(
                services,
                inbound::Finding::COUNT.saturating_mul(inbound::Outcome::COUNT),
            ),
            violations: slots(services, PARTS),
            outbound: slots(services, outbound::Outcome::COUNT),
        }
    }

    /// Counts an inbound connection.
    pub fn count_inbound(&self, proxy: &impl Proxy, decision: &inbound::Decision) {
        let (finding, outcome) = (decision.finding, decision.outcome);
        let service = self.name(decision.service);
        let number = finding
            .number()
            .saturating_mul(inbound::Outcome::COUNT)
            .saturating_add(outcome.number());
        let each = inbound::Finding::COUNT.saturating_mul(inbound::Outcome::COUNT);
        self.count(proxy, &self.inbound, decision.service, each, number, || {
            let (verdict, outcome) = (finding.name(), outcome.name());
            format!("ssa_inbound_connections_total.service.{service}.verdict.{verdict}.outcome.{outcome}")
        });
        if let Some(part) = finding.part() {
            let number = match part {
                Part::Item => 0,
                Part::Pow => 1,
                Part::Field(index) => usize::from(index).saturating_add(2),
            };
            self.count(proxy, &self.violations, decision.service, PARTS, number, || {
                format!("ssa_inbound_violations_total.service.{service}.part.{part}")
            });
        }
    }

    /// Counts an outbound connection.
    pub fn count_outbound(&self, proxy: &impl Proxy, service: Option<usize>, outcome: outbound::Outcome) {
        self.count(
            proxy,
            &self.outbound,
            service,
            outbound::Outcome::COUNT,
            outcome.number(),
            || {
                let (service, outcome) = (self.name(service), outcome.name());
                format!("ssa_outbound_connections_total.service.{service}.outcome.{outcome}")
            },
        );
    }

    /// Returns a service's name, `-` for none.
    #[must_use]
    pub fn name(&self, service: Option<usize>) -> &str {
        service
            .and_then(|index| self.names.get(index))
            .map_or("-", String::as_str)
    }

    fn count(
        &self,
        proxy: &impl Proxy,
        slots: &[Slot],
        service: Option<usize>,
        each: usize,
        number: usize,
        name: impl FnOnce() -> String,
    ) {
        // Those of no service come after those of the last.
        let row = service.unwrap_or(self.names.len());
        let Some(slot) = slots.get(row.saturating_mul(each).saturating_add(number)) else {
            return;
        };
        let counter = slot.get().or_else(|| proxy.counter(&name()).ok());
        slot.set(counter);
        if let Some(counter) = counter {
            // A lost count is no reason to treat a connection differently.
            let _ = proxy.increment(counter);
        }
    }
}
