//! Addresses that failed recently.
//!
//! Where addresses name objects, one endpoint has hundreds of them in use, and each fails by itself when it is gone. So
//! thousands are remembered, in places that an address finds by its own bits.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use crate::{hash::siphash24, types::UnixTime};

/// How long a failure counts, in seconds.
pub const EJECTION_SECONDS: u64 = 30;

/// How many addresses have a place at once.
pub const PLACES: usize = 8192;

/// How many places an address may take.
const WAYS: usize = 4;

/// The key by which places are found. Whoever chooses addresses to collide can only make failures be forgotten.
const KEY: [u8; 16] = *b"failed addresses";

/// Failures, and when each was: none takes memory until the first one.
#[derive(Clone, Debug, Default)]
pub struct FailedAddresses(Vec<(u128, u64)>);

impl FailedAddresses {
    /// Remembers a failure. Of those that may have the same places, the oldest gives way.
    pub fn add(&mut self, address: Ipv6Addr, now: UnixTime) {
        if self.0.is_empty() {
            self.0.resize(PLACES, (0, 0));
        }
        let bits = u128::from(address);
        let start = start(bits);
        let ways = self.0.get_mut(start..start.saturating_add(WAYS)).unwrap_or_default();
        let own = ways.iter().position(|(known, _)| *known == bits);
        let oldest = || (0..ways.len()).min_by_key(|way| ways.get(*way).map_or(0, |(_, at)| *at));
        if let Some(place) = own.or_else(oldest).and_then(|way| ways.get_mut(way)) {
            *place = (bits, now.0);
        }
    }

    /// Returns when an address failed, if it did so recently, whichever way the clock moved since.
    #[must_use]
    pub fn failed_at(&self, address: Ipv6Addr, now: UnixTime) -> Option<UnixTime> {
        let bits = u128::from(address);
        let ways = self.0.iter().skip(start(bits)).take(WAYS);
        let mut own = ways.filter(|(known, _)| *known == bits).map(|(_, at)| *at);
        own.find(|at| now.0.abs_diff(*at) < EJECTION_SECONDS).map(UnixTime)
    }
}

/// Returns the first place of an address.
fn start(bits: u128) -> usize {
    let hash = siphash24(&KEY, &bits.to_be_bytes());
    let sets = PLACES.checked_div(WAYS).unwrap_or(1);
    let set = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0);
    set.checked_rem(sets).unwrap_or(0).saturating_mul(WAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl FailedAddresses {
        fn contains(&self, address: Ipv6Addr, now: UnixTime) -> bool {
            self.failed_at(address, now).is_some()
        }
    }

    #[test]
    fn thousands_are_remembered_for_a_while() {
        let mut failed = FailedAddresses::default();
        let address = |number: u128| Ipv6Addr::from(0x2001_0db8 << 96 | number << 54);
        assert!(!failed.contains(address(1), UnixTime(100)));
        for number in 0..4096 {
            failed.add(address(number), UnixTime(100));
        }
        let known = |now| {
            (0..4096)
                .filter(|number| failed.contains(address(*number), UnixTime(now)))
                .count()
        };
        assert!(known(129) > 3900, "{}", known(129));
        assert_eq!(known(130), 0);
        assert!(known(71) > 3900, "a clock that is set back");
        assert!(!failed.contains(address(5000), UnixTime(100)));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let mut failed = FailedAddresses::default();
        for number in 0..100_000_u32 {
            failed.add(Ipv6Addr::from(u128::from(number)), UnixTime(u64::from(number)));
        }
        assert_eq!(failed.0.len(), PLACES);
        assert!(failed.contains(Ipv6Addr::from(99_999), UnixTime(99_999)));
        // The same one again takes no other place.
        let mut failed = FailedAddresses::default();
        for _ in 0..10 {
            failed.add(Ipv6Addr::LOCALHOST, UnixTime(5));
        }
        assert_eq!(failed.0.iter().filter(|(_, at)| *at == 5).count(), 1);
    }
}
