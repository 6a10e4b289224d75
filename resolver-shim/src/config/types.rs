//! The validated configuration.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::{IpNet, Ipv6Net};
use ssa_dns::{Name, Server};
use ssa_rules::{Apl, Limits};
use ssa_snapshot::{Mode, Policy, Role, ServiceName};

use super::raw::Dnssec;
use crate::folders::Folders;

/// The configuration of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where snapshots are served.
    pub socket: Socket,
    /// Where health checks and metrics are served, if at all.
    pub admin: Option<SocketAddr>,
    /// The state file, if any.
    pub state: Option<PathBuf>,
    /// Which directories the socket and the state file may be in.
    pub folders: Folders,
    /// The kill switch: every service is off.
    pub off: bool,
    /// Whether client snapshots state the source address for each item.
    pub sources: bool,
    /// How DNS is queried.
    pub dns: Dns,
    /// The services.
    pub services: Vec<Service>,
    /// The DNS front, if any.
    pub front: Option<Front>,
}

/// Where snapshots are served, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The path of the Unix socket.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// Its group, if not the daemon's.
    pub group: Option<u32>,
    /// Who may fetch what; without any, the daemon's own user may fetch everything.
    pub peers: Option<Vec<Peer>>,
}

/// Processes, and the snapshots they may fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Their user ID, or any.
    pub uid: Option<u32>,
    /// Their group ID, or any.
    pub gid: Option<u32>,
    /// The roles whose snapshots they may fetch.
    pub roles: Vec<Role>,
}

/// How DNS is queried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// The servers; by default those of the system.
    pub servers: Option<Vec<Server>>,
    /// The file with the CA certificates for DNS over TLS; by default those of the system.
    pub ca: Option<PathBuf>,
    /// How signatures of answers are used.
    pub dnssec: Dnssec,
    /// The file with the trust anchors; by default those of the public root.
    pub trust_anchors: Option<PathBuf>,
    /// The timeout for each server.
    pub timeout: Duration,
    /// The maximum number of services queried for concurrently.
    pub concurrency: usize,
    /// The minimum interval between two queries for a service, whatever the TTL, in seconds.
    pub min_refresh: u64,
    /// The maximum interval, in seconds.
    pub max_refresh: u64,
    /// The maximum TTL of a negative answer, in seconds.
    pub max_negative_ttl: u64,
    /// The maximum pause between attempts after failures, in seconds.
    pub max_backoff: u64,
    /// How long clients use expired answers while no server answers, in seconds.
    pub stale: u64,
    /// The maximum TTL that is honoured, in seconds.
    pub max_ttl: u64,
}

impl Dns {
    /// Returns whether a server is queried over TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.servers.iter().flatten().any(|server| server.tls.is_some())
    }
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name in metrics, logs and snapshots.
    pub name: ServiceName,
    /// Where its records come from.
    pub origin: Origin,
    /// The prefixes that its addresses must be in.
    pub allowed: Vec<Ipv6Net>,
    /// Settings for the filters of its servers, if they have any.
    pub inbound: Option<Inbound>,
    /// Settings for the filters of its clients, if they have any.
    pub outbound: Option<Outbound>,
}

impl Service {
    /// Returns whether its filters cannot tell it from another service of the same records: clients' know a service by its
    /// plain addresses, servers' also by its ports.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let inbound = self.inbound.as_ref().zip(other.inbound.as_ref());
        (self.outbound.is_some() && other.outbound.is_some())
            || inbound.is_some_and(|(one, other)| one.ports.iter().any(|port| other.ports.contains(port)))
    }
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The DNS, at this name.
    Dns(Name),
    /// The configuration.
    Fixed(Fixed),
}

/// Records given in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The address list.
    pub apl: Option<Apl>,
    /// The rule records.
    pub rules: Vec<String>,
    /// The plain addresses.
    pub addresses: Vec<Ipv6Addr>,
}

/// Settings for the filters of a service's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Its ports.
    pub ports: Vec<u16>,
    /// Whether the policy is enforced.
    pub mode: Mode,
    /// The action for each finding.
    pub policy: Policy,
    /// The directory of its secrets, one file per key.
    pub secrets: Option<PathBuf>,
}

/// Settings for the filters of a service's clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The ports whose connections are rewritten; if empty, all ports.
    pub ports: Vec<u16>,
    /// The port to connect to instead.
    pub port: Option<u16>,
    /// The directory of its keys.
    pub keys: Option<Keys>,
}

/// A directory of key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Secrets.
    Secrets(PathBuf),
    /// Client keys (tag `kdf`).
    Client(PathBuf),
}

/// The DNS front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// The addresses it listens on, over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// The prefixes of clients that may query it, in addition to this host.
    pub clients: Vec<IpNet>,
    /// The servers that all other queries are forwarded to; by default those of [`Dns`].
    pub servers: Option<Vec<SocketAddr>>,
    /// Whether addresses are also composed for rules with `mac`.
    pub keyed: bool,
    /// Whether zone transfers (AXFR, IXFR) are forwarded.
    pub transfers: bool,
    /// Limits on what records may ask of it.
    pub limits: Limits,
}
