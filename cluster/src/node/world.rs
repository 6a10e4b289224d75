//! What a node knows: the last good state of every object, and what follows from it for one host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::{self, EndpointName, Handover, KernelRoute, Map, Phase, View};

use crate::kernel::HostRoute;
use crate::objects::{
    AppliedMap, Epoch, Message, Name, Object, ObservedMove, SliceEndpoint, SliceEndpointSpec, SliceMap, SliceMapSpec,
    SliceMove, SliceMoveSpec, Spec,
};
use crate::store::Listed;

/// The last good state of the objects of a kind; `None` until they were listed once.
#[derive(Debug)]
pub(super) struct Known<S: Spec>(Option<BTreeMap<Name, Object<S>>>);

impl<S: Spec> Default for Known<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: Spec> Known<S> {
    /// Takes a list: what is faulty stays as it was known, what is gone goes. Returns what is wrong, for people.
    pub(super) fn take(&mut self, listed: Listed<S>) -> Vec<String> {
        let faulty: BTreeSet<&str> = listed.faulty.iter().map(|one| one.name.as_str()).collect();
        let known = self.0.get_or_insert_default();
        known.retain(|name, _| faulty.contains(name.as_str()));
        known.extend(listed.objects.into_iter().map(|object| (object.name().clone(), object)));
        let told = listed.faulty.into_iter().flat_map(|one| {
            let (kind, name) = (S::KIND, one.name);
            let faults = one.faults.into_iter();
            faults.map(move |fault| format!("{kind} {name}: {fault}"))
        });
        told.collect()
    }

    fn iter(&self) -> impl Iterator<Item = &Object<S>> {
        self.0.iter().flat_map(BTreeMap::values)
    }
}

/// What a node knows.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) maps: Known<SliceMapSpec>,
    pub(super) moves: Known<SliceMoveSpec>,
    pub(super) endpoints: Known<SliceEndpointSpec>,
    /// The last good map of each set.
    kept: BTreeMap<Name, Map>,
}

/// A move that the host has to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) name: Name,
    pub(super) epoch: Epoch,
    pub(super) phase: crate::objects::Phase,
    /// Where its prefixes must lead by now: to the address of an endpoint.
    pub(super) ways: Vec<(Ipv6Net, Ipv6Addr)>,
}

impl Followed {
    /// Returns what is said of it once the host has followed.
    pub(super) fn observed(&self) -> ObservedMove {
        ObservedMove {
            name: self.name.clone(),
            epoch: self.epoch,
            phase: self.phase,
            flows: None,
            forwarded: None,
            message: Message::default(),
        }
    }
}

/// What follows for one host.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What it routes.
    pub(super) routes: BTreeSet<HostRoute>,
    /// The maps that this is by.
    pub(super) maps: Vec<AppliedMap>,
    /// All open moves.
    pub(super) moves: Vec<Followed>,
    /// What cannot be used, for people.
    pub(super) faults: Vec<String>,
}

impl World {
    /// Says whether everything was listed once.
    pub(super) fn is_listed(&self) -> bool {
        self.maps.0.is_some() && self.moves.0.is_some() && self.endpoints.0.is_some()
    }

    /// Works out what a host routes: what its own endpoints announce, or what all of them do.
    pub(super) fn part(&mut self, node: &Name, all_endpoints: bool) -> Part {
        let mut part = Part::default();
        let sets: BTreeSet<Name> = self.maps.iter().map(|map| map.spec.slice_set.clone()).collect();
        self.kept.retain(|set, _| sets.contains(set));
        for set in sets {
            self.read(&set, &mut part);
            let Some(map) = self.kept.get(&set) else { continue };
            let moves: Vec<&SliceMove> = self.moves.iter().filter(|one| one.spec.slice_set == set).collect();
            let handovers: Vec<Handover> = moves.iter().map(|one| one.handover()).collect();
            for endpoint in self.endpoints.iter() {
                let here = endpoint.spec.node.as_ref() == Some(node);
                let Some(me) = name(endpoint.name()).filter(|_| here || all_endpoints) else {
                    continue;
                };
                let view = self.view(endpoint);
                let routes = handover::routes(&me, map, &handovers, &view);
                part.routes.extend(routes.into_iter().filter_map(|route| match route {
                    KernelRoute::Announced { prefix, metric } => Some(HostRoute {
                        prefix,
                        metric,
                        endpoint: me.clone(),
                        address: endpoint.spec.address,
                        here,
                    }),
                    _ => None,
                }));
            }
            let both = moves.iter().zip(&handovers);
            let open = both.filter(|(one, _)| !one.status.phase.is_final());
            part.moves
                .extend(open.map(|(one, handover)| self.followed(one, handover)));
        }
        part
    }

    /// Reads the map of a set, if it is whole and not older than what is known.
    fn read(&mut self, set: &Name, part: &mut Part) {
        let of_set: Vec<&SliceMap> = self.maps.iter().filter(|map| map.spec.slice_set == *set).collect();
        let epoch = of_set.iter().map(|map| map.spec.epoch).max();
        let parts: Vec<&SliceMap> = of_set.into_iter().filter(|map| Some(map.spec.epoch) == epoch).collect();
        match crate::agent::read_map(&parts) {
            Ok(map) if self.kept.get(set).is_some_and(|before| before.epoch() > map.epoch()) => {
                let epoch = map.epoch();
                part.faults.push(format!(
                    "{set}: the map of epoch {epoch} comes after a later one, which stays"
                ));
            }
            Ok(map) => {
                part.maps.extend(parts.iter().map(|map| AppliedMap {
                    name: map.name().clone(),
                    epoch: map.spec.epoch,
                }));
                self.kept.insert(set.clone(), map);
            }
            Err(faults) => part
                .faults
                .extend(faults.into_iter().map(|fault| format!("{set}: {fault}"))),
        }
    }

    /// What an endpoint has said of itself and of its peers, as far as announcements depend on it.
    fn view(&self, endpoint: &SliceEndpoint) -> View {
        let status = &endpoint.status;
        let taken = status.taken.iter();
        let took = |other: &&SliceEndpoint| other.status.taken.iter().any(|taken| taken.from == *endpoint.name());
        View {
            taken: taken
                .filter_map(|one| Some((one.prefix.net(), name(&one.from)?)))
                .collect(),
            taken_by: self
                .endpoints
                .iter()
                .filter(took)
                .filter_map(|other| name(other.name()))
                .collect(),
            rejoined: status.rejoined,
            unready: !status.ready,
            ..View::default()
        }
    }

    /// Says where the prefixes of a move lead once everybody has followed it.
    fn followed(&self, one: &SliceMove, handover: &Handover) -> Followed {
        let to = self
            .endpoints
            .iter()
            .find(|endpoint| endpoint.name().as_str() == handover.to.as_str());
        // Before that nothing is announced otherwise than before.
        let changed = handover.phase >= Phase::Announce;
        let ways = to.filter(|_| changed).into_iter().flat_map(|to| {
            let prefixes = handover.prefixes.iter();
            prefixes.map(|prefix| (*prefix, to.spec.address))
        });
        Followed {
            name: one.name().clone(),
            epoch: one.epoch(),
            phase: one.status.phase,
            ways: ways.collect(),
        }
    }
}

fn name(name: &Name) -> Option<EndpointName> {
    EndpointName::new(name.as_str()).ok()
}
