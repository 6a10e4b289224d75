//! The model, and what is made of it for verifiers, clients and the front.

use std::{sync::Arc, time::Duration};

use ssa_dns::Proof;
use tokio::{sync::watch, time::Instant};

use super::writer::{WRITE, Writer};
use crate::{
    admin::Status,
    answers::Seconds,
    clock::Clock,
    config::{Config, Role},
    front::{Table, Upstreams},
    metrics::Figure,
    model::Model,
    poller::Report,
    snapshot::Publisher,
};

/// How long changes are gathered before snapshots are made.
const GATHER: Duration = Duration::from_millis(20);

/// How long the first answers of all services are waited for.
const FIRST: Duration = Duration::from_secs(5);

/// Makes snapshots of what is known.
pub(super) struct Snapshots {
    clock: Clock,
    model: Model,
    publisher: Publisher,
    front: watch::Sender<Arc<Table>>,
    upstreams: Arc<Upstreams>,
    status: Arc<Status>,
    writer: Writer,
    /// When snapshots are to be made.
    due: Option<Instant>,
    /// The same by the daemon's clock, which goes on while the machine sleeps.
    until: Option<Seconds>,
    /// Until when the first answers of all services are waited for.
    first: Option<Instant>,
}

impl Snapshots {
    pub(super) fn new(
        (clock, model): (Clock, Model),
        publisher: Publisher,
        (front, upstreams): (watch::Sender<Arc<Table>>, Arc<Upstreams>),
        status: Arc<Status>,
    ) -> Self {
        let config = model.config();
        let writer = Writer::new(config.state.clone(), config.folders, clock, status.clone());
        Self {
            clock,
            model,
            publisher,
            front,
            upstreams,
            status,
            writer,
            due: Some(Instant::now()),
            until: None,
            first: Some(Instant::now() + FIRST),
        }
    }

    pub(super) fn config(&self) -> &Config {
        self.model.config()
    }

    /// Returns when snapshots are to be made, and when the state is to be written.
    pub(super) fn due(&self) -> [Option<Instant>; 2] {
        [self.due, self.writer.due]
    }

    fn want(&mut self, within: Duration) {
        let due = Instant::now() + within;
        self.due = Some(self.due.map_or(due, |old| old.min(due)));
    }

    /// Takes the answers for a service.
    pub(super) fn take(&mut self, report: Report) {
        let outcome = report.answers.failure().map_or("answered", |failure| failure.kind);
        self.status
            .counters
            .count("ssa_resolver_resolutions_total", &[("outcome", outcome)]);
        let proof = match report.proof {
            Some(Proof::Secure) => Some("secure"),
            Some(Proof::Insecure) => Some("insecure"),
            Some(Proof::Unchecked) | None => None,
        };
        if let Some(proof) = proof {
            self.status
                .counters
                .count("ssa_resolver_validations_total", &[("proof", proof)]);
        }
        let changed = self.model.take(&report.service, report.answers, self.clock.now());
        if changed {
            self.want(GATHER);
        }
        self.writer.want(WRITE[usize::from(!changed)]);
        // Waiting for the rest is over with the last of them.
        if self.first.is_some() && self.model.is_complete() {
            self.want(Duration::ZERO);
        }
    }

    /// Takes another configuration, and the servers that the front asks by it.
    pub(super) fn configure(&mut self, config: Config, upstreams: Arc<Upstreams>) {
        self.upstreams = upstreams;
        self.model.configure(config, self.clock.now());
        self.build();
        self.writer.want(WRITE[0]);
    }

    /// Takes other servers for the front.
    pub(super) fn hand_to(&mut self, upstreams: Arc<Upstreams>) {
        self.upstreams = upstreams;
        self.front.send_modify(|table| {
            *table = Arc::new(Table {
                upstreams: self.upstreams.clone(),
                ..Table::clone(table)
            });
        });
    }

    /// Forgets what is kept of a service though gone, and says how much that was; nothing where there is no such service.
    pub(super) fn forget(&mut self, service: &str) -> Option<usize> {
        let count = self.model.forget(service)?;
        tracing::warn!(service, count, "what is gone from the DNS is forgotten on request");
        self.status.counters.count("ssa_resolver_forgets_total", &[]);
        self.build();
        self.writer.want(Duration::ZERO);
        Some(count)
    }

    /// Asks for source addresses again.
    pub(super) fn refresh_sources(&mut self) {
        if self.model.refresh_sources() {
            self.want(Duration::ZERO);
        }
    }

    /// Reads key material again.
    pub(super) fn refresh_keys(&mut self) {
        if self.model.refresh_keys() {
            self.want(Duration::ZERO);
        }
    }

    /// Makes good what timers missed while the machine slept.
    pub(super) fn wake(&mut self) {
        if self.until.is_some_and(|until| until <= self.clock.now()) {
            self.until = None;
            self.want(Duration::ZERO);
        }
    }

    /// Makes snapshots, unless the first answers are still waited for.
    pub(super) fn build(&mut self) {
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
                    let generation = latest.borrow().as_ref().map(|snapshot| snapshot.generation.to_string());
                    let generation = generation.unwrap_or_default();
                    let role = role.name();
                    tracing::info!(role, generation, bytes, off, "published a new snapshot");
                    self.status
                        .counters
                        .count("ssa_resolver_snapshots_total", &[("role", role)]);
                }
                Err(error) => {
                    tracing::error!(role = role.name(), %error, "the snapshot cannot be published; the last one stays in use");
                }
            }
        }
        self.front.send_modify(|table| {
            let front = self.model.config().front.as_ref();
            *table = Arc::new(Table {
                // One that the configuration has no more passes everything on until the next start.
                clients: front.map_or_else(|| table.clients.clone(), |front| front.clients.clone()),
                transfers: front.map_or(table.transfers, |front| front.transfers),
                upstreams: front.map_or(&table.upstreams, |_| &self.upstreams).clone(),
                entries: built.compose_entries,
                probe: table.probe.clone(),
            });
        });
        self.until = built.until;
        if let Some(until) = built.until {
            let due = self.clock.instant(until);
            self.due = Some(due.max(Instant::now() + GATHER));
        }
        self.report();
    }

    /// Logs the state of everything.
    fn report(&self) {
        let (model, published) = (&self.model, self.first.is_none());
        let ready = published && model.is_usable();
        let gauge = |name, value: usize| Figure {
            name,
            labels: Vec::new(),
            value: u64::try_from(value).unwrap_or(u64::MAX),
        };
        let mut gauges = vec![
            gauge("ssa_resolver_off", usize::from(model.config().off)),
            gauge("ssa_resolver_gone_kept", model.kept()),
            gauge("ssa_resolver_key_faults", model.key_faults()),
            gauge("ssa_resolver_key_files_open", model.open_keys()),
        ];
        for (role, state, count) in model.counts() {
            let role = role.name();
            gauges.push(Figure {
                labels: vec![("role", role.to_owned()), ("state", state.name().to_owned())],
                ..gauge("ssa_resolver_services", count)
            });
        }
        let statuses = model.statuses();
        self.status.update(|report| {
            report.has_snapshots = ready;
            report.statuses = statuses;
            report.gauges = gauges;
        });
    }

    /// Writes the state.
    pub(super) fn write(&mut self) {
        self.writer.write(&self.model);
    }

    /// Writes the state for the last time.
    pub(super) async fn finish(self) {
        self.writer.finish(&self.model).await;
    }
}
