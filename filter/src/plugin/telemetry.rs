//! What is told of connections: metrics, log lines, fields of access logs.

use ssa_rules::UnixTime;

use super::seconds;
use crate::{
    access_log::AccessLogFields,
    host::{Clock, Log},
    metrics::Metrics,
    rate_limited_log::RateLimitedLog,
};

/// What a plugin tells with.
#[derive(Debug)]
pub(super) struct Telemetry {
    pub(super) metrics: Metrics,
    pub(super) note: AccessLogFields,
    lines: RateLimitedLog,
    /// The snapshot's.
    pub(super) generation: String,
}

impl Telemetry {
    pub(super) fn new(role: &'static str, names: &[String]) -> Self {
        Self {
            metrics: Metrics::new(role, names),
            note: AccessLogFields::default(),
            lines: RateLimitedLog::default(),
            generation: "-".to_owned(),
        }
    }

    /// Logs a line, unless there have been enough of them.
    pub(super) fn log(&mut self, host: &impl Log, now: UnixTime, line: impl FnOnce() -> String) {
        self.lines.write(host, now, line);
    }
}

/// Returns the time, 1970 without a clock.
pub(super) fn now(host: &impl Clock) -> UnixTime {
    host.get_current_time().map_or(UnixTime(0), seconds)
}
