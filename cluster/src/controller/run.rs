//! The loop around rounds.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::{Controller, Round, pods::Seen};
use crate::{
    election::Leading,
    objects::{SliceEndpointSpec, SliceMapSpec, SliceMoveSpec, SliceNodeSpec, SliceSetSpec, Spec, Timestamp},
    store::{Store, StoreError},
};

/// The pause before a round after something has changed, so that several changes make one round.
const SETTLE: Duration = Duration::from_millis(20);
/// A round is made at least this often: time passes too.
const TICK: Duration = Duration::from_secs(1);
/// The pause after the store has refused something.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes rounds whenever something has changed, while this candidate leads; ends when nobody stands for election any more.
///
/// `wall` is the clock whose time objects tell people. `alive` is called again and again, whether it leads or not; `after` is
/// told of every round.
pub async fn run(
    mut controller: Controller,
    store: Store,
    leading: watch::Receiver<Leading>,
    wall: impl Fn() -> Timestamp,
    alive: impl Fn(),
    mut after: impl FnMut(&Round),
) {
    let (sender, mut changes) = mpsc::channel(1);
    let (seen, pods) = watch::channel(Seen::Nothing);
    controller.pods = pods;
    let watches = [
        tokio::spawn(follow_pods(store.clone(), sender.clone(), seen)),
        tokio::spawn(follow::<SliceSetSpec>(store.clone(), sender.clone())),
        tokio::spawn(follow::<SliceMapSpec>(store.clone(), sender.clone())),
        tokio::spawn(follow::<SliceMoveSpec>(store.clone(), sender.clone())),
        tokio::spawn(follow::<SliceEndpointSpec>(store.clone(), sender.clone())),
        tokio::spawn(follow::<SliceNodeSpec>(store, sender)),
    ];
    let began = Instant::now();
    while leading.has_changed().is_ok() {
        alive();
        if leading.borrow().now() {
            match controller.round(began.elapsed(), wall()).await {
                Ok(round) => after(&round),
                Err(StoreError::Conflict { .. } | StoreError::Exists { .. } | StoreError::NotFound { .. }) => {}
                Err(error) => {
                    let faults = vec![error.to_string()];
                    after(&Round {
                        faults,
                        ..Round::default()
                    });
                    sleep(PAUSE).await;
                }
            }
        }
        let _ = timeout(TICK, changes.recv()).await;
        sleep(SETTLE).await;
        while changes.try_recv().is_ok() {}
    }
    watches.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Follows the pods, and says that something has changed, each time.
async fn follow_pods(store: Store, changes: mpsc::Sender<()>, seen: watch::Sender<Seen>) {
    loop {
        let Some(mut pods) = store.pods() else {
            seen.send_replace(Seen::None);
            return;
        };
        while let Some(state) = pods.next().await {
            // What was known before holds no more: who goes unseen must not be taken for somebody who stays.
            seen.send_replace(match state {
                Ok(pods) => Seen::Pods(pods),
                Err(error) => Seen::Fault(error.to_string()),
            });
            if let Err(mpsc::error::TrySendError::Closed(())) = changes.try_send(()) {
                return;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Says that something of a kind has changed, each time.
async fn follow<S: Spec>(store: Store, changes: mpsc::Sender<()>) {
    loop {
        let ended: Result<(), StoreError> = async {
            let listed = store.list::<S>().await?;
            let mut watch = store.watch::<S>(&listed.version).await?;
            loop {
                watch.next().await?;
                // Full means that a round is due anyway.
                if let Err(mpsc::error::TrySendError::Closed(())) = changes.try_send(()) {
                    return Ok(());
                }
            }
        }
        .await;
        match ended {
            Ok(()) => return,
            Err(StoreError::TooOld { .. }) => {}
            Err(_) => sleep(PAUSE).await,
        }
    }
}
