//! The services: from the configuration, or from snapshots that are asked for, of whichever role.

use ssa_rules::UnixTime;
use ssa_snapshot::{Role, plugin::Subscription};

use super::{role::Installed, telemetry::Telemetry};
use crate::{
    config::ConfigError,
    host::{Call, Clock, HttpCalls, Log, Metrics},
    metrics::Refresh,
    subject::seconds,
    subscription::Feed,
};

/// Every so many failures in a row are worth a line.
const FAILURES_A_LINE: u32 = 64;

/// What a plugin knows of its snapshots.
#[derive(Debug)]
pub(super) struct Updates {
    feed: Option<Feed>,
    /// When the snapshot was last known to be the newest; without one, since when it is waited for.
    confirmed: UnixTime,
    /// Requests in a row that brought nothing.
    failures: u32,
}

impl Updates {
    pub(super) fn new(role: Role, subscription: Option<Subscription>, host: &impl Clock) -> Self {
        Self {
            feed: subscription.map(|subscription| Feed::new(role, subscription)),
            confirmed: host.get_current_time().map_or(UnixTime(0), seconds),
            failures: 0,
        }
    }

    pub(super) const fn subscribed(&self) -> bool {
        self.feed.is_some()
    }

    /// Says whether the services are known.
    pub(super) fn ready(&self) -> bool {
        self.feed.as_ref().is_none_or(Feed::ready)
    }

    /// Says whether connections pass for which no snapshot came in time.
    pub(super) fn failure_mode_allow(&self) -> bool {
        self.feed.as_ref().is_some_and(Feed::failure_mode_allow)
    }

    /// Returns when the services were last known to be the newest: now, where they are configured.
    pub(super) const fn confirmed(&self, now: UnixTime) -> UnixTime {
        if self.subscribed() { self.confirmed } else { now }
    }

    pub(super) fn tick_ms(&self) -> u32 {
        self.feed.as_ref().map_or(0, Feed::tick_ms)
    }

    /// Asks for the next snapshot, if it is time to; says whether the proxy could do so.
    pub(super) fn ask(&mut self, host: &impl HttpCalls, time: u64) -> bool {
        !self.feed.as_mut().is_some_and(|feed| feed.ask(host, time))
    }

    /// Says whether a response is to the request on its way, which it then no longer is.
    pub(super) fn responded(&mut self, call: Call, time: u64) -> bool {
        self.feed.as_mut().is_some_and(|feed| feed.answered(call, time))
    }

    /// Says whether a snapshot was seen, also if it was refused.
    pub(super) fn known(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.ready() || feed.refused())
    }

    /// Notes that the newest snapshot is still the one that was seen last.
    pub(super) fn not_modified(&mut self, telemetry: &mut Telemetry, host: &impl Metrics, time: u64) {
        if self.feed.as_ref().is_some_and(Feed::refused) {
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

    /// Notes that a request brought nothing.
    pub(super) fn missed(
        &mut self,
        role: &str,
        telemetry: &mut Telemetry,
        host: &(impl Metrics + Log),
        time: u64,
        why: &str,
    ) {
        telemetry.metrics.count_refresh(host, Refresh::Failed);
        self.tell(telemetry, host, time, || format!("no {role} snapshot: {why}"));
    }

    /// Tells why there is no newer snapshot, the first time and now and then.
    fn tell(&mut self, telemetry: &mut Telemetry, host: &impl Log, time: u64, line: impl FnOnce() -> String) {
        if self.failures.checked_rem(FAILURES_A_LINE) == Some(0) {
            telemetry.log(host, seconds(time), line);
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Notes what became of a snapshot; says whether another one is in force now.
    pub(super) fn read(
        &mut self,
        role: &str,
        read: Result<Option<Installed>, ConfigError>,
        etag: Option<String>,
        telemetry: &mut Telemetry,
        host: &(impl Metrics + Log),
        time: u64,
    ) -> bool {
        let Some(feed) = &mut self.feed else {
            return false;
        };
        let installed = match read {
            Ok(installed) => installed,
            Err(error) => {
                feed.refuse(etag);
                telemetry.metrics.count_refresh(host, Refresh::Refused);
                self.tell(telemetry, host, time, || format!("{role} snapshot refused: {error}"));
                return false;
            }
        };
        feed.installed(etag, time);
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
