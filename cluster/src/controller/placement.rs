//! Which slices are to go where, by membership and failures, and who is to stand by.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use ipnet::Ipv6Net;
use ssa_slices::{
    DomainId, Endpoint, EndpointId, PlanError, Replicas, SliceId, SliceSpace,
    balance::{Block, standbys},
    handover::{EndpointName, Map, overlap},
    plan,
};

use ssa_snapshot::Number;

use crate::objects::{LabelValue, MAX_MOVE_PREFIXES, Pin, Reason, SliceSet};

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

/// What makes one wish: from whom, to whom, whether it is pinned there, and whether flows of others still drain.
type Key = (Option<EndpointName>, EndpointName, bool, bool);

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

    pub(super) fn name(&self, index: EndpointId) -> Option<&EndpointName> {
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

    /// Returns the number of a member.
    pub(super) fn number(&self, name: &EndpointName) -> Option<EndpointId> {
        self.numbers.get(name).copied()
    }

    /// Returns the members by number.
    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Lists those who may have slices.
    pub(super) fn serving(&self) -> impl Iterator<Item = EndpointId> {
        let endpoints = self.endpoints.iter().zip(0..);
        let serving = endpoints.filter(|(endpoint, _)| endpoint.weight > 0);
        serving.map(|(_, number)| EndpointId::new(number))
    }

    /// Says whether the slice at a place is pinned.
    pub(super) fn is_pinned(&self, slot: usize) -> bool {
        self.pinned.get(slot).is_some_and(Option::is_some)
    }

    /// Says whether two endpoints may have replicas of one address: they are two, and of two domains, unless all who may
    /// have slices are of one.
    pub(super) fn may_be_siblings(&self, one: EndpointId, other: EndpointId) -> bool {
        let domain = |id: EndpointId| {
            let place = usize::try_from(id.get()).ok()?;
            self.endpoints.get(place)?.domain
        };
        let several = || {
            let mut domains = self.serving().map(domain);
            let first = domains.next();
            domains.any(|other| other.is_none() || Some(other) != first)
        };
        one != other && (domain(one).is_none() || domain(one) != domain(other) || !several())
    }

    /// Says whether somebody who may have nothing owns a slice, or nobody does.
    pub(super) fn is_anything_homeless(&self, map: &Map) -> bool {
        let mut owned = 0;
        for (prefix, owner) in map.owned() {
            if !self.serves(owner) {
                return true;
            }
            if prefix.prefix_len() <= self.space.slice_length() {
                owned += slots(self.space, prefix).len();
            }
        }
        owned != self.space.count() && {
            let mut without = vec![true; self.space.count()];
            for slot in map.owned().flat_map(|(prefix, _)| slots(self.space, prefix)) {
                if let Some(without) = without.get_mut(slot) {
                    *without = false;
                }
            }
            without.contains(&true)
        }
    }

    /// Stands for everything by which slices are spread: who may have some, with weights and domains, pins and replicas.
    /// As long as it is the same, slices that have moved for load stay where they are.
    pub(super) fn fingerprint(&self, set: &SliceSet) -> LabelValue {
        let spec = &set.spec;
        let mut text = format!(
            "{} {} {} {:?} ",
            spec.apl,
            spec.bits.get(),
            spec.replicas.get(),
            spec.first_field_bits.map(Number::get)
        );
        for member in self.members.iter().filter(|member| member.weight > 0) {
            let _ = write!(text, "{} {} {:?} ", member.name, member.weight, member.domain);
        }
        for pin in &spec.placement.pinned {
            let _ = write!(text, "{} {} ", pin.prefix, pin.endpoint);
        }
        // FNV-1a: other versions of the program have to come to the same.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        LabelValue::new(&format!("{hash:016x}")).expect("hex digits are a label's value")
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
        let standby = self.standbys_of(map, &owned);
        Map::new(map.epoch(), map.ownership(), owned, standby).unwrap_or_else(|_| map.clone())
    }

    /// Chooses who stands by for prefixes with their owners; whoever does so by a map already stays, if possible.
    fn standbys_of(&self, map: &Map, owned: &[(Ipv6Net, EndpointName)]) -> Vec<(Ipv6Net, EndpointName)> {
        let nobody = EndpointId::new(u32::MAX);
        let now = |prefix: Ipv6Net| {
            let first = || map.owned_within(prefix).next().map(|(first, _)| first);
            let standby = map.standby(prefix);
            standby
                .or_else(|| map.standby(first()?))
                .and_then(|name| self.number(name))
        };
        let blocks: Vec<Block> = owned
            .iter()
            .map(|(prefix, owner)| Block {
                owner: self.number(owner).unwrap_or(nobody),
                slices: slots(self.space, *prefix).len().max(1),
                standby: now(*prefix),
            })
            .collect();
        let chosen = standbys(&blocks, &self.endpoints);
        let standby = owned.iter().zip(chosen).filter_map(|((prefix, _), standby)| {
            let name = self.name(standby?)?;
            Some((*prefix, name.clone()))
        });
        standby.collect()
    }

    /// Returns the map after this one that joins what belongs together and has the standbys that there should be; `None`
    /// if it is so already. Every endpoint has to follow the map before: first standbys get the joined prefixes, which
    /// cover those of the owners, and then owners do. `joins` says whether the parts of a prefix are to be joined.
    pub(super) fn tidied(&self, map: &Map, with_standby: bool, joins: impl Fn(Ipv6Net) -> bool) -> Option<Map> {
        let mut slices: BTreeMap<&EndpointName, Vec<SliceId>> = BTreeMap::new();
        let parts = map
            .owned()
            .filter(|(prefix, _)| prefix.prefix_len() > self.space.slice_length());
        let mut parts: BTreeMap<Ipv6Net, &EndpointName> = parts.collect();
        join_halves(&mut parts, joins);
        let whole = map
            .owned()
            .filter(|(prefix, _)| prefix.prefix_len() <= self.space.slice_length());
        let whole: Vec<(Ipv6Net, &EndpointName)> = whole
            .chain(parts.iter().map(|(prefix, owner)| (*prefix, *owner)))
            .collect();
        let mut joined: Vec<(Ipv6Net, EndpointName)> = Vec::new();
        for (prefix, owner) in whole {
            if prefix.prefix_len() > self.space.slice_length() {
                joined.push((prefix, owner.clone()));
                continue;
            }
            let list = slices.entry(owner).or_default();
            list.extend(
                slots(self.space, prefix)
                    .filter_map(|place| u32::try_from(place).ok())
                    .map(SliceId::new),
            );
        }
        for (owner, slices) in slices {
            let prefixes = self.space.aggregate(slices).unwrap_or_default();
            joined.extend(prefixes.into_iter().map(|prefix| (prefix, owner.clone())));
        }
        joined.sort();
        let standby = if with_standby {
            self.standbys_of(map, &joined)
        } else {
            Vec::new()
        };
        let stands = same(&standby, map.standbys());
        if stands && same(&joined, map.owned()) {
            return None;
        }
        let owned = if stands {
            joined
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

    /// Wishes for an even spread with the fewest moves, leaving alone what is busy. What is draining goes on to anybody but
    /// whoever has the flows.
    pub(super) fn spread(
        &self,
        replicas: Replicas,
        map: &Map,
        busy: &BTreeSet<Ipv6Net>,
        draining: &BTreeMap<Ipv6Net, Option<EndpointName>>,
    ) -> Result<Vec<Wish>, PlanError> {
        let current = self.current(map);
        let planned = self.assignment(replicas, &current)?;
        let mut wishes: BTreeMap<Key, Vec<SliceId>> = BTreeMap::new();
        let mut parts: BTreeMap<Key, Vec<Ipv6Net>> = BTreeMap::new();
        let drains = |prefix: Ipv6Net| around(draining, prefix).is_some();
        let has_flows = |prefix: Ipv6Net, to: &EndpointName| {
            let flows = around(draining, prefix);
            flows.is_some_and(|(_, has)| has.as_ref() == Some(to))
        };
        let slices = self.space.slices().zip(&planned).zip(&current).zip(&self.pinned);
        for (((slice, to), now), pin) in slices {
            let (Some(prefix), Some(name)) = (self.space.prefix_of(slice), self.name(*to)) else {
                continue;
            };
            let is_pinned = *pin == Some(*to);
            if map.owned_around(prefix).is_none() && map.owned_within(prefix).next().is_some() {
                // Its parts have owners of their own: those who may not have any, or all where it is pinned, give theirs.
                for (part, owner) in map.owned_within(prefix) {
                    let stays = !is_pinned && self.serves(owner);
                    if owner != name && !stays && !is_busy(busy, part) && !has_flows(part, name) {
                        let key = (Some(owner.clone()), name.clone(), is_pinned, drains(part));
                        parts.entry(key).or_default().push(part);
                    }
                }
                continue;
            }
            if *now == Some(*to) {
                continue;
            }
            let to = name;
            // A former member's slices look like nobody's to the planner.
            let from = map.owner(prefix);
            if !is_busy(busy, prefix) && from != Some(to) && !has_flows(prefix, to) {
                let key = (from.cloned(), to.clone(), is_pinned, drains(prefix));
                wishes.entry(key).or_default().push(slice);
            }
        }
        let drained: BTreeSet<&EndpointName> = self
            .members
            .iter()
            .filter(|one| one.weight == 0)
            .map(|one| &one.name)
            .collect();
        let whole = wishes.into_iter().map(|(key, slices)| {
            let prefixes = as_owned(map, self.space.aggregate(slices).unwrap_or_default());
            (key, prefixes)
        });
        let wishes = whole.chain(parts).flat_map(|((from, to, is_pinned, _), prefixes)| {
            let reason = match &from {
                _ if is_pinned => Reason::Manual,
                Some(from) if drained.contains(from) => Reason::Drain,
                _ => Reason::Scale,
            };
            cut(from.as_ref(), &to, &prefixes, reason)
        });
        Ok(wishes.collect())
    }

    fn serves(&self, name: &EndpointName) -> bool {
        let place = self.number(name).and_then(|id| usize::try_from(id.get()).ok());
        let endpoint = place.and_then(|place| self.endpoints.get(place));
        endpoint.is_some_and(|endpoint| endpoint.weight > 0)
    }
}

fn same<'a>(one: &[(Ipv6Net, EndpointName)], other: impl Iterator<Item = (Ipv6Net, &'a EndpointName)>) -> bool {
    let mut one = one.iter();
    let equal =
        |(prefix, name): (Ipv6Net, &EndpointName)| one.next().is_some_and(|one| (one.0, &one.1) == (prefix, name));
    let mut other = other;
    let all = other.by_ref().all(equal);
    all && one.next().is_none()
}

/// Joins halves of one prefix with one owner, the longest first, where they are to be joined.
fn join_halves(parts: &mut BTreeMap<Ipv6Net, &EndpointName>, joins: impl Fn(Ipv6Net) -> bool) {
    let mut lengths: BTreeSet<u8> = parts.keys().map(Ipv6Net::prefix_len).collect();
    while let Some(length) = lengths.pop_last() {
        let here: Vec<Ipv6Net> = parts
            .keys()
            .filter(|part| part.prefix_len() == length)
            .copied()
            .collect();
        for (one, next) in here.iter().zip(here.iter().skip(1)) {
            let Some(whole) = one.supernet().filter(|whole| next.supernet() == Some(*whole)) else {
                continue;
            };
            let owner = parts.get(one).copied();
            if owner.is_some() && owner == parts.get(next).copied() && joins(whole) {
                parts.remove(one);
                parts.remove(next);
                parts.extend(owner.map(|owner| (whole, owner)));
                lengths.insert(length.saturating_sub(1));
            }
        }
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

/// Finds the prefix that equals or covers another one, or lies in it, of those that do not overlap each other.
fn around<T>(prefixes: &BTreeMap<Ipv6Net, T>, prefix: Ipv6Net) -> Option<(&Ipv6Net, &T)> {
    let around = prefixes.range(..=prefix).next_back();
    let within = prefixes.range(prefix..).next();
    let mut both = around.into_iter().chain(within);
    both.find(|(other, _)| overlap(**other, prefix))
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
