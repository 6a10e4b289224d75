//! Who asks: this host itself, by whichever of its addresses, or another.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long it counts whether an address is this host's.
const AGE: Duration = Duration::from_secs(1);

/// How many addresses are remembered.
const MAX_KNOWN: usize = 1024;

/// Who sends a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Querier {
    /// The address that it comes from.
    pub address: IpAddr,
    /// Whether that is one of this host's.
    pub is_host: bool,
}

/// For whom an address is composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// For this host, whose sources the kernel says.
    Host,
    /// For the host of this address.
    Other(Ipv6Addr),
}

impl Querier {
    /// Returns for whom addresses are composed; nothing for those whose source is not to be known: IPv4, and what is of
    /// the link alone.
    pub(super) fn whose(self) -> Option<Whose> {
        match self.address {
            _ if self.is_host => Some(Whose::Host),
            IpAddr::V4(_) => None,
            IpAddr::V6(address) if address.is_unicast_link_local() || address.to_ipv4_mapped().is_some() => None,
            IpAddr::V6(address) => Some(Whose::Other(address)),
        }
    }

    /// Returns whether an answer could come to this address at all, and to nobody else.
    pub(super) fn is_one(self) -> bool {
        let address = self.address;
        address != Ipv4Addr::BROADCAST && !address.is_multicast() && !address.is_unspecified()
    }
}

/// What is known of the addresses that ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queriers(Arc<Mutex<HashMap<SocketAddr, (bool, Instant)>>>);

impl Queriers {
    /// Returns who asks from an address.
    pub(crate) fn of(&self, from: SocketAddr) -> Querier {
        let address = from.ip();
        let is_host = address.is_loopback() || self.is_own(from);
        Querier { address, is_host }
    }

    fn is_own(&self, mut from: SocketAddr) -> bool {
        // Discard: nothing is sent there.
        from.set_port(9);
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((is_own, at)) = known.get(&from)
            && now.duration_since(*at) < AGE
        {
            return *is_own;
        }
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let is_own = is_own(from);
        known.insert(from, (is_own, now));
        is_own
    }
}

/// Asks the kernel: what a host sends to an address of its own leaves from there (RFC 6724 §5, rule 1). That an address
/// can be bound would say nothing, for hosts may bind others' (`ip_nonlocal_bind`).
fn is_own(address: SocketAddr) -> bool {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_addresses_are_told_from_others() {
        let queriers = Queriers::default();
        for (text, expected) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("192.0.2.1:1", false),
            ("[2001:db8:77::1]:1", false),
            ("[fe80::1%7]:1", false),
        ] {
            assert_eq!(queriers.of(text.parse().unwrap()).is_host, expected, "{text}");
        }
    }

    #[test]
    fn addresses_that_no_answer_goes_to_are_no_queriers() {
        for (text, expected) in [
            ("255.255.255.255", false),
            ("224.0.0.251", false),
            ("ff02::1", false),
            ("::", false),
            ("0.0.0.0", false),
            ("192.0.2.1", true),
            ("2001:db8::1", true),
        ] {
            let address = text.parse().unwrap();
            let querier = Querier {
                address,
                is_host: false,
            };
            assert_eq!(querier.is_one(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_remembered_of_queriers_is_bounded() {
        let queriers = Queriers::default();
        for number in 0..3 * u16::try_from(MAX_KNOWN).unwrap() {
            let address = Ipv6Addr::from([0x2001, 0xdb8, 0x77, 0, 0, 0, 0, number]);
            assert!(!queriers.of((address, 1000).into()).is_host);
        }
        assert!(queriers.0.lock().unwrap().len() <= MAX_KNOWN);
    }
}
