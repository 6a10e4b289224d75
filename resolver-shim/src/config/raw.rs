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
    /// Address and port of health and metrics; a link-local one with its interface, `[fe80::1%eth0]:9467`.
    pub(super) admin: Option<String>,
    /// The file that outlives the daemon; without it a restart forgets what is gone from the DNS.
    pub(super) state: Option<PathBuf>,
    /// Whether socket and state may be in [folders that others may write to](#files-and-folders), such as a pod's volume.
    #[serde(default)]
    pub(super) shared_folders: bool,
    /// The kill switch: every service is off. A fault elsewhere has the file refused whole, and this with it: see that
    /// `ssa_resolver_off` is 1.
    #[serde(default)]
    pub(super) off: bool,
    /// Whether client snapshots say which source each item's connections use.
    #[serde(default = "yes")]
    pub(super) sources: bool,
    /// How the DNS is asked.
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
    /// Its path, of at most 100 bytes. A missing last folder is made, with mode 755; see [who may write to it](#files-and-folders).
    #[serde(default = "default_socket")]
    pub(super) path: Option<PathBuf>,
    /// Its permissions, octal, up to 666.
    #[serde(default = "default_mode")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^0?[0246]{1,3}$")))]
    pub(super) mode: Option<String>,
    /// The number of its group; the daemon's by default.
    pub(super) group: Option<u32>,
    /// Who may fetch what; the kernel says who asks. By default the daemon's own user may fetch everything.
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

/// Processes, and what they may fetch: by `uid`, `gid` or both.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    /// The number of their user.
    pub(super) uid: Option<u32>,
    /// The number of their group.
    pub(super) gid: Option<u32>,
    /// Whose snapshots they may fetch.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2)))]
    pub(super) roles: Vec<Role>,
}

/// How the DNS is asked.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Dns {
    /// The servers, in this order: `ADDRESS` or `ADDRESS:PORT`, and `#NAME` behind it for [DNS over TLS](#dns-over-tls); see
    /// [below](#server-selection). Those of resolv.conf by default.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) servers: Option<Vec<String>>,
    /// Whom servers by TLS are trusted for.
    pub(super) tls: Option<Tls>,
    /// What is made of the signatures of answers, [DNSSEC](#dnssec): with `validate` only answers count that they prove.
    #[serde(default)]
    pub(super) dnssec: Dnssec,
    /// File of the keys that signatures have to lead to, DNSKEY records as in zone files; those of the public root by default.
    /// Needs `dnssec`.
    pub(super) trust_anchors: Option<PathBuf>,
    /// How long each server is waited for, in milliseconds.
    #[serde(default)]
    pub(super) timeout_ms: Number<100, 30_000, 2000>,
    /// How many services are asked for at once.
    #[serde(default)]
    pub(super) concurrency: Number<1, 256, 32>,
    /// The shortest time between two questions, whatever the TTL, in seconds.
    #[serde(default)]
    pub(super) refresh_least_s: Number<1, 3600, 1>,
    /// The longest time between two questions, whatever the TTL, in seconds; no shorter than `refresh_least_s`.
    #[serde(default)]
    pub(super) refresh_most_s: Number<1, DAY, 3600>,
    /// The longest that an absence counts, whatever its SOA says, in seconds.
    #[serde(default)]
    pub(super) absent_most_s: Number<1, DAY, 300>,
    /// The longest pause between tries after failures, in seconds; the first is a second.
    #[serde(default)]
    pub(super) retry_most_s: Number<1, 3600, 30>,
    /// How long clients live on expired answers while no server answers, in seconds.
    #[serde(default)]
    pub(super) stale_s: Number<0, WEEK, DAY>,
    /// The longest that a TTL counts, in seconds: for what is [kept though gone](#retention-after-removal), for clients
    /// while no server answers, for the front.
    // The default is longer than most zones have, and short enough that what somebody published for a moment is gone by the
    // end of the day.
    #[serde(default)]
    pub(super) ttl_most_s: Number<60, WEEK, { 4 * 3600 }>,
}

/// A day, in seconds.
const DAY: u32 = 86_400;

/// A week, in seconds.
const WEEK: u32 = 7 * DAY;

/// Whom servers by TLS are trusted for.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// File of the authorities, certificates as PEM; those of the system by default.
    pub(super) ca: PathBuf,
}

/// What is made of the signatures of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, serde::Serialize), schemars(inline))]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// Nothing.
    #[default]
    Off,
    /// An answer that is not proven by them, or proven to be of an unsigned zone, is a failure.
    Validate,
}

/// A service.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// What metrics, logs and snapshots call it; unique.
    #[cfg_attr(feature = "schema", schemars(with = "ssa_snapshot::ServiceName"))]
    pub(super) name: String,
    /// Where it is in the DNS, if not at its name; absolute.
    pub(super) domain: Option<String>,
    /// Its records, in place of the DNS.
    #[serde(rename = "static")]
    pub(super) fixed: Option<Fixed>,
    /// Prefixes of at least 16 bits that all of its items must lie in: nobody captures others' traffic by publishing a record.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "ssa_snapshot::List<ssa_snapshot::Prefix, 1, { super::MAX_MEMBERS }>")
    )]
    pub(super) allowed: Vec<String>,
    /// What the filters of its servers are told.
    pub(super) inbound: Option<Inbound>,
    /// What the filters of its clients are told.
    pub(super) outbound: Option<Outbound>,
}

/// Records that stand in the configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Fixed {
    /// The APL records united, such as `2:2001:db8:5::/64 !2:2001:db8:6::/120`.
    pub(super) apl: Option<String>,
    /// The TXT records at `_ssa`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) rules: Vec<String>,
    /// The plain addresses that stand for it.
    #[serde(default)]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "ssa_snapshot::List<ssa_snapshot::Address, 0, { super::MAX_MEMBERS }>")
    )]
    pub(super) addresses: Vec<String>,
}

/// What the filters of a service's servers are told.
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
    /// Whether the policy is carried out.
    #[serde(default)]
    pub(super) mode: Mode,
    /// What is done with each finding.
    #[serde(default)]
    pub(super) policy: Policy,
    /// Directory of its secrets, a file each: its name is the key's, its content 32 hex digits.
    pub(super) secrets: Option<PathBuf>,
}

/// What the filters of a service's clients are told.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Outbound {
    /// The ports whose connections are rewritten; without any, every port.
    #[serde(default)]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "ssa_snapshot::List<ssa_snapshot::Port, 0, { super::MAX_MEMBERS }>")
    )]
    pub(super) ports: Vec<u16>,
    /// The port to connect to instead of the one dialled.
    #[cfg_attr(feature = "schema", schemars(with = "Option<ssa_snapshot::Port>"))]
    pub(super) port: Option<u16>,
    /// Directory of its secrets, where its rule leaves no choice; not with `client_keys`.
    pub(super) secrets: Option<PathBuf>,
    /// Directory of this client's own keys under `kdf`, a file each; not with `secrets`.
    pub(super) client_keys: Option<PathBuf>,
}

/// The DNS front.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Front {
    /// Where it listens, by UDP and TCP: `ADDRESS:PORT` of single addresses, not `[::]`; link-local ones with their interface.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) listen: Vec<String>,
    /// Prefixes of those who may ask, besides this host; others are refused, and their connections closed at once.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = super::MAX_MEMBERS)))]
    pub(super) clients: Vec<String>,
    /// The servers that all else is handed to, each of which is waited for `dns.timeout_ms`; those of `dns.servers` by default, and required where these are asked by TLS.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = super::MAX_MEMBERS)))]
    pub(super) servers: Option<Vec<String>>,
    /// Whether addresses are composed by rules with `mac` too.
    #[serde(default)]
    pub(super) keyed: bool,
    /// Whether zones are handed on (AXFR, IXFR): the server then sees the front's address for all of its clients.
    #[serde(default)]
    pub(super) transfers: bool,
    /// The most bits of work that the front does for a record; beyond it clients get the published address.
    #[serde(default)]
    pub(super) max_pow: MaxPow,
    /// The shortest time step that it composes for, in seconds.
    #[serde(default)]
    pub(super) min_time_step_s: MinTimeStep,
}

/// The most bits of work that the front does for a record. It composes for all of its askers, one after the other: 12 bits
/// are some 4000 hashes.
pub(super) type MaxPow = Number<0, 16, 12>;

/// The shortest time step of a record that the front composes by, in seconds. Answers are good for what is left of one.
pub(super) type MinTimeStep = Number<1, DAY, 1>;
