//! The configuration in use, and how another takes its place.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    error::StartError,
    files::{Changed, Files},
    pollers::Pollers,
    servers::{self, Chosen, Watch},
    settings::Settings,
    snapshots::Snapshots,
};
use crate::{
    clock::Clock,
    config::{Config, Front},
    metrics::Counters,
    poller::Report,
    serve::Access,
};

/// How long the machine has slept when answers are asked for anew: clocks of tasks stand still meanwhile.
const SLEPT: Duration = Duration::from_secs(2);

/// Everything that follows from the configuration but for what is known of services.
pub(super) struct Reload {
    settings: Settings,
    files: Files,
    clock: Clock,
    pollers: Pollers,
    access: watch::Sender<Access>,
    own: u32,
    chosen: Chosen,
    /// Looks for changes of the system's servers.
    watch: Watch,
    counters: Arc<Counters>,
    /// How long the machine had slept when it was looked at last.
    slept: Duration,
}

impl Reload {
    pub(super) fn new(
        (settings, files): (Settings, Files),
        clock: Clock,
        (pollers, chosen): (Pollers, Chosen),
        (access, own): (watch::Sender<Access>, u32),
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            settings,
            files,
            clock,
            pollers,
            access,
            own,
            chosen,
            watch: Watch::default(),
            counters,
            slept: Duration::ZERO,
        }
    }

    /// Returns whether a report is of a task that still counts.
    pub(super) fn is_current(&self, report: &Report) -> bool {
        self.pollers.is_current(report)
    }

    /// Asks nobody any more.
    pub(super) fn stop(&mut self) {
        self.pollers.stop();
    }

    /// Looks for changes of everything outside that the daemon lives by, and takes them: key material, the configuration and
    /// the files that it names, the system's DNS servers.
    pub(super) fn look(&mut self, snapshots: &mut Snapshots) {
        snapshots.refresh_keys();
        match self.files.look() {
            Some(Changed::Configuration) => self.reload(snapshots),
            Some(Changed::Trusted) => {
                let config = snapshots.config().clone();
                self.take(Ok(config), snapshots);
            }
            None => {}
        }
        self.look_at_system(snapshots);
        self.look_at_clock(snapshots);
    }

    /// Reads the configuration again.
    pub(super) fn reload(&mut self, snapshots: &mut Snapshots) {
        self.files.begin();
        let config = self.settings.read().map_err(StartError::Config);
        self.take(config, snapshots);
    }

    /// Takes another configuration; a faulty one is reported, and changes nothing.
    fn take(&mut self, config: Result<Config, StartError>, snapshots: &mut Snapshots) {
        let read = config.and_then(|config| {
            self.files.follow(&config);
            let of_system = || servers::of_system(Some(&self.chosen), ssa_dns::system_servers);
            let chosen = Chosen::new(&config, of_system)?;
            Ok((config, chosen))
        });
        self.files.note(read.is_err());
        let outcome = match read {
            Ok((config, chosen)) => {
                self.adopt(config, chosen, snapshots);
                "reloaded"
            }
            Err(error) => {
                tracing::error!(%error, "the configuration is rejected; the last one stays in use");
                "refused"
            }
        };
        self.counters
            .count("ssa_resolver_reloads_total", &[("outcome", outcome)]);
    }

    fn adopt(&mut self, config: Config, chosen: Chosen, snapshots: &mut Snapshots) {
        let old = snapshots.config();
        if !is_same_at_start(old, &config) {
            tracing::warn!(
                "socket.path, socket.mode, socket.group, admin, state, shared_folders and front.listen take effect at the next start"
            );
        }
        let by_same = self.chosen.is_same(&chosen);
        self.pollers
            .set(&config, &chosen.servers, Some(old).filter(|_| by_same));
        self.chosen = chosen;
        self.watch.accept();
        self.access.send_replace(Access::new(&config.socket, self.own));
        let (services, off) = (config.services.len(), config.off);
        snapshots.configure(config, self.chosen.upstreams.clone());
        tracing::info!(services, off, "the configuration is reloaded");
    }

    /// Takes the system's servers when they have changed; those that cannot be used change nothing.
    fn look_at_system(&mut self, snapshots: &mut Snapshots) {
        let Some(found) = self.watch.look(&self.chosen, servers::named()) else {
            return;
        };
        let outcome = match Chosen::new(snapshots.config(), || Ok(found.clone())) {
            Ok(chosen) => {
                tracing::info!(servers = ?chosen.servers.addresses(), "the system's DNS servers changed");
                self.pollers.set(snapshots.config(), &chosen.servers, None);
                snapshots.hand_to(chosen.upstreams.clone());
                self.chosen = chosen;
                self.watch.accept();
                "taken"
            }
            Err(error) => {
                tracing::error!(%error, "the system's new DNS servers cannot be used; the last ones stay in use");
                self.watch.refuse(found);
                "refused"
            }
        };
        self.counters
            .count("ssa_resolver_server_changes_total", &[("outcome", outcome)]);
    }

    /// Makes good what timers missed while the machine slept.
    fn look_at_clock(&mut self, snapshots: &mut Snapshots) {
        let slept = self.clock.slept();
        if slept.saturating_sub(self.slept) >= SLEPT {
            tracing::info!(
                seconds = slept.saturating_sub(self.slept).as_secs(),
                "resumed after a suspension"
            );
            self.pollers.set(snapshots.config(), &self.chosen.servers, None);
        }
        self.slept = slept;
        snapshots.wake();
    }
}

/// Returns whether two configurations agree in what is read at the start alone.
fn is_same_at_start(old: &Config, new: &Config) -> bool {
    old.socket.path == new.socket.path
        && old.socket.mode == new.socket.mode
        && old.socket.group == new.socket.group
        && old.admin == new.admin
        && old.state == new.state
        && old.folders == new.folders
        && listens(old) == listens(new)
}

/// Returns where the front listens.
pub(super) fn listens(config: &Config) -> &[std::net::SocketAddr] {
    config.front.as_ref().map_or(&[], |front: &Front| &front.listen)
}
