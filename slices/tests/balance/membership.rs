//! Endpoints come and go: few moves, even shares, standbys apart.

use std::time::{Duration, Instant};

use ipnet::Ipv6Net;
use ssa_slices::balance::{Block, standbys};
use ssa_slices::{DomainId, Endpoint, EndpointId, Replicas, SliceBits, SliceSpace, plan};

fn space(bits: u8) -> SliceSpace {
    let item: Ipv6Net = "2001:db8::/48".parse().unwrap();
    SliceSpace::new(&[item], SliceBits::new(bits).unwrap()).unwrap()
}

fn index(number: usize) -> EndpointId {
    EndpointId::new(u32::try_from(number).unwrap())
}

/// `active` endpoints with weight, of `all`.
fn endpoints(active: usize, all: usize) -> Vec<Endpoint> {
    (0..all)
        .map(|number| Endpoint::of_weight(u32::from(number < active)))
        .collect()
}

#[test]
fn from_10_to_1000_and_back_moves_hardly_more_than_the_least() {
    let space = space(17);
    let mut current: Vec<Option<EndpointId>> = vec![None; space.count()];
    let mut longest = Duration::ZERO;
    let (mut moves, mut least) = (0, 0);
    for active in [10, 40, 160, 500, 1000, 999, 700, 100, 10] {
        let began = Instant::now();
        let planned = plan(&space, Replicas::SINGLE, &current, &endpoints(active, 1000)).unwrap();
        longest = longest.max(began.elapsed());
        if current[0].is_some() {
            moves += planned.moves.len();
            least += planned.report.lower_bound;
        }
        let mut counts = vec![0_usize; active];
        for owner in &planned.assignment {
            counts[owner.get() as usize] += 1;
        }
        let (most, fair) = (*counts.iter().max().unwrap(), space.count().div_ceil(active));
        assert!(most <= fair, "{active} endpoints: {most} slices where {fair} are fair");
        assert!(most * active * 100 <= space.count() * 101, "{active} endpoints: {most}");
        current = planned.assignment.into_iter().map(Some).collect();
    }
    println!("{moves} moves where {least} are the least; a plan took {longest:?} at most");
    assert!(moves * 100 <= least * 102, "{moves} moves where {least} are the least");
}

#[test]
fn standbys_are_of_another_domain_and_share_the_load_of_a_loss() {
    let endpoints: Vec<Endpoint> = (0..30)
        .map(|number| Endpoint {
            weight: 1,
            domain: Some(DomainId::new(number % 3)),
        })
        .collect();
    let mut blocks: Vec<Block> = (0..30 * 20)
        .map(|number| Block {
            owner: index(number % 30),
            slices: 10,
            standby: None,
        })
        .collect();
    let chosen = standbys(&blocks, &endpoints);
    let mut counts = [0; 30];
    for (block, standby) in blocks.iter().zip(&chosen) {
        let standby = standby.unwrap();
        assert_ne!(
            endpoints[standby.get() as usize].domain,
            endpoints[block.owner.get() as usize].domain
        );
        counts[standby.get() as usize] += 1;
    }
    assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&20), Some(&20)));

    // Those that are good stay: one endpoint leaves, and only what it stood by for, or cannot any more, changes.
    for (block, standby) in blocks.iter_mut().zip(&chosen) {
        block.standby = *standby;
    }
    let mut without = endpoints.clone();
    without[7].weight = 0;
    let again = standbys(&blocks, &without);
    for (before, after) in chosen.iter().zip(&again) {
        assert!(before == after || *before == Some(index(7)));
        assert_ne!(*after, Some(index(7)));
    }
}

#[test]
fn one_endpoint_has_no_standby_and_one_domain_is_better_than_none() {
    let block = |owner| Block {
        owner: index(owner),
        slices: 1,
        standby: None,
    };
    assert_eq!(standbys(&[block(0)], &[Endpoint::of_weight(1)]), [None]);
    let same = Endpoint {
        weight: 1,
        domain: Some(DomainId::new(0)),
    };
    assert_eq!(
        standbys(&[block(0), block(1)], &[same, same]),
        [Some(index(1)), Some(index(0))]
    );
}
