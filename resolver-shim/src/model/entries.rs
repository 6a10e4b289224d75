//! A service as snapshots and the front have it.

use std::{collections::BTreeMap, net::Ipv6Addr, sync::Arc};

use ipnet::Ipv6Net;
use serde::Serialize;
use ssa_rules::{Key, KeyId, Record, Rule};

use crate::{
    config::{Action, Finding, Front, Inbound, Keys, Mode, Outbound},
    front::ComposeEntry,
    history::{Publishable, State, View, publishable},
    secrets::{self, Keyring},
};

/// A record that is none: a service that has no usable rule is told by it. Verifiers refuse its traffic by policy.
const NO_RULE: &str = "v=ssa1; x-state=none";

/// The services of a role as snapshots have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Entries {
    /// For verifiers.
    Inbound(Vec<InboundEntry>),
    /// For clients.
    Outbound(Vec<OutboundEntry>),
}

/// A service as its verifiers are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InboundEntry {
    name: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apl: Option<String>,
    rules: Vec<String>,
    ports: Vec<u16>,
    mode: Mode,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    policy: BTreeMap<Finding, Action>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, Material>,
}

/// A service as its clients are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutboundEntry {
    name: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apl: Option<String>,
    rules: Vec<String>,
    addresses: Vec<Ipv6Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, Material>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sources: Vec<ItemSource>,
}

/// Key material on its way out: the only place where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Material {
    Secret(Hex),
    ClientKey(Hex),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hex(secrets::Material);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ItemSource {
    pub(super) item: Ipv6Net,
    pub(super) source: Ipv6Addr,
}

pub(super) fn inbound_entry(
    name: &Arc<str>,
    config: &Inbound,
    published: Publishable,
    view: &View,
    keyring: &Keyring,
) -> InboundEntry {
    let keys = config.secrets.as_ref().and_then(|path| keyring.keys(path));
    let named = view.pairs.iter().filter_map(|pair| pair.key.as_ref());
    let secrets = named.filter_map(|key| {
        let material = keys?.get(key.as_str())?.clone();
        Some((key.to_string(), Material::Secret(Hex(material))))
    });
    let mut rules = published.rules;
    if rules.is_empty() {
        rules.push(NO_RULE.into());
    }
    InboundEntry {
        name: name.clone(),
        apl: published.apl,
        rules,
        ports: config.ports.clone(),
        mode: config.mode,
        policy: config.policy.iter().copied().collect(),
        secrets: secrets.collect(),
    }
}

pub(super) fn outbound_entry(name: &Arc<str>, config: &Outbound, view: &View, keyring: &Keyring) -> OutboundEntry {
    let published = publishable(&view.pairs);
    let named = view.pairs.iter().filter_map(|pair| pair.key.as_ref());
    let secrets = named.filter_map(|key| {
        let material = |path: &std::path::Path| keyring.keys(path)?.get(key.as_str()).cloned().map(Hex);
        let material = match config.keys.as_ref()? {
            Keys::Secrets(path) => Material::Secret(material(path)?),
            Keys::Client(path) => Material::ClientKey(material(path)?),
        };
        Some((key.to_string(), material))
    });
    OutboundEntry {
        name: name.clone(),
        apl: published.apl,
        rules: published.rules,
        addresses: view.addresses.clone(),
        ports: config.ports.clone(),
        port: config.port,
        secrets: secrets.collect(),
        sources: Vec::new(),
    }
}

/// Returns what the front composes, but for this host's sources.
pub(super) fn compose_entry(config: &Outbound, front: &Front, view: &View, keyring: &Keyring) -> ComposeEntry {
    let prepared = view.pairs.iter().filter_map(|pair| {
        let record: Record = pair.record().parse().ok()?;
        let key = pair.key.as_ref().filter(|_| front.keyed);
        let key = key.map_or(Key::None, |key| client_key(config, keyring, key));
        Rule::prepare(&record, Some(&pair.space), &key).ok()
    });
    let mut rules: Vec<Rule> = prepared.collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.from().0));
    let port = match (config.port, config.ports.as_slice()) {
        (None, [port]) => Some(*port),
        _ => None,
    };
    ComposeEntry {
        rules,
        port,
        own_keys: matches!(config.keys, Some(Keys::Client(_))),
        is_stale: view.standing.state == State::Stale,
        limits: front.limits,
        ..ComposeEntry::default()
    }
}

pub(super) fn client_key(outbound: &Outbound, keyring: &Keyring, key: &KeyId) -> Key {
    match &outbound.keys {
        None => Key::None,
        Some(Keys::Secrets(path)) => keyring.secret(path, key),
        Some(Keys::Client(path)) => keyring.client_key(path, key),
    }
}
