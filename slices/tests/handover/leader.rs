//! What the leader knows and does.

use ipnet::Ipv6Net;
use ssa_slices::handover::{Epoch, Facts, Map, Next, Ownership, Phase, Progress, Side, overlap};

use crate::setting::{Setting, small};
use crate::state::{Holder, Stated, World};

impl World {
    pub(crate) fn side(&self, endpoint: u8, handover: usize, setting: &Setting) -> Side {
        let own = &self.endpoints[usize::from(endpoint)];
        let is_gone = self.leader_lost.has(endpoint.into()) || own.rejoined;
        // With exclusive ownership nobody is given up who may accept, and only who holds the lease speaks for the kernel.
        let exclusive = setting.ownership == Ownership::Exclusive;
        let counts = !exclusive || own.lease != Holder::Former;
        Side {
            lost: is_gone && (!exclusive || own.lease == Holder::Leader),
            reached: own.handovers[handover].filter(|_| counts).map(|stated| Progress {
                epoch: Epoch::new(stated.epoch.into()),
                phase: stated.phase,
            }),
            map: if counts {
                setting.maps[usize::from(own.map)].epoch()
            } else {
                Epoch::default()
            },
        }
    }

    /// The leader does what is next about a handover.
    pub(crate) fn lead(&mut self, number: usize, setting: &mut Setting) {
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
        let later: Vec<&Stated> = self
            .others(number)
            .filter(|one| setting.goes_on(&stated, one))
            .collect();
        let is_told = later.iter().all(|one| one.phase != Phase::Announce);
        let has_gone = later.iter().any(|one| one.phase > Phase::Announce);
        let reports = |one: u8| {
            let side = self.side(one, number, setting);
            side.lost || side.reached >= Some(handover.progress())
        };
        let facts = Facts {
            from: stated.from.map(|from| self.side(from, number, setting)),
            to: self.side(stated.to, number, setting),
            other_standby: standby.is_some(),
            converged: heard(stated.to)
                && stated.from.is_none_or(heard)
                && is_told
                && (has_gone || setting.leads_to(self, &stated)),
            drained: self.expired || self.is_drained(&stated, setting),
            cancelled: self.cancelled && usize::from(stated.epoch) == number + 2,
            joined: self.has_joined(number, &stated, setting),
            before: self.others(number).any(|one| setting.goes_on(one, &stated)),
            goes_on: !later.is_empty(),
            followed: later.iter().all(|one| reports(one.to) && one.from.is_none_or(reports)),
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

    /// Says whether both sides of a handover know that those before it drain.
    fn has_joined(&self, number: usize, stated: &Stated, setting: &Setting) -> bool {
        (0..self.handovers.len()).filter(|other| *other != number).all(|other| {
            let Some(before) = self.handovers[other].filter(|before| setting.goes_on(before, stated)) else {
                return true;
            };
            let drains = Progress {
                epoch: Epoch::new(before.epoch.into()),
                phase: Phase::Drain,
            };
            let knows = |one: u8| {
                let side = self.side(one, other, setting);
                side.lost || side.reached >= Some(drains)
            };
            knows(stated.to) && stated.from.is_none_or(knows)
        })
    }

    /// The handovers other than one.
    fn others(&self, number: usize) -> impl Iterator<Item = &Stated> {
        let all = self.handovers.iter().enumerate();
        all.filter(move |(other, _)| *other != number)
            .filter_map(|(_, one)| one.as_ref())
    }

    /// A host that is down has no flows; one whose agent is dead may, and only the deadline ends the wait for them.
    pub(crate) fn is_drained(&self, stated: &Stated, setting: &Setting) -> bool {
        let Some(from) = stated.from.map(usize::from) else {
            return true;
        };
        let own = &self.endpoints[from];
        let mut concerned = (0..setting.probes.len()).filter(|probe| stated.prefix.contains(&setting.probes[*probe]));
        !own.up || (own.agent && concerned.all(|probe| !self.has_any_flows(from, probe)))
    }

    pub(crate) fn write_map(&mut self, written: Map, setting: &mut Setting) {
        let known = setting.maps.iter().position(|map| *map == written);
        self.map = small(known.unwrap_or(setting.maps.len()));
        if known.is_none() {
            setting.maps.push(written);
        }
    }

    /// The leader makes a standby's takeover a handover, unless one is under way there.
    pub(crate) fn take_over(&mut self, standby: usize, setting: &Setting) {
        for (prefix, owner) in &setting.taken[usize::from(self.endpoints[standby].taken)] {
            if setting.maps[usize::from(self.map)].owner(*prefix) == Some(owner) && !self.is_moving(*prefix) {
                self.open(setting.number(owner), standby, *prefix);
            }
        }
    }

    pub(crate) fn is_moving(&self, prefix: Ipv6Net) -> bool {
        let mut open = self.handovers.iter().flatten().filter(|one| one.phase.is_open());
        open.any(|one| overlap(one.prefix, prefix))
    }

    /// Has what was handed over first go on to another endpoint.
    pub(crate) fn go_on(&mut self, setting: &Setting) {
        if let (Some((to, prefix)), Some(first)) = (setting.goes_on, self.handovers[0]) {
            self.open(usize::from(first.to), to, prefix);
        }
    }

    /// Opens a handover, if there is room for one.
    pub(crate) fn open(&mut self, from: usize, to: usize, prefix: Ipv6Net) {
        let Some(free) = self.handovers.iter().position(Option::is_none) else {
            return;
        };
        self.epoch += 1;
        self.handovers[free] = Some(Stated {
            epoch: self.epoch,
            phase: Phase::Prepare,
            from: Some(small(from)),
            to: small(to),
            prefix,
        });
    }
}

impl Setting {
    /// Says whether a later handover goes on from one.
    fn goes_on(&self, one: &Stated, later: &Stated) -> bool {
        overlap(one.prefix, later.prefix)
            && later.phase.is_open()
            && self.handover(one).is_before(&self.handover(later), self.ownership)
    }

    pub(crate) fn has_taken_from(&self, world: &World, taker: usize, owner: usize) -> bool {
        let taken = &self.taken[usize::from(world.endpoints[taker].taken)];
        taken.values().any(|from| *from == self.names[owner])
    }

    /// What a lost owner has that its standby is to have, and who that is.
    pub(crate) fn fails_over(&self, world: &World, owner: usize) -> Option<(Ipv6Net, usize)> {
        let own = &world.endpoints[owner];
        let is_lost = own.lease == Holder::Leader && (world.leader_lost.has(owner) || own.rejoined);
        let room = world.handovers.iter().any(Option::is_none);
        let map = self.maps.get(usize::from(world.map)).filter(|_| is_lost && room)?;
        let mine = map.owned().filter(|(_, name)| **name == self.names[owner]);
        let mut free = mine.filter(|(prefix, _)| !world.is_moving(*prefix));
        free.find_map(|(prefix, _)| {
            let standby = self.number(map.standby(prefix)?);
            (!world.leader_lost.has(standby)).then_some((prefix, standby))
        })
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
            let exclusive = self.ownership == Ownership::Exclusive;
            let knows_peers = || exclusive || knows_peers();
            let follows = own.map == world.map && own.handovers == world.handovers && own.permitted;
            let heard = world.heard[one] == own.up.then_some(own.kernel);
            heard && world.leader_lost.has(one) != own.agent && (!own.up || (own.agent && follows && knows_peers()))
        })
    }
}
