//! Addresses as Envoy writes them.

use core::net::{IpAddr, Ipv6Addr};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address. IPv4 comes as its mapped form, which no service owns.
    pub address: Ipv6Addr,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `[2001:db8::1]:80` or `192.0.2.1:80`; a zone (`%eth0`) is dropped. Pipes and internal addresses are none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(text).ok()?;
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(bracketed) => bracketed.split('%').next()?.parse().ok()?,
            None => host.parse::<core::net::Ipv4Addr>().ok()?.to_ipv6_mapped(),
        };
        Some(Self { address, port })
    }
}

impl core::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match IpAddr::V6(self.address).to_canonical() {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        Endpoint::parse(text.as_bytes()).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn addresses_of_envoy_are_read() {
        assert_eq!(parse("[2001:db8::7]:443").as_deref(), Some("[2001:db8::7]:443"));
        assert_eq!(parse("[fe80::1%eth0]:1").as_deref(), Some("[fe80::1]:1"));
        assert_eq!(parse("192.0.2.1:65535").as_deref(), Some("192.0.2.1:65535"));
    }

    #[test]
    fn what_is_no_address_and_port_is_refused() {
        for text in [
            "",
            ":",
            "[::1]",
            "[::1]:",
            "[::1]:65536",
            "::1:80",
            "/run/x.sock",
            "envoy://internal/x",
            "[::1:80",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(Endpoint::parse(b"[::1]:\xff"), None);
    }
}
