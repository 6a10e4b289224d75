//! All objects at about one moment, and which sets may be served.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join5;
use ipnet::Ipv6Net;
use ssa_slices::handover::overlap;

use crate::{
    objects::{
        ENDPOINT_LEASE, Lease, LeaseSpec, Name, Ownership, SliceEndpoint, SliceEndpointSpec, SliceMap, SliceMapSpec,
        SliceMove, SliceMoveSpec, SliceNode, SliceNodeSpec, SliceSet, SliceSetSpec, Spec,
    },
    store::{Listed, Store, StoreError},
};

/// All objects at about one moment.
pub(super) struct Everything {
    pub(super) sets: Vec<SliceSet>,
    pub(super) maps: Vec<SliceMap>,
    pub(super) moves: Vec<SliceMove>,
    pub(super) endpoints: BTreeMap<Name, SliceEndpoint>,
    pub(super) nodes: Vec<SliceNode>,
    /// The leases of endpoints, by their names; read only where a set is exclusive.
    pub(super) leases: BTreeMap<Name, Lease>,
    /// The names of endpoints whose objects cannot be used.
    pub(super) faulty_endpoints: BTreeSet<String>,
    /// The names of all sets, those at fault too.
    pub(super) known_sets: BTreeSet<String>,
}

/// Two sets cannot have the same addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlap {
    item: Ipv6Net,
    other: Ipv6Net,
    of: Name,
}

impl std::fmt::Display for Overlap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { item, other, of } = self;
        write!(
            f,
            "spec.apl: {item} overlaps {other} of SliceSet {of}, whose slices these are"
        )
    }
}

impl Everything {
    /// Lists the parts of a set's map, and its moves.
    pub(super) fn of_set(&self, set: &Name) -> (Vec<&SliceMap>, Vec<&SliceMove>) {
        let parts = self.maps.iter().filter(|map| map.spec.slice_set == *set);
        let moves = self.moves.iter().filter(|one| one.spec.slice_set == *set);
        (parts.collect(), moves.collect())
    }

    /// Reads all objects, and notes what is wrong with those that cannot be used.
    pub(super) async fn read(store: &Store, faults: &mut Vec<String>) -> Result<Self, StoreError> {
        let (sets, maps, moves, endpoints, nodes) = try_join5(
            store.list::<SliceSetSpec>(),
            store.list::<SliceMapSpec>(),
            store.list::<SliceMoveSpec>(),
            store.list::<SliceEndpointSpec>(),
            store.list::<SliceNodeSpec>(),
        )
        .await?;
        let mut leases = BTreeMap::new();
        if sets
            .objects
            .iter()
            .any(|set| set.spec.ownership == Ownership::Exclusive)
        {
            let listed = store.list::<LeaseSpec>().await?;
            for lease in listed.objects {
                let endpoint = lease.name().strip_prefix(ENDPOINT_LEASE).map(Name::new);
                if let Some(Ok(endpoint)) = endpoint {
                    leases.insert(endpoint, lease);
                }
            }
        }
        note(&sets, faults);
        note(&maps, faults);
        note(&moves, faults);
        note(&endpoints, faults);
        note(&nodes, faults);
        let names = sets.objects.iter().map(|set| set.name().to_string());
        Ok(Self {
            known_sets: names.chain(sets.faulty.iter().map(|set| set.name.clone())).collect(),
            sets: sets.objects,
            maps: maps.objects,
            moves: moves.objects,
            faulty_endpoints: endpoints.faulty.into_iter().map(|one| one.name).collect(),
            endpoints: endpoints
                .objects
                .into_iter()
                .map(|one| (one.name().clone(), one))
                .collect(),
            nodes: nodes.objects,
            leases,
        })
    }

    /// Finds the sets that may not be served, because others have some of their addresses already: those whose map does,
    /// else those whose names come first.
    pub(super) fn overlaps(&self) -> BTreeMap<Name, Overlap> {
        let mut items: Vec<(Ipv6Net, &SliceSet)> = Vec::new();
        for set in &self.sets {
            if let Ok(space) = set.spec.space() {
                items.extend(space.items().map(|item| (item, set)));
            }
        }
        // A prefix stands before those that lie in it.
        items.sort_by_key(|(item, set)| (*item, set.name().clone()));
        let mut around: Vec<(Ipv6Net, &SliceSet)> = Vec::new();
        let mut found = BTreeMap::new();
        for (item, set) in items {
            while around.last().is_some_and(|(outer, _)| !outer.contains(&item)) {
                around.pop();
            }
            for (outer, other) in around.iter().filter(|(_, other)| other.name() != set.name()) {
                let rank = |set: &SliceSet| (!self.has_slices_in(set.name(), item), set.name().clone());
                let (loser, own, winner, theirs) = if rank(set) > rank(other) {
                    (set, item, other, *outer)
                } else {
                    (*other, *outer, &set, item)
                };
                found.entry(loser.name().clone()).or_insert_with(|| Overlap {
                    item: own,
                    other: theirs,
                    of: winner.name().clone(),
                });
            }
            around.push((item, set));
        }
        found
    }

    fn has_slices_in(&self, set: &Name, item: Ipv6Net) -> bool {
        let maps = self.maps.iter().filter(|map| map.spec.slice_set == *set);
        let mut owned = maps.flat_map(|map| &map.spec.endpoints).flat_map(|one| &one.owned);
        owned.any(|prefix| overlap(prefix.net(), item))
    }
}

fn note<S: Spec>(listed: &Listed<S>, faults: &mut Vec<String>) {
    for object in &listed.faulty {
        let told = object.faults.iter();
        faults.extend(told.map(|fault| format!("{} {}: {fault}", S::KIND.name(), object.name)));
    }
}
