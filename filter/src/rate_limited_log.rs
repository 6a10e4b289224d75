//! Log lines that stay rare.

use ssa_rules::UnixTime;

use crate::host::Log;

/// The most lines a second that one plugin of a VM logs.
pub const LINES_PER_SECOND: u32 = 10;

/// Keeps log lines rare.
#[derive(Debug, Default)]
pub struct RateLimitedLog {
    second: u64,
    written: u32,
    held_back: u64,
}

impl RateLimitedLog {
    /// Writes a line, unless this second has had enough of them.
    pub fn write(&mut self, host: &impl Log, now: UnixTime, line: impl FnOnce() -> String) {
        // Without a clock no second is known to be another.
        if self.second != now.0 && now.0 != 0 {
            self.second = now.0;
            self.written = 0;
            let held_back = core::mem::take(&mut self.held_back);
            if held_back > 0 {
                host.warn(&format!("{held_back} similar messages suppressed"));
            }
        }
        self.written = self.written.saturating_add(1);
        if self.written > LINES_PER_SECOND {
            self.held_back = self.held_back.saturating_add(1);
        } else {
            host.warn(&line());
        }
    }
}
