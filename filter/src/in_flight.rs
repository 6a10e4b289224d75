//! Requests in flight, by the address that each was sent to first.

use core::net::Ipv6Addr;

use crate::{host::ContextId, index::Numbers};

/// How many requests are counted at once; those beyond it are not.
pub const MAX: usize = 4096;

/// Requests in flight.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    requests: Numbers<ContextId, Ipv6Addr>,
    counts: Numbers<Ipv6Addr, u32>,
}

impl InFlight {
    /// Counts a request, if there is room.
    pub fn add(&mut self, request: ContextId, address: Ipv6Addr) {
        if self.requests.len() < MAX && self.requests.insert(request, address).is_none() {
            let count = self.counts.entry(address).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Forgets a request that has ended, if it was counted.
    pub fn remove(&mut self, request: ContextId) {
        let Some(address) = self.requests.remove(&request) else {
            return;
        };
        match self.counts.get_mut(&address) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(self.counts.remove(&address)),
        }
    }

    /// Returns how many requests to an address are in flight.
    #[must_use]
    pub fn count(&self, address: Ipv6Addr) -> u32 {
        self.counts.get(&address).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_until_they_end_and_memory_is_bounded() {
        let mut in_flight = InFlight::default();
        let (one, two) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
        let count = |in_flight: &InFlight| (in_flight.count(one), in_flight.count(two));
        for number in 0..6000 {
            in_flight.add(ContextId(number), if number % 3 == 0 { one } else { two });
        }
        assert_eq!(count(&in_flight), (1366, 2730));
        in_flight.remove(ContextId(0));
        in_flight.remove(ContextId(0));
        in_flight.remove(ContextId(5999));
        assert_eq!(count(&in_flight), (1365, 2730));
        for number in 0..6000 {
            in_flight.remove(ContextId(number));
        }
        assert_eq!(count(&in_flight), (0, 0));
        assert!(in_flight.counts.is_empty() && in_flight.requests.is_empty());
    }
}
