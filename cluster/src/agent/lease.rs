//! The lease of the endpoint: while it is held, and while some set is exclusive, the kernel takes new flows.
//!
//! It is renewed beside the loop that does everything else, so that nothing there keeps it waiting.

use std::time::Duration;

use ssa_snapshot::Number;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Agent, tell};
use crate::clock::now;
use crate::election::{self, Election, Step};
use crate::objects::{Name, ObservedMove, Ownership, Phase, SliceMove};
use crate::store::{Store, StoreError};

/// How often a lease that is not held is looked at, and how long the pause is after the store has refused something.
const PAUSE: Duration = Duration::from_millis(500);
/// How long an agent that ends tries to give the lease up.
const FAREWELL: Duration = Duration::from_secs(3);

/// What is known of the lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// Until when it is believed in.
    pub(super) until: Option<Instant>,
    /// Why it is not held or renewed, for people.
    pub(super) why: Option<String>,
}

/// Holds the lease of an endpoint as long as that is wanted.
#[derive(Debug)]
pub(super) struct Keeper {
    wanted: watch::Sender<bool>,
    held: watch::Receiver<Held>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins; the lease is not wanted yet.
    pub(super) fn start(store: Store, lease: Name, kernel: Name, duration: Number<1, 3600, 15>) -> Self {
        let (wanted, wants) = watch::channel(false);
        let (tells, held) = watch::channel(Held::default());
        let election = Election::new(kernel, duration);
        let task = tokio::spawn(keep(store, lease, election, wants, tells));
        Self { wanted, held, task }
    }

    /// Says whether the lease is wanted. Where it is not any more, the kernel has been told before: it is given up.
    fn want(&self, wanted: bool) {
        self.wanted
            .send_if_modified(|before| std::mem::replace(before, wanted) != wanted);
    }

    /// Tells each time when something else is known.
    pub(super) fn held(&self) -> watch::Receiver<Held> {
        self.held.clone()
    }

    /// Gives the lease up, so that others need not wait.
    pub(super) async fn end(self) {
        drop(self.wanted);
        if timeout(FAREWELL, self.task).await.is_err() {
            tell("its lease could not be given up: it ends by itself");
        }
    }
}

/// Renews the lease while it is wanted and the store names this kernel as its holder; the leader gives it. Ends when nobody
/// can want it any more.
async fn keep(
    store: Store,
    lease: Name,
    mut election: Election,
    mut wants: watch::Receiver<bool>,
    tells: watch::Sender<Held>,
) {
    let began = Instant::now();
    loop {
        if !*wants.borrow_and_update() {
            tells.send_replace(Held::default());
            if let Some(step) = election.release(now()) {
                // Whatever becomes of it, the kernel takes nothing any more, and the lease ends by itself.
                let _ = election::write(&store, &lease, step).await;
            }
            if wants.changed().await.is_err() {
                return;
            }
            continue;
        }
        let asked = began.elapsed();
        let (pause, why) = match election.step(asked, now()) {
            Step::Wait(until) if election.holds() => (until.saturating_sub(asked), None),
            step @ Step::Update { .. } if election.holds() => match election::write(&store, &lease, step).await {
                Ok(kept) => {
                    election.accepted(&kept, asked, began.elapsed());
                    (Duration::ZERO, None)
                }
                Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {
                    look(&store, &lease, &mut election, began).await
                }
                Err(error) => (PAUSE, Some(format!("Lease {lease}: {error}"))),
            },
            _ => look(&store, &lease, &mut election, began).await,
        };
        let held = Held {
            until: election.leads_until().map(|until| began + until),
            why,
        };
        tells.send_if_modified(|before| {
            let changed = *before != held;
            *before = held;
            changed
        });
        tokio::select! {
            changed = wants.changed() => if changed.is_err() {
                wants = watch::channel(false).1;
            },
            () = sleep(pause) => {}
        }
    }
}

/// Sees who holds the lease; returns when to look again, and why it is not held.
async fn look(store: &Store, lease: &Name, election: &mut Election, began: Instant) -> (Duration, Option<String>) {
    match election::read(store, lease).await {
        Ok(seen) => {
            election.observe(seen.as_ref(), began.elapsed());
            if election.holds() {
                return (Duration::ZERO, None);
            }
            let holder = seen.and_then(|seen| seen.spec.holder_identity);
            let holder = holder.map_or_else(|| "nobody".to_owned(), |holder| holder.to_string());
            let why = format!(
                "Lease {lease}: {holder} holds it; the leader gives it to this endpoint's kernel once that follows all maps \
                 and moves"
            );
            (PAUSE, Some(why))
        }
        Err(error) => (PAUSE, Some(format!("Lease {lease}: {error}"))),
    }
}

impl Agent {
    /// Permits the kernel to take new flows of exclusive sets as long as the lease is believed in; says whether that is
    /// otherwise than before.
    pub(super) async fn permit(&mut self) -> bool {
        let Some(keeper) = &self.keeper else { return false };
        // One that has lost its kernel's routes waits for others to have what it had.
        let rejoined = self.views.values().any(|view| view.rejoined);
        let wanted = self.part.exclusive && self.is_here && !rejoined && !self.yields();
        let held = keeper.held.borrow().clone();
        let until = held.until.filter(|_| wanted);
        if let Some(kernel) = self.kernel.as_mut().filter(|kernel| kernel.permitted() != until) {
            match kernel.permit(until).await {
                Ok(()) => drop(self.told_once.remove("permission")),
                Err(error) => self.tell_once("permission", &error.to_string()),
            }
        }
        if let Some(keeper) = &self.keeper {
            // Only after the kernel was told.
            keeper.want(wanted);
        }
        match held.why.as_ref().filter(|_| wanted) {
            Some(why) => self.tell_once("lease", why),
            None => drop(self.told_once.remove("lease")),
        }
        let leased = wanted && self.is_permitted();
        std::mem::replace(&mut self.leased, leased) != leased
    }

    /// Says whether the kernel takes new flows of exclusive sets now.
    pub(super) fn is_permitted(&self) -> bool {
        let until = self.kernel.as_ref().and_then(crate::kernel::Kernel::permitted);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Why the kernel takes no new flows of exclusive sets; none if it does, or nothing is exclusive.
    pub(super) fn unleased(&self) -> Option<String> {
        if !self.part.exclusive || self.is_permitted() {
            return None;
        }
        let told = self.told_once.get("lease").or_else(|| self.told_once.get("permission"));
        Some(told.cloned().unwrap_or_else(|| "its lease is not held yet".to_owned()))
    }

    /// Holds what is told of a move back: nothing exclusive comes to an endpoint that could not take new flows of it.
    pub(super) fn hold_without_lease(&self, one: &SliceMove, observed: &mut ObservedMove) {
        let ownership = self
            .kept
            .get(&one.spec.slice_set)
            .map(ssa_slices::handover::Map::ownership);
        let is_exclusive = ownership == Some(Ownership::Exclusive.into());
        let comes = one.status.phase == Phase::Prepare && *one.taker() == self.options.endpoint;
        if is_exclusive && comes && !self.is_permitted() {
            observed.epoch = crate::objects::Epoch::default();
            observed.message = crate::objects::Message::new("waits for the lease of the new owner");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::objects::{Lease, LeaseSpec};
    use crate::store::Memory;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    async fn hold(store: &Store, holder: Option<&str>) {
        let lease = name("ssa-endpoint-a");
        let spec: LeaseSpec =
            serde_json::from_value(json!({"leaseDurationSeconds": 8, "holderIdentity": holder})).expect("terms");
        match store.get::<LeaseSpec>(&lease).await {
            Ok(mut known) => {
                known.spec = spec;
                store.update(&known).await.expect("kept");
            }
            Err(_) => drop(store.create(&Lease::new(lease, spec)).await.expect("kept")),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_renewed_by_the_kernel_that_it_was_given_to_and_taken_by_nobody() {
        let store = Store::new(Arc::new(Memory::new()));
        let duration = Number::new(8).expect("a duration");
        let keeper = Keeper::start(store.clone(), name("ssa-endpoint-a"), name("kernel-1-2"), duration);
        let mut held = keeper.held();
        keeper.want(true);
        // There is none, it is free, it is somebody else's, and that for long: none of these is a reason to take it.
        for holder in [Some(None), Some(Some("leader-1")), Some(Some("kernel-1-3")), None] {
            if let Some(holder) = holder {
                hold(&store, holder).await;
            }
            sleep(Duration::from_mins(1)).await;
            assert_eq!(held.borrow_and_update().until, None, "{holder:?}");
            assert!(held.borrow().why.is_some());
        }
        hold(&store, Some("kernel-1-2")).await;
        let given = Instant::now();
        while held.borrow_and_update().until.is_none() {
            held.changed().await.expect("it is told");
        }
        // Seven eighths from when it asked, and again each time that it is renewed.
        let first = held.borrow().until.expect("it is held");
        assert!(first <= given + PAUSE + Duration::from_secs(7), "{first:?}");
        sleep(Duration::from_secs(20)).await;
        assert!(
            held.borrow()
                .until
                .is_some_and(|until| until > Instant::now() && until > first)
        );
        // Whoever takes it has it.
        hold(&store, Some("leader-1")).await;
        sleep(Duration::from_secs(20)).await;
        assert_eq!(held.borrow().until, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_wanted_any_more_is_given_up() {
        let store = Store::new(Arc::new(Memory::new()));
        hold(&store, Some("kernel-1-2")).await;
        let duration = Number::new(8).expect("a duration");
        let lease = name("ssa-endpoint-a");
        let keeper = Keeper::start(store.clone(), lease.clone(), name("kernel-1-2"), duration);
        keeper.want(true);
        sleep(Duration::from_secs(5)).await;
        assert!(keeper.held().borrow().until.is_some());
        keeper.end().await;
        let left = store.get::<LeaseSpec>(&lease).await.expect("there is one");
        assert_eq!(left.spec.holder_identity, None);
    }
}
