//! Exclusive ownership: who is given up, and when, and who may take new flows again.

use std::time::Duration;

use ssa_cluster::{
    controller::{Controller, Options},
    objects::{ConditionStatus, Phase, Reason, SliceMoveSpec, SliceSetSpec},
    store::StoreError,
};

use crate::{
    cluster,
    dry::{Cluster, name, wall},
    options,
};

/// Endpoints are silent for less time than leases last.
fn impatient() -> Options {
    Options {
        lost_after: Duration::from_secs(6),
        ..options()
    }
}

async fn settled(endpoints: usize) -> (Cluster, Controller) {
    let mut cluster = cluster(endpoints);
    cluster.exclusive().await;
    let mut controller = Controller::new(cluster.store.clone(), impatient());
    cluster.settle(&mut controller).await;
    (cluster, controller)
}

async fn failures(cluster: &Cluster) -> usize {
    let moves = cluster.store.list::<SliceMoveSpec>().await.unwrap().objects;
    moves.iter().filter(|one| one.spec.reason == Reason::Failure).count()
}

/// Lets a second pass.
async fn second(cluster: &mut Cluster, controller: &mut Controller) {
    cluster.step().await;
    controller.round(cluster.now, wall(cluster.now)).await.unwrap();
}

async fn fenced(cluster: &Cluster) -> (ConditionStatus, String) {
    let set = cluster.store.get::<SliceSetSpec>(&name("store")).await.unwrap();
    let condition = set
        .status
        .conditions
        .into_iter()
        .find(|one| one.kind.as_str() == "Fenced");
    let condition = condition.expect("an exclusive set says whether it is fenced");
    (condition.status, condition.message.to_string())
}

#[tokio::test]
async fn one_that_is_silent_is_given_up_once_its_lease_has_surely_run_out() {
    let (mut cluster, mut controller) = settled(3).await;
    for endpoint in ["e0", "e1", "e2"] {
        assert_eq!(cluster.holder(endpoint).await, cluster.kernels.get(endpoint).cloned());
    }
    assert_eq!(fenced(&cluster).await, (ConditionStatus::True, String::new()));
    cluster.kill("e1");
    let silent_from = cluster.now;
    while cluster.holder("e1").await == cluster.kernels.get("e1").cloned() {
        assert_eq!(failures(&cluster).await, 0, "given up while it may take new flows");
        second(&mut cluster, &mut controller).await;
    }
    // Nine eighths of 15 s, and to the whole second in which it is looked at.
    assert_eq!(cluster.now.saturating_sub(silent_from), Duration::from_secs(17));
    let (status, message) = fenced(&cluster).await;
    assert_eq!(status, ConditionStatus::False);
    assert!(message.contains("e1 does not hold its lease"), "{message}");
    cluster.settle(&mut controller).await;
    assert!(failures(&cluster).await > 0);
    assert_eq!(cluster.counts().await[1], 0);
}

#[tokio::test]
async fn one_that_is_back_gets_its_lease_once_it_follows_what_was_decided() {
    let (mut cluster, mut controller) = settled(3).await;
    cluster.flows = 1; // moves do not end before it is back
    cluster.kill("e1");
    for _ in 0..25 {
        second(&mut cluster, &mut controller).await;
    }
    assert!(failures(&cluster).await > 0);
    cluster.revive("e1");
    cluster.blind.insert("e1".to_owned());
    for _ in 0..30 {
        second(&mut cluster, &mut controller).await;
        assert_ne!(cluster.holder("e1").await, cluster.kernels.get("e1").cloned());
    }
    let before = cluster.store.list::<SliceMoveSpec>().await.unwrap().objects;
    cluster.blind.clear();
    second(&mut cluster, &mut controller).await;
    assert_eq!(cluster.holder("e1").await, cluster.kernels.get("e1").cloned());
    // What a leader of before has decided about it, and writes late, is a conflict.
    let open = before.into_iter().filter(|one| !one.status.phase.is_final());
    let mut late = 0;
    for mut one in open.filter(|one| one.giver() == Some(&name("e1"))) {
        one.status.phase = Phase::Drain;
        let written = cluster.store.update_status(&one).await;
        assert!(matches!(written, Err(StoreError::Conflict { .. })), "{written:?}");
        late += 1;
    }
    assert!(late > 0);
    cluster.flows = 0;
    cluster.settle(&mut controller).await;
    assert_eq!(cluster.counts().await.iter().max(), Some(&86));
}

#[tokio::test]
async fn what_another_kernel_reports_counts_only_once_the_lease_of_the_first_has_run_out() {
    let (mut cluster, mut controller) = settled(3).await;
    cluster.pause(true).await;
    // A new host of the same name; the old one may be cut off, and take new flows.
    let first = cluster.kernels.insert("e1".to_owned(), name("kernel-new"));
    let by_hand = cluster.move_by_hand("e1", "e0").await;
    let begun = cluster.now;
    while cluster.holder("e1").await == first {
        let one = cluster.store.get::<SliceMoveSpec>(&by_hand).await.unwrap();
        assert_eq!(one.status.phase, Phase::Prepare);
        second(&mut cluster, &mut controller).await;
    }
    assert_eq!(cluster.now.saturating_sub(begun), Duration::from_secs(17));
    second(&mut cluster, &mut controller).await;
    assert_eq!(cluster.holder("e1").await, Some(name("kernel-new")));
    cluster.until(&mut controller, &by_hand, Phase::Done).await;
}

#[tokio::test]
async fn another_leader_takes_the_leases_of_lost_endpoints_before_it_gives_them_up() {
    let (mut cluster, mut controller) = settled(2).await;
    cluster.kill("e1");
    for _ in 0..20 {
        second(&mut cluster, &mut controller).await;
    }
    let first = cluster.holder("e1").await;
    let mut next = Controller::new(cluster.store.clone(), impatient());
    second(&mut cluster, &mut next).await;
    let second_holder = cluster.holder("e1").await;
    assert!(
        second_holder
            .as_ref()
            .is_some_and(|holder| holder.starts_with("leader-"))
    );
    assert_ne!(first, second_holder);
}
