//! The services of one configuration, and which of them an address belongs to.

use core::net::Ipv6Addr;

use crate::config::Service;

/// Services that share no address.
#[derive(Clone, Debug)]
pub struct Table<T> {
    services: Vec<T>,
    /// The items that lie in no other, ascending.
    ranges: Vec<Range>,
}

/// The addresses of an item, and the number of the service that they belong to.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u128,
    last: u128,
    service: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            ranges: Vec::new(),
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
        let mut items: Vec<Range> = Vec::new();
        for (number, service) in services.iter().enumerate() {
            items.extend(service.as_ref().items().map(|item| Range {
                first: u128::from(item.network()),
                last: u128::from(item.broadcast()),
                service: number,
            }));
        }
        // A prefix comes before those that lie in it.
        items.sort_unstable_by_key(|item| (item.first, !item.last, item.service));
        let mut ranges: Vec<Range> = Vec::new();
        let mut shared = Vec::new();
        for item in items {
            match ranges.last() {
                Some(around) if item.first <= around.last => {
                    let pair = [around.service.min(item.service), around.service.max(item.service)];
                    if around.service != item.service && !shared.contains(&pair) {
                        shared.push(pair);
                    }
                }
                _ => ranges.push(item),
            }
        }
        if shared.is_empty() {
            Ok(Self { services, ranges })
        } else {
            Err(shared)
        }
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
        let next = self.ranges.partition_point(|range| range.first <= address);
        let range = self.ranges.get(next.checked_sub(1)?)?;
        if address > range.last {
            return None;
        }
        Some((range.service, self.services.get(range.service)?))
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
