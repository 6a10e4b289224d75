//! The services of one configuration, and the service that an address belongs to.

use core::net::Ipv6Addr;

use crate::{
    index::{self, Index},
    service::Service,
};

/// Services without shared addresses.
#[derive(Clone, Debug)]
pub struct Table<T> {
    services: Vec<T>,
    /// The items that are not contained in another: the address, with length and service [packed](pack).
    items: Index,
}

/// How far a length stands above the number of a service.
const LENGTH_AT: u32 = 32;

/// Packs an item's length and its service into one number: of equal addresses, the shorter item is first.
fn pack(length: u8, service: usize) -> u64 {
    u64::from(length) << LENGTH_AT | index::number(service)
}

/// Returns the bits of an address past an item's length, and the item's service.
fn unpack(packed: u64) -> (u128, usize) {
    let length = u32::try_from(packed >> LENGTH_AT).unwrap_or(0);
    let rest = u128::MAX.checked_shr(length).unwrap_or(0);
    (rest, index::service(packed & u64::from(u32::MAX)))
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            items: Index::default(),
        }
    }
}

impl<T: AsRef<Service>> Table<T> {
    /// Makes a table of services.
    ///
    /// # Errors
    ///
    /// The pairs of services that share addresses, the earlier one first.
    pub fn new(services: Vec<T>) -> Result<Self, Vec<[usize; 2]>> {
        let all: Vec<&Service> = services.iter().map(AsRef::as_ref).collect();
        let items = outer_items(&all)?;
        Ok(Self { services, items })
    }

    /// Returns the services.
    #[must_use]
    pub fn services(&self) -> &[T] {
        &self.services
    }

    /// Returns the service that an address belongs to, in a positive item or a negated one, and its number.
    #[must_use]
    pub fn owner(&self, address: Ipv6Addr) -> Option<(usize, &T)> {
        let address = u128::from(address);
        let (network, packed) = self.items.at_or_below(address)?;
        let (rest, number) = unpack(packed);
        if address > network | rest {
            return None;
        }
        Some((number, self.services.get(number)?))
    }

    /// Returns the names of the services.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.services
            .iter()
            .map(|service| service.as_ref().name.clone())
            .collect()
    }
}

/// Returns the items that are not contained in another.
///
/// # Errors
///
/// The pairs of services that share addresses, the earlier one first.
fn outer_items(services: &[&Service]) -> Result<Index, Vec<[usize; 2]>> {
    let items = |(number, service): (usize, &&Service)| {
        let items = service.items();
        let items: Vec<_> = items
            .map(|item| (u128::from(item.network()), pack(item.prefix_len(), number)))
            .collect();
        items
    };
    let all = Index::new(services.iter().enumerate().flat_map(items));
    let mut outer: Vec<(u128, u64)> = Vec::new();
    let mut shared = Vec::new();
    for (network, packed) in all.entries() {
        let (_, own) = unpack(*packed);
        let around = outer.last().map(|(first, around)| (first, unpack(*around)));
        match around {
            // A prefix precedes those that it contains.
            Some((first, (rest, other))) if *network <= first | rest => {
                let pair = [other.min(own), other.max(own)];
                if other != own && !shared.contains(&pair) {
                    shared.push(pair);
                }
            }
            _ => outer.push((*network, *packed)),
        }
    }
    if shared.is_empty() {
        Ok(Index::new(outer.into_iter()))
    } else {
        Err(shared)
    }
}
