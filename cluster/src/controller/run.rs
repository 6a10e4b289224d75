//! The loop around rounds.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{Controller, Round, events::Occurrences, pods::Seen};
use crate::{
    election::Leading,
    load::{self, Asked},
    objects::{Name, SliceEndpointSpec, SliceMapSpec, SliceMoveSpec, SliceNodeSpec, SliceSetSpec, Spec, Timestamp},
    store::{Occurrence, Store, StoreError},
};

/// The pause before a round after something has changed, so that several changes make one round.
const SETTLE: Duration = Duration::from_millis(20);
/// A round is made at least this often: time passes too.
const TICK: Duration = Duration::from_secs(1);
/// The pause after the store has refused something.
const PAUSE: Duration = Duration::from_secs(1);
/// How many events wait to be told.
const WAITING: usize = 64;

/// What there is to tell of a controller.
#[derive(Debug)]
pub enum Heard<'a> {
    /// The loop lives; whether it leads.
    Alive(bool),
    /// A round was made.
    Round(&'a Round),
    /// The store does not answer.
    Failed(&'a StoreError),
    /// Why endpoints do not tell their load; none if all do.
    Silent(&'a BTreeMap<Name, String>),
    /// So many events were left out, for there were too many, or the store does not take them.
    LeftOut(usize),
}

/// Makes rounds whenever something has changed, while this candidate leads; ends when nobody stands for election any more.
///
/// `wall` is the clock whose time objects tell people. `heard` is told what happens; `by` is who tells it in events.
pub async fn run(
    mut controller: Controller,
    (store, by): (Store, Name),
    leading: watch::Receiver<Leading>,
    wall: impl Fn() -> Timestamp,
    mut heard: impl FnMut(Heard<'_>),
) {
    let (sender, mut changes) = mpsc::channel(1);
    let (answers, mut answered) = mpsc::channel(1);
    // They end with this future.
    let mut tasks = JoinSet::new();
    let (seen, pods) = watch::channel(Seen::Nothing);
    controller.pods = pods;
    tasks.spawn(follow_pods(store.clone(), sender.clone(), seen));
    tasks.spawn(follow::<SliceSetSpec>(store.clone(), sender.clone()));
    tasks.spawn(follow::<SliceMapSpec>(store.clone(), sender.clone()));
    tasks.spawn(follow::<SliceMoveSpec>(store.clone(), sender.clone()));
    tasks.spawn(follow::<SliceEndpointSpec>(store.clone(), sender.clone()));
    tasks.spawn(follow::<SliceNodeSpec>(store.clone(), sender));
    let (occurs, occurred) = mpsc::channel(WAITING);
    tasks.spawn(publish(store.clone(), by, occurred));
    let mut occurrences = Occurrences::default();
    tasks.spawn(ask(store, leading.clone(), answers));
    let began = Instant::now();
    while leading.has_changed().is_ok() {
        let leads = leading.borrow().now();
        heard(Heard::Alive(leads));
        if leads {
            if let Ok(Asked { reports, failed }) = answered.try_recv() {
                heard(Heard::Silent(&failed));
                controller.measure(reports);
            }
            match controller.round(began.elapsed(), wall()).await {
                Ok(round) => {
                    heard(Heard::Round(&round));
                    let (told, mut left) = occurrences.of(&round, began.elapsed());
                    left += told.into_iter().filter_map(|one| occurs.try_send(one).err()).count();
                    heard(Heard::LeftOut(left));
                }
                Err(error) => {
                    heard(Heard::Failed(&error));
                    sleep(PAUSE).await;
                }
            }
        }
        let _ = timeout(TICK, changes.recv()).await;
        sleep(SETTLE).await;
        while changes.try_recv().is_ok() {}
    }
}

/// Tells events. One that the store does not take is lost: nothing depends on it.
async fn publish(store: Store, by: Name, mut occurred: mpsc::Receiver<Occurrence>) {
    while let Some(one) = occurred.recv().await {
        let _ = store.publish(&one, by.as_str()).await;
    }
}

/// Asks endpoints for their load, again and again, while this candidate leads.
async fn ask(store: Store, leading: watch::Receiver<Leading>, answers: mpsc::Sender<Asked>) {
    let mut ticks = interval(load::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    while !answers.is_closed() {
        ticks.tick().await;
        if !leading.borrow().now() {
            continue;
        }
        let Ok(listed) = store.list::<SliceEndpointSpec>().await else {
            continue;
        };
        let ready = listed.objects.into_iter().filter(|one| one.status.ready);
        let asked = load::ask(ready.filter_map(|one| {
            let port = one.spec.http_port?.get();
            Some((one.name().clone(), SocketAddr::from((one.spec.address, port))))
        }));
        let asked = asked.await;
        if !asked.reports.is_empty() || !asked.failed.is_empty() {
            let _ = answers.send(asked).await;
        }
    }
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
