//! A service in a configuration or a snapshot: its addresses and its rules.

use ssa_rules::{AddressSpace, Apl, ItemSource, Key, KeyId, Party, Publication, Record};
use ssa_snapshot::{self as raw, KeyMaterial, Port, Secrets};

use super::{
    checker::Checker,
    fault::{Fault, Problem},
};
use crate::{inbound::InboundService, index::NameIndex, outbound::OutboundService, service::Service, table::Table};

/// Where services stand, and so what they may bring.
pub(super) enum Origin<'a> {
    /// In the plugin's configuration, which everyone can read who may see it: no secrets, and every record is usable.
    Configuration,
    /// In a snapshot: with secrets; a record that is unusable is left out, and noted here.
    Snapshot(&'a mut Vec<Fault>),
}

/// What a role wants to know of a service.
pub(super) trait Kind: AsRef<Service> + Sized {
    /// A service as it is written.
    type Raw;

    /// For whom rules are prepared.
    const PARTY: Party;

    /// Returns what both roles know of it.
    fn common(raw: &Self::Raw) -> Common<'_>;

    /// Adds the fields that are the role's own.
    fn new(service: Service, raw: Self::Raw) -> Self;
}

/// What both roles know of a service, as it is written.
pub(super) struct Common<'a> {
    name: &'a str,
    apl: Option<&'a str>,
    rules: &'a [String],
    secrets: &'a Secrets,
}

/// Reads the services of a role.
pub(super) fn read_all<T: Kind>(checker: &mut Checker, raw: Vec<T::Raw>, origin: &mut Origin<'_>) -> Option<Table<T>> {
    let common: Vec<Common<'_>> = raw.iter().map(T::common).collect();
    let services = read_services(checker, &common, T::PARTY, origin);
    let names: Vec<String> = services.iter().flatten().map(|service| service.name.clone()).collect();
    let services = services.into_iter().zip(raw);
    let services = services.filter_map(|(service, raw)| Some(T::new(service?, raw)));
    let table = Table::new(services.collect());
    table.map_err(|shared| note_overlaps(checker, &names, shared)).ok()
}

/// Notes pairs of services that share addresses.
fn note_overlaps(checker: &mut Checker, names: &[String], shared: Vec<[usize; 2]>) {
    for pair in shared {
        let names = pair.map(|number| names.get(number).cloned().unwrap_or_default());
        checker.fault("services", Problem::Overlap { names });
    }
}

/// Reads what both roles know of services; nothing of those that are at fault.
fn read_services(
    checker: &mut Checker,
    raw: &[Common<'_>],
    party: Party,
    origin: &mut Origin<'_>,
) -> Vec<Option<Service>> {
    let names = NameIndex::new(raw.iter().map(|raw| raw.name));
    let mut services = Vec::with_capacity(raw.len());
    for (number, raw) in raw.iter().enumerate() {
        if checker.is_full() {
            break;
        }
        let place = format!("services[{number}]");
        let name_place = format!("{place}.name");
        let first = names.get(raw.name).unwrap_or(number);
        if first != number {
            checker.fault(&name_place, Problem::Repeated { first });
        }
        let service = read_service(checker, &place, raw, party, origin);
        // A name that is at fault would name it where it overlaps others.
        services.push(service.filter(|_| !checker.has_fault(&name_place)));
    }
    services
}

fn read_service(
    checker: &mut Checker,
    place: &str,
    raw: &Common<'_>,
    party: Party,
    origin: &mut Origin<'_>,
) -> Option<Service> {
    let (apl_place, rules_place) = (format!("{place}.apl"), format!("{place}.rules"));
    let apl = match raw.apl.map(str::parse::<Apl>).transpose() {
        Ok(apl) => apl,
        Err(error) => {
            checker.fault(&apl_place, Problem::Apl(error));
            None
        }
    };
    // What stands in a configuration can never get its secret: it is judged as strictly for clients as for verifiers.
    let (keys, party) = match origin {
        Origin::Configuration => (Vec::new(), Party::Verifier),
        Origin::Snapshot(_) => (read_keys(checker, place, raw.secrets), party),
    };
    if matches!(origin, Origin::Configuration) && raw.rules.is_empty() {
        checker.fault(&rules_place, Problem::Empty);
    }
    for (number, record) in raw.rules.iter().enumerate() {
        if !Record::counts(record.as_bytes()) {
            checker.fault(&format!("{rules_place}[{number}]"), Problem::NoRecord);
        }
    }
    // Without its addresses a record cannot be judged: its own faults wait.
    if checker.has_fault(&apl_place) {
        return None;
    }
    let key_of = |wanted: &KeyId| {
        let key = keys.iter().find(|(name, _)| *name == wanted.as_str());
        key.map_or(Key::None, |(_, key)| *key)
    };
    let publication = Publication::read(apl.as_ref(), raw.rules, party, key_of);
    let mut unusable = Vec::new();
    let mut note = |place: String, problem: Problem| unusable.push(Fault { place, problem });
    if let Err(error) = &publication.space {
        note(apl_place, Problem::Space(error.clone()));
    } else {
        for candidate in &publication.candidates {
            if let Err(error) = &candidate.rule {
                note(
                    format!("{rules_place}[{}]", candidate.index),
                    Problem::Rule(error.clone()),
                );
            }
        }
    }
    if let Err(error) = publication.set {
        note(rules_place, Problem::Set(error));
    }
    match origin {
        Origin::Configuration if !unusable.is_empty() => {
            checker.append(&mut unusable);
            return None;
        }
        Origin::Configuration => {}
        Origin::Snapshot(notes) => notes.append(&mut unusable),
    }
    let spaces = match publication.space {
        Ok(Some(space)) => vec![space],
        _ => publication
            .candidates
            .iter()
            .filter_map(|candidate| own_space(candidate.record.as_ref().ok()?))
            .collect(),
    };
    Some(Service {
        name: raw.name.to_owned(),
        rules: publication.set.unwrap_or_default(),
        spaces,
    })
}

/// Returns the address space that a record brings itself.
fn own_space(record: &Record) -> Option<AddressSpace> {
    AddressSpace::new(record.apl()?).ok().flatten()
}

/// Reads the secrets of a service, each with its name.
fn read_keys<'a>(checker: &mut Checker, place: &str, secrets: &'a [(String, KeyMaterial)]) -> Vec<(&'a str, Key)> {
    let mut keys = Vec::new();
    for (name, material) in secrets {
        let (field, read) = match material {
            KeyMaterial::Secret(key) => ("secret", key.expose().parse().map(Key::Secret)),
            KeyMaterial::ClientKey(key) => ("client_key", key.expose().parse().map(Key::Client)),
        };
        match read {
            Ok(key) => keys.push((name.as_str(), key)),
            Err(error) => checker.fault(&format!("{place}.secrets.{name}.{field}"), Problem::KeyMaterial(error)),
        }
    }
    keys
}

fn numbers(ports: &[Port]) -> Vec<u16> {
    ports.iter().map(|port| port.get()).collect()
}

impl Kind for InboundService {
    type Raw = raw::InboundService;

    const PARTY: Party = Party::Verifier;

    fn common(raw: &Self::Raw) -> Common<'_> {
        Common {
            name: &raw.name,
            apl: raw.apl.as_deref(),
            rules: &raw.rules,
            secrets: &raw.secrets,
        }
    }

    fn new(service: Service, raw: Self::Raw) -> Self {
        Self {
            service,
            mode: raw.mode,
            policy: raw.policy,
            ports: numbers(&raw.ports),
        }
    }
}

impl Kind for OutboundService {
    type Raw = raw::OutboundService;

    const PARTY: Party = Party::Client;

    fn common(raw: &Self::Raw) -> Common<'_> {
        Common {
            name: &raw.name,
            apl: raw.apl.as_deref(),
            rules: &raw.rules,
            secrets: &raw.secrets,
        }
    }

    fn new(service: Service, raw: Self::Raw) -> Self {
        let sources = raw.sources.iter().map(|own| ItemSource {
            item: own.item.get(),
            source: own.source.0,
        });
        Self {
            service,
            addresses: raw.addresses.iter().map(|address| address.0).collect(),
            ports: numbers(&raw.ports),
            port: raw.port.map(Port::get),
            sources: sources.collect(),
        }
    }
}
