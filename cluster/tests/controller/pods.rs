//! Endpoints that are pods come and go one after another.

use std::time::Duration;

use ssa_cluster::controller::{Controller, Options};

use super::{
    cluster,
    dry::{Cluster, wall},
    options,
};

async fn pods(count: usize, settle: Duration) -> (Cluster, Controller) {
    let mut cluster = cluster(count);
    cluster.selects = true;
    let options = Options { settle, ..options() };
    let mut controller = Controller::new(cluster.store.clone(), options);
    cluster.settle(&mut controller).await;
    (cluster, controller)
}

/// A second passes, with a round.
async fn second(cluster: &mut Cluster, controller: &mut Controller) {
    cluster.step().await;
    controller.round(cluster.now, wall(cluster.now)).await.unwrap();
}

#[tokio::test]
async fn pods_that_get_ready_one_after_another_give_each_other_nothing() {
    for (settle, gives) in [(options().settle, false), (Duration::ZERO, true)] {
        let (mut cluster, mut controller) = pods(2, settle).await;
        cluster.add_pod().await;
        for _ in 0..2 {
            second(&mut cluster, &mut controller).await;
        }
        cluster.add_pod().await;
        let seen = cluster.settle(&mut controller).await;
        assert_eq!(seen.moved, 128, "{settle:?}");
        let ways = cluster.ways().await;
        let between = ways.contains(&("e2".to_owned(), "e3".to_owned()));
        assert_eq!(between, gives, "{settle:?}: {ways:?}");
    }
}

#[tokio::test]
async fn a_pod_that_replaces_another_one_gets_what_that_one_had() {
    let (mut cluster, mut controller) = pods(3, options().settle).await;
    let before = cluster.owners().await;
    cluster.add_pod().await;
    second(&mut cluster, &mut controller).await;
    cluster.end_pod("e0").await;
    // It is not waited for others where one leaves.
    second(&mut cluster, &mut controller).await;
    assert_eq!(cluster.ways().await, [("e0".to_owned(), "e3".to_owned())].into());
    cluster.settle(&mut controller).await;
    let expected: Vec<String> = before.iter().map(|owner| owner.replace("e0", "e3")).collect();
    assert_eq!(cluster.owners().await, expected);
}

#[tokio::test]
async fn a_pod_that_is_gone_is_not_waited_for() {
    let (mut cluster, mut controller) = pods(3, options().settle).await;
    cluster.remove_pod("e0").await;
    let began = cluster.now;
    second(&mut cluster, &mut controller).await;
    assert!(cluster.is_moving().await, "its standbys take over at once");
    while cluster.is_moving().await {
        second(&mut cluster, &mut controller).await;
        let took = cluster.now.saturating_sub(began);
        // What a standby does not know it sends to the owner, until then.
        assert!(
            took < Duration::from_secs(12),
            "flows of a pod that is gone are waited for"
        );
    }
    assert!(!cluster.owners().await.contains(&"e0".to_owned()));
}
