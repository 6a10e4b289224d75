//! All services together: their memories, whose addresses are whose, and the snapshots that follow from them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv6Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use ssa_rules::{Apl, Key, KeyId, Record, Rule};

use crate::{
    answers::{Answer, Answers, List, Seconds, records},
    claims::Claims,
    config::{Action, Config, Finding, Front, Inbound, Keys, Mode, Origin, Outbound, Role, Service},
    front::{self, Offer, Timed},
    memory::{Memory, Publishable, Standing, State, Terms, View, publishable},
    secrets::{self, Keyring},
    sources::Sources,
};

/// The TTL of records that stand in the configuration, in seconds.
const FIXED_TTL: u64 = 300;

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
    sources: Vec<ItemSource>,
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
struct ItemSource {
    item: Ipv6Net,
    source: Ipv6Addr,
}

/// Everything that snapshots follow from.
pub struct Model {
    config: Config,
    services: Vec<Known>,
    keyring: Keyring,
    sources: Sources,
    source_of: fn(&mut Sources, Ipv6Net) -> Option<Ipv6Addr>,
}

/// A service, and what is known of it.
struct Known {
    name: Arc<str>,
    memory: Memory,
    /// The prefixes that it had in the last snapshots.
    held: BTreeSet<Ipv6Net>,
    standings: HashMap<Role, Standing>,
    dropped: usize,
    /// When the first of its answers expires: the front looks at it whenever it is asked.
    fresh_until: Arc<AtomicU64>,
}

impl Known {
    fn note_freshness(&self, origin: &Origin) {
        let until = match origin {
            Origin::Dns(_) => self.memory.fresh_until(),
            Origin::Fixed(_) => Seconds::MAX,
        };
        self.fresh_until.store(until, Ordering::Relaxed);
    }
}

/// What outlives the daemon of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The domain name that it was asked at, if any.
    pub domain: Option<String>,
    /// What is known of it.
    pub memory: Memory,
    /// The prefixes that it holds: others do not get them meanwhile.
    pub held: BTreeSet<Ipv6Net>,
}

/// What follows from a model at a time.
#[derive(Debug)]
pub struct Built {
    /// For verifiers.
    pub inbound: Entries,
    /// For clients.
    pub outbound: Entries,
    /// For the front, by name.
    pub offers: HashMap<Vec<u8>, Offer>,
    /// When it changes by itself.
    pub until: Option<Seconds>,
}

/// How a service stands in a role, to be told.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The service.
    pub service: Arc<str>,
    /// The role.
    pub role: Role,
    /// The name of its state.
    pub state: &'static str,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds since 1970 of the last answer for its rule records; 0 is never.
    pub answered: Seconds,
    /// The TTL of that answer.
    pub ttl: u64,
}

impl Model {
    /// Begins with what was stored.
    #[must_use]
    pub fn new(config: Config, stored: BTreeMap<String, Stored>, now: Seconds) -> Self {
        let mut model = Self {
            config: config.clone(),
            services: Vec::new(),
            keyring: Keyring::default(),
            sources: Sources::default(),
            source_of: Sources::of,
        };
        model.adopt(config, stored, now);
        model
    }

    /// Takes another configuration. What is known of services that stay is kept.
    pub fn configure(&mut self, config: Config, now: Seconds) {
        self.adopt(config, BTreeMap::new(), now);
    }

    fn adopt(&mut self, config: Config, mut stored: BTreeMap<String, Stored>, now: Seconds) {
        let old: HashMap<&str, &Service> = (self
            .config
            .services
            .iter()
            .map(|service| (service.name.as_str(), service)))
        .collect();
        let mut known: HashMap<Arc<str>, Known> = self
            .services
            .drain(..)
            .map(|known| (known.name.clone(), known))
            .collect();
        let adopted = config.services.iter().map(|service| {
            let name: Arc<str> = Arc::from(service.name.as_str());
            let same = |old: &&Service| match (&old.origin, &service.origin) {
                (Origin::Dns(old), Origin::Dns(new)) => old == new,
                (Origin::Fixed(_), Origin::Fixed(_)) => true,
                _ => false,
            };
            let kept = known
                .remove(&name)
                .filter(|_| old.get(service.name.as_str()).is_some_and(same));
            let mut known = kept.unwrap_or_else(|| {
                let stored = stored
                    .remove(&service.name)
                    .filter(|stored| stored.domain == domain_of(service));
                let stored = stored.unwrap_or_default();
                Known {
                    memory: stored.memory,
                    name,
                    held: stored.held,
                    standings: HashMap::new(),
                    dropped: 0,
                    fresh_until: Arc::default(),
                }
            });
            if let Origin::Fixed(fixed) = &service.origin {
                let answer = |present| Answer {
                    value: (),
                    ttl: FIXED_TTL,
                    present,
                };
                let texts = fixed.rules.iter().map(|rule| rule.as_bytes().to_vec());
                let answers = Answers {
                    list: Ok(answer(true).with(fixed.apl.as_ref().map_or(List::Absent, |apl: &Apl| List::of(apl)))),
                    records: Ok(answer(true).with(records(texts))),
                    addresses: Ok(answer(true).with(fixed.addresses.clone())),
                };
                known.memory.take(answers, now);
            }
            known.standings.clear();
            known.note_freshness(&service.origin);
            known
        });
        self.services = adopted.collect();
        let directories = config.services.iter().flat_map(|service| {
            let masters = service.inbound.as_ref().and_then(|inbound| inbound.masters.clone());
            let keys = service.outbound.as_ref().and_then(|outbound| outbound.keys.as_ref());
            let keys = keys.map(|keys| match keys {
                Keys::Masters(path) | Keys::Client(path) => path.clone(),
            });
            masters.into_iter().chain(keys)
        });
        self.keyring.watch(directories);
        self.keyring.refresh();
        self.config = config;
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes the answers for a service, and says whether they change anything.
    pub fn take(&mut self, service: &str, answers: Answers, now: Seconds) -> bool {
        let mut all = self.config.services.iter().zip(&mut self.services);
        let Some((config, known)) = all.find(|(_, known)| &*known.name == service) else {
            return false;
        };
        let changed = known.memory.take(answers, now);
        known.note_freshness(&config.origin);
        changed
    }

    /// Reads all key material again, and says whether anything changed.
    pub fn refresh_keys(&mut self) -> bool {
        self.keyring.refresh()
    }

    /// Asks for all source addresses again, and says whether anything changed.
    pub fn refresh_sources(&mut self) -> bool {
        self.sources.refresh()
    }

    /// Returns how many files and directories of key material are at fault.
    #[must_use]
    pub fn key_faults(&self) -> usize {
        self.keyring.faults()
    }

    /// Returns how many files of key material every user can read.
    #[must_use]
    pub fn open_keys(&self) -> usize {
        self.keyring.open()
    }

    /// Says whether every service has an answer, or something stored.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.services.iter().all(|known| known.memory.is_known())
    }

    /// Says whether there is something to serve: rules in use, or nothing on purpose.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let mut standings = self.services.iter().flat_map(|known| known.standings.values());
        self.config.off || self.services.is_empty() || standings.any(|standing| standing.state.is_served())
    }

    /// Returns what is known, to be stored.
    #[must_use]
    pub fn to_store(&self) -> BTreeMap<String, Stored> {
        let stored = |(service, known): (&Service, &Known)| {
            let stored = Stored {
                domain: domain_of(service),
                memory: known.memory.clone(),
                held: known.held.clone(),
            };
            (service.name.clone(), stored)
        };
        self.config.services.iter().zip(&self.services).map(stored).collect()
    }

    /// Returns how each service stands.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        let status = |known: &Known, role: Role, standing: &Standing| Status {
            service: known.name.clone(),
            role,
            state: standing.state.name(),
            reason: standing.reason.clone(),
            answered: known.memory.records.at,
            ttl: known.memory.records.ttl,
        };
        let of = |known: &Known| {
            let roles = [Role::Inbound, Role::Outbound];
            let told = roles.map(|role| known.standings.get(&role).map(|standing| status(known, role, standing)));
            told.into_iter().flatten().collect::<Vec<_>>()
        };
        self.services.iter().flat_map(of).collect()
    }

    /// Returns how many services are in each state by role, those of no service too.
    #[must_use]
    pub fn counts(&self) -> Vec<(Role, State, usize)> {
        let mut counts = Vec::new();
        for role in [Role::Inbound, Role::Outbound] {
            for state in State::ALL {
                let standings = self.services.iter().filter_map(|known| known.standings.get(&role));
                counts.push((
                    role,
                    state,
                    standings.filter(|standing| standing.state == state).count(),
                ));
            }
        }
        counts
    }

    /// Makes the snapshots of now.
    pub fn build(&mut self, now: Seconds) -> Built {
        let mut views = self.views(now);
        // Who left a place makes it free for another.
        if self.hold(&views) && views.iter().any(|view| view.overlaps) {
            views = self.views(now);
            self.hold(&views);
        }
        let mut built = Built {
            inbound: Entries::Inbound(Vec::new()),
            outbound: Entries::Outbound(Vec::new()),
            offers: HashMap::new(),
            until: views
                .iter()
                .flat_map(|views| [views.inbound.as_ref(), views.outbound.as_ref()])
                .filter_map(|view| view?.until)
                .min(),
        };
        let mut inbound = Vec::new();
        let mut outbound = Vec::new();
        for (number, views) in views.into_iter().enumerate() {
            let (Some(service), Some(known)) = (self.config.services.get(number), self.services.get_mut(number)) else {
                continue;
            };
            known.dropped = 0;
            if let (Some(config), Some(view)) = (&service.inbound, views.inbound) {
                let published = publishable(&view.pairs);
                known.dropped = published.dropped;
                inbound.push(inbound_entry(&known.name, config, published, &view, &self.keyring));
                stand(known, Role::Inbound, view.standing);
            }
            if let (Some(config), Some(view)) = (&service.outbound, views.outbound) {
                if !view.pairs.is_empty() {
                    let mut entry = outbound_entry(&known.name, config, &view, &self.keyring);
                    if self.config.sources {
                        let items: BTreeSet<Ipv6Net> = view
                            .pairs
                            .iter()
                            .flat_map(|pair| pair.space.positive())
                            .copied()
                            .collect();
                        let source =
                            |item| (self.source_of)(&mut self.sources, item).map(|source| ItemSource { item, source });
                        entry.sources = items.into_iter().filter_map(source).collect();
                    }
                    if let Some(front) = self.config.front.as_ref().filter(|_| !self.config.off) {
                        let mut offer = offer(config, front, &view, &self.keyring);
                        offer.sources = entry.sources.iter().map(|own| (own.item, own.source)).collect();
                        offer.fresh_until = known.fresh_until.clone();
                        let name = match &service.origin {
                            Origin::Dns(name) => Some(name.clone()),
                            Origin::Fixed(_) => ssa_dns::name(&service.name).ok(),
                        };
                        // Of two at one name, the first is told.
                        if let Some(name) = name {
                            built.offers.entry(front::key(&name)).or_insert(offer);
                        }
                    }
                    outbound.push(entry);
                }
                stand(known, Role::Outbound, view.standing);
            }
        }
        let held: BTreeSet<Ipv6Net> = self.services.iter().flat_map(|known| &known.held).copied().collect();
        self.sources.keep(&held);
        built.inbound = Entries::Inbound(inbound);
        built.outbound = Entries::Outbound(outbound);
        built
    }

    /// Returns what each service's roles are told. Those who hold a place keep it; of those who want the same new one,
    /// the first in the configuration gets it.
    fn views(&mut self, now: Seconds) -> Vec<Views> {
        let mut claims = Claims::default();
        for (number, known) in self.services.iter().enumerate() {
            known.held.iter().for_each(|prefix| claims.take(*prefix, number));
        }
        let names: Vec<Arc<str>> = self.services.iter().map(|known| known.name.clone()).collect();
        let stale = self.config.dns.stale;
        let mut all = Vec::new();
        for (number, (service, known)) in self.config.services.iter().zip(&mut self.services).enumerate() {
            let overlaps = std::cell::Cell::new(false);
            let forbidden = |prefix: Ipv6Net| {
                if !service.allowed.iter().any(|allowed| allowed.contains(&prefix)) {
                    return Some(format!("{prefix} lies in no allowed prefix"));
                }
                let other = claims.other(prefix, number)?;
                overlaps.set(true);
                let name = names.get(other).map_or("", |name| name);
                Some(format!("{prefix} shares addresses with {name}"))
            };
            let inbound = service.inbound.as_ref().map(|inbound| {
                let keys = inbound.masters.as_ref().and_then(|path| self.keyring.keys(path));
                let key_of = |key: &KeyId| {
                    keys.and_then(|keys| keys.get(key.as_str()))
                        .map_or(Key::None, secrets::Material::secret)
                };
                known.memory.verifier(
                    now,
                    &Terms {
                        key_of: &key_of,
                        forbidden: &forbidden,
                    },
                )
            });
            let outbound = service.outbound.as_ref().map(|outbound| {
                let key_of = |key: &KeyId| client_key(outbound, &self.keyring, key);
                known.memory.client(
                    now,
                    stale,
                    &Terms {
                        key_of: &key_of,
                        forbidden: &forbidden,
                    },
                )
            });
            let views = Views {
                inbound,
                outbound,
                overlaps: overlaps.get(),
            };
            for prefix in views.prefixes() {
                claims.take(prefix, number);
            }
            all.push(views);
        }
        all
    }

    /// Notes what each service holds now, and says whether any left something.
    fn hold(&mut self, views: &[Views]) -> bool {
        let mut left = false;
        for (known, views) in self.services.iter_mut().zip(views) {
            let held: BTreeSet<Ipv6Net> = views.prefixes().collect();
            left |= !known.held.is_subset(&held);
            known.held = held;
        }
        left
    }
}

fn domain_of(service: &Service) -> Option<String> {
    match &service.origin {
        Origin::Dns(name) => Some(name.to_string()),
        Origin::Fixed(_) => None,
    }
}

struct Views {
    inbound: Option<View>,
    outbound: Option<View>,
    overlaps: bool,
}

impl Views {
    fn prefixes(&self) -> impl Iterator<Item = Ipv6Net> {
        let views = self.inbound.iter().chain(&self.outbound);
        views.flat_map(|view| &view.pairs).flat_map(crate::memory::Pair::items)
    }
}

/// Notes how a service stands; what is new about it is told.
fn stand(known: &mut Known, role: Role, standing: Standing) {
    let old = known.standings.get(&role);
    if old.is_none_or(|old| old.state != standing.state || old.reason != standing.reason) {
        let service = &*known.name;
        let (state, reason) = (standing.state.name(), standing.reason.as_deref().unwrap_or(""));
        match standing.state {
            State::Usable if standing.reason.is_none() => tracing::info!(service, ?role, state, "service"),
            State::Pending => tracing::info!(service, ?role, state, reason, "service"),
            State::Refused => tracing::error!(service, ?role, state, reason, "service"),
            _ => tracing::warn!(service, ?role, state, reason, "service"),
        }
    }
    known.standings.insert(role, standing);
}

fn inbound_entry(
    name: &Arc<str>,
    config: &Inbound,
    published: Publishable,
    view: &View,
    keyring: &Keyring,
) -> InboundEntry {
    let keys = config.masters.as_ref().and_then(|path| keyring.keys(path));
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

fn outbound_entry(name: &Arc<str>, config: &Outbound, view: &View, keyring: &Keyring) -> OutboundEntry {
    let published = publishable(&view.pairs);
    let named = view.pairs.iter().filter_map(|pair| pair.key.as_ref());
    let secrets = named.filter_map(|key| {
        let material = |path: &std::path::Path| keyring.keys(path)?.get(key.as_str()).cloned().map(Hex);
        let material = match config.keys.as_ref()? {
            Keys::Masters(path) => Material::Secret(material(path)?),
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
fn offer(config: &Outbound, front: &Front, view: &View, keyring: &Keyring) -> Offer {
    let timed = view.pairs.iter().filter_map(|pair| {
        let record: Record = pair.record().parse().ok()?;
        let key = pair.key.as_ref().filter(|_| front.keyed);
        let key = key.map_or(Key::None, |key| client_key(config, keyring, key));
        let rule = Rule::prepare(&record, Some(&pair.space), &key).ok()?;
        let step = record.time_step();
        Some(Timed { rule, step })
    });
    let mut rules: Vec<Timed> = timed.collect();
    rules.sort_by_key(|timed| std::cmp::Reverse(timed.rule.from().0));
    let port = match (config.port, config.ports.as_slice()) {
        (None, [port]) => Some(*port),
        _ => None,
    };
    Offer {
        rules,
        port,
        own_keys: matches!(config.keys, Some(Keys::Client(_))),
        ..Offer::default()
    }
}

fn client_key(outbound: &Outbound, keyring: &Keyring, key: &KeyId) -> Key {
    let get = |path: &std::path::Path| keyring.keys(path)?.get(key.as_str());
    let found = match &outbound.keys {
        None => None,
        Some(Keys::Masters(path)) => get(path).map(secrets::Material::secret),
        Some(Keys::Client(path)) => get(path).map(secrets::Material::client_key),
    };
    found.unwrap_or(Key::None)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use ssa_filter::config::Snapshot;

    use super::*;
    use crate::{answers::Failure, random::Random, snapshot::Publisher, testing::Folder};

    fn model(services: &str) -> Model {
        let json = format!(r#"{{"services": [{services}]}}"#);
        let mut model = Model::new(Config::from_json(json.as_bytes()).unwrap(), BTreeMap::new(), 1000);
        model.source_of = |_, item| Some(item.network());
        model
    }

    fn service(name: &str) -> String {
        format!(
            r#"{{"name": "{name}", "allowed": ["2001:db8::/32"], "inbound": {{"ports": [80]}}, "outbound": {{"ports": [80]}}}}"#
        )
    }

    fn answers(list: &str, records: &[&str], addresses: &[&str]) -> Answers {
        let answer = Answer {
            value: (),
            ttl: 100,
            present: true,
        };
        Answers {
            list: Ok(answer.clone().with(List::of(&list.parse().unwrap()))),
            records: Ok(answer.clone().with(records.iter().map(ToString::to_string).collect())),
            addresses: Ok(answer.with(addresses.iter().map(|text| text.parse().unwrap()).collect())),
        }
    }

    /// Builds, has the filters read it, and returns what they know: names and numbers of rules.
    fn read(model: &mut Model, now: Seconds) -> [Vec<(String, usize)>; 2] {
        let built = model.build(now);
        let mut publisher = Publisher::default();
        let mut json = |role, entries| {
            publisher.publish(role, false, entries).unwrap();
            publisher.latest(role).borrow().clone().unwrap().json()
        };
        let inbound = Snapshot::inbound(json(Role::Inbound, &built.inbound).as_bytes()).unwrap();
        let outbound = Snapshot::outbound(json(Role::Outbound, &built.outbound).as_bytes()).unwrap();
        let known = |service: &ssa_filter::config::Service| (service.name.clone(), service.rules.rules().len());
        [
            inbound
                .services
                .services()
                .iter()
                .map(|service| known(&service.service))
                .collect(),
            outbound
                .services
                .services()
                .iter()
                .map(|service| known(&service.service))
                .collect(),
        ]
    }

    fn known(name: &str, rules: usize) -> (String, usize) {
        (name.to_owned(), rules)
    }

    const LIST: &str = "2:2001:db8:5::/64 !2:2001:db8:6::/120";
    const RULE: &str = "v=ssa1; addr=rand:64";

    #[test]
    fn filters_read_what_is_known() {
        let mut model = model(&service("web"));
        assert!(!model.is_complete());
        assert_eq!(read(&mut model, 1000), [vec![known("web", 0)], vec![]]);
        assert!(!model.is_usable());
        assert!(model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000));
        assert_eq!(read(&mut model, 1000), [vec![known("web", 1)], vec![known("web", 1)]]);
        assert!(model.is_complete() && model.is_usable());
        assert!(!model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1001));
        assert!(!model.take("nobody", answers(LIST, &[RULE], &[]), 1001));
    }

    #[test]
    fn nobody_captures_the_addresses_of_another() {
        for order in [["web", "evil"], ["evil", "web"]] {
            let mut model = model(&order.map(service).join(","));
            model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
            read(&mut model, 1000);
            for (list, addresses) in [
                ("2:2001:db8:5::/64", &["2001:db8:5::1"][..]),
                ("2:2001:db8:7::/64 !2:2001:db8::/33", &["2001:db8:6::1"]),
                ("2:2001:db8:7::/64 !2:2001:db8:6::1/128", &["2001:db8:6::1"]),
            ] {
                model.take("evil", answers(list, &[RULE], addresses), 1001);
                let [mut inbound, outbound] = read(&mut model, 1001);
                inbound.sort_unstable();
                assert_eq!(inbound, [known("evil", 0), known("web", 1)], "{list}");
                assert_eq!(outbound, [known("web", 1)], "{list}");
                let refused = model
                    .statuses()
                    .into_iter()
                    .find(|status| &*status.service == "evil")
                    .unwrap();
                assert_eq!(refused.state, "refused");
                assert!(refused.reason.unwrap().contains("shares addresses with web"));
            }
            // A restart changes nothing about it.
            let stored = model.to_store();
            let mut again = Model::new(model.config().clone(), stored, 1002);
            again.source_of = |_, _| None;
            assert_eq!(read(&mut again, 1002)[1], [known("web", 1)]);
        }
    }

    #[test]
    fn what_one_leaves_another_may_take_at_once() {
        let mut model = model(&["old", "new"].map(service).join(","));
        model.take("old", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
        model.take("new", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
        assert_eq!(read(&mut model, 1000)[1], [known("old", 1)]);
        let config = Config::from_json(format!(r#"{{"services": [{}]}}"#, service("new")).as_bytes()).unwrap();
        model.configure(config, 1001);
        assert_eq!(read(&mut model, 1001)[1], [known("new", 1)]);
    }

    #[test]
    fn addresses_outside_the_allowed_prefixes_are_refused() {
        let narrow = service("web").replace("2001:db8::/32", "2001:db8:5::/48");
        let mut model = model(&narrow);
        model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
        assert_eq!(read(&mut model, 1000), [vec![known("web", 0)], vec![]]);
        let reason = model.statuses().first().unwrap().reason.clone().unwrap();
        assert_eq!(reason, "records[0]: 2001:db8:6::/120 lies in no allowed prefix");
    }

    #[test]
    fn secrets_go_where_they_are_named_and_nowhere_else() {
        let folder = Folder::new("model");
        for (place, name, digit) in [("m", "k1", "1"), ("m", "unused", "2"), ("c", "k1", "3")] {
            std::fs::create_dir_all(folder.path().join(place)).unwrap();
            std::fs::write(folder.path().join(place).join(name), digit.repeat(32)).unwrap();
        }
        let path = folder.path().display();
        let json = service("web")
            .replace(r#""inbound": {"#, &format!(r#""inbound": {{"masters": "{path}/m", "#))
            .replace(
                r#""outbound": {"#,
                &format!(r#""outbound": {{"client_keys": "{path}/c", "#),
            );
        let mut model = model(&json);
        let rule = "v=ssa1; addr=mac(src/128):64; key=k1; kdf=src/64";
        model.take("web", answers(LIST, &[rule], &["2001:db8:6::1"]), 1000);
        assert_eq!(read(&mut model, 1000), [vec![known("web", 1)], vec![known("web", 1)]]);
        let built = model.build(1000);
        let text = |entries| serde_json::to_string(entries).unwrap();
        let (inbound, outbound) = (text(&built.inbound), text(&built.outbound));
        assert!(
            inbound.contains(&format!(r#""k1":{{"secret":"{}"}}"#, "1".repeat(32))),
            "{inbound}"
        );
        assert!(
            outbound.contains(&format!(r#""k1":{{"client_key":"{}"}}"#, "3".repeat(32))),
            "{outbound}"
        );
        assert!(!inbound.contains("2222") && !inbound.contains("3333") && !outbound.contains("1111"));
        let stored = serde_json::to_string(&model.to_store()).unwrap();
        let told = format!("{stored} {:?} {built:?}", model.statuses());
        assert!(!told.contains("1111") && !told.contains("3333"), "{told}");
    }

    #[test]
    fn records_in_the_configuration_need_no_dns() {
        let fixed = r#"{"name": "fixed", "allowed": ["2001:db8::/32"], "outbound": {},
            "static": {"apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64"], "addresses": ["2001:db8:5::1"]}}"#;
        let mut model = model(fixed);
        assert!(model.is_complete());
        assert_eq!(read(&mut model, 1000)[1], [known("fixed", 1)]);
    }

    #[test]
    fn sources_are_told_item_by_item() {
        let mut model = model(&service("web"));
        model.take(
            "web",
            answers("2:2001:db8:5::/64 2:2001:db8:7::/64", &[RULE], &["2001:db8:5::1"]),
            1000,
        );
        let built = model.build(1000);
        let json = serde_json::to_string(&built.outbound).unwrap();
        assert!(
            json.contains(
                r#""sources":[{"item":"2001:db8:5::/64","source":"2001:db8:5::"},{"item":"2001:db8:7::/64","#
            ),
            "{json}"
        );
    }

    #[test]
    fn filters_read_whatever_the_dns_says() {
        let mut random = Random::new();
        let names = ["a", "b", "c"];
        let mut model = model(&names.map(service).join(","));
        let rules = [
            RULE,
            "v=ssa1; addr=rand:64; from=1500",
            "v=ssa1; addr=hash(src/64):20 rand:44; from=1200",
            "v=ssa1; addr=rand:64 rand:16; apl=2:2001:db8:8::/48",
            "v=ssa1; addr=rand:64; apl=2:2001:db8:9::/64 !2:2001:db8:9:0:1::/80",
            "v=ssa1; addr=rand:64; item=hash(src/64)",
            "v=ssa1; addr=mac(src/64):64; key=k1",
            "v=ssa1; addr=rand:63",
            "v=ssa1",
        ];
        let lists = [
            LIST,
            "1:192.0.2.0/24",
            "2:2001:db8:7::/64 2:2001:db8:a::/64",
            "!2:2001:db8:7::/64",
            "2:2001:db8::/32",
            "2:2001:db8:8::/48 !2:2001:db8:8:1::/64",
            "2:2001:db8:7::/64 !2:2001:db8:7::/64",
        ];
        let addresses = ["2001:db8:6::1", "2001:db8:7::1", "2001:db8:8::1", "2001:db8:f::1"];
        let mut now = 1000;
        let mut served = 0;
        for step in 0..3000 {
            let mut pick = |from: &[&'static str], most: u64| -> Vec<&'static str> {
                let count = random.below(most + 1);
                let count = usize::try_from(count).unwrap();
                let length = u64::try_from(from.len()).unwrap();
                (0..count)
                    .map(|_| from[usize::try_from(random.below(length)).unwrap()])
                    .collect()
            };
            let (list, records, plain) = (
                pick(&lists, 2).join(" "),
                pick(&rules, if step % 9 == 0 { 6 } else { 2 }),
                pick(&addresses, 3),
            );
            let name = names[step % 3];
            let found = if step % 7 == 0 {
                Answers::failed(&Failure::new("timeout", ""))
            } else {
                answers(&list, &records, &plain)
            };
            model.take(name, found, now);
            let [inbound, outbound] = read(&mut model, now);
            assert_eq!(inbound.len(), 3);
            served += outbound.len();
            now += random.below(90);
        }
        assert!(served > 60, "{served}");
    }

    #[test]
    fn a_thousand_services_fit_one_snapshot() {
        let mut all = String::new();
        for number in 0..1024 {
            let _ = write!(
                all,
                "{}{}",
                if number > 0 { "," } else { "" },
                service(&format!("s{number}.demo.test"))
            );
        }
        let mut model = model(&all);
        for number in 0..1024 {
            let list = format!("2:2001:db8:{number:x}::/64 !2:2001:db8:{number:x}:1::/120");
            let plain = format!("2001:db8:{number:x}:1::1");
            model.take(
                &format!("s{number}.demo.test"),
                answers(&list, &[RULE], &[&plain]),
                1000,
            );
        }
        let [inbound, outbound] = read(&mut model, 1000);
        assert_eq!((inbound.len(), outbound.len()), (1024, 1024));
    }
}
