//! Places for what is under way, shared among queriers.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The networks that count together, in bits: a host may have all addresses of one.
const NETWORK: u32 = 64;

/// The same of IPv4 addresses, as IPv6 has them.
const NETWORK_OF_IPV4: u32 = 96 + 24;

/// Places, of which an address has at most as many as are left to others, and a network three times as many: whoever
/// takes all that can be had leaves a half, or a quarter.
#[derive(Clone, Debug)]
pub(crate) struct FairSemaphore(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    left: usize,
    /// How many places addresses and networks have.
    by: HashMap<Holder, usize>,
}

/// An address, or a network: its bits, and how many of them count.
type Holder = (u128, u32);

impl FairSemaphore {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken {
            left: places,
            by: HashMap::new(),
        })))
    }

    /// Takes so many places for a querier, if it may have them.
    #[must_use]
    pub(crate) fn take(&self, querier: IpAddr, places: usize) -> Option<FairPermit> {
        let holders = holders(querier);
        let mut taken = self.lock();
        let left = taken.left.checked_sub(places)?;
        for (holder, times) in holders.iter().zip([1, 3]) {
            let has = taken.by.get(holder).copied().unwrap_or(0);
            if has.saturating_add(places) > left.saturating_mul(times) {
                return None;
            }
        }
        taken.left = left;
        for holder in holders {
            let has = taken.by.entry(holder).or_insert(0);
            *has = has.saturating_add(places);
        }
        drop(taken);
        Some(FairPermit {
            of: self.clone(),
            holders,
            places,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places that a querier has, until this goes.
#[derive(Debug)]
pub(crate) struct FairPermit {
    of: FairSemaphore,
    holders: [Holder; 2],
    places: usize,
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        taken.left = taken.left.saturating_add(self.places);
        for holder in self.holders {
            let has = taken.by.get(&holder).copied().unwrap_or(0).saturating_sub(self.places);
            if has == 0 {
                taken.by.remove(&holder);
            } else {
                taken.by.insert(holder, has);
            }
        }
    }
}

/// Returns the address and the network that a querier counts to.
fn holders(querier: IpAddr) -> [Holder; 2] {
    let (address, network) = match querier {
        IpAddr::V4(address) => (address.to_ipv6_mapped(), NETWORK_OF_IPV4),
        IpAddr::V6(address) => (address, NETWORK),
    };
    let holder = |length: u32| {
        let host = u128::MAX.checked_shr(length).unwrap_or(0);
        (Ipv6Addr::to_bits(address) & !host, length)
    };
    [holder(128), holder(network)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(semaphore: &FairSemaphore, queriers: impl Iterator<Item = String>) -> Vec<FairPermit> {
        let asked = queriers.map(|querier| semaphore.take(querier.parse().unwrap(), 1));
        asked.take_while(Option::is_some).flatten().collect()
    }

    fn one(querier: &str) -> impl Iterator<Item = String> {
        std::iter::repeat(querier.to_owned())
    }

    #[test]
    fn who_takes_all_leaves_half_to_others() {
        let semaphore = FairSemaphore::new(128);
        let flood = fill(&semaphore, one("2001:db8:1::1"));
        assert_eq!(flood.len(), 64);
        // One in the same network still has its share, and those elsewhere too.
        assert_eq!(fill(&semaphore, one("2001:db8:1::2")).len(), 32);
        assert_eq!(fill(&semaphore, one("2001:db8:2::1")).len(), 32);
        drop(flood);
        assert_eq!(fill(&semaphore, one("192.0.2.1")).len(), 64);
        assert!(semaphore.lock().by.is_empty());
        assert_eq!(semaphore.lock().left, 128);
    }

    #[test]
    fn a_network_leaves_a_quarter_however_many_addresses_it_has() {
        let semaphore = FairSemaphore::new(128);
        let flood = fill(&semaphore, (0..).map(|host| format!("2001:db8:1::{host:x}")));
        assert_eq!(flood.len(), 96);
        assert_eq!(fill(&semaphore, one("2001:db8:2::1")).len(), 16);
        drop(flood);
        let flood = fill(&semaphore, (0..=255).map(|host| format!("192.0.2.{host}")));
        assert_eq!(flood.len(), 96);
        assert_eq!(fill(&semaphore, one("198.51.100.1")).len(), 16);
    }

    #[test]
    fn what_is_large_takes_more() {
        let semaphore = FairSemaphore::new(64);
        let querier = IpAddr::from(Ipv6Addr::LOCALHOST);
        assert!(semaphore.take(querier, 33).is_none());
        let large = semaphore.take(querier, 32);
        assert!(large.is_some() && semaphore.take(querier, 1).is_none());
    }
}
