//! Requests: those of HTTP filters, which are decided on one by one, and wait for nothing but the first snapshot.

use ssa_snapshot::plugin::Hold;

use super::{
    Action,
    filter::Filter,
    role::{Admission, RoleLogic},
};
use crate::host::{ContextId, Host, NS_PER_MS};

/// Requests that are paused until there is a snapshot, each with its deadline in nanoseconds since 1970; the oldest first.
#[derive(Debug)]
pub(super) struct Waiting {
    hold: Hold,
    requests: Vec<(ContextId, u64)>,
}

impl Waiting {
    pub(super) const fn new(hold: Hold) -> Self {
        Self {
            hold,
            requests: Vec::new(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Adds a request, if there is room. A client that leaves gives its place up at once, unlike one of a connection.
    fn add(&mut self, request: ContextId, now: u64) -> bool {
        let most = usize::try_from(self.hold.connections.get()).unwrap_or(0);
        let room = self.requests.len() < most;
        if room {
            let longest = u64::from(self.hold.ms.get()).saturating_mul(NS_PER_MS);
            self.requests.push((request, now.saturating_add(longest)));
        }
        room
    }
}

impl<R: RoleLogic> Filter<R> {
    pub(super) fn on_request_headers(&mut self, request: ContextId, host: &impl Host) -> Action {
        if !self.updates.ready() {
            let now = host.get_current_time();
            if now.is_ok_and(|now| self.waiting.add(request, now)) {
                self.set_tick(host);
                return Action::Pause;
            }
        }
        match self.decide_request(request, host) {
            Admission::Pass => Action::Continue,
            Admission::Reject => Action::Pause,
        }
    }

    fn decide_request(&mut self, request: ContextId, host: &impl Host) -> Admission {
        if self.updates.ready() {
            return self.role.on_request(request, &mut self.telemetry, host);
        }
        let failure_mode_allow = self.updates.failure_mode_allow();
        self.role
            .on_request_without_snapshot(failure_mode_allow, &mut self.telemetry, host)
    }

    pub(super) fn on_request_delete(&mut self, request: ContextId) {
        self.waiting.requests.retain(|(waiting, _)| *waiting != request);
        self.role.on_request_delete(request);
    }

    /// Decides on requests that waited for a snapshot: it is there, or they waited in vain.
    pub(super) fn settle_requests(&mut self, host: &impl Host, time: u64) {
        if self.waiting.is_empty() {
            return;
        }
        let ready = self.updates.ready();
        for (request, deadline) in core::mem::take(&mut self.waiting.requests) {
            let due = ready || deadline <= time;
            if self.allowance == 0 || !due || host.set_effective_context(request).is_err() {
                self.waiting.requests.push((request, deadline));
                continue;
            }
            self.allowance = self.allowance.saturating_sub(1);
            // One that the proxy does not let go on waits until its client leaves.
            if self.decide_request(request, host) == Admission::Pass && host.resume_request().is_err() {
                self.waiting.requests.push((request, deadline));
            }
        }
        let _ = host.set_effective_context(self.context);
        self.set_tick(host);
    }
}
