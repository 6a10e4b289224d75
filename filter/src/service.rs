//! A service as both roles know it.

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_rules::{AddressSpace, Membership, Published};

/// A service as both roles know it.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Its name in metrics and logs.
    pub name: String,
    /// Its rules.
    pub rules: Published,
    /// The address spaces of its rules: one, or one for each rule that has its own.
    pub(crate) spaces: Vec<AddressSpace>,
}

impl Service {
    /// Returns the class of an address: over all address spaces, in the service before legacy before outside.
    #[must_use]
    pub fn membership(&self, address: Ipv6Addr) -> Membership {
        let classes = self.spaces.iter().map(|space| space.membership(address));
        classes
            .min_by_key(|membership| match membership {
                Membership::Service(_) => 0,
                Membership::Legacy(_) => 1,
                Membership::Outside => 2,
            })
            .unwrap_or(Membership::Outside)
    }

    /// Returns all items, positive and negated.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Ipv6Net> {
        self.spaces
            .iter()
            .flat_map(|space| space.positive().iter().chain(space.negated()))
    }
}
