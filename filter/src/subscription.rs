//! When to request the next snapshot.

use ssa_snapshot::{Role, plugin::Subscription};

use crate::host::{Call, HttpCalls, NS_PER_MS, Request};

/// How much longer than the server may wait the proxy waits for the response, in milliseconds.
const TIMEOUT_MARGIN_MS: u32 = 5_000;

/// The longest pause between requests until there is a snapshot, in milliseconds.
const RETRY_MS: u32 = 100;

/// Polls a server for snapshots, in one VM.
#[derive(Debug)]
pub struct Poller {
    role: Role,
    subscription: Subscription,
    /// The pending request, when it was made, and after how long it counts as lost, in nanoseconds.
    call: Option<(Call, u64, u64)>,
    /// The time of the next request, in nanoseconds.
    due: u64,
    /// The entity tag of the last snapshot received.
    etag: Option<String>,
    /// Whether that one was rejected.
    rejected: bool,
    /// Whether there is a snapshot in force.
    ready: bool,
}

impl Poller {
    /// Makes a poller for a role's snapshots.
    #[must_use]
    pub const fn new(role: Role, subscription: Subscription) -> Self {
        Self {
            role,
            subscription,
            call: None,
            due: 0,
            etag: None,
            rejected: false,
            ready: false,
        }
    }

    /// Returns whether there is a snapshot in force.
    #[must_use]
    pub const fn ready(&self) -> bool {
        self.ready
    }

    /// Returns whether connections pass if no snapshot arrives in time.
    #[must_use]
    pub fn failure_mode_allow(&self) -> bool {
        self.subscription.failure_mode_allow(self.role)
    }

    /// Requests the next snapshot, if it is time to; returns whether the proxy failed to do so.
    pub fn poll(&mut self, host: &impl HttpCalls, now: u64) -> bool {
        // A clock that was set back does not prolong the pause.
        let pause = self.due.saturating_sub(now);
        // The proxy reports every request without a response in time; one that it lost is repeated.
        let waiting = |(_, made, longest): (Call, u64, u64)| now.abs_diff(made) <= longest;
        if self.call.is_some_and(waiting) || (pause > 0 && pause <= self.pause()) {
            return false;
        }
        let wait_s = if self.etag.is_some() {
            self.subscription.wait_s.get()
        } else {
            0
        };
        let timeout_ms = wait_s.saturating_mul(1000).saturating_add(TIMEOUT_MARGIN_MS);
        let longest = u64::from(timeout_ms.saturating_add(TIMEOUT_MARGIN_MS)).saturating_mul(NS_PER_MS);
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
            self.schedule(now);
        }
        self.call.is_none()
    }

    /// Returns whether a response is to the pending request, which is then done.
    pub fn complete(&mut self, call: Call, now: u64) -> bool {
        let ours = self.call.is_some_and(|(pending, ..)| pending == call);
        if ours {
            self.call = None;
            self.schedule(now);
        }
        ours
    }

    /// Records that a snapshot with this entity tag is in force.
    pub fn installed(&mut self, etag: Option<String>, now: u64) {
        self.ready = true;
        self.etag = etag;
        self.rejected = false;
        self.schedule(now);
    }

    /// Records that the snapshot with this entity tag was rejected: only a different one is requested.
    pub fn reject(&mut self, etag: Option<String>) {
        if etag.is_some() {
            self.etag = etag;
            self.rejected = true;
        }
    }

    /// Returns whether the last snapshot received was rejected.
    #[must_use]
    pub const fn rejected(&self) -> bool {
        self.rejected
    }

    fn schedule(&mut self, now: u64) {
        self.due = now.saturating_add(self.pause());
    }

    /// Returns the pause between requests, in nanoseconds.
    fn pause(&self) -> u64 {
        let refresh_ms = self.subscription.refresh_ms.get();
        let pause_ms = if self.ready {
            refresh_ms
        } else {
            refresh_ms.min(RETRY_MS)
        };
        u64::from(pause_ms).saturating_mul(NS_PER_MS)
    }

    /// Returns how often to call [`poll`](Self::poll), in milliseconds.
    #[must_use]
    pub fn tick_ms(&self) -> u32 {
        if self.ready {
            self.subscription.refresh_ms.get().min(1000)
        } else {
            RETRY_MS.div_euclid(5)
        }
    }
}
