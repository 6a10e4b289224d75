//! Time that does not jump: neither when somebody sets the system's clock, nor while the machine sleeps.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use ssa_rules::UnixTime;
use tokio::time::Instant;

use crate::reading;

/// Seconds since 1970, by a clock that does not jump while the daemon runs.
pub type Seconds = u64;

/// Later than this nobody waits.
const YEAR: Duration = Duration::from_hours(366 * 24);

/// Where the kernel tells the name of this boot.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Returns the time since the machine's start, while it slept too.
fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Returns the system's time.
#[allow(clippy::disallowed_methods, reason = "the daemon's one look at the clock")]
pub(crate) fn system() -> Duration {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.unwrap_or_default()
}

/// The time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// As rules have it.
    pub time: UnixTime,
    /// As the daemon has it, by which records expire.
    pub daemon: Seconds,
}

/// A clock of seconds since 1970 that does not jump while the daemon runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    began_since_boot: Duration,
    at: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            began_since_boot: since_boot(),
            at: system(),
        }
    }

    /// Returns how long it runs, and how much of that the machine slept.
    fn elapsed(&self) -> (Duration, Duration) {
        let awake = self.began.elapsed();
        let all = since_boot().saturating_sub(self.began_since_boot).max(awake);
        (all, all.saturating_sub(awake))
    }

    /// Returns how long the machine slept since the daemon's start.
    pub(crate) fn slept(&self) -> Duration {
        self.elapsed().1
    }

    /// Returns the time by both clocks: rules go by the system's, as those who verify do.
    pub(crate) fn both(&self) -> Now {
        Now {
            time: UnixTime(system().as_secs()),
            daemon: self.now(),
        }
    }

    pub(crate) fn now(&self) -> Seconds {
        self.at.saturating_add(self.elapsed().0).as_secs()
    }

    /// Returns when this second begins, if the machine does not sleep.
    pub(crate) fn instant(&self, second: Seconds) -> Instant {
        let since = self.at.saturating_add(self.elapsed().0);
        Instant::now() + Duration::from_secs(second).saturating_sub(since).min(YEAR)
    }

    /// Returns this moment by all clocks.
    pub(crate) fn moment(&self) -> Moment {
        let boot = reading::read(BOOT.as_ref(), 64).unwrap_or_default();
        Moment {
            now: self.now(),
            system: system().as_secs(),
            boot: String::from_utf8_lossy(&boot).trim().to_owned(),
            since_boot: since_boot().as_secs(),
        }
    }
}

/// A moment by all clocks: those of another one say how long ago it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// By the daemon's clock.
    pub now: Seconds,
    /// By the system's, which may have been set.
    pub system: Seconds,
    /// The name of the machine's start; empty where the kernel does not tell it.
    pub boot: String,
    /// Seconds since that.
    pub since_boot: Seconds,
}

impl Moment {
    /// Returns how many seconds passed from an earlier moment to this one.
    ///
    /// Of the same start of the machine its own clock tells it, whatever somebody set meanwhile. Of another start it is
    /// what the system's clock says, for there is no other, but not less than what passed since this start.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Seconds {
        if !self.boot.is_empty() && self.boot == earlier.boot {
            self.since_boot.saturating_sub(earlier.since_boot)
        } else {
            self.system.saturating_sub(earlier.system).max(self.since_boot)
        }
    }

    /// Returns what a time that was noted at an earlier moment is by the daemon's clock of now.
    #[must_use]
    pub fn of(&self, time: Seconds, earlier: &Self) -> Seconds {
        let moved = i128::from(time) - i128::from(earlier.now) - i128::from(self.since(earlier)) + i128::from(self.now);
        u64::try_from(moved.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(now: u64, system: u64, boot: &str, since_boot: u64) -> Moment {
        Moment {
            now,
            system,
            boot: boot.into(),
            since_boot,
        }
    }

    #[test]
    fn the_machine_s_own_clock_counts_however_the_system_s_is_set() {
        let earlier = moment(1000, 1000, "a", 500);
        for system in [0, 1000, 1 << 40] {
            let later = moment(system, system, "a", 530);
            assert_eq!(later.since(&earlier), 30);
            // What was ten seconds ago then is forty ago now; what was to be in ten seconds is twenty ago.
            assert_eq!(later.of(990, &earlier), system.saturating_sub(40));
            assert_eq!(later.of(1010, &earlier), system.saturating_sub(20));
        }
    }

    #[test]
    fn after_another_start_the_system_s_clock_counts_but_no_less_than_the_machine_runs() {
        let earlier = moment(1000, 1000, "a", 500);
        assert_eq!(moment(1300, 1300, "b", 20).since(&earlier), 300);
        // Somebody set it back.
        assert_eq!(moment(700, 700, "b", 20).since(&earlier), 20);
        assert_eq!(moment(1010, 1010, "b", 20).since(&earlier), 20);
        // Nothing is known of the start.
        assert_eq!(moment(1300, 1300, "", 20).since(&moment(1000, 1000, "", 500)), 300);
    }

    #[test]
    fn times_never_wrap() {
        let far = moment(u64::MAX, u64::MAX, "a", u64::MAX);
        let near = moment(0, 0, "b", 0);
        assert_eq!(near.of(u64::MAX, &far), 0);
        assert_eq!(far.of(u64::MAX, &near), u64::MAX);
        assert_eq!(near.of(5, &far), 0);
    }

    #[test]
    fn the_clock_goes_on() {
        let clock = Clock::new();
        let moment = clock.moment();
        assert!(moment.now.abs_diff(system().as_secs()) <= 1);
        assert!(!moment.boot.is_empty() && moment.since_boot > 0);
        assert!(clock.instant(moment.now + 5) > Instant::now());
    }
}
