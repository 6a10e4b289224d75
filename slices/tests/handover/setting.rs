//! What worlds number: maps, and kernels by what their agents know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::Phase;
use ssa_slices::handover::{
    Admission, EndpointName, Epoch, Facts, Handover, KernelRoute, Map, Next, Ownership, View, fences, next, routes,
};

use crate::state::{Budget, ENDPOINTS, Endpoint, HANDOVERS, Holder, NAMES, PROBES, ROUTERS, Set, Stated, Ways, World};

/// What a test begins with, and everything that worlds number.
pub(crate) struct Setting {
    pub(crate) names: Vec<EndpointName>,
    pub(crate) ownership: Ownership,
    pub(crate) probes: Vec<Ipv6Addr>,
    pub(crate) kernels: Vec<[Ways; PROBES]>,
    pub(crate) kernel_of: HashMap<KernelKey, (u16, u8, bool)>,
    pub(crate) maps: Vec<Map>,
    pub(crate) taken: Vec<BTreeMap<Ipv6Net, EndpointName>>,
    /// Where what was handed over first goes on to while it drains, and as which prefix.
    pub(crate) goes_on: Option<(usize, Ipv6Net)>,
    /// Packets of a flow may come through any router at any moment.
    pub(crate) rehash: bool,
    /// Nobody is lost who is not, and no host is.
    pub(crate) steady: bool,
    /// The leader's decisions, and what agents make of routes: tests replace them to see what a missing step does.
    pub(crate) decide: fn(&Handover, &Facts) -> Next,
    pub(crate) rewrite: fn(BTreeSet<KernelRoute>) -> BTreeSet<KernelRoute>,
}

#[derive(PartialEq, Eq, Hash)]
pub(crate) struct KernelKey {
    pub(crate) endpoint: usize,
    pub(crate) map: u8,
    pub(crate) handovers: [Option<Stated>; HANDOVERS],
    pub(crate) lost: Set,
    pub(crate) taken: u8,
    pub(crate) taken_by: Set,
    pub(crate) rejoined: bool,
}

pub(crate) struct Begin<'a> {
    pub(crate) ownership: Ownership,
    pub(crate) owned: &'a [(&'a str, usize)],
    pub(crate) standby: &'a [(&'a str, usize)],
    pub(crate) handovers: &'a [(Option<usize>, usize, &'a str)],
    /// Where what was handed over first goes on to while it drains, and as which prefix.
    pub(crate) goes_on: Option<(usize, &'a str)>,
    pub(crate) probes: &'a [&'a str],
    pub(crate) endpoints: usize,
    pub(crate) budget: Budget,
}

pub(crate) fn small(number: usize) -> u8 {
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
            goes_on: begin.goes_on.map(|(to, prefix)| (to, prefix.parse().unwrap())),
            rehash: (
                begin.budget.host_crashes,
                begin.budget.agent_crashes,
                begin.budget.false_alarms,
            ) == (0, 0, 0),
            // Where the leader gives an endpoint up whose agent alone died, its flows are cut when others have what it had.
            steady: (begin.budget.host_crashes, begin.budget.false_alarms) == (0, 0)
                && (begin.ownership == Ownership::Available || begin.budget.agent_crashes == 0),
            decide: next,
            rewrite: |routes| routes,
            names,
        };
        let endpoint = Endpoint {
            up: true,
            agent: true,
            permitted: true,
            lease: Holder::Itself,
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

    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn handover(&self, stated: &Stated) -> Handover {
        Handover {
            epoch: Epoch::new(stated.epoch.into()),
            from: stated.from.map(|from| self.names[usize::from(from)].clone()),
            to: self.names[usize::from(stated.to)].clone(),
            prefixes: vec![stated.prefix],
            phase: stated.phase,
        }
    }

    pub(crate) fn number(&self, name: &EndpointName) -> usize {
        self.names.iter().position(|other| other == name).unwrap()
    }

    /// Says whether the late router sends what is handed over to the new owner.
    pub(crate) fn leads_to(&self, world: &World, stated: &Stated) -> bool {
        let concerned = (0..self.probes.len()).filter(|probe| stated.prefix.contains(&self.probes[*probe]));
        concerned.into_iter().all(|probe| {
            let announced = |one: usize| self.kernels[usize::from(world.heard[one]?)][probe].announced;
            let best = (0..self.count()).filter_map(announced).min();
            (0..self.count()).all(|one| one == usize::from(stated.to) || announced(one) != best)
        })
    }

    pub(crate) fn names_to(&self, map: u8, stated: &Stated) -> Option<Epoch> {
        let map = &self.maps[usize::from(map)];
        (map.owner(stated.prefix) == Some(&self.names[usize::from(stated.to)])).then_some(map.epoch())
    }

    pub(crate) fn standby(&self, map: u8, prefix: Ipv6Net) -> Option<usize> {
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
    pub(crate) fn apply(&mut self, world: &mut World, number: usize) {
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
            idle: BTreeSet::new(),
            taken: self.taken[usize::from(own.taken)].clone(),
            taken_by: names(own.taken_by),
            rejoined: own.rejoined,
            unready: false,
        };
        let (name, map) = (&self.names[number], &self.maps[usize::from(own.map)]);
        let handovers: Vec<Handover> = own.handovers.iter().flatten().map(|one| self.handover(one)).collect();
        view.take(name, map, &handovers);
        let routes = (self.rewrite)(routes(name, map, &handovers, &view));
        let admission = Admission::of(&fences(name, map, &handovers, &view));
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
            let has = |set: &BTreeSet<Ipv6Net>| set.iter().any(|prefix| prefix.contains(probe));
            ways.fenced = has(&admission.fenced);
            (ways.direct, ways.tunnelled) = (has(&admission.direct), has(&admission.tunnelled));
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
}
