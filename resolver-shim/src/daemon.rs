//! The daemon: what happens when, and nothing else.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ssa_dns::{Anchors, AskError, Proof, Roots, Server, Servers, TrustError};
use ssa_rules::UnixTime;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior},
};

use crate::{
    admin::{self, Board},
    answers::Seconds,
    ask::{self, Report},
    config::{Config, ConfigError, Dnssec, Front, Origin, Role},
    files,
    front::{self, Now, Table, Upstreams},
    metrics::Figure,
    model::{Model, Stored},
    serve::{self, Access, Bound, Served},
    snapshot::Publisher,
    sources, store,
};

/// How long changes are gathered before snapshots are made.
const GATHER: Duration = Duration::from_millis(20);

/// How long the first answers of all services are waited for.
const FIRST: Duration = Duration::from_secs(5);

/// How often key material is read.
const KEYS: Duration = Duration::from_secs(1);

/// How long a change of the state may be unwritten, and how long a mere renewal.
const WRITE: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];

/// The most bytes of a file of certificates or trust anchors.
const MAX_TRUSTED: usize = 1 << 20;

/// Later than this nobody waits.
const YEAR: Duration = Duration::from_hours(366 * 24);

/// Where the configuration comes from: the file, and what flags and environment say over it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file.
    pub file: PathBuf,
    /// Another socket.
    pub socket: Option<PathBuf>,
    /// Another address of health and metrics.
    pub admin: Option<std::net::SocketAddr>,
    /// Another state file.
    pub state: Option<PathBuf>,
    /// Other DNS servers.
    pub servers: Vec<Server>,
}

impl Settings {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let mut config = Config::from_file(&self.file)?;
        if let Some(path) = &self.socket {
            config.socket.path.clone_from(path);
        }
        config.admin = self.admin.or(config.admin);
        config.state = self.state.clone().or(config.state);
        if !self.servers.is_empty() {
            config.dns.servers = Some(self.servers.clone());
        }
        Ok(config)
    }
}

/// Logs how services stand before the DNS was asked, those whose records are in the configuration above all, and what
/// is wrong with key material.
pub fn rehearse(mut config: Config) {
    // The host may be another one.
    config.sources = false;
    let now = Clock::new().now();
    Model::new(config, BTreeMap::new(), now).build(now);
}

/// Why the daemon does not run.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is at fault.
    Config(ConfigError),
    /// There are no DNS servers.
    Servers(AskError),
    /// DNS servers cannot be asked by TLS.
    Trust(TrustError),
    /// A file of certificates or trust anchors cannot be read.
    File(PathBuf, io::Error),
    /// The trust anchors are at fault.
    Anchors(PathBuf, String),
    /// The front hands on by UDP and TCP alone.
    FrontByTls,
    /// The snapshot socket cannot be bound.
    Socket(PathBuf, io::Error),
    /// The address of health and metrics cannot be bound.
    Admin(std::net::SocketAddr, io::Error),
    /// The front cannot listen there.
    Front(std::net::SocketAddr, io::Error),
    /// The front would ask itself.
    Loop(std::net::SocketAddr),
    /// The system gives no signals.
    Signals(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Servers(error) => error.fmt(f),
            Self::Trust(error) => error.fmt(f),
            Self::Anchors(path, reason) => write!(f, "{}: {reason}", path.display()),
            Self::FrontByTls => f.write_str("the front asks no server by TLS: set front.servers"),
            Self::Socket(path, error) | Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Admin(address, error) | Self::Front(address, error) => write!(f, "{address}: {error}"),
            Self::Loop(address) => write!(f, "the system's DNS server {address} is the front: set dns.servers"),
            Self::Signals(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// A clock of seconds since 1970 that does not jump while the daemon runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    at: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            at: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    fn now(&self) -> Seconds {
        self.at.saturating_add(self.began.elapsed()).as_secs()
    }

    /// Returns the time for the front: rules go by the system's clock, as those who verify do.
    pub(crate) fn both(&self) -> Now {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            time: UnixTime(time.unwrap_or_default().as_secs()),
            daemon: self.now(),
        }
    }

    /// Returns when this second begins.
    fn instant(&self, second: Seconds) -> Instant {
        let since = Duration::from_secs(second).saturating_sub(self.at);
        self.began + since.min(YEAR)
    }
}

/// The services that are asked for.
struct Followers {
    tasks: HashMap<Arc<str>, (u64, JoinHandle<()>)>,
    rounds: u64,
    reports: mpsc::Sender<Report>,
}

impl Followers {
    /// Asks for the services of a configuration from now on, and no longer for others.
    fn follow(&mut self, config: &Config, servers: &Servers, old: Option<&Config>) {
        // What files say may have changed too.
        let has_files = config.dns.has_tls() || config.dns.dnssec == Dnssec::Validate;
        let same_dns = !has_files && old.is_some_and(|old| old.dns == config.dns);
        let turns = Arc::new(Semaphore::new(config.dns.concurrency));
        let mut kept = HashMap::new();
        for service in &config.services {
            let Origin::Dns(name) = &service.origin else { continue };
            let known = old.and_then(|old| old.services.iter().find(|other| other.name == service.name));
            let key: Arc<str> = Arc::from(service.name.as_str());
            if same_dns
                && known.is_some_and(|known| known.origin == service.origin)
                && let Some(task) = self.tasks.remove(&key)
            {
                kept.insert(key, task);
                continue;
            }
            self.rounds = self.rounds.saturating_add(1);
            let task = ask::follow(
                name.clone(),
                (key.clone(), self.rounds),
                servers.clone(),
                config.dns.clone(),
                turns.clone(),
                self.reports.clone(),
            );
            kept.insert(key, (self.rounds, tokio::spawn(task)));
        }
        self.stop();
        self.tasks = kept;
    }

    fn is_current(&self, report: &Report) -> bool {
        self.tasks
            .get(&report.service)
            .is_some_and(|(round, _)| *round == report.round)
    }

    fn stop(&mut self) {
        for (_, task) in self.tasks.values() {
            task.abort();
        }
        self.tasks.clear();
    }
}

/// Writes the state, one file at a time and not too often.
struct Writer {
    path: Option<PathBuf>,
    due: Option<Instant>,
    board: Arc<Board>,
    running: Option<JoinHandle<()>>,
}

impl Writer {
    fn want(&mut self, within: Duration) {
        let due = Instant::now() + within;
        self.due = Some(self.due.map_or(due, |old| old.min(due)));
    }

    fn write(&mut self, model: &Model) {
        self.due = None;
        let Some(path) = self.path.clone() else { return };
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            self.want(WRITE[0]);
            return;
        }
        let services = model.to_store();
        let board = self.board.clone();
        self.running = Some(tokio::task::spawn_blocking(move || {
            let result = match store::save(&path, services) {
                Ok(()) => "written",
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the state cannot be written");
                    "failed"
                }
            };
            board
                .counters
                .count("ssa_resolver_state_writes_total", &[("outcome", result)]);
        }));
    }

    async fn finish(mut self, model: &Model) {
        if let Some(running) = self.running.take() {
            let _ = running.await;
        }
        self.write(model);
        if let Some(running) = self.running.take() {
            let _ = running.await;
        }
    }
}

/// Returns whom the daemon asks, and to whom its front hands what it does not answer.
fn servers(config: &Config) -> Result<(Servers, Arc<Upstreams>), StartError> {
    let timeout = config.dns.timeout;
    let front = config.front.as_ref();
    let asks = config
        .services
        .iter()
        .any(|service| matches!(service.origin, Origin::Dns(_)));
    let listed = match &config.dns.servers {
        Some(servers) => servers.clone(),
        None if asks || front.is_some_and(|front| front.servers.is_none()) => {
            let plain = |address| Server { address, tls: None };
            let addresses = ssa_dns::system_servers().map_err(StartError::Servers)?;
            addresses.into_iter().map(plain).collect()
        }
        None => Vec::new(),
    };
    // Flags win over a configuration that was sound.
    if config.dns.has_tls() && front.is_some_and(|front| front.servers.is_none()) {
        return Err(StartError::FrontByTls);
    }
    let read = |path: &PathBuf| files::read(path, MAX_TRUSTED).map_err(|error| StartError::File(path.clone(), error));
    let ca = config.dns.ca.as_ref().map(read).transpose()?;
    let anchors = match (config.dns.dnssec, &config.dns.trust_anchors) {
        (Dnssec::Off, _) => None,
        (Dnssec::Validate, None) => Some(Anchors::built_in()),
        (Dnssec::Validate, Some(path)) => {
            let anchors = Anchors::from_text(&String::from_utf8_lossy(&read(path)?));
            Some(anchors.map_err(|reason| StartError::Anchors(path.clone(), reason))?)
        }
    };
    let roots = ca.as_deref().map_or(Roots::System, Roots::Pem);
    let servers = Servers::secured(&listed, timeout, roots, anchors.as_ref()).map_err(StartError::Trust)?;
    let listens = |server: &&std::net::SocketAddr| front.is_some_and(|front| front.listen.contains(server));
    if let Some(itself) = servers.addresses().iter().find(listens) {
        return Err(StartError::Loop(*itself));
    }
    let upstreams = front.and_then(|front| front.servers.clone());
    let upstreams = upstreams.unwrap_or_else(|| servers.addresses().to_vec());
    Ok((servers, Arc::new(Upstreams::new(upstreams, timeout))))
}

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
    upstreams: Arc<Upstreams>,
    front: watch::Sender<Arc<Table>>,
    own: u32,
    /// When snapshots are to be made.
    due: Option<Instant>,
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
                upstreams: front.map_or(&table.upstreams, |_| &self.upstreams).clone(),
                offers: built.offers,
            });
        });
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
            let (servers, upstreams) = servers(&config)?;
            Ok((config, servers, upstreams))
        }) {
            Ok((config, servers, upstreams)) => {
                let old = self.model.config().clone();
                if old.socket.path != config.socket.path
                    || old.socket.mode != config.socket.mode
                    || old.socket.group != config.socket.group
                    || old.admin != config.admin
                    || old.state != config.state
                    || listens(&old) != listens(&config)
                {
                    tracing::warn!(
                        "socket.path, socket.mode, socket.group, admin, state and front.listen change at the next start"
                    );
                }
                self.followers.follow(&config, &servers, Some(&old));
                self.upstreams = upstreams;
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

    /// Does what there is to do until a signal ends it.
    async fn live(&mut self, mut reports: mpsc::Receiver<Report>, signals: &mut Signals) {
        let (changes_in, mut changes) = mpsc::channel(1);
        let mut watching = JoinSet::new();
        watching.spawn(sources::watch(changes_in));
        let mut keys = tokio::time::interval(KEYS);
        keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let far = Instant::now() + WRITE[1];
            let (due, write) = (self.due.unwrap_or(far), self.writer.due.unwrap_or(far));
            tokio::select! {
                Some(report) = reports.recv() => {
                    self.take(report);
                    // At the start many come at once.
                    for _ in 0..256 {
                        let Ok(report) = reports.try_recv() else { break };
                        self.take(report);
                    }
                    // Waiting for the rest is over with the last of them.
                    if self.first.is_some() && self.model.is_complete() {
                        self.want(Duration::ZERO);
                    }
                }
                Some(()) = changes.recv() => {
                    if self.model.refresh_sources() {
                        self.want(Duration::ZERO);
                    }
                }
                _ = keys.tick() => {
                    if self.model.refresh_keys() {
                        self.want(Duration::ZERO);
                    }
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

/// Returns where the front listens.
fn listens(config: &Config) -> &[std::net::SocketAddr] {
    config.front.as_ref().map_or(&[], |front: &Front| &front.listen)
}

/// Reads what was stored; a file at fault is told and not used.
fn load(config: &Config, clock: Clock, board: &Board) -> BTreeMap<String, Stored> {
    let Some(path) = &config.state else {
        return BTreeMap::new();
    };
    store::load(path, clock.now()).unwrap_or_else(|error| {
        tracing::error!(path = %path.display(), %error, "the state is not used");
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
    let (servers, upstreams) = servers(&config)?;
    let mut signals = Signals::new().map_err(StartError::Signals)?;
    let clock = Clock::new();
    let board = Arc::new(Board::default());
    let stored = load(&config, clock, &board);
    let (stop, stopped) = watch::channel(false);
    let own = std::fs::metadata("/proc/self").map_or(0, |found| found.uid());
    let (access, allowed) = watch::channel(Access::new(&config.socket, own));
    let publisher = Publisher::default();
    let bound = Bound::new(&config.socket).map_err(|error| StartError::Socket(config.socket.path.clone(), error))?;
    let served = Served {
        inbound: publisher.latest(Role::Inbound),
        outbound: publisher.latest(Role::Outbound),
        access: allowed,
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
        upstreams: upstreams.clone(),
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
    let mut followers = Followers {
        tasks: HashMap::new(),
        rounds: 0,
        reports: reports_in,
    };
    followers.follow(&config, &servers, None);
    tracing::info!(
        services = config.services.len(),
        socket = %config.socket.path.display(),
        servers = ?servers.addresses(),
        "started"
    );
    let mut daemon = Daemon {
        writer: Writer {
            path: config.state.clone(),
            due: None,
            board: board.clone(),
            running: None,
        },
        model: Model::new(config, stored, clock.now()),
        settings,
        clock,
        followers,
        publisher,
        board,
        access,
        upstreams,
        front,
        own,
        due: Some(Instant::now()),
        first: Some(Instant::now() + FIRST),
    };
    daemon.live(reports, &mut signals).await;
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
