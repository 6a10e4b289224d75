//! Who leads: one of several, by a lease that each tries to hold.
//!
//! A holder renews its lease well before it ends; whoever sees it unchanged for as long as it lasts may take it. Nobody's
//! clock is compared with another's: each counts time by its own, from what it saw itself. The moments that are written
//! into the lease are for people.
//!
//! How long a holder believes in a lease, and when it is free, is in [`ssa_slices::handover::lease`]: two never believe that
//! they lead, as long as no clock runs faster or slower than true time by more than an eighth.
//!
//! [`Election`] is pure: it is told the time and what the store says, and says what to write. [`run()`] does that.

mod run;

use std::time::Duration;

pub use run::{Leading, run};
#[cfg(target_os = "linux")]
pub(crate) use run::{read, write};

use crate::objects::{Lease, LeaseSpec, Name, ResourceVersion, Timestamp};
use ssa_slices::handover::lease::{believed, free_after};
use ssa_snapshot::Number;

/// What one candidate knows of the lease.
#[derive(Clone, Debug)]
pub struct Election {
    identity: Name,
    /// How long the lease lasts, in seconds.
    duration: Number<1, 3600, 15>,
    /// The lease as it was last seen, with when that version was first seen.
    seen: Option<(Lease, Duration)>,
    /// Until when this candidate believes to lead.
    until: Option<Duration>,
}

/// What a candidate has to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make the lease.
    Create(
        /// Its terms.
        LeaseSpec,
    ),
    /// Replace the lease of this version.
    Update {
        /// The version that was seen.
        version: ResourceVersion,
        /// The terms.
        terms: LeaseSpec,
    },
    /// Wait until then, or until the lease changes.
    Wait(
        /// When, by this candidate's clock.
        Duration,
    ),
}

impl Election {
    /// Takes a candidate's identity, which no other has, and how long its lease lasts.
    #[must_use]
    pub const fn new(identity: Name, duration: Number<1, 3600, 15>) -> Self {
        Self {
            identity,
            duration,
            seen: None,
            until: None,
        }
    }

    /// Notes what the store says of the lease: now, by a clock that never goes back.
    pub fn observe(&mut self, lease: Option<&Lease>, now: Duration) {
        match (lease, &self.seen) {
            (None, _) => self.seen = None,
            (Some(lease), Some((seen, _))) if lease.metadata.resource_version == seen.metadata.resource_version => {}
            (Some(lease), _) => self.seen = Some((lease.clone(), now)),
        }
        // Somebody else has it: then it is theirs, whatever was believed before.
        if !self.holds() {
            self.until = None;
        }
    }

    /// Notes that the store took what [`step`](Self::step) said, which was asked for at that moment.
    pub fn accepted(&mut self, lease: &Lease, asked: Duration, now: Duration) {
        let before = self.seen.take();
        self.observe(Some(lease), now);
        // A write that changed nothing is none: the others did not see it.
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        let is_new = before.is_none_or(|(before, _)| version(&before) != version(lease));
        if self.holds() && is_new {
            self.until = Some(asked + self.trusted());
        }
    }

    /// Says whether this candidate leads.
    #[must_use]
    pub fn leads(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Returns until when this candidate leads unless it renews the lease.
    #[must_use]
    pub const fn leads_until(&self) -> Option<Duration> {
        self.until
    }

    /// Says what to do now; `wall` is what the lease tells people.
    #[must_use]
    pub fn step(&self, now: Duration, wall: Timestamp) -> Step {
        let Some((lease, since)) = &self.seen else {
            return Step::Create(self.terms(wall, wall, 0));
        };
        let terms = &lease.spec;
        if self.holds() {
            // What it holds without believing it, from before it started or after a write whose fate it did not learn,
            // it renews at once.
            let renew = self
                .until
                .map_or(now, |until| until.saturating_sub(self.trusted() * 2 / 3));
            if now < renew {
                return Step::Wait(renew);
            }
            let acquired = terms.acquire_time.unwrap_or(wall);
            // Even if the clock on the wall stands still, a renewal differs from the one before.
            let after = terms
                .renew_time
                .map_or(wall, |before| Timestamp::from_micros(before.micros() + 1));
            return Self::update(
                lease,
                self.terms(acquired, wall.max(after), terms.lease_transitions.get()),
            );
        }
        let lasts = Duration::from_secs(terms.lease_duration_seconds.get().into());
        let free = if terms.holder_identity.is_none() {
            now
        } else {
            *since + free_after(lasts)
        };
        if now < free {
            return Step::Wait(free);
        }
        let transitions = terms.lease_transitions.get().saturating_add(1);
        Self::update(lease, self.terms(wall, wall, transitions))
    }

    /// Gives the lease up, and says what to write so that others need not wait; nothing where it is not held.
    #[must_use]
    pub fn release(&mut self, wall: Timestamp) -> Option<Step> {
        self.until = None;
        let (lease, _) = self.seen.as_ref().filter(|_| self.holds())?;
        let mut terms = lease.spec.clone();
        terms.holder_identity = None;
        terms.renew_time = Some(wall);
        Some(Self::update(lease, terms))
    }

    /// Says whether the store names this candidate as the holder: whether it may still believe so is another question.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|(lease, _)| lease.spec.holder_identity.as_ref() == Some(&self.identity))
    }

    /// How long after it asked to renew the lease a holder believes to have it.
    fn trusted(&self) -> Duration {
        believed(Duration::from_secs(self.duration.get().into()))
    }

    fn terms(&self, acquired: Timestamp, renewed: Timestamp, transitions: u32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: self.duration,
            acquire_time: Some(acquired),
            renew_time: Some(renewed),
            lease_transitions: Number::new(transitions).unwrap_or_default(),
        }
    }

    /// A lease that was read has a version; one without is made anew, which the store refuses.
    fn update(lease: &Lease, terms: LeaseSpec) -> Step {
        match lease.metadata.resource_version.clone() {
            Some(version) => Step::Update { version, terms },
            None => Step::Create(terms),
        }
    }
}

#[cfg(test)]
mod tests;
