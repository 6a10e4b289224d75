//! All services together: their memories, whose addresses are whose, and the snapshots that follow from them.

mod entries;
#[cfg(test)]
mod tests;

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
use ssa_rules::{Apl, Key, KeyId};

pub use self::entries::{Entries, InboundEntry, OutboundEntry};
use self::entries::{ItemSource, client_key, inbound_entry, offer, outbound_entry};
use crate::{
    answers::{Answer, Answers, List, Seconds, records},
    claims::Claims,
    config::{Config, Keys, Origin, Role, Service},
    front::{self, Offer},
    memory::{Memory, Standing, State, Terms, View, publishable},
    secrets::{self, Keyring},
    sources::Sources,
};

/// The TTL of records that stand in the configuration, in seconds.
const FIXED_TTL: u64 = 300;

/// Everything that snapshots follow from.
pub struct Model {
    config: Config,
    services: Vec<Known>,
    keyring: Keyring,
    sources: Sources,
    source_of: fn(&mut Sources, Ipv6Net) -> Option<Ipv6Addr>,
    /// Whether the front composes for any service.
    offers: bool,
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
            offers: false,
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

    /// Says whether there is something to serve: rules in use, by filters or the front, or nothing on purpose.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let mut standings = self.services.iter().flat_map(|known| known.standings.values());
        let served = standings.any(|standing| standing.state.is_served());
        self.config.off || self.services.is_empty() || served || self.offers
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
                    // Filters know a service's connections by its published addresses.
                    if !view.addresses.is_empty() {
                        outbound.push(entry);
                    }
                }
                stand(known, Role::Outbound, view.standing);
            }
        }
        let held: BTreeSet<Ipv6Net> = self.services.iter().flat_map(|known| &known.held).copied().collect();
        self.sources.keep(&held);
        self.offers = !built.offers.is_empty();
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
        let (service, role) = (&*known.name, role.name());
        let (state, reason) = (standing.state.name(), standing.reason.as_deref().unwrap_or(""));
        match standing.state {
            State::Usable if standing.reason.is_none() => tracing::info!(service, role, state, "service"),
            State::Pending => tracing::info!(service, role, state, reason, "service"),
            State::Refused => tracing::error!(service, role, state, reason, "service"),
            _ => tracing::warn!(service, role, state, reason, "service"),
        }
    }
    known.standings.insert(role, standing);
}
