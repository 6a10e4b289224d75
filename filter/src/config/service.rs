//! A service in a configuration or a snapshot: its addresses and its rules.

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_rules::{AddressSpace, Apl, Class, Key, KeyId, Publication, Published, Record, Role};

use super::{
    MAX_SERVICES,
    fault::{Fault, Problem},
    json::Json,
    read::{Object, Reader},
};
use crate::{
    inbound::{Action, InboundService, Mode, Policy},
    index::Map,
    outbound::{ItemSource, OutboundService},
    table::Table,
};

/// A service as both roles know it.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Its name, which metrics and logs bear.
    pub name: String,
    /// Its rules.
    pub rules: Published,
    /// The address spaces of its rules: one, or one for each that brings its own.
    spaces: Vec<AddressSpace>,
}

impl Service {
    /// Says what an address is to the service, whichever of its records holds: in the service before legacy before
    /// outside.
    #[must_use]
    pub fn class(&self, address: Ipv6Addr) -> Class {
        let classes = self.spaces.iter().map(|space| space.class(address));
        classes
            .min_by_key(|class| match class {
                Class::Service(_) => 0,
                Class::Legacy(_) => 1,
                Class::Outside => 2,
            })
            .unwrap_or(Class::Outside)
    }

    /// Returns all items, positive and negated.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Ipv6Net> {
        self.spaces
            .iter()
            .flat_map(|space| space.positive().iter().chain(space.negated()))
    }
}

/// Where services stand, and so what they may bring.
pub(super) enum Origin<'a> {
    /// In the plugin's configuration, which everyone can read who may see it: no secrets, and every record is usable.
    Configuration,
    /// In a snapshot: with secrets; a record that is unusable is left out, and noted here.
    Snapshot(&'a mut Vec<Fault>),
}

/// What a role wants to know of a service.
pub(super) trait Kind: AsRef<Service> + Sized {
    /// For whom rules are prepared.
    const ROLE: Role;

    /// Reads the fields that are the role's own.
    fn read(reader: &mut Reader, object: &mut Object<'_>, service: Service) -> Option<Self>;
}

/// Reads the services of a role.
pub(super) fn read_all<T: Kind>(
    reader: &mut Reader,
    object: &mut Object<'_>,
    origin: &mut Origin<'_>,
) -> Option<Table<T>> {
    let mut met: Map<String, usize> = Map::default();
    let mut number = 0_usize;
    let inline = matches!(origin, Origin::Configuration);
    let read = |reader: &mut Reader, place: &str, value: &Json| {
        let index = number;
        number = number.saturating_add(1);
        if index >= MAX_SERVICES {
            return None;
        }
        let mut object = reader.object(place, value)?;
        let service = read_service(reader, &mut object, T::ROLE, origin);
        if let Some(service) = &service {
            let first = *met.entry(service.name.clone()).or_insert(index);
            if first != index {
                reader.fault(&object.place_of("name"), Problem::Repeated { first });
            }
        }
        // Even of a service at fault the other fields are read: their faults are to be told too.
        let known = service.is_some();
        let whole = T::read(reader, &mut object, service.unwrap_or_default());
        object.finish(reader);
        whole.filter(|_| known)
    };
    let services = if inline {
        object.members(reader, "services", read)?
    } else {
        object.required(reader, "services")?;
        object.list(reader, "services", read)?
    };
    if number > MAX_SERVICES {
        let problem = Problem::TooMany {
            most: MAX_SERVICES,
            found: number,
        };
        reader.fault("services", problem);
    }
    let names: Vec<String> = services.iter().map(|service| service.as_ref().name.clone()).collect();
    let shared = match Table::new(services) {
        Ok(table) => return Some(table),
        Err(shared) => shared,
    };
    for pair in shared {
        let names = pair.map(|number| names.get(number).cloned().unwrap_or_default());
        reader.fault("services", Problem::Overlap { names });
    }
    None
}

fn read_service(reader: &mut Reader, object: &mut Object<'_>, role: Role, origin: &mut Origin<'_>) -> Option<Service> {
    let name = object
        .required(reader, "name")
        .and_then(|(place, value)| reader.name(&place, value));
    let (apl, apl_at_fault) = match object.optional("apl") {
        None => (None, false),
        Some((place, value)) => match reader.text(&place, value).map(str::parse::<Apl>) {
            None => (None, true),
            Some(Ok(apl)) => (Some(apl), false),
            Some(Err(error)) => {
                reader.fault(&place, Problem::Apl(error));
                (None, true)
            }
        },
    };
    // What stands in a configuration can never get its secret: it is judged as strictly for clients as for verifiers.
    let (keys, role) = match origin {
        Origin::Configuration => (Vec::new(), Role::Verifier),
        Origin::Snapshot(_) => (read_keys(reader, object), role),
    };
    let rules_place = object.place_of("rules");
    let records = object.members(reader, "rules", |reader, place, value| {
        let text = reader.text(place, value)?;
        if !Record::counts(text.as_bytes()) {
            reader.fault(place, Problem::NoRecord);
        }
        Some(text)
    })?;
    // Without its addresses a record cannot be judged: its own faults wait.
    if apl_at_fault {
        return None;
    }
    let key_of = |wanted: &KeyId| {
        let key = keys.iter().find(|(name, _)| name == wanted.as_str());
        key.map_or(Key::None, |(_, key)| *key)
    };
    let publication = Publication::read(apl.as_ref(), &records, role, key_of);
    let mut unusable = Vec::new();
    let mut note = |place: String, problem: Problem| unusable.push(Fault { place, problem });
    if let Err(error) = &publication.space {
        note(object.place_of("apl"), Problem::Space(error.clone()));
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
            reader.faults.append(&mut unusable);
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
        name: name?,
        rules: publication.set.unwrap_or_default(),
        spaces,
    })
}

/// Returns the address space that a record brings itself.
fn own_space(record: &Record) -> Option<AddressSpace> {
    AddressSpace::new(record.apl()?).ok().flatten()
}

/// Reads the secrets of a service, each with its name.
fn read_keys(reader: &mut Reader, object: &mut Object<'_>) -> Vec<(String, Key)> {
    let Some((place, value)) = object.optional("secrets") else {
        return Vec::new();
    };
    let fields = reader.fields(&place, value).unwrap_or_default();
    let mut keys = Vec::new();
    for (name, value) in fields {
        let place = format!("{place}.{name}");
        let Some(mut object) = reader.object(&place, value) else {
            continue;
        };
        let mut material = |field| {
            object
                .optional(field)
                .map(|(place, value)| (reader.text(&place, value), place))
        };
        let key = match (material("secret"), material("client_key")) {
            (Some((text, place)), None) => text.map(|text| (text.parse().map(Key::Secret), place)),
            (None, Some((text, place))) => text.map(|text| (text.parse().map(Key::Client), place)),
            _ => {
                reader.fault(&place, Problem::OneOf(["secret", "client_key"]));
                None
            }
        };
        match key {
            Some((Ok(key), _)) => keys.push((name.clone(), key)),
            Some((Err(error), place)) => reader.fault(&place, Problem::KeyMaterial(error)),
            None => {}
        }
        object.finish(reader);
    }
    keys
}

impl Kind for InboundService {
    const ROLE: Role = Role::Verifier;

    fn read(reader: &mut Reader, object: &mut Object<'_>, service: Service) -> Option<Self> {
        let modes = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow), ("off", Mode::Off)];
        let mode = object.choice(reader, "mode", &modes).unwrap_or_default();
        let policy = object.optional("policy").map_or_else(
            || Some(Policy::default()),
            |(place, value)| {
                let mut object = reader.object(&place, value)?;
                let actions = [
                    ("allow", Action::Allow),
                    ("demote", Action::Demote),
                    ("deny", Action::Deny),
                ];
                let mut policy = Policy::default();
                for (finding, action) in policy.entries_mut() {
                    *action = object.choice(reader, finding.name(), &actions).unwrap_or(*action);
                }
                object.finish(reader);
                Some(policy)
            },
        );
        let ports = object.members(reader, "ports", Reader::port);
        Some(Self {
            service,
            mode,
            policy: policy?,
            ports: ports?,
        })
    }
}

impl Kind for OutboundService {
    const ROLE: Role = Role::Client;

    fn read(reader: &mut Reader, object: &mut Object<'_>, service: Service) -> Option<Self> {
        let addresses = object.members(reader, "addresses", Reader::address);
        let ports = object.list(reader, "ports", Reader::port).unwrap_or_default();
        let port = object.optional("port").map(|(place, value)| reader.port(&place, value));
        let sources = object.list(reader, "sources", |reader, place, value| {
            let mut object = reader.object(place, value)?;
            let item = object
                .required(reader, "item")
                .and_then(|(place, value)| reader.prefix(&place, value));
            let source = object
                .required(reader, "source")
                .and_then(|(place, value)| reader.address(&place, value));
            object.finish(reader);
            Some(ItemSource {
                item: item?,
                source: source?,
            })
        });
        Some(Self {
            service,
            addresses: addresses?,
            ports,
            port: port.flatten(),
            sources: sources.unwrap_or_default(),
        })
    }
}
