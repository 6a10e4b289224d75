//! Snapshots: whether the services are known, and how up to date they are.

use ssa_rules::UnixTime;
use ssa_snapshot::{Role, plugin::Subscription};

use super::{role::Installed, telemetry::Telemetry};
use crate::{
    config::ConfigError,
    host::{Call, Clock, HttpCalls, Log, Metrics},
    metrics::Refresh,
    subject::seconds,
    subscription::Poller,
};

/// One of so many failures in a row is logged.
const FAILURES_PER_LINE: u32 = 64;

/// The state of a plugin's snapshots; of services in the configuration there are none.
#[derive(Debug)]
pub(super) struct Updates {
    poller: Option<Poller>,
    /// When the snapshot was last known to be the newest; without one, since when the plugin has waited.
    confirmed: UnixTime,
    /// Failed requests in a row.
    failures: u32,
}

impl Updates {
    pub(super) fn new(role: Role, subscription: Option<Subscription>, host: &impl Clock) -> Self {
        Self {
            poller: subscription.map(|subscription| Poller::new(role, subscription)),
            confirmed: host.get_current_time().map_or(UnixTime(0), seconds),
            failures: 0,
        }
    }

    pub(super) const fn subscribed(&self) -> bool {
        self.poller.is_some()
    }

    /// Returns whether the services are known.
    pub(super) fn ready(&self) -> bool {
        self.poller.as_ref().is_none_or(Poller::ready)
    }

    /// Returns whether connections pass if no snapshot arrives in time.
    pub(super) fn failure_mode_allow(&self) -> bool {
        self.poller.as_ref().is_some_and(Poller::failure_mode_allow)
    }

    /// Returns when the services were last known to be the newest: now, where they are configured.
    pub(super) const fn confirmed(&self, now: UnixTime) -> UnixTime {
        if self.subscribed() { self.confirmed } else { now }
    }

    pub(super) fn tick_ms(&self) -> u32 {
        self.poller.as_ref().map_or(0, Poller::tick_ms)
    }

    /// Requests the next snapshot, if it is time to; returns whether the proxy failed to do so.
    pub(super) fn poll(&mut self, host: &impl HttpCalls, time: u64) -> bool {
        self.poller.as_mut().is_some_and(|poller| poller.poll(host, time))
    }

    /// Returns whether a response is to the pending request, which is then done.
    pub(super) fn complete(&mut self, call: Call, time: u64) -> bool {
        self.poller.as_mut().is_some_and(|poller| poller.complete(call, time))
    }

    /// Returns whether any snapshot was received, even if it was rejected.
    pub(super) fn any_received(&self) -> bool {
        self.poller
            .as_ref()
            .is_some_and(|poller| poller.ready() || poller.rejected())
    }

    /// Records that the newest snapshot is still the last one received.
    pub(super) fn not_modified(&mut self, telemetry: &mut Telemetry, host: &impl Metrics, time: u64) {
        if self.poller.as_ref().is_some_and(Poller::rejected) {
            telemetry.metrics.count_refresh(host, Refresh::Refused);
        } else {
            self.unchanged(telemetry, host, time);
        }
    }

    fn unchanged(&mut self, telemetry: &mut Telemetry, host: &impl Metrics, time: u64) {
        self.failures = 0;
        self.confirmed = seconds(time);
        telemetry.metrics.count_refresh(host, Refresh::Unchanged);
    }

    /// Records that a request failed.
    pub(super) fn failed(
        &mut self,
        role: &str,
        telemetry: &mut Telemetry,
        host: &(impl Metrics + Log),
        time: u64,
        why: &str,
    ) {
        telemetry.metrics.count_refresh(host, Refresh::Failed);
        self.log_failure(telemetry, host, time, || format!("no {role} snapshot: {why}"));
    }

    /// Logs why there is no newer snapshot, the first time and now and then.
    fn log_failure(&mut self, telemetry: &mut Telemetry, host: &impl Log, time: u64, line: impl FnOnce() -> String) {
        if self.failures.checked_rem(FAILURES_PER_LINE) == Some(0) {
            telemetry.log(host, seconds(time), line);
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Records whether a snapshot was installed, nothing if it is the current one; says whether a new one is in force.
    pub(super) fn received(
        &mut self,
        role: &str,
        read: Result<Option<Installed>, ConfigError>,
        etag: Option<String>,
        telemetry: &mut Telemetry,
        host: &(impl Metrics + Log),
        time: u64,
    ) -> bool {
        let Some(poller) = &mut self.poller else {
            return false;
        };
        let installed = match read {
            Ok(installed) => installed,
            Err(error) => {
                poller.reject(etag);
                telemetry.metrics.count_refresh(host, Refresh::Refused);
                self.log_failure(telemetry, host, time, || format!("{role} snapshot refused: {error}"));
                return false;
            }
        };
        poller.installed(etag, time);
        let Some(installed) = installed else {
            self.unchanged(telemetry, host, time);
            return false;
        };
        self.failures = 0;
        self.confirmed = seconds(time);
        telemetry.metrics.rename(&installed.names);
        telemetry.metrics.count_refresh(host, Refresh::Installed);
        telemetry.generation = installed.generation;
        for fault in installed.unusable {
            telemetry.log(host, seconds(time), || format!("snapshot: unusable: {fault}"));
        }
        true
    }
}
