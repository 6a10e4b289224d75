//! The configuration as it is written: docs/resolver.md has what each field means.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) socket: Socket,
    pub(super) admin: Option<String>,
    pub(super) state: Option<PathBuf>,
    #[serde(default)]
    pub(super) shared_folders: bool,
    #[serde(default)]
    pub(super) off: bool,
    pub(super) sources: Option<bool>,
    #[serde(default)]
    pub(super) dns: Dns,
    /// Its members are read one by one.
    #[serde(default, rename = "services")]
    pub(super) _services: Vec<Service>,
    pub(super) front: Option<Front>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Socket {
    pub(super) path: Option<PathBuf>,
    pub(super) mode: Option<String>,
    pub(super) group: Option<u32>,
    pub(super) peers: Option<Vec<Peer>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) roles: Vec<Role>,
}

/// What a filter does: it verifies what comes in, or composes the addresses of what goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It verifies.
    Inbound,
    /// It composes.
    Outbound,
}

impl Role {
    /// Returns the role's stable name, a label of metrics and a field of logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dns {
    pub(super) servers: Option<Vec<String>>,
    pub(super) tls: Option<Tls>,
    pub(super) dnssec: Option<Dnssec>,
    pub(super) trust_anchors: Option<PathBuf>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) concurrency: Option<u64>,
    pub(super) refresh_least_s: Option<u64>,
    pub(super) refresh_most_s: Option<u64>,
    pub(super) absent_most_s: Option<u64>,
    pub(super) retry_most_s: Option<u64>,
    pub(super) stale_s: Option<u64>,
    pub(super) ttl_most_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) ca: PathBuf,
}

/// What is made of the signatures of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// Nothing.
    #[default]
    Off,
    /// An answer that is not proven by them, or proven to be of an unsigned zone, is a failure.
    Validate,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) domain: Option<String>,
    #[serde(rename = "static")]
    pub(super) fixed: Option<Fixed>,
    pub(super) allowed: Vec<String>,
    pub(super) inbound: Option<Inbound>,
    pub(super) outbound: Option<Outbound>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fixed {
    pub(super) apl: Option<String>,
    pub(super) rules: Vec<String>,
    #[serde(default)]
    pub(super) addresses: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbound {
    pub(super) ports: Vec<u16>,
    pub(super) mode: Option<Mode>,
    #[serde(default)]
    pub(super) policy: BTreeMap<Finding, Action>,
    pub(super) secrets: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outbound {
    #[serde(default)]
    pub(super) ports: Vec<u16>,
    pub(super) port: Option<u16>,
    pub(super) secrets: Option<PathBuf>,
    pub(super) client_keys: Option<PathBuf>,
}

/// How an inbound filter treats a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By its policy.
    #[default]
    Enforce,
    /// It tells what it would do, and lets pass.
    Shadow,
    /// It does not verify.
    Off,
}

impl Mode {
    /// Returns the mode's name, as the configuration has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// What an inbound filter finds of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It fits a rule, all of it.
    Conforming,
    /// What could be checked of it fits; the rest depends on an object key or a chunk.
    Unchecked,
    /// It goes to what is kept for legacy devices.
    Legacy,
    /// It fits no rule.
    Violation,
    /// A port of the service, on an address that is not its.
    Outside,
    /// An address of the service, on a port that is not its.
    OtherPort,
    /// No rule is in force.
    NoRule,
}

/// What an inbound filter does about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It lets pass.
    Allow,
    /// It lets pass, marked for low priority.
    Demote,
    /// It refuses.
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Front {
    pub(super) listen: Vec<String>,
    #[serde(default)]
    pub(super) clients: Vec<String>,
    pub(super) servers: Option<Vec<String>>,
    #[serde(default)]
    pub(super) keyed: bool,
    #[serde(default)]
    pub(super) transfers: bool,
    pub(super) max_pow: Option<u64>,
    pub(super) min_time_step_s: Option<u64>,
}
