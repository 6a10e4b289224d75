//! What the leader tells of a set: its status and metrics.

use std::{collections::BTreeMap, fmt::Write as _};

use ssa_slices::{
    SliceSpace,
    handover::{Awaited, Map, Phase},
};

use super::placement::{Member, slots};
use crate::objects::Name;

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

/// Writes reports of sets as Prometheus reads them.
#[must_use]
pub fn metrics(reports: &BTreeMap<Name, Report>) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, values: &dyn Fn(&Report) -> Vec<(String, u64)>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (set, report) in reports {
            for (labels, value) in values(report) {
                let _ = writeln!(text, "{name}{{slice_set=\"{set}\"{labels}}} {value}");
            }
        }
    };
    let one = |value: usize| vec![(String::new(), u64::try_from(value).unwrap_or(u64::MAX))];
    gauge("ssa_cluster_slices", "Slices of the set.", &|report| one(report.slices));
    gauge(
        "ssa_cluster_slices_without_owner",
        "Slices that no endpoint owns.",
        &|report| one(report.without_owner),
    );
    gauge(
        "ssa_cluster_slices_without_standby",
        "Slices that no endpoint stands by for.",
        &|report| one(report.without_standby),
    );
    gauge(
        "ssa_cluster_endpoints",
        "Endpoints that are to have slices.",
        &|report| one(report.serving),
    );
    gauge(
        "ssa_cluster_imbalance_permille",
        "The most slices of an endpoint relative to its share, in thousandths.",
        &|report| vec![(String::new(), report.imbalance_permille.into())],
    );
    gauge("ssa_cluster_moves", "Open moves, by phase.", &|report| {
        let open = Phase::ALL.into_iter().filter(|phase| phase.is_open());
        let count = |phase| {
            report
                .moves
                .get(&phase)
                .map_or(0, |count| u64::try_from(*count).unwrap_or(u64::MAX))
        };
        open.map(|phase| (format!(",phase=\"{phase}\""), count(phase)))
            .collect()
    });
    gauge(
        "ssa_cluster_moves_waiting",
        "Open moves, by what they wait for.",
        &|report| {
            let waiting = report.waiting.iter();
            waiting
                .map(|(awaited, count)| {
                    let count = u64::try_from(*count).unwrap_or(u64::MAX);
                    (format!(",for=\"{}\"", awaited.name()), count)
                })
                .collect()
        },
    );
    gauge(
        "ssa_cluster_moves_stuck",
        "Open moves that have been in one phase, other than Drain, for longer than the set's deadline.",
        &|report| one(report.stuck),
    );
    text
}
