//! The node's part: in a host's network namespace, routes to the endpoints that are behind it, and word of when the host
//! has followed maps and moves.
//!
//! It has no memory of its own. While the store is away, what it last said holds.

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::Ipv6Net;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::clock::{RENEWED, now, or_never, renewed};
use crate::contact::Contact;
use crate::followed::{Following, News};
use crate::kernel::{Error, Host, Refusal};
use crate::metrics::{Family, Registry, number};
use crate::objects::{Name, ObservedMove, SliceNode, SliceNodeSpec, SliceNodeStatus};
use crate::store::{Store, StoreError};
use crate::writing::{Next, Writer, Written};
use world::{Part, World};

/// The pause after the store or the kernel refused something.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the kernel is asked whether it has followed a move.
const ASKED: Duration = Duration::from_millis(50);

const REPAIRED: Family = Family::counter(
    "ssa_cluster_node_repaired_total",
    "What others had changed of what was set in the kernel, and was set again, by kind.",
);
const ROUTES: Family = Family::gauge("ssa_cluster_node_routes", "Prefixes that the node routes to endpoints.");
const REFUSED: Family = Family::gauge(
    "ssa_cluster_node_refused_routes",
    "Routes that the store asks for and the node does not set.",
);

/// What a node is told on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The name of this host: a `SliceNode`, and what `spec.node` of its endpoints says.
    pub node: Name,
    /// What slices may lie in. The node routes nothing else, whatever the store says.
    pub allowed: Vec<Ipv6Net>,
    /// Whether slices of endpoints on other hosts are routed too.
    pub all_endpoints: bool,
}

/// Runs a node until it is told to end by SIGTERM or SIGINT. Its routes stay, so that traffic goes on while it is replaced
/// by another version; [`Host::cleanup`] removes them. Where there are no slices any more, it leaves nothing.
///
/// # Errors
///
/// [`Error`], if signals cannot be waited for, or what it has set cannot be removed at the end. Others are told on standard error, and it tries again.
pub async fn run(
    store: Store,
    options: Options,
    registry: Registry,
    contact: Contact,
    alive: impl Fn(),
) -> Result<(), Error> {
    let following = Following {
        store: store.clone(),
        // Whether an endpoint is ready must not wait: its routes follow from it.
        rest: |_| Duration::ZERO,
        contact: contact.clone(),
        tell,
    };
    let (mut news, _followers) = following.begin();
    let writer = Writer::start(store, StatusOfNode::new(options.node.clone()), contact, tell);
    let mut node = Node {
        writer,
        options,
        registry,
        world: World::default(),
        host: None,
        part: Part::default(),
        told: Vec::new(),
        ready: false,
        followed: BTreeMap::new(),
        reported: None,
    };
    let done = node.serve(&mut news, alive).await;
    node.writer.finish().await;
    done
}

fn tell(text: &str) {
    eprintln!("ssa-cluster node: {}", ssa_input::text::clean(text));
}

struct Node {
    writer: Writer<SliceNodeStatus>,
    options: Options,
    registry: Registry,
    world: World,
    host: Option<Host>,
    part: Part,
    /// What was told people last: nothing is said twice.
    told: Vec<String>,
    /// Whether the host has all routes that it can have.
    ready: bool,
    /// How far the kernel has followed each open move.
    followed: BTreeMap<Name, ObservedMove>,
    /// What was reported last; it may not be written yet.
    reported: Option<SliceNodeStatus>,
}

impl Node {
    async fn serve(&mut self, news: &mut mpsc::Receiver<News>, alive: impl Fn()) -> Result<(), Error> {
        let failed = |source| Error::Flows {
            what: "wait for signals",
            source,
        };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut asked = interval(ASKED);
        asked.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed = interval(RENEWED);
        renewed.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut retry = None;
        loop {
            tokio::select! {
                Some(first) = news.recv() => {
                    self.learn(first);
                    while let Ok(more) = news.try_recv() {
                        self.learn(more);
                    }
                    retry = self.act().await;
                }
                () = or_never(retry.map(sleep_until)) => retry = self.act().await,
                () = or_never(self.host.as_ref().map(Host::disturbed)) => retry = self.act().await,
                _ = asked.tick(), if self.lags() => self.report().await,
                _ = renewed.tick() => {
                    alive();
                    self.report().await;
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        // Nobody is to wait for a node that is gone.
        self.ready = false;
        self.report().await;
        if self.host.is_some() && self.world.is_empty() {
            Host::cleanup().await?;
        }
        Ok(())
    }

    fn learn(&mut self, news: News) {
        for fault in &self.world.objects.learn(news) {
            tell(fault);
        }
    }

    /// Says whether there is a move that the kernel has yet to follow.
    fn lags(&self) -> bool {
        self.part.moves.iter().any(|one| {
            let observed = self.followed.get(&one.name);
            observed.is_none_or(|observed| (observed.epoch, observed.phase) != (one.epoch, one.phase))
        })
    }

    /// Brings the kernel to what follows from what is known, and reports it. Returns when to try again, if need be.
    async fn act(&mut self) -> Option<Instant> {
        let again = Some(Instant::now() + PAUSE);
        // What is not known yet must not be taken for gone.
        if !self.world.objects.is_listed() {
            return None;
        }
        let mut host = match self.host.take() {
            Some(host) => host,
            None => match Host::open(self.options.allowed.clone()).await {
                Ok(host) => host,
                Err(error) => {
                    self.tell_once(vec![error.to_string()]);
                    return again;
                }
            },
        };
        self.part = self.world.part(&self.options.node, self.options.all_endpoints);
        let applied = host.apply(&self.part.routes).await;
        if !applied.repaired.is_empty() {
            tell(&format!(
                "repaired what somebody else had changed: {}",
                applied.repaired
            ));
        }
        for (kind, count) in applied.repaired.by_kind() {
            self.registry.add(&REPAIRED, &[("kind", kind)], count);
        }
        let refused = applied.refused.len();
        self.registry.set(&REFUSED, &[], number(refused));
        self.registry
            .set(&ROUTES, &[], number(self.part.routes.len().saturating_sub(refused)));
        // An endpoint that is gone is none that the host could lead to: the others count.
        let gone = |reason: &Refusal| matches!(reason, Refusal::NoWay(..));
        self.ready = applied.faults.is_empty() && applied.refused.iter().all(|one| gone(&one.reason));
        let mut told = self.part.faults.clone();
        told.extend(applied.wrong());
        self.tell_once(told);
        self.host = Some(host);
        self.report().await;
        if applied.holds() { None } else { again }
    }

    /// Tells what was not told last time.
    fn tell_once(&mut self, told: Vec<String>) {
        for text in told.iter().filter(|text| !self.told.contains(text)) {
            tell(text);
        }
        self.told = told;
    }

    /// Asks the kernel how far it is with each move.
    async fn look(&mut self) {
        let Some(host) = self.host.as_mut().filter(|_| self.ready) else {
            return;
        };
        let ways: Vec<_> = self
            .part
            .moves
            .iter()
            .flat_map(|one| one.ways.iter().copied())
            .collect();
        let leads = match host.leads(&ways).await {
            Ok(leads) => leads,
            Err(error) => return tell(&error.to_string()),
        };
        let mut leads = leads.into_iter();
        let moves = &self.part.moves;
        self.followed
            .retain(|name, _| moves.iter().any(|one| one.name == *name));
        for one in moves {
            // All of them are taken from the answers, whatever the first ones are.
            let all = leads.by_ref().take(one.ways.len()).filter(|leads| *leads).count() == one.ways.len();
            if all {
                self.followed.insert(one.name.clone(), one.observed());
            }
        }
    }

    /// Works out the status, and has it written if it has changed. It does not wait for the store.
    async fn report(&mut self) {
        if self.host.is_none() {
            return;
        }
        self.look().await;
        let since = self.reported.as_ref().filter(|before| before.ready == self.ready);
        let maps = match &self.reported {
            Some(before) if !self.ready => before.maps.clone(),
            _ => self.part.maps.clone(),
        };
        let status = SliceNodeStatus {
            ready: self.ready,
            ready_since: since.map_or_else(|| Some(now()), |before| before.ready_since),
            renewed_at: Some(renewed()),
            maps,
            moves: self.followed.values().cloned().collect(),
            conditions: Vec::new(),
        };
        if self.reported.as_ref() != Some(&status) {
            self.writer.write(status.clone());
            self.reported = Some(status);
        }
    }
}

/// What writes the status of a node, which it makes if it is not there.
struct StatusOfNode {
    node: Name,
    /// The object as it was written last. Where it has changed since, the next write is a conflict.
    last: Option<SliceNode>,
}

impl StatusOfNode {
    const fn new(node: Name) -> Self {
        Self { node, last: None }
    }
}

impl Written for StatusOfNode {
    type Value = SliceNodeStatus;

    async fn write(&mut self, store: &Store, status: &SliceNodeStatus) -> Result<Next, StoreError> {
        loop {
            let mut node = match self.last.take() {
                Some(last) => last,
                None => match store.get::<SliceNodeSpec>(&self.node).await {
                    Err(StoreError::NotFound { .. }) => {
                        let made = SliceNode::new(self.node.clone(), SliceNodeSpec {});
                        match store.create(&made).await {
                            Err(StoreError::Exists { .. }) => continue,
                            other => other?,
                        }
                    }
                    other => other?,
                },
            };
            node.status = SliceNodeStatus {
                conditions: node.status.conditions,
                ..status.clone()
            };
            match store.update_status(&node).await {
                Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {}
                other => {
                    self.last = Some(other?);
                    return Ok(Next::Done);
                }
            }
        }
    }
}
