//! What the filter of a role is asked by what both roles share.

use core::fmt::Debug;

use super::telemetry::Telemetry;
use crate::{
    config::{ConfigError, Fault, Snapshot},
    host::{ContextId, Host},
    random::Identity,
    service::Service,
    table::Table,
};

/// What is to become of a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition<T> {
    Decided(Verdict),
    /// It is held until a task of the role's is done.
    Hold(T),
}

/// What is to become of a connection for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Close,
}

impl Verdict {
    pub(super) const fn of(passes: bool) -> Self {
        if passes { Self::Pass } else { Self::Close }
    }
}

impl<T> From<Verdict> for Disposition<T> {
    fn from(verdict: Verdict) -> Self {
        Self::Decided(verdict)
    }
}

/// A snapshot that was installed.
pub(super) struct Installed {
    pub(super) generation: String,
    pub(super) names: Vec<String>,
    pub(super) unusable: Vec<Fault>,
}

/// A role: what it decides, and what its connections may wait for besides a snapshot.
pub(super) trait Role {
    /// A service as the role knows it.
    type Service: AsRef<Service>;

    /// What a connection may wait for; a role without such a thing has a type without values.
    type Task: Copy + Debug + PartialEq;

    /// The role's name in metrics and logs.
    const NAME: &'static str;

    /// Returns the names of the services.
    fn names(&self) -> Vec<String>;

    /// Reads a snapshot.
    fn read(body: &[u8]) -> Result<Snapshot<Self::Service>, ConfigError>;

    /// Takes the services of a snapshot, the first one or another; `seed` is the snapshot's.
    fn install(&mut self, services: Table<Self::Service>, off: bool, seed: &[u8], first: bool, identity: &mut Identity);

    /// Decides on a connection; a new one may have a slice of work done for it at once.
    fn decide(
        &mut self,
        connection: ContextId,
        new: bool,
        telemetry: &mut Telemetry,
        host: &impl Host,
    ) -> Disposition<Self::Task>;

    /// Decides on a connection for which no snapshot came in time, and which passes or not as configured.
    fn without_snapshot(&mut self, passes: bool, telemetry: &mut Telemetry, host: &impl Host) -> Verdict;

    /// Decides on a connection for which a task was not done in time.
    fn without_task(&mut self, task: Self::Task, telemetry: &mut Telemetry, host: &impl Host) -> Verdict;

    /// Works on tasks for one slice of time, and returns those that cannot be done.
    fn work(&mut self, time: u64, telemetry: &mut Telemetry, host: &impl Host) -> Vec<Self::Task>;

    /// Says whether any task is being worked on.
    fn busy(&self) -> bool;

    /// Says whether this task is being worked on.
    fn works_on(&self, task: Self::Task) -> bool;

    /// Sets aside a task that no connection waits for.
    fn rest(&mut self, task: Self::Task);

    /// Notes that a connection is gone; `finished` says whether its client sent a FIN before.
    fn on_delete(&mut self, connection: ContextId, finished: bool, telemetry: &mut Telemetry, host: &impl Host);
}
