//! When the next snapshot is asked for.

use ssa_snapshot::{Role, plugin::Subscription};

use crate::host::{Call, HttpCalls, NS_PER_MS, Request};

/// How much longer than the server may wait the proxy waits for it, in milliseconds.
const PATIENCE_MS: u32 = 5_000;

/// The pause between questions while there is no snapshot, in milliseconds.
const EAGER_MS: u32 = 100;

/// The state of a subscription in one VM.
#[derive(Debug)]
pub struct Feed {
    role: Role,
    subscription: Subscription,
    /// The question on its way, when it was asked, and how long its answer is waited for, in nanoseconds.
    call: Option<(Call, u64, u64)>,
    /// The time of the next one, in nanoseconds.
    due: u64,
    /// Names the snapshot that was seen last.
    etag: Option<String>,
    /// Whether that one was refused.
    refused: bool,
    /// Whether one is here.
    ready: bool,
}

impl Feed {
    /// Begins a subscription.
    #[must_use]
    pub const fn new(role: Role, subscription: Subscription) -> Self {
        Self {
            role,
            subscription,
            call: None,
            due: 0,
            etag: None,
            refused: false,
            ready: false,
        }
    }

    /// Says whether a snapshot is here.
    #[must_use]
    pub const fn ready(&self) -> bool {
        self.ready
    }

    /// Says whether connections pass for which no snapshot came in time.
    #[must_use]
    pub fn failure_mode_allow(&self) -> bool {
        self.subscription.failure_mode_allow(self.role)
    }

    /// Asks for the next snapshot, if it is time to; says whether that could not be done.
    pub fn ask(&mut self, host: &impl HttpCalls, now: u64) -> bool {
        // A clock that was set back makes no pause longer.
        let pause = self.due.saturating_sub(now);
        // The proxy tells of every question that there was no answer in time; one that it lost is asked again.
        let waiting = |(_, asked, longest): (Call, u64, u64)| now.abs_diff(asked) <= longest;
        if self.call.is_some_and(waiting) || (pause > 0 && pause <= self.pause()) {
            return false;
        }
        let wait_s = if self.etag.is_some() {
            self.subscription.wait_s.get()
        } else {
            0
        };
        let timeout_ms = wait_s.saturating_mul(1000).saturating_add(PATIENCE_MS);
        let longest = u64::from(timeout_ms.saturating_add(PATIENCE_MS)).saturating_mul(NS_PER_MS);
        let call = host
            .http_call(&Request {
                cluster: &self.subscription.cluster,
                path: self.subscription.path(self.role),
                etag: self.etag.as_deref(),
                wait_s,
                timeout_ms,
            })
            .ok();
        self.call = call.map(|call| (call, now, longest));
        if self.call.is_none() {
            self.rest(now);
        }
        self.call.is_none()
    }

    /// Says whether an answer is to the question on its way, which it then no longer is.
    pub fn answered(&mut self, call: Call, now: u64) -> bool {
        let ours = self.call.is_some_and(|(asked, ..)| asked == call);
        if ours {
            self.call = None;
            self.rest(now);
        }
        ours
    }

    /// Notes that a snapshot is here, of this name.
    pub fn installed(&mut self, etag: Option<String>, now: u64) {
        self.ready = true;
        self.etag = etag;
        self.refused = false;
        self.rest(now);
    }

    /// Notes that the snapshot of this name was refused: only another one is of interest.
    pub fn refuse(&mut self, etag: Option<String>) {
        if etag.is_some() {
            self.etag = etag;
            self.refused = true;
        }
    }

    /// Says whether the newest snapshot was refused, as far as is known.
    #[must_use]
    pub const fn refused(&self) -> bool {
        self.refused
    }

    fn rest(&mut self, now: u64) {
        self.due = now.saturating_add(self.pause());
    }

    /// Returns the pause between questions, in nanoseconds.
    fn pause(&self) -> u64 {
        let refresh_ms = self.subscription.refresh_ms.get();
        let pause_ms = if self.ready {
            refresh_ms
        } else {
            refresh_ms.min(EAGER_MS)
        };
        u64::from(pause_ms).saturating_mul(NS_PER_MS)
    }

    /// Returns how often to look whether it is time, in milliseconds.
    #[must_use]
    pub fn tick_ms(&self) -> u32 {
        if self.ready {
            self.subscription.refresh_ms.get().min(1000)
        } else {
            EAGER_MS.div_euclid(5)
        }
    }
}
