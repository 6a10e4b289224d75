//! What the filters of both roles do alike: request snapshots, hold connections, and carry out what the role decides.

use ssa_rules::UnixTime;
use ssa_snapshot::plugin::{Hold, Subscription};

use super::{
    Action,
    queue::{Held, HoldReason, MAX_PER_CALLBACK, Queue},
    requests::Waiting,
    role::{Admission, Disposition, Installed, RoleLogic},
    telemetry::Telemetry,
    updates::Updates,
};
use crate::{
    config::MAX_SNAPSHOT,
    host::{Call, ContextId, End, Host, Refused},
    pow_scheduler::Task,
    random::Identity,
    subject::{Subject, seconds},
    vm_registry::{self, Report},
};

/// How often held connections are looked at, in milliseconds.
const TICK_HELD_MS: u32 = 20;

/// The pause between two slices of work, in milliseconds.
const TICK_WORK_MS: u32 = 1;

/// The filter of a role, in one VM.
#[derive(Debug)]
pub(super) struct Filter<R: RoleLogic> {
    pub(super) context: ContextId,
    pub(super) role: R,
    pub(super) queue: Queue,
    /// Connections that the proxy did not close. Each tick tries again; meanwhile nothing of them reaches upstream.
    unclosed: Vec<ContextId>,
    /// How many connections this callback may still release or close.
    pub(super) allowance: usize,
    /// Requests that wait for the first snapshot.
    pub(super) waiting: Waiting,
    pub(super) updates: Updates,
    identity: Identity,
    pub(super) telemetry: Telemetry,
    tick_ms: u32,
    reported: Option<(UnixTime, usize)>,
}

impl<R: RoleLogic> Filter<R> {
    pub(super) fn new(
        role: R,
        context: ContextId,
        hold: Hold,
        subscription: Option<Subscription>,
        identity: Identity,
        host: &impl Host,
    ) -> Self {
        let telemetry = Telemetry::new(R::NAME.name(), &role.names());
        let mut filter = Self {
            context,
            role,
            queue: Queue::new(hold),
            unclosed: Vec::new(),
            allowance: MAX_PER_CALLBACK,
            waiting: Waiting::new(hold),
            updates: Updates::new(R::NAME, subscription, host),
            identity,
            telemetry,
            tick_ms: 0,
            reported: None,
        };
        filter.set_tick(host);
        filter
    }

    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn on_new_connection(&mut self, connection: ContextId, host: &impl Host) -> Action {
        if !self.updates.ready() {
            return self.hold(connection, HoldReason::Snapshot, host);
        }
        let subject = Subject::read(host, R::NEEDS_SOURCE);
        match self.decide(&subject, true, host) {
            Ok(decision) => self.admit(connection, decision, &subject, host),
            Err(task) => self.hold(connection, HoldReason::Task(task), host),
        }
    }

    /// Decides on a connection, or returns the task that it has to wait for. For a new one, a slice of work may be done
    /// at once.
    fn decide(&mut self, subject: &Subject, new: bool, host: &impl Host) -> Result<R::Decision, Task> {
        match self.role.decide(subject) {
            Disposition::Decided(decision) => Ok(decision),
            Disposition::Hold(task) => Err(task),
            Disposition::Begin(work, otherwise) => {
                let mut clock = || host.get_current_time().ok();
                let begun = self.role.tasks().and_then(|tasks| {
                    let clock: Option<&mut dyn FnMut() -> Option<u64>> = if new { Some(&mut clock) } else { None };
                    tasks.begin(*work, clock)
                });
                begun.unwrap_or(Ok(otherwise))
            }
        }
    }

    /// Carries out a decision on a new connection.
    fn admit(&mut self, connection: ContextId, decision: R::Decision, subject: &Subject, host: &impl Host) -> Action {
        match self.conclude(connection, decision, subject, host) {
            Admission::Pass => Action::Continue,
            Admission::Reject => {
                self.reject(connection, host);
                Action::Pause
            }
        }
    }

    /// Prepares the proxy for what is decided, and counts and logs it.
    fn conclude(
        &mut self,
        connection: ContextId,
        decision: R::Decision,
        subject: &Subject,
        host: &impl Host,
    ) -> Admission {
        let prepared = self.role.directive(&decision).prepare(host);
        self.role
            .conclude(connection, decision, prepared, subject, &mut self.telemetry, host)
    }

    /// Holds a new connection; if there is no room, decides on it at once.
    fn hold(&mut self, connection: ContextId, reason: HoldReason, host: &impl Host) -> Action {
        let now = host.get_current_time();
        if let Ok(now) = now {
            let source = host.get_address(End::Source).ok().map(|source| source.address);
            if self.queue.hold(connection, reason, source, now) {
                self.set_tick(host);
                return Action::Pause;
            }
        }
        if let HoldReason::Task(task) = reason {
            self.suspend(task);
        }
        let decision = self.give_up(reason);
        self.admit(connection, decision, &Subject::at(now.unwrap_or(0)), host)
    }

    /// Decides on a connection that was held in vain, or found no room.
    fn give_up(&mut self, reason: HoldReason) -> R::Decision {
        match (reason, self.role.tasks()) {
            (HoldReason::Task(task), Some(tasks)) => tasks.give_up(task),
            _ => self.role.decide_without_snapshot(self.updates.failure_mode_allow()),
        }
    }

    pub(super) fn on_downstream_data(&self, connection: ContextId) -> Action {
        if self.queue.holds(connection) || self.unclosed.contains(&connection) {
            Action::Pause
        } else {
            Action::Continue
        }
    }

    pub(super) fn on_delete(&mut self, connection: ContextId, half_closed: bool, host: &impl Host) {
        // A client that left costs no more work.
        if let Some(task) = self.queue.remove(connection).and_then(|held| held.task()) {
            self.suspend(task);
        }
        self.unclosed.retain(|unclosed| *unclosed != connection);
        self.role.on_delete(connection, half_closed, &mut self.telemetry, host);
    }

    pub(super) fn on_tick(&mut self, host: &impl Host) {
        let Ok(time) = host.get_current_time() else {
            return;
        };
        self.allowance = MAX_PER_CALLBACK;
        if self.updates.poll(host, time) {
            self.fetch_failed(host, time, "the proxy cannot ask its cluster");
        }
        self.work(host, time);
        if self.updates.ready() {
            self.release(host, time, &|held| held.reason == HoldReason::Snapshot);
        }
        let overdue = self.queue.overdue(time);
        self.settle(host, time, &overdue, true);
        self.settle_requests(host, time);
        self.close_again(host);
        self.report(host, time);
        self.set_tick(host);
    }

    pub(super) fn on_http_call_response(&mut self, call: Call, responded: bool, host: &impl Host) {
        let time = host.get_current_time().unwrap_or(0);
        self.allowance = MAX_PER_CALLBACK;
        if !self.updates.complete(call, time) {
            return;
        }
        let response = if responded {
            host.http_call_response()
        } else {
            Err(Refused)
        };
        match response {
            Ok(response) if response.status == 200 => {
                match host.http_call_response_body(MAX_SNAPSHOT.saturating_add(1)) {
                    Ok(body) => self.read_snapshot(&body, response.etag, host, time),
                    Err(Refused) => self.fetch_failed(host, time, "the answer has no body"),
                }
            }
            Ok(response) if response.status == 304 && self.updates.any_received() => {
                self.updates.not_modified(&mut self.telemetry, host, time);
            }
            Ok(response) => {
                let status = response.status;
                self.fetch_failed(host, time, &format!("the answer has status {status}"));
            }
            Err(Refused) => self.fetch_failed(host, time, "there was no answer in time"),
        }
        self.set_tick(host);
    }

    fn fetch_failed(&mut self, host: &impl Host, time: u64, why: &str) {
        self.updates
            .failed(R::NAME.name(), &mut self.telemetry, host, time, why);
    }

    fn read_snapshot(&mut self, body: &[u8], etag: Option<String>, host: &impl Host, time: u64) {
        let first = !self.updates.ready();
        let read = R::read(body).map(|snapshot| {
            if !first && snapshot.generation == self.telemetry.generation {
                return None;
            }
            let installed = Installed {
                generation: snapshot.generation,
                names: snapshot.services.names(),
                unusable: snapshot.unusable,
            };
            let (services, off) = (snapshot.services, snapshot.off);
            self.role
                .install(services, off, &snapshot.seed, first, &mut self.identity);
            Some(installed)
        });
        let role = R::NAME.name();
        if self.updates.received(role, read, etag, &mut self.telemetry, host, time) {
            self.release(host, time, &|_| true);
            self.settle_requests(host, time);
        }
    }

    /// Suspends a task, if no held connection waits for it any more.
    fn suspend(&mut self, task: Task) {
        if self.queue.waits_for(task) {
            return;
        }
        if let Some(tasks) = self.role.tasks() {
            tasks.suspend(task);
        }
    }

    /// Works on tasks for one slice of time, and decides on the connections whose task is done.
    fn work(&mut self, host: &impl Host, time: u64) {
        let Some(tasks) = self.role.tasks() else {
            return;
        };
        let now = seconds(time);
        let failed = tasks.run(now, &mut || host.get_current_time().ok());
        for held in self.queue.iter_mut() {
            if held
                .task()
                .is_some_and(|task| failed.iter().any(|(failed, _)| *failed == task))
            {
                held.give_up();
            }
        }
        // A task is not in progress any more if it is done, its minute is over, or it belongs to an earlier snapshot.
        // Deciding again uses what was found, or begins a new task. Overdue connections are given up after this.
        let mut open: Vec<Task> = Vec::new();
        for task in self.queue.iter().filter(|held| held.lasts(time)).filter_map(Held::task) {
            if !open.contains(&task) && !tasks.is_running(task) {
                open.push(task);
            }
        }
        for ((service, _), error) in failed {
            self.telemetry.log_failure(service, &error, host, now);
        }
        if !open.is_empty() {
            self.release(host, time, &|held| {
                held.lasts(time) && held.task().is_some_and(|task| open.contains(&task))
            });
        }
    }

    /// Closes a connection; if the proxy fails to, it remains paused.
    fn reject(&mut self, connection: ContextId, host: &impl Host) {
        if host.reject().is_err() {
            self.unclosed.push(connection);
            self.set_tick(host);
        }
    }

    /// Closes connections that the proxy did not close when asked to, as many as this callback may.
    fn close_again(&mut self, host: &impl Host) {
        if self.unclosed.is_empty() {
            return;
        }
        for connection in core::mem::take(&mut self.unclosed) {
            if self.allowance == 0 || host.set_effective_context(connection).is_err() {
                self.unclosed.push(connection);
            } else {
                self.allowance = self.allowance.saturating_sub(1);
                self.reject(connection, host);
            }
        }
        let _ = host.set_effective_context(self.context);
    }

    /// Decides on held connections whose wait is over.
    fn release(&mut self, host: &impl Host, time: u64, due: &dyn Fn(&Held) -> bool) {
        self.settle(host, time, due, false);
    }

    /// Decides on held connections that are due: what they waited for is there, or they waited in vain.
    fn settle(&mut self, host: &impl Host, time: u64, due: &dyn Fn(&Held) -> bool, in_vain: bool) {
        if !self.queue.iter().any(due) {
            return;
        }
        let mut given_up: Vec<Task> = Vec::new();
        for held in self.queue.take() {
            // A connection that cannot be made the effective context stays held, since its data would pass otherwise; the
            // proxy reports when it ends.
            if self.allowance == 0 || !due(&held) || host.set_effective_context(held.connection).is_err() {
                self.queue.put_back(held);
                continue;
            }
            self.allowance = self.allowance.saturating_sub(1);
            let (subject, decided) = if in_vain {
                given_up.extend(held.task().filter(|task| !given_up.contains(task)));
                (Subject::at(time), Ok(self.give_up(held.reason)))
            } else {
                let subject = Subject::read(host, R::NEEDS_SOURCE);
                (subject, self.decide(&subject, false, host))
            };
            match decided {
                Err(task) => self.queue.put_back(held.waiting_for(task)),
                Ok(decision) => {
                    let admission = self.conclude(held.connection, decision, &subject, host);
                    if admission == Admission::Reject || host.resume().is_err() {
                        self.reject(held.connection, host);
                    }
                }
            }
        }
        let _ = host.set_effective_context(self.context);
        for task in given_up {
            self.suspend(task);
        }
    }

    /// Updates the gauges over all VMs, once a second or when more or fewer connections are held.
    fn report(&mut self, host: &impl Host, time: u64) {
        let now = seconds(time);
        let held = self.queue.len();
        if self.reported == Some((now, held)) || (!self.updates.subscribed() && held == 0 && self.reported.is_none()) {
            return;
        }
        let own = Report {
            number: self.identity.number,
            seen: now.0,
            confirmed: self.updates.confirmed(now).0,
            held: u32::try_from(held).unwrap_or(u32::MAX),
        };
        if let Ok(summary) = vm_registry::report(host, R::NAME.name(), own) {
            self.reported = Some((now, held));
            self.telemetry.metrics.show(host, &summary);
        }
    }

    pub(super) fn set_tick(&mut self, host: &impl Host) {
        let reported = self.reported.is_none_or(|(_, held)| held == self.queue.len());
        let idle = self.queue.is_empty() && self.waiting.is_empty() && self.unclosed.is_empty() && reported;
        let tick_ms = if self.role.tasks().is_some_and(|tasks| tasks.is_busy()) {
            TICK_WORK_MS
        } else if idle {
            self.updates.tick_ms()
        } else {
            TICK_HELD_MS
        };
        if tick_ms != self.tick_ms && host.set_tick_period(tick_ms).is_ok() {
            self.tick_ms = tick_ms;
        }
    }
}
