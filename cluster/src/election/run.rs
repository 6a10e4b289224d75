//! Running for election, on a store.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::{Election, Step};
use crate::{
    objects::{Lease, LeaseSpec, Name, Timestamp},
    store::{Event, Store, StoreError, Watch},
};

/// Whether this candidate leads, and until when unless that is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leading {
    /// It does not.
    No,
    /// It does, until then. Whoever acts as the leader looks whether it still is so just before it does.
    Until(
        /// When it ends, if it is not renewed.
        Instant,
    ),
}

impl Leading {
    /// Says whether it leads now.
    #[must_use]
    pub fn now(self) -> bool {
        matches!(self, Self::Until(end) if Instant::now() < end)
    }
}

/// How long to wait after a store failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Stands for election until nobody listens to `leading` any more; then gives the lease up, so that others need not wait.
///
/// `wall` is the clock whose time the lease tells people. `heard` is told each time that the store answers or fails.
pub async fn run(
    store: &Store,
    lease: &Name,
    mut election: Election,
    leading: watch::Sender<Leading>,
    wall: impl Fn() -> Timestamp,
    mut heard: impl FnMut(Result<(), &StoreError>),
) {
    let began = Instant::now();
    let mut watching: Option<Watch<LeaseSpec>> = None;
    loop {
        let now = began.elapsed();
        tell(&leading, &election, began);
        let step = election.step(now, wall());
        let outcome = match step {
            Step::Wait(until) => {
                tokio::select! {
                    () = leading.closed() => break,
                    () = tokio::time::sleep_until(began + wake(&election, now, until)) => continue,
                    seen = changed(store, lease, &mut watching) => seen,
                }
            }
            step => {
                let written = tokio::select! {
                    () = leading.closed() => break,
                    written = write(store, lease, step) => written,
                };
                match written {
                    Ok(kept) => {
                        heard(Ok(()));
                        election.accepted(&kept, now, began.elapsed());
                        continue;
                    }
                    // Somebody else was first: see who.
                    Err(StoreError::Conflict { .. } | StoreError::Exists { .. } | StoreError::NotFound { .. }) => {
                        watching = None;
                        read(store, lease).await
                    }
                    Err(error) => Err(error),
                }
            }
        };
        match outcome {
            Ok(seen) => {
                heard(Ok(()));
                election.observe(seen.as_ref(), began.elapsed());
            }
            Err(error) => {
                heard(Err(&error));
                watching = None;
                tell(&leading, &election, began);
                // A lease that is about to end is no reason to ask a store without pause.
                tokio::select! {
                    () = leading.closed() => break,
                    () = tokio::time::sleep(PAUSE) => {}
                }
                if let Ok(seen) = read(store, lease).await {
                    election.observe(seen.as_ref(), began.elapsed());
                }
            }
        }
    }
    if let Some(step) = election.release(wall())
        && let Err(error) = write(store, lease, step).await
    {
        heard(Err(&error));
    }
}

/// Wakes when it has to act, or when it stops to lead.
fn wake(election: &Election, now: Duration, until: Duration) -> Duration {
    match election.leads_until() {
        Some(end) if end > now => end.min(until),
        _ => until,
    }
}

fn tell(leading: &watch::Sender<Leading>, election: &Election, began: Instant) {
    let told = match election.leads_until() {
        Some(end) if election.leads(began.elapsed()) => Leading::Until(began + end),
        _ => Leading::No,
    };
    leading.send_if_modified(|before| std::mem::replace(before, told) != told);
}

/// Reads a lease; none if there is none.
pub(crate) async fn read(store: &Store, lease: &Name) -> Result<Option<Lease>, StoreError> {
    match store.get(lease).await {
        Ok(lease) => Ok(Some(lease)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Does a step.
pub(crate) async fn write(store: &Store, lease: &Name, step: Step) -> Result<Lease, StoreError> {
    match step {
        Step::Create(terms) => store.create(&Lease::new(lease.clone(), terms)).await,
        Step::Update { version, terms } => {
            let mut next = Lease::new(lease.clone(), terms);
            next.metadata.resource_version = Some(version);
            store.update(&next).await
        }
        // There is nothing to write.
        Step::Wait(_) => store.get(lease).await,
    }
}

/// Waits until the lease is another one than before; the first time, reads it.
async fn changed(
    store: &Store,
    lease: &Name,
    watching: &mut Option<Watch<LeaseSpec>>,
) -> Result<Option<Lease>, StoreError> {
    let Some(watch) = watching else {
        let listed = store.list::<LeaseSpec>().await?;
        *watching = Some(store.watch(&listed.version).await?);
        return Ok(listed.objects.into_iter().find(|found| found.name() == lease));
    };
    loop {
        match watch.next().await? {
            Event::Applied(found) if found.name() == lease => return Ok(Some(found)),
            Event::Deleted(name) if name == *lease => return Ok(None),
            Event::Applied(_) | Event::Deleted(_) | Event::Faulty(_) | Event::Bookmark => {}
        }
    }
}
