//! One lease between an endpoint and the leader, in every order of what can happen and with clocks that are off.
//!
//! Time goes in ticks. Each clock counts so many eighths of a tick for each that passes; requests and answers may take any
//! time, and may never arrive.

use std::collections::HashSet;
use std::time::Duration;

use ssa_slices::handover::lease::{believed, free_after};

/// How long the lease lasts, in eighths of a tick.
const DURATION: Duration = Duration::from_millis(64);
/// How long is tried, in ticks: two renewals and what may follow from the last.
const TICKS: u16 = 22;
/// How often the endpoint asks, at most.
const ASKS: u8 = 2;

/// How a clock goes, in eighths of the true speed.
#[derive(Clone, Copy)]
struct Clocks {
    endpoint: u16,
    leader: u16,
}

/// What is so at a moment. Versions number the renewals that the store has kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    tick: u16,
    asked: u8,
    /// A renewal that is on its way to the store, by when it was asked for; and the answer on its way back.
    request: Option<u16>,
    answer: Option<u16>,
    version: u8,
    /// The version that the leader has seen, and when.
    seen: Option<(u8, u16)>,
    taken: bool,
    /// Until when the kernel accepts, in eighths by its own clock.
    until: u16,
}

fn eighths(duration: Duration) -> u16 {
    u16::try_from(duration.as_millis()).unwrap()
}

impl State {
    fn accepts(&self, clocks: Clocks) -> bool {
        self.tick * clocks.endpoint < self.until
    }

    /// What may come next: time passes, or one thing happens at once.
    fn next(self, clocks: Clocks) -> Vec<Self> {
        let mut all = Vec::new();
        let (mine, leaders) = (self.tick * clocks.endpoint, self.tick * clocks.leader);
        if self.tick < TICKS {
            all.push(Self {
                tick: self.tick + 1,
                ..self
            });
        }
        if self.asked < ASKS && self.request.is_none() && self.answer.is_none() {
            all.push(Self {
                asked: self.asked + 1,
                request: Some(mine),
                ..self
            });
        }
        if let Some(asked) = self.request {
            // Compare and swap: after the leader has taken it, it is refused.
            let kept = (!self.taken).then_some(asked);
            all.push(Self {
                request: None,
                answer: kept,
                version: self.version + u8::from(kept.is_some()),
                ..self
            });
        }
        if let Some(asked) = self.answer {
            all.push(Self {
                answer: None,
                until: self.until.max(asked + eighths(believed(DURATION))),
                ..self
            });
            all.push(Self { answer: None, ..self });
        }
        if self.seen.is_none_or(|(version, _)| version != self.version) {
            all.push(Self {
                seen: Some((self.version, leaders)),
                ..self
            });
        }
        if let Some((version, since)) = self.seen
            && !self.taken
            && version == self.version
            && leaders >= since + eighths(free_after(DURATION))
        {
            all.push(Self { taken: true, ..self });
        }
        all
    }
}

/// Tries everything; says whether the leader ever has the lease while the kernel accepts, and whether it ever has it.
fn explore(clocks: Clocks) -> (bool, bool) {
    let first = State {
        tick: 0,
        asked: 0,
        request: None,
        answer: None,
        version: 0,
        seen: None,
        taken: false,
        until: 0,
    };
    let (mut known, mut open) = (HashSet::from([first]), vec![first]);
    let (mut both, mut taken) = (false, false);
    while let Some(state) = open.pop() {
        taken |= state.taken;
        both |= state.taken && state.accepts(clocks);
        for next in state.next(clocks) {
            if known.insert(next) {
                open.push(next);
            }
        }
    }
    (both, taken)
}

#[test]
fn nobody_takes_a_lease_by_which_a_kernel_accepts_while_clocks_are_within_the_bound() {
    for endpoint in 7..=9 {
        for leader in 7..=9 {
            let found = explore(Clocks { endpoint, leader });
            assert_eq!(found, (false, true), "{endpoint} and {leader} eighths");
        }
    }
}

#[test]
fn clocks_beyond_the_bound_are_noticed() {
    let slow_and_fast = Clocks {
        endpoint: 6,
        leader: 10,
    };
    assert_eq!(explore(slow_and_fast), (true, true));
}
