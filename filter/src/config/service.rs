//! A service in a configuration or a snapshot: its addresses and its rules.

use ssa_rules::{AddressSpace, Apl, ItemSource, Key, KeyId, Party, Publication, Record};
use ssa_snapshot::{self as raw, KeyMaterial, Port, Secrets};

use super::{
    checker::Checker,
    fault::{Fault, Problem},
};
use crate::{inbound::InboundService, index::NameIndex, outbound::OutboundService, service::Service, table::Table};

/// Where services are read from, and so what they may contain.
pub(super) enum Origin<'a> {
    /// From the plugin's configuration, which Envoy shows: no secrets, and every record must be usable.
    Configuration,
    /// From a snapshot: with secrets; an unusable record is skipped, and added here.
    Snapshot(&'a mut Vec<Fault>),
}

/// A service as a role needs it.
pub(super) trait Kind: AsRef<Service> + Sized {
    /// A service as written.
    type Raw;

    /// The party that rules are prepared for.
    const PARTY: Party;

    /// Returns the fields that both roles have.
    fn common(raw: &Self::Raw) -> Common<'_>;

    /// Adds the fields of the role.
    fn new(service: Service, raw: Self::Raw) -> Self;
}

/// The fields of a service that both roles have, as written.
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
    table.map_err(|shared| report_overlaps(checker, &names, shared)).ok()
}

/// Reports pairs of services that share addresses.
fn report_overlaps(checker: &mut Checker, names: &[String], shared: Vec<[usize; 2]>) {
    for pair in shared {
        let names = pair.map(|number| names.get(number).cloned().unwrap_or_default());
        checker.fault("services", Problem::Overlap { names });
    }
}

/// Reads the common part of services; nothing of faulty ones.
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
        // Otherwise, reports of overlaps would use the faulty name.
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
    // A record in a configuration never gets its secret: it is judged as strictly for clients as for verifiers.
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
    // Without its address list a record cannot be judged.
    if checker.has_fault(&apl_place) {
        return None;
    }
    let key_of = |id: &KeyId| {
        let key = keys.iter().find(|(name, _)| *name == id.as_str());
        key.map_or(Key::None, |(_, key)| *key)
    };
    let publication = Publication::read(apl.as_ref(), raw.rules, party, key_of);
    let mut unusable = Vec::new();
    let mut report = |place: String, problem: Problem| unusable.push(Fault { place, problem });
    if let Err(error) = &publication.space {
        report(apl_place, Problem::Space(error.clone()));
    } else {
        for candidate in &publication.candidates {
            if let Err(error) = &candidate.rule {
                report(
                    format!("{rules_place}[{}]", candidate.index),
                    Problem::Rule(error.clone()),
                );
            }
        }
    }
    if let Err(error) = publication.set {
        report(rules_place, Problem::Set(error));
    }
    match origin {
        Origin::Configuration if !unusable.is_empty() => {
            checker.append(&mut unusable);
            return None;
        }
        Origin::Configuration => {}
        Origin::Snapshot(skipped) => skipped.append(&mut unusable),
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

/// Returns the address space of a record's own list.
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
