//! Which slices are to go where, by membership and failures, and who is to stand by.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv6Net;
use ssa_slices::{
    DomainId, Endpoint, EndpointId, PlanError, Replicas, SliceId, SliceSpace,
    balance::{Block, standbys},
    handover::{EndpointName, Map, overlap},
    plan,
};

use crate::objects::{MAX_MOVE_PREFIXES, Pin, Reason};

/// An endpoint as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: EndpointName,
    /// 0 if it is to have nothing.
    pub(super) weight: u32,
    pub(super) domain: Option<String>,
    /// It is gone, with all its flows, or silent for long.
    pub(super) lost: bool,
}

/// Prefixes that are to go from one endpoint to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) from: Option<EndpointName>,
    pub(super) to: EndpointName,
    pub(super) prefixes: Vec<Ipv6Net>,
    pub(super) reason: Reason,
}

/// A set's members and slices, by numbers.
pub(super) struct Numbered<'a> {
    space: &'a SliceSpace,
    members: &'a [Member],
    numbers: BTreeMap<&'a EndpointName, EndpointId>,
    endpoints: Vec<Endpoint>,
    /// Where each slice is to be, whatever the plan; of pins that cover it, the longest counts.
    pinned: Vec<Option<EndpointId>>,
}

impl<'a> Numbered<'a> {
    pub(super) fn new(space: &'a SliceSpace, members: &'a [Member], pins: &[Pin]) -> Self {
        let index = |place: usize| EndpointId::new(u32::try_from(place).unwrap_or(u32::MAX));
        let numbers = members.iter().enumerate().map(|(place, one)| (&one.name, index(place)));
        let mut domains: BTreeMap<&str, u32> = BTreeMap::new();
        let endpoints = members.iter().map(|member| {
            let domain = member.domain.as_deref().map(|domain| {
                let next = u32::try_from(domains.len()).unwrap_or(u32::MAX);
                DomainId::new(*domains.entry(domain).or_insert(next))
            });
            Endpoint {
                weight: member.weight,
                domain,
            }
        });
        let numbers: BTreeMap<&EndpointName, EndpointId> = numbers.collect();
        let mut pinned = vec![None; space.count()];
        // A part of a slice does not move by itself.
        let whole = |pin: &&Pin| pin.prefix.net().prefix_len() <= space.slice_length();
        let mut pins: Vec<&Pin> = pins.iter().filter(whole).collect();
        pins.sort_by_key(|pin| pin.prefix.net().prefix_len());
        for pin in pins {
            let at = members
                .iter()
                .find(|member| member.name.as_str() == pin.endpoint.as_str());
            // One that may have nothing leaves its pins to the plan.
            let at = at.filter(|member| member.weight > 0);
            let number = at.and_then(|member| numbers.get(&member.name).copied());
            for place in slots(space, pin.prefix.net()) {
                if let Some(slot) = pinned.get_mut(place) {
                    *slot = number;
                }
            }
        }
        Self {
            space,
            members,
            numbers,
            endpoints: endpoints.collect(),
            pinned,
        }
    }

    /// Plans, and puts what is pinned where it is to be, in exchange for what is not.
    fn assignment(&self, replicas: Replicas, current: &[Option<EndpointId>]) -> Result<Vec<EndpointId>, PlanError> {
        let mut assignment = plan(self.space, replicas, current, &self.endpoints)?.assignment;
        if self.pinned.iter().all(Option::is_none) {
            return Ok(assignment);
        }
        // What may be given in exchange, by where it is planned to be and where it is now.
        let mut free: BTreeMap<(EndpointId, Option<EndpointId>), Vec<usize>> = BTreeMap::new();
        let places = assignment.iter().zip(current).zip(&self.pinned);
        for (place, ((planned, now), _)) in places.enumerate().filter(|(_, (_, pin))| pin.is_none()) {
            free.entry((*planned, *now)).or_default().push(place);
        }
        for (place, pin) in self.pinned.iter().enumerate() {
            let (Some(to), Some(slot)) = (pin, assignment.get_mut(place)) else {
                continue;
            };
            let from = std::mem::replace(slot, *to);
            if from == *to {
                continue;
            }
            // Best one that is where it would go; else one that moves anyway.
            let of_taker = || free.range((*to, None)..=(*to, Some(EndpointId::new(u32::MAX))));
            let moving = || of_taker().map(|(key, _)| *key).find(|(_, now)| *now != Some(*to));
            let key = Some((*to, Some(from))).filter(|key| free.contains_key(key));
            let Some(key) = key.or_else(moving).or_else(|| of_taker().map(|(key, _)| *key).next()) else {
                continue;
            };
            let given = free.get_mut(&key).and_then(Vec::pop);
            if free.get(&key).is_some_and(Vec::is_empty) {
                free.remove(&key);
            }
            if let Some((given, slot)) = given.and_then(|given| Some((given, assignment.get_mut(given)?))) {
                *slot = from;
                free.entry((from, key.1)).or_default().push(given);
            }
        }
        Ok(assignment)
    }

    fn name(&self, index: EndpointId) -> Option<&EndpointName> {
        let place = usize::try_from(index.get()).ok()?;
        self.members.get(place).map(|member| &member.name)
    }

    /// Returns the owner of each slice. Former members that still own something follow after the members.
    fn current(&self, map: &Map) -> Vec<Option<EndpointId>> {
        let mut current = vec![None; self.space.count()];
        for (prefix, owner) in map.owned() {
            let index = self.numbers.get(owner).copied();
            for place in slots(self.space, prefix) {
                if let Some(slot) = current.get_mut(place) {
                    *slot = index;
                }
            }
        }
        current
    }

    /// Says whether anybody may have slices.
    pub(super) fn can_serve(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.weight > 0)
    }

    /// Returns the map for a set that has none: nobody has any flows, so nothing has to be handed over.
    pub(super) fn first_map(&self, replicas: Replicas, with_standby: bool) -> Result<Map, PlanError> {
        let planned = self.assignment(replicas, &vec![None; self.space.count()])?;
        let mut held: BTreeMap<EndpointId, Vec<SliceId>> = BTreeMap::new();
        for (slice, owner) in self.space.slices().zip(&planned) {
            held.entry(*owner).or_default().push(slice);
        }
        let mut owned: Vec<(Ipv6Net, EndpointName)> = Vec::new();
        for (owner, slices) in held {
            if let Some(name) = self.name(owner) {
                let prefixes = self.space.aggregate(slices).unwrap_or_default();
                owned.extend(prefixes.into_iter().map(|prefix| (prefix, name.clone())));
            }
        }
        let empty = Map::default();
        let map = Map::new(empty.epoch(), empty.ownership(), owned, []).unwrap_or_default();
        Ok(if with_standby { self.with_standbys(&map) } else { map })
    }

    /// Returns the map with the standbys that it should have, exactly for what is owned.
    fn with_standbys(&self, map: &Map) -> Map {
        let owned: Vec<(Ipv6Net, EndpointName)> = map.owned().map(|(prefix, owner)| (prefix, owner.clone())).collect();
        let nobody = EndpointId::new(u32::MAX);
        let number = |name: &EndpointName| self.numbers.get(name).copied();
        let blocks: Vec<Block> = owned
            .iter()
            .map(|(prefix, owner)| Block {
                owner: number(owner).unwrap_or(nobody),
                slices: slots(self.space, *prefix).len().max(1),
                standby: map.standby(*prefix).and_then(number),
            })
            .collect();
        let chosen = standbys(&blocks, &self.endpoints);
        let standby = owned.iter().zip(chosen).filter_map(|((prefix, _), standby)| {
            let name = self.name(standby?)?;
            Some((*prefix, name.clone()))
        });
        Map::new(map.epoch(), map.ownership(), owned.clone(), standby.collect::<Vec<_>>())
            .unwrap_or_else(|_| map.clone())
    }

    /// Returns the map after this one that joins what belongs together and has the standbys that there should be; `None`
    /// if it is so already. Every endpoint has to follow the map before: first standbys get the joined prefixes, which
    /// cover those of the owners, and then owners do.
    pub(super) fn tidied(&self, map: &Map, with_standby: bool) -> Option<Map> {
        let mut slices: BTreeMap<&EndpointName, Vec<SliceId>> = BTreeMap::new();
        let mut parts: Vec<(Ipv6Net, EndpointName)> = Vec::new();
        for (prefix, owner) in map.owned() {
            if prefix.prefix_len() > self.space.slice_length() {
                parts.push((prefix, owner.clone()));
                continue;
            }
            let list = slices.entry(owner).or_default();
            list.extend(
                slots(self.space, prefix)
                    .filter_map(|place| u32::try_from(place).ok())
                    .map(SliceId::new),
            );
        }
        let joined = slices.into_iter().flat_map(|(owner, slices)| {
            let prefixes = self.space.aggregate(slices).unwrap_or_default();
            prefixes.into_iter().map(move |prefix| (prefix, owner.clone()))
        });
        let joined: Vec<(Ipv6Net, EndpointName)> = joined.chain(parts).collect();
        let whole = |standby: Vec<(Ipv6Net, EndpointName)>| {
            Map::new(map.epoch(), map.ownership(), joined.clone(), standby).unwrap_or_else(|_| map.clone())
        };
        let copy = |map: &Map| -> Vec<(Ipv6Net, EndpointName)> {
            map.standbys().map(|(prefix, name)| (prefix, name.clone())).collect()
        };
        let target = if with_standby {
            self.with_standbys(&whole(copy(map)))
        } else {
            whole(Vec::new())
        };
        if target == *map {
            return None;
        }
        let standby = copy(&target);
        let owned: Vec<(Ipv6Net, EndpointName)> = if target.standbys().eq(map.standbys()) {
            target.owned().map(|(prefix, owner)| (prefix, owner.clone())).collect()
        } else {
            map.owned().map(|(prefix, owner)| (prefix, owner.clone())).collect()
        };
        Map::new(map.epoch().next(), map.ownership(), owned, standby).ok()
    }

    /// Wishes for what lost owners have: to their standbys, where they may have it.
    pub(super) fn failures(&self, map: &Map, busy: &BTreeSet<Ipv6Net>) -> Vec<Wish> {
        let mut wishes: BTreeMap<(EndpointName, EndpointName), Vec<Ipv6Net>> = BTreeMap::new();
        let known: BTreeMap<&EndpointName, &Member> = self.members.iter().map(|one| (&one.name, one)).collect();
        for (prefix, owner) in map.owned().filter(|(prefix, _)| !is_busy(busy, *prefix)) {
            let lost = known.get(owner).is_none_or(|member| member.lost);
            let standby = map
                .standby(prefix)
                .filter(|standby| known.get(standby).is_some_and(|one| one.weight > 0));
            if let Some(standby) = standby.filter(|_| lost) {
                let wish = wishes.entry((owner.clone(), standby.clone())).or_default();
                wish.push(prefix);
            }
        }
        wishes
            .into_iter()
            .flat_map(|((from, to), prefixes)| cut(Some(&from), &to, &prefixes, Reason::Failure))
            .collect()
    }

    /// Wishes for an even spread with the fewest moves, leaving alone what is busy.
    pub(super) fn spread(
        &self,
        replicas: Replicas,
        map: &Map,
        busy: &BTreeSet<Ipv6Net>,
    ) -> Result<Vec<Wish>, PlanError> {
        let current = self.current(map);
        let planned = self.assignment(replicas, &current)?;
        let mut wishes: BTreeMap<(Option<EndpointName>, EndpointName, bool), Vec<SliceId>> = BTreeMap::new();
        let slices = self.space.slices().zip(&planned).zip(&current).zip(&self.pinned);
        for (((slice, to), now), pin) in slices {
            if *now == Some(*to) {
                continue;
            }
            let (Some(prefix), Some(name)) = (self.space.prefix_of(slice), self.name(*to)) else {
                continue;
            };
            let is_pinned = *pin == Some(*to);
            let to = name;
            // A former member's slices look like nobody's to the planner.
            let from = map.owner(prefix);
            if !is_busy(busy, prefix) && from != Some(to) {
                let key = (from.cloned(), to.clone(), is_pinned);
                wishes.entry(key).or_default().push(slice);
            }
        }
        let drained: BTreeSet<&EndpointName> = self
            .members
            .iter()
            .filter(|one| one.weight == 0)
            .map(|one| &one.name)
            .collect();
        let wishes = wishes.into_iter().flat_map(|((from, to, is_pinned), slices)| {
            let reason = match &from {
                _ if is_pinned => Reason::Manual,
                Some(from) if drained.contains(from) => Reason::Drain,
                _ => Reason::Scale,
            };
            let prefixes = as_owned(map, self.space.aggregate(slices).unwrap_or_default());
            cut(from.as_ref(), &to, &prefixes, reason)
        });
        Ok(wishes.collect())
    }
}

/// The places of the slices of a prefix; of the one that it is a part of, where it is longer than a slice.
#[must_use]
pub fn slots(space: &SliceSpace, prefix: Ipv6Net) -> std::ops::Range<usize> {
    let length = space.slice_length().saturating_sub(prefix.prefix_len());
    let start = space
        .slice_of(prefix.network())
        .map(|slice| usize::try_from(slice.get()).unwrap_or(usize::MAX));
    start.map_or(0..0, |start| start..start.saturating_add(1 << length))
}

/// Says whether a prefix overlaps one of a set whose members do not overlap.
fn is_busy(busy: &BTreeSet<Ipv6Net>, prefix: Ipv6Net) -> bool {
    let around = busy.range(..=prefix).next_back();
    let within = busy.range(prefix..).next();
    [around, within]
        .into_iter()
        .flatten()
        .any(|other| overlap(*other, prefix))
}

/// Cuts prefixes where the map does: a move takes a whole owned prefix, or a part of one.
fn as_owned(map: &Map, prefixes: Vec<Ipv6Net>) -> Vec<Ipv6Net> {
    let pieces = prefixes.into_iter().flat_map(|prefix| {
        let within: Vec<Ipv6Net> = map.owned_within(prefix).map(|(owned, _)| owned).collect();
        if within.is_empty() { vec![prefix] } else { within }
    });
    pieces.collect()
}

/// Cuts a wish into moves of a size that an object may have. The map has to own each prefix as one, or a part of one.
fn cut(from: Option<&EndpointName>, to: &EndpointName, prefixes: &[Ipv6Net], reason: Reason) -> Vec<Wish> {
    let wish = |prefixes: &[Ipv6Net]| Wish {
        from: from.cloned(),
        to: to.clone(),
        prefixes: prefixes.to_vec(),
        reason,
    };
    prefixes.chunks(MAX_MOVE_PREFIXES).map(wish).collect()
}
