//! A network in which slices are handed over: endpoints with kernels and agents, routers that follow late, a store.
//!
//! Everything that can happen at a moment is an [`Event`]; the tests try them all. Where packets go is worked out from the
//! kernels' routes and the routers' tables alone, as a network would, and not from what the leader believes.
//! Worlds are small values, for there are many: whatever is large stands in the [`Setting`], and worlds number it.

use ssa_slices::handover::{EndpointName, Epoch, Map, Ownership, Phase};

use crate::setting::Setting;
use crate::state::{Endpoint, Event, HANDOVERS, Holder, ROUTERS, Set, Stated, World};

impl World {
    /// Says whether an endpoint has flows of an address that come through a router.
    pub(crate) fn has_flows(&self, endpoint: usize, router: usize, probe: usize) -> bool {
        self.endpoints[endpoint].flows[router].has(probe)
    }

    pub(crate) fn has_any_flows(&self, endpoint: usize, probe: usize) -> bool {
        self.endpoints[endpoint].flows.iter().any(|flows| flows.has(probe))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.handovers.iter().flatten().all(|one| !one.phase.is_open())
    }

    /// The phase of a handover, by the leader's word.
    pub(crate) fn phase(&self, handover: usize) -> Option<Phase> {
        self.handovers[handover].map(|one| one.phase)
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
            let may_be_lost = |other: &Endpoint| !other.agent || other.rejoined || self.budget.false_alarms > 0;
            if exclusive {
                self.lease_events(one, setting, &mut events);
            } else if !self.leader_lost.has(one) && may_be_lost(endpoint) {
                events.push(Event::LeaderLoses(one));
            }
            if self.leader_lost.has(one) && endpoint.agent && !endpoint.rejoined {
                events.push(Event::LeaderFinds(one));
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
        if setting.goes_on.is_some() && drains && self.handovers[1].is_none() {
            events.push(Event::GoesOn);
        }
        if self.is_over() && setting.at_rest(self) && self.endpoints[..setting.count()].iter().all(|own| own.up) {
            events.push(Event::Tidy);
        }
        if drains && !self.expired {
            events.push(Event::DrainExpires);
        }
        events
    }

    pub(crate) fn agents_events(
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
            } else if setting.ownership == Ownership::Available && may_be_lost(other) {
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

    pub(crate) fn lease_events(&self, one: usize, setting: &Setting, events: &mut Vec<Event>) {
        let own = &self.endpoints[one];
        // Cut off from the store, or dead.
        if own.permitted && (!own.agent || self.budget.false_alarms > 0) {
            events.push(Event::Expires(one));
        }
        // Nothing else is asked: it may know nothing of what has happened since.
        if own.lease == Holder::Itself && own.agent && !own.rejoined && !own.permitted {
            events.push(Event::Renews(one));
        }
        if own.lease != Holder::Leader && !own.permitted {
            events.push(Event::LeaderTakes(one));
        }
        if own.lease == Holder::Leader {
            if !self.leader_lost.has(one) {
                events.push(Event::LeaderLoses(one));
            }
            let follows = own.map == self.map && own.handovers == self.handovers;
            if own.agent && !own.rejoined && follows && !self.leader_lost.has(one) {
                events.push(Event::LeaderGives(one));
            }
        }
        if setting.fails_over(self, one).is_some() {
            events.push(Event::FailsOver(one));
        }
    }

    /// Lets something happen.
    pub(crate) fn after(&self, event: Event, setting: &mut Setting) -> Self {
        let mut world = *self;
        world.happen(event, setting);
        setting.open_flows(&mut world);
        world
    }

    /// Lets everything go on that needs nothing but time, and no flow end, until something is so.
    pub(crate) fn until(mut self, setting: &mut Setting, is_so: impl Fn(&Self) -> bool) -> Self {
        while !is_so(&self) {
            let events = self.events(setting).into_iter().filter(|event| {
                matches!(
                    event,
                    Event::Leader(_) | Event::SeesMap(_) | Event::SeesHandover(..) | Event::RouterHears(_)
                )
            });
            let before = self;
            let after = events.map(|event| before.after(event, setting));
            self = after.into_iter().find(|after| *after != before).expect("it goes on");
        }
        self
    }

    pub(crate) fn happen(&mut self, event: Event, setting: &mut Setting) {
        match event {
            Event::Leader(handover) => self.lead(handover, setting),
            Event::TakeOver(endpoint) => self.take_over(endpoint, setting),
            Event::LeaderLoses(one) => {
                self.alarm(one);
                self.leader_lost.put(one, true);
            }
            Event::LeaderFinds(one) => self.leader_lost.put(one, false),
            Event::LeaderTakes(one) => self.endpoints[one].lease = Holder::Leader,
            Event::LeaderGives(one) => self.endpoints[one].lease = Holder::Itself,
            Event::FailsOver(one) => {
                if let Some((prefix, standby)) = setting.fails_over(self, one) {
                    self.open(one, standby, prefix);
                }
            }
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
                (endpoint.up, endpoint.agent) = (false, false);
                if setting.ownership == Ownership::Exclusive {
                    endpoint.permitted = false;
                    if endpoint.lease == Holder::Itself {
                        endpoint.lease = Holder::Former;
                    }
                }
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
            Event::Renews(one) => self.endpoints[one].permitted = true,
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
            Event::GoesOn => self.go_on(setting),
            Event::Cancel => (self.budget.cancels, self.cancelled) = (self.budget.cancels - 1, true),
        }
        for one in 0..setting.count() {
            if self.endpoints[one].agent {
                setting.apply(self, one);
            }
        }
    }

    /// Takes a false alarm off the budget, if it is one.
    pub(crate) fn alarm(&mut self, about: usize) {
        let about = &self.endpoints[about];
        if about.agent && about.permitted && !about.rejoined {
            self.budget.false_alarms -= 1;
        }
    }
}
