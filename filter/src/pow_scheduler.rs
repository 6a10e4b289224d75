//! Proofs of work: searched for in slices of time, and cached for the minute in which they are valid.

use ssa_rules::{ComposeError, UnixTime};

use crate::outbound::{Outbound, Target, Work};

/// The longest slice of work, during which other connections wait, in nanoseconds.
pub const SLICE: u64 = 1_000_000;

/// Addresses tried between two readings of the clock: some ten microseconds.
const TRIES: u32 = 128;

/// The most searches in progress at once.
pub const MAX_RUNNING: usize = 64;

/// The most solutions cached; the oldest is dropped.
pub const MAX_SOLVED: usize = 256;

/// The most steps of a slice, whatever the clock says: some milliseconds.
const MAX_STEPS: u32 = 256;

/// A slice of work.
struct Slice {
    /// When it began; none without a clock.
    began: Option<u64>,
    /// The steps so far.
    steps: u32,
}

impl Slice {
    fn begin(clock: &mut impl FnMut() -> Option<u64>) -> Self {
        Self {
            began: clock(),
            steps: 0,
        }
    }

    /// Returns whether there is time for another step.
    fn lasts(&mut self, clock: &mut impl FnMut() -> Option<u64>) -> bool {
        // It ends even if the clock stands still.
        self.steps = self.steps.saturating_add(1);
        if self.steps > MAX_STEPS {
            return false;
        }
        let spent = clock().zip(self.began).map(|(now, began)| now.abs_diff(began));
        // The last step takes time too.
        spent.is_some_and(|spent| spent < SLICE.div_euclid(8).saturating_mul(7))
    }
}

/// What a search is for: a service and a port.
pub type Task = (usize, u16);

/// The searches of one worker.
#[derive(Clone, Debug, Default)]
pub struct PowScheduler {
    running: Vec<Work>,
    /// Searches that no connection waits for; they continue when one does.
    suspended: Vec<Work>,
    solutions: Vec<(UnixTime, Target)>,
}

fn task(work: &Work) -> Task {
    (work.service, work.port)
}

const fn minute(time: UnixTime) -> u64 {
    time.0.div_euclid(60)
}

impl PowScheduler {
    /// Returns the address that was found for a task in this minute.
    #[must_use]
    pub fn solution(&self, (service, port): Task, now: UnixTime) -> Option<Target> {
        let mut solutions = self.solutions.iter();
        let valid = |(began, target): &&(UnixTime, Target)| {
            target.place.service == service && target.port == port && minute(*began) == minute(now)
        };
        solutions.find(valid).map(|(_, target)| *target)
    }

    /// Forgets the solutions that lead to an address which failed.
    pub fn discard(&mut self, failed: &crate::outliers::ServiceCandidate) {
        self.solutions.retain(|(_, target)| target.place != *failed);
    }

    /// Returns whether a search is in progress.
    #[must_use]
    pub fn is_running(&self, wanted: Task) -> bool {
        self.running.iter().any(|work| task(work) == wanted)
    }

    /// Adds a search, if there are not too many.
    #[must_use]
    pub fn add(&mut self, work: Work) -> bool {
        let room = self.running.len() < MAX_RUNNING;
        if room {
            self.running.push(work);
        }
        room
    }

    /// Suspends a search.
    pub fn suspend(&mut self, wanted: Task) {
        let Some(work) = self.running.iter().find(|work| task(work) == wanted).copied() else {
            return;
        };
        self.running.retain(|work| task(work) != wanted);
        if self.suspended.len() >= MAX_RUNNING {
            let mut first = true;
            self.suspended.retain(|_| !core::mem::take(&mut first));
        }
        self.suspended.push(work);
    }

    /// Resumes a search that was suspended in this minute, if there is room; says whether it is in progress.
    pub fn resume(&mut self, wanted: Task, now: UnixTime) -> bool {
        if self.is_running(wanted) {
            return true;
        }
        let found = self.suspended.iter().find(|work| task(work) == wanted).copied();
        self.suspended.retain(|work| task(work) != wanted);
        found.is_some_and(|work| minute(work.began) == minute(now) && self.add(work))
    }

    /// Returns whether any search is in progress.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Forgets everything: the services have changed.
    pub fn clear(&mut self) {
        self.running.clear();
        self.suspended.clear();
        self.solutions.clear();
    }

    /// Searches for one slice of time, before the search is added; nothing if that does not suffice.
    ///
    /// # Errors
    ///
    /// Why there is no address.
    pub fn begin(
        &mut self,
        outbound: &Outbound,
        work: &mut Work,
        mut clock: impl FnMut() -> Option<u64>,
    ) -> Result<Option<Target>, ComposeError> {
        let mut slice = Slice::begin(&mut clock);
        while slice.lasts(&mut clock) {
            if let Some(target) = outbound.advance(work, TRIES)? {
                self.cache(work.began, target);
                return Ok(Some(target));
            }
        }
        Ok(None)
    }

    /// Searches for at most [`SLICE`] by `clock`, which returns nanoseconds; caches solutions, and returns the tasks that
    /// cannot be done.
    pub fn run(&mut self, outbound: &Outbound, mut clock: impl FnMut() -> Option<u64>) -> Vec<(Task, ComposeError)> {
        let mut failed = Vec::new();
        if !self.is_busy() {
            return failed;
        }
        let mut slice = Slice::begin(&mut clock);
        let mut turn = 0_usize;
        while slice.lasts(&mut clock) {
            let Some(work) = self.running.get_mut(turn) else {
                break;
            };
            let end = outbound.advance(work, TRIES);
            let Some(end) = end.transpose() else {
                turn = turn.saturating_add(1);
                if turn >= self.running.len() {
                    turn = 0;
                }
                continue;
            };
            let done = *work;
            self.running.retain(|work| task(work) != task(&done));
            match end {
                Ok(target) => self.cache(done.began, target),
                Err(error) => failed.push((task(&done), error)),
            }
            if turn >= self.running.len() {
                turn = 0;
            }
        }
        // The next slice begins with another search.
        if let Some(first) = self.running.first().copied() {
            let mut skipped = false;
            self.running.retain(|_| core::mem::replace(&mut skipped, true));
            self.running.push(first);
        }
        failed
    }

    /// Ends searches whose minute is over.
    pub fn expire(&mut self, now: UnixTime) {
        let valid = |work: &Work| minute(work.began) == minute(now);
        self.running.retain(valid);
        self.suspended.retain(valid);
    }

    fn cache(&mut self, began: UnixTime, target: Target) {
        self.solutions.retain(|(at, old)| {
            minute(*at) == minute(began) && (old.place.service, old.port) != (target.place.service, target.port)
        });
        if self.solutions.len() >= MAX_SOLVED {
            let mut first = true;
            self.solutions.retain(|_| !core::mem::take(&mut first));
        }
        self.solutions.push((began, target));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::outliers::tests::place;

    fn target(service: usize, port: u16) -> Target {
        Target {
            place: place(service, 1),
            port,
            source: Ipv6Addr::UNSPECIFIED,
        }
    }

    #[test]
    fn the_257th_solution_takes_the_place_of_the_oldest() {
        let now = UnixTime(600);
        let mut scheduler = PowScheduler::default();
        for port in 1..=256 {
            scheduler.cache(now, target(0, port));
        }
        assert_eq!(scheduler.solutions.len(), MAX_SOLVED);
        assert_eq!(scheduler.solution((0, 1), now), Some(target(0, 1)));
        scheduler.cache(now, target(1, 1));
        assert_eq!(scheduler.solutions.len(), MAX_SOLVED);
        assert_eq!(scheduler.solution((0, 1), now), None);
        for port in 2..=256 {
            assert_eq!(scheduler.solution((0, port), now), Some(target(0, port)));
        }
        assert_eq!(scheduler.solution((1, 1), now), Some(target(1, 1)));
    }

    #[test]
    fn a_newer_solution_of_a_task_takes_the_place_of_its_own() {
        let now = UnixTime(600);
        let mut scheduler = PowScheduler::default();
        for port in 1..=256 {
            scheduler.cache(now, target(0, port));
        }
        scheduler.cache(now, target(0, 256));
        assert_eq!(scheduler.solution((0, 1), now), Some(target(0, 1)));
        // The next minute's is the only one that is good then.
        let next = UnixTime(660);
        scheduler.cache(next, target(0, 7));
        assert_eq!(scheduler.solutions, [(next, target(0, 7))]);
    }
}
