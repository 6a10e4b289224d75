//! What the leader knows of a set.

use std::collections::BTreeMap;

use ssa_slices::{
    SliceSpace,
    handover::{Awaited, EndpointName, Map, Phase},
};

use super::placement::{Member, slots};
use crate::objects::Reason;

/// What the leader knows of a set after a round.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How many slices there are.
    pub slices: usize,
    /// Slices that nobody owns.
    pub without_owner: usize,
    /// Slices that nobody stands by for.
    pub without_standby: usize,
    /// Its endpoints.
    pub endpoints: usize,
    /// Endpoints that are to have slices.
    pub serving: usize,
    /// How many endpoints the load asks for; those that there are, where no target is given.
    pub wanted: u32,
    /// The highest load of an endpoint relative to its share, in thousandths: 1000 is even. Where loads are not known, by
    /// the number of its slices.
    pub imbalance_permille: u32,
    /// How far above its share an endpoint may be, in thousandths.
    pub tolerance_permille: u32,
    /// The load of all slices, in thousandths of a flow or byte a second, if it is known.
    pub load: Option<u64>,
    /// The same, of each endpoint.
    pub loads: BTreeMap<EndpointName, u64>,
    /// The share of slices of each endpoint that is to have some: how many it owns.
    pub owned: BTreeMap<EndpointName, usize>,
    /// Open moves, by phase and reason.
    pub moves: BTreeMap<(Phase, Reason), usize>,
    /// Open moves, by what they wait for.
    pub waiting: BTreeMap<Awaited, usize>,
    /// Open moves that have been in one phase for longer than a phase should take, by name.
    pub stuck: Vec<String>,
    /// Nodes whose FIB has not followed an open move yet.
    pub behind: usize,
    /// Why some endpoints are not fenced or take nothing, for people; none where ownership is not exclusive.
    pub unfenced: Option<Vec<String>>,
    /// What endpoints refuse, for people.
    pub refused: Vec<String>,
    /// The epoch of the round.
    pub epoch: u64,
}

impl Report {
    /// Returns how many moves are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.moves.values().sum()
    }

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
        let owned_by = members.iter().map(|member| {
            let count = counts.get(member.name.as_str()).copied().unwrap_or(0);
            (member.name.clone(), count)
        });
        Self {
            owned: owned_by.collect(),
            endpoints: members.len(),
            slices: space.count(),
            without_owner: space.count().saturating_sub(owned),
            without_standby: space.count().saturating_sub(stood_by),
            serving: serving.clone().count(),
            imbalance_permille: serving.map(permille).max().unwrap_or(0),
            ..Self::default()
        }
    }
}
