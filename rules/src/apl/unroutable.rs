//! Prefixes that no service can have.

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;

/// A prefix of IANA's special-purpose registry whose addresses no router forwards, or to which nobody connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unroutable {
    /// The registered prefix.
    pub prefix: Ipv6Net,
    /// What it is for.
    pub purpose: &'static str,
}

const fn net(bits: u128, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), length)
}

const UNROUTABLE: [Unroutable; 4] = [
    Unroutable {
        prefix: net(0xff00 << 112, 8),
        purpose: "multicast",
    },
    Unroutable {
        prefix: net(0xfe80 << 112, 10),
        purpose: "link-local",
    },
    Unroutable {
        prefix: net(0xffff << 32, 96),
        purpose: "IPv4-mapped",
    },
    Unroutable {
        prefix: net(0, 96),
        purpose: "loopback, unspecified or IPv4-compatible",
    },
];

impl Unroutable {
    /// Finds the unroutable prefix that overlaps `prefix`. Such a prefix cannot be a service's, nor may anything be routed
    /// by it: it would take away what a host needs for itself.
    #[must_use]
    pub fn overlapping(prefix: Ipv6Net) -> Option<Self> {
        let overlaps = |special: &&Self| special.prefix.contains(&prefix) || prefix.contains(&special.prefix);
        UNROUTABLE.iter().find(overlaps).copied()
    }
}

impl core::fmt::Display for Unroutable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({})", self.purpose, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn what_no_router_forwards_is_found_in_and_around_a_prefix() {
        for (prefix, found) in [
            ("ff02::/64", Some("multicast (ff00::/8)")),
            ("fe80::/64", Some("link-local (fe80::/10)")),
            ("fe00::/8", Some("link-local (fe80::/10)")),
            ("::ffff:192.0.2.0/120", Some("IPv4-mapped (::ffff:0.0.0.0/96)")),
            ("::/64", Some("IPv4-mapped (::ffff:0.0.0.0/96)")),
            ("::1/128", Some("loopback, unspecified or IPv4-compatible (::/96)")),
            ("::/0", Some("multicast (ff00::/8)")),
            ("2001:db8::/32", None),
            ("64:ff9b::/96", None),
            ("fc00::/7", None),
            ("2000::/3", None),
        ] {
            let unroutable = Unroutable::overlapping(prefix.parse().unwrap());
            assert_eq!(unroutable.map(|found| found.to_string()).as_deref(), found, "{prefix}");
        }
    }
}
