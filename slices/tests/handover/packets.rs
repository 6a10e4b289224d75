//! Where packets go: by the routes of kernels and the tables of routers alone, as in a network.

use std::collections::BTreeSet;

use crate::setting::Setting;
use crate::state::{End, Endpoint, ROUTERS, Set, Ways, World};

impl Setting {
    /// Opens a flow wherever one can be opened: the worst that clients can do.
    pub(crate) fn open_flows(&self, world: &mut World) {
        for router in 0..ROUTERS {
            for probe in 0..self.probes.len() {
                self.send(&world.clone(), router, probe, None, |end| {
                    if let End::Delivered(endpoint) = end {
                        world.endpoints[endpoint].flows[router].put(probe, true);
                    }
                });
            }
        }
    }

    /// Sends a packet through a router: one that opens a flow, or one of a flow that `known` has. Routes of equal rank
    /// give several ends.
    pub(crate) fn send(
        &self,
        world: &World,
        router: usize,
        probe: usize,
        known: Option<usize>,
        mut ended: impl FnMut(End),
    ) {
        let announced = |endpoint: usize| {
            let own = &world.endpoints[endpoint];
            let heard = if router == 0 {
                world.heard[endpoint]
            } else {
                own.up.then_some(own.kernel)
            };
            self.kernels[usize::from(heard?)][probe].announced
        };
        let Some(best) = (0..self.count()).filter_map(announced).min() else {
            return ended(End::NoRoute);
        };
        for endpoint in (0..self.count()).filter(|one| announced(*one) == Some(best)) {
            ended(self.arrive(world, endpoint, probe, known));
        }
    }

    /// Says whether an endpoint announces an address now, whatever routers have heard.
    pub(crate) fn announces(&self, world: &World, endpoint: usize, probe: usize) -> bool {
        self.ways(world, endpoint, probe).announced.is_some()
    }

    pub(crate) fn ways(&self, world: &World, endpoint: usize, probe: usize) -> &Ways {
        &self.kernels[usize::from(world.endpoints[endpoint].kernel)][probe]
    }

    /// A packet comes to an endpoint from the network.
    pub(crate) fn arrive(&self, world: &World, at: usize, probe: usize, known: Option<usize>) -> End {
        if !world.endpoints[at].up {
            return End::AtDeadHost;
        }
        let ways = self.ways(world, at, probe);
        let peer = ways.incoming.filter(|_| known.is_some()).or(ways.outgoing);
        match peer.filter(|_| known != Some(at)) {
            Some(peer) => self.try_at(world, peer, probe, known),
            None => self.deliver(world, at, probe, known, false),
        }
    }

    /// A packet comes out of a tunnel for the first time: one of a flow that is not known here goes on once more.
    fn try_at(&self, world: &World, at: usize, probe: usize, known: Option<usize>) -> End {
        if !world.endpoints[at].up {
            return End::AtDeadHost;
        }
        let ways = self.ways(world, at, probe);
        let next = ways.incoming.or(ways.outgoing);
        match next.filter(|_| known.is_some_and(|known| known != at)) {
            Some(next) if !world.endpoints[next].up => End::AtDeadHost,
            Some(next) => self.deliver(world, next, probe, known, true),
            None => self.deliver(world, at, probe, known, true),
        }
    }

    pub(crate) fn deliver(&self, world: &World, at: usize, probe: usize, known: Option<usize>, tunnelled: bool) -> End {
        let ways = self.ways(world, at, probe);
        if !ways.local {
            return End::NotLocal(at);
        }
        let taken = if tunnelled { ways.tunnelled } else { ways.direct };
        match known {
            Some(known) if known != at => End::Reset(at),
            None if ways.fenced && !(taken && world.endpoints[at].permitted) => End::Refused,
            _ => End::Delivered(at),
        }
    }

    /// Says whether flows may count on their endpoint: where nothing harmful happens, always; where agents die, while nobody
    /// is taken for lost and no deadline has passed. In the moments around a loss, flows that two of three endpoints have
    /// taken by turns may be cut; what must never be lost, whatever happens, are new flows.
    pub(crate) fn is_calm(&self, world: &World) -> bool {
        let calm = |one| {
            let own: &Endpoint = &world.endpoints[one];
            own.up && own.lost == Set::default() && own.taken == 0 && !own.rejoined
        };
        // Who has given up a third endpoint asks the first, and not it, for its kernel may be gone as well.
        let [first, later, _] = world.handovers;
        let went_back =
            self.goes_on.is_some() && later.is_some_and(|later| first.is_some_and(|one| one.to == later.to));
        self.rehash || (self.steady && !world.expired && !went_back && (0..self.count()).all(calm))
    }

    /// Lists who would take a new flow, wherever it came in.
    pub(crate) fn acceptors(&self, world: &World, probe: usize) -> BTreeSet<usize> {
        let accepts = |at| match self.arrive(world, at, probe, None) {
            End::Delivered(by) => Some(by),
            _ => None,
        };
        (0..self.count()).filter_map(accepts).collect()
    }
}
