//! What is to begin, and who takes part.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv6Net;
use ssa_slices::{
    PlanError, Replicas,
    handover::{EndpointName, Handover, Map, Next, overlap},
};

use super::{
    moves::Around,
    placement::{Member, Numbered, Wish},
    round::Round,
};
use crate::objects::{Name, Prefix, Reason, SliceEndpoint, SliceMove, SliceSet};

/// Lists a set's endpoints. Those that are not ready, lost or drained, or refuse some of it, have no weight: they own nothing for long.
pub(super) fn members(set: &SliceSet, around: &Around<'_>) -> Vec<Member> {
    let mine = around
        .endpoints
        .values()
        .filter(|one| one.spec.slice_sets.contains(set.name()));
    mine.map(|one| {
        let serves = around.serves(one) && refused(set, one).is_none();
        Member {
            name: one.name().endpoint(),
            weight: if serves { one.spec.weight.get() } else { 0 },
            domain: one.spec.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            lost: around.is_lost(one.name()),
        }
    })
    .collect()
}

/// Lists the endpoints of a set that others take over from: by what standbys say that they have taken, or by a move.
pub(super) fn taken_over<'a>(
    map: &'a Map,
    endpoints: &'a BTreeMap<Name, SliceEndpoint>,
    moves: &'a [&SliceMove],
) -> impl Iterator<Item = &'a Name> {
    let said = endpoints.values().flat_map(|one| {
        let taken = one.status.taken.iter();
        let founded = taken.filter(|taken| map.standby(taken.prefix.net()) == Some(&one.name().endpoint()));
        founded.filter(|taken| map.owner(taken.prefix.net()) == Some(&taken.from.endpoint()))
    });
    let open = moves.iter().filter(|one| !one.status.phase.is_final());
    let failed = open.filter(|one| one.spec.reason == Reason::Failure);
    said.map(|taken| &taken.from)
        .chain(failed.filter_map(|one| one.giver()))
}

/// Returns the map of a set that has none. Whoever is about to get ready is waited for, so that nothing has to move at once.
pub(super) fn begin_map(
    set: &SliceSet,
    numbered: &Numbered<'_>,
    replicas: Replicas,
    around: &Around<'_>,
    round: &mut Round,
) -> Option<Map> {
    if !numbered.can_serve() || around.is_anybody_starting(set.name()) {
        return None;
    }
    match numbered.first_map(replicas, set.spec.standby) {
        Ok(map) => {
            round.told.push(format!("set {}: slices are given out", set.name()));
            Some(map)
        }
        Err(error) => {
            round.faults.push(format!("SliceSet {}: {error}", set.name()));
            None
        }
    }
}

/// Says whether every endpoint that is there follows the map.
pub(super) fn all_follow(members: &[Member], around: &Around<'_>) -> bool {
    members.iter().filter(|member| !member.lost).all(|member| {
        let name = Name::new(member.name.as_str());
        name.is_ok_and(|name| around.follows(&name) == around.map.epoch())
    })
}

/// Lists the moves that are to begin: what standbys have taken, what lost owners have, then whatever spreads slices evenly, of
/// which at most `spreads`.
pub(super) fn wishes(
    numbered: &Numbered<'_>,
    replicas: Replicas,
    around: &Around<'_>,
    members: &[Member],
    open: &[(&SliceMove, Next)],
    spreads: usize,
) -> Result<Vec<Wish>, PlanError> {
    let busy = open.iter().flat_map(|(one, _)| &one.spec.prefixes);
    let mut busy: BTreeSet<Ipv6Net> = busy.map(|prefix| prefix.net()).collect();
    let mut wishes = takeovers(members, around, &busy);
    busy.extend(wishes.iter().flat_map(|wish| wish.prefixes.iter().copied()));
    let failures = numbered.failures(around.map, &busy);
    busy.extend(failures.iter().flat_map(|wish| wish.prefixes.iter().copied()));
    wishes.extend(failures);
    if numbered.can_serve() && spreads > 0 {
        let arrived = arrived(around.map, open);
        let draining = around.chains.may_go_on(open, members, around.set.ownership);
        busy.retain(|prefix| !draining.contains_key(prefix));
        let spread = numbered.spread(replicas, &arrived, &busy, &draining)?;
        wishes.extend(spread.into_iter().take(spreads));
    }
    Ok(wishes)
}

/// Returns the map as it will be: what is on its way counts where it goes to, for it may take as long as its flows last.
pub(super) fn arrived(map: &Map, open: &[(&SliceMove, Next)]) -> Map {
    let mut handovers: Vec<Handover> = open.iter().map(|(one, _)| one.handover()).collect();
    handovers.sort_by_key(|one| one.epoch);
    handovers.iter().fold(map.clone(), |map, one| {
        map.with_owner(&one.prefixes, &one.to, map.epoch())
    })
}

/// Finds a prefix of a set that an endpoint has refused since its agent began. Such an endpoint is to have nothing of the
/// set: whatever it may not route, it is not told what that is before it is given it.
fn refused(set: &SliceSet, endpoint: &SliceEndpoint) -> Option<Prefix> {
    if endpoint.status.refused.is_empty() {
        return None;
    }
    let space = set.spec.space().ok()?;
    let is_of_set = |prefix: &&Prefix| space.items().any(|item| overlap(item, prefix.net()));
    endpoint.status.refused.iter().find(is_of_set).copied()
}

/// Says which endpoints of a set refuse some of it.
pub(super) fn refusing(set: &SliceSet, endpoints: &BTreeMap<Name, SliceEndpoint>) -> Vec<String> {
    let mine = endpoints
        .values()
        .filter(|one| one.spec.slice_sets.contains(set.name()));
    mine.filter_map(|one| {
        let prefix = refused(set, one)?;
        Some(format!(
            "{} refuses {prefix}, which its agent is not allowed to route",
            one.name()
        ))
    })
    .collect()
}

/// Says which endpoints that own something of an exclusive set do not hold their lease, so that they take no new flows, and
/// which do not follow its map yet, so that they may not be fenced.
pub(super) fn unfenced(set: &SliceSet, around: &Around<'_>) -> Vec<String> {
    let owners: BTreeSet<&EndpointName> = around.map.owned().map(|(_, owner)| owner).collect();
    let mut told = Vec::new();
    for owner in owners {
        let endpoint = around.endpoints.get(owner.as_str());
        let held = endpoint.is_some_and(|endpoint| around.leased.is_held(endpoint));
        if !held {
            told.push(format!("{owner} does not hold its lease and takes no new flows"));
        }
    }
    let mine = around
        .endpoints
        .values()
        .filter(|one| one.spec.slice_sets.contains(set.name()));
    for endpoint in mine.filter(|one| !around.is_lost(one.name())) {
        if around.follows(endpoint.name()) != around.map.epoch() {
            told.push(format!(
                "{} does not follow epoch {} of the map yet",
                endpoint.name(),
                around.map.epoch()
            ));
        }
    }
    told
}

/// Wishes for what standbys have taken over already to be theirs by the map too.
pub(super) fn takeovers(members: &[Member], around: &Around<'_>, busy: &BTreeSet<Ipv6Net>) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for member in members.iter().filter(|member| !member.lost) {
        let mut by_owner: BTreeMap<EndpointName, Vec<Ipv6Net>> = BTreeMap::new();
        for (prefix, owner) in taken(member, around) {
            if stands_by(member, prefix, around) && !busy.iter().any(|other| overlap(*other, prefix)) {
                by_owner.entry(owner).or_default().push(prefix);
            }
        }
        wishes.extend(by_owner.into_iter().map(|(owner, prefixes)| Wish {
            from: Some(owner),
            to: member.name.clone(),
            prefixes,
            reason: Reason::Failure,
        }));
    }
    wishes
}

/// Lists what an endpoint says it has taken of those that own it by the map.
fn taken<'a>(member: &Member, around: &'a Around<'_>) -> impl Iterator<Item = (Ipv6Net, EndpointName)> + use<'a> {
    let endpoint = around.endpoints.get(member.name.as_str()).into_iter();
    let taken = endpoint.flat_map(|endpoint| &endpoint.status.taken);
    let taken = taken.map(|taken| (taken.prefix.net(), taken.from.endpoint()));
    taken.filter(|(prefix, owner)| around.map.owner(*prefix) == Some(owner))
}

/// Returns whether an endpoint stands by for a prefix: whoever does not has nothing to take, whatever it says.
fn stands_by(member: &Member, prefix: Ipv6Net, around: &Around<'_>) -> bool {
    around.map.standby(prefix) == Some(&member.name)
}

/// Lists, for people, what endpoints say they have taken without standing by for it.
pub(super) fn unfounded(set: &SliceSet, members: &[Member], around: &Around<'_>) -> Vec<String> {
    let told = members.iter().flat_map(|member| {
        let unfounded = taken(member, around).filter(|(prefix, _)| !stands_by(member, *prefix, around));
        unfounded.map(|(prefix, owner)| {
            let (set, member) = (set.name(), &member.name);
            format!(
                "SliceSet {set}: {member} says that it has taken {prefix} of {owner}, and does not stand by for it: the \
                 map stays"
            )
        })
    });
    told.collect()
}

/// Says which pins are of a part of a slice; they are ignored, for such a part does not move by itself.
pub(super) fn partial_pins(set: &SliceSet, slice_length: u8) -> impl Iterator<Item = String> {
    let pins = set.spec.placement.pinned.iter().zip(0..);
    let partial = pins.filter(move |(pin, _): &(_, usize)| pin.prefix.net().prefix_len() > slice_length);
    partial.map(move |(pin, number)| {
        let (set, prefix) = (set.name(), pin.prefix);
        format!(
            "SliceSet {set}: spec.placement.pinned[{number}].prefix: {prefix} is a part of a slice, a /{slice_length}, \
             and is ignored"
        )
    })
}
