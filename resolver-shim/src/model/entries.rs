//! A service as snapshots and the front have it.

use std::collections::BTreeMap;

use serde::Serialize;
use ssa_rules::{Key, KeyId, Record, Rule};
use ssa_snapshot::{Address, InboundService, KeyMaterial, KeyText, List, OutboundService, Port, Secrets, ServiceName};

use crate::{
    config::{Front, Inbound, Keys, Outbound},
    front::ComposeEntry,
    history::{Publishable, State, View, publishable},
    secrets::{self, Keyring},
};

/// The services of a role as snapshots have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Entries {
    /// For verifiers.
    Inbound(Vec<InboundService>),
    /// For clients.
    Outbound(Vec<OutboundService>),
}

pub(super) fn inbound_entry(
    name: &ServiceName,
    config: &Inbound,
    published: Publishable,
    view: &View,
    keyring: &Keyring,
) -> InboundService {
    let keys = config.secrets.as_ref().and_then(|path| keyring.keys(path));
    let named = view.pairs.iter().filter_map(|pair| pair.key.as_ref());
    let secrets = named.filter_map(|key| {
        let material = keys?.get(key.as_str())?;
        Some((key.to_string(), KeyMaterial::Secret(written(material))))
    });
    InboundService {
        name: name.clone(),
        apl: published.apl,
        rules: published.rules.into(),
        ports: ports(&config.ports).into(),
        mode: config.mode,
        policy: config.policy,
        secrets: by_name(secrets),
    }
}

pub(super) fn outbound_entry(name: &ServiceName, config: &Outbound, view: &View, keyring: &Keyring) -> OutboundService {
    let published = publishable(&view.pairs);
    let named = view.pairs.iter().filter_map(|pair| pair.key.as_ref());
    let secrets = named.filter_map(|key| {
        let material = |path: &std::path::Path| keyring.keys(path)?.get(key.as_str()).map(written);
        let material = match config.keys.as_ref()? {
            Keys::Secrets(path) => KeyMaterial::Secret(material(path)?),
            Keys::Client(path) => KeyMaterial::ClientKey(material(path)?),
        };
        Some((key.to_string(), material))
    });
    OutboundService {
        name: name.clone(),
        apl: published.apl,
        rules: published.rules.into(),
        addresses: view.addresses.iter().copied().map(Address).collect(),
        ports: ports(&config.ports).into(),
        port: config.port.and_then(Port::new),
        secrets: by_name(secrets),
        sources: List::default(),
    }
}

/// Returns key material on its way out: the only place where it is written.
fn written(material: &secrets::Material) -> KeyText {
    KeyText::new(material.expose())
}

/// Puts key material in order: several records may name one key.
fn by_name(secrets: impl Iterator<Item = (String, KeyMaterial)>) -> Secrets {
    let secrets: BTreeMap<String, KeyMaterial> = secrets.collect();
    secrets.into_iter().collect()
}

fn ports(ports: &[u16]) -> Vec<Port> {
    ports.iter().copied().filter_map(Port::new).collect()
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
