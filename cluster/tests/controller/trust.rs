//! What endpoints and nodes say, or do not say, does no harm to others; neither does a store that is away.

use std::time::Duration;

use ssa_cluster::{
    controller::Controller,
    objects::{Phase, Reason, SliceEndpointSpec, SliceMapSpec, SliceMoveSpec, SliceNode, SliceNodeSpec},
};

use super::{
    cluster,
    dry::{name, wall},
    options,
};

#[tokio::test]
async fn an_endpoint_that_takes_what_it_does_not_stand_by_for_gets_nothing() {
    let mut cluster = cluster(3);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    let maps = cluster.store.list::<SliceMapSpec>().await.unwrap().objects;
    let of = |wanted: &str| {
        let mut all = maps.iter().flat_map(|map| &map.spec.endpoints);
        all.find(|one| one.name.as_str() == wanted).unwrap().clone()
    };
    let stands_by = of("e2").standby;
    let foreign = of("e0").owned.into_iter().find(|prefix| {
        let covered = |other: &ssa_cluster::objects::Prefix| other.covers(*prefix) || prefix.covers(*other);
        !stands_by.iter().any(covered)
    });
    let foreign = foreign.expect("e1 stands by for some of e0's");
    let before = cluster.owners().await;
    let mut liar = cluster.store.get::<SliceEndpointSpec>(&name("e2")).await.unwrap();
    liar.status.taken = serde_json::from_value(serde_json::json!([{"prefix": foreign, "from": "e0"}])).unwrap();
    cluster.store.update_status(&liar).await.unwrap();
    let round = controller.round(cluster.now, wall(cluster.now)).await.unwrap();
    assert!(
        round.faults.len() == 1 && round.faults[0].contains(&format!("e2 says that it has taken {foreign} of e0")),
        "{:?}",
        round.faults
    );
    let moves = cluster.store.list::<SliceMoveSpec>().await.unwrap().objects;
    assert!(moves.iter().all(|one| one.spec.reason != Reason::Failure), "{moves:?}");
    assert_eq!(cluster.owners().await, before);
}

#[tokio::test]
async fn a_node_that_never_follows_holds_nothing_up_for_good() {
    let mut cluster = cluster(2);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    cluster.pause(true).await;
    let spec: SliceNodeSpec = serde_json::from_value(serde_json::json!({})).unwrap();
    cluster.store.create(&SliceNode::new(name("n1"), spec)).await.unwrap();
    let one = cluster.move_by_hand("e0", "e1").await;
    for second in 0.. {
        assert!(second < 300, "the move goes on");
        let mut node = cluster.store.get::<SliceNodeSpec>(&name("n1")).await.unwrap();
        (node.status.ready, node.status.renewed_at) = (true, Some(wall(cluster.now)));
        cluster.store.update_status(&node).await.unwrap();
        cluster.step().await;
        controller.round(cluster.now, wall(cluster.now)).await.unwrap();
        let status = cluster.store.get::<SliceMoveSpec>(&one).await.unwrap().status;
        assert!(!status.turned_back, "in {second} s");
        if status.phase == Phase::Done {
            break;
        }
    }
    assert!(cluster.owners().await.iter().all(|owner| owner == "e1"));
}

#[tokio::test]
async fn a_store_that_was_away_turns_no_move_back() {
    let mut cluster = cluster(2);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    cluster.pause(true).await;
    let one = cluster.move_by_hand("e0", "e1").await;
    cluster.until(&mut controller, &one, Phase::Arm).await;
    cluster.now += Duration::from_mins(10);
    cluster.settle(&mut controller).await;
    let status = cluster.store.get::<SliceMoveSpec>(&one).await.unwrap().status;
    assert!(!status.turned_back && status.phase == Phase::Done, "{status:?}");
}
