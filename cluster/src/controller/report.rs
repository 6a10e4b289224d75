//! What the leader tells of a set: its status and metrics.

use std::collections::BTreeMap;

use ssa_slices::{
    SliceSpace,
    handover::{Awaited, Map, Phase},
};

use super::placement::{Member, slots};
use crate::{
    metrics::{Family, Registry},
    objects::Name,
};

/// What the leader knows of a set after a round.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How many slices there are.
    pub slices: usize,
    /// Slices that nobody owns.
    pub without_owner: usize,
    /// Slices that nobody stands by for.
    pub without_standby: usize,
    /// Endpoints that are to have slices.
    pub serving: usize,
    /// The most slices of an endpoint relative to its share, in thousandths: 1000 is even.
    pub imbalance_permille: u32,
    /// Open moves, by phase.
    pub moves: BTreeMap<Phase, usize>,
    /// Open moves, by what they wait for.
    pub waiting: BTreeMap<Awaited, usize>,
    /// Open moves that have been in one phase for longer than a phase should take.
    pub stuck: usize,
}

impl Report {
    pub(super) fn new(space: &SliceSpace, map: &Map, members: &[Member]) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut owned, mut stood_by) = (0, 0);
        for (prefix, owner) in map.owned() {
            let count = slots(space, prefix).len();
            owned += count;
            *counts.entry(owner.as_str()).or_default() += count;
            if map.standby(prefix).is_some() {
                stood_by += count;
            }
        }
        let serving = members.iter().filter(|member| member.weight > 0);
        let weights: u64 = serving.clone().map(|member| u64::from(member.weight)).sum();
        let permille = |member: &Member| {
            let count = counts.get(member.name.as_str()).copied().unwrap_or(0);
            let count = u128::try_from(count).unwrap_or(0) * 1000 * u128::from(weights);
            let all = u128::try_from(space.count()).unwrap_or(1) * u128::from(member.weight);
            u32::try_from(count / all.max(1)).unwrap_or(u32::MAX)
        };
        Self {
            slices: space.count(),
            without_owner: space.count().saturating_sub(owned),
            without_standby: space.count().saturating_sub(stood_by),
            serving: serving.clone().count(),
            imbalance_permille: serving.map(permille).max().unwrap_or(0),
            ..Self::default()
        }
    }
}

const SLICES: Family = Family::gauge("ssa_cluster_slices", "Slices of the set.");
const WITHOUT_OWNER: Family = Family::gauge("ssa_cluster_slices_without_owner", "Slices that no endpoint owns.");
const WITHOUT_STANDBY: Family = Family::gauge(
    "ssa_cluster_slices_without_standby",
    "Slices that no endpoint stands by for.",
);
const ENDPOINTS: Family = Family::gauge("ssa_cluster_endpoints", "Endpoints that are to have slices.");
const IMBALANCE: Family = Family::gauge(
    "ssa_cluster_imbalance_permille",
    "The most slices of an endpoint relative to its share, in thousandths.",
);
const MOVES: Family = Family::gauge("ssa_cluster_moves", "Open moves, by phase.");
const WAITING: Family = Family::gauge("ssa_cluster_moves_waiting", "Open moves, by what they wait for.");
const STUCK: Family = Family::gauge(
    "ssa_cluster_moves_stuck",
    "Open moves that have been in one phase, other than Drain, for longer than the set's deadline.",
);

/// Writes reports of sets into a registry, in place of those before.
pub fn record(registry: &Registry, reports: &BTreeMap<Name, Report>) {
    let all = [
        SLICES,
        WITHOUT_OWNER,
        WITHOUT_STANDBY,
        ENDPOINTS,
        IMBALANCE,
        MOVES,
        WAITING,
        STUCK,
    ];
    for family in &all {
        registry.clear(family);
    }
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    for (set, report) in reports {
        let of_set: (&str, &str) = ("slice_set", set.as_str());
        for (family, value) in [
            (SLICES, number(report.slices)),
            (WITHOUT_OWNER, number(report.without_owner)),
            (WITHOUT_STANDBY, number(report.without_standby)),
            (ENDPOINTS, number(report.serving)),
            (IMBALANCE, f64::from(report.imbalance_permille)),
            (STUCK, number(report.stuck)),
        ] {
            registry.set(&family, &[of_set], value);
        }
        for phase in Phase::ALL.into_iter().filter(|phase| phase.is_open()) {
            let count = report.moves.get(&phase).copied().unwrap_or(0);
            registry.set(&MOVES, &[of_set, ("phase", phase.name())], number(count));
        }
        for (awaited, count) in &report.waiting {
            registry.set(&WAITING, &[of_set, ("for", awaited.name())], number(*count));
        }
    }
}
