//! The outbound role: addresses are composed, and work is done for them.

use core::fmt::Display;

use ssa_rules::UnixTime;

use super::{
    ends::{Ends, Told},
    role::{Disposition, Role, Verdict},
    seconds,
    telemetry::{Telemetry, now},
};
use crate::{
    access_log::LogEntry,
    compose_failure::ComposeFailure,
    config::{ConfigError, Snapshot},
    endpoint::Endpoint,
    host::{ContextId, End, Host},
    index::Numbers,
    outbound::{Composed, Outbound, OutboundService, Outcome, Route, Target},
    outliers::Outliers,
    pow_scheduler::{MAX_RUNNING, PowScheduler, Task},
    random::{Identity, Pool, Random},
    table::Table,
};

/// What an outbound plugin keeps.
#[derive(Debug)]
pub(super) struct Client {
    outbound: Outbound,
    random: Random,
    pool: Pool,
    failures: Outliers,
    ends: Ends,
    pub(super) works: PowScheduler,
    /// Where open connections that were composed go.
    open: Numbers<ContextId, Target>,
}

impl Client {
    pub(super) fn new(outbound: Outbound, identity: &Identity, time: u64, context: ContextId) -> Self {
        let mut random = Random::new(outbound.seed(), time, identity.number);
        random.mix(&context.0.to_be_bytes());
        let pool = identity.pool(outbound.pool());
        Self {
            outbound,
            random,
            pool,
            failures: Outliers::default(),
            ends: Ends::default(),
            works: PowScheduler::default(),
            open: Numbers::default(),
        }
    }

    fn replace(&mut self, services: Table<OutboundService>, off: bool) {
        if services.names() != self.outbound.services().names() {
            // Their services' numbers mean others now.
            self.open.clear();
        }
        self.outbound.install(services, off);
        self.failures.clear();
        self.works.clear();
    }

    fn compose(&mut self, service: usize, port: u16, now: UnixTime) -> Result<Option<Composed>, ComposeFailure> {
        let (pool, random) = (self.pool, &mut self.random);
        self.outbound
            .compose(service, port, now, &self.failures, |share, step| {
                pool.for_step(step).draw(random.bits(), share, now)
            })
    }

    /// Sends a connection to its target.
    fn redirect(
        &mut self,
        connection: ContextId,
        target: Target,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Verdict {
        let to = Endpoint {
            address: target.place.address,
            port: target.port,
        };
        let service = Some(target.place.service);
        if host.set_destination(&to).is_err() {
            conclude(service, Outcome::Unreadable, telemetry, host);
            telemetry.log(host, now(host), || {
                format!("the proxy does not take the destination {to}")
            });
        } else {
            conclude(service, Outcome::Composed, telemetry, host);
            self.open.insert(connection, target);
        }
        Verdict::Pass
    }
}

impl Role for Client {
    type Service = OutboundService;
    type Task = Task;

    const NAME: &'static str = "outbound";

    fn names(&self) -> Vec<String> {
        self.outbound.services().names()
    }

    fn read(body: &[u8]) -> Result<Snapshot<OutboundService>, ConfigError> {
        Snapshot::outbound(body)
    }

    fn install(
        &mut self,
        services: Table<OutboundService>,
        off: bool,
        seed: &[u8],
        first: bool,
        identity: &mut Identity,
    ) {
        self.replace(services, off);
        if first {
            self.random.mix(seed);
        }
        if identity.seed(seed) {
            self.pool = identity.pool(self.outbound.pool());
        }
    }

    fn decide(
        &mut self,
        connection: ContextId,
        new: bool,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Disposition<Task> {
        let (Ok(destination), Ok(time)) = (host.get_address(End::Destination), host.get_current_time()) else {
            conclude(None, Outcome::Unreadable, telemetry, host);
            return Verdict::Pass.into();
        };
        let (service, port) = match self.outbound.route(destination) {
            Route::Service(service, port) => (service, port),
            Route::Plain(service, outcome) => {
                conclude(service, outcome, telemetry, host);
                return Verdict::Pass.into();
            }
        };
        let now = seconds(time);
        let task = (service, port);
        let composed = match self.works.solution(task, now) {
            Some(target) => Ok(Some(Composed::Target(target))),
            None if self.works.wake(task, now) => return Disposition::Hold(task),
            None => self.compose(service, port, now),
        };
        let (outcome, error) = match composed {
            Ok(Some(Composed::Target(target))) => {
                return self.redirect(connection, target, telemetry, host).into();
            }
            Ok(Some(Composed::Work(mut work))) => {
                let begun = if new {
                    self.works
                        .begin(&self.outbound, &mut work, || host.get_current_time().ok())
                } else {
                    Ok(None)
                };
                match begun {
                    Ok(Some(target)) => return self.redirect(connection, target, telemetry, host).into(),
                    Ok(None) if self.works.add(*work) => return Disposition::Hold(task),
                    Ok(None) => {
                        telemetry.log(host, now, || format!("more than {MAX_RUNNING} proofs of work at once"));
                        (Outcome::Failed, None)
                    }
                    Err(error) => (Outcome::Failed, Some(error.into())),
                }
            }
            Ok(None) => (Outcome::NoRule, None),
            Err(error) => (Outcome::Failed, Some(error)),
        };
        conclude(Some(service), outcome, telemetry, host);
        if let Some(error) = error {
            tell_failed(service, &error, telemetry, host, now);
        }
        Verdict::Pass.into()
    }

    fn without_snapshot(&mut self, passes: bool, telemetry: &mut Telemetry, host: &impl Host) -> Verdict {
        let outcome = if passes { Outcome::NoSnapshot } else { Outcome::Refused };
        conclude(None, outcome, telemetry, host);
        Verdict::of(passes)
    }

    fn without_task(&mut self, (service, _): Task, telemetry: &mut Telemetry, host: &impl Host) -> Verdict {
        conclude(Some(service), Outcome::Failed, telemetry, host);
        let why = "no proof of work, and no time or room left to wait for it";
        tell_failed(service, &why, telemetry, host, now(host));
        Verdict::Pass
    }

    fn work(&mut self, time: u64, telemetry: &mut Telemetry, host: &impl Host) -> Vec<Task> {
        let now = seconds(time);
        self.works.expire(now);
        let mut failed = Vec::new();
        if self.works.busy() {
            for (task, end) in self.works.run(&self.outbound, || host.get_current_time().ok()) {
                if let Err(error) = end {
                    tell_failed(task.0, &error, telemetry, host, now);
                    failed.push(task);
                }
            }
        }
        failed
    }

    fn busy(&self) -> bool {
        self.works.busy()
    }

    fn works_on(&self, task: Task) -> bool {
        self.works.runs(task)
    }

    fn rest(&mut self, task: Task) {
        self.works.rest(task);
    }

    fn on_delete(&mut self, connection: ContextId, finished: bool, telemetry: &mut Telemetry, host: &impl Host) {
        let Some(target) = self.open.remove(&connection) else {
            return;
        };
        if !self.ends.worth_asking(finished) {
            return;
        }
        let service = target.place.service;
        // A source means that the connection was made, which is the rule: one question suffices then.
        let source = host.get_address(End::UpstreamSource).ok();
        let failed = source.is_none() && host.get_upstream_failure() == Ok(true);
        self.ends.note(match source {
            Some(source) if source.address == target.source => Told::AsComposed,
            None if !failed => Told::Nothing,
            _ => Told::News,
        });
        if failed {
            self.failures.add(target.place, now(host));
            self.works.discard(&target.place);
            telemetry.metrics.count_failure(host, service);
        }
        if let Some(source) = source.filter(|source| source.address != target.source) {
            telemetry.metrics.count_mismatch(host, service);
            let service = telemetry.metrics.name(Some(service)).to_owned();
            telemetry.log(host, now(host), || {
                let (used, meant) = (source.address, target.source);
                format!("source mismatch: service {service}: connected from {used}, composed for {meant}")
            });
        }
    }
}

/// Counts and tells what became of a connection.
fn conclude(service: Option<usize>, outcome: Outcome, telemetry: &mut Telemetry, host: &impl Host) {
    telemetry.metrics.count_outbound(host, service, outcome);
    if service.is_some() || outcome != Outcome::Untouched {
        let fields = telemetry.note.of(LogEntry::Outbound(service, outcome), || {
            [
                ("service", telemetry.metrics.name(service).into()),
                ("outcome", outcome.name().into()),
                ("generation", telemetry.generation.as_str().into()),
            ]
        });
        let _ = host.set_property("ssa", fields);
    }
}

fn tell_failed(service: usize, error: &impl Display, telemetry: &mut Telemetry, host: &impl Host, now: UnixTime) {
    let service = telemetry.metrics.name(Some(service)).to_owned();
    telemetry.log(host, now, || format!("no address of service {service}: {error}"));
}
