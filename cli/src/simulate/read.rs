//! From flags to a scene: the record, its slices, the endpoints, and who connects.

use std::{borrow::Cow, path::Path};

use ipnet::Ipv6Net;
use ssa_rules::{AddressSpace, Key, Port, Record, Rule, Secret, UnixTime, published::Party, record::Field};
use ssa_slices::{MAX_SLICES, Replicas, SliceBits, SliceSpace};

use super::{
    Args,
    attack::{Attack, MAX_INPUTS},
    clients::{self, ClientGroup, MAX_CLIENTS, Population},
    endpoints::{Endpoints, Fleet},
    load::{Objects, Subjects, Workload},
    random::Seeded,
};
use crate::{
    failure::{Failure, Faults},
    input::{Keys, Service, files, never_a_source, number},
    published,
};

/// The maximum number of connections of a run.
const MAX_CONNECTIONS: u64 = 1_000_000_000;

/// What needs no record to be read.
#[derive(Debug)]
pub(super) struct Plain {
    groups: Vec<ClientGroup>,
    objects: Option<ObjectsGiven>,
    chunks: u64,
    connections: Option<u32>,
    port: Port,
    time: UnixTime,
    seed: u64,
    endpoints: Endpoints,
    then: Option<Endpoints>,
    bits: Option<u8>,
    attack: Option<Ipv6Net>,
    budget: u64,
    sample: u64,
}

/// Objects as given.
#[derive(Debug)]
enum ObjectsGiven {
    Count(u64),
    Keys(Vec<Vec<u8>>),
}

impl Plain {
    /// Reads the flags, recording every fault.
    pub(super) fn read(args: &Args, faults: &mut Faults) -> Option<Self> {
        let mut groups: Vec<ClientGroup> = args
            .clients
            .iter()
            .filter_map(|text| faults.take("--clients", text.parse()))
            .collect();
        if let Some(path) = &args.clients_file {
            groups.extend(clients_file(path, faults));
        }
        for group in groups.iter().filter(|group| group.known_count().is_none()) {
            faults.push("--clients", format!("{group} needs a count; write {group}=COUNT"));
        }
        let objects = args.objects.as_deref().and_then(|text| objects(text, faults));
        let mut read = |flag: &str, text: &Option<String>, min: u64, max: u64| {
            text.as_deref().and_then(|text| number(flag, text, min, max, faults))
        };
        let chunks = read("--chunks", &args.chunks, 1, MAX_CLIENTS);
        let connections = read("--connections", &args.connections, 1, 1000);
        let port = read("--port", &args.port, 0, u16::MAX.into());
        let time = read("--time", &args.time, 0, u64::MAX);
        let seed = read("--seed", &args.seed, 0, u64::MAX);
        let bits = read("--bits", &args.bits, 0, SliceBits::MAX.into());
        let budget = read("--budget", &args.budget, 1, MAX_CLIENTS);
        let sample = read("--sample", &args.sample, 16, MAX_INPUTS);
        let attack = args
            .attack
            .as_deref()
            .and_then(|text| faults.take("--attack", clients::prefix(text)))
            .filter(|prefix| match never_a_source(prefix) {
                Some(why) => {
                    faults.push("--attack", format!("{prefix} is {why}"));
                    false
                }
                None => true,
            });
        if args.endpoints.is_none() {
            faults.push("--endpoints", "missing; give how many there are, or their names");
        }
        let endpoints = args
            .endpoints
            .as_deref()
            .and_then(|text| faults.take("--endpoints", text.parse()));
        let then = args
            .then
            .as_deref()
            .and_then(|text| faults.take("--then", text.parse()));
        if groups.is_empty() && args.objects.is_none() && args.attack.is_none() && faults.0.is_empty() {
            faults.push(
                "--clients",
                "missing; give --clients, --clients-file, --objects or --attack",
            );
        }
        Some(Self {
            groups,
            objects,
            chunks: chunks.unwrap_or(1),
            connections: connections.and_then(|count| u32::try_from(count).ok()),
            port: Port(port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443)),
            time: time.map_or_else(crate::input::now, UnixTime),
            seed: seed.unwrap_or(1),
            endpoints: endpoints?,
            then,
            bits: bits.and_then(|bits| u8::try_from(bits).ok()),
            attack,
            budget: budget.unwrap_or(1000),
            sample: sample.unwrap_or(MAX_INPUTS),
        })
    }
}

fn clients_file(path: &Path, faults: &mut Faults) -> Vec<ClientGroup> {
    let place = format!("--clients-file {}", path.display());
    let Some(bytes) = faults.take(&place, files::read(path)) else {
        return Vec::new();
    };
    match clients::lines(&String::from_utf8_lossy(&bytes)) {
        Ok(groups) => {
            if groups.is_empty() {
                faults.push(&place, "contains no clients");
            }
            groups
        }
        Err(wrong) => {
            for (line, message) in wrong {
                faults.push(format!("{place} line {line}"), message);
            }
            Vec::new()
        }
    }
}

fn objects(text: &str, faults: &mut Faults) -> Option<ObjectsGiven> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number("--objects", text, 1, MAX_CLIENTS, faults).map(ObjectsGiven::Count);
    }
    let place = format!("--objects {text}");
    let bytes = faults.take(&place, files::read(Path::new(text)))?;
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let keys: Vec<Vec<u8>> = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
    if keys.is_empty() {
        faults.push(place, "no key in it");
        return None;
    }
    Some(ObjectsGiven::Keys(keys))
}

/// Everything that a run needs.
pub(super) struct Scene {
    pub(super) record: Record,
    pub(super) rule: Rule,
    pub(super) items: AddressSpace,
    pub(super) space: SliceSpace,
    pub(super) replicas: Replicas,
    pub(super) subjects: Option<Subjects>,
    pub(super) connections: u32,
    pub(super) chunks: u64,
    pub(super) port: Port,
    pub(super) time: UnixTime,
    pub(super) seed: u64,
    /// Whether the secret was made up.
    pub(super) made_up_secret: bool,
    endpoints: Endpoints,
    then: Option<Endpoints>,
    attack: Option<Ipv6Net>,
    budget: u64,
    sample: u64,
}

impl Scene {
    pub(super) fn new(plain: Plain, service: &Service, keys: &Keys) -> Result<Self, Failure> {
        let publication = service.publication(Party::Client, keys);
        published::check(service, &publication, Party::Client)?;
        let in_force = publication
            .set
            .as_ref()
            .ok()
            .and_then(|set| set.client_rule(plain.time))
            .map(Rule::from);
        let record = in_force
            .and_then(|from| published::record_of(&publication, from))
            .cloned();
        let none = || Failure::not_fine("record", format!("none is in force at {}; give --time", plain.time));
        let record = record.ok_or_else(none)?;
        let published = publication.space.ok().flatten();
        let items = record.space(published.as_ref()).map(Cow::into_owned);
        let items = items.ok_or_else(|| Failure::not_fine("record", "there are no addresses"))?;

        let (key, made_up_secret) = key(&record, keys, plain.seed);
        let rule = without_pow(&record)
            .and_then(|record| Rule::prepare(&record, Some(&items), &key).ok())
            .ok_or_else(|| Failure::input("record", "cannot be prepared without its proof of work"))?;

        let width = record.template().width();
        let bits = slice_bits(plain.bits, width, items.positive().len(), plain.endpoints.0.len())?;
        let space = SliceSpace::new(items.positive(), bits).map_err(|error| Failure::input("--bits", error))?;
        let first = record.template().fields().first().map_or(1, Field::width);
        let replicas = Replicas::new(record.replicas(), first).map_err(|error| Failure::input("record", error))?;

        let subjects = subjects(&record, &plain.groups, plain.objects, plain.seed)?;
        let connections = plain.connections.unwrap_or_else(|| record.replicas().into());
        let scene = Self {
            record,
            rule,
            items,
            space,
            replicas,
            subjects,
            connections,
            chunks: plain.chunks,
            port: plain.port,
            time: plain.time,
            seed: plain.seed,
            made_up_secret,
            endpoints: plain.endpoints,
            then: plain.then,
            attack: plain.attack,
            budget: plain.budget,
            sample: plain.sample,
        };
        scene.check_size()?;
        Ok(scene)
    }

    fn check_size(&self) -> Result<(), Failure> {
        let Some(subjects) = &self.subjects else { return Ok(()) };
        let count = self.workload(subjects).count();
        let connections = count.saturating_mul(self.connections.into());
        if connections > MAX_CONNECTIONS {
            let message = format!(
                "{count} times {} exceed {MAX_CONNECTIONS} connections in all",
                self.connections
            );
            return Err(Failure::input("--connections", message));
        }
        Ok(())
    }

    pub(super) fn fleet(&self) -> Result<Fleet, Failure> {
        let fleet = Fleet::start(&self.space, self.replicas, self.endpoints.clone());
        fleet.map_err(|error| Failure::input("--endpoints", error))
    }

    pub(super) fn then(&self, fleet: &Fleet) -> Result<Option<Fleet>, Failure> {
        let then = self
            .then
            .as_ref()
            .map(|wanted| fleet.then(&self.space, self.replicas, wanted));
        then.transpose().map_err(|error| Failure::input("--then", error))
    }

    pub(super) fn workload<'a>(&'a self, subjects: &'a Subjects) -> Workload<'a> {
        Workload {
            rule: &self.rule,
            space: &self.space,
            subjects,
            connections: self.connections,
            chunks: self.chunks,
            port: self.port,
            time: self.time,
            seed: self.seed,
        }
    }

    pub(super) fn attack<'a>(&'a self, fleet: &'a Fleet) -> Option<Attack<'a>> {
        self.attack.map(|prefix| Attack {
            record: &self.record,
            rule: &self.rule,
            space: &self.space,
            fleet,
            prefix,
            budget: self.budget,
            sample: self.sample,
            port: self.port,
            time: self.time,
            seed: self.seed,
        })
    }
}

/// Returns the secret or the client key that is available, or makes up a secret.
fn key(record: &Record, keys: &Keys, seed: u64) -> (Key, bool) {
    match record.key().map(|id| keys.get(id)) {
        None => (Key::None, false),
        Some(Key::Secret(secret)) => (Key::Secret(secret), false),
        // One client's key is of no use for all the others.
        Some(Key::None | Key::Client(_)) => {
            let mut random = Seeded::new(seed, 3 << 62);
            (Key::Secret(Secret::new(random.wide().to_be_bytes())), true)
        }
    }
}

/// Returns the record without its proof of work: a solution is an address like any other, only found later.
fn without_pow(record: &Record) -> Option<Record> {
    let mut tags = record.tags();
    tags.remove("pow");
    tags.record().ok()
}

fn slice_bits(wanted: Option<u8>, width: u8, items: usize, endpoints: usize) -> Result<SliceBits, Failure> {
    let fits = |bits: &u8| *bits <= width && items << *bits <= MAX_SLICES;
    let enough = |bits: &u8| *bits >= 14 && items << *bits >= 16 * endpoints;
    let all = || (0..=SliceBits::MAX).filter(fits);
    let bits = wanted
        .or_else(|| all().find(enough))
        .or_else(|| all().next_back())
        .unwrap_or(0);
    SliceBits::new(bits).map_err(|error| Failure::input("--bits", error))
}

fn subjects(
    record: &Record,
    groups: &[ClientGroup],
    objects: Option<ObjectsGiven>,
    seed: u64,
) -> Result<Option<Subjects>, Failure> {
    let needs = record.needs();
    if groups.is_empty() && objects.is_none() {
        return Ok(None);
    }
    if objects.is_some() && !needs.object {
        return Err(Failure::input("--objects", "the record does not look at objects"));
    }
    if objects.is_none() && needs.object {
        return Err(Failure::input("--objects", "missing; the record places by the object"));
    }
    let objects = objects.map(|objects| match objects {
        ObjectsGiven::Count(count) => Objects::Counted {
            count,
            numbers: needs.number,
        },
        ObjectsGiven::Keys(keys) => Objects::Listed(keys),
    });
    if groups.is_empty() {
        if needs.source {
            return Err(Failure::input("--clients", "missing; the record places by the source"));
        }
        return Ok(objects.map(Subjects::Objects));
    }
    let population = Population::new(groups, seed).map_err(|error| Failure::input("--clients", error))?;
    Ok(Some(Subjects::Clients(population, objects)))
}
