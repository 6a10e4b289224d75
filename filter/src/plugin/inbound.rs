//! The inbound role: connections are verified.

use core::convert::Infallible;

use ssa_rules::{Part, Unchecked, UnixTime};

use super::{
    role::{Disposition, Role, Verdict},
    seconds,
    telemetry::{Telemetry, now},
};
use crate::{
    access_log::LogEntry,
    config::{ConfigError, Snapshot},
    endpoint::Endpoint,
    host::{Clock, ContextId, End, Host, Stream},
    inbound::{Decision, Inbound, InboundService, Outcome},
    random::Identity,
    table::Table,
};

/// What a connection is judged by.
type Ends = (Endpoint, Endpoint, UnixTime);

fn read_ends(host: &(impl Clock + Stream)) -> Option<Ends> {
    Some((
        host.get_address(End::Source).ok()?,
        host.get_address(End::Destination).ok()?,
        seconds(host.get_current_time().ok()?),
    ))
}

impl Role for Inbound {
    type Service = InboundService;
    type Task = Infallible;

    const NAME: &'static str = "inbound";

    fn names(&self) -> Vec<String> {
        self.services().names()
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
        Self::install(self, services, off);
    }

    fn decide(
        &mut self,
        _connection: ContextId,
        _new: bool,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Disposition<Infallible> {
        let ends = read_ends(host);
        let decision = match ends {
            Some((source, destination, now)) => Self::decide(self, source, destination, now, |other| {
                telemetry.metrics.count_inbound(host, other);
            }),
            None => self.decide_unreadable(),
        };
        conclude(self, &decision, ends, telemetry, host).into()
    }

    fn without_snapshot(&mut self, passes: bool, telemetry: &mut Telemetry, host: &impl Host) -> Verdict {
        conclude(self, &Decision::without_snapshot(passes), None, telemetry, host)
    }

    fn without_task(&mut self, task: Infallible, _telemetry: &mut Telemetry, _host: &impl Host) -> Verdict {
        match task {}
    }

    fn work(&mut self, _time: u64, _telemetry: &mut Telemetry, _host: &impl Host) -> Vec<Infallible> {
        Vec::new()
    }

    fn busy(&self) -> bool {
        false
    }

    fn works_on(&self, task: Infallible) -> bool {
        match task {}
    }

    fn rest(&mut self, task: Infallible) {
        match task {}
    }

    fn on_delete(&mut self, _connection: ContextId, _finished: bool, _telemetry: &mut Telemetry, _host: &impl Host) {}
}

/// Counts, tells and carries out a decision.
fn conclude(
    inbound: &Inbound,
    decision: &Decision,
    ends: Option<Ends>,
    telemetry: &mut Telemetry,
    host: &impl Host,
) -> Verdict {
    telemetry.metrics.count_inbound(host, decision);
    let Telemetry {
        metrics,
        note,
        generation,
        ..
    } = telemetry;
    let (service, verdict, outcome) = (
        metrics.name(decision.service),
        decision.finding.name(),
        decision.outcome.name(),
    );
    let part = decision.finding.part().map_or("", Part::name);
    // An access log that lacks a field is no reason to treat the connection differently.
    let fields = note.of(LogEntry::Inbound(*decision), || {
        [
            ("service", service.into()),
            ("verdict", verdict.into()),
            ("part", part.into()),
            ("unchecked", unchecked(decision).into()),
            ("outcome", outcome.into()),
            ("generation", generation.as_str().into()),
        ]
    });
    let _ = host.set_property("ssa", fields);
    if decision.outcome == Outcome::Allowed {
        return Verdict::Pass;
    }
    let _ = host.set_property("ssa_outcome", outcome);
    let at = ends.map_or_else(|| now(host), |(_, _, now)| now);
    let service = service.to_owned();
    telemetry.log(host, at, || {
        let part = if part.is_empty() {
            String::new()
        } else {
            format!(" of {part}")
        };
        let ends = ends.map_or_else(
            || "addresses not read".to_owned(),
            |(source, destination, _)| format!("{source} to {destination}"),
        );
        format!("{outcome}: {verdict}{part}: service {service}: {ends}")
    });
    match (decision.outcome, inbound.demote_cluster()) {
        (Outcome::Denied, _) => Verdict::Close,
        (Outcome::Demoted, Some(cluster)) if host.set_cluster(cluster).is_err() => {
            telemetry.log(host, at, || format!("the proxy does not take the cluster {cluster}"));
            Verdict::Close
        }
        _ => Verdict::Pass,
    }
}

/// Names the parts that were not checked, with commas between.
fn unchecked(decision: &Decision) -> String {
    let mut names = String::new();
    for part in decision.finding.unchecked().iter().flat_map(Unchecked::parts) {
        if !names.is_empty() {
            names.push(',');
        }
        names.push_str(part.name());
    }
    names
}
