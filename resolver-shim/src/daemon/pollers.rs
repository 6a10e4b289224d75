//! The services that are asked for, each by a task of its own.

use std::{collections::HashMap, sync::Arc};

use ssa_dns::Servers;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

use crate::{
    config::{Config, Dnssec, Origin},
    poller::{self, Report},
    probe::Probe,
};

/// The services that are asked for.
pub(super) struct Pollers {
    tasks: HashMap<Arc<str>, (u64, JoinHandle<()>)>,
    rounds: u64,
    permits: Arc<Semaphore>,
    reports: mpsc::Sender<Report>,
    probe: Arc<Probe>,
}

impl Pollers {
    pub(super) fn new(reports: mpsc::Sender<Report>, probe: Arc<Probe>) -> Self {
        Self {
            tasks: HashMap::new(),
            rounds: 0,
            permits: Arc::new(Semaphore::new(1)),
            reports,
            probe,
        }
    }

    /// Asks for the services of a configuration from now on, and no longer for others; `old` is the configuration by
    /// which services were asked for until now, if they were by the same servers.
    pub(super) fn set(&mut self, config: &Config, servers: &Servers, old: Option<&Config>) {
        // What files say may have changed too.
        let has_files = config.dns.has_tls() || config.dns.dnssec == Dnssec::Validate;
        let same_dns = !has_files && old.is_some_and(|old| old.dns == config.dns);
        // Pollers that go on share the permits with new ones.
        if !same_dns {
            self.permits = Arc::new(Semaphore::new(config.dns.concurrency));
        }
        let mut kept = HashMap::new();
        for service in &config.services {
            let Origin::Dns(name) = &service.origin else { continue };
            let known = old.and_then(|old| old.services.iter().find(|other| other.name == service.name));
            let key: Arc<str> = Arc::from(&*service.name);
            if same_dns
                && known.is_some_and(|known| known.origin == service.origin)
                && let Some(task) = self.tasks.remove(&key)
            {
                kept.insert(key, task);
                continue;
            }
            self.rounds = self.rounds.saturating_add(1);
            let task = poller::poll(
                name.clone(),
                (key.clone(), self.rounds),
                servers.clone(),
                config.dns.clone(),
                self.permits.clone(),
                (self.reports.clone(), config.front.as_ref().map(|_| self.probe.clone())),
            );
            kept.insert(key, (self.rounds, tokio::spawn(task)));
        }
        self.stop();
        self.tasks = kept;
    }

    pub(super) fn is_current(&self, report: &Report) -> bool {
        self.tasks
            .get(&report.service)
            .is_some_and(|(round, _)| *round == report.round)
    }

    pub(super) fn stop(&mut self) {
        for (_, task) in self.tasks.values() {
            task.abort();
        }
        self.tasks.clear();
    }
}
