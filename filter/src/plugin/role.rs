//! What a role decides, and what its connections may wait for.

use ssa_rules::{ComposeError, UnixTime};
use ssa_snapshot::Role;

use super::telemetry::Telemetry;
use crate::{
    config::{ConfigError, Fault, Snapshot},
    endpoint::Endpoint,
    host::{ContextId, Downstream, Host, Log, Metrics, Properties, Refused},
    outbound::Work,
    pow_scheduler::Task,
    random::Identity,
    service::Service,
    subject::Subject,
    table::Table,
};

/// What a role decides on a connection for now.
#[derive(Debug)]
pub(super) enum Disposition<D> {
    Decided(D),
    /// It is held until this task is done.
    Hold(Task),
    /// A task has to begin first, to be held for; otherwise this is the decision.
    Begin(Box<Work>, D),
}

/// What the proxy is to do with a connection that is decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive<'a> {
    /// It goes on as it is.
    Pass,
    /// It goes on to this address.
    Redirect(Endpoint),
    /// It goes on by this cluster.
    Cluster(&'a str),
    /// It does not go on.
    Reject,
}

impl Directive<'_> {
    /// Has the proxy prepare what the connection goes on with.
    pub(super) fn prepare(&self, downstream: &impl Downstream) -> Result<(), Refused> {
        match self {
            Self::Pass | Self::Reject => Ok(()),
            Self::Redirect(to) => downstream.set_destination(to),
            Self::Cluster(name) => downstream.set_cluster(name),
        }
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Pass,
    Reject,
}

/// A snapshot that was installed.
pub(super) struct Installed {
    pub(super) generation: String,
    pub(super) names: Vec<String>,
    pub(super) unusable: Vec<Fault>,
}

/// A role: what it decides on connections. A decision makes no host call: all that it depends on is in the [`Subject`].
pub(super) trait RoleLogic {
    /// A service as the role knows it.
    type Service: AsRef<Service>;

    /// A decision on a connection.
    type Decision;

    /// The role's name in metrics and logs.
    const NAME: Role;

    /// Whether decisions depend on the source.
    const NEEDS_SOURCE: bool;

    /// Returns the names of the services.
    fn names(&self) -> Vec<String>;

    /// Reads a snapshot.
    fn read(body: &[u8]) -> Result<Snapshot<Self::Service>, ConfigError>;

    /// Installs the services and the seed of a snapshot, the first one or a later one.
    fn install(&mut self, services: Table<Self::Service>, off: bool, seed: &[u8], first: bool, identity: &mut Identity);

    /// Decides on a connection.
    fn decide(&mut self, subject: &Subject) -> Disposition<Self::Decision>;

    /// Decides on a connection for which no snapshot arrived in time; `failure_mode_allow` says whether these pass.
    fn decide_without_snapshot(&self, failure_mode_allow: bool) -> Self::Decision;

    /// Returns what the proxy is to do.
    fn directive(&self, decision: &Self::Decision) -> Directive<'_>;

    /// Counts and logs a decision, and returns whether the connection goes on. `prepared` says whether the proxy did what
    /// that takes.
    fn conclude(
        &mut self,
        connection: ContextId,
        decision: Self::Decision,
        prepared: Result<(), Refused>,
        subject: &Subject,
        telemetry: &mut Telemetry,
        host: &(impl Properties + Metrics + Log),
    ) -> Admission;

    /// Decides on a request, which is the effective context, carries that out, and returns whether it goes on.
    fn on_request(&mut self, request: ContextId, telemetry: &mut Telemetry, host: &impl Host) -> Admission;

    /// Decides on a request for which no snapshot arrived in time.
    fn on_request_without_snapshot(
        &mut self,
        failure_mode_allow: bool,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Admission;

    /// Learns from the end of a request.
    fn on_request_delete(&mut self, _request: ContextId) {}

    /// Learns from the end of a connection; `half_closed` says whether its client had sent its FIN.
    fn on_delete(&mut self, _connection: ContextId, _half_closed: bool, _telemetry: &mut Telemetry, _host: &impl Host) {
    }

    /// Returns the tasks that connections of the role may wait for, if there are such.
    fn tasks(&mut self) -> Option<&mut dyn Tasks<Decision = Self::Decision>> {
        None
    }
}

/// Returns the time in nanoseconds, if the proxy has one.
pub(super) type ReadClock<'a> = &'a mut dyn FnMut() -> Option<u64>;

/// What connections wait for besides a snapshot: searches for proofs of work.
pub(super) trait Tasks {
    /// A decision on a connection.
    type Decision;

    /// Begins a task, and if there is a clock, works on it at once for one slice of time. Returns the decision if that
    /// suffices, otherwise the task, which is then in progress; nothing if there are too many.
    fn begin(&mut self, work: Work, clock: Option<ReadClock<'_>>) -> Option<Result<Self::Decision, Task>>;

    /// Works on tasks for one slice of time, and returns those that cannot be done.
    fn run(&mut self, now: UnixTime, clock: ReadClock<'_>) -> Vec<(Task, ComposeError)>;

    /// Returns whether any task is in progress.
    fn is_busy(&self) -> bool;

    /// Returns whether this task is in progress.
    fn is_running(&self, task: Task) -> bool;

    /// Suspends a task that no connection waits for.
    fn suspend(&mut self, task: Task);

    /// Decides on a connection that waited for a task in vain.
    fn give_up(&self, task: Task) -> Self::Decision;
}
