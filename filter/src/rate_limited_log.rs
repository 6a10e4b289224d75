//! Log lines with a limit on their rate.

use ssa_rules::UnixTime;

use crate::host::Log;

/// The most lines a second that one plugin of a VM logs.
pub const LINES_PER_SECOND: u32 = 10;

/// Limits the rate of log lines.
#[derive(Debug, Default)]
pub struct RateLimitedLog {
    second: u64,
    written: u32,
    suppressed: u64,
}

impl RateLimitedLog {
    /// Writes a line, unless this second has had enough of them.
    pub fn write(&mut self, host: &impl Log, now: UnixTime, line: impl FnOnce() -> String) {
        // Without a clock, all lines count as of one second.
        if self.second != now.0 && now.0 != 0 {
            self.second = now.0;
            self.written = 0;
            let suppressed = core::mem::take(&mut self.suppressed);
            if suppressed > 0 {
                host.warn(&format!("{suppressed} similar messages suppressed"));
            }
        }
        self.written = self.written.saturating_add(1);
        if self.written > LINES_PER_SECOND {
            self.suppressed = self.suppressed.saturating_add(1);
        } else {
            host.warn(&line());
        }
    }
}
