//! The controller with agents that have no kernels: they report at once what the store asks of them.

mod balance;
mod chains;
mod dry;
mod exclusive;
mod pods;
mod sets;
mod trust;

use std::{sync::Arc, time::Duration};

use dry::{Cluster, Crashing, Seen, size, wall};
use ssa_cluster::{
    controller::{Controller, Options, record},
    metrics::Registry,
    objects::{Kind, Name, Ownership, Phase, Reason, SliceMapSpec, SliceMove, SliceMoveSpec, SliceSetSpec},
    store::{Backend as _, Memory, Part, Store},
};

fn options() -> Options {
    Options {
        quiet: Duration::ZERO,
        ..Options::default()
    }
}

fn cluster(endpoints: usize) -> Cluster {
    Cluster::new(Store::new(Arc::new(Memory::new())), endpoints)
}

#[tokio::test]
async fn from_4_to_16_and_back_moves_the_fewest_and_always_has_an_owner() {
    let mut cluster = cluster(4);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    assert_eq!(cluster.counts().await, [64; 4]);
    let mut moved = 0;
    for (endpoints, least) in [(16, 192), (4, 192)] {
        cluster.scale(endpoints).await;
        let seen = cluster.settle(&mut controller).await;
        assert_eq!(cluster.counts().await, vec![256 / endpoints; endpoints]);
        assert_eq!(seen.moved, least);
        moved += seen.moved;
    }
    assert_eq!(moved, 384);
    let last = controller.round(cluster.now, dry::wall(cluster.now)).await.unwrap();
    let registry = Registry::default();
    record(&registry, &last);
    let text = registry.text();
    for line in [
        "ssa_cluster_slices_without_owner{slice_set=\"store\"} 0",
        "ssa_cluster_slices_without_standby{slice_set=\"store\"} 0",
        "ssa_cluster_imbalance_permille{slice_set=\"store\"} 1000",
        "ssa_cluster_tolerance_permille{slice_set=\"store\"} 1100",
        "ssa_cluster_endpoint_slices{slice_set=\"store\",endpoint=\"e3\"} 64",
        "ssa_cluster_nodes_behind{slice_set=\"store\"} 0",
    ] {
        assert!(text.contains(line), "{line} is missing of\n{text}");
    }
}

/// `ssa-bench controller` does the same from 10 to 1000 endpoints and back, with 2^17 slices.
#[tokio::test]
async fn at_every_size_the_fewest_slices_move_and_nobody_has_two_more_than_another() {
    let mut cluster = cluster(10);
    cluster.bits = 10;
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    for endpoints in [40, 7, 10] {
        let before = cluster.counts().await;
        cluster.scale(endpoints).await;
        let seen = cluster.settle(&mut controller).await;
        let after = cluster.counts().await;
        let (share, rest) = (1024 / endpoints, 1024 % endpoints);
        let mut stays: Vec<usize> = before.iter().take(endpoints).copied().collect();
        stays.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
        let kept = stays
            .iter()
            .enumerate()
            .map(|(place, has)| (*has).min(share + usize::from(place < rest)));
        assert_eq!(seen.moved, 1024 - kept.sum::<usize>(), "{endpoints} endpoints");
        assert!(
            after.iter().all(|count| (share..=share + 1).contains(count)),
            "{after:?}"
        );
    }
}

#[tokio::test]
async fn a_controller_that_dies_at_any_write_leaves_nothing_that_the_next_does_not_finish() {
    let mut wrote_all = false;
    for writes in (1..400).step_by(3) {
        let backend = Arc::new(Crashing::new(Memory::new()));
        let plain = Store::new(Arc::new(backend.memory()));
        let mut cluster = Cluster::new(plain, 3);
        let doomed = Store::new(backend.clone());
        let mut controller = Controller::new(doomed.clone(), options());
        cluster.settle(&mut controller).await;
        cluster.scale(5).await;
        // The write is kept or lost, by turns; whoever made it never knows.
        backend.crash_at(writes / 2 + 1, writes % 2 == 0);
        let crashed = cluster.settle_until_crash(&mut controller).await;
        if !crashed {
            wrote_all = true;
            break;
        }
        backend.revive();
        let mut next = Controller::new(doomed, options());
        cluster.settle(&mut next).await;
        let mut counts = cluster.counts().await;
        counts.sort_unstable();
        assert_eq!(counts, [51, 51, 51, 51, 52], "after a crash at write {writes}");
    }
    assert!(wrote_all, "a scale-up has more than 200 writes");
}

#[tokio::test]
async fn what_is_not_counted_is_not_quiet() {
    let longest = options().converge_limit;
    for uncounted in [false, true] {
        let mut cluster = cluster(3);
        let mut controller = Controller::new(cluster.store.clone(), options());
        cluster.settle(&mut controller).await;
        cluster.uncounted = uncounted;
        cluster.scale(4).await;
        let before = cluster.now;
        let mut phase = Phase::Prepare;
        while phase < Phase::Drain {
            controller.round(cluster.now, wall(cluster.now)).await.unwrap();
            cluster.step().await;
            let moves = cluster.store.list::<SliceMoveSpec>().await.unwrap().objects;
            let open = moves
                .iter()
                .map(|one| one.status.phase)
                .filter(|phase| !phase.is_final());
            phase = open.max().unwrap_or(Phase::Prepare);
            assert!(cluster.now < before + longest * 4, "no move gets on");
        }
        // Routers are waited for in one phase until then.
        let took = cluster.now.saturating_sub(before);
        assert_eq!(took >= longest, uncounted, "{took:?}");
    }
}

#[tokio::test]
async fn a_dead_endpoint_gives_its_slices_to_its_standbys() {
    let mut cluster = cluster(4);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    cluster.kill("e1");
    let seen = cluster.settle(&mut controller).await;
    assert!(seen.reasons.contains(&Reason::Failure));
    let counts = cluster.counts().await;
    assert_eq!(counts[1], 0);
    assert_eq!(counts.iter().sum::<usize>(), 256);
    assert!(
        counts.iter().all(|count| *count == 0 || (85..=86).contains(count)),
        "{counts:?}"
    );
}

#[tokio::test]
async fn a_dead_endpoint_gets_nothing_from_a_leader_that_is_new() {
    let mut cluster = cluster(4);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    drop(controller);
    // Its status says that it is ready, and it will never renew it; what e2 has is to go somewhere.
    cluster.kill("e1");
    cluster.drain("e2").await;
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    let moves = cluster.store.list::<SliceMoveSpec>().await.unwrap().objects;
    let to_the_dead = moves.iter().filter(|one| one.taker().as_str() == "e1");
    assert_eq!(to_the_dead.map(SliceMove::name).collect::<Vec<_>>(), [] as [&Name; 0]);
    assert_eq!(cluster.counts().await, [128, 0, 0, 128]);
}

#[tokio::test]
async fn whoever_was_taken_over_from_gets_nothing_back_before_it_is_seen_to_live() {
    for is_dead in [true, false] {
        let mut cluster = cluster(4);
        let mut controller = Controller::new(cluster.store.clone(), options());
        cluster.settle(&mut controller).await;
        if is_dead {
            cluster.kill("e1");
        }
        cluster.take_over("e1").await;
        cluster.settle(&mut controller).await;
        let moves = cluster.store.list::<SliceMoveSpec>().await.unwrap().objects;
        assert!(moves.iter().any(|one| one.spec.reason == Reason::Failure), "{moves:?}");
        let back = moves.iter().filter(|one| one.taker().as_str() == "e1").count();
        assert_eq!(back == 0, is_dead, "{moves:?}");
        let counts = cluster.counts().await;
        let expected = if is_dead { 85..=86 } else { 64..=64 };
        let is_even = |number: usize| expected.contains(&counts[number]) || (is_dead && number == 1);
        assert!((0..4).all(is_even), "{counts:?}");
    }
}

#[tokio::test]
async fn a_controller_that_was_away_moves_nothing_when_it_is_back() {
    let mut cluster = cluster(4);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    drop(controller);
    for _ in 0..60 {
        cluster.step().await;
    }
    let mut controller = Controller::new(cluster.store.clone(), options());
    let Seen { moved, .. } = cluster.settle(&mut controller).await;
    assert_eq!(moved, 0);
}

#[tokio::test]
async fn a_cancelled_move_goes_back_in_every_phase() {
    for phase in [Phase::Prepare, Phase::Arm, Phase::Announce, Phase::Drain] {
        let mut cluster = cluster(2);
        let mut controller = Controller::new(cluster.store.clone(), options());
        cluster.settle(&mut controller).await;
        cluster.pause(true).await;
        let before = cluster.owners().await;
        cluster.flows = 1; // so that Drain lasts
        let name = cluster.move_by_hand("e0", "e1").await;
        cluster.until(&mut controller, &name, phase).await;
        let mut one = cluster.store.get::<SliceMoveSpec>(&name).await.unwrap();
        one.spec.cancelled = true;
        cluster.store.update(&one).await.unwrap();
        cluster.flows = 0;
        cluster.settle(&mut controller).await;
        assert_eq!(cluster.owners().await, before, "cancelled in {phase:?}");
        let one = cluster.store.get::<SliceMoveSpec>(&name).await.unwrap();
        assert!(one.status.phase.is_final());
        assert_eq!(one.status.turned_back, phase != Phase::Prepare, "{phase:?}");
    }
}

#[tokio::test]
async fn what_is_on_its_way_counts_where_it_goes_to() {
    let mut cluster = cluster(2);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    cluster.flows = 1; // the drain would not end for minutes
    for (endpoints, kept) in [(3, 85), (4, 64)] {
        cluster.scale(endpoints).await;
        for _ in 0..20 {
            cluster.step().await;
            controller.round(cluster.now, wall(cluster.now)).await.unwrap();
        }
        let mut counts = cluster.counts().await;
        for one in cluster.store.list::<SliceMoveSpec>().await.unwrap().objects {
            let slices: usize = one.spec.prefixes.iter().map(|prefix| size(8, prefix) >> 8).sum();
            let number = |name: &Name| name.as_str()[1..].parse::<usize>().unwrap();
            counts[number(one.giver().unwrap())] -= slices;
            counts[number(one.taker())] += slices;
        }
        // Those that draining moves go to give nothing back yet.
        assert!(counts[0] >= kept && counts[1] >= kept && counts[2] <= 86, "{counts:?}");
    }
}

#[tokio::test]
async fn what_is_on_its_way_to_an_endpoint_that_leaves_goes_back_in_every_phase() {
    for is_drained in [true, false] {
        for phase in [Phase::Prepare, Phase::Arm, Phase::Announce, Phase::Drain] {
            let mut cluster = cluster(3);
            let mut controller = Controller::new(cluster.store.clone(), options());
            cluster.settle(&mut controller).await;
            cluster.pause(true).await;
            let before = cluster.owners().await;
            cluster.flows = 1; // the drain would not end for minutes
            let name = cluster.move_by_hand("e0", "e1").await;
            cluster.until(&mut controller, &name, phase).await;
            if is_drained {
                cluster.drain("e1").await;
            } else {
                cluster.unready.insert("e1".to_owned());
            }
            cluster.step().await;
            controller.round(cluster.now, wall(cluster.now)).await.unwrap();
            let one = cluster.store.get::<SliceMoveSpec>(&name).await.unwrap();
            let is_off = one.status.turned_back || one.status.phase.is_final();
            assert!(is_off, "in {phase:?}, drained: {is_drained}");
            cluster.flows = 0;
            cluster.settle(&mut controller).await;
            assert_eq!(cluster.owners().await, before, "in {phase:?}, drained: {is_drained}");
        }
    }
}

#[tokio::test]
async fn a_drained_endpoint_has_nothing_and_one_that_is_not_ready_gets_nothing() {
    let mut cluster = cluster(4);
    cluster.unready.insert("e2".to_owned());
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    assert_eq!(cluster.counts().await[2], 0);
    cluster.unready.clear();
    cluster.drain("e0").await;
    cluster.settle(&mut controller).await;
    let counts = cluster.counts().await;
    assert_eq!(counts[0], 0);
    assert!(counts[1..].iter().all(|count| (85..=86).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn a_pinned_prefix_goes_to_its_endpoint_and_stays_and_the_rest_stays_even() {
    let mut cluster = cluster(4);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    let owners = cluster.owners().await;
    let to = if owners[7] == "e3" { "e2" } else { "e3" };
    cluster.pin("2001:db8:5:0:700::/72", to).await;
    let seen = cluster.settle(&mut controller).await;
    assert_eq!(cluster.owners().await[7], to);
    assert_eq!(cluster.counts().await, [64; 4]);
    // It and what is given for it.
    assert_eq!((seen.moved, seen.reasons.contains(&Reason::Manual)), (2, true));
    assert_eq!(cluster.settle(&mut controller).await.moved, 0);
    // More than its share is what was asked for, whoever comes and goes; the others share what is left.
    cluster.pin("2001:db8:5::/65", to).await;
    cluster.settle(&mut controller).await;
    let counts = cluster.counts().await;
    assert_eq!(counts.iter().max(), Some(&128));
    assert_eq!(counts.iter().sum::<usize>(), 256);
    assert!(cluster.owners().await[..128].iter().all(|owner| owner == to));
    assert_eq!(cluster.settle(&mut controller).await.moved, 0);
    // One that is drained leaves its pins to the plan.
    cluster.drain(to).await;
    cluster.settle(&mut controller).await;
    assert!(cluster.owners().await.iter().all(|owner| owner != to));
}

#[tokio::test]
async fn the_ownership_of_a_set_is_in_its_map_and_changes_with_it() {
    let mut cluster = cluster(2);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    for ownership in [Ownership::Exclusive, Ownership::Available] {
        let mut set = cluster.store.get::<SliceSetSpec>(&dry::name("store")).await.unwrap();
        set.spec.ownership = ownership;
        cluster.store.update(&set).await.unwrap();
        assert_eq!(cluster.settle(&mut controller).await.moved, 0);
        let maps = cluster.store.list::<SliceMapSpec>().await.unwrap().objects;
        assert!(maps.iter().all(|map| map.spec.ownership == ownership), "{maps:?}");
    }
}

#[tokio::test]
async fn what_is_left_of_a_set_goes_with_it_and_stays_while_it_is_at_fault() {
    let memory = Memory::new();
    let mut cluster = Cluster::new(Store::new(Arc::new(memory.clone())), 3);
    let mut controller = Controller::new(cluster.store.clone(), options());
    cluster.settle(&mut controller).await;
    cluster.move_by_hand("e0", "e1").await;
    let name = dry::name("store");
    let left = async |store: &Store| {
        let maps = store.list::<SliceMapSpec>().await.unwrap().objects.len();
        (maps, store.list::<SliceMoveSpec>().await.unwrap().objects.is_empty())
    };
    let mut raw = memory.get(Kind::SliceSet, &name).await.unwrap();
    raw.spec["bits"] = 99.into();
    memory.update(Kind::SliceSet, raw, Part::Spec).await.unwrap();
    controller.round(cluster.now, dry::wall(cluster.now)).await.unwrap();
    assert_eq!(left(&cluster.store).await, (1, false));
    cluster.store.delete::<SliceSetSpec>(&name, None).await.unwrap();
    controller.round(cluster.now, dry::wall(cluster.now)).await.unwrap();
    assert_eq!(left(&cluster.store).await, (0, true));
}
