//! The outbound role: addresses are composed, and proofs of work searched for them.

use ssa_rules::{ComposeError, FailedAddresses, UnixTime};
use ssa_snapshot::Role;

use super::{
    role::{Admission, Directive, Disposition, ReadClock, RoleLogic, Tasks},
    telemetry::Telemetry,
    upstream::{Answer, UpstreamQueries},
};
use crate::{
    access_log::AccessLogFields,
    compose_failure::ComposeFailure,
    config::{ConfigError, Snapshot},
    host::{ContextId, End, Host, Log, Metrics, Properties, Refused},
    in_flight::InFlight,
    index::Numbers,
    outbound::{Composed, Decision, Outbound, OutboundService, Outcome, Route, Target, Work},
    outliers::Outliers,
    pow_scheduler::{MAX_RUNNING, PowScheduler, Task},
    random::{Identity, Pool, Random},
    subject::{Subject, seconds},
    table::Table,
};

/// The outbound role of a plugin.
#[derive(Debug)]
pub(super) struct OutboundRole {
    pub(super) outbound: Outbound,
    pub(super) random: Random,
    pub(super) pool: Pool,
    failures: Outliers,
    /// Addresses at which requests failed.
    pub(super) failed: FailedAddresses,
    /// Requests on their way, where the order of replicas depends on them.
    pub(super) in_flight: InFlight,
    queries: UpstreamQueries,
    pub(super) searches: PowScheduler,
    /// Where open connections that were composed go.
    open: Numbers<ContextId, Target>,
    fields: AccessLogFields<(Option<usize>, Outcome)>,
    pub(super) request_fields: AccessLogFields<(Option<usize>, Outcome, Option<u8>)>,
}

impl OutboundRole {
    pub(super) fn new(outbound: Outbound, identity: &Identity, time: u64, context: ContextId) -> Self {
        let mut random = Random::new(outbound.seed(), time, identity.number);
        random.mix(&context.0.to_be_bytes());
        let pool = identity.pool(outbound.pool());
        Self {
            outbound,
            random,
            pool,
            failures: Outliers::default(),
            failed: FailedAddresses::default(),
            in_flight: InFlight::default(),
            request_fields: AccessLogFields::default(),
            queries: UpstreamQueries::default(),
            searches: PowScheduler::default(),
            open: Numbers::default(),
            fields: AccessLogFields::default(),
        }
    }

    fn compose(&mut self, service: usize, port: u16, now: UnixTime) -> Result<Option<Composed>, ComposeFailure> {
        let (pool, random) = (self.pool, &mut self.random);
        self.outbound
            .compose(service, port, now, &self.failures, |share, step| {
                pool.for_step(step).draw(random.bits(), share, now)
            })
    }

    /// Counts a connection, and reports it to access logs.
    fn report(
        &mut self,
        service: Option<usize>,
        outcome: Outcome,
        telemetry: &mut Telemetry,
        host: &(impl Properties + Metrics),
    ) {
        telemetry.metrics.count(host, service, outcome.number(), |service| {
            let outcome = outcome.name();
            format!("ssa_outbound_connections_total.service.{service}.outcome.{outcome}")
        });
        if service.is_some() || outcome != Outcome::Untouched {
            let fields = self.fields.of((service, outcome), || {
                [
                    ("service", telemetry.metrics.name(service).into()),
                    ("outcome", outcome.name().into()),
                    ("generation", telemetry.generation.as_str().into()),
                ]
            });
            let _ = host.set_property("ssa", fields);
        }
    }
}

impl RoleLogic for OutboundRole {
    type Service = OutboundService;
    type Decision = Decision;

    const NAME: Role = Role::Outbound;
    const NEEDS_SOURCE: bool = false;

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
        if services.names() != self.outbound.services().names() {
            // Their services' numbers mean others now.
            self.open.clear();
        }
        self.outbound.install(services, off);
        self.failures.clear();
        self.searches.clear();
        self.fields.clear();
        self.request_fields.clear();
        if first {
            self.random.mix(seed);
        }
        if identity.seed(seed) {
            self.pool = identity.pool(self.outbound.pool());
        }
    }

    fn decide(&mut self, subject: &Subject) -> Disposition<Decision> {
        let (Some(destination), Some(now)) = (subject.destination, subject.time) else {
            return Disposition::Decided(Decision::Plain(None, Outcome::Unreadable));
        };
        let (service, port) = match self.outbound.route(destination) {
            Route::Service(service, port) => (service, port),
            Route::Plain(service, outcome) => return Disposition::Decided(Decision::Plain(service, outcome)),
        };
        let task = (service, port);
        if let Some(target) = self.searches.solution(task, now) {
            return Disposition::Decided(Decision::Composed(target));
        }
        if self.searches.resume(task, now) {
            return Disposition::Hold(task);
        }
        match self.compose(service, port, now) {
            Ok(Some(Composed::Target(target))) => Disposition::Decided(Decision::Composed(target)),
            Ok(Some(Composed::Work(work))) => {
                Disposition::Begin(work, Decision::Failed(service, ComposeFailure::Busy(MAX_RUNNING)))
            }
            Ok(None) => Disposition::Decided(Decision::Plain(Some(service), Outcome::NoRule)),
            Err(failure) => Disposition::Decided(Decision::Failed(service, failure)),
        }
    }

    fn decide_without_snapshot(&self, failure_mode_allow: bool) -> Decision {
        Decision::without_snapshot(failure_mode_allow)
    }

    fn directive(&self, decision: &Decision) -> Directive<'_> {
        match decision {
            Decision::Composed(target) => Directive::Redirect(target.endpoint()),
            Decision::Plain(_, Outcome::Refused) => Directive::Reject,
            Decision::Plain(..) | Decision::Failed(..) => Directive::Pass,
        }
    }

    fn conclude(
        &mut self,
        connection: ContextId,
        decision: Decision,
        prepared: Result<(), Refused>,
        subject: &Subject,
        telemetry: &mut Telemetry,
        host: &(impl Properties + Metrics + Log),
    ) -> Admission {
        let outcome = if prepared.is_ok() {
            decision.outcome()
        } else {
            Outcome::Unreadable
        };
        self.report(decision.service(), outcome, telemetry, host);
        match decision {
            Decision::Composed(target) if prepared.is_ok() => {
                self.open.insert(connection, target);
            }
            Decision::Composed(target) => telemetry.log(host, subject.logged_at(), || {
                format!("the proxy does not take the destination {}", target.endpoint())
            }),
            Decision::Failed(_, failure @ ComposeFailure::Busy(_)) => {
                telemetry.log(host, subject.logged_at(), || format!("{failure}"));
            }
            Decision::Failed(service, failure) => {
                telemetry.log_failure(service, &failure, host, subject.logged_at());
            }
            Decision::Plain(_, Outcome::Refused) => return Admission::Reject,
            Decision::Plain(..) => {}
        }
        Admission::Pass
    }

    fn on_request(&mut self, request: ContextId, telemetry: &mut Telemetry, host: &impl Host) -> Admission {
        self.send_request(request, telemetry, host)
    }

    fn on_request_delete(&mut self, request: ContextId) {
        self.in_flight.remove(request);
    }

    fn on_request_without_snapshot(
        &mut self,
        failure_mode_allow: bool,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Admission {
        self.send_without_snapshot(failure_mode_allow, telemetry, host)
    }

    fn on_delete(&mut self, connection: ContextId, half_closed: bool, telemetry: &mut Telemetry, host: &impl Host) {
        let Some(target) = self.open.remove(&connection) else {
            return;
        };
        if !self.queries.are_due(half_closed) {
            return;
        }
        // A source means that the connection was made, which is the rule: one query suffices then.
        let source = host.get_address(End::UpstreamSource).ok();
        let failed = source.is_none() && host.get_upstream_failure() == Ok(true);
        self.queries.record(match source {
            Some(source) if source.address == target.source => Answer::Expected,
            None if !failed => Answer::None,
            _ => Answer::Unexpected,
        });
        let (service, number) = (target.place.service, Outcome::COUNT);
        let time = || host.get_current_time().map_or(UnixTime(0), seconds);
        if failed {
            self.failures.add(target.place, time());
            self.searches.discard(&target.place);
            telemetry.metrics.count(host, Some(service), number, |service| {
                format!("ssa_outbound_connect_failures_total.service.{service}")
            });
        } else if let Some(source) = source.filter(|source| source.address != target.source) {
            telemetry
                .metrics
                .count(host, Some(service), number.saturating_add(1), |service| {
                    format!("ssa_outbound_source_mismatches_total.service.{service}")
                });
            let service = telemetry.metrics.name(Some(service)).to_owned();
            telemetry.log(host, time(), || {
                let (used, meant) = (source.address, target.source);
                format!("source mismatch: service {service}: connected from {used}, composed for {meant}")
            });
        }
    }

    fn tasks(&mut self) -> Option<&mut dyn Tasks<Decision = Decision>> {
        Some(self)
    }
}

impl Tasks for OutboundRole {
    type Decision = Decision;

    fn begin(&mut self, mut work: Work, clock: Option<ReadClock<'_>>) -> Option<Result<Decision, Task>> {
        let task = (work.service, work.port);
        let begun = clock.map_or(Ok(None), |clock| self.searches.begin(&self.outbound, &mut work, clock));
        match begun {
            Ok(Some(target)) => Some(Ok(Decision::Composed(target))),
            Ok(None) => self.searches.add(work).then_some(Err(task)),
            Err(error) => Some(Ok(Decision::Failed(work.service, error.into()))),
        }
    }

    fn run(&mut self, now: UnixTime, clock: ReadClock<'_>) -> Vec<(Task, ComposeError)> {
        self.searches.expire(now);
        self.searches.run(&self.outbound, clock)
    }

    fn is_busy(&self) -> bool {
        self.searches.is_busy()
    }

    fn is_running(&self, task: Task) -> bool {
        self.searches.is_running(task)
    }

    fn suspend(&mut self, task: Task) {
        self.searches.suspend(task);
    }

    fn give_up(&self, (service, _): Task) -> Decision {
        Decision::Failed(service, ComposeFailure::NotInTime)
    }
}
