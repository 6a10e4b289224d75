//! The outbound role: each request goes to the address of what it asks for, and to another replica if that fails.
//!
//! ```text
//!  application ──▶ [filter of the request] ──▶ router ──▶ [filter of each attempt] ──▶ connection
//!                  target 1, and the others       ▲        at attempt n: target n+1, and that target n−1 failed
//!                  as the property `ssa_next`     └── again
//! ```
//!
//! The proxy chooses the address of an attempt before the attempt's filter runs, so that filter sets the one of the next.

use ssa_rules::UnixTime;
use ssa_snapshot::{Number, plugin::Order};

use super::{outbound::OutboundRole, role::Admission, telemetry::Telemetry};
use crate::{
    host::{ContextId, End, Fields, Host, NS_PER_MS},
    outbound::{HandedOver, Outcome, Plan, Planned, Route},
    request,
    subject::seconds,
};

/// The property by which the filter of a request hands its targets over to that of its attempts.
const NEXT: &str = "ssa_next";

/// The status of an answer to a request that has no address: 421 Misdirected Request.
const MISDIRECTED: u16 = 421;

/// The status of an answer to a request for which no snapshot came: 503 Service Unavailable.
const UNAVAILABLE: u16 = 503;

impl OutboundRole {
    /// Decides on a request or on an attempt to send it, and carries that out.
    pub(super) fn send_request(
        &mut self,
        context: ContextId,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Admission {
        if let Ok(attempt) = host.get_attempt() {
            self.attempt(attempt, telemetry, host);
            return Admission::Pass;
        }
        let destination = host.get_address(End::Destination).ok();
        if let Some(Route::Plain(service, outcome)) = destination.map(|destination| self.outbound.route(destination)) {
            self.report_request((service, outcome, None), telemetry, host);
            return Admission::Pass;
        }
        let fields = host.get_request_headers();
        let replica = self.named_replica(&fields);
        request::strip(&fields, host);
        let time = host.get_current_time().ok();
        let now = time.map(seconds);
        let (pool, random) = (self.pool, &mut self.random);
        let draw = |share, step| {
            pool.for_step(step)
                .draw(random.bits(), share, now.unwrap_or(UnixTime(0)))
        };
        let planned = request::with(&fields, |request| {
            self.outbound.plan(
                destination,
                now,
                request,
                (reads(&fields), replica),
                (&self.failed, &self.in_flight),
                draw,
            )
        });
        let now = now.unwrap_or(UnixTime(0));
        match planned {
            Planned::Composed(plan) => self.send(&plan, context, time.unwrap_or(0), telemetry, host),
            Planned::Refused(service) => {
                self.report_request((Some(service), Outcome::NoObject, None), telemetry, host);
                host.respond(MISDIRECTED, request::VERDICT, Outcome::NoObject.name());
                Admission::Reject
            }
            Planned::Failed(service, failure) => {
                self.report_request((Some(service), Outcome::Failed, None), telemetry, host);
                telemetry.log_failure(service, &failure, host, now);
                Admission::Pass
            }
            Planned::Plain(service, outcome) => {
                self.report_request((service, outcome, None), telemetry, host);
                Admission::Pass
            }
        }
    }

    /// Sends a request where it is planned to go.
    fn send(
        &mut self,
        plan: &Plan,
        context: ContextId,
        time: u64,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Admission {
        let service = Some(plan.service);
        let Some(first) = plan.targets.first() else {
            return Admission::Pass;
        };
        if host.set_request_destination(&first.endpoint()).is_err() {
            self.report_request((service, Outcome::Unreadable, None), telemetry, host);
            telemetry.log(host, seconds(time), || {
                format!("the proxy does not take the destination {}", first.endpoint())
            });
            return Admission::Pass;
        }
        // Without the other targets, the first one is tried again.
        let hedge = self.hedge_ms(plan);
        // The proxy's timers are early at times.
        let hedged_at = hedge.map(|ms| time.saturating_add(u64::from(ms).saturating_mul(NS_PER_MS / 10 * 9)));
        let _ = host.set_property(NEXT, &plan.handed_over(hedged_at));
        self.set_retries(plan, hedge, host);
        if self.outbound.requests().order == Order::Least {
            self.in_flight.add(context, first.endpoint().address);
        }
        let replica = Some(first.place.candidate.replica.0);
        self.report_request((service, Outcome::Composed, replica), telemetry, host);
        Admission::Pass
    }

    /// Has the proxy's router send the request again. What changes something is sent again only where it cannot have
    /// been carried out, and to the same address.
    fn set_retries(&self, plan: &Plan, hedge: Option<u32>, host: &impl Host) {
        let others = plan.targets.len().saturating_sub(1).max(1);
        let mut statuses = MISDIRECTED.to_string();
        let on = if plan.reads {
            statuses.push_str(",503");
            for status in self.outbound.requests().miss.iter().filter(|_| plan.targets.len() > 1) {
                statuses.push(',');
                statuses.push_str(&status.get().to_string());
            }
            "connect-failure,refused-stream,reset,retriable-status-codes"
        } else {
            "connect-failure,refused-stream,retriable-status-codes"
        };
        for (name, value) in [
            ("x-envoy-retry-on", on),
            ("x-envoy-max-retries", others.to_string().as_str()),
            ("x-envoy-retriable-status-codes", &statuses),
        ] {
            host.set_request_header(name, Some(value.as_bytes()));
        }
        if let Some(ms) = hedge {
            let ms = ms.to_string();
            host.set_request_header("x-envoy-upstream-rq-per-try-timeout-ms", Some(ms.as_bytes()));
            host.set_request_header("x-envoy-hedge-on-per-try-timeout", Some(b"true"));
        }
    }

    /// After how many milliseconds a request is sent to the next replica too: one that reads, if there is another.
    fn hedge_ms(&self, plan: &Plan) -> Option<u32> {
        let hedge = self.outbound.requests().hedge_ms;
        hedge.filter(|_| plan.targets.len() > 1).map(Number::get)
    }

    /// Prepares the attempt after this one, and learns from what became of those before.
    fn attempt(&mut self, attempt: u64, telemetry: &mut Telemetry, host: &impl Host) {
        let handed_over = host.get_own_property(NEXT).ok();
        let Some(handed_over) = handed_over.and_then(|text| HandedOver::parse(&text)) else {
            return;
        };
        if let Some(next) = handed_over.target(attempt.saturating_add(1)) {
            // Otherwise the next attempt goes where this one does.
            let _ = host.set_request_destination(&next);
        }
        let Some(failed) = handed_over.target(attempt.saturating_sub(1)) else {
            return;
        };
        let time = host.get_current_time().unwrap_or(0);
        if handed_over.hedged_at.is_some_and(|at| time >= at) {
            return;
        }
        let now = seconds(time);
        self.failed.add(failed.address, now);
        let number = Outcome::COUNT.saturating_mul(2).saturating_add(2);
        let service = Some(handed_over.service);
        telemetry.metrics.count(host, service, number, |service| {
            format!("ssa_outbound_request_failures_total.service.{service}")
        });
    }

    /// Decides on a request for which no snapshot came.
    pub(super) fn send_without_snapshot(
        &mut self,
        failure_mode_allow: bool,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Admission {
        if host.get_attempt().is_ok() {
            return Admission::Pass;
        }
        request::strip(&host.get_request_headers(), host);
        let outcome = if failure_mode_allow {
            Outcome::NoSnapshot
        } else {
            Outcome::Refused
        };
        self.report_request((None, outcome, None), telemetry, host);
        if failure_mode_allow {
            return Admission::Pass;
        }
        host.respond(UNAVAILABLE, request::VERDICT, Outcome::NoSnapshot.name());
        Admission::Reject
    }

    /// Counts a request, and reports it to access logs.
    fn report_request(
        &mut self,
        of: (Option<usize>, Outcome, Option<u8>),
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) {
        let (service, outcome, replica) = of;
        // After those of connections.
        let number = match replica {
            None => Outcome::COUNT.saturating_add(outcome.number()).saturating_add(2),
            Some(replica) => Outcome::COUNT
                .saturating_mul(2)
                .saturating_add(3)
                .saturating_add(replica.into()),
        };
        telemetry.metrics.count(host, service, number, |service| {
            let outcome = outcome.name();
            let replica = replica.map_or_else(String::new, |replica| format!(".replica.{replica}"));
            format!("ssa_outbound_requests_total.service.{service}.outcome.{outcome}{replica}")
        });
        if outcome == Outcome::Untouched {
            return;
        }
        let fields = self.request_fields.of(of, || {
            let replica = replica.map_or_else(String::new, |replica| replica.to_string());
            [
                ("service", telemetry.metrics.name(service).into()),
                ("replica", replica.into()),
                ("outcome", outcome.name().into()),
                ("generation", telemetry.generation.as_str().into()),
            ]
        });
        let _ = host.set_property("ssa_request", fields);
    }

    /// Returns the replica that the application names, if it may.
    fn named_replica(&self, fields: &Fields) -> Option<u8> {
        let named = fields.iter().find(|(name, _)| name == request::REPLICA);
        let (_, value) = named.filter(|_| self.outbound.requests().replica_header)?;
        core::str::from_utf8(value).ok()?.parse().ok()
    }
}

/// Returns whether a request only reads: by its method, as RFC 9110 section 9.2.1 has it, and as `WebDAV` registers its own
/// (RFC 4918 section 9.1, RFC 3253 section 3.6, RFC 5323 section 2).
fn reads(fields: &Fields) -> bool {
    let method = fields.iter().find(|(name, _)| name == ":method");
    method.is_some_and(|(_, method)| {
        matches!(
            method.as_slice(),
            b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PROPFIND" | b"REPORT" | b"SEARCH"
        )
    })
}
