//! The inbound role: connections are verified.

use ssa_rules::Part;
use ssa_snapshot::Role;

use super::{
    inbound_requests::OPENED,
    role::{Admission, Directive, Disposition, RoleLogic},
    telemetry::Telemetry,
};
use crate::{
    access_log::AccessLogFields,
    config::{ConfigError, Snapshot},
    host::{ContextId, Host, Log, Metrics, Properties, Refused},
    inbound::{Decision, Inbound, InboundService, Outcome, Told},
    random::Identity,
    request,
    subject::Subject,
    table::Table,
};

/// Parts of an address that have a counter: the item, 16 fields, the proof of work.
pub(super) const PARTS: usize = 18;

/// The inbound role of a plugin.
#[derive(Debug)]
pub(super) struct InboundRole {
    pub(super) inbound: Inbound,
    fields: AccessLogFields<Decision>,
    pub(super) request_fields: AccessLogFields<Decision>,
    /// The decisions of other services that have a say in the one that is concluded next: they are only counted.
    others: Vec<Decision>,
}

impl InboundRole {
    pub(super) fn new(inbound: Inbound) -> Self {
        Self {
            inbound,
            fields: AccessLogFields::default(),
            request_fields: AccessLogFields::default(),
            others: Vec::new(),
        }
    }
}

impl RoleLogic for InboundRole {
    type Service = InboundService;
    type Decision = Decision;

    const NAME: Role = Role::Inbound;
    const NEEDS_SOURCE: bool = true;

    fn names(&self) -> Vec<String> {
        self.inbound.services().names()
    }

    fn read(body: &[u8]) -> Result<Snapshot<InboundService>, ConfigError> {
        Snapshot::inbound(body)
    }

    fn install(
        &mut self,
        services: Table<InboundService>,
        off: bool,
        _seed: &[u8],
        _first: bool,
        _identity: &mut Identity,
    ) {
        self.inbound.install(services, off);
        self.fields.clear();
        self.request_fields.clear();
    }

    fn decide(&mut self, subject: &Subject) -> Disposition<Decision> {
        let others = &mut self.others;
        Disposition::Decided(self.inbound.decide(subject, |other| others.push(*other)))
    }

    fn decide_without_snapshot(&self, failure_mode_allow: bool) -> Decision {
        Decision::without_snapshot(failure_mode_allow)
    }

    fn directive(&self, decision: &Decision) -> Directive<'_> {
        match decision.outcome.class() {
            None => Directive::Reject,
            Some(class) => self.inbound.cluster(class).map_or(Directive::Pass, Directive::Cluster),
        }
    }

    fn conclude(
        &mut self,
        _connection: ContextId,
        decision: Decision,
        prepared: Result<(), Refused>,
        subject: &Subject,
        telemetry: &mut Telemetry,
        host: &(impl Properties + Metrics + Log),
    ) -> Admission {
        for decision in core::mem::take(&mut self.others).iter().chain([&decision]) {
            count(decision, telemetry, host);
        }
        let service = telemetry.metrics.name(decision.service);
        let (verdict, outcome) = (decision.found.finding.name(), decision.outcome.name());
        let part = decision.found.violated.map_or("", Part::name);
        let fields = self.fields.of(decision, || {
            [
                ("service", service.into()),
                ("verdict", verdict.into()),
                ("part", part.into()),
                ("unchecked", unchecked(&decision).into()),
                ("outcome", outcome.into()),
                ("generation", telemetry.generation.as_str().into()),
            ]
        });
        // An access log that lacks a field is no reason to treat the connection differently.
        let _ = host.set_property("ssa", fields);
        if let Some(time) = subject.time.filter(|_| self.inbound.needs_opening(decision.service)) {
            // Without it, requests are judged by their own time, and may be refused.
            let _ = host.set_property(OPENED, &time.to_string());
        }
        if decision.outcome == Outcome::Allowed {
            return Admission::Pass;
        }
        let _ = host.set_property("ssa_outcome", outcome);
        let (service, now) = (service.to_owned(), subject.logged_at());
        telemetry.log(host, now, || {
            let part = if part.is_empty() {
                String::new()
            } else {
                format!(" of {part}")
            };
            let ends = match (subject.source, subject.destination) {
                (Some(source), Some(destination)) => format!("{source} to {destination}"),
                _ => "addresses not read".to_owned(),
            };
            format!("{outcome}: {verdict}{part}: service {service}: {ends}")
        });
        match decision.outcome.class() {
            None => Admission::Reject,
            Some(class) if prepared.is_err() => {
                let cluster = self.inbound.cluster(class).unwrap_or_default();
                telemetry.log(host, now, || format!("the proxy does not take the cluster {cluster}"));
                Admission::Reject
            }
            Some(_) => Admission::Pass,
        }
    }

    fn on_request(&mut self, _request: ContextId, telemetry: &mut Telemetry, host: &impl Host) -> Admission {
        self.judge_request(telemetry, host)
    }

    fn on_request_without_snapshot(
        &mut self,
        failure_mode_allow: bool,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Admission {
        request::strip(&host.get_request_headers(), host);
        let decision = Decision::without_snapshot(failure_mode_allow);
        self.conclude_request(decision, &Told::default(), telemetry, host)
    }
}

/// Counts a decision on a connection.
fn count(decision: &Decision, telemetry: &mut Telemetry, host: &impl Metrics) {
    let (found, outcome) = (decision.found, decision.outcome);
    let number = found
        .finding
        .number()
        .saturating_mul(Outcome::COUNT)
        .saturating_add(outcome.number())
        .saturating_add(PARTS);
    telemetry.metrics.count(host, decision.service, number, |service| {
        let (verdict, outcome) = (found.finding.name(), outcome.name());
        format!("ssa_inbound_connections_total.service.{service}.verdict.{verdict}.outcome.{outcome}")
    });
    if let Some(part) = found.violated {
        let number = match part {
            Part::Item => 0,
            Part::Pow => 1,
            Part::Field(index) => usize::from(index.min(15)).saturating_add(2),
        };
        telemetry.metrics.count(host, decision.service, number, |service| {
            format!("ssa_inbound_violations_total.service.{service}.part.{part}")
        });
    }
}

/// Names the parts that were not checked, separated by commas.
pub(super) fn unchecked(decision: &Decision) -> String {
    let mut names = String::new();
    for part in decision.found.unchecked.parts() {
        if !names.is_empty() {
            names.push(',');
        }
        names.push_str(part.name());
    }
    names
}
