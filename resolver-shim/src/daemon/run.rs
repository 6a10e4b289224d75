//! The start, and the loop in which everything happens until a signal ends it.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::{
    error::StartError,
    files::Files,
    pollers::Pollers,
    reload::{Reload, listens},
    servers::{self, Chosen},
    settings::Settings,
    snapshots::Snapshots,
    socket::SocketWatch,
};
use crate::{
    admin::{self, Status},
    clock::Clock,
    config::{Config, Role},
    front::{self, Table},
    model::{Model, Stored},
    poller::Report,
    serve::{self, Access, Command, Listener, Served},
    snapshot::Publisher,
    sources, store, users,
};

/// How often it is looked whether anything outside has changed.
const LOOK: Duration = Duration::from_secs(1);

/// The most reports that are taken in one go: at the start many come at once.
const REPORTS: usize = 256;

/// Longer than this nothing is waited for.
const FAR: Duration = Duration::from_mins(1);

/// Runs until a signal ends it.
///
/// # Errors
///
/// Why it does not start.
pub async fn run(settings: Settings) -> Result<(), StartError> {
    let mut files = Files::new((!settings.is_standard_input()).then(|| settings.file.clone()));
    let config = settings.read()?;
    files.follow(&config);
    let chosen = Chosen::new(&config, || servers::of_system(None, ssa_dns::system_servers))?;
    let signals = Signals::new().map_err(StartError::Signals)?;
    let clock = Clock::new();
    let status = Arc::new(Status::default());
    let stored = load(&config, clock, &status);
    let (stop, stopped) = watch::channel(false);
    let own = users::own_user();
    let (access, allowed) = watch::channel(Access::new(&config.socket, own));
    let publisher = Publisher::default();
    let bound = Listener::new(&config.socket, config.folders);
    let bound = bound.map_err(|error| StartError::Socket(config.socket.path.clone(), error))?;
    let (successors_in, successors) = mpsc::unbounded_channel();
    let of = (config.socket.clone(), config.folders);
    let socket = SocketWatch::new(&bound, of, successors_in, status.counters.clone());
    let (commands_in, commands) = mpsc::channel(1);
    let served = Served {
        inbound: publisher.latest(Role::Inbound),
        outbound: publisher.latest(Role::Outbound),
        access: allowed,
        own,
        commands: commands_in,
        counters: status.counters.clone(),
        stop: stopped.clone(),
    };
    let mut serving = JoinSet::new();
    if let Some(address) = config.admin {
        let listener = admin::bind(address)
            .await
            .map_err(|error| StartError::Admin(address, error))?;
        serving.spawn(admin::serve(listener, status.clone(), stopped.clone()));
    }
    serving.spawn(serve::serve(bound, successors, served));
    let table = watch::Sender::new(Arc::new(Table {
        clients: config.front.as_ref().map_or(Vec::new(), |front| front.clients.clone()),
        transfers: config.front.as_ref().is_some_and(|front| front.transfers),
        upstreams: chosen.upstreams.clone(),
        ..Table::default()
    }));
    let shared = front::serve::Shared::new(table.subscribe(), clock, status.counters.clone());
    for address in listens(&config) {
        let bound = front::serve::Listener::new(*address)
            .await
            .map_err(|error| StartError::Front(*address, error))?;
        serving.spawn(front::serve::serve(bound, shared.clone(), stopped.clone()));
    }

    let (reports_in, reports) = mpsc::channel(REPORTS);
    let mut pollers = Pollers::new(reports_in, table.borrow().probe.clone());
    pollers.set(&config, &chosen.servers, None);
    tracing::info!(
        services = config.services.len(),
        socket = %config.socket.path.display(),
        servers = ?chosen.servers.addresses(),
        "started"
    );
    let model = Model::new(config, stored, clock.now());
    let front = (table, chosen.upstreams.clone());
    let (counters, access) = (status.counters.clone(), (access, own));
    let daemon = Daemon {
        snapshots: Snapshots::new((clock, model), publisher, front, status.clone()),
        reload: Reload::new((settings, files), clock, (pollers, chosen), access, counters),
        socket,
        status,
    };
    let daemon = daemon.live(Inputs { reports, commands }, signals).await;
    tracing::info!("stopping");
    stop.send_replace(true);
    daemon.snapshots.finish().await;
    serving.join_all().await;
    Ok(())
}

/// Reads what was stored; a faulty file is reported and not used.
fn load(config: &Config, clock: Clock, status: &Status) -> BTreeMap<String, Stored> {
    let Some(path) = &config.state else {
        return BTreeMap::new();
    };
    store::load(path, config.folders, &clock.moment()).unwrap_or_else(|error| {
        tracing::error!(path = %path.display(), error = ssa_input::files::reason(&error), "the state is not used");
        status
            .counters
            .count("ssa_resolver_state_reads_total", &[("outcome", "failed")]);
        BTreeMap::new()
    })
}

/// Everything that the loop changes.
struct Daemon {
    snapshots: Snapshots,
    reload: Reload,
    socket: SocketWatch,
    status: Arc<Status>,
}

impl Daemon {
    /// Does what there is to do until a signal ends it.
    async fn live(mut self, mut inputs: Inputs, mut signals: Signals) -> Self {
        let (changes_in, mut changes) = mpsc::channel(1);
        let mut watching = JoinSet::new();
        watching.spawn(sources::watch(changes_in));
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let far = Instant::now() + FAR;
            let [build, write] = self.snapshots.due();
            tokio::select! {
                Some(report) = inputs.reports.recv() => {
                    self.take(report);
                    for _ in 0..REPORTS {
                        let Ok(report) = inputs.reports.try_recv() else { break };
                        self.take(report);
                    }
                }
                Some(command) = inputs.commands.recv() => self.execute(command),
                Some(()) = changes.recv() => self.snapshots.refresh_sources(),
                _ = looks.tick() => self.look(),
                _ = signals.hangup.recv() => self.reload.reload(&mut self.snapshots),
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                () = tokio::time::sleep_until(build.unwrap_or(far)), if build.is_some() => self.snapshots.build(),
                () = tokio::time::sleep_until(write.unwrap_or(far)), if write.is_some() => self.snapshots.write(),
            }
        }
        self.reload.stop();
        self
    }

    fn take(&mut self, report: Report) {
        if self.reload.is_current(&report) {
            self.snapshots.take(report);
        }
    }

    fn look(&mut self) {
        self.reload.look(&mut self.snapshots);
        self.socket.look();
        let has_socket = self.socket.is_reachable();
        self.status.update(|report| report.has_socket = has_socket);
    }

    /// Does what somebody may ask for by the socket.
    fn execute(&mut self, command: Command) {
        let Command::Forget { service, reply } = command;
        let _ = reply.send(self.snapshots.forget(&service));
    }
}

/// What comes to the daemon from its tasks.
struct Inputs {
    reports: mpsc::Receiver<Report>,
    commands: mpsc::Receiver<Command>,
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
