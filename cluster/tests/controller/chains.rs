//! Endpoints leave that have got slices from others which still drain: these go on to a third.

use std::sync::Arc;

use ssa_cluster::{
    controller::Controller,
    objects::{Phase, SliceMove, SliceMoveSpec},
    store::{Memory, Store, StoreError},
};

use crate::{
    cluster,
    dry::{Cluster, Crashing, goes_on, wall},
    options,
};

/// A second passes, with a round.
async fn second(cluster: &mut Cluster, controller: &mut Controller) {
    cluster.step().await;
    match controller.round(cluster.now, wall(cluster.now)).await {
        Ok(_) | Err(StoreError::Conflict { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn moves(cluster: &Cluster) -> Vec<SliceMove> {
    let mut moves = cluster.store.list::<SliceMoveSpec>().await.unwrap().objects;
    moves.sort_by_key(SliceMove::epoch);
    moves
}

/// Lets time pass until nobody but these takes new flows; says whether that came to be.
async fn only(cluster: &mut Cluster, controller: &mut Controller, endpoints: &[&str]) -> bool {
    for _ in 0..20 {
        let takers = cluster.takers().await;
        if takers.iter().all(|taker| endpoints.contains(&taker.as_str())) {
            return true;
        }
        second(cluster, controller).await;
    }
    false
}

/// What `e0` had drains at the others; its flows do not end.
async fn draining(count: usize) -> (Cluster, Controller) {
    let mut cluster = cluster(count);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    cluster.flows = 1;
    cluster.drain("e0").await;
    let names: Vec<String> = (1..count).map(|number| format!("e{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(only(&mut cluster, &mut controller, &names).await);
    while moves(&cluster).await.iter().any(|one| one.status.phase < Phase::Drain) {
        second(&mut cluster, &mut controller).await;
    }
    (cluster, controller)
}

#[tokio::test]
async fn what_drains_goes_on_where_whoever_has_it_leaves() {
    let (mut cluster, mut controller) = draining(4).await;
    cluster.drain("e1").await;
    assert!(only(&mut cluster, &mut controller, &["e2", "e3"]).await);
    let open = moves(&cluster).await;
    let chained = open.iter().filter(|later| open.iter().any(|one| goes_on(one, later)));
    assert!(chained.count() > 0, "{open:?}");
    // The map names the first until its flows have ended.
    assert_eq!(cluster.counts().await, [64; 4]);
    cluster.flows = 0;
    cluster.settle(&mut controller).await;
    assert_eq!(cluster.counts().await, [0, 0, 128, 128]);
    let moves = moves(&cluster).await;
    assert!(
        moves
            .iter()
            .all(|one| one.status.phase == Phase::Done && !one.status.turned_back)
    );
}

#[tokio::test]
async fn with_exclusive_ownership_nothing_goes_on_before_the_flows_have_ended() {
    let mut cluster = cluster(4);
    cluster.exclusive().await;
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    cluster.flows = 1;
    cluster.drain("e0").await;
    assert!(only(&mut cluster, &mut controller, &["e1", "e2", "e3"]).await);
    cluster.drain("e1").await;
    assert!(!only(&mut cluster, &mut controller, &["e2", "e3"]).await);
    cluster.flows = 0;
    cluster.settle(&mut controller).await;
    assert_eq!(cluster.counts().await, [0, 0, 128, 128]);
}

#[tokio::test]
async fn a_fourth_waits_until_the_flows_of_the_first_have_ended() {
    let (mut cluster, mut controller) = draining(4).await;
    cluster.drain("e1").await;
    assert!(only(&mut cluster, &mut controller, &["e2", "e3"]).await);
    cluster.drain("e2").await;
    assert!(!only(&mut cluster, &mut controller, &["e3"]).await);
    cluster.flows = 0;
    cluster.settle(&mut controller).await;
    assert_eq!(cluster.counts().await, [0, 0, 0, 256]);
}

#[tokio::test]
async fn it_goes_on_without_an_endpoint_that_is_gone_by_then() {
    for gone in ["e0", "e1"] {
        let (mut cluster, mut controller) = draining(4).await;
        cluster.drain("e1").await;
        assert!(only(&mut cluster, &mut controller, &["e2", "e3"]).await);
        cluster.kill(gone);
        for _ in 0..40 {
            second(&mut cluster, &mut controller).await;
            assert!(only(&mut cluster, &mut controller, &["e2", "e3"]).await, "{gone}");
        }
        cluster.flows = 0;
        cluster.settle(&mut controller).await;
        assert_eq!(cluster.counts().await, [0, 0, 128, 128], "{gone}");
    }
}

#[tokio::test]
async fn what_goes_on_is_called_off_once_the_flows_of_the_first_have_ended() {
    let (mut cluster, mut controller) = draining(3).await;
    cluster.drain("e1").await;
    assert!(only(&mut cluster, &mut controller, &["e2"]).await);
    let open = moves(&cluster).await;
    let later = open.iter().find(|later| open.iter().any(|one| goes_on(one, later)));
    let mut later = later.expect("one goes on").clone();
    later.spec.cancelled = true;
    cluster.store.update(&later).await.unwrap();
    for _ in 0..10 {
        second(&mut cluster, &mut controller).await;
        assert!(moves(&cluster).await.iter().all(|one| !one.status.turned_back));
    }
    cluster.flows = 0;
    cluster.settle(&mut controller).await;
    assert_eq!(cluster.counts().await, [0, 0, 256]);
}

#[tokio::test]
async fn a_controller_that_dies_at_any_write_goes_on_with_what_goes_on() {
    let mut wrote_all = false;
    for write in (1..600).step_by(7) {
        let backend = Arc::new(Crashing::new(Memory::new()));
        let mut cluster = Cluster::new(Store::new(Arc::new(backend.memory())), 4);
        let doomed = Store::new(backend.clone());
        let mut controller = Controller::new(doomed.clone(), options());
        cluster.settle(&mut controller).await;
        cluster.flows = 1;
        // The write is kept or lost, by turns; whoever made it never knows.
        backend.crash_at(write / 2 + 1, write % 2 == 0);
        let mut crashed = false;
        for (leaves, flows) in [("e0", 1), ("e1", 1), ("", 0)] {
            cluster.flows = flows;
            if !leaves.is_empty() {
                cluster.drain(leaves).await;
            }
            for _ in 0..20 {
                cluster.step().await;
                match controller.round(cluster.now, wall(cluster.now)).await {
                    Ok(_) | Err(StoreError::Conflict { .. }) => {}
                    Err(_) => {
                        crashed = true;
                        backend.revive();
                        controller = Controller::new(doomed.clone(), options());
                    }
                }
            }
        }
        cluster.settle(&mut controller).await;
        assert_eq!(
            cluster.counts().await,
            [0, 0, 128, 128],
            "after a crash at write {write}"
        );
        if !crashed {
            wrote_all = true;
            break;
        }
    }
    assert!(wrote_all, "this has more writes than were tried");
}
