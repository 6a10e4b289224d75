//! What a plugin reports: metrics and log lines.

use core::fmt::Display;

use ssa_rules::UnixTime;

use crate::{host::Log, metrics::Metrics, rate_limited_log::RateLimitedLog};

/// What a plugin reports with.
#[derive(Debug)]
pub(super) struct Telemetry {
    pub(super) metrics: Metrics,
    lines: RateLimitedLog,
    /// The snapshot's.
    pub(super) generation: String,
}

impl Telemetry {
    pub(super) fn new(role: &'static str, names: &[String]) -> Self {
        Self {
            metrics: Metrics::new(role, names),
            lines: RateLimitedLog::default(),
            generation: "-".to_owned(),
        }
    }

    /// Logs a line, unless there have been enough of them.
    pub(super) fn log(&mut self, host: &impl Log, now: UnixTime, line: impl FnOnce() -> String) {
        self.lines.write(host, now, line);
    }

    /// Logs why no address of a service was composed.
    pub(super) fn log_failure(&mut self, service: usize, why: &impl Display, host: &impl Log, now: UnixTime) {
        let service = self.metrics.name(Some(service)).to_owned();
        self.log(host, now, || format!("no address of service {service}: {why}"));
    }
}
