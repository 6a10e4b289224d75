//! Addresses to which connections failed recently.

use ssa_rules::{Candidate, UnixTime, failed_addresses::EJECTION_SECONDS};

/// The most failures remembered; the oldest give way.
pub const MAX_OUTLIERS: usize = 64;

/// Where a connection goes: what a service's rule chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCandidate {
    /// The service's number.
    pub service: usize,
    /// The item, the replica and the address.
    pub candidate: Candidate,
}

/// Recent failures.
#[derive(Clone, Debug, Default)]
pub struct Outliers {
    failures: Vec<(ServiceCandidate, UnixTime)>,
}

impl Outliers {
    /// Remembers a failure.
    pub fn add(&mut self, failed: ServiceCandidate, now: UnixTime) {
        self.failures.retain(|(known, at)| *known != failed && counts(*at, now));
        if self.failures.len() >= MAX_OUTLIERS {
            // The oldest is the first.
            let mut first = true;
            self.failures.retain(|_| !core::mem::take(&mut first));
        }
        self.failures.push((failed, now));
    }

    /// Returns the candidates of a service that failed recently.
    pub fn of(&self, service: usize, now: UnixTime) -> impl Iterator<Item = &ServiceCandidate> + Clone {
        self.failures
            .iter()
            .filter(move |(place, at)| place.service == service && counts(*at, now))
            .map(|(place, _)| place)
    }

    /// Forgets everything: the services' numbers have changed.
    pub fn clear(&mut self) {
        self.failures.clear();
    }
}

/// Returns whether a failure still counts, whichever way the clock moved since.
fn counts(at: UnixTime, now: UnixTime) -> bool {
    now.0.abs_diff(at.0) < EJECTION_SECONDS
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv6Addr;

    use ssa_rules::{Destination, Replica};

    use super::*;
    use crate::config::{Config, RoleConfig};

    pub(crate) fn place(service: usize, address: u128) -> ServiceCandidate {
        let json = br#"{"role": "inbound", "services": [{"name": "web", "apl": "2:2001:db8:5::/64",
            "rules": ["v=ssa1; addr=rand:64"], "ports": [80]}]}"#;
        let RoleConfig::Inbound(inbound) = Config::from_json(json).unwrap().role else {
            panic!("inbound")
        };
        let rules = &inbound.services().services()[0].service.rules;
        let (item, _) = rules.rules()[0].positive_items().next().unwrap();
        ServiceCandidate {
            service,
            candidate: Candidate {
                item,
                replica: Replica(0),
                address: Destination(address.into()),
            },
        }
    }

    #[test]
    fn failures_are_bounded_and_the_oldest_give_way() {
        let mut failures = Outliers::default();
        for number in 0..=MAX_OUTLIERS as u128 {
            failures.add(place(0, number), UnixTime(100));
        }
        let known: Vec<Ipv6Addr> = failures
            .of(0, UnixTime(100))
            .map(|place| place.candidate.address.0)
            .collect();
        assert_eq!(known.len(), MAX_OUTLIERS);
        assert!(!known.contains(&0.into()));
        assert_eq!(failures.of(1, UnixTime(100)).count(), 0);
    }

    #[test]
    fn failures_count_for_a_while_even_if_the_clock_is_set_back() {
        let mut failures = Outliers::default();
        failures.add(place(0, 1), UnixTime(100));
        failures.add(place(0, 1), UnixTime(110));
        for (now, count) in [(110, 1), (139, 1), (140, 0), (81, 1), (80, 0)] {
            assert_eq!(failures.of(0, UnixTime(now)).count(), count, "at {now}");
        }
    }
}
