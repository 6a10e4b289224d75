//! The agent of an endpoint: it makes the kernel of its network namespace hold what the store says, and reports it.
//!
//! It has no memory of its own: after any interruption it reads everything again, and reconciles. While the store is
//! away, what it last said holds. An object at fault is told and changes nothing.

mod probe;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::Ipv6Net;
use ssa_slices::handover::{Map, View};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

pub use probe::{Probe, ProbeError};

use crate::kernel::{Error, Flows, Kernel, Settings, flows};
use crate::objects::{
    Kind, Name, Phase, SliceEndpointSpec, SliceEndpointStatus, SliceMapSpec, SliceMove, SliceMoveSpec, Spec, Timestamp,
};
use crate::store::{Listed, Store, StoreError};
use probe::Readiness;
use world::{Part, World};

/// How often the agent says that it is alive.
const RENEWED: Duration = Duration::from_secs(5);
/// How often flows and counters of a move are read.
const COUNTED: Duration = Duration::from_millis(250);
/// The pause after the store or the kernel refused something.
const PAUSE: Duration = Duration::from_secs(1);

/// What an agent is told on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The name of its endpoint.
    pub endpoint: Name,
    /// The interfaces by which clients' packets arrive.
    pub interfaces: Vec<String>,
    /// What slices may lie in. The agent routes nothing else, whatever the store says.
    pub allowed: Vec<Ipv6Net>,
    /// What is asked whether the endpoint is ready; without it, it always is.
    pub probe: Option<Probe>,
    /// How long the endpoint serves on when it is told to end, until others have what it had.
    pub drain: Duration,
}

/// News of the store.
enum News {
    Maps(Listed<SliceMapSpec>),
    Moves(Listed<SliceMoveSpec>),
    Endpoints(Listed<SliceEndpointSpec>),
}

/// Runs an agent until it is told to end by SIGTERM or SIGINT and has nothing left, or the time for that is over. Then
/// the kernel is as it was before.
///
/// # Errors
///
/// [`Error`], if the kernel cannot be used at all. Others are told on standard error, and it tries again.
pub async fn run(store: Store, options: Options) -> Result<(), Error> {
    let (sender, mut news) = mpsc::channel(64);
    let followers = [
        tokio::spawn(follow(store.clone(), sender.clone(), News::Maps)),
        tokio::spawn(follow(store.clone(), sender.clone(), News::Moves)),
        tokio::spawn(follow(store.clone(), sender, News::Endpoints)),
    ];
    let mut agent = Agent::new(store, options);
    let done = agent.serve(&mut news).await;
    followers.iter().for_each(tokio::task::JoinHandle::abort);
    done
}

/// Sends all objects of a kind, again after each change.
async fn follow<S: Spec>(store: Store, news: mpsc::Sender<News>, wrap: fn(Listed<S>) -> News) {
    loop {
        let ended = async {
            let listed = store.list::<S>().await?;
            let mut watch = store.watch::<S>(&listed.version).await?;
            let _ = news.send(wrap(listed)).await;
            loop {
                watch.next().await?;
                // A burst of changes is read once.
                while let Ok(event) = timeout(Duration::ZERO, watch.next()).await {
                    event?;
                }
                let listed = store.list::<S>().await?;
                if news.send(wrap(listed)).await.is_err() {
                    return Ok(());
                }
                sleep(rest(S::KIND)).await;
            }
        };
        let ended: Result<(), StoreError> = ended.await;
        match ended {
            Ok(()) => return,
            Err(StoreError::TooOld { .. }) => {}
            Err(error) => {
                tell(&error.to_string());
                sleep(PAUSE).await;
            }
        }
    }
}

/// How long changes of a kind may wait after one was read. Every endpoint reports all the time, which is of no concern
/// here: with a hundred endpoints, reading all of them after each report would be most of what an agent does.
fn rest(kind: Kind) -> Duration {
    match kind {
        Kind::SliceEndpoint => Duration::from_millis(200),
        _ => Duration::ZERO,
    }
}

fn tell(text: &str) {
    eprintln!("ssa-cluster agent: {text}");
}

struct Agent {
    store: Store,
    options: Options,
    world: World,
    kept: BTreeMap<Name, Map>,
    view: View,
    readiness: Readiness,
    kernel: Option<Kernel>,
    /// What the kernel was told last.
    part: Part,
    /// What was told people last: nothing is said twice.
    told: Vec<String>,
    reported: Option<SliceEndpointStatus>,
    /// When it has to be gone, once it was told to end.
    ends: Option<Instant>,
    /// Whether the kernel holds what is wanted.
    applied: bool,
}

impl Agent {
    fn new(store: Store, options: Options) -> Self {
        let mut readiness = Readiness::default();
        if options.probe.is_none() {
            readiness.note(true);
        }
        Self {
            store,
            options,
            world: World::default(),
            kept: BTreeMap::new(),
            view: View::default(),
            readiness,
            kernel: None,
            part: Part::default(),
            told: Vec::new(),
            reported: None,
            ends: None,
            applied: false,
        }
    }

    async fn serve(&mut self, news: &mut mpsc::Receiver<News>) -> Result<(), Error> {
        let failed = |source| Error::Flows {
            what: "wait for signals",
            source,
        };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let (answers, mut answered) = mpsc::channel(1);
        if let Some(probe) = self.options.probe.clone() {
            tokio::spawn(async move {
                let mut ticks = interval(probe::INTERVAL);
                loop {
                    ticks.tick().await;
                    if answers.send(probe.ask().await).await.is_err() {
                        return;
                    }
                }
            });
        }
        let mut counted = interval(COUNTED);
        counted.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut renewed = interval(RENEWED);
        renewed.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut retry = None;
        while !self.is_over() {
            let ends = self.ends;
            tokio::select! {
                Some(first) = news.recv() => {
                    self.learn(first);
                    while let Ok(more) = news.try_recv() {
                        self.learn(more);
                    }
                    retry = self.act().await?;
                }
                Some(answer) = answered.recv() => {
                    if self.readiness.note(answer) {
                        retry = self.act().await?;
                    }
                }
                _ = counted.tick(), if !self.part.moves.is_empty() => self.report().await,
                _ = renewed.tick() => self.report().await,
                () = until(retry) => retry = self.act().await?,
                _ = terminate.recv() => retry = self.leave().await?,
                _ = interrupt.recv() => retry = self.leave().await?,
                () = until(ends) => {}
            }
        }
        self.kernel = None;
        Kernel::cleanup().await
    }

    fn learn(&mut self, news: News) {
        let faults = match news {
            News::Maps(listed) => self.world.maps.take(listed),
            News::Moves(listed) => self.world.moves.take(listed),
            News::Endpoints(listed) => self.world.endpoints.take(listed),
        };
        for fault in &faults {
            tell(fault);
        }
    }

    /// Begins the end: the leader takes away what the endpoint has, for it says that it is not ready.
    async fn leave(&mut self) -> Result<Option<Instant>, Error> {
        let after = if self.ends.is_some() {
            Duration::ZERO
        } else {
            tell("was told to end; waits until others have its slices");
            self.options.drain
        };
        self.ends = Some(Instant::now() + after);
        self.act().await
    }

    /// Says whether it was told to end and has nothing left, or no time left.
    fn is_over(&self) -> bool {
        let empty = self.applied && self.part.wanted.routes.is_empty() && self.part.moves.is_empty();
        self.ends.is_some_and(|ends| empty || Instant::now() >= ends)
    }

    /// Brings the kernel to what follows from what is known, and reports it. Returns when to try again, if need be.
    async fn act(&mut self) -> Result<Option<Instant>, Error> {
        let again = Some(Instant::now() + PAUSE);
        // While it ends it serves on: only what is not ready announces nothing.
        self.view.unready = !self.readiness.ready;
        if self.kernel.is_none() {
            let Some(tunnel) = self.world.tunnel(&self.options.endpoint) else {
                return Ok(None);
            };
            let settings = Settings {
                interfaces: self.options.interfaces.clone(),
                tunnel,
                allowed: self.options.allowed.clone(),
            };
            self.kernel = Some(Kernel::open(settings).await?);
        }
        self.part = self.world.part(&self.options.endpoint, &self.view, &mut self.kept);
        let mut told = self.part.faults.clone();
        self.applied = false;
        if let Some(kernel) = &mut self.kernel {
            match kernel.apply(&self.part.wanted).await {
                Ok(_) => self.applied = true,
                Err(error) => told.push(error.to_string()),
            }
        }
        for text in told.iter().filter(|text| !self.told.contains(text)) {
            tell(text);
        }
        self.told = told;
        self.report().await;
        Ok(if self.applied { None } else { again })
    }

    /// Writes the status, if it has changed.
    async fn report(&mut self) {
        if !self.applied {
            return;
        }
        let status = self.status().await;
        if self.reported.as_ref() == Some(&status) {
            return;
        }
        match self.write(&status).await {
            Ok(()) => self.reported = Some(status),
            Err(error) => tell(&error.to_string()),
        }
    }

    async fn write(&self, status: &SliceEndpointStatus) -> Result<(), StoreError> {
        loop {
            let mut endpoint = self.store.get::<SliceEndpointSpec>(&self.options.endpoint).await?;
            endpoint.status = SliceEndpointStatus {
                observed_generation: endpoint.metadata.generation,
                conditions: endpoint.status.conditions,
                ..status.clone()
            };
            match self.store.update_status(&endpoint).await {
                Err(StoreError::Conflict { .. }) => {}
                other => return other.map(drop),
            }
        }
    }

    async fn status(&self) -> SliceEndpointStatus {
        let ready = self.readiness.ready && self.ends.is_none();
        let since = self.reported.as_ref().filter(|before| before.ready == ready);
        let (flows, forwarded) = self.count().await;
        let moves = self.part.observed(|one| {
            let owns = one.giver() == Some(&self.options.endpoint);
            if !owns {
                return (None, None);
            }
            let prefixes = || one.spec.prefixes.iter().map(|prefix| prefix.net());
            let total = flows.as_ref().map(|flows| {
                prefixes()
                    .filter_map(|prefix| flows.get(&prefix))
                    .map(|one| one.total())
                    .sum::<u64>()
            });
            let sent = prefixes().filter_map(|prefix| forwarded.get(&prefix)).sum();
            (total.map(|total| u32::try_from(total).unwrap_or(u32::MAX)), Some(sent))
        });
        SliceEndpointStatus {
            observed_generation: 0,
            ready,
            ready_since: since.map_or_else(|| Some(now()), |before| before.ready_since),
            renewed_at: Some(renewed()),
            instance: None,
            refused: Vec::new(),
            rejoined: false,
            taken: Vec::new(),
            maps: self.part.maps.clone(),
            moves,
            conditions: Vec::new(),
        }
    }

    /// Counts what is open and what was forwarded, of the moves by which this endpoint gives something.
    async fn count(&self) -> (Option<BTreeMap<Ipv6Net, Flows>>, BTreeMap<Ipv6Net, u64>) {
        let gives = |one: &&SliceMove| one.giver() == Some(&self.options.endpoint);
        let gives: Vec<&SliceMove> = self.part.moves.iter().filter(gives).collect();
        if gives.is_empty() {
            return (None, BTreeMap::new());
        }
        let draining = gives.iter().filter(|one| one.status.phase >= Phase::Drain);
        let prefixes: Vec<Ipv6Net> = draining
            .flat_map(|one| one.spec.prefixes.iter().map(|prefix| prefix.net()))
            .collect();
        let forwarded = match &self.kernel {
            Some(kernel) => kernel.forwarded().await,
            None => Ok(BTreeMap::new()),
        };
        let forwarded = forwarded.unwrap_or_else(|error| {
            tell(&error.to_string());
            BTreeMap::new()
        });
        let counted = tokio::task::spawn_blocking(move || flows(&prefixes)).await;
        let open = match counted {
            Ok(Ok(open)) => Some(open),
            Ok(Err(error)) => {
                tell(&error.to_string());
                None
            }
            Err(_) => None,
        };
        (open, forwarded)
    }
}

/// Waits until a moment, or for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Returns the moment from which on the agent says that it is alive: a status changes once in that time.
fn renewed() -> Timestamp {
    let every = i64::try_from(RENEWED.as_millis()).unwrap_or(i64::MAX);
    let now = now().millis();
    Timestamp::from_millis(now - now.rem_euclid(every))
}

/// Returns the time of the system, for people.
#[expect(
    clippy::disallowed_methods,
    reason = "the agent's one look at the clock, which nothing is decided by"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}
