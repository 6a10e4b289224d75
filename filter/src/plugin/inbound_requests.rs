//! The inbound role: requests are verified, each by itself.

use ssa_rules::{Part, UnixTime};
use ssa_snapshot::{Finding, TrafficClass};

use super::{
    inbound::{InboundRole, PARTS, unchecked},
    role::Admission,
    telemetry::Telemetry,
};
use crate::{
    host::{End, Fields, Host, Metrics},
    inbound::{Decision, Outcome, Requested, Told},
    request,
    subject::seconds,
};

/// What the connection's filter tells those of its requests: when it was opened, in seconds since 1970.
pub(super) const OPENED: &str = "ssa_opened";

/// The status of an answer to a request that is for another endpoint: 421 Misdirected Request.
const MISDIRECTED: u16 = 421;

/// The status of an answer to a request that cannot be judged: 503 Service Unavailable.
const UNAVAILABLE: u16 = 503;

impl InboundRole {
    /// Decides on a request, carries that out, and returns whether it goes on.
    pub(super) fn judge_request(&mut self, telemetry: &mut Telemetry, host: &impl Host) -> Admission {
        let fields = host.get_request_headers();
        request::strip(&fields, host);
        let destination = host.get_address(End::Destination).ok();
        let (decision, told) = match self.inbound.requested(destination) {
            // A request has header fields.
            _ if fields.is_empty() => (self.inbound.unreadable(), Told::default()),
            Requested::AsConnection => return Admission::Pass,
            Requested::Judge(number) => self.judge(number, &fields, host),
            Requested::Unreadable => (self.inbound.unreadable(), Told::default()),
        };
        self.conclude_request(decision, &told, telemetry, host)
    }

    fn judge(&self, number: usize, fields: &Fields, host: &impl Host) -> (Decision, Told) {
        let opened = if self.inbound.needs_opening(Some(number)) {
            let own = host.get_own_property(OPENED).ok();
            own.and_then(|text| core::str::from_utf8(&text).ok()?.parse().ok().map(UnixTime))
        } else {
            None
        };
        let opened = opened.or_else(|| host.get_current_time().ok().map(seconds));
        let ends = (host.get_address(End::Source), host.get_address(End::Destination));
        match (ends, opened) {
            ((Ok(source), Ok(destination)), Some(opened)) => request::with(fields, |request| {
                self.inbound
                    .decide_request(number, source, destination, opened, request)
            }),
            _ => (self.inbound.unreadable(), Told::default()),
        }
    }

    /// Carries out a decision on a request, counts and logs it.
    pub(super) fn conclude_request(
        &mut self,
        decision: Decision,
        told: &Told,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Admission {
        count(&decision, telemetry, host);
        let (verdict, outcome) = (decision.found.finding.name(), decision.outcome.name());
        let service = telemetry.metrics.name(decision.service);
        let part = decision.found.violated.map_or("", Part::name);
        let generation = telemetry.generation.as_str();
        let fields = self.request_fields.of(decision, || {
            [
                ("service", service.into()),
                ("verdict", verdict.into()),
                ("part", part.into()),
                ("unchecked", unchecked(&decision).into()),
                ("outcome", outcome.into()),
                ("generation", generation.into()),
            ]
        });
        let _ = host.set_property("ssa_request", fields);
        if decision.outcome != Outcome::Allowed {
            let _ = host.set_property("ssa_request_outcome", outcome);
        }
        match decision.outcome.class() {
            None => {
                let status = match decision.found.finding {
                    Finding::NoSnapshot | Finding::Unreadable => UNAVAILABLE,
                    _ => MISDIRECTED,
                };
                host.respond(status, request::VERDICT, verdict);
                return Admission::Reject;
            }
            // A route leads it elsewhere, by what was just set. If the proxy does not look again, it must not go on.
            Some(TrafficClass::Bad) if host.clear_route_cache().is_err() => {
                host.respond(UNAVAILABLE, request::VERDICT, verdict);
                return Admission::Reject;
            }
            Some(_) => {}
        }
        for (name, value) in [
            (request::OBJECT, told.object.as_deref()),
            (request::REPLICA, told.replica.as_deref().map(str::as_bytes)),
            (request::SLICE, told.slice.as_deref()),
        ] {
            if value.is_some() {
                host.set_request_header(name, value);
            }
        }
        Admission::Pass
    }
}

/// Counts a decision on a request.
fn count(decision: &Decision, telemetry: &mut Telemetry, host: &impl Metrics) {
    let (found, outcome) = (decision.found, decision.outcome);
    // After those of connections.
    let row = Finding::ALL.len().saturating_add(found.finding.number());
    let number = row
        .saturating_mul(Outcome::COUNT)
        .saturating_add(outcome.number())
        .saturating_add(PARTS);
    telemetry.metrics.count(host, decision.service, number, |service| {
        let (verdict, outcome) = (found.finding.name(), outcome.name());
        format!("ssa_inbound_requests_total.service.{service}.verdict.{verdict}.outcome.{outcome}")
    });
}
