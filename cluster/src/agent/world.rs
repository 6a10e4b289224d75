//! What an agent knows: the last good state of every object, and what follows from it for one endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ssa_slices::handover::{self, EndpointName, Handover, Map, Ownership, View};

use crate::kernel::Wanted;
use crate::objects::{
    AppliedMap, Name, Object, ObservedMove, SliceEndpoint, SliceEndpointSpec, SliceMap, SliceMapSpec, SliceMove,
    SliceMoveSpec, Spec,
};
use crate::store::Listed;

/// The last good state of the objects of a kind.
#[derive(Debug)]
pub(super) struct Known<S: Spec>(BTreeMap<Name, Object<S>>);

impl<S: Spec> Default for Known<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Spec> Known<S> {
    /// Takes a list: what is faulty stays as it was known, what is gone goes. Returns what is wrong, for people.
    pub(super) fn take(&mut self, listed: Listed<S>) -> Vec<String> {
        let faulty: BTreeSet<&str> = listed.faulty.iter().map(|one| one.name.as_str()).collect();
        self.0.retain(|name, _| faulty.contains(name.as_str()));
        self.0
            .extend(listed.objects.into_iter().map(|object| (object.name().clone(), object)));
        let told = listed.faulty.into_iter().flat_map(|one| {
            let (kind, name) = (S::KIND, one.name);
            one.faults
                .into_iter()
                .map(move |fault| format!("{kind} {name}: {fault}"))
        });
        told.collect()
    }

    fn get(&self, name: &Name) -> Option<&Object<S>> {
        self.0.get(name)
    }

    fn iter(&self) -> impl Iterator<Item = &Object<S>> {
        self.0.values()
    }
}

/// What an agent knows.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) maps: Known<SliceMapSpec>,
    pub(super) moves: Known<SliceMoveSpec>,
    pub(super) endpoints: Known<SliceEndpointSpec>,
}

/// What follows for one endpoint.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What its kernel shall hold.
    pub(super) wanted: Wanted,
    /// The maps that this is by.
    pub(super) maps: Vec<AppliedMap>,
    /// The open moves that it takes part in, with their prefixes.
    pub(super) moves: Vec<SliceMove>,
    /// What cannot be used, for people.
    pub(super) faults: Vec<String>,
}

impl World {
    /// Returns the address that tunnels to an endpoint lead to.
    pub(super) fn tunnel(&self, endpoint: &Name) -> Option<Ipv6Addr> {
        self.endpoints.get(endpoint).map(tunnel)
    }

    /// Works out what an endpoint has to do. Sets do not meddle with each other: one at fault keeps its last good state
    /// in `kept`.
    pub(super) fn part(&self, endpoint: &Name, view: &View, kept: &mut BTreeMap<Name, Map>) -> Part {
        let mut part = Part::default();
        let Ok(me) = EndpointName::new(endpoint.as_str()) else {
            return part;
        };
        let names = self
            .endpoints
            .iter()
            .filter_map(|one| Some((name(one.name())?, tunnel(one))));
        part.wanted.peers = names.collect();
        let sets: BTreeSet<&Name> = self.maps.iter().map(|map| &map.spec.slice_set).collect();
        kept.retain(|set, _| sets.contains(set));
        for set in sets {
            let parts = self.newest(set);
            match read(&parts) {
                Ok(map) if kept.get(set).is_some_and(|before| before.epoch() > map.epoch()) => {
                    let before = kept.get(set).map_or(map.epoch(), Map::epoch);
                    part.faults.push(format!(
                        "{set}: the map of epoch {} comes after that of epoch {before}, which stays",
                        map.epoch()
                    ));
                }
                Ok(map) => {
                    let applied = parts.iter().map(|map| AppliedMap {
                        name: map.name().clone(),
                        epoch: map.spec.epoch,
                    });
                    part.maps.extend(applied);
                    kept.insert(set.clone(), map);
                }
                Err(faults) => part
                    .faults
                    .extend(faults.into_iter().map(|fault| format!("{set}: {fault}"))),
            }
            let Some(map) = kept.get(set) else { continue };
            let moves: Vec<&SliceMove> = self.moves.iter().filter(|one| one.spec.slice_set == *set).collect();
            let handovers: Vec<Handover> = moves.iter().map(|one| one.handover()).collect();
            part.wanted.routes.extend(handover::routes(&me, map, &handovers, view));
            let mine = moves.into_iter().filter(|one| {
                !one.status.phase.is_final() && (one.spec.to == *endpoint || one.spec.from.as_ref() == Some(endpoint))
            });
            part.moves.extend(mine.cloned());
        }
        part
    }

    /// Returns the parts of a set's map that have its highest epoch.
    fn newest(&self, set: &Name) -> Vec<&SliceMap> {
        let of_set: Vec<&SliceMap> = self.maps.iter().filter(|map| map.spec.slice_set == *set).collect();
        let epoch = of_set.iter().map(|map| map.spec.epoch).max();
        of_set.into_iter().filter(|map| Some(map.spec.epoch) == epoch).collect()
    }
}

impl Part {
    /// Says how far the kernel is with each move, once it holds what is wanted.
    pub(super) fn observed(&self, of: impl Fn(&SliceMove) -> (Option<u32>, Option<u64>)) -> Vec<ObservedMove> {
        let observed = self.moves.iter().map(|one| {
            let (flows, forwarded) = of(one);
            ObservedMove {
                name: one.name().clone(),
                epoch: one.epoch(),
                phase: one.status.phase,
                flows,
                forwarded,
                message: crate::objects::Message::default(),
            }
        });
        observed.collect()
    }
}

fn name(name: &Name) -> Option<EndpointName> {
    EndpointName::new(name.as_str()).ok()
}

fn tunnel(endpoint: &SliceEndpoint) -> Ipv6Addr {
    endpoint.spec.tunnel.address.unwrap_or(endpoint.spec.address)
}

/// Puts the parts of a map together.
fn read(parts: &[&SliceMap]) -> Result<Map, Vec<String>> {
    let (Some(first), wanted) = (parts.first(), parts.len()) else {
        return Err(vec!["has no map".to_owned()]);
    };
    let said = first.spec.parts.get();
    if usize::try_from(said).ok() != Some(wanted) {
        let epoch = first.spec.epoch;
        return Err(vec![format!("the map of epoch {epoch} has {wanted} of {said} parts")]);
    }
    let endpoints = || parts.iter().flat_map(|map| &map.spec.endpoints);
    let owned = endpoints().filter_map(|one| Some((name(&one.name)?, &one.owned)));
    let standby = endpoints().filter_map(|one| Some((name(&one.name)?, &one.standby)));
    let flat = |of: Vec<(EndpointName, &Vec<crate::objects::Prefix>)>| {
        of.into_iter()
            .flat_map(|(name, prefixes)| prefixes.iter().map(move |prefix| (prefix.net(), name.clone())))
            .collect::<Vec<_>>()
    };
    let epoch = handover::Epoch::new(first.spec.epoch.get());
    Map::new(
        epoch,
        Ownership::Available,
        flat(owned.collect()),
        flat(standby.collect()),
    )
    .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ssa_slices::handover::KernelRoute;

    use super::*;
    use crate::objects::ResourceVersion;
    use crate::store::Faulty;

    fn map(epoch: u64, parts: u32, owned: &str) -> SliceMap {
        let value = json!({
            "apiVersion": "ssa.dev.example/v1alpha1",
            "kind": "SliceMap",
            "metadata": {"name": "web"},
            "spec": {
                "sliceSet": "web",
                "epoch": epoch,
                "parts": parts,
                "endpoints": [{"name": "a", "owned": [owned]}],
            },
        });
        Object::from_value(&value).expect("a map")
    }

    fn listed(objects: impl Into<Vec<SliceMap>>, faulty: &[&str]) -> Listed<SliceMapSpec> {
        let faulty = faulty.iter().map(|name| Faulty {
            name: (*name).to_owned(),
            faults: vec![SliceMapSpec::fault("spec.epoch", "is wrong")],
        });
        Listed {
            objects: objects.into(),
            faulty: faulty.collect(),
            version: ResourceVersion::new("1"),
        }
    }

    /// What `a` delivers, and what is told.
    fn local(world: &World, kept: &mut BTreeMap<Name, Map>) -> (Vec<String>, Vec<String>) {
        let part = world.part(&Name::new("a").expect("a name"), &View::default(), kept);
        let local = part.wanted.routes.iter().filter_map(|route| match route {
            KernelRoute::Local { prefix } => Some(prefix.to_string()),
            _ => None,
        });
        (local.collect(), part.faults)
    }

    #[test]
    fn what_is_at_fault_stays_as_it_was_known_and_what_is_gone_goes() {
        let (mut world, mut kept) = (World::default(), BTreeMap::new());
        assert_eq!(world.maps.take(listed([map(1, 1, "2001:db8::/66")], &[])), [""; 0]);
        assert_eq!(local(&world, &mut kept).0, ["2001:db8::/66"]);
        let told = world.maps.take(listed([], &["web"]));
        assert_eq!(told, ["SliceMap web: spec.epoch: is wrong"]);
        assert_eq!(local(&world, &mut kept).0, ["2001:db8::/66"]);
        world.maps.take(listed([], &[]));
        assert_eq!(local(&world, &mut kept).0, [""; 0]);
    }

    #[test]
    fn a_map_of_which_parts_are_missing_and_an_old_one_change_nothing() {
        let (mut world, mut kept) = (World::default(), BTreeMap::new());
        world.maps.take(listed([map(5, 1, "2001:db8::/66")], &[]));
        local(&world, &mut kept);
        for (wrong, fault) in [
            (map(6, 2, "2001:db8:1::/66"), "web: the map of epoch 6 has 1 of 2 parts"),
            (
                map(4, 1, "2001:db8:1::/66"),
                "web: the map of epoch 4 comes after that of epoch 5, which stays",
            ),
        ] {
            world.maps.take(listed([wrong], &[]));
            let expected = (vec!["2001:db8::/66".to_owned()], vec![fault.to_owned()]);
            assert_eq!(local(&world, &mut kept), expected);
        }
        world.maps.take(listed([map(6, 1, "2001:db8:1::/66")], &[]));
        assert_eq!(local(&world, &mut kept), (vec!["2001:db8:1::/66".to_owned()], vec![]));
    }
}
