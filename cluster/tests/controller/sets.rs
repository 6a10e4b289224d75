//! What is wrong with one set or endpoint stops no other.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use ssa_cluster::{
    controller::Controller,
    objects::{ConditionStatus, Kind, Metadata, SliceMapSpec, SliceSet, SliceSetSpec},
    store::{Backend as _, Memory, Raw, Store},
};

use crate::{
    cluster,
    dry::{Cluster, name, wall},
    options,
};

fn set(called: &str, apl: &str) -> SliceSet {
    let endpoints = json!({"list": [{"name": format!("{called}-0"), "address": "2001:db8:ffff::99"}]});
    let spec = json!({"service": "other.example", "apl": apl, "bits": 4, "endpoints": endpoints});
    SliceSet::new(name(called), serde_json::from_value(spec).unwrap())
}

async fn condition(store: &Store, set: &str, kind: &str) -> Option<(ConditionStatus, String)> {
    let set = store.get::<SliceSetSpec>(&name(set)).await.unwrap();
    let found = set
        .status
        .conditions
        .into_iter()
        .find(|one| one.kind.as_str() == kind)?;
    Some((found.status, format!("{}: {}", found.reason, found.message)))
}

#[tokio::test]
async fn a_set_that_cannot_be_read_is_told_and_the_others_are_served() {
    let memory = Memory::new();
    let mut cluster = Cluster::new(Store::new(Arc::new(memory.clone())), 2);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    let spec = json!({
        "service": "bad.example", "apl": "2:fe80::/64 2:::/64",
        "endpoints": {"list": [{"name": "x", "address": "ff02::1", "tunnel": {"address": "::1"}}]},
    });
    let raw = Raw {
        metadata: Metadata::new(name("a-bad")),
        spec,
        status: json!({}),
    };
    memory.create(Kind::SliceSet, raw).await.unwrap();
    cluster.scale(4).await;
    let mut faults = Vec::new();
    for _ in 0..60 {
        cluster.step().await;
        faults = controller.round(cluster.now, wall(cluster.now)).await.unwrap().faults;
    }
    let host = "wanted is the address of a host that others reach";
    for wanted in [
        "spec.apl: 2:fe80::/64 overlaps link-local (fe80::/10), which no router forwards".to_owned(),
        format!("spec.endpoints.list[0].address: ff02::1 is multicast; {host}"),
        format!("spec.endpoints.list[0].tunnel.address: ::1 is loopback, unspecified or IPv4-compatible; {host}"),
    ] {
        assert!(
            faults.contains(&format!("SliceSet a-bad: {wanted}")),
            "{wanted} is missing of {faults:#?}"
        );
    }
    assert_eq!(cluster.counts().await, [64; 4]);
}

#[tokio::test]
async fn of_two_sets_with_the_same_addresses_the_one_that_has_them_keeps_them() {
    let mut cluster = cluster(2);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    // Its name comes first, it is a part of the other, and it has nothing yet.
    cluster
        .store
        .create(&set("a", "2:2001:db8:6::/65 2:2001:db8:5:0:8000::/65"))
        .await
        .unwrap();
    cluster.store.create(&set("b", "2:2001:db8:7::/64")).await.unwrap();
    let mut faults = Vec::new();
    for _ in 0..30 {
        cluster.step().await;
        faults = controller.round(cluster.now, wall(cluster.now)).await.unwrap().faults;
    }
    let why = "spec.apl: 2001:db8:5:0:8000::/65 overlaps 2001:db8:5::/64 of SliceSet store, whose slices these are";
    assert_eq!(faults, [format!("SliceSet a: {why}")]);
    let told = condition(&cluster.store, "a", "Accepted").await;
    assert_eq!(told, Some((ConditionStatus::False, format!("PrefixConflict: {why}"))));
    assert_eq!(
        condition(&cluster.store, "b", "Accepted").await.unwrap().0,
        ConditionStatus::True
    );
    let maps = cluster.store.list::<SliceMapSpec>().await.unwrap().objects;
    let sets: Vec<&str> = maps.iter().map(|map| map.spec.slice_set.as_str()).collect();
    assert_eq!(sets, ["b", "store"]);
    // Once the addresses are its own, it is served.
    let mut mended = cluster.store.get::<SliceSetSpec>(&name("a")).await.unwrap();
    mended.spec.apl = "2:2001:db8:6::/65".to_owned();
    cluster.store.update(&mended).await.unwrap();
    for _ in 0..30 {
        cluster.step().await;
        faults = controller.round(cluster.now, wall(cluster.now)).await.unwrap().faults;
    }
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(
        condition(&cluster.store, "a", "Ready").await.unwrap().0,
        ConditionStatus::True
    );
}

#[tokio::test]
async fn an_endpoint_that_refuses_prefixes_gets_none_until_its_agent_is_another() {
    let mut cluster = cluster(4);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    cluster.refusing.insert("e1".to_owned());
    cluster.settle(&mut controller).await;
    let counts = cluster.counts().await;
    assert_eq!((counts[1], counts.iter().sum::<usize>()), (0, 256));
    let (status, told) = condition(&cluster.store, "store", "PrefixesRoutable").await.unwrap();
    assert_eq!(status, ConditionStatus::False);
    assert!(told.starts_with("Refused: e1 refuses 2001:db8:5:"), "{told}");
    // It has nothing, and another leader knows of nothing: that is no reason to try again.
    let mut controller = Controller::new(cluster.store.clone(), options());
    assert_eq!(cluster.settle(&mut controller).await.moved, 0);
    cluster.refusing.clear();
    cluster.instance = Some("another");
    cluster.settle(&mut controller).await;
    assert_eq!(cluster.counts().await, [64; 4]);
    let healed = condition(&cluster.store, "store", "PrefixesRoutable").await.unwrap();
    assert_eq!(healed.0, ConditionStatus::True);
    assert!(cluster.now > Duration::ZERO);
}
