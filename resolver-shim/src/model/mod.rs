//! All services together: their histories, whose addresses are whose, and the snapshots that follow from them.

mod advice;
mod entries;
#[cfg(test)]
mod tests;
mod views;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::Ipv6Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use ssa_rules::Apl;
use ssa_snapshot::{Address, ItemSource, Prefix};

pub use self::entries::Entries;
use self::entries::{compose_entry, inbound_entry, outbound_entry};
use crate::{
    answers::{Answer, Answers, List, Seconds, records},
    config::{Config, Keys, MAX_SERVICES, Origin, Role, Service},
    front::{self, ComposeEntry},
    history::{GRACE, History, Kept, Standing, State, publishable},
    secrets::Keyring,
    sources::Sources,
};

/// The TTL of records that stand in the configuration, in seconds.
const FIXED_TTL: u64 = 300;

/// How long verifiers are not told of a service that a reload brought and that is not answered yet, in seconds.
const QUIET: u64 = 5;

/// Everything that snapshots follow from.
pub struct Model {
    config: Config,
    services: Vec<Known>,
    keyring: Keyring,
    sources: Sources,
    source_of: fn(&mut Sources, Ipv6Net) -> Option<Ipv6Addr>,
    /// Whether the front composes for any service.
    composes: bool,
    bounds: views::Bounds,
    /// Whether the last snapshots say all of who has which prefixes.
    is_settled: bool,
    /// What is known of services that the configuration has no more.
    former: Vec<Former>,
}

/// What is known of a service that the configuration has no more: it may come back, by this name or another.
struct Former {
    name: String,
    stored: Stored,
    /// Since when.
    at: Seconds,
}

/// A service, and what is known of it.
struct Known {
    name: Arc<str>,
    history: History,
    /// The prefixes that were in force in the last snapshots: not those of what is kept though gone.
    held: BTreeSet<Ipv6Net>,
    standings: HashMap<Role, Standing>,
    dropped: usize,
    /// What its verifiers keep though gone.
    kept: Kept,
    /// The domain name that the answers are of; until another one answers it may be a former one.
    domain: Option<String>,
    /// Until when verifiers are not told of it, if it came by a reload and nothing is known of it.
    quiet_until: Seconds,
    /// The rules of which it was told that filters cannot check their macs.
    unchecked: Option<String>,
    /// When the first of its answers expires: the front looks at it whenever it is asked.
    fresh_until: Arc<AtomicU64>,
}

impl Known {
    /// Logs once that filters cannot check macs.
    fn note_unchecked(&mut self, pairs: &[crate::history::Pair]) {
        let unchecked = advice::unchecked_macs(pairs);
        if let Some(rules) = unchecked.as_deref().filter(|_| unchecked != self.unchecked) {
            tracing::warn!(
                service = &*self.name,
                rules,
                "a mac over obj or chunk is not verified at layer 4: such connections are `unchecked`"
            );
        }
        self.unchecked = unchecked;
    }

    fn note_freshness(&self, origin: &Origin, max_ttl: u64) {
        let until = match origin {
            Origin::Dns(_) => self.history.fresh_until(max_ttl),
            Origin::Fixed(_) => Seconds::MAX,
        };
        self.fresh_until.store(until, Ordering::Relaxed);
    }

    /// Returns the former domain name whose records are in use until the service's own answers, if so.
    fn former_domain(&self, service: &Service) -> Option<String> {
        if self.domain == domain_of(service) || !self.history.is_known() {
            return None;
        }
        Some(self.domain.clone().unwrap_or_else(|| "the configuration".into()))
    }
}

/// What outlives the daemon of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The domain name that it was asked at, if any.
    pub domain: Option<String>,
    /// What is known of it.
    #[serde(rename = "memory")]
    pub history: History,
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
    pub compose_entries: HashMap<Vec<u8>, ComposeEntry>,
    /// When it changes by itself.
    pub until: Option<Seconds>,
}

/// How a service stands in a role, to be told.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceStatus {
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
    /// How many records and lists its verifiers keep though they are gone.
    pub kept: usize,
    /// Until when the last of them counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<Seconds>,
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
            composes: false,
            bounds: views::Bounds::default(),
            is_settled: true,
            former: Vec::new(),
        };
        model.adopt(config, stored, now);
        for known in &mut model.services {
            known.quiet_until = 0;
        }
        model
    }

    /// Takes another configuration. What is known of a service stays in use until what the configuration says of it now
    /// is known: under another domain name, by records in the configuration or no more, and by another name too. Verifiers
    /// are told of a new service when it is answered, or after five seconds.
    pub fn configure(&mut self, config: Config, now: Seconds) {
        self.adopt(config, BTreeMap::new(), now);
    }

    fn adopt(&mut self, config: Config, stored: BTreeMap<String, Stored>, now: Seconds) {
        for shared in config.shared_ports() {
            tracing::warn!(
                port = shared.port,
                services = %shared,
                "services with different modes share a port: an address of any of them reaches whatever listens on it"
            );
        }
        let mut former = self.leave(stored, now, config.dns.max_ttl);
        let found = heirs(&config, &mut former);
        former.truncate(MAX_SERVICES);
        self.former = former;
        let adopted = config.services.iter().zip(found).map(|(service, found)| {
            let quiet_until = if found.is_some() { 0 } else { now.saturating_add(QUIET) };
            let stored = found.unwrap_or_default();
            let mut known = Known {
                name: Arc::from(&*service.name),
                history: stored.history,
                held: stored.held,
                domain: stored.domain,
                quiet_until,
                standings: HashMap::new(),
                dropped: 0,
                unchecked: None,
                kept: Kept::default(),
                fresh_until: Arc::default(),
            };
            if let Origin::Fixed(fixed) = &service.origin {
                let answer = || Answer {
                    value: (),
                    ttl: FIXED_TTL,
                    held: FIXED_TTL,
                    absence: None,
                };
                let texts = fixed.rules.iter().map(|rule| rule.as_bytes().to_vec());
                let answers = Answers {
                    list: Ok(answer().with(fixed.apl.as_ref().map_or(List::Absent, |apl: &Apl| List::of(apl)))),
                    records: Ok(answer().with(records(texts))),
                    addresses: Ok(answer().with(fixed.addresses.clone())),
                };
                known.history.take(answers, now);
                known.domain = None;
            } else if !known.history.is_known() {
                known.domain = domain_of(service);
            }
            known.note_freshness(&service.origin, config.dns.max_ttl);
            known
        });
        self.services = adopted.collect();
        self.keyring.watch(directories(&self.config, &config));
        self.keyring.refresh();
        self.config = config;
    }

    /// Leaves all services, and returns what is known of them, of those that were left before and of what was stored.
    fn leave(&mut self, stored: BTreeMap<String, Stored>, now: Seconds, max_ttl: u64) -> Vec<Former> {
        let services = self.services.drain(..).map(|known| Former {
            name: known.name.to_string(),
            stored: Stored {
                domain: known.domain,
                history: known.history,
                held: known.held,
            },
            at: now,
        });
        let stored = stored
            .into_iter()
            .map(|(name, stored)| Former { name, stored, at: now });
        let all = services.chain(stored).chain(self.former.drain(..));
        let most = max_ttl.saturating_add(GRACE);
        all.filter(|former| former.at.saturating_add(most) > now).collect()
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes the answers for a service, and returns whether they change anything.
    pub fn take(&mut self, service: &str, answers: Answers, now: Seconds) -> bool {
        let mut all = self.config.services.iter().zip(&mut self.services);
        let Some((config, known)) = all.find(|(_, known)| &*known.name == service) else {
            return false;
        };
        let mut answers = answers;
        if known.former_domain(config).is_some() {
            // Records of one name and a list of another say nothing together.
            if let Some(failure) = answers.failure() {
                answers = Answers::failed(&failure.clone());
            } else {
                known.domain = domain_of(config);
            }
        }
        let changed = known.history.take(answers, now);
        known.note_freshness(&config.origin, self.config.dns.max_ttl);
        changed
    }

    /// Forgets what the verifiers of a service keep though it is not published any more, and returns how many records and
    /// lists that were; nothing where there is no such service. The next snapshots are without it.
    pub fn forget(&mut self, service: &str) -> Option<usize> {
        let known = self.services.iter_mut().find(|known| &*known.name == service)?;
        let before = known.history.remembered();
        known.history.forget();
        Some(before.saturating_sub(known.history.standing()))
    }

    /// Returns how many records and lists the verifiers of all services keep though they are gone.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.services.iter().map(|known| known.kept.count()).sum()
    }

    /// Reads all key material again, and returns whether anything changed.
    pub fn refresh_keys(&mut self) -> bool {
        self.keyring.refresh()
    }

    /// Asks for all source addresses again, and returns whether anything changed.
    pub fn refresh_sources(&mut self) -> bool {
        self.sources.refresh()
    }

    /// Returns how many files and directories of key material are faulty.
    #[must_use]
    pub fn key_faults(&self) -> usize {
        self.keyring.faults()
    }

    /// Returns how many files of key material every user can read.
    #[must_use]
    pub fn open_keys(&self) -> usize {
        self.keyring.open()
    }

    /// Returns whether every service has an answer, or something stored.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.services.iter().all(|known| known.history.is_known())
    }

    /// Returns whether there is something to serve: rules in use, by filters or the front, or nothing on purpose.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let mut standings = self.services.iter().flat_map(|known| known.standings.values());
        let served = standings.any(|standing| standing.state.is_served());
        self.config.off || self.services.is_empty() || served || self.composes
    }

    /// Returns what is known, to be stored.
    #[must_use]
    pub fn to_store(&self) -> BTreeMap<String, Stored> {
        let stored = |(service, known): (&Service, &Known)| {
            let stored = Stored {
                domain: known.domain.clone(),
                history: known.history.clone(),
                held: known.held.clone(),
            };
            (service.name.to_string(), stored)
        };
        self.config.services.iter().zip(&self.services).map(stored).collect()
    }

    /// Returns how each service stands.
    #[must_use]
    pub fn statuses(&self) -> Vec<ServiceStatus> {
        let status = |known: &Known, role: Role, standing: &Standing| ServiceStatus {
            service: known.name.clone(),
            role,
            state: standing.state.name(),
            reason: standing.reason.clone(),
            answered: known.history.records.at,
            ttl: known.history.records.ttl,
            kept: if role == Role::Inbound { known.kept.count() } else { 0 },
            kept_until: known.kept.until.filter(|_| role == Role::Inbound),
        };
        let of = |known: &Known| {
            let roles = [Role::Inbound, Role::Outbound];
            let told = roles.map(|role| known.standings.get(&role).map(|standing| status(known, role, standing)));
            told.into_iter().flatten().collect::<Vec<_>>()
        };
        self.services.iter().flat_map(of).collect()
    }

    /// Takes every key for given, for who looks at a configuration away from its keys.
    pub(crate) fn take_keys_for_given(&mut self) {
        self.keyring.take_for_given();
    }

    /// Returns how each service stands, by its number in the configuration.
    pub(crate) fn standings(&self) -> impl Iterator<Item = (usize, Role, &Standing)> {
        self.services.iter().enumerate().flat_map(|(number, known)| {
            let of = move |role| known.standings.get(&role).map(|standing| (number, role, standing));
            [Role::Inbound, Role::Outbound].into_iter().filter_map(of)
        })
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
        let views = self.settle(now);
        let mut built = Built {
            inbound: Entries::Inbound(Vec::new()),
            outbound: Entries::Outbound(Vec::new()),
            compose_entries: HashMap::new(),
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
            let former = known.former_domain(service);
            if let (Some(config), Some(mut view)) = (&service.inbound, views.inbound) {
                let published = publishable(&view.pairs);
                known.dropped = published.dropped;
                known.note_unchecked(&view.pairs);
                keep(known, view.kept);
                if known.history.is_known() || known.quiet_until <= now {
                    inbound.push(inbound_entry(&service.name, config, published, &view, &self.keyring));
                } else {
                    let until = built
                        .until
                        .map_or(known.quiet_until, |until| until.min(known.quiet_until));
                    built.until = Some(until);
                }
                note_former(&mut view.standing, former.as_deref());
                stand(known, Role::Inbound, view.standing);
            }
            if let (Some(config), Some(mut view)) = (&service.outbound, views.outbound) {
                if !view.pairs.is_empty() {
                    let mut entry = outbound_entry(&service.name, config, &view, &self.keyring);
                    if self.config.sources {
                        let items: BTreeSet<Ipv6Net> = view
                            .pairs
                            .iter()
                            .flat_map(|pair| pair.space.positive())
                            .copied()
                            .collect();
                        let source = |item| {
                            let source = Address((self.source_of)(&mut self.sources, item)?);
                            let item = Prefix::new(item);
                            Some(ItemSource { item, source })
                        };
                        entry.sources = items.into_iter().filter_map(source).collect();
                    }
                    if let Some(front) = self.config.front.as_ref().filter(|_| !self.config.off) {
                        let mut compose_entry = compose_entry(config, front, &view, &self.keyring);
                        let own = |ItemSource { item, source }: &ItemSource| ssa_rules::ItemSource {
                            item: item.get(),
                            source: source.0,
                        };
                        compose_entry.sources = entry.sources.iter().map(own).collect();
                        compose_entry.fresh_until = known.fresh_until.clone();
                        let name = match &service.origin {
                            Origin::Dns(name) => Some(name.clone()),
                            Origin::Fixed(_) => ssa_dns::name(&service.name).ok(),
                        };
                        // Of two at one name, the first is told.
                        if let Some(name) = name {
                            built.compose_entries.entry(front::key(&name)).or_insert(compose_entry);
                        }
                    }
                    // Filters know a service's connections by its published addresses.
                    if !view.addresses.is_empty() {
                        outbound.push(entry);
                    }
                }
                note_former(&mut view.standing, former.as_deref());
                stand(known, Role::Outbound, view.standing);
            }
        }
        let held: BTreeSet<Ipv6Net> = self.services.iter().flat_map(|known| &known.held).copied().collect();
        self.sources.keep(&held);
        self.composes = !built.compose_entries.is_empty();
        built.inbound = Entries::Inbound(inbound);
        built.outbound = Entries::Outbound(outbound);
        built
    }
}

/// The ways in which a service takes over what was known, the surest first.
#[derive(Clone, Copy)]
enum Heir {
    Unchanged,
    ByName,
    ByDomain,
    AtLeastByName,
}

/// Returns what each service of a configuration takes over: what was known by its name, or by its domain name where it was
/// renamed, or where services have exchanged or passed on their domain names.
fn heirs(config: &Config, former: &mut Vec<Former>) -> Vec<Option<Stored>> {
    let mut found: Vec<Option<Stored>> = config.services.iter().map(|_| None).collect();
    let passed_on: HashSet<String> = former
        .iter()
        .filter(|former| config.services.iter().any(|service| *service.name == *former.name))
        .filter_map(|former| {
            let domain = former.stored.domain.clone();
            let has_it = |service: &Service| *service.name != *former.name && domain_of(service) == domain;
            domain.clone().filter(|_| config.services.iter().any(has_it))
        })
        .collect();
    let is_passed_on = |domain: Option<&String>| domain.is_some_and(|domain| passed_on.contains(domain));
    for way in [Heir::Unchanged, Heir::ByName, Heir::ByDomain, Heir::AtLeastByName] {
        for (service, found) in config.services.iter().zip(&mut found) {
            if found.is_some() {
                continue;
            }
            let domain = domain_of(service);
            let is_heir = |former: &Former| {
                let by_name = *former.name == *service.name;
                let by_domain = domain.is_some() && former.stored.domain == domain;
                let is_passed_on = is_passed_on(domain.as_ref()) || is_passed_on(former.stored.domain.as_ref());
                match way {
                    Heir::Unchanged => by_name && by_domain,
                    Heir::ByName => by_name && !is_passed_on,
                    Heir::ByDomain => by_domain,
                    Heir::AtLeastByName => by_name,
                }
            };
            *found = former
                .iter()
                .position(is_heir)
                .map(|place| former.swap_remove(place).stored);
        }
    }
    found
}

fn domain_of(service: &Service) -> Option<String> {
    match &service.origin {
        Origin::Dns(name) => Some(name.to_string()),
        Origin::Fixed(_) => None,
    }
}

/// Returns the directories of key material of a configuration, each with the one that was in its place before.
fn directories(old: &Config, new: &Config) -> Vec<(PathBuf, Option<PathBuf>)> {
    let known: HashMap<&str, &Service> = (old.services.iter().map(|service| (&*service.name, service))).collect();
    let mut all = Vec::new();
    for service in &new.services {
        let former = known.get(&*service.name);
        if let Some(path) = service.inbound.as_ref().and_then(|inbound| inbound.secrets.clone()) {
            all.push((path, former.and_then(|former| former.inbound.as_ref()?.secrets.clone())));
        }
        let former = former.and_then(|former| former.outbound.as_ref()?.keys.as_ref());
        match service.outbound.as_ref().and_then(|outbound| outbound.keys.as_ref()) {
            Some(Keys::Secrets(path)) => all.push((
                path.clone(),
                former.and_then(|former| match former {
                    Keys::Secrets(path) => Some(path.clone()),
                    Keys::Client(_) => None,
                }),
            )),
            Some(Keys::Client(path)) => all.push((
                path.clone(),
                former.and_then(|former| match former {
                    Keys::Client(path) => Some(path.clone()),
                    Keys::Secrets(_) => None,
                }),
            )),
            None => {}
        }
    }
    all
}

/// Adds to how a service stands that its records are those of a former domain name.
fn note_former(standing: &mut Standing, former: Option<&str>) {
    let Some(former) = former else { return };
    let told = format!("what is in use is of {former}, until what the configuration says now is answered");
    standing.reason = Some(match standing.reason.take() {
        Some(reason) => format!("{told}; {reason}"),
        None => told,
    });
}

/// Records what a service's verifiers keep though gone; what is new about it is told.
fn keep(known: &mut Known, kept: Kept) {
    if kept != known.kept {
        let service = &*known.name;
        let (records, lists, until) = (kept.records, kept.lists, kept.until.unwrap_or(0));
        if kept.count() > 0 {
            tracing::info!(service, records, lists, until, "keeping what is gone from the DNS");
        } else {
            tracing::info!(service, "no longer keeping anything that is gone from the DNS");
        }
    }
    known.kept = kept;
}

/// Records how a service stands; what is new about it is told.
fn stand(known: &mut Known, role: Role, standing: Standing) {
    let old = known.standings.get(&role);
    if old.is_none_or(|old| old.state != standing.state || old.reason != standing.reason) {
        let (service, role) = (&*known.name, role.name());
        let (state, reason) = (standing.state.name(), standing.reason.as_deref().unwrap_or(""));
        match standing.state {
            State::Usable if standing.reason.is_none() => tracing::info!(service, role, state, "service"),
            State::Usable if role == Role::Inbound.name() && known.kept.count() > 0 => {
                tracing::info!(service, role, state, reason, "service");
            }
            State::Pending => tracing::info!(service, role, state, reason, "service"),
            State::Refused => tracing::error!(service, role, state, reason, "service"),
            _ => tracing::warn!(service, role, state, reason, "service"),
        }
    }
    known.standings.insert(role, standing);
}
