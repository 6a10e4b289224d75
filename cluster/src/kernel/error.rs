//! What can go wrong with a kernel.

use std::fmt;
use std::io;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::EndpointName;

/// Says what the kernel refused, or what of somebody else's is in the way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A netlink socket cannot be opened.
    #[error("netlink: {0}")]
    Socket(#[source] io::Error),
    /// The kernel refused a request.
    #[error("{what}: {}", reason(source))]
    Netlink {
        /// What was asked for.
        what: String,
        /// Why it was refused.
        source: rtnetlink::Error,
    },
    /// The kernel refused a change of a route.
    #[error("{what}: {source}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why it was refused.
        source: io::Error,
    },
    /// Somebody else has a route where only this program may have some.
    #[error("table {table} has a route of protocol {protocol}: {prefix}; it must have routes of protocol 199 alone")]
    ForeignRoute {
        /// The table.
        table: u32,
        /// Whose it is.
        protocol: Protocol,
        /// Where it leads.
        prefix: Ipv6Net,
    },
    /// Somebody else's route has the prefix and metric of one that is wanted.
    #[error("table {table} has a route for {prefix} with metric {metric} of protocol {protocol}, which is left alone")]
    Occupied {
        /// The table.
        table: u32,
        /// The prefix of both.
        prefix: Ipv6Net,
        /// The metric of both.
        metric: u32,
        /// Whose it is.
        protocol: Protocol,
    },
    /// Somebody else's rule is in the way.
    #[error("rule {preference} of protocol {protocol} {what}")]
    ForeignRule {
        /// Its preference.
        preference: u32,
        /// Whose it is.
        protocol: Protocol,
        /// What it has that is needed here.
        what: String,
    },
    /// Somebody else's link has a name that is needed here.
    #[error("link {name} is no VXLAN-GPE tunnel on UDP port {port}: it is somebody else's, and is left alone")]
    ForeignLink {
        /// The name.
        name: &'static str,
        /// The port that it would have.
        port: u16,
    },
    /// Somebody else's table of `nft` has a name that is needed here.
    #[error("nft table {family} {name} has no comment {comment:?}: it is somebody else's, and is left alone")]
    ForeignTable {
        /// Its family.
        family: &'static str,
        /// Its name.
        name: &'static str,
        /// The comment of ours.
        comment: &'static str,
    },
    /// There is no such interface.
    #[error("interface {name}: not found")]
    NoInterface {
        /// The name.
        name: String,
    },
    /// The endpoint's own address is where slices may be.
    #[error("{allowed} is allowed for slices and contains this host's own address {address}")]
    OwnAddressAllowed {
        /// What is allowed.
        allowed: Ipv6Net,
        /// The address.
        address: Ipv6Addr,
    },
    /// `nft` cannot be run.
    #[error("nft: {0}; the package nftables has it")]
    NoNft(#[source] io::Error),
    /// `nft` refused something.
    #[error("nft {what}: {message}")]
    Nft {
        /// What it was to do.
        what: &'static str,
        /// What it said, at most 1000 characters.
        message: String,
    },
    /// Forwarding is off and cannot be turned on.
    #[error(
        "{path} is 0 and cannot be set: {source}; packets cannot go to peers without it; set it on the host or in an init container"
    )]
    Forwarding {
        /// The file of the setting.
        path: &'static str,
        /// Why it cannot be set.
        source: io::Error,
    },
    /// Forwarding is off on a host, whose setting it is not ours to change.
    #[error("/proc/sys/net/ipv6/conf/all/forwarding is 0: this host passes no packet on; set it to 1")]
    NotForwarding,
    /// The kernel's list of flows cannot be read.
    #[error("{what}: {source}")]
    Flows {
        /// Which list.
        what: &'static str,
        /// Why it cannot be read.
        source: io::Error,
    },
}

/// A route that is not set, while others are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{prefix} {}", self.why())]
pub struct Refused {
    /// Its prefix: of this prefix the kernel does not hold all that is wanted.
    pub prefix: Ipv6Net,
    /// Why.
    pub reason: Refusal,
}

/// Says why a route is not set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It is outside of what is allowed for slices.
    NotAllowed(
        /// What is allowed.
        Vec<Ipv6Net>,
    ),
    /// It leads to a peer whose address is unknown.
    UnknownPeer(
        /// The peer.
        EndpointName,
    ),
    /// It leads to a peer that has the address of this endpoint.
    OwnAddress(
        /// The peer.
        EndpointName,
        /// The address.
        Ipv6Addr,
    ),
    /// It leads to a peer whose address is where slices may be: packets to it would be taken for a slice's.
    PeerAllowed(
        /// The peer.
        EndpointName,
        /// The address.
        Ipv6Addr,
    ),
    /// It leads to an endpoint of this host that this host has no route to.
    NoWay(
        /// The endpoint.
        EndpointName,
        /// Its address.
        Ipv6Addr,
    ),
}

impl Refused {
    fn why(&self) -> String {
        match &self.reason {
            Refusal::NotAllowed(allowed) => format!("is outside of what is allowed: {}", list(allowed)),
            Refusal::UnknownPeer(peer) => format!("leads to the endpoint {peer}, whose tunnel address is unknown"),
            Refusal::OwnAddress(peer, address) => {
                format!("leads to the endpoint {peer}, whose tunnel address {address} is this endpoint's own")
            }
            Refusal::PeerAllowed(peer, address) => {
                format!("leads to the endpoint {peer}, whose tunnel address {address} is allowed for slices")
            }
            Refusal::NoWay(endpoint, address) => {
                format!("leads to the endpoint {endpoint}, whose address {address} this host has no route to")
            }
        }
    }
}

impl Error {
    /// Says whether there is no use in trying again: the program lacks a right or a tool.
    #[must_use]
    pub fn is_final(&self) -> bool {
        const EPERM: i32 = 1;
        match self {
            Self::Socket(_) | Self::NoNft(_) => true,
            Self::Netlink { source, .. } => Self::number(source) == Some(EPERM),
            _ => false,
        }
    }

    /// Says whether it is that something of somebody else's is in the way.
    #[must_use]
    pub const fn is_foreign(&self) -> bool {
        matches!(
            self,
            Self::ForeignRoute { .. }
                | Self::Occupied { .. }
                | Self::ForeignRule { .. }
                | Self::ForeignLink { .. }
                | Self::ForeignTable { .. }
        )
    }

    /// Returns the error number with which the kernel refused a request.
    pub(crate) fn number(error: &rtnetlink::Error) -> Option<i32> {
        match error {
            rtnetlink::Error::NetlinkError(message) => Some(-message.raw_code()),
            _ => None,
        }
    }
}

/// Says what the kernel said, and what is usually meant by it.
fn reason(source: &rtnetlink::Error) -> String {
    const EPERM: i32 = 1;
    match source {
        rtnetlink::Error::NetlinkError(message) if message.raw_code() == -EPERM => {
            format!("{}; the capability NET_ADMIN is needed", message.to_io())
        }
        rtnetlink::Error::NetlinkError(message) => message.to_io().to_string(),
        other => other.to_string(),
    }
}

fn list(prefixes: &[Ipv6Net]) -> String {
    let shown: Vec<String> = prefixes.iter().take(8).map(ToString::to_string).collect();
    let more = prefixes.len().saturating_sub(shown.len());
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!("{}{more}", shown.join(", "))
}

/// Tells whose a route or rule is, by its number and the name that it has in `/etc/iproute2/rt_protos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol(pub u8);

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "unspec",
            1 => "redirect",
            2 => "kernel",
            3 => "boot",
            4 => "static",
            9 => "ra",
            11 => "zebra",
            12 => "bird",
            16 => "dhcp",
            18 => "keepalived",
            42 => "babel",
            186 => "bgp",
            187 => "isis",
            188 => "ospf",
            196 => "static of FRR",
            _ => return write!(f, "{}", self.0),
        };
        write!(f, "{} ({name})", self.0)
    }
}
