//! A network in which slices are handed over: endpoints with kernels and agents, routers that follow late, a store.
//!
//! Everything that can happen at a moment is an [`Event`]; the tests try them all. Where packets go is worked out from the
//! kernels' routes and the routers' tables alone, as a network would, and not from what the leader believes.
//! Worlds are small values, for there are many: whatever is large stands in the [`Setting`], and worlds number it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::{
    EndpointName, Epoch, Facts, Handover, KernelRoute, Map, Next, Ownership, Phase, Progress, Side, View, fences, next,
    routes, takeover,
};

/// Endpoints, routers, handovers and probed addresses at most.
const ENDPOINTS: usize = 4;
/// The first is late; the second hears everything at once.
pub(crate) const ROUTERS: usize = 2;
const HANDOVERS: usize = 3;
const PROBES: usize = 3;
const NAMES: [&str; ENDPOINTS] = ["a", "b", "s", "c"];

/// A set of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Set(u8);

impl Set {
    pub(crate) fn has(self, one: usize) -> bool {
        self.0 >> one & 1 == 1
    }

    fn put(&mut self, one: usize, there: bool) {
        self.0 = self.0 & !(1 << one) | u8::from(there) << one;
    }

    fn with(mut self, one: usize, there: bool) -> Self {
        self.put(one, there);
        self
    }
}

/// What a kernel does with packets to one of the probed addresses.
#[derive(Debug, Clone, Copy, Default)]
struct Ways {
    /// The length of the prefix and the metric, as routers compare them.
    announced: Option<(u8, u32)>,
    outgoing: Option<usize>,
    incoming: Option<usize>,
    local: bool,
    fenced_direct: bool,
    fenced_tunnelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what may be true of a host, each for itself"
)]
struct Endpoint {
    up: bool,
    agent: bool,
    /// It may accept new flows: with exclusive ownership its kernel forgets that unless the agent renews it.
    permitted: bool,
    map: u8,
    handovers: [Option<Stated>; HANDOVERS],
    lost: Set,
    taken_by: Set,
    /// Numbers what it has taken over.
    taken: u8,
    /// What its kernel holds. It stays when the agent dies, and goes when the host does.
    kernel: u16,
    /// It lost its kernel.
    rejoined: bool,
    /// By router and probed address, whether it has flows.
    flows: [Set; ROUTERS],
}

/// A handover, as far as it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stated {
    epoch: u8,
    pub(crate) phase: Phase,
    from: Option<u8>,
    to: u8,
    prefix: Ipv6Net,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct World {
    endpoints: [Endpoint; ENDPOINTS],
    map: u8,
    pub(crate) handovers: [Option<Stated>; HANDOVERS],
    cancelled: bool,
    leader_lost: Set,
    /// The kernels that the late router has heard from.
    heard: [Option<u16>; ENDPOINTS],
    /// The time for draining is over, and flows may be cut.
    expired: bool,
    epoch: u8,
    pub(crate) budget: Budget,
}

/// How often the network may do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    pub(crate) host_crashes: u8,
    pub(crate) agent_crashes: u8,
    pub(crate) false_alarms: u8,
    pub(crate) cancels: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Leader(usize),
    TakeOver(usize),
    LeaderLoses(usize),
    LeaderFinds(usize),
    SeesMap(usize),
    SeesHandover(usize, usize),
    RouterHears(usize),
    FlowsEnd(usize),
    DrainExpires,
    HostDies(usize),
    HostReturns(usize),
    AgentDies(usize),
    AgentReturns(usize),
    Expires(usize),
    Renews(usize),
    Loses(usize, usize),
    Finds(usize, usize),
    HearsOfTakeover(usize, usize),
    Cancel,
    /// The leader gives each owned prefix a standby of its own, once owners and routers know the pieces.
    Tidy,
}

/// Where a packet came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Delivered(usize),
    /// A new flow was refused, as exclusive ownership asks.
    Refused,
    /// It came to a host that is down.
    AtDeadHost,
    /// A router knew no way.
    NoRoute,
    /// An endpoint does not have the address.
    NotLocal(usize),
    /// A packet of a flow came to an endpoint that does not know it.
    Reset(usize),
}

/// What a test begins with, and everything that worlds number.
pub(crate) struct Setting {
    names: Vec<EndpointName>,
    pub(crate) ownership: Ownership,
    pub(crate) probes: Vec<Ipv6Addr>,
    kernels: Vec<[Ways; PROBES]>,
    kernel_of: HashMap<KernelKey, (u16, u8, bool)>,
    maps: Vec<Map>,
    taken: Vec<BTreeMap<Ipv6Net, EndpointName>>,
    /// Packets of a flow may come through any router at any moment.
    pub(crate) rehash: bool,
    /// Nobody is lost who is not, and no host is.
    steady: bool,
    /// The leader's decisions, and what agents make of routes: tests replace them to see what a missing step does.
    pub(crate) decide: fn(&Handover, &Facts) -> Next,
    pub(crate) rewrite: fn(BTreeSet<KernelRoute>) -> BTreeSet<KernelRoute>,
}

#[derive(PartialEq, Eq, Hash)]
struct KernelKey {
    endpoint: usize,
    map: u8,
    handovers: [Option<Stated>; HANDOVERS],
    lost: Set,
    taken: u8,
    taken_by: Set,
    rejoined: bool,
}

pub(crate) struct Begin<'a> {
    pub(crate) ownership: Ownership,
    pub(crate) owned: &'a [(&'a str, usize)],
    pub(crate) standby: &'a [(&'a str, usize)],
    pub(crate) handovers: &'a [(Option<usize>, usize, &'a str)],
    pub(crate) probes: &'a [&'a str],
    pub(crate) endpoints: usize,
    pub(crate) budget: Budget,
}

fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

impl Setting {
    pub(crate) fn new(begin: &Begin<'_>) -> (Self, World) {
        let names: Vec<EndpointName> = NAMES[..begin.endpoints]
            .iter()
            .map(|name| EndpointName::new(name).unwrap())
            .collect();
        let entries = |list: &[(&str, usize)]| -> Vec<(Ipv6Net, EndpointName)> {
            list.iter()
                .map(|(prefix, owner)| (prefix.parse().unwrap(), names[*owner].clone()))
                .collect()
        };
        let (owned, standby) = (entries(begin.owned), entries(begin.standby));
        let mut setting = Self {
            ownership: begin.ownership,
            probes: begin.probes.iter().map(|probe| probe.parse().unwrap()).collect(),
            kernels: vec![[Ways::default(); PROBES]],
            kernel_of: HashMap::new(),
            maps: vec![Map::new(Epoch::new(1), begin.ownership, owned, standby).unwrap()],
            taken: vec![BTreeMap::new()],
            rehash: (
                begin.budget.host_crashes,
                begin.budget.agent_crashes,
                begin.budget.false_alarms,
            ) == (0, 0, 0),
            steady: (begin.budget.host_crashes, begin.budget.false_alarms) == (0, 0),
            decide: next,
            rewrite: |routes| routes,
            names,
        };
        let endpoint = Endpoint {
            up: true,
            agent: true,
            permitted: true,
            map: 0,
            handovers: [None; HANDOVERS],
            lost: Set::default(),
            taken: 0,
            taken_by: Set::default(),
            kernel: 0,
            rejoined: false,
            flows: [Set::default(); ROUTERS],
        };
        let mut world = World {
            endpoints: [endpoint; ENDPOINTS],
            map: 0,
            handovers: [None; HANDOVERS],
            cancelled: false,
            leader_lost: Set::default(),
            heard: [None; ENDPOINTS],
            expired: false,
            epoch: 1,
            budget: begin.budget,
        };
        for (number, (from, to, prefix)) in begin.handovers.iter().enumerate() {
            world.epoch += 1;
            world.handovers[number] = Some(Stated {
                epoch: world.epoch,
                phase: Phase::Prepare,
                from: from.map(small),
                to: small(*to),
                prefix: prefix.parse().unwrap(),
            });
        }
        for number in 0..begin.endpoints {
            setting.apply(&mut world, number);
            world.heard[number] = Some(world.endpoints[number].kernel);
        }
        setting.open_flows(&mut world);
        (setting, world)
    }

    fn count(&self) -> usize {
        self.names.len()
    }

    fn handover(&self, stated: &Stated) -> Handover {
        Handover {
            epoch: Epoch::new(stated.epoch.into()),
            from: stated.from.map(|from| self.names[usize::from(from)].clone()),
            to: self.names[usize::from(stated.to)].clone(),
            prefixes: vec![stated.prefix],
            phase: stated.phase,
        }
    }

    fn number(&self, name: &EndpointName) -> usize {
        self.names.iter().position(|other| other == name).unwrap()
    }

    /// Says whether the late router sends what is handed over to the new owner.
    fn leads_to(&self, world: &World, stated: &Stated) -> bool {
        let concerned = (0..self.probes.len()).filter(|probe| stated.prefix.contains(&self.probes[*probe]));
        concerned.into_iter().all(|probe| {
            let announced = |one: usize| self.kernels[usize::from(world.heard[one]?)][probe].announced;
            let best = (0..self.count()).filter_map(announced).min();
            (0..self.count()).all(|one| one == usize::from(stated.to) || announced(one) != best)
        })
    }

    fn names_to(&self, map: u8, stated: &Stated) -> Option<Epoch> {
        let map = &self.maps[usize::from(map)];
        (map.owner(stated.prefix) == Some(&self.names[usize::from(stated.to)])).then_some(map.epoch())
    }

    fn standby(&self, map: u8, prefix: Ipv6Net) -> Option<usize> {
        self.maps[usize::from(map)]
            .standby(prefix)
            .map(|name| self.number(name))
    }

    /// The endpoint that the map names as the owner of an address.
    pub(crate) fn owner(&self, world: &World, address: Ipv6Addr) -> Option<usize> {
        let owner = self.maps[usize::from(world.map)].owner(Ipv6Net::from(address));
        owner.map(|name| self.number(name))
    }

    /// Brings a kernel to what its agent knows.
    fn apply(&mut self, world: &mut World, number: usize) {
        let own = &mut world.endpoints[number];
        let key = KernelKey {
            endpoint: number,
            map: own.map,
            handovers: own.handovers,
            lost: own.lost,
            taken: own.taken,
            taken_by: own.taken_by,
            rejoined: own.rejoined,
        };
        if let Some(known) = self.kernel_of.get(&key) {
            (own.kernel, own.taken, own.rejoined) = *known;
            return;
        }
        let names = |set: Set| {
            (0..self.count())
                .filter(|one| set.has(*one))
                .map(|one| self.names[one].clone())
                .collect()
        };
        let mut view = View {
            lost: names(own.lost),
            taken: self.taken[usize::from(own.taken)].clone(),
            taken_by: names(own.taken_by),
            rejoined: own.rejoined,
            unready: false,
        };
        let (name, map) = (&self.names[number], &self.maps[usize::from(own.map)]);
        let handovers: Vec<Handover> = own.handovers.iter().flatten().map(|one| self.handover(one)).collect();
        view.take(name, map, &handovers);
        let routes = (self.rewrite)(routes(name, map, &handovers, &view));
        let fences = fences(name, map, &handovers, &view);
        let mut ways = [Ways::default(); PROBES];
        for (probe, ways) in self.probes.iter().zip(&mut ways) {
            // Ascending by length, so that the longest comes last and stays.
            let mut around: Vec<&KernelRoute> = routes.iter().filter(|route| route.prefix().contains(probe)).collect();
            around.sort_by_key(|route| route.prefix().prefix_len());
            for route in around {
                match route {
                    KernelRoute::Local { .. } => ways.local = true,
                    KernelRoute::Outgoing { to, .. } => ways.outgoing = Some(self.number(to)),
                    KernelRoute::Incoming { from, .. } => ways.incoming = Some(self.number(from)),
                    KernelRoute::Announced { prefix, metric } => {
                        ways.announced = Some((128 - prefix.prefix_len(), metric.value()));
                    }
                }
            }
            let around = fences.iter().filter(|fence| fence.prefix.contains(probe));
            if let Some(fence) = around.max_by_key(|fence| fence.prefix.prefix_len()) {
                (ways.fenced_direct, ways.fenced_tunnelled) = (fence.direct, fence.tunnelled);
            }
        }
        own.kernel = u16::try_from(self.kernels.len()).unwrap();
        self.kernels.push(ways);
        let known = self.taken.iter().position(|taken| *taken == view.taken);
        own.taken = small(known.unwrap_or(self.taken.len()));
        if known.is_none() {
            self.taken.push(view.taken);
        }
        own.rejoined = view.rejoined;
        self.kernel_of.insert(key, (own.kernel, own.taken, own.rejoined));
    }

    /// Opens a flow wherever one can be opened: the worst that clients can do.
    fn open_flows(&self, world: &mut World) {
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

    fn ways(&self, world: &World, endpoint: usize, probe: usize) -> &Ways {
        &self.kernels[usize::from(world.endpoints[endpoint].kernel)][probe]
    }

    /// A packet comes to an endpoint from the network.
    fn arrive(&self, world: &World, at: usize, probe: usize, known: Option<usize>) -> End {
        if !world.endpoints[at].up {
            return End::AtDeadHost;
        }
        let ways = self.ways(world, at, probe);
        let peer = ways.incoming.filter(|_| known.is_some()).or(ways.outgoing);
        match peer.filter(|_| known != Some(at)) {
            Some(peer) if !world.endpoints[peer].up => End::AtDeadHost,
            Some(peer) => self.deliver(world, peer, probe, known, true),
            None => self.deliver(world, at, probe, known, false),
        }
    }

    fn deliver(&self, world: &World, at: usize, probe: usize, known: Option<usize>, tunnelled: bool) -> End {
        let ways = self.ways(world, at, probe);
        if !ways.local {
            return End::NotLocal(at);
        }
        let fenced = if tunnelled {
            ways.fenced_tunnelled
        } else {
            ways.fenced_direct
        };
        match known {
            Some(known) if known != at => End::Reset(at),
            None if fenced || !(world.endpoints[at].permitted || self.ownership == Ownership::Available) => {
                End::Refused
            }
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
        self.rehash || (self.steady && !world.expired && (0..self.count()).all(calm))
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

impl World {
    /// Says whether an endpoint has flows of an address that come through a router.
    pub(crate) fn has_flows(&self, endpoint: usize, router: usize, probe: usize) -> bool {
        self.endpoints[endpoint].flows[router].has(probe)
    }

    fn has_any_flows(&self, endpoint: usize, probe: usize) -> bool {
        self.endpoints[endpoint].flows.iter().any(|flows| flows.has(probe))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.handovers.iter().flatten().all(|one| !one.phase.is_open())
    }

    pub(crate) fn is_up(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].up
    }

    /// Lists what may happen now.
    pub(crate) fn events(&self, setting: &Setting) -> Vec<Event> {
        let mut events = Vec::new();
        let exclusive = setting.ownership == Ownership::Exclusive;
        let open = (0..HANDOVERS).filter(|number| self.handovers[*number].is_some_and(|one| one.phase.is_open()));
        events.extend(open.map(Event::Leader));
        let draining = |one: &Stated| one.phase == Phase::Drain;
        let drains = self.handovers.iter().flatten().any(draining);
        for one in 0..setting.count() {
            let endpoint = &self.endpoints[one];
            // With exclusive ownership nobody is given up before its permission has run out.
            let may_be_lost = |other: &Endpoint| {
                (!other.agent || other.rejoined || self.budget.false_alarms > 0) && (!exclusive || !other.permitted)
            };
            if !self.leader_lost.has(one) && may_be_lost(endpoint) {
                events.push(Event::LeaderLoses(one));
            }
            if self.leader_lost.has(one) && endpoint.agent && !endpoint.rejoined {
                events.push(Event::LeaderFinds(one));
            }
            if exclusive && endpoint.permitted && (!endpoint.agent || self.budget.false_alarms > 0) {
                events.push(Event::Expires(one));
            }
            if exclusive && endpoint.agent && !endpoint.permitted {
                events.push(Event::Renews(one));
            }
            if endpoint.agent {
                self.agents_events(one, setting, may_be_lost, &mut events);
            } else if endpoint.up {
                events.push(Event::AgentReturns(one));
            } else {
                events.push(Event::HostReturns(one));
            }
            if endpoint.up && self.budget.host_crashes > 0 {
                events.push(Event::HostDies(one));
            }
            if drains && endpoint.flows != [Set::default(); ROUTERS] {
                events.push(Event::FlowsEnd(one));
            }
            if self.heard[one] != endpoint.up.then_some(endpoint.kernel) {
                events.push(Event::RouterHears(one));
            }
        }
        if self.budget.cancels > 0 {
            events.push(Event::Cancel);
        }
        if self.is_over() && setting.at_rest(self) && self.endpoints[..setting.count()].iter().all(|own| own.up) {
            events.push(Event::Tidy);
        }
        if drains && !self.expired {
            events.push(Event::DrainExpires);
        }
        events
    }

    fn agents_events(
        &self,
        one: usize,
        setting: &Setting,
        may_be_lost: impl Fn(&Endpoint) -> bool,
        events: &mut Vec<Event>,
    ) {
        let endpoint = &self.endpoints[one];
        if endpoint.map != self.map {
            events.push(Event::SeesMap(one));
        }
        let unseen = (0..HANDOVERS).filter(|number| endpoint.handovers[*number] != self.handovers[*number]);
        events.extend(unseen.map(|number| Event::SeesHandover(one, number)));
        if endpoint.taken != 0 {
            events.push(Event::TakeOver(one));
        }
        for peer in (0..setting.count()).filter(|peer| *peer != one) {
            let other = &self.endpoints[peer];
            if endpoint.lost.has(peer) {
                if other.agent && !other.rejoined {
                    events.push(Event::Finds(one, peer));
                }
            } else if may_be_lost(other) {
                events.push(Event::Loses(one, peer));
            }
            if other.agent && endpoint.taken_by.has(peer) != setting.has_taken_from(self, peer, one) {
                events.push(Event::HearsOfTakeover(one, peer));
            }
        }
        if self.budget.agent_crashes > 0 {
            events.push(Event::AgentDies(one));
        }
    }

    /// Lets something happen.
    pub(crate) fn after(&self, event: Event, setting: &mut Setting) -> Self {
        let mut world = *self;
        world.happen(event, setting);
        setting.open_flows(&mut world);
        world
    }

    fn happen(&mut self, event: Event, setting: &mut Setting) {
        match event {
            Event::Leader(handover) => self.lead(handover, setting),
            Event::TakeOver(endpoint) => self.take_over(endpoint, setting),
            Event::LeaderLoses(one) => {
                self.alarm(one);
                self.leader_lost.put(one, true);
            }
            Event::LeaderFinds(one) => self.leader_lost.put(one, false),
            Event::SeesMap(one) => self.endpoints[one].map = self.map,
            Event::SeesHandover(one, handover) => {
                self.endpoints[one].handovers[handover] = self.handovers[handover];
                // It reports that, by which it is alive.
                if !self.endpoints[one].rejoined {
                    self.leader_lost.put(one, false);
                }
            }
            Event::RouterHears(one) => {
                let endpoint = &self.endpoints[one];
                self.heard[one] = endpoint.up.then_some(endpoint.kernel);
            }
            Event::FlowsEnd(one) => self.endpoints[one].flows = [Set::default(); ROUTERS],
            Event::DrainExpires => self.expired = true,
            Event::HostDies(one) => {
                self.budget.host_crashes -= 1;
                let endpoint = &mut self.endpoints[one];
                (endpoint.up, endpoint.agent, endpoint.permitted) = (false, false, false);
                (endpoint.kernel, endpoint.flows) = (0, [Set::default(); ROUTERS]);
            }
            Event::AgentDies(one) => {
                self.budget.agent_crashes -= 1;
                self.endpoints[one].agent = false;
            }
            Event::HostReturns(one) | Event::AgentReturns(one) => {
                let endpoint = &mut self.endpoints[one];
                if endpoint.up {
                    self.leader_lost.put(one, false); // it reports
                }
                if !endpoint.up {
                    (endpoint.taken, endpoint.rejoined) = (0, true);
                }
                // It lists what there is, and listens to its peers; what it took over its kernel still says.
                (endpoint.up, endpoint.agent) = (true, true);
                (endpoint.map, endpoint.handovers) = (self.map, self.handovers);
                (endpoint.lost, endpoint.taken_by) = (Set::default(), Set::default());
                for peer in (0..setting.count()).filter(|peer| *peer != one) {
                    let taken = self.endpoints[peer].agent && setting.has_taken_from(self, peer, one);
                    self.endpoints[one].taken_by.put(peer, taken);
                }
            }
            Event::Expires(one) => {
                self.alarm(one);
                self.endpoints[one].permitted = false;
            }
            Event::Renews(one) => self.renew(one, setting),
            Event::Loses(one, peer) => {
                self.alarm(peer);
                self.endpoints[one].lost.put(peer, true);
            }
            Event::Finds(one, peer) => self.endpoints[one].lost.put(peer, false),
            Event::HearsOfTakeover(one, peer) => {
                let taken = setting.has_taken_from(self, peer, one);
                self.endpoints[one].taken_by.put(peer, taken);
            }
            Event::Tidy => {
                let map = &setting.maps[usize::from(self.map)];
                let owned: Vec<_> = map.owned().map(|(prefix, owner)| (prefix, owner.clone())).collect();
                let other = |owner: &EndpointName| setting.names.iter().rev().find(|one| *one != owner).cloned();
                let standby = owned.iter().filter_map(|(prefix, owner)| {
                    let standby = map.standby(*prefix).cloned().or_else(|| other(owner))?;
                    Some((*prefix, standby))
                });
                let standby: Vec<_> = standby.collect();
                if !standby.iter().map(|(prefix, one)| (*prefix, one)).eq(map.standbys()) {
                    self.epoch += 1;
                    let epoch = Epoch::new(self.epoch.into());
                    let tidied = Map::new(epoch, map.ownership(), owned, standby).unwrap();
                    self.write_map(tidied, setting);
                }
            }
            Event::Cancel => {
                self.budget.cancels -= 1;
                self.cancelled = true;
            }
        }
        for one in 0..setting.count() {
            if self.endpoints[one].agent {
                setting.apply(self, one);
            }
        }
    }

    /// Takes a false alarm off the budget, if it is one.
    fn alarm(&mut self, about: usize) {
        let about = &self.endpoints[about];
        if about.agent && about.permitted && !about.rejoined {
            self.budget.false_alarms -= 1;
        }
    }

    /// An agent that follows the store may accept again, unless somebody counts on its being gone.
    fn renew(&mut self, one: usize, setting: &Setting) {
        let own = &self.endpoints[one];
        let counted_on = (0..setting.count())
            .any(|other| self.endpoints[other].lost.has(one) || setting.has_taken_from(self, other, one));
        let follows = own.map == self.map && own.handovers == self.handovers;
        if follows && !counted_on && !self.leader_lost.has(one) {
            self.endpoints[one].permitted = true;
        }
    }

    fn side(&self, endpoint: u8, handover: usize, setting: &Setting) -> Side {
        let own = &self.endpoints[usize::from(endpoint)];
        Side {
            lost: self.leader_lost.has(endpoint.into()) || own.rejoined,
            reached: own.handovers[handover].map(|stated| Progress {
                epoch: Epoch::new(stated.epoch.into()),
                phase: stated.phase,
            }),
            map: setting.maps[usize::from(own.map)].epoch(),
        }
    }

    /// The leader does what is next about a handover.
    fn lead(&mut self, number: usize, setting: &mut Setting) {
        let Some(mut stated) = self.handovers[number] else {
            return;
        };
        let handover = setting.handover(&stated);
        let standby = setting.standby(self.map, stated.prefix);
        let heard = |endpoint: u8| {
            let own = &self.endpoints[usize::from(endpoint)];
            self.heard[usize::from(endpoint)] == own.up.then_some(own.kernel)
        };
        let standby = standby.filter(|one| *one != usize::from(stated.to) && !self.leader_lost.has(*one));
        let facts = Facts {
            from: stated.from.map(|from| self.side(from, number, setting)),
            to: self.side(stated.to, number, setting),
            other_standby: standby.is_some(),
            converged: heard(stated.to) && stated.from.is_none_or(heard) && setting.leads_to(self, &stated),
            drained: self.expired || self.is_drained(&stated, setting),
            cancelled: self.cancelled && number == 0 && stated.epoch == 2,
            map_names_to: setting.names_to(self.map, &stated),
        };
        match (setting.decide)(&handover, &facts) {
            Next::Wait(_) => return,
            Next::Write(phase) => {
                stated.phase = phase;
                if phase == Phase::Release && self.expired {
                    // What is cut now is cut by the deadline.
                    for one in 0..setting.count() {
                        for probe in 0..setting.probes.len() {
                            if one != usize::from(stated.to) && stated.prefix.contains(&setting.probes[probe]) {
                                self.endpoints[one].flows =
                                    self.endpoints[one].flows.map(|flows| flows.with(probe, false));
                            }
                        }
                    }
                }
            }
            Next::TurnBack => {
                self.epoch += 1;
                let back = handover
                    .turned_back(Epoch::new(self.epoch.into()), setting.ownership)
                    .unwrap();
                stated = Stated {
                    epoch: self.epoch,
                    phase: back.phase,
                    from: Some(stated.to),
                    to: stated.from.unwrap(),
                    ..stated
                };
            }
            Next::WriteMap => {
                let map = &setting.maps[usize::from(self.map)];
                self.epoch += 1;
                let epoch = Epoch::new(self.epoch.into());
                let written = map.with_owner(&handover.prefixes, &handover.to, epoch);
                self.write_map(written, setting);
            }
        }
        self.handovers[number] = Some(stated);
    }

    /// A host that is down has no flows; one whose agent is dead may, and only the deadline ends the wait for them.
    fn is_drained(&self, stated: &Stated, setting: &Setting) -> bool {
        let Some(from) = stated.from.map(usize::from) else {
            return true;
        };
        let own = &self.endpoints[from];
        let mut concerned = (0..setting.probes.len()).filter(|probe| stated.prefix.contains(&setting.probes[*probe]));
        !own.up || (own.agent && concerned.all(|probe| !self.has_any_flows(from, probe)))
    }

    fn write_map(&mut self, written: Map, setting: &mut Setting) {
        let known = setting.maps.iter().position(|map| *map == written);
        self.map = small(known.unwrap_or(setting.maps.len()));
        if known.is_none() {
            setting.maps.push(written);
        }
    }

    /// The leader makes a standby's takeover a handover, unless one is under way there.
    fn take_over(&mut self, standby: usize, setting: &Setting) {
        for (prefix, owner) in &setting.taken[usize::from(self.endpoints[standby].taken)] {
            let overlaps = |one: &Stated| one.prefix.contains(prefix) || prefix.contains(&one.prefix);
            let open = self
                .handovers
                .iter()
                .flatten()
                .any(|one| one.phase.is_open() && overlaps(one));
            let still = setting.maps[usize::from(self.map)].owner(*prefix) == Some(owner);
            let free = self.handovers.iter().position(Option::is_none);
            if let (true, false, Some(free)) = (still, open, free) {
                self.epoch += 1;
                let epoch = Epoch::new(self.epoch.into());
                let handover = takeover(owner, &setting.names[standby], &[*prefix], epoch);
                self.handovers[free] = Some(Stated {
                    epoch: self.epoch,
                    phase: handover.phase,
                    from: Some(small(setting.number(owner))),
                    to: small(standby),
                    prefix: *prefix,
                });
            }
        }
    }
}

impl Setting {
    fn has_taken_from(&self, world: &World, taker: usize, owner: usize) -> bool {
        let taken = &self.taken[usize::from(world.endpoints[taker].taken)];
        taken.values().any(|from| *from == self.names[owner])
    }

    /// Says whether everybody that is there knows everything, and nobody is taken for lost who is not.
    pub(crate) fn at_rest(&self, world: &World) -> bool {
        (0..self.count()).all(|one| {
            let own = &world.endpoints[one];
            let peers = (0..self.count()).filter(|peer| *peer != one);
            let knows_peers = || {
                peers
                    .clone()
                    .all(|peer| own.lost.has(peer) != world.endpoints[peer].agent)
            };
            let follows = own.map == world.map && own.handovers == world.handovers && own.permitted;
            let heard = world.heard[one] == own.up.then_some(own.kernel);
            heard && world.leader_lost.has(one) != own.agent && (!own.up || (own.agent && follows && knows_peers()))
        })
    }
}
