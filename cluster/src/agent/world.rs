//! What an agent knows: the last good state of every object, and what follows from it for one endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::{self, EndpointName, Handover, KernelRoute, Map, Ownership, View};

use super::peers::{self, Circumstances};
use crate::heartbeat::Told;
use crate::kernel::Wanted;
use crate::objects::{
    AppliedMap, Name, Object, ObservedMove, SliceEndpoint, SliceEndpointSpec, SliceMap, SliceMapSpec, SliceMove,
    SliceMoveSpec, Spec,
};
use crate::store::Listed;

/// The last good state of the objects of a kind.
#[derive(Debug)]
pub(super) struct Known<S: Spec> {
    objects: BTreeMap<Name, Object<S>>,
    listed: bool,
}

impl<S: Spec> Default for Known<S> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            listed: false,
        }
    }
}

impl<S: Spec> Known<S> {
    /// Takes a list: what is faulty stays as it was known, what is gone goes. Returns what is wrong, for people.
    pub(super) fn take(&mut self, listed: Listed<S>) -> Vec<String> {
        let faulty: BTreeSet<&str> = listed.faulty.iter().map(|one| one.name.as_str()).collect();
        self.listed = true;
        self.objects.retain(|name, _| faulty.contains(name.as_str()));
        self.objects
            .extend(listed.objects.into_iter().map(|object| (object.name().clone(), object)));
        let told = listed.faulty.into_iter().flat_map(|one| {
            let (kind, name) = (S::KIND, one.name);
            one.faults
                .into_iter()
                .map(move |fault| format!("{kind} {name}: {fault}"))
        });
        told.collect()
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Object<S>> {
        self.objects.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Object<S>> {
        self.objects.values()
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
    /// What it was given and may not have.
    pub(super) refused: BTreeSet<Ipv6Net>,
    /// Whether it has something that others would have to take before it ends.
    pub(super) serves: bool,
    /// Who is to hear its heartbeats, and what they are told.
    pub(super) told: BTreeMap<Name, Told>,
    /// What cannot be used, for people.
    pub(super) faults: Vec<String>,
}

impl World {
    /// Returns the address that tunnels to an endpoint lead to.
    pub(super) fn tunnel(&self, endpoint: &Name) -> Option<Ipv6Addr> {
        self.endpoints.get(endpoint).map(tunnel)
    }

    /// Says whether everything was read once: what is not known yet must not be taken for gone.
    pub(super) fn is_listed(&self) -> bool {
        self.maps.listed && self.moves.listed && self.endpoints.listed
    }

    /// Works out what an endpoint has to do. Sets do not meddle with each other: one at fault keeps its last good state
    /// in `kept`. What the endpoint knows of its peers by itself is in `views`, by set.
    pub(super) fn part(
        &self,
        endpoint: &Name,
        circumstances: &Circumstances<'_>,
        kept: &mut BTreeMap<Name, Map>,
        views: &mut BTreeMap<Name, View>,
    ) -> Part {
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
        views.retain(|set, _| sets.contains(set));
        let mut routes = BTreeSet::new();
        for set in sets {
            self.read_map(set, kept, &mut part);
            let Some(map) = kept.get(set) else { continue };
            let moves: Vec<&SliceMove> = self.moves.iter().filter(|one| one.spec.slice_set == *set).collect();
            let handovers: Vec<Handover> = moves.iter().map(|one| one.handover()).collect();
            let view = peers::view(&me, map, &handovers, circumstances, views.entry(set.clone()));
            routes.extend(handover::routes(&me, map, &handovers, view));
            let mine = moves.into_iter().filter(|one| {
                !one.status.phase.is_final() && (one.spec.to == *endpoint || one.spec.from.as_ref() == Some(endpoint))
            });
            part.moves.extend(mine.cloned());
            part.serves |= !view.taken.is_empty() || map.owned().any(|(_, owner)| *owner == me);
            peers::tell(set, &peers::of(&me, map, &handovers), view, self, &mut part.told);
        }
        part.serves |= !part.moves.is_empty();
        part.keep(routes, circumstances.allowed, self.tunnel(endpoint));
        part
    }

    /// Reads a set's map into `kept`, unless something is wrong with it.
    fn read_map(&self, set: &Name, kept: &mut BTreeMap<Name, Map>, part: &mut Part) {
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
    }

    /// Returns the parts of a set's map that have its highest epoch.
    fn newest(&self, set: &Name) -> Vec<&SliceMap> {
        let of_set: Vec<&SliceMap> = self.maps.iter().filter(|map| map.spec.slice_set == *set).collect();
        let epoch = of_set.iter().map(|map| map.spec.epoch).max();
        of_set.into_iter().filter(|map| Some(map.spec.epoch) == epoch).collect()
    }
}

impl Part {
    /// Keeps the routes that can be: what is outside of what is allowed, or leads to a peer that cannot be, is left out,
    /// and the others are none the worse for it.
    fn keep(&mut self, routes: BTreeSet<KernelRoute>, allowed: &[Ipv6Net], own: Option<Ipv6Addr>) {
        for route in routes {
            let prefix = route.prefix();
            if !allowed.iter().any(|allowed| allowed.contains(&prefix)) {
                self.refused.insert(prefix);
                continue;
            }
            if let KernelRoute::Outgoing { to: peer, .. } | KernelRoute::Incoming { from: peer, .. } = &route {
                let address = self.wanted.peers.get(peer);
                let fault = match address {
                    None => Some(format!("{prefix}: its peer {peer} is no SliceEndpoint")),
                    Some(address) if Some(*address) == own => Some(format!(
                        "{prefix}: its peer {peer} has this endpoint's address, {address}"
                    )),
                    Some(_) => None,
                };
                if let Some(fault) = fault {
                    self.faults.push(fault);
                    continue;
                }
            }
            self.wanted.routes.insert(route);
        }
    }

    /// Says how far the kernel is with each move, once it holds what is wanted. Nothing is said of a move of which it
    /// must not hold a part.
    pub(super) fn observed(&self, of: impl Fn(&SliceMove) -> (Option<u32>, Option<u64>)) -> Vec<ObservedMove> {
        let may = |one: &&SliceMove| {
            one.spec
                .prefixes
                .iter()
                .all(|prefix| !self.refused.contains(&prefix.net()))
        };
        let observed = self.moves.iter().filter(may).map(|one| {
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

pub(super) fn name(name: &Name) -> Option<EndpointName> {
    EndpointName::new(name.as_str()).ok()
}

fn tunnel(endpoint: &SliceEndpoint) -> Ipv6Addr {
    endpoint.spec.tunnel.address.unwrap_or(endpoint.spec.address)
}

/// Puts the parts of a map together.
pub(crate) fn read(parts: &[&SliceMap]) -> Result<Map, Vec<String>> {
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
    let ownership = match first.spec.ownership {
        crate::objects::Ownership::Available => Ownership::Available,
        crate::objects::Ownership::Exclusive => Ownership::Exclusive,
    };
    Map::new(epoch, ownership, flat(owned.collect()), flat(standby.collect()))
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
        let circumstances = Circumstances {
            allowed: &["2001:db8::/32".parse().expect("a prefix")],
            ..Circumstances::default()
        };
        let part = world.part(
            &Name::new("a").expect("a name"),
            &circumstances,
            kept,
            &mut BTreeMap::new(),
        );
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
    fn what_is_not_allowed_is_refused_and_the_rest_is_kept() {
        let mut world = World::default();
        let mut given = map(1, 1, "2001:db8::/66");
        given.spec.endpoints[0]
            .owned
            .push("2001:db9::/66".parse().expect("a prefix"));
        world.maps.take(listed([given], &[]));
        let circumstances = Circumstances {
            allowed: &["2001:db8::/32".parse().expect("a prefix")],
            ..Circumstances::default()
        };
        let me = Name::new("a").expect("a name");
        let part = world.part(&me, &circumstances, &mut BTreeMap::new(), &mut BTreeMap::new());
        let refused: Vec<String> = part.refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused, ["2001:db9::/66"]);
        let kept = part
            .wanted
            .routes
            .iter()
            .all(|route| route.prefix().to_string() == "2001:db8::/66");
        assert!(kept && part.wanted.routes.len() == 2, "{:?}", part.wanted.routes);
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
