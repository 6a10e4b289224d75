//! A set's map, as the parts in which the store keeps it.

use std::collections::BTreeMap;

use ipnet::Ipv6Net;
use ssa_slices::{
    SliceId, SliceSpace,
    handover::{self, EndpointName, Map, overlap},
};

use crate::objects::{Epoch, MAX_MAP_PREFIXES, MapEndpoint, Name, Ownership, Prefix, SliceMap, SliceMapSpec};

/// A set's map, and whether the store has all of it in one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMap {
    /// The map.
    pub map: Map,
    /// A leader that died in the middle left parts of several epochs, or too few, or the set has another ownership by
    /// now: it has to be written again.
    pub torn: bool,
}

/// Puts the parts of a set's map together. Where they contradict each other, the higher epoch counts.
#[must_use]
pub fn stored_map(parts: &[&SliceMap], ownership: Ownership) -> StoredMap {
    let mut sorted: Vec<&SliceMap> = parts.to_vec();
    sorted.sort_by_key(|part| std::cmp::Reverse(part.spec.epoch));
    let (mut owned, mut standby) = (BTreeMap::new(), BTreeMap::new());
    for part in &sorted {
        for endpoint in &part.spec.endpoints {
            let name = endpoint.name.endpoint();
            collect(&mut owned, &endpoint.owned, &name);
            collect(&mut standby, &endpoint.standby, &name);
        }
    }
    let epoch = sorted.first().map_or(Epoch::default(), |part| part.spec.epoch);
    let torn = sorted.iter().any(|part| part.spec.epoch != epoch)
        || sorted
            .first()
            .is_some_and(|part| usize::try_from(part.spec.parts.get()) != Ok(sorted.len()))
        // The set says otherwise now: agents hear of it by the map.
        || sorted.iter().any(|part| part.spec.ownership != ownership);
    let epoch = handover::Epoch::new(epoch.get());
    let ownership = ownership.into();
    // A standby that would draw the owner's packets is none.
    let map = Map::new(epoch, ownership, owned.clone(), standby).or_else(|_| Map::new(epoch, ownership, owned, []));
    StoredMap {
        map: map.unwrap_or_default(),
        torn,
    }
}

fn collect(all: &mut BTreeMap<Ipv6Net, EndpointName>, prefixes: &[Prefix], name: &EndpointName) {
    for prefix in prefixes {
        let net = prefix.net();
        let around = all.range(..=net).next_back();
        let within = all.range(net..).next();
        if [around, within]
            .into_iter()
            .flatten()
            .all(|(other, _)| !overlap(*other, net))
        {
            all.insert(net, name.clone());
        }
    }
}

/// Returns the parts of a map, each with its name.
pub(super) fn write(set: &Name, space: &SliceSpace, map: &Map) -> Vec<(Name, SliceMapSpec)> {
    let parts = space.count().div_ceil(MAX_MAP_PREFIXES).max(1);
    let mut filled: Vec<BTreeMap<String, MapEndpoint>> = (0..parts).map(|_| BTreeMap::new()).collect();
    let mut put = |prefix: Ipv6Net, name: &EndpointName, is_owner: bool| {
        let slice = space.slice_of(prefix.network()).map_or(0, SliceId::get);
        let part = usize::try_from(slice).unwrap_or(0) / MAX_MAP_PREFIXES;
        let Some(part) = filled.get_mut(part) else { return };
        let Ok(object_name) = Name::new(name.as_str()) else {
            return;
        };
        let endpoint = part.entry(name.as_str().to_owned()).or_insert_with(|| MapEndpoint {
            name: object_name,
            owned: Vec::new(),
            standby: Vec::new(),
        });
        let list = if is_owner {
            &mut endpoint.owned
        } else {
            &mut endpoint.standby
        };
        list.push(Prefix::new(prefix));
    };
    map.owned().for_each(|(prefix, name)| put(prefix, name, true));
    map.standbys().for_each(|(prefix, name)| put(prefix, name, false));
    let epoch = Epoch::new(map.epoch().get()).unwrap_or_default();
    let spec = |(number, endpoints): (usize, BTreeMap<String, MapEndpoint>)| {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let spec = SliceMapSpec {
            slice_set: set.clone(),
            epoch,
            part: ssa_snapshot::Number::new(count(number)).unwrap_or_default(),
            parts: ssa_snapshot::Number::new(count(parts)).unwrap_or_default(),
            ownership: match map.ownership() {
                handover::Ownership::Available => Ownership::Available,
                handover::Ownership::Exclusive => Ownership::Exclusive,
            },
            slice_length: ssa_snapshot::Number::new(u32::from(space.slice_length())),
            endpoints: endpoints.into_values().collect(),
        };
        Some((Name::new(&format!("{set}-{number}")).ok()?, spec))
    };
    filled.into_iter().enumerate().filter_map(spec).collect()
}

/// Returns a map as it is, in another epoch.
pub(super) fn with_epoch(map: &Map, epoch: Epoch) -> Map {
    rebuilt(map, map.ownership(), epoch)
}

/// Returns a map as it is, in another epoch and with an ownership.
pub(super) fn owned_by(map: &Map, ownership: Ownership, epoch: Epoch) -> Map {
    rebuilt(map, ownership.into(), epoch)
}

fn rebuilt(map: &Map, ownership: handover::Ownership, epoch: Epoch) -> Map {
    let owned = map.owned().map(|(prefix, name)| (prefix, name.clone()));
    let standby = map.standbys().map(|(prefix, name)| (prefix, name.clone()));
    let epoch = handover::Epoch::new(epoch.get());
    Map::new(epoch, ownership, owned.collect::<Vec<_>>(), standby.collect::<Vec<_>>()).unwrap_or_else(|_| map.clone())
}
