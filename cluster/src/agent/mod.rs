//! The agent of an endpoint: it makes the kernel of its network namespace hold what the store says, and reports it.
//!
//! It has no memory of its own: after any interruption it reads everything again, and reconciles. While the store is
//! away, what it last said holds; what heartbeats say of peers counts without a store. An object at fault is told and
//! changes nothing.

mod application;
mod lease;
mod load;
mod options;
mod peers;
mod prepare;
mod probe;
mod report;
mod telemetry;
mod world;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv6Net;
use ssa_slices::handover::{Map, View};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};

pub use application::{Hook, HookError};
pub use options::{Application, Heartbeats, Options};
pub use probe::{Probe, ProbeError};

use crate::clock::{RENEWED, now, or_never};
use crate::contact::Contact;
use crate::followed::{Following, News, Objects};
use crate::heartbeat::{self, Beats, Heard};
use crate::kernel::{Error, Kernel};
use crate::lease::{kernel, name as lease_of};
use crate::objects::{Kind, LabelValue, Name, SliceEndpointStatus};
use crate::store::{Location, Store, StoreError};
use crate::writing::Writer;
use application::{Finished, Hooks};
use lease::{Held, Keeper};
use peers::{Circumstances, Found};
use prepare::Awaited;
use probe::Readiness;
use telemetry::Telemetry;
use world::Part;
use writer::StatusOfEndpoint;

/// How often flows and counters of a move are read.
const COUNTED: Duration = Duration::from_millis(250);
/// The pause after the store or the kernel refused something.
const PAUSE: Duration = Duration::from_secs(1);
/// How many endpoints are named where the wanted one is missing.
const NAMED: usize = 8;

/// What ends an agent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let failed = |source| Error::Flows {
            what: "wait for signals",
            source,
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs an agent until it is told to end by SIGTERM or SIGINT and has nothing left, or the time for that is over. Then
/// the kernel is as it was before.
///
/// # Errors
///
/// [`Error`], if the kernel cannot be used at all; [`StoreError`], if nothing can be made of where the store is. Others are
/// told on standard error, and it tries again.
pub async fn run(location: &Location, options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::new()?;
    let (telemetry, contact) = (Telemetry::new(options.listen.is_some()), Contact::default());
    // They end with this function.
    let mut tasks = JoinSet::new();
    if let Some(address) = options.listen {
        tasks.spawn(telemetry.serve(address, &contact).await?);
    }
    let opened = tokio::select! {
        opened = open(location, &telemetry) => Some(opened?),
        () = signals.next() => None,
    };
    let Some(store) = opened else {
        return Ok(Kernel::cleanup().await?);
    };
    let following = Following {
        store: store.clone(),
        rest,
        contact: contact.clone(),
        tell,
    };
    let (mut news, _followers) = following.begin();
    let (sender, mut finished) = mpsc::channel(16);
    let mut agent = Agent::new(store, options, telemetry, contact, sender)?;
    let served = agent.options.application.socket.as_ref().map(|path| {
        let served = application::serve(path, agent.lines.subscribe());
        served.map_err(|error| format!("--socket {}: {}", path.display(), ssa_input::files::reason(&error)))
    });
    let _served = served.transpose()?;
    let done = agent.serve(&mut news, &mut signals, &mut finished).await;
    agent.writer.finish().await;
    Ok(done?)
}

/// Opens the store. A directory has to be one already: an agent makes none, for nobody would look for anything there.
async fn open(location: &Location, telemetry: &Telemetry) -> Result<Store, StoreError> {
    let folder = location.directory().map(|path| path.join("sliceendpoints"));
    let mut told = false;
    while let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
        if !told {
            tell(&format!(
                "--store {}: is no store, for {} is no directory; a controller or `ssa-cluster apply` makes one; waits for it",
                location.store,
                folder.display()
            ));
            told = true;
        }
        telemetry.alive();
        sleep(PAUSE).await;
    }
    if told {
        tell(&format!("--store {}: is there now", location.store));
    }
    location.open().await
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
    eprintln!("ssa-cluster agent: {}", ssa_input::text::clean(text));
}

struct Agent {
    options: Options,
    /// Names this run: later ones have greater names.
    instance: LabelValue,
    /// The same, as heartbeats have it.
    number: u64,
    world: Objects,
    kept: BTreeMap<Name, Map>,
    /// What is known of peers, by set.
    views: BTreeMap<Name, View>,
    readiness: Readiness,
    kernel: Option<Kernel>,
    /// What the kernel held when this run began, until it is made use of.
    found: Option<Found>,
    beats: Option<(Ipv6Addr, Beats)>,
    heard: Option<watch::Receiver<Heard>>,
    /// What people are to be told of heartbeats that are ignored.
    ignored: Option<watch::Receiver<String>>,
    /// What the kernel was told last.
    part: Part,
    /// What it was given and may not have, since this run began: leaders come and go, and are not to give it that again.
    refused: BTreeSet<Ipv6Net>,
    /// What was told people last: nothing is said twice.
    told: Vec<String>,
    /// The same, of single things by their names.
    told_once: BTreeMap<&'static str, String>,
    /// What was reported last; it may not be written yet.
    reported: Option<SliceEndpointStatus>,
    writer: Writer<SliceEndpointStatus>,
    /// Whether another run reports for the endpoint, and began later.
    yields: Option<watch::Receiver<bool>>,
    /// When it has to be gone, once it was told to end.
    ends: Option<Instant>,
    /// Whether the kernel holds what is wanted.
    applied: bool,
    /// Whether the endpoint is one of this network namespace.
    is_here: bool,
    /// What keeps it from serving, for people.
    trouble: Option<String>,
    /// Names the kernel that it reports of.
    kernel_name: Name,
    /// Holds the lease; none where the endpoint's name is too long for one.
    keeper: Option<Keeper>,
    /// Whether the kernel took new flows of exclusive sets when that was last looked at.
    leased: bool,
    hooks: Hooks,
    /// What the application is told; empty before anything is known.
    lines: watch::Sender<Arc<str>>,
    telemetry: Telemetry,
}

impl Agent {
    fn new(
        store: Store,
        options: Options,
        telemetry: Telemetry,
        contact: Contact,
        finished: mpsc::Sender<Finished>,
    ) -> Result<Self, Error> {
        let drawn = heartbeat::instance().and_then(|number| {
            let name = format!("{:014x}-{:08x}", now().micros().max(0), number & 0xffff_ffff);
            let instance = LabelValue::new(&name).map_err(std::io::Error::other)?;
            Ok((number, instance))
        });
        let (number, instance) = drawn.map_err(|source| Error::Flows {
            what: "draw a number for this run",
            source,
        })?;
        let kernel_name = kernel().map_err(|source| Error::Flows {
            what: "name this network namespace",
            source,
        })?;
        let keeper = match lease_of(&options.endpoint) {
            Ok(lease) => Some(Keeper::start(store.clone(), lease, kernel_name.clone(), options.lease)),
            Err(error) => {
                tell(&format!("{error}: it takes no new flows of exclusive sets"));
                None
            }
        };
        let mut readiness = Readiness::default();
        if options.probe.is_none() {
            readiness.note(true);
        }
        let application = &options.application;
        let (incoming, outgoing) = (application.incoming.clone(), application.outgoing.clone());
        let hooks = Hooks::new(incoming, outgoing, application.deadline, finished);
        let status = StatusOfEndpoint::new(options.endpoint.clone(), instance.clone());
        let yields = Some(status.yields.subscribe());
        let writer = Writer::start(store, status, contact, tell);
        Ok(Self {
            options,
            kernel_name,
            keeper,
            leased: false,
            hooks,
            lines: watch::channel(Arc::from("")).0,
            instance,
            number,
            world: Objects::default(),
            kept: BTreeMap::new(),
            views: BTreeMap::new(),
            readiness,
            kernel: None,
            found: None,
            beats: None,
            heard: None,
            ignored: None,
            part: Part::default(),
            refused: BTreeSet::new(),
            told: Vec::new(),
            told_once: BTreeMap::new(),
            reported: None,
            writer,
            yields,
            ends: None,
            applied: false,
            is_here: false,
            trouble: None,
            telemetry,
        })
    }

    async fn serve(
        &mut self,
        news: &mut mpsc::Receiver<News>,
        signals: &mut Signals,
        finished: &mut mpsc::Receiver<Finished>,
    ) -> Result<(), Error> {
        let (answers, mut answered) = mpsc::channel(1);
        if let Some(probe) = self.options.probe.clone() {
            tokio::spawn(async move {
                let mut ticks = interval(probe::INTERVAL);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
        let mut held: Option<watch::Receiver<Held>> = self.keeper.as_ref().map(Keeper::held);
        let mut retry = None;
        while !self.is_over() {
            self.telemetry.alive();
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
                    if self.answered(answer) {
                        retry = self.act().await?;
                    }
                }
                Some(done) = finished.recv() => {
                    if let Some(text) = self.hooks.note(done) {
                        self.tell_once("hook", &text);
                    }
                    retry = self.act().await?;
                }
                // Nothing follows from it: whoever sends such heartbeats is not to keep the agent busy.
                () = changed(&mut self.ignored) => self.tell_ignored(),
                () = changed(&mut self.heard) => retry = self.act().await?,
                () = changed(&mut held) => {
                    if let Some(held) = &mut held {
                        held.borrow_and_update();
                    }
                    if self.permit().await {
                        self.report().await;
                    }
                }
                () = changed(&mut self.yields) => retry = self.act().await?,
                _ = counted.tick(), if !self.part.moves.is_empty() => self.report().await,
                _ = renewed.tick() => self.report().await,
                () = or_never(retry.map(sleep_until)) => retry = self.act().await?,
                () = or_never(self.kernel.as_ref().map(Kernel::disturbed)) => retry = self.act().await?,
                () = signals.next() => retry = self.leave().await?,
                () = or_never(ends.map(sleep_until)) => {}
            }
        }
        self.beats = None;
        let closed = match self.kernel.take() {
            Some(kernel) => kernel.close().await,
            None => Kernel::cleanup().await,
        };
        if let Some(keeper) = self.keeper.take().filter(|_| closed.is_ok()) {
            keeper.end().await;
        }
        closed
    }

    /// Says whether another run reports for the endpoint, and began later: this one is to end.
    fn yields(&self) -> bool {
        self.yields.as_ref().is_some_and(|yields| *yields.borrow())
    }

    fn learn(&mut self, news: News) {
        for fault in &self.world.learn(news) {
            tell(fault);
        }
    }

    /// Takes what a probe was answered; says whether the endpoint is ready otherwise than before.
    fn answered(&mut self, answer: Result<(), String>) -> bool {
        let changed = self.readiness.note(answer.is_ok());
        let probe = self.options.probe.as_ref().map(ToString::to_string).unwrap_or_default();
        match answer {
            Ok(()) if changed && self.told_once.remove("probe").is_some() => {
                tell(&format!("--probe {probe}: is answered; the endpoint is ready"));
            }
            Err(reason) if !self.readiness.ready => {
                let text = format!("--probe {probe}: {reason}; the endpoint is not ready");
                self.tell_once("probe", &text);
            }
            _ => {}
        }
        changed
    }

    /// Tells people something, unless that was the last that they were told of it.
    fn tell_once(&mut self, about: &'static str, text: &str) {
        if self.told_once.get(about).is_none_or(|before| before != text) {
            tell(text);
            self.told_once.insert(about, text.to_owned());
        }
    }

    fn tell_ignored(&mut self) {
        if let Some(ignored) = &mut self.ignored {
            tell(&ignored.borrow_and_update());
        }
    }

    /// Begins the end: the leader takes away what the endpoint has, for it says that it is not ready.
    async fn leave(&mut self) -> Result<Option<Instant>, Error> {
        let after = if self.ends.is_some() {
            Duration::ZERO
        } else {
            self.options.drain
        };
        self.ends = Some(Instant::now() + after);
        let retry = self.act().await;
        if !self.is_over() {
            tell("was told to end; waits until others have its slices");
        }
        retry
    }

    /// Says whether it was told to end and has nothing left, or no time left.
    fn is_over(&self) -> bool {
        let empty = self.kernel.is_none() || !self.part.serves;
        self.ends.is_some_and(|ends| empty || Instant::now() >= ends)
    }

    /// Says whether it serves what it has. While it ends it does: only what cannot serve announces nothing.
    fn serving(&self) -> bool {
        self.readiness.ready && !self.yields()
    }

    /// Says why the endpoint is not ready: in one word, and for people.
    fn unready(&self) -> Option<(&'static str, String)> {
        if self.ends.is_some() {
            Some(("Ending", "the agent was told to end".to_owned()))
        } else if let Some(trouble) = &self.trouble {
            Some(("KernelNotAsWanted", trouble.clone()))
        } else if !self.readiness.ready {
            let said = self.told_once.get("probe").cloned();
            Some((
                "ProbeFailed",
                said.unwrap_or_else(|| "the probe has yet to be answered".to_owned()),
            ))
        } else {
            None
        }
    }

    /// Brings the kernel to what follows from what is known, and reports it. Returns when to try again, if need be.
    async fn act(&mut self) -> Result<Option<Instant>, Error> {
        if !self.world.is_listed() || !self.readiness.known {
            return Ok(None);
        }
        self.applied = false;
        let again = Some(Instant::now() + PAUSE);
        match self.prepare().await? {
            Ok(()) => {}
            Err(awaited) => {
                let (about, text, is_here) = match awaited {
                    Awaited::Endpoint(text) => ("endpoint", text, false),
                    Awaited::Address(text) => ("address", text, false),
                    Awaited::Kernel(text) => ("kernel", text, true),
                };
                self.tell_once(about, &format!("{text}; waits for it"));
                (self.trouble, self.is_here) = (Some(text), is_here);
                self.report().await;
                return Ok(again);
            }
        }
        self.is_here = true;
        self.resolve();
        let mut told = self.part.faults.clone();
        if !self.part.refused.is_empty() {
            let refused = self.part.refused.iter().take(NAMED).map(ToString::to_string);
            let refused = refused.collect::<Vec<_>>().join(", ");
            let count = self.part.refused.len();
            told.push(format!(
                "{count} prefixes are outside of --allowed, and are not routed: {refused}"
            ));
        }
        self.trouble = None;
        if let Some(kernel) = &mut self.kernel {
            let applied = kernel.apply(&self.part.wanted).await;
            if !applied.repaired.is_empty() {
                tell(&format!(
                    "repaired what somebody else had changed: {}",
                    applied.repaired
                ));
            }
            self.telemetry.applied(applied.repaired, applied.refused.len());
            self.applied = applied.holds();
            self.trouble = applied.wrong().next();
            told.extend(applied.wrong());
            if let Some(meter) = &self.telemetry.meter {
                let begun = kernel.measured().map_err(ToString::to_string);
                if let Err(why) = &begun {
                    told.push(format!("load is not counted: {why}"));
                }
                meter.note(&self.part.wanted.grains, std::mem::take(&mut self.part.mine), begun);
            }
        }
        for text in told.iter().filter(|text| !self.told.contains(text)) {
            tell(text);
        }
        self.told = told;
        self.permit().await;
        if let Some((_, beats)) = self.beats.as_ref().filter(|_| self.applied) {
            beats.tell(self.part.told.clone());
        }
        let hooked = if self.applied {
            self.hooks.begin(&self.options.endpoint, &self.part.moves, &self.world)
        } else {
            None
        };
        self.report().await;
        self.publish();
        let beats = self.beats.is_some() || self.options.heartbeats.is_none();
        Ok(if self.applied && beats { hooked } else { again })
    }

    /// Tells the application what there is now.
    fn publish(&self) {
        if self.options.application.socket.is_none() {
            return;
        }
        let (endpoint, ready) = (&self.options.endpoint, self.unready().is_none());
        let state = application::state(endpoint, &self.world, &self.kept, &self.views, &self.part, ready);
        let line: Arc<str> = state.to_string().into();
        self.lines.send_if_modified(|before| {
            let changed = *before != line;
            *before = line;
            changed
        });
    }

    /// Works out what follows from what is known now.
    fn resolve(&mut self) {
        let heard = self
            .heard
            .as_ref()
            .map(|heard| heard.borrow().clone())
            .unwrap_or_default();
        self.telemetry.heard(&heard);
        let rejoined = self.world.endpoints.iter().filter(|one| one.status.rejoined);
        let states = heard.peers.into_iter().map(|(name, state)| (name.endpoint(), state));
        let circumstances = Circumstances {
            allowed: &self.options.allowed,
            unready: !self.serving(),
            heard: states.collect(),
            rejoined: rejoined.map(|one| one.name().endpoint()).collect(),
            found: self.found.as_ref(),
            measures: self.telemetry.meter.is_some(),
        };
        let (endpoint, kept, views) = (&self.options.endpoint, &mut self.kept, &mut self.views);
        self.part = self.world.part(endpoint, &circumstances, kept, views);
        let room = report::MOST.saturating_sub(self.refused.len());
        self.refused.extend(self.part.refused.iter().take(room).copied());
        self.found = None;
    }
}

/// Waits until heartbeats say something else than before.
async fn changed<T>(heard: &mut Option<watch::Receiver<T>>) {
    if or_never(heard.as_mut().map(watch::Receiver::changed)).await.is_err() {
        *heard = None;
    }
}
