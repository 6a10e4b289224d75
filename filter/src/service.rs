//! A service as both roles know it, and the sources that are exempt from its rules.

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_rules::{AddressSpace, Class, Published};

/// A service as both roles know it.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Its name, which metrics and logs bear.
    pub name: String,
    /// Its rules.
    pub rules: Published,
    /// The address spaces of its rules: one, or one for each that brings its own.
    pub(crate) spaces: Vec<AddressSpace>,
}

impl Service {
    /// Says what an address is to the service, whichever of its records holds: in the service before legacy before
    /// outside.
    #[must_use]
    pub fn class(&self, address: Ipv6Addr) -> Class {
        let classes = self.spaces.iter().map(|space| space.class(address));
        classes
            .min_by_key(|class| match class {
                Class::Service(_) => 0,
                Class::Legacy(_) => 1,
                Class::Outside => 2,
            })
            .unwrap_or(Class::Outside)
    }

    /// Returns all items, positive and negated.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Ipv6Net> {
        self.spaces
            .iter()
            .flat_map(|space| space.positive().iter().chain(space.negated()))
    }
}

/// Sources that reach plain addresses on some ports: probes and scrapes.
#[derive(Clone, Debug)]
pub struct Exemption {
    /// The sources.
    pub sources: Vec<Ipv6Net>,
    /// The ports; none means every port.
    pub ports: Vec<u16>,
}

impl Exemption {
    /// Says whether a connection from this source to this port is exempt.
    #[must_use]
    pub fn covers(&self, source: Ipv6Addr, port: u16) -> bool {
        (self.ports.is_empty() || self.ports.contains(&port)) && self.sources.iter().any(|net| net.contains(&source))
    }
}
