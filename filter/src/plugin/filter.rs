//! What the filters of both roles do alike: ask for snapshots, hold connections, and carry out what the role decides.

use ssa_rules::UnixTime;

use super::{
    Action,
    queue::{Held, HoldReason, MOST_AT_ONCE, Queue},
    role::{Disposition, Installed, Role, Verdict},
    seconds,
    telemetry::Telemetry,
    updates::Updates,
};
use crate::{
    config::{Hold, MAX_SNAPSHOT, Subscription},
    host::{Call, ContextId, End, Host, Refused},
    random::Identity,
    vm_registry::{self, Report},
};

/// How often held connections are looked at, in milliseconds.
const TICK_HELD_MS: u32 = 20;

/// The pause between two slices of work, in milliseconds.
const TICK_WORK_MS: u32 = 1;

/// The filter of a role, in one VM.
#[derive(Debug)]
pub(super) struct Filter<R: Role> {
    context: ContextId,
    pub(super) role: R,
    pub(super) queue: Queue<R::Task>,
    /// How many of those held this callback may still let go or close.
    allowance: usize,
    updates: Updates,
    identity: Identity,
    telemetry: Telemetry,
    tick_ms: u32,
    reported: Option<(UnixTime, usize)>,
}

impl<R: Role> Filter<R> {
    pub(super) fn new(
        role: R,
        context: ContextId,
        hold: Hold,
        subscription: Option<Subscription>,
        identity: Identity,
        host: &impl Host,
    ) -> Self {
        let telemetry = Telemetry::new(R::NAME, &role.names());
        let mut filter = Self {
            context,
            role,
            queue: Queue::new(hold),
            allowance: MOST_AT_ONCE,
            updates: Updates::new(subscription, host),
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
        let disposition = if self.updates.ready() {
            self.role.decide(connection, true, &mut self.telemetry, host)
        } else {
            return self.hold(connection, HoldReason::Snapshot, host);
        };
        match disposition {
            Disposition::Decided(verdict) => self.carry_out(connection, verdict, host),
            Disposition::Hold(task) => self.hold(connection, HoldReason::Task(task), host),
        }
    }

    fn carry_out(&mut self, connection: ContextId, verdict: Verdict, host: &impl Host) -> Action {
        match verdict {
            Verdict::Pass => Action::Continue,
            Verdict::Close => {
                self.close(connection, host);
                Action::Pause
            }
        }
    }

    /// Holds a new connection; where there is no room, it is decided on at once.
    fn hold(&mut self, connection: ContextId, reason: HoldReason<R::Task>, host: &impl Host) -> Action {
        if let Ok(now) = host.get_current_time() {
            let source = host.get_address(End::Source).ok().map(|source| source.address);
            if self.queue.hold(connection, reason, source, now) {
                self.set_tick(host);
                return Action::Pause;
            }
        }
        if let HoldReason::Task(task) = reason {
            self.rest(task);
        }
        let verdict = self.without(reason, host);
        self.carry_out(connection, verdict, host)
    }

    /// Decides on a connection that waited in vain, or found no room to wait.
    fn without(&mut self, reason: HoldReason<R::Task>, host: &impl Host) -> Verdict {
        match reason {
            HoldReason::Snapshot => {
                let passes = self.updates.released();
                self.role.without_snapshot(passes, &mut self.telemetry, host)
            }
            HoldReason::Task(task) => self.role.without_task(task, &mut self.telemetry, host),
            HoldReason::Closing => Verdict::Close,
        }
    }

    pub(super) fn on_downstream_data(&self, connection: ContextId) -> Action {
        if self.queue.holds(connection) {
            Action::Pause
        } else {
            Action::Continue
        }
    }

    pub(super) fn on_delete(&mut self, connection: ContextId, finished: bool, host: &impl Host) {
        // Whoever waited for work and left costs no more of it.
        if let Some(task) = self.queue.remove(connection).and_then(|held| held.task()) {
            self.rest(task);
        }
        self.role.on_delete(connection, finished, &mut self.telemetry, host);
    }

    pub(super) fn on_tick(&mut self, host: &impl Host) {
        let Ok(time) = host.get_current_time() else {
            return;
        };
        self.allowance = MOST_AT_ONCE;
        if !self.updates.ask(host, time) {
            self.missed(host, time, "the proxy cannot ask its cluster");
        }
        self.work(host, time);
        if self.updates.ready() {
            self.release(host, &|held| held.reason == HoldReason::Snapshot);
        }
        self.expire(host, time);
        self.report(host, time);
        self.set_tick(host);
    }

    pub(super) fn on_http_call_response(&mut self, call: Call, responded: bool, host: &impl Host) {
        let time = host.get_current_time().unwrap_or(0);
        self.allowance = MOST_AT_ONCE;
        if !self.updates.responded(call, time) {
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
                    Err(Refused) => self.missed(host, time, "the answer has no body"),
                }
            }
            Ok(response) if response.status == 304 && self.updates.known() => {
                self.updates.not_modified(&mut self.telemetry, host, time);
            }
            Ok(response) => {
                let status = response.status;
                self.missed(host, time, &format!("the answer has status {status}"));
            }
            Err(Refused) => self.missed(host, time, "there was no answer in time"),
        }
        self.set_tick(host);
    }

    fn missed(&mut self, host: &impl Host, time: u64, why: &str) {
        self.updates.missed(R::NAME, &mut self.telemetry, host, time, why);
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
        if self.updates.read(R::NAME, read, etag, &mut self.telemetry, host, time) {
            self.release(host, &|held| held.reason != HoldReason::Closing);
        }
    }

    /// Sets aside the task that none of those held waits for any more.
    fn rest(&mut self, task: R::Task) {
        if !self.queue.waits_for(task) {
            self.role.rest(task);
        }
    }

    /// Works for one slice, and lets go those whose task is done, as many as one callback may.
    fn work(&mut self, host: &impl Host, time: u64) {
        let failed = self.role.work(time, &mut self.telemetry, host);
        for held in self.queue.iter_mut() {
            if held.task().is_some_and(|task| failed.contains(&task)) {
                held.give_up();
            }
        }
        // What is solved, outlived its minute or is of an earlier snapshot runs no longer: solutions are taken, and work is
        // begun anew. Those whose time is up are given up after this.
        let mut open: Vec<R::Task> = Vec::new();
        for task in self.queue.iter().filter(|held| held.lasts(time)).filter_map(Held::task) {
            if !open.contains(&task) && !self.role.works_on(task) {
                open.push(task);
            }
        }
        if !open.is_empty() {
            self.release(host, &|held| {
                held.lasts(time) && held.task().is_some_and(|task| open.contains(&task))
            });
        }
    }

    /// Closes a connection; where the proxy does not, it stays where it is, and nothing of it reaches upstream.
    fn close(&mut self, connection: ContextId, host: &impl Host) {
        if host.close_stream().is_err() {
            self.queue.hold_closing(connection);
            self.set_tick(host);
        }
    }

    /// Decides on those held that wait for something which came.
    fn release(&mut self, host: &impl Host, came: &dyn Fn(&Held<R::Task>) -> bool) {
        self.settle(host, came, false);
    }

    /// Lets go those held whose time is up.
    fn expire(&mut self, host: &impl Host, time: u64) {
        let overdue = self.queue.overdue(time);
        self.settle(host, &overdue, true);
    }

    /// Decides on those held that are due: because they waited in vain, or because what they wait for came.
    fn settle(&mut self, host: &impl Host, due: &dyn Fn(&Held<R::Task>) -> bool, in_vain: bool) {
        if !self.queue.iter().any(due) {
            return;
        }
        let mut given_up: Vec<R::Task> = Vec::new();
        for held in self.queue.take() {
            // Of those that are gone the proxy tells; one that cannot be shown is held still, for without that its data
            // would pass.
            if self.allowance == 0 || !due(&held) || host.set_effective_context(held.connection).is_err() {
                self.queue.put(held);
                continue;
            }
            self.allowance = self.allowance.saturating_sub(1);
            let disposition = if in_vain {
                given_up.extend(held.task().filter(|task| !given_up.contains(task)));
                self.without(held.reason, host).into()
            } else {
                self.role.decide(held.connection, false, &mut self.telemetry, host)
            };
            match disposition {
                Disposition::Hold(task) => self.queue.put(held.on(task)),
                Disposition::Decided(verdict) => {
                    if verdict == Verdict::Close || host.continue_stream().is_err() {
                        self.close(held.connection, host);
                    }
                }
            }
        }
        let _ = host.set_effective_context(self.context);
        for task in given_up {
            self.rest(task);
        }
    }

    /// Shows what all VMs tell together, once a second or when more or fewer connections are held.
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
        if let Ok(summary) = vm_registry::report(host, R::NAME, own) {
            self.reported = Some((now, held));
            self.telemetry.metrics.show(host, &summary);
        }
    }

    fn set_tick(&mut self, host: &impl Host) {
        let reported = self.reported.is_none_or(|(_, held)| held == self.queue.len());
        let updates = self.updates.tick_ms();
        let tick_ms = match (self.role.busy(), self.queue.is_empty() && reported) {
            (true, _) => TICK_WORK_MS,
            (false, false) => TICK_HELD_MS,
            (false, true) => updates,
        };
        if tick_ms != self.tick_ms && host.set_tick_period(tick_ms).is_ok() {
            self.tick_ms = tick_ms;
        }
    }
}
