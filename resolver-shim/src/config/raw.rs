//! The configuration as it is written: each field with its type, bounds, default and meaning, from which its JSON Schema
//! and the tables of docs/resolver.md follow.

use std::path::PathBuf;

use serde::Deserialize;
use ssa_snapshot::{Mode, Number, Policy, Role};

/// The configuration of the resolver shim.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where snapshots are served, and to whom.
    #[serde(default)]
    pub(super) socket: Socket,
    /// Address and port for health checks and metrics; a link-local address needs its interface, `[fe80::1%eth0]:9467`.
    pub(super) admin: Option<String>,
    /// The state file, which survives restarts; without it, a restart forgets records that DNS no longer has.
    pub(super) state: Option<PathBuf>,
    /// Whether the socket and the state file may be in [directories that others can write to](#files-and-folders), such as a pod's volume.
    #[serde(default)]
    pub(super) shared_folders: bool,
    /// The kill switch: every service is off. An error elsewhere rejects the whole file, including this field: check that
    /// `ssa_resolver_off` is 1.
    #[serde(default)]
    pub(super) off: bool,
    /// Whether client snapshots state which source address the connections to each item use.
    #[serde(default = "yes")]
    pub(super) sources: bool,
    /// How DNS is queried.
    #[serde(default)]
    pub(super) dns: Dns,
    /// The services.
    // Its members are read one by one.
    #[serde(default, rename = "services")]
    #[cfg_attr(feature = "schema", schemars(length(max = super::MAX_SERVICES)))]
    pub(super) _services: Vec<Service>,
    /// The DNS front, which composes addresses for clients without a filter.
    pub(super) front: Option<Front>,
}

fn yes() -> bool {
    true
}

/// Where snapshots are served, and to whom.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Socket {
    /// The path, at most 100 bytes. If its directory is missing, it is created with mode 755; see [who may write to it](#files-and-folders).
    #[serde(default = "default_socket")]
    pub(super) path: Option<PathBuf>,
    /// The permissions, in octal, at most 666.
    #[serde(default = "default_mode")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^0?[0246]{1,3}$")))]
    pub(super) mode: Option<String>,
    /// The group ID of the socket; by default the daemon's.
    pub(super) group: Option<Id>,
    /// Who may fetch what, by the peer credentials the kernel reports. By default, the daemon's own user may fetch everything.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) peers: Option<Vec<Peer>>,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a field that is absent in a default is null in its schema"
)]
fn default_socket() -> Option<PathBuf> {
    Some(PathBuf::from(super::DEFAULT_SOCKET))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a field that is absent in a default is null in its schema"
)]
fn default_mode() -> Option<String> {
    Some("600".into())
}

/// The number of a user or a group. The last one is none: to chown(2) it means that nothing is to change.
pub(super) type Id = Number<0, { u32::MAX - 1 }, 0>;

/// Processes identified by `uid`, `gid` or both, and what they may fetch.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    /// The user ID.
    pub(super) uid: Option<Id>,
    /// The group ID.
    pub(super) gid: Option<Id>,
    /// The roles whose snapshots they may fetch.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2)))]
    pub(super) roles: Vec<Role>,
}

/// How DNS is queried.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Dns {
    /// The servers, in order of preference: `ADDRESS` or `ADDRESS:PORT`, followed by `#NAME` for [DNS over TLS](#dns-over-tls);
    /// see [server selection](#server-selection). By default those in resolv.conf.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) servers: Option<Vec<String>>,
    /// Trust in servers queried over TLS.
    pub(super) tls: Option<Tls>,
    /// [DNSSEC](#dnssec): with `validate`, only answers proven by their signatures are accepted.
    #[serde(default)]
    pub(super) dnssec: Dnssec,
    /// File with the trust anchors, DNSKEY records in zone file format; by default the keys of the public root. Requires
    /// `dnssec`.
    pub(super) trust_anchors: Option<PathBuf>,
    /// How long to wait for each server, in milliseconds.
    #[serde(default)]
    pub(super) timeout_ms: Number<100, 30_000, 2000>,
    /// How many services are queried for concurrently.
    #[serde(default)]
    pub(super) concurrency: Number<1, 256, 32>,
    /// The minimum interval between two queries, whatever the TTL, in seconds.
    #[serde(default)]
    pub(super) min_refresh_s: Number<1, 3600, 1>,
    /// The maximum interval between two queries, whatever the TTL, in seconds; at least `min_refresh_s`.
    #[serde(default)]
    pub(super) max_refresh_s: Number<1, DAY, 3600>,
    /// The maximum time a negative answer is valid, whatever its SOA says, in seconds.
    #[serde(default)]
    pub(super) max_negative_ttl_s: Number<1, DAY, 300>,
    /// The maximum pause between attempts after failures, in seconds; the first pause is one second.
    #[serde(default)]
    pub(super) max_backoff_s: Number<1, 3600, 30>,
    /// How long clients use expired answers while no server answers, in seconds.
    #[serde(default)]
    pub(super) stale_s: Number<0, WEEK, DAY>,
    /// The maximum TTL that is honoured, in seconds: for [retention after removal](#retention-after-removal), for clients
    /// while no server answers, and in the front.
    // The default exceeds the TTLs of most zones, and is short enough that a record published by mistake is gone by the end
    // of the day.
    #[serde(default)]
    pub(super) max_ttl_s: Number<60, MAX_TTL, { 4 * 3600 }>,
}

/// A day, in seconds.
pub(super) const DAY: u32 = 86_400;

/// A week, in seconds.
const WEEK: u32 = 7 * DAY;

/// The maximum TTL that can be honoured, in seconds.
pub(super) const MAX_TTL: u32 = WEEK;

/// Trust in servers queried over TLS.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// File with the CA certificates in PEM; by default the system's.
    pub(super) ca: PathBuf,
}

/// How the signatures of answers are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize), schemars(inline))]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// They are ignored.
    #[default]
    Off,
    /// An answer is a failure unless signatures prove it, or prove that its zone is unsigned.
    Validate,
}

/// A service.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// The name used in metrics, logs and snapshots; unique.
    #[cfg_attr(feature = "schema", schemars(with = "ssa_snapshot::ServiceName"))]
    pub(super) name: String,
    /// Its domain name in DNS, if different from `name`; absolute.
    pub(super) domain: Option<String>,
    /// Its records, used instead of DNS.
    #[serde(rename = "static")]
    pub(super) fixed: Option<Fixed>,
    /// Prefixes, at least 16 bits long, that must contain all of its items, so that nobody captures other services' traffic by
    /// publishing a record.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "ssa_snapshot::List<ssa_snapshot::Prefix, 1, { super::MAX_MEMBERS }>")
    )]
    pub(super) allowed: Vec<String>,
    /// Settings for the filters of its servers.
    pub(super) inbound: Option<Inbound>,
    /// Settings for the filters of its clients.
    pub(super) outbound: Option<Outbound>,
}

/// Records given in the configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Fixed {
    /// The union of the APL records, such as `2:2001:db8:5::/64 !2:2001:db8:6::/120`.
    pub(super) apl: Option<String>,
    /// The TXT records at `_ssa`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) rules: Vec<String>,
    /// The plain addresses that represent it.
    #[serde(default)]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "ssa_snapshot::List<ssa_snapshot::Address, 0, { super::MAX_MEMBERS }>")
    )]
    pub(super) addresses: Vec<String>,
}

/// Settings for the filters of a service's servers.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Inbound {
    /// The ports it serves.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "ssa_snapshot::List<ssa_snapshot::Port, 1, { super::MAX_MEMBERS }>")
    )]
    pub(super) ports: Vec<u16>,
    /// Whether the policy is enforced.
    #[serde(default)]
    pub(super) mode: Mode,
    /// The action for each finding.
    #[serde(default)]
    pub(super) policy: Policy,
    /// Directory of its secrets, one file per key: the file name is the key's name, its content 32 hex digits.
    pub(super) secrets: Option<PathBuf>,
}

/// Settings for the filters of a service's clients.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Outbound {
    /// The ports whose connections are rewritten; if empty, all ports.
    #[serde(default)]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "ssa_snapshot::List<ssa_snapshot::Port, 0, { super::MAX_MEMBERS }>")
    )]
    pub(super) ports: Vec<u16>,
    /// The port to connect to instead of the one dialled.
    #[cfg_attr(feature = "schema", schemars(with = "Option<ssa_snapshot::Port>"))]
    pub(super) port: Option<u16>,
    /// Directory of its secrets, for rules without `kdf`; mutually exclusive with `client_keys`.
    pub(super) secrets: Option<PathBuf>,
    /// Directory of this client's own keys, for rules with `kdf`, one file per key; mutually exclusive with `secrets`.
    pub(super) client_keys: Option<PathBuf>,
}

/// The DNS front.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Front {
    /// The addresses it listens on, over UDP and TCP: `ADDRESS:PORT`, not wildcards such as `[::]`; link-local addresses need their interface.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) listen: Vec<String>,
    /// Prefixes of clients that may query it, in addition to this host, at least 16 bits long, or 8 for IPv4; other clients are
    /// refused and their connections closed at once.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = super::MAX_MEMBERS)))]
    pub(super) clients: Vec<String>,
    /// The servers that all other queries are forwarded to, each with a timeout of `dns.timeout_ms`; by default those of
    /// `dns.servers`, and required if those are queried over TLS.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) servers: Option<Vec<String>>,
    /// Whether addresses are also composed for rules with `mac`.
    #[serde(default)]
    pub(super) keyed: bool,
    /// Whether zone transfers (AXFR, IXFR) are forwarded: the server then sees the front's address for all of its clients.
    #[serde(default)]
    pub(super) transfers: bool,
    /// The maximum proof of work, in bits, that the front does for a record; beyond that, clients get the published address.
    #[serde(default)]
    pub(super) max_pow: MaxPow,
    /// The minimum time step it composes for, in seconds.
    #[serde(default)]
    pub(super) min_time_step_s: MinTimeStep,
}

/// The maximum proof of work, in bits, that the front does for a record. It composes for all of its clients, one after the
/// other: 12 bits are about 4000 hashes.
pub(super) type MaxPow = Number<0, 16, 12>;

/// The minimum time step of a record that the front composes for, in seconds. Answers are valid for the rest of the step.
pub(super) type MinTimeStep = ssa_snapshot::plugin::MinTimeStep<1>;
