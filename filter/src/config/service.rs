//! A service in a configuration: its addresses and its rules.

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde_json::Value;
use ssa_rules::{AddressSpace, Apl, Class, Key, Publication, Published, Record, Role};

use super::{
    MAX_SERVICES,
    fault::Problem,
    read::{Object, Reader},
};
use crate::{
    inbound::{Action, InboundService, Mode, Policy},
    outbound::OutboundService,
};

/// A service as both roles know it.
#[derive(Clone, Debug)]
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
    fn items(&self) -> impl Iterator<Item = &Ipv6Net> {
        self.spaces
            .iter()
            .flat_map(|space| space.positive().iter().chain(space.negated()))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.items()
            .any(|one| other.items().any(|two| one.contains(two) || two.contains(one)))
    }
}

/// Reads the services of a role, each with its number.
pub(super) fn read_all<T: AsRef<Service>>(
    reader: &mut Reader,
    object: &mut Object<'_>,
    read: fn(&mut Reader, &mut Object<'_>, Service) -> Option<T>,
) -> Option<Vec<(usize, T)>> {
    let mut met: Vec<(usize, String)> = Vec::new();
    let mut number = 0_usize;
    let services = object.members(reader, "services", |reader, place, value| {
        let index = number;
        number = number.saturating_add(1);
        let mut object = reader.object(place, value)?;
        let service = read_service(reader, &mut object, &mut met, index);
        // Even of a service at fault the other fields are read: their faults are to be told too.
        let known = service.is_some();
        let service = service.unwrap_or_else(|| Service {
            name: String::new(),
            rules: Published::default(),
            spaces: Vec::new(),
        });
        let whole = read(reader, &mut object, service);
        object.finish(reader);
        Some((index, whole.filter(|_| known)?))
    })?;
    if number > MAX_SERVICES {
        reader.fault(
            "services",
            Problem::TooMany {
                most: MAX_SERVICES,
                found: number,
            },
        );
        return None;
    }
    for (position, (index, service)) in services.iter().enumerate() {
        let earlier = services.iter().take(position);
        if let Some((other, name)) = earlier
            .map(|(i, s)| (*i, s.as_ref()))
            .find(|(_, s)| s.overlaps(service.as_ref()))
            .map(|(i, s)| (i, &s.name))
        {
            reader.fault(
                &format!("services[{index}]"),
                Problem::Overlap {
                    other,
                    name: name.clone(),
                },
            );
        }
    }
    Some(services)
}

fn read_service(
    reader: &mut Reader,
    object: &mut Object<'_>,
    met: &mut Vec<(usize, String)>,
    index: usize,
) -> Option<Service> {
    let name = object.required(reader, "name").and_then(|(place, value)| {
        let text = reader.text(&place, value)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good = matches!(text.len(), 1..=253) && text.bytes().all(allowed);
        reader.parsed(&place, text, good.then_some(()), "not 1 to 253 of a-z A-Z 0-9 - _ .")?;
        if let Some((first, _)) = met.iter().find(|(_, name)| name == text) {
            reader.fault(&place, Problem::Repeated { first: *first });
        }
        met.push((index, text.to_owned()));
        Some(text.to_owned())
    });
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
    let place = object.place_of("rules");
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
    let publication = Publication::read(apl.as_ref(), &records, Role::Verifier, |_| Key::None);
    if let Err(error) = &publication.space {
        reader.fault(&object.place_of("apl"), Problem::Space(error.clone()));
        return None;
    }
    for candidate in &publication.candidates {
        if let Err(unusable) = &candidate.rule {
            reader.fault(
                &format!("{place}[{}]", candidate.index),
                Problem::Rule(unusable.clone()),
            );
        }
    }
    let rules = match publication.set {
        Ok(rules) => rules,
        Err(error) => {
            reader.fault(&place, Problem::Set(error));
            return None;
        }
    };
    let spaces = match publication.space {
        Ok(Some(space)) => vec![space],
        _ => own_spaces(
            publication
                .candidates
                .iter()
                .filter_map(|candidate| candidate.record.as_ref().ok()),
        ),
    };
    Some(Service {
        name: name?,
        rules,
        spaces,
    })
}

/// Returns the address spaces that records bring themselves.
fn own_spaces<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<AddressSpace> {
    records
        .filter_map(|record| AddressSpace::new(record.apl()?).ok().flatten())
        .collect()
}

pub(super) fn read_inbound(reader: &mut Reader, object: &mut Object<'_>, service: Service) -> Option<InboundService> {
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
    Some(InboundService {
        service,
        mode,
        policy: policy?,
        ports: ports?,
    })
}

pub(super) fn read_outbound(reader: &mut Reader, object: &mut Object<'_>, service: Service) -> Option<OutboundService> {
    let addresses = object.members(reader, "addresses", Reader::address);
    let ports = object.list(reader, "ports", Reader::port).unwrap_or_default();
    let port = object
        .optional("port")
        .map(|(place, value): (String, &Value)| reader.port(&place, value));
    Some(OutboundService {
        service,
        addresses: addresses?,
        ports,
        port: port.flatten(),
    })
}
