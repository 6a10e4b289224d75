//! Addresses of servers and of listeners as people and configurations write them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};

/// The port of the DNS.
pub(crate) const PORT: u16 = 53;

/// The port of DNS over TLS (RFC 7858).
const TLS_PORT: u16 = 853;

/// A DNS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// The name that its certificate has, where it is asked by TLS (RFC 7858).
    pub tls: Option<String>,
}

/// Why an address is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is not written as a server's.
    #[error(
        "`{text}` is not ADDR:PORT, such as 192.0.2.53:53, [2001:db8::53]:53, [fe80::53%eth0]:53 or 192.0.2.53 (port 53)"
    )]
    NoServer {
        /// What was written.
        text: String,
    },
    /// What stands before `#` is not an address.
    #[error("`{text}` is not ADDR:PORT")]
    NoNamedServer {
        /// What stands there.
        text: String,
    },
    /// Nothing stands behind `#`.
    #[error("`{text}` has no name after #")]
    NoName {
        /// What was written.
        text: String,
    },
    /// It is not written as an address to listen at.
    #[error("`{text}` is not ADDR:PORT, such as 127.0.0.1:53, [::1]:53 or [fe80::1%eth0]:53")]
    NoListener {
        /// What was written.
        text: String,
    },
    /// It names an interface that is not there.
    #[error("`{text}`: this host has no interface {zone}, or the address takes none (only fe80::/10 does)")]
    NoInterface {
        /// What was written.
        text: String,
        /// The interface.
        zone: String,
    },
    /// It is neither an address nor a host that the system knows.
    #[error("{address}, and the system knows no host `{host}`")]
    UnknownHost {
        /// Why it is not an address.
        address: Box<AddressError>,
        /// The host.
        host: String,
    },
    /// Nobody can be asked or listen there.
    #[error("`{text}` is {what}")]
    Unusable {
        /// The address as it was written.
        text: String,
        /// What it is.
        what: &'static str,
    },
}

/// Returns what an address is that no host has as its own, or that says too little to reach one.
pub(crate) fn of_no_host(address: &SocketAddr) -> Option<&'static str> {
    match address {
        _ if address.port() == 0 => Some("missing a port: 0 is not one"),
        _ if address.ip().is_multicast() => Some("a multicast address, not that of a single host"),
        SocketAddr::V4(v4) if v4.ip().is_broadcast() => Some("the broadcast address, not that of a single host"),
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            Some("a link-local address without an interface: write ADDRESS%INTERFACE, such as fe80::53%eth0")
        }
        _ => None,
    }
}

/// Returns what an address is at which no server can be asked.
fn of_no_server(address: &SocketAddr) -> Option<&'static str> {
    let unspecified = address.ip().is_unspecified();
    of_no_host(address).or_else(|| unspecified.then_some("the unspecified address, not that of a server"))
}

fn usable(
    text: &str,
    address: SocketAddr,
    what: fn(&SocketAddr) -> Option<&'static str>,
) -> Result<SocketAddr, AddressError> {
    match what(&address) {
        None => Ok(address),
        Some(what) => Err(AddressError::Unusable {
            text: text.to_owned(),
            what,
        }),
    }
}

/// Reads `ADDR`, `ADDR:PORT`, `[ADDR]` or `[ADDR]:PORT`; the port is 53 where none is given. A link-local address has its
/// zone behind it, `fe80::53%eth0`: the name of an interface of this host, or its number (RFC 4007 §11).
///
/// # Errors
///
/// What is wrong with the text.
pub fn server_address(text: &str) -> Result<SocketAddr, AddressError> {
    let found = with_port(text, PORT).unwrap_or_else(|| Err(AddressError::NoServer { text: text.to_owned() }));
    usable(text, found?, of_no_server)
}

/// Reads a server as [`server_address`] does, or by what the system's library makes of the text in front of a port: the
/// name of a host, such as `localhost`, or an IPv4 address with fewer parts, such as `127.1` (`inet_aton`). A name may
/// have several addresses. The library may ask the system's servers for it.
///
/// # Errors
///
/// What is wrong with the text, or that there is no such host.
pub fn server_host(text: &str) -> Result<Vec<SocketAddr>, AddressError> {
    let error = match server_address(text) {
        Ok(address) => return Ok(vec![address]),
        Err(error @ AddressError::Unusable { .. }) => return Err(error),
        Err(error) => error,
    };
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|_| is_number(port))),
        None => (text, Some(PORT)),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let Some(port) = port.filter(|_| !host.is_empty() && host.chars().all(is_name)) else {
        return Err(error);
    };
    #[allow(
        clippy::disallowed_methods,
        reason = "a server that an operator names, at the start, before any can be asked"
    )]
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|_| AddressError::UnknownHost {
        address: Box::new(error),
        host: host.to_owned(),
    })?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        let address = usable(text, address, of_no_server)?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|digit| digit.is_ascii_digit())
}

/// Reads an address as [`server_address`] does, or `ADDR#NAME` or `ADDR:PORT#NAME` of a server that is asked by TLS and
/// has this name in its certificate; the port is 853 where none is given.
///
/// # Errors
///
/// What is wrong with the text.
pub fn server(text: &str) -> Result<Server, AddressError> {
    let Some((place, name)) = text.split_once('#') else {
        let address = server_address(text)?;
        return Ok(Server { address, tls: None });
    };
    let found =
        with_port(place, TLS_PORT).unwrap_or_else(|| Err(AddressError::NoNamedServer { text: place.to_owned() }));
    let address = usable(place, found?, of_no_server)?;
    if name.is_empty() {
        return Err(AddressError::NoName { text: text.to_owned() });
    }
    Ok(Server {
        address,
        tls: Some(name.to_owned()),
    })
}

/// Reads `ADDR:PORT` or `[ADDR]:PORT`, where something listens at. A link-local address has its zone behind it, as with
/// [`server_address`].
///
/// # Errors
///
/// What is wrong with the text.
pub fn socket_address(text: &str) -> Result<SocketAddr, AddressError> {
    let found = whole(text).unwrap_or_else(|| Err(AddressError::NoListener { text: text.to_owned() }));
    usable(text, found?, of_no_host)
}

/// Reads an address without a port; nothing where the text is not an address at all.
pub(crate) fn host(text: &str, port: u16) -> Option<Result<SocketAddr, AddressError>> {
    let Some((address, zone)) = text.split_once('%') else {
        // What is written in the IPv6 form of an IPv4 address needs no IPv6 socket.
        return text
            .parse()
            .ok()
            .map(|ip: IpAddr| Ok(SocketAddr::new(ip.to_canonical(), port)));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    if zone.is_empty() || !zone.chars().all(plain) {
        return None;
    }
    if let Ok(index) = zone.parse() {
        return Some(Ok(SocketAddrV6::new(address, port, 0, index).into()));
    }
    // The system's library knows the interfaces' numbers; of an address it asks nobody.
    #[allow(clippy::disallowed_methods, reason = "an address: nobody is asked")]
    let found = (text, port).to_socket_addrs().ok().and_then(|mut found| found.next());
    Some(found.ok_or_else(|| AddressError::NoInterface {
        text: text.to_owned(),
        zone: zone.to_owned(),
    }))
}

fn whole(text: &str) -> Option<Result<SocketAddr, AddressError>> {
    let (address, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|_| is_number(port))?;
    match unbracketed(address) {
        Some(inner) => inner.contains(':').then(|| host(inner, port)).flatten(),
        None => address
            .parse::<std::net::Ipv4Addr>()
            .ok()
            .map(|ip| Ok((ip, port).into())),
    }
}

fn with_port(text: &str, port: u16) -> Option<Result<SocketAddr, AddressError>> {
    whole(text).or_else(|| host(unbracketed(text).unwrap_or(text), port))
}

fn unbracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_addresses_are_read_with_and_without_port() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("2001:DB8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
            ("::ffff:192.0.2.53", "192.0.2.53:53"),
            ("[::ffff:192.0.2.53]:5353", "192.0.2.53:5353"),
        ] {
            assert_eq!(
                server_address(text).map(|address| address.to_string()),
                Ok(expected.into())
            );
        }
        for text in [
            "",
            "dns.example:53",
            "192.0.2.53:",
            "192.0.2.53:+53",
            "192.0.2.53:65536",
            "[2001:db8::53",
            "[192.0.2.53]:53",
            "192.0.2.53%lo",
            "fe80::1%",
            "fe80::1%l o",
            "%lo",
        ] {
            assert!(server_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rfc4007_11_zones_are_names_or_numbers_of_interfaces() {
        for (text, port) in [("fe80::53%7", 53), ("[fe80::53%7]", 53), ("[fe80::53%7]:5353", 5353)] {
            let expected = SocketAddrV6::new("fe80::53".parse().unwrap(), port, 0, 7);
            assert_eq!(server_address(text), Ok(expected.into()), "{text}");
        }
        let listening = socket_address("[fe80::1%7]:53").unwrap();
        assert_eq!(
            listening,
            SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, 7).into()
        );
        let named = server("fe80::53%7#dns.example.net").unwrap();
        assert_eq!(
            named.address,
            SocketAddrV6::new("fe80::53".parse().unwrap(), 853, 0, 7).into()
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn rfc4007_11_the_name_of_an_interface_is_its_number() {
        let index: u32 = std::fs::read_to_string("/sys/class/net/lo/ifindex")
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        for (text, port) in [("fe80::53%lo", 53), ("[fe80::53%lo]:5353", 5353)] {
            let expected = SocketAddrV6::new("fe80::53".parse().unwrap(), port, 0, index);
            assert_eq!(server_address(text), Ok(expected.into()), "{text}");
        }
        let missing = server_address("fe80::53%nosuch0").unwrap_err().to_string();
        assert!(missing.contains("no interface nosuch0"), "{missing}");
    }

    #[test]
    fn listeners_have_a_port() {
        assert_eq!(
            socket_address("127.0.0.1:53").map(|address| address.to_string()),
            Ok("127.0.0.1:53".into())
        );
        assert_eq!(
            socket_address("[::1]:53").map(|address| address.to_string()),
            Ok("[::1]:53".into())
        );
        for text in [
            "",
            "127.0.0.1",
            "::1",
            "[::1]",
            "localhost:53",
            ":53",
            "[fe80::1%nosuch0]:53",
        ] {
            assert!(socket_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_is_at_addresses_of_no_single_host() {
        let unusable = |error: AddressError| matches!(error, AddressError::Unusable { .. });
        for text in [
            "fe80::1",
            "[fe80::1]:53",
            "ff02::fb",
            "ff02::fb%1",
            "224.0.0.251",
            "255.255.255.255",
            "::ffff:224.0.0.251",
            "192.0.2.53:0",
            "[2001:db8::53]:0",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
        ] {
            assert!(server_address(text).is_err_and(unusable), "{text}");
            assert!(server_host(text).is_err_and(unusable), "{text}");
            assert!(
                server(&format!("{text}#dns.example.net")).is_err_and(unusable),
                "{text}"
            );
        }
        for text in [
            "[fe80::1]:53",
            "[ff02::fb]:53",
            "224.0.0.251:53",
            "[::1]:0",
            "0.0.0.0:0",
        ] {
            assert!(socket_address(text).is_err_and(unusable), "{text}");
        }
        // Whoever listens there does so at all addresses of the host.
        assert!(socket_address("[::]:9467").is_ok() && socket_address("0.0.0.0:9467").is_ok());
    }

    /// As `dig @localhost` and `dig @127.1` do.
    #[test]
    fn servers_may_be_given_by_the_name_of_a_host() {
        let localhost = server_host("localhost").unwrap();
        assert!(!localhost.is_empty());
        for address in &localhost {
            assert!(address.ip().is_loopback() && address.port() == 53, "{address}");
        }
        let found = server_host("localhost:5353").unwrap();
        assert!(found.iter().all(|address| address.port() == 5353));
        assert_eq!(server_host("[::1]:5353"), Ok(vec!["[::1]:5353".parse().unwrap()]));
        for (text, expected) in [("127.1", "127.0.0.1:53"), ("127.1:5353", "127.0.0.1:5353")] {
            assert_eq!(server_host(text), Ok(vec![expected.parse().unwrap()]), "{text}");
        }
        for text in [
            "",
            ":53",
            "no host",
            "localhost:",
            "localhost:+53",
            "localhost:65536",
            "a:b:c",
        ] {
            let error = server_host(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is not ADDR:PORT")), "{error}");
        }
    }

    #[test]
    fn servers_by_tls_have_a_name() {
        let told = |text: &str| server(text).map(|server| (server.address.to_string(), server.tls));
        let named = Some("dns.example.net".to_owned());
        assert_eq!(told("192.0.2.53"), Ok(("192.0.2.53:53".into(), None)));
        assert_eq!(
            told("2001:db8::53#dns.example.net"),
            Ok(("[2001:db8::53]:853".into(), named.clone()))
        );
        assert_eq!(
            told("[2001:db8::53]:8853#dns.example.net"),
            Ok(("[2001:db8::53]:8853".into(), named))
        );
        for text in ["192.0.2.53#", "#dns.example.net", "dns.example.net#dns.example.net", ""] {
            assert!(server(text).is_err(), "{text}");
        }
    }
}
