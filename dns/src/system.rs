//! The servers that this system asks: `nameserver` lines of resolv.conf(5).

use std::net::SocketAddr;
#[cfg(all(unix, not(target_vendor = "apple")))]
use std::{io, net::Ipv4Addr};

#[cfg(all(unix, not(target_vendor = "apple")))]
use crate::address::{PORT, host, of_no_host};
use crate::{AskError, SystemError};

/// The maximum number of servers taken. C libraries take three.
#[cfg(all(unix, not(target_vendor = "apple")))]
const MAX_SERVERS: usize = 8;

/// Reads, afresh, the addresses of the servers that this system asks: this host where it names none, as C libraries do.
///
/// # Errors
///
/// [`AskError::NoServers`].
#[cfg(all(unix, not(target_vendor = "apple")))]
pub fn system_servers() -> Result<Vec<SocketAddr>, AskError> {
    named_servers().map(or_this_host)
}

#[cfg(all(unix, not(target_vendor = "apple")))]
fn or_this_host(servers: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if servers.is_empty() {
        vec![(Ipv4Addr::LOCALHOST, PORT).into()]
    } else {
        servers
    }
}

/// Reads, afresh, the addresses of the servers that this system names, which may be none.
///
/// # Errors
///
/// [`AskError::NoServers`], where nothing can be read of them.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub fn named_servers() -> Result<Vec<SocketAddr>, AskError> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    let path = "/etc/resolv.conf";
    match std::fs::read(path) {
        Ok(octets) => Ok(servers_of(&String::from_utf8_lossy(&octets))),
        // C libraries do as if it were empty.
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied | IsADirectory | NotADirectory) => {
            Ok(Vec::new())
        }
        Err(source) => Err(AskError::NoServers(SystemError::Unreadable { path, source })),
    }
}

/// Reads the addresses of the servers that this system asks.
///
/// # Errors
///
/// [`AskError::NoServers`].
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub fn system_servers() -> Result<Vec<SocketAddr>, AskError> {
    let addresses = named_servers()?;
    if addresses.is_empty() {
        Err(AskError::NoServers(SystemError::None))
    } else {
        Ok(addresses)
    }
}

/// Reads the addresses of the servers that this system names, which may be none.
///
/// # Errors
///
/// [`AskError::NoServers`], where nothing can be read of them.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub fn named_servers() -> Result<Vec<SocketAddr>, AskError> {
    let (config, _) = hickory_resolver::system_conf::read_system_conf()
        .map_err(|error| AskError::NoServers(SystemError::Unavailable(Box::new(error.into()))))?;
    let servers = config.name_servers().iter();
    Ok(servers
        .map(|server| SocketAddr::new(server.ip, crate::address::PORT))
        .collect())
}

/// Returns the servers of a resolv.conf(5). Lines that say anything else, or nothing that
/// can be understood, take nothing away from the others.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub(crate) fn servers_of(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let address = words.next().unwrap_or_default();
        let address = address.split(['#', ';']).next().unwrap_or_default();
        // C libraries take the unspecified address for this host, and get nowhere with those of no single one.
        let found = host(address, PORT).and_then(Result::ok);
        let found = found.filter(|found| of_no_host(found).is_none());
        // A server that is named twice is not waited for twice.
        servers.extend(found.filter(|found| !servers.contains(found)));
        if servers.len() == MAX_SERVERS {
            break;
        }
    }
    servers
}

#[cfg(all(test, unix, not(target_vendor = "apple")))]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let servers = or_this_host(servers_of(text));
        servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn resolv_conf_is_read_as_hosts_have_it() {
        let text = "# made by NetworkManager\n; a comment\n\nsearch demo.test corp.example -- .\ndomain demo.test\n\
                    options edns0 trust-ad use-vc timeout:1 attempts:2 rotate ndots:5 no-such-option\n\
                    sortlist 130.155.160.0/255.255.240.0\nlookup file bind\nfamily inet6 inet4\n\
                    nameserver 192.0.2.1 # the router\nnameserver\t 192.0.2.2 \t\n  nameserver 192.0.2.3\r\n\
                    nameserver 2001:db8::53;two\nnameserver ::ffff:192.0.2.5\nnameserver fe80::53%7\n";
        let expected = [
            "192.0.2.1:53",
            "192.0.2.2:53",
            "192.0.2.3:53",
            "[2001:db8::53]:53",
            "192.0.2.5:53",
            "[fe80::53%7]:53",
        ];
        assert_eq!(told(text), expected);
    }

    #[test]
    fn what_cannot_be_understood_takes_nothing_away() {
        let text = "nameserver\nnameserver dns.example\nnameserver fe80::53%nosuch0\nnameserver 192.0.2.300\n\
                    #nameserver 192.0.2.8\nnameserverx 192.0.2.9\nsearch \u{fffd}\u{fffd}\nnameserver 192.0.2.1";
        assert_eq!(told(text), ["192.0.2.1:53"]);
    }

    #[test]
    fn a_file_that_is_half_written_names_none() {
        for text in [
            "",
            "search demo.test\noptions timeout:1\n",
            "nameservers ::1",
            "nameserver",
            "nameserver x\n",
        ] {
            assert!(servers_of(text).is_empty(), "{text}");
        }
        assert_eq!(servers_of("search demo.test\n  nameserver 192.0.2.53\n").len(), 1);
    }

    #[test]
    fn without_servers_it_is_this_host() {
        for text in [
            "",
            "\n",
            "search demo.test\n",
            "nameserver x\n",
            "# nameserver 192.0.2.1\n",
        ] {
            assert_eq!(told(text), ["127.0.0.1:53"], "{text:?}");
        }
    }

    #[test]
    fn addresses_of_no_single_host_are_passed_over() {
        let text = "nameserver fe80::1\nnameserver ff02::fb\nnameserver 255.255.255.255\nnameserver 0.0.0.0\n";
        assert_eq!(told(text), ["0.0.0.0:53"]);
    }

    #[test]
    fn servers_are_each_taken_once_and_bounded_in_number() {
        assert_eq!(told("nameserver 192.0.2.1\nnameserver 192.0.2.1\n"), ["192.0.2.1:53"]);
        let many: Vec<String> = (0..100).map(|number| format!("nameserver 192.0.2.{number}")).collect();
        assert_eq!(told(&many.join("\n")).len(), MAX_SERVERS);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn zones_of_link_local_servers_are_interfaces() {
        let index = std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap();
        assert_eq!(
            told("nameserver fe80::53%lo\n"),
            [format!("[fe80::53%{}]:53", index.trim())]
        );
    }
}
