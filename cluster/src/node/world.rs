//! What a node knows: the last good state of every object, and what follows from it for one host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::{self, Handover, KernelRoute, Map, Phase};

use crate::followed::Objects;
use crate::kernel::HostRoute;
use crate::objects::{AppliedMap, Epoch, Message, Name, ObservedMove, SliceMove};

/// What a node knows.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) objects: Objects,
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
    /// Says whether nobody has slices.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_listed() && self.objects.sets().is_empty()
    }

    /// Works out what a host routes: what its own endpoints announce, or what all of them do.
    pub(super) fn part(&mut self, node: &Name, all_endpoints: bool) -> Part {
        let mut part = Part::default();
        let sets = self.objects.sets();
        self.kept.retain(|set, _| sets.contains(set));
        for set in sets {
            match self.objects.read_map(set, &mut self.kept) {
                Ok(parts) => part.maps.extend(parts),
                Err(faults) => part.faults.extend(faults),
            }
            let Some(map) = self.kept.get(set) else { continue };
            let moves = self.objects.moves_of(set);
            let handovers: Vec<Handover> = moves.iter().map(|one| one.handover()).collect();
            for endpoint in self.objects.endpoints.iter() {
                let here = endpoint.spec.node.as_ref() == Some(node);
                if !here && !all_endpoints {
                    continue;
                }
                let me = endpoint.name().endpoint();
                let view = endpoint.stored_view(self.objects.endpoints.iter());
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
            let gone_on = gone_on(&handovers);
            let both = moves.iter().zip(&handovers);
            let open = both.filter(|(one, _)| !one.status.phase.is_final());
            part.moves
                .extend(open.map(|(one, handover)| self.followed(one, handover, &gone_on)));
        }
        part
    }

    /// Says where the prefixes of a move lead once everybody has followed it.
    fn followed(&self, one: &SliceMove, handover: &Handover, gone_on: &BTreeMap<Ipv6Net, handover::Epoch>) -> Followed {
        let to = self
            .objects
            .endpoints
            .iter()
            .find(|endpoint| endpoint.name().as_str() == handover.to.as_str());
        // Before that nothing is announced otherwise than before.
        let changed = handover.phase >= Phase::Announce;
        let ways = to.filter(|_| changed).into_iter().flat_map(|to| {
            let prefixes = handover.prefixes.iter().filter(|prefix| {
                let mut within = gone_on.range(**prefix..).take_while(|(one, _)| prefix.contains(*one));
                within.all(|(_, epoch)| *epoch <= handover.epoch)
            });
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

/// Returns the prefixes that lead to the new owners of open handovers by now, each with the greatest epoch: those before say
/// no more where they lead.
fn gone_on(handovers: &[Handover]) -> BTreeMap<Ipv6Net, handover::Epoch> {
    let mut found: BTreeMap<Ipv6Net, handover::Epoch> = BTreeMap::new();
    let announced = handovers
        .iter()
        .filter(|one| one.phase.is_open() && one.phase >= Phase::Announce);
    for one in announced {
        for prefix in &one.prefixes {
            let epoch = found.entry(*prefix).or_default();
            *epoch = one.epoch.max(*epoch);
        }
    }
    found
}
