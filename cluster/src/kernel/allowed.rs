//! What slices may lie in, and what an interface may be called: the bounds that an operator gives on the command line.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use ssa_rules::apl::Unroutable;

/// The shortest prefix that may be given, as of a service. What is dropped for being nobody's is at most that.
const SHORTEST: u8 = ssa_rules::apl::MIN_POSITIVE_LENGTH;

/// A prefix that slices may lie in: `2001:db8:5::/64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed(Ipv6Net);

/// Says what is wrong with a prefix that slices shall lie in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowedError {
    /// It is no prefix of IPv6.
    #[error("must be an IPv6 prefix, such as 2001:db8:5::/64")]
    NoPrefix,
    /// It is a prefix of IPv4.
    #[error("is IPv4; slices are IPv6 prefixes, such as 2001:db8:5::/64")]
    Ipv4,
    /// It has bits past its length.
    #[error("has bits past its length; {0} has none")]
    HostBits(
        /// The prefix without them.
        Ipv6Net,
    ),
    /// It is shorter than anybody's service is.
    #[error("length {0} is less than {SHORTEST}: what is nobody's slice in it would be dropped")]
    Short(
        /// Its length.
        u8,
    ),
    /// It has addresses that no service has.
    #[error("contains addresses that are {0}")]
    Unroutable(Unroutable),
}

impl Allowed {
    /// Returns the prefix.
    #[must_use]
    pub const fn net(self) -> Ipv6Net {
        self.0
    }
}

impl FromStr for Allowed {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, AllowedError> {
        let net = match text.parse::<IpNet>() {
            Ok(IpNet::V6(net)) => net,
            Ok(IpNet::V4(_)) => return Err(AllowedError::Ipv4),
            // An address alone is a mistake more often than a prefix of 128 bits.
            Err(_) => {
                return Err(match text.parse::<IpAddr>() {
                    Ok(IpAddr::V4(_)) => AllowedError::Ipv4,
                    _ => AllowedError::NoPrefix,
                });
            }
        };
        if net.trunc() != net {
            return Err(AllowedError::HostBits(net.trunc()));
        }
        if net.prefix_len() < SHORTEST {
            return Err(AllowedError::Short(net.prefix_len()));
        }
        match Unroutable::overlapping(net) {
            Some(unroutable) => Err(AllowedError::Unroutable(unroutable)),
            None => Ok(Self(net)),
        }
    }
}

/// The name of an interface, as the kernel and the ruleset both take it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName(String);

/// Says that no interface has such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 15 of the characters A-Z a-z 0-9 . _ - and none of `.`, `..`, `lo`, `ssa-try`, `ssa-final`")]
pub struct InterfaceNameError;

impl InterfaceName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InterfaceName {
    type Err = InterfaceNameError;

    fn from_str(text: &str) -> Result<Self, InterfaceNameError> {
        let taken = [".", "..", "lo"].into_iter().chain(super::links::NAMES);
        let fits = (1..=15).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !fits || taken.into_iter().any(|name| name == text) {
            return Err(InterfaceNameError);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_services_are_taken() {
        for text in [
            "2001:db8:5::/64",
            "fd00::/16",
            "2001:db8::/32",
            "2001:db8:5::1/128",
            "64:ff9b::/96",
        ] {
            let allowed: Allowed = text.parse().expect(text);
            assert_eq!(allowed.net().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_prefix_of_a_service_is_refused_and_says_why() {
        let cases = [
            ("", "must be an IPv6 prefix, such as 2001:db8:5::/64"),
            ("2001:db8::", "must be an IPv6 prefix, such as 2001:db8:5::/64"),
            ("2001:db8::/129", "must be an IPv6 prefix, such as 2001:db8:5::/64"),
            (
                "10.0.0.0/8",
                "is IPv4; slices are IPv6 prefixes, such as 2001:db8:5::/64",
            ),
            ("10.0.0.1", "is IPv4; slices are IPv6 prefixes, such as 2001:db8:5::/64"),
            ("2001:db8:5::1/64", "has bits past its length; 2001:db8:5::/64 has none"),
            (
                "::/0",
                "length 0 is less than 16: what is nobody's slice in it would be dropped",
            ),
            (
                "2000::/3",
                "length 3 is less than 16: what is nobody's slice in it would be dropped",
            ),
            ("2001:db8::/15", "has bits past its length; 2000::/15 has none"),
            ("fe80::/64", "contains addresses that are link-local (fe80::/10)"),
            ("ff02::/64", "contains addresses that are multicast (ff00::/8)"),
            ("::/64", "contains addresses that are IPv4-mapped (::ffff:0.0.0.0/96)"),
            (
                "::/128",
                "contains addresses that are loopback, unspecified or IPv4-compatible (::/96)",
            ),
            (
                "::1/128",
                "contains addresses that are loopback, unspecified or IPv4-compatible (::/96)",
            ),
            (
                "::ffff:0:0/96",
                "contains addresses that are IPv4-mapped (::ffff:0.0.0.0/96)",
            ),
            (
                "::ffff:10.0.0.0/104",
                "contains addresses that are IPv4-mapped (::ffff:0.0.0.0/96)",
            ),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Allowed>().expect_err(text);
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn interfaces_have_names_that_the_ruleset_can_have() {
        for text in ["eth0", "eth0.100", "to-a", "br_x", "a23456789012345"] {
            assert_eq!(text.parse().as_ref().map(InterfaceName::as_str), Ok(text));
        }
        // An asterisk is a pattern there, and a quotation mark its end.
        for text in [
            "",
            "a234567890123456",
            "eth*",
            "a\"b",
            "a b",
            "a/b",
            ".",
            "..",
            "lo",
            "ssa-try",
            "é",
        ] {
            text.parse::<InterfaceName>().expect_err(text);
        }
    }
}
