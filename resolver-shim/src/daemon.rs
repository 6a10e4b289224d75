//! The daemon: what happens when, and nothing else.

mod followers;
mod servers;
mod start;
mod writer;

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use ssa_dns::Proof;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

pub(crate) use servers::unusable_files;
pub use start::{Settings, StartError};

use self::{
    followers::Followers,
    servers::{Chosen, Watch},
    writer::Writer,
};
use crate::{
    admin::{self, Board},
    answers::Seconds,
    ask::Report,
    clock::Clock,
    config::{Config, Front, Role},
    front::{self, Table},
    metrics::Figure,
    model::{Model, Stored},
    serve::{self, Access, Bound, Order, Served},
    snapshot::Publisher,
    sources, store, users,
};

/// How long changes are gathered before snapshots are made.
const GATHER: Duration = Duration::from_millis(20);

/// How long the first answers of all services are waited for.
const FIRST: Duration = Duration::from_secs(5);

/// How often key material is read.
const KEYS: Duration = Duration::from_secs(1);

/// How long a change of the state may be unwritten, and how long a mere renewal.
const WRITE: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];

/// How long the machine has slept when answers are asked for anew: clocks of tasks stand still meanwhile.
const SLEPT: Duration = Duration::from_secs(2);

/// Everything that the loop changes.
struct Daemon {
    settings: Settings,
    clock: Clock,
    model: Model,
    followers: Followers,
    publisher: Publisher,
    board: Arc<Board>,
    writer: Writer,
    access: watch::Sender<Access>,
    chosen: Chosen,
    /// Looks for changes of the system's servers.
    watch: Watch,
    front: watch::Sender<Arc<Table>>,
    own: u32,
    /// When snapshots are to be made.
    due: Option<Instant>,
    /// The same by the daemon's clock, which goes on while the machine sleeps.
    until: Option<Seconds>,
    /// How long the machine had slept when it was looked at last.
    slept: Duration,
    /// Until when the first answers of all services are waited for.
    first: Option<Instant>,
}

impl Daemon {
    fn want(&mut self, within: Duration) {
        let due = Instant::now() + within;
        self.due = Some(self.due.map_or(due, |old| old.min(due)));
    }

    fn take(&mut self, report: Report) {
        if !self.followers.is_current(&report) {
            return;
        }
        let outcome = report.answers.failure().map_or("answered", |failure| failure.kind);
        self.board
            .counters
            .count("ssa_resolver_resolutions_total", &[("outcome", outcome)]);
        let proof = match report.proof {
            Some(Proof::Secure) => Some("secure"),
            Some(Proof::Insecure) => Some("insecure"),
            Some(Proof::Unchecked) | None => None,
        };
        if let Some(proof) = proof {
            self.board
                .counters
                .count("ssa_resolver_validations_total", &[("proof", proof)]);
        }
        let changed = self.model.take(&report.service, report.answers, self.clock.now());
        if changed {
            self.want(GATHER);
        }
        self.writer.want(WRITE[usize::from(!changed)]);
    }

    /// Makes snapshots, unless the first answers are still waited for.
    fn build(&mut self) {
        self.due = None;
        if let Some(first) = self.first {
            if !self.model.is_complete() && Instant::now() < first {
                self.due = Some(first);
                return;
            }
            self.first = None;
        }
        let built = self.model.build(self.clock.now());
        let off = self.model.config().off;
        for (role, entries) in [(Role::Inbound, &built.inbound), (Role::Outbound, &built.outbound)] {
            match self.publisher.publish(role, off, entries) {
                Ok(None) => {}
                Ok(Some(bytes)) => {
                    let latest = self.publisher.latest(role);
                    let generation = latest.borrow().as_ref().map(|snapshot| snapshot.generation.clone());
                    let generation = generation.unwrap_or_default();
                    let role = role.name();
                    tracing::info!(role, generation, bytes, off, "a new snapshot");
                    self.board
                        .counters
                        .count("ssa_resolver_snapshots_total", &[("role", role)]);
                }
                Err(error) => tracing::error!(role = role.name(), %error, "the last snapshot stays"),
            }
        }
        self.front.send_modify(|table| {
            let front = self.model.config().front.as_ref();
            *table = Arc::new(Table {
                // One that the configuration has no more passes everything on until the next start.
                clients: front.map_or_else(|| table.clients.clone(), |front| front.clients.clone()),
                transfers: front.map_or(table.transfers, |front| front.transfers),
                upstreams: front.map_or(&table.upstreams, |_| &self.chosen.upstreams).clone(),
                offers: built.offers,
                probe: table.probe.clone(),
            });
        });
        self.until = built.until;
        if let Some(until) = built.until {
            let due = self.clock.instant(until);
            self.due = Some(due.max(Instant::now() + GATHER));
        }
        self.report(true);
    }

    fn report(&self, whole: bool) {
        let published = self.first.is_none();
        let model = &self.model;
        self.board.update(|report| {
            if !whole {
                return;
            }
            report.ready = published && model.is_usable();
            report.statuses = model.statuses();
            let gauge = |name, value: usize| Figure {
                name,
                labels: Vec::new(),
                value: u64::try_from(value).unwrap_or(u64::MAX),
            };
            report.gauges = vec![
                gauge("ssa_resolver_ready", usize::from(report.ready)),
                gauge("ssa_resolver_off", usize::from(model.config().off)),
                gauge("ssa_resolver_gone_kept", model.kept()),
                gauge("ssa_resolver_key_faults", model.key_faults()),
                gauge("ssa_resolver_key_files_open", model.open_keys()),
            ];
            for (role, state, count) in model.counts() {
                let role = role.name();
                report.gauges.push(Figure {
                    labels: vec![("role", role.to_owned()), ("state", state.name().to_owned())],
                    ..gauge("ssa_resolver_services", count)
                });
            }
        });
    }

    /// Reads the configuration again; one at fault changes nothing.
    fn reload(&mut self) {
        let outcome = match self.settings.read().map_err(StartError::Config).and_then(|config| {
            let of_system = || servers::of_system(Some(&self.chosen), ssa_dns::system_servers);
            let chosen = Chosen::new(&config, of_system)?;
            Ok((config, chosen))
        }) {
            Ok((config, chosen)) => {
                let old = self.model.config().clone();
                if old.socket.path != config.socket.path
                    || old.socket.mode != config.socket.mode
                    || old.socket.group != config.socket.group
                    || old.admin != config.admin
                    || old.state != config.state
                    || old.folders != config.folders
                    || listens(&old) != listens(&config)
                {
                    tracing::warn!(
                        "socket.path, socket.mode, socket.group, admin, state, shared_folders and front.listen change at the next start"
                    );
                }
                let by_same = self.chosen.is_same(&chosen);
                self.followers
                    .follow(&config, &chosen.servers, Some(&old).filter(|_| by_same));
                self.chosen = chosen;
                self.watch.accept();
                self.access.send_replace(Access::new(&config.socket, self.own));
                let (services, off) = (config.services.len(), config.off);
                self.model.configure(config, self.clock.now());
                self.build();
                self.writer.want(WRITE[0]);
                tracing::info!(services, off, "the configuration is reloaded");
                "reloaded"
            }
            Err(error) => {
                tracing::error!(%error, "the configuration is refused, and the last one stays");
                "refused"
            }
        };
        self.board
            .counters
            .count("ssa_resolver_reloads_total", &[("outcome", outcome)]);
    }

    /// Takes the system's servers when they have changed; those that cannot be used change nothing.
    fn look_at_system(&mut self) {
        let Some(found) = self.watch.look(&self.chosen, servers::named()) else {
            return;
        };
        let config = self.model.config().clone();
        let outcome = match Chosen::new(&config, || Ok(found.clone())) {
            Ok(chosen) => {
                tracing::info!(servers = ?chosen.servers.addresses(), "the system's DNS servers changed");
                self.followers.follow(&config, &chosen.servers, None);
                self.front.send_modify(|table| {
                    *table = Arc::new(Table {
                        upstreams: chosen.upstreams.clone(),
                        ..Table::clone(table)
                    });
                });
                self.chosen = chosen;
                self.watch.accept();
                "taken"
            }
            Err(error) => {
                tracing::error!(%error, "the system's DNS servers changed and cannot be used: the last ones are asked");
                self.watch.refuse(found);
                "refused"
            }
        };
        self.board
            .counters
            .count("ssa_resolver_server_changes_total", &[("outcome", outcome)]);
    }

    /// Makes good what timers missed while the machine slept.
    fn wake(&mut self) {
        let slept = self.clock.slept();
        if slept.saturating_sub(self.slept) >= SLEPT {
            tracing::info!(
                seconds = slept.saturating_sub(self.slept).as_secs(),
                "the machine slept"
            );
            self.followers
                .follow(&self.model.config().clone(), &self.chosen.servers, None);
        }
        self.slept = slept;
        if self.until.is_some_and(|until| until <= self.clock.now()) {
            self.until = None;
            self.want(Duration::ZERO);
        }
    }

    /// Does what somebody may ask for by the socket.
    fn obey(&mut self, order: Order) {
        let Order::Forget { service, told } = order;
        let forgotten = self.model.forget(&service);
        if let Some(count) = forgotten {
            tracing::warn!(
                service,
                count,
                "what is gone from the DNS is forgotten, as somebody asked for"
            );
            self.board.counters.count("ssa_resolver_forgets_total", &[]);
            self.build();
            self.writer.want(Duration::ZERO);
        }
        let _ = told.send(forgotten);
    }

    /// Does what there is to do until a signal ends it.
    async fn live(&mut self, mut inputs: Inputs, signals: &mut Signals) {
        let (changes_in, mut changes) = mpsc::channel(1);
        let mut watching = JoinSet::new();
        watching.spawn(sources::watch(changes_in));
        let mut keys = tokio::time::interval(KEYS);
        keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let far = Instant::now() + WRITE[1];
            let (due, write) = (self.due.unwrap_or(far), self.writer.due.unwrap_or(far));
            tokio::select! {
                Some(report) = inputs.reports.recv() => {
                    self.take(report);
                    // At the start many come at once.
                    for _ in 0..256 {
                        let Ok(report) = inputs.reports.try_recv() else { break };
                        self.take(report);
                    }
                    // Waiting for the rest is over with the last of them.
                    if self.first.is_some() && self.model.is_complete() {
                        self.want(Duration::ZERO);
                    }
                }
                Some(order) = inputs.orders.recv() => self.obey(order),
                Some(()) = changes.recv() => {
                    if self.model.refresh_sources() {
                        self.want(Duration::ZERO);
                    }
                }
                _ = keys.tick() => {
                    if self.model.refresh_keys() {
                        self.want(Duration::ZERO);
                    }
                    self.look_at_system();
                    self.wake();
                    self.report(false);
                }
                _ = signals.hangup.recv() => self.reload(),
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                () = tokio::time::sleep_until(due), if self.due.is_some() => self.build(),
                () = tokio::time::sleep_until(write), if self.writer.due.is_some() => self.writer.write(&self.model),
            }
        }
    }
}

/// What comes to the daemon from its tasks.
struct Inputs {
    reports: mpsc::Receiver<Report>,
    orders: mpsc::Receiver<Order>,
}

/// Returns where the front listens.
fn listens(config: &Config) -> &[std::net::SocketAddr] {
    config.front.as_ref().map_or(&[], |front: &Front| &front.listen)
}

/// Reads what was stored; a file at fault is told and not used.
fn load(config: &Config, clock: Clock, board: &Board) -> BTreeMap<String, Stored> {
    let Some(path) = &config.state else {
        return BTreeMap::new();
    };
    store::load(path, config.folders, &clock.moment()).unwrap_or_else(|error| {
        tracing::error!(path = %path.display(), error = ssa_input::files::reason(&error), "the state is not used");
        board
            .counters
            .count("ssa_resolver_state_reads_total", &[("outcome", "failed")]);
        BTreeMap::new()
    })
}

/// Runs until a signal ends it.
///
/// # Errors
///
/// Why it does not start.
pub async fn run(settings: Settings) -> Result<(), StartError> {
    let config = settings.read().map_err(StartError::Config)?;
    let chosen = Chosen::new(&config, || servers::of_system(None, ssa_dns::system_servers))?;
    let mut signals = Signals::new().map_err(StartError::Signals)?;
    let clock = Clock::new();
    let board = Arc::new(Board::default());
    let stored = load(&config, clock, &board);
    let (stop, stopped) = watch::channel(false);
    let own = users::own_user();
    let (access, allowed) = watch::channel(Access::new(&config.socket, own));
    let publisher = Publisher::default();
    let bound = Bound::new(&config.socket, config.folders);
    let bound = bound.map_err(|error| StartError::Socket(config.socket.path.clone(), error))?;
    let (orders_in, orders) = mpsc::channel(1);
    let served = Served {
        inbound: publisher.latest(Role::Inbound),
        outbound: publisher.latest(Role::Outbound),
        access: allowed,
        own,
        orders: orders_in,
        counters: board.counters.clone(),
        stop: stopped.clone(),
    };
    let mut serving = JoinSet::new();
    if let Some(address) = config.admin {
        let listener = admin::bind(address)
            .await
            .map_err(|error| StartError::Admin(address, error))?;
        serving.spawn(admin::serve(listener, board.clone(), stopped.clone()));
    }
    serving.spawn(serve::serve(bound, served));
    let front = watch::Sender::new(Arc::new(Table {
        clients: config.front.as_ref().map_or(Vec::new(), |front| front.clients.clone()),
        transfers: config.front.as_ref().is_some_and(|front| front.transfers),
        upstreams: chosen.upstreams.clone(),
        ..Table::default()
    }));
    let shared = front::serve::Shared::new(front.subscribe(), clock, board.counters.clone());
    for address in listens(&config) {
        let bound = front::serve::Bound::new(*address)
            .await
            .map_err(|error| StartError::Front(*address, error))?;
        serving.spawn(front::serve::serve(bound, shared.clone(), stopped.clone()));
    }

    let (reports_in, reports) = mpsc::channel(256);
    let mut followers = Followers::new(reports_in, front.borrow().probe.clone());
    followers.follow(&config, &chosen.servers, None);
    tracing::info!(
        services = config.services.len(),
        socket = %config.socket.path.display(),
        servers = ?chosen.servers.addresses(),
        "started"
    );
    let mut daemon = Daemon {
        writer: Writer::new(config.state.clone(), config.folders, clock, board.clone()),
        model: Model::new(config, stored, clock.now()),
        settings,
        clock,
        followers,
        publisher,
        board,
        access,
        chosen,
        watch: Watch::default(),
        front,
        own,
        due: Some(Instant::now()),
        until: None,
        slept: Duration::ZERO,
        first: Some(Instant::now() + FIRST),
    };
    daemon.live(Inputs { reports, orders }, &mut signals).await;
    tracing::info!("stopping");
    daemon.followers.stop();
    stop.send_replace(true);
    daemon.writer.finish(&daemon.model).await;
    serving.join_all().await;
    Ok(())
}

/// What the system tells the daemon.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}
