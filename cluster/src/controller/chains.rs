//! Moves that go on from others: what drains may go on once more, where whoever has it leaves.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv6Net;
use ssa_slices::handover::{EndpointName, Handover, Next};

use super::placement::Member;
use crate::objects::{Name, Ownership, Phase, SliceMove};

/// Which of a set's open moves go on from which.
#[derive(Debug, Default)]
pub(super) struct Chains<'a> {
    /// By the move that others go on from.
    later: BTreeMap<&'a Name, Vec<&'a SliceMove>>,
    /// By the move that goes on from others.
    earlier: BTreeMap<&'a Name, Vec<&'a SliceMove>>,
}

impl<'a> Chains<'a> {
    pub(super) fn new(moves: &[&'a SliceMove], ownership: Ownership) -> Self {
        let open = moves.iter().filter(|one| !one.status.phase.is_final());
        let open: Vec<(&SliceMove, Handover)> = open.map(|one| (*one, one.handover())).collect();
        let mut found = Self::default();
        let mut places: BTreeMap<Ipv6Net, Vec<usize>> = BTreeMap::new();
        let mut lengths: BTreeSet<u8> = BTreeSet::new();
        for (place, (_, handover)) in open.iter().enumerate() {
            for prefix in &handover.prefixes {
                places.entry(*prefix).or_default().push(place);
                lengths.insert(prefix.prefix_len());
            }
        }
        for (later, handover) in &open {
            let mut before: BTreeSet<usize> = BTreeSet::new();
            for prefix in &handover.prefixes {
                let lengths = lengths.range(..=prefix.prefix_len());
                let around = lengths.filter_map(|length| Ipv6Net::new(prefix.addr(), *length).ok());
                let around = around.filter_map(|around| places.get(&around.trunc()));
                before.extend(around.flatten().copied());
            }
            for (one, earlier) in before.iter().filter_map(|place| open.get(*place)) {
                if earlier.is_before(handover, ownership.into()) {
                    found.later.entry(one.name()).or_default().push(later);
                    found.earlier.entry(later.name()).or_default().push(one);
                }
            }
        }
        found
    }

    /// Lists the moves that go on from one.
    pub(super) fn later(&self, one: &SliceMove) -> &[&'a SliceMove] {
        self.later.get(one.name()).map_or(&[], Vec::as_slice)
    }

    /// Lists the moves that one goes on from.
    pub(super) fn earlier(&self, one: &SliceMove) -> &[&'a SliceMove] {
        self.earlier.get(one.name()).map_or(&[], Vec::as_slice)
    }

    /// Lists what may go on as soon as it drains, with whoever has the flows: what is with an endpoint that leaves. It does not
    /// wait for them, for an endpoint that has ended serves nobody. A lost one does not either: what it had goes back.
    pub(super) fn may_go_on(
        &self,
        steps: &[(&SliceMove, Next)],
        members: &[Member],
        ownership: Ownership,
    ) -> BTreeMap<Ipv6Net, Option<EndpointName>> {
        if ownership == Ownership::Exclusive {
            return BTreeMap::new();
        }
        let leaves = |name: &Name| {
            let mut members = members.iter().filter(|member| member.name.as_str() == name.as_str());
            members.any(|member| member.weight == 0 && !member.lost)
        };
        let may = steps.iter().filter(|(one, next)| {
            let stays =
                matches!(next, Next::Wait(_) | Next::WriteMap) || matches!(next, Next::Write(phase) if phase.is_open());
            let is_alone = self.later(one).is_empty() && self.earlier(one).is_empty();
            stays && is_alone && one.status.phase >= Phase::Announce && leaves(one.taker())
        });
        let prefixes = may.flat_map(|(one, _)| {
            let giver = one.giver().map(Name::endpoint);
            let prefixes = one.spec.prefixes.iter();
            prefixes.map(move |prefix| (prefix.net(), giver.clone()))
        });
        prefixes.collect()
    }
}
