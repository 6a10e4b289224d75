//! Slices move for load, by what agents say of it.

use std::collections::BTreeSet;

use ssa_cluster::{
    controller::Controller,
    objects::{Reason, SliceMapSpec, SliceSetSpec},
};
use ssa_testing::Draw;

use crate::{
    cluster,
    dry::{Cluster, name},
    options,
};

/// Loads by Zipf's law of rank, in an order that the seed makes.
fn zipf(count: usize, exponent: f64, seed: u64) -> Vec<f64> {
    let mut ranks: Vec<u32> = (1..).take(count).collect();
    let mut draw = Draw::seeded(seed);
    for place in (1..count).rev() {
        ranks.swap(place, draw.index(place + 1));
    }
    ranks
        .into_iter()
        .map(|rank| 1000.0 / f64::from(rank).powf(exponent))
        .collect()
}

async fn settled(endpoints: usize, bits: u8, replicas: u8) -> (Cluster, Controller) {
    let mut cluster = cluster(endpoints);
    (cluster.bits, cluster.replicas) = (bits, replicas);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    (cluster, controller)
}

/// Chooses loads of which the hottest endpoint has at least 1.8 times the mean.
async fn uneven(cluster: &mut Cluster, exponent: f64) {
    for seed in 0.. {
        cluster.loads = zipf(1 << cluster.bits, exponent, seed);
        if cluster.ratio().await >= 1.8 {
            return;
        }
    }
}

#[tokio::test]
async fn zipf_is_even_within_60_seconds_and_then_nothing_moves() {
    let (mut cluster, mut controller) = settled(16, 10, 1).await;
    uneven(&mut cluster, 0.8).await;
    let begun = cluster.seconds(&mut controller, 60).await;
    assert!(begun.iter().all(|change| change.reason == Reason::Balance), "{begun:?}");
    let ratio = cluster.ratio().await;
    assert!(ratio <= 1.15, "the hottest endpoint still has {ratio} times the mean");
    let set = cluster.store.get::<SliceSetSpec>(&name("store")).await.unwrap();
    assert!(set.status.imbalance_permille <= 1150, "{:?}", set.status);
    // What begins no more within the cooldown, and none after.
    cluster.seconds(&mut controller, 30).await;
    let later = cluster.seconds(&mut controller, 180).await;
    assert_eq!(later, []);
    // A new leader has no memory, and moves nothing either.
    let mut next = Controller::new(cluster.store.clone(), options());
    let later = cluster.seconds(&mut next, 60).await;
    assert_eq!(later, []);
    assert!(cluster.ratio().await <= 1.15);
}

#[tokio::test]
async fn an_endpoint_that_lies_draws_and_sheds_little() {
    // It says that it has nothing to do, or that it has everything.
    for (factor, most) in [(0.0, 32), (1e9, 16)] {
        let (mut cluster, mut controller) = settled(16, 8, 1).await;
        cluster.loads = vec![1.0; 256];
        cluster.lies.insert("e3".to_owned(), factor);
        let mut before = cluster.counts().await[3];
        for _ in 0..10 {
            cluster.seconds(&mut controller, 20).await;
            let now = cluster.counts().await[3];
            // 10 % of 16 slices, and at least one: in each of two rounds.
            assert!(before.abs_diff(now) <= 2, "{before} slices became {now}");
            before = now;
        }
        assert!(before <= most, "{before} slices");
    }
}

#[tokio::test]
async fn replicas_do_not_meet_and_pins_stay_when_load_moves_slices() {
    let (mut cluster, mut controller) = settled(8, 8, 3).await;
    cluster.pin("2001:db8:5:0:700::/72", "e2").await;
    cluster.settle(&mut controller).await;
    cluster.loads = zipf(256, 0.9, 3);
    cluster.loads[7] = 900.0;
    let before = cluster.ratio().await;
    let begun = cluster.seconds(&mut controller, 120).await;
    assert!(!begun.is_empty() && cluster.ratio().await < before);
    cluster.loads.clear();
    let owners = cluster.owners().await;
    if owners.len() == 256 {
        assert_eq!(owners[7], "e2");
    }
    for map in cluster.store.list::<SliceMapSpec>().await.unwrap().objects {
        for endpoint in map.spec.endpoints {
            let thirds: Vec<u64> = endpoint
                .owned
                .iter()
                .flat_map(|prefix| prefix.net().subnets(80.max(prefix.net().prefix_len())).unwrap())
                .map(|part| u64::try_from(u128::from(part.addr()) << 64 >> 112).unwrap())
                .collect();
            let slices: BTreeSet<u64> = thirds.iter().map(|part| part >> 8).collect();
            for slice in &slices {
                for step in [85, 86, 170, 171] {
                    let sibling = (slice + step) % 256;
                    let third = u64::from(sibling.abs_diff(*slice) % 256 == 85);
                    assert!(
                        third == 0 || !slices.contains(&sibling),
                        "{slice} and {sibling} at {}",
                        endpoint.name
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_hot_slice_is_split_and_joined_again_when_it_cools() {
    let (mut cluster, mut controller) = settled(4, 6, 1).await;
    cluster.loads = vec![10.0; 64];
    cluster.loads[5] = 2000.0;
    cluster.seconds(&mut controller, 600).await;
    let ratio = cluster.ratio().await;
    assert!(ratio <= 1.2, "{ratio}");
    let parts = |maps: Vec<ssa_cluster::objects::SliceMap>| {
        let endpoints = maps.into_iter().flat_map(|map| map.spec.endpoints);
        let owned = endpoints
            .flat_map(|one| one.owned)
            .filter(|prefix| prefix.net().prefix_len() > 70);
        owned.count()
    };
    let split = parts(cluster.store.list::<SliceMapSpec>().await.unwrap().objects);
    assert!(split >= 4, "{split}");
    cluster.loads = vec![1000.0; 64];
    cluster.seconds(&mut controller, 1200).await;
    let left = parts(cluster.store.list::<SliceMapSpec>().await.unwrap().objects);
    assert!(left < split, "{split} parts, and {left} are left");
}

#[tokio::test]
async fn how_many_endpoints_are_wanted_follows_from_the_load() {
    let (mut cluster, mut controller) = settled(4, 8, 1).await;
    cluster.loads = vec![10.0; 256];
    let mut set = cluster.store.get::<SliceSetSpec>(&name("store")).await.unwrap();
    assert_eq!(set.status.wanted_endpoints, 4);
    set.spec.balance.target_per_endpoint = ssa_snapshot::Number::new(400);
    cluster.store.update(&set).await.unwrap();
    cluster.seconds(&mut controller, 120).await;
    let set = cluster.store.get::<SliceSetSpec>(&name("store")).await.unwrap();
    assert_eq!(set.status.wanted_endpoints, 7, "of 2560 flows a second");
}
