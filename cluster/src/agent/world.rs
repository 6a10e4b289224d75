//! What an agent knows: the last good state of every object, and what follows from it for one endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::{self, Admission, Handover, KernelRoute, Map, Ownership, View, overlap};

use super::load::{self, OfSet};
use super::peers::{self, Circumstances};
use super::telemetry::Slices;
use crate::followed::Objects;
use crate::heartbeat::Told;
use crate::kernel::Wanted;
use crate::objects::{AppliedMap, Name, ObservedMove, SliceEndpoint, SliceMove};

/// What follows for one endpoint.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What its kernel shall hold.
    pub(super) wanted: Wanted,
    /// The maps that this is by.
    pub(super) maps: Vec<AppliedMap>,
    /// The open moves that it takes part in, with their prefixes.
    pub(super) moves: Vec<SliceMove>,
    /// Open moves of others that these go on from: it has routes by them too.
    pub(super) before: Vec<SliceMove>,
    /// What it was given and may not have.
    pub(super) refused: BTreeSet<Ipv6Net>,
    /// Whether it has something that others would have to take before it ends.
    pub(super) serves: bool,
    /// Whether it takes part in an exclusive set, and needs its lease.
    pub(super) exclusive: bool,
    /// Who is to hear its heartbeats, and what they are told.
    pub(super) told: BTreeMap<Name, Told>,
    /// The slices that it has, by set.
    pub(super) slices: BTreeMap<Name, Slices>,
    /// Whose load is its own, where that is counted: what it owns, gives, gets, or has taken over.
    pub(super) mine: BTreeSet<Ipv6Net>,
    /// What cannot be used, for people.
    pub(super) faults: Vec<String>,
}

impl Objects {
    /// Returns the address that tunnels to an endpoint lead to.
    pub(super) fn tunnel(&self, endpoint: &Name) -> Option<Ipv6Addr> {
        self.endpoints.get(endpoint).map(tunnel)
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
        let me = endpoint.endpoint();
        let peers = self.endpoints.iter().map(|one| (one.name().endpoint(), tunnel(one)));
        part.wanted.peers = peers.collect();
        let sets = self.sets();
        kept.retain(|set, _| sets.contains(set));
        views.retain(|set, _| sets.contains(set));
        let (mut routes, mut fences) = (BTreeSet::new(), BTreeSet::new());
        let listed = self.endpoints.get(endpoint).map_or(&[][..], |one| &one.spec.slice_sets);
        for set in sets {
            match self.read_map(set, kept) {
                Ok(parts) => part.maps.extend(parts),
                Err(faults) => part.faults.extend(faults),
            }
            let Some(map) = kept.get(set) else { continue };
            let moves = self.moves_of(set);
            let handovers: Vec<Handover> = moves.iter().map(|one| one.handover()).collect();
            let view = peers::view(&me, map, &handovers, circumstances, views.entry(set.clone()));
            routes.extend(handover::routes(&me, map, &handovers, view));
            let fenced = handover::fences(&me, map, &handovers, view);
            part.exclusive |= map.ownership() == Ownership::Exclusive && (listed.contains(set) || !fenced.is_empty());
            fences.extend(fenced);
            let (mine, others): (Vec<_>, Vec<_>) = moves
                .into_iter()
                .zip(&handovers)
                .filter(|(one, _)| !one.status.phase.is_final())
                .partition(|(one, _)| one.spec.to == *endpoint || one.spec.from.as_ref() == Some(endpoint));
            let before = others.into_iter().filter(|(_, other)| {
                let mut mine = mine.iter();
                mine.any(|(_, mine)| other.is_before(mine, map.ownership()) && share_addresses(other, mine))
            });
            part.before.extend(before.map(|(one, _)| one.clone()));
            part.moves.extend(mine.into_iter().map(|(one, _)| one.clone()));
            let slices = Slices::of(&me, map, self.slice_length(set));
            part.slices.insert(set.clone(), slices);
            part.serves |= !view.taken.is_empty() || map.owned().any(|(_, owner)| *owner == me);
            peers::tell(set, &peers::of(&me, map, &handovers), view, self, &mut part.told);
        }
        if circumstances.measures {
            let of_sets: Vec<OfSet<'_>> = kept
                .iter()
                .map(|(set, map)| OfSet {
                    slice_length: self.slice_length(set),
                    map,
                    mine: self.mine(endpoint, set, map, views.get(set)),
                })
                .collect();
            part.wanted.grains = load::grains(&of_sets);
            part.mine = of_sets.into_iter().flat_map(|set| set.mine).collect();
        }
        part.serves |= !part.moves.is_empty();
        part.wanted.admission = Admission::of(&fences);
        part.keep(routes, circumstances.allowed, self.tunnel(endpoint));
        part
    }

    /// Returns how long the prefixes of a set's slices are, if its map says so.
    fn slice_length(&self, set: &Name) -> Option<u8> {
        let mut parts = self.maps.iter().filter(|map| map.spec.slice_set == *set);
        let length = parts.find_map(|map| map.spec.slice_length)?;
        u8::try_from(length.get()).ok()
    }

    /// Lists what of a set is an endpoint's, or about to be, or was until now; nothing within something else.
    fn mine(&self, endpoint: &Name, set: &Name, map: &Map, view: Option<&View>) -> BTreeSet<Ipv6Net> {
        let me = endpoint.endpoint();
        let owned = map.owned().filter(|(_, owner)| **owner == me);
        let moves = self.moves_of(set).into_iter().filter(|one| {
            let is_side = one.spec.to == *endpoint || one.spec.from.as_ref() == Some(endpoint);
            is_side && !one.status.phase.is_final()
        });
        let moved = moves.flat_map(|one| one.spec.prefixes.iter().map(|prefix| prefix.net()));
        let taken = view.into_iter().flat_map(|view| view.taken.keys().copied());
        owned.map(|(prefix, _)| prefix).chain(moved).chain(taken).collect()
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
        let observed = self.moves.iter().chain(&self.before).filter(may).map(|one| {
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

/// Says whether two handovers have an address in common.
fn share_addresses(one: &Handover, other: &Handover) -> bool {
    let mut all = one.prefixes.iter();
    all.any(|prefix| other.prefixes.iter().any(|other| overlap(*prefix, *other)))
}

fn tunnel(endpoint: &SliceEndpoint) -> Ipv6Addr {
    endpoint.spec.tunnel.address.unwrap_or(endpoint.spec.address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ssa_slices::handover::KernelRoute;

    use super::*;
    use crate::objects::{Object, ResourceVersion, SliceMap, SliceMapSpec, Spec};
    use crate::store::{Faulty, Listed};

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
    fn local(world: &Objects, kept: &mut BTreeMap<Name, Map>) -> (Vec<String>, Vec<String>) {
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
        let (mut world, mut kept) = (Objects::default(), BTreeMap::new());
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
        let mut world = Objects::default();
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
        let (mut world, mut kept) = (Objects::default(), BTreeMap::new());
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
