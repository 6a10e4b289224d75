//! The crate's one look at the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use ssa_rules::UnixTime;

/// Returns the time of this machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one look at the clock; callers may give another time"
)]
pub(crate) fn now() -> UnixTime {
    // A clock before 1970 reads as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs()))
}
