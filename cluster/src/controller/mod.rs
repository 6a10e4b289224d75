//! The controller: it decides which endpoint owns which slice, and leads slices from one to another.
//!
//! It works in rounds. Each reads all objects, and does what is next by what they say: a round needs nothing of the round
//! before but how long something has been so. So a controller may be killed at any moment, and another one goes on. One
//! leads at a time; a write that was decided on old objects is a conflict, and the round is begun again.
//!
//! An object at fault changes nothing: the sets, maps and moves that can be read go on.

mod liveness;
mod maps;
mod moves;
mod placement;
mod pods;
mod report;
mod run;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ipnet::Ipv6Net;
use ssa_slices::{
    PlanError, Replicas,
    handover::{EndpointName, Map, Next, overlap},
};

pub use maps::{StoredMap, stored_map};
pub use placement::slots;
pub use report::{Report, record};
pub use run::run;

use crate::{
    objects::{
        Condition, ConditionStatus, EndpointEntry, Epoch, LabelValue, Message, Name, Phase, Reason, SliceEndpoint,
        SliceEndpointSpec, SliceMap, SliceMapSpec, SliceMove, SliceMoveSpec, SliceNode, SliceNodeSpec, SliceSet,
        SliceSetSpec, Timestamp,
    },
    store::{Store, StoreError},
};
use liveness::Liveness;
use moves::{Around, Memory};
use placement::{Member, Numbered, Wish};
use tokio::sync::watch;

/// How patient a controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// An endpoint that has not renewed its status for so long is lost.
    pub lost_after: Duration,
    /// Routers have followed once the old owner has had nothing to hand on for so long.
    pub quiet: Duration,
    /// Routers are not waited for any longer than this.
    pub converge_limit: Duration,
    /// How many moves that are over are kept for people to read, in each set.
    pub kept_moves: usize,
}

impl Default for Options {
    /// 15 s, 2 s, 30 s and 64 moves.
    fn default() -> Self {
        Self {
            lost_after: Duration::from_secs(15),
            quiet: Duration::from_secs(2),
            converge_limit: Duration::from_secs(30),
            kept_moves: 64,
        }
    }
}

/// What a round did, and what there is to say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// What happened, for people.
    pub told: Vec<String>,
    /// What is wrong with objects; they changed nothing.
    pub faults: Vec<String>,
    /// The sets, after the round.
    pub reports: BTreeMap<Name, Report>,
}

/// A controller. It has to lead: [`crate::store`] says who does.
#[derive(Debug)]
pub struct Controller {
    store: Store,
    options: Options,
    liveness: Liveness,
    /// The same of nodes.
    hosts: Liveness,
    memory: Memory,
    pods: watch::Receiver<pods::Seen>,
}

/// All objects at about one moment.
struct Everything {
    sets: Vec<SliceSet>,
    maps: Vec<SliceMap>,
    moves: Vec<SliceMove>,
    endpoints: BTreeMap<Name, SliceEndpoint>,
    nodes: Vec<SliceNode>,
    /// The names of all sets, those at fault too.
    known_sets: BTreeSet<String>,
}

impl Controller {
    /// Makes a controller that knows nothing yet.
    #[must_use]
    pub fn new(store: Store, options: Options) -> Self {
        Self {
            store,
            options,
            liveness: Liveness::default(),
            hosts: Liveness::default(),
            memory: Memory::default(),
            pods: watch::channel(pods::Seen::Nothing).1,
        }
    }

    /// Does what is next. `now` is the time by a clock that never goes back; `wall` is what is written for people.
    ///
    /// # Errors
    ///
    /// What the store says, such as a conflict; the next round goes on from there.
    pub async fn round(&mut self, now: Duration, wall: Timestamp) -> Result<Round, StoreError> {
        let mut round = Round::default();
        let mut everything = self.read(&mut round.faults).await?;
        let endpoints = everything.endpoints.values();
        self.liveness
            .note(endpoints.map(|one| (one.name(), one.status.renewed_at)), now);
        let nodes = everything.nodes.iter();
        self.hosts
            .note(nodes.map(|one| (one.name(), one.status.renewed_at)), now);
        // A host that is gone follows nothing, and nobody is to wait for it.
        let silent = |node: &SliceNode| self.hosts.silent_for(node.name(), now);
        let lost_after = self.options.lost_after;
        everything
            .nodes
            .retain(|node| silent(node).is_some_and(|silent| silent < lost_after));
        let open: BTreeSet<&Name> = everything
            .moves
            .iter()
            .filter(|one| !one.status.phase.is_final())
            .map(SliceMove::name)
            .collect();
        self.memory.retain(|name| open.contains(name));
        self.describe_pods(&everything, &mut round).await?;
        self.forget_sets(&everything, &mut round).await?;
        for set in &everything.sets {
            let report = self.serve(set, &everything, now, wall, &mut round).await?;
            if let Some(report) = report {
                round.reports.insert(set.name().clone(), report);
            }
        }
        Ok(round)
    }

    async fn read(&self, faults: &mut Vec<String>) -> Result<Everything, StoreError> {
        let sets = self.store.list::<SliceSetSpec>().await?;
        let maps = self.store.list::<SliceMapSpec>().await?;
        let moves = self.store.list::<SliceMoveSpec>().await?;
        let endpoints = self.store.list::<SliceEndpointSpec>().await?;
        let nodes = self.store.list::<SliceNodeSpec>().await?;
        let all = [
            &sets.faulty,
            &maps.faulty,
            &moves.faulty,
            &endpoints.faulty,
            &nodes.faulty,
        ];
        let kinds = ["SliceSet", "SliceMap", "SliceMove", "SliceEndpoint", "SliceNode"];
        for (kind, faulty) in kinds.into_iter().zip(all) {
            for object in faulty {
                let told = object
                    .faults
                    .iter()
                    .map(|fault| format!("{kind} {}: {fault}", object.name));
                faults.extend(told);
            }
        }
        let names = sets.objects.iter().map(|set| set.name().to_string());
        Ok(Everything {
            known_sets: names.chain(sets.faulty.iter().map(|set| set.name.clone())).collect(),
            sets: sets.objects,
            maps: maps.objects,
            moves: moves.objects,
            endpoints: endpoints
                .objects
                .into_iter()
                .map(|one| (one.name().clone(), one))
                .collect(),
            nodes: nodes.objects,
        })
    }

    /// Does what is next for one set.
    async fn serve(
        &mut self,
        set: &SliceSet,
        everything: &Everything,
        now: Duration,
        wall: Timestamp,
        round: &mut Round,
    ) -> Result<Option<Report>, StoreError> {
        let (space, replicas) = match (set.spec.space(), set.spec.replicas()) {
            (Ok(space), Ok(replicas)) => (space, replicas),
            (space, replicas) => {
                let wrong = [space.err(), replicas.err()].into_iter().flatten();
                round
                    .faults
                    .extend(wrong.map(|fault| format!("SliceSet {}: {fault}", set.name())));
                return Ok(None);
            }
        };
        self.describe_endpoints(set, everything, &mut round.told).await?;
        let parts: Vec<&SliceMap> = everything
            .maps
            .iter()
            .filter(|map| map.spec.slice_set == *set.name())
            .collect();
        let read = stored_map(&parts, set.spec.ownership);
        let mine: Vec<&SliceMove> = everything
            .moves
            .iter()
            .filter(|one| one.spec.slice_set == *set.name())
            .collect();
        let map_parts: Vec<Name> = parts.iter().map(|part| part.name().clone()).collect();
        let around = Around {
            set: &set.spec,
            map: &read.map,
            map_parts: &map_parts,
            endpoints: &everything.endpoints,
            nodes: &everything.nodes,
            liveness: &self.liveness,
            options: &self.options,
            now,
        };
        let members = members(set, &around);
        let numbered = Numbered::new(&space, &members, &set.spec.placement.pinned);
        round.faults.extend(partial_pins(set, space.slice_length()));
        let mut report = Report::new(&space, &read.map, &members);
        let epoch = next_epoch(&read.map, &mine);

        // Open moves, one step each.
        let mut steps = Vec::new();
        for one in mine.iter().filter(|one| !one.status.phase.is_final()) {
            let next = moves::decide(one, &around, &mut self.memory);
            *report.moves.entry(one.status.phase.into()).or_default() += 1;
            if let Next::Wait(awaited) = next {
                *report.waiting.entry(awaited).or_default() += 1;
            }
            steps.push((*one, next));
        }
        report.stuck = self.memory.stuck(&around);
        let (mut epoch, mut wanted) = self.advance(set, &read, &steps, epoch, wall, round).await?;

        // What begins; and when all is quiet, standbys and joined prefixes.
        if parts.is_empty() {
            wanted = begin_map(set, &numbered, replicas, &around, round)
                .map(|map| maps::owned_by(&map, set.spec.ownership, epoch));
        } else {
            let busy = steps
                .iter()
                .flat_map(|(one, _)| &one.spec.prefixes)
                .map(|prefix| prefix.net())
                .collect();
            let wishes = match wishes(&numbered, replicas, &around, &members, busy, &steps, wanted.is_some()) {
                Ok(wishes) => wishes,
                Err(error) => {
                    round.faults.push(format!("SliceSet {}: {error}", set.name()));
                    Vec::new()
                }
            };
            for wish in &wishes {
                epoch = epoch.next();
                self.begin(set, wish, epoch, round).await?;
            }
            let quiet = steps.is_empty() && wishes.is_empty() && wanted.is_none();
            if quiet && all_follow(&members, &around) {
                wanted = numbered
                    .tidied(&read.map, set.spec.standby)
                    .map(|map| maps::with_epoch(&map, epoch));
            }
        }
        if let Some(map) = wanted {
            self.write_map(set, &maps::write(set.name(), &space, &map), &parts)
                .await?;
        }
        self.forget(&mine).await?;
        let open = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        self.describe_set(set, &report, &members, open, epoch, wall).await?;
        Ok(Some(report))
    }

    /// Writes what is next about open moves; returns the epoch by then, and the map that is to be written.
    async fn advance(
        &self,
        set: &SliceSet,
        read: &StoredMap,
        steps: &[(&SliceMove, Next)],
        mut epoch: Epoch,
        wall: Timestamp,
        round: &mut Round,
    ) -> Result<(Epoch, Option<Map>), StoreError> {
        let mut wanted = read.torn.then(|| maps::with_epoch(&read.map, epoch));
        for (one, next) in steps {
            if *next == Next::WriteMap {
                let handover = one.handover();
                let map = wanted.as_ref().unwrap_or(&read.map);
                let at = ssa_slices::handover::Epoch::new(epoch.get());
                wanted = Some(map.with_owner(&handover.prefixes, &handover.to, at));
            }
            let Some(changed) = moves::changed(one, *next, epoch, set.spec.ownership, wall) else {
                continue;
            };
            let (from, to) = (one.status.phase, changed.status.phase);
            if *next == Next::TurnBack {
                // The map of this round, and the next decision, are later.
                epoch = epoch.next();
                wanted = wanted.map(|map| maps::with_epoch(&map, epoch));
                round
                    .told
                    .push(format!("move {}: {from:?} to {to:?}, turned back", one.name()));
            } else if from != to {
                round.told.push(format!("move {}: {from:?} to {to:?}", one.name()));
            }
            self.store.update_status(&changed).await?;
        }
        Ok((epoch, wanted))
    }

    /// Opens a move.
    async fn begin(&self, set: &SliceSet, wish: &Wish, epoch: Epoch, round: &mut Round) -> Result<(), StoreError> {
        let name = |endpoint: &EndpointName| Name::new(endpoint.as_str()).ok();
        let (Some(to), Ok(called)) = (name(&wish.to), Name::new(&format!("{}-{epoch}", set.name()))) else {
            return Ok(());
        };
        let prefixes: Vec<crate::objects::Prefix> = wish.prefixes.iter().map(|prefix| (*prefix).into()).collect();
        if let Some(prefix) = prefixes.iter().find(|prefix| !set.spec.allows(**prefix)) {
            let set = set.name();
            round.faults.push(format!(
                "SliceSet {set}: spec.allowed does not cover {prefix}, which stays where it is"
            ));
            return Ok(());
        }
        let from = wish.from.as_ref().and_then(name);
        let giver = from.as_ref().map_or("nobody", |from| from.as_str());
        let count = prefixes.len();
        round.told.push(format!(
            "move {called}: {count} prefixes from {giver} to {to} ({:?})",
            wish.reason
        ));
        let spec = SliceMoveSpec {
            slice_set: set.name().clone(),
            epoch,
            from,
            to,
            prefixes,
            reason: wish.reason,
            cancelled: false,
        };
        self.store.create(&SliceMove::new(called, spec)).await.map(drop)
    }

    /// Writes the parts of a map; one that dies between them leaves a torn map, which is written again.
    async fn write_map(
        &self,
        set: &SliceSet,
        wanted: &[(Name, SliceMapSpec)],
        parts: &[&SliceMap],
    ) -> Result<(), StoreError> {
        for (name, spec) in wanted {
            for endpoint in &spec.endpoints {
                let prefixes = endpoint.owned.iter().chain(&endpoint.standby);
                if let Some(prefix) = prefixes.clone().find(|prefix| !set.spec.allows(**prefix)) {
                    let problem = format!(
                        "does not cover {prefix}, which the map of {} would give out",
                        set.name()
                    );
                    return Err(StoreError::Invalid {
                        kind: crate::objects::Kind::SliceSet,
                        name: set.name().to_string(),
                        faults: vec![<SliceSetSpec as crate::objects::Spec>::fault("spec.allowed", problem)],
                    });
                }
            }
            match parts.iter().find(|part| part.name() == name) {
                Some(part) => {
                    let mut part = (*part).clone();
                    part.spec = spec.clone();
                    self.store.update(&part).await?;
                }
                None => {
                    self.store.create(&SliceMap::new(name.clone(), spec.clone())).await?;
                }
            }
        }
        for part in parts
            .iter()
            .filter(|part| wanted.iter().all(|(name, _)| part.name() != name))
        {
            let version = part.metadata.resource_version.as_ref();
            self.store.delete::<SliceMapSpec>(part.name(), version).await?;
        }
        Ok(())
    }

    /// Makes the objects of endpoints that are pods, and deletes those of pods that are gone.
    async fn describe_pods(&self, everything: &Everything, round: &mut Round) -> Result<(), StoreError> {
        let seen = self.pods.borrow().clone();
        let pods = match seen {
            pods::Seen::Pods(pods) => pods,
            pods::Seen::Nothing => return Ok(()),
            pods::Seen::None => {
                for set in everything.sets.iter().filter(|set| pods::selects(set)) {
                    let set = set.name();
                    round.faults.push(format!(
                        "SliceSet {set}: spec.endpoints.selector: only Kubernetes has pods; list the endpoints"
                    ));
                }
                return Ok(());
            }
            pods::Seen::Fault(fault) => {
                if everything.sets.iter().any(pods::selects) {
                    round.faults.push(format!("pods cannot be followed: {fault}"));
                }
                return Ok(());
            }
        };
        let (changes, faults) = pods::changes(&everything.sets, &pods, &everything.endpoints);
        round.faults.extend(faults);
        for change in changes {
            match change {
                pods::Change::Create(endpoint) => {
                    round.told.push(format!("endpoint {}: is new", endpoint.name()));
                    self.store.create(&endpoint).await?;
                }
                pods::Change::Update(endpoint) => {
                    if endpoint.spec.drained {
                        round.told.push(format!("endpoint {}: is drained", endpoint.name()));
                    }
                    self.store.update(&endpoint).await?;
                }
                pods::Change::Delete(name, version) => {
                    round.told.push(format!("endpoint {name}: its pod is gone"));
                    self.store.delete::<SliceEndpointSpec>(&name, version.as_ref()).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes the objects of endpoints that a set lists, so that their agents can report.
    async fn describe_endpoints(
        &self,
        set: &SliceSet,
        everything: &Everything,
        told: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        for entry in set.spec.endpoints.list.iter().flatten() {
            let Some(known) = everything.endpoints.get(&entry.name) else {
                let spec = endpoint_spec(entry, vec![set.name().clone()]);
                told.push(format!("endpoint {}: is new", entry.name));
                self.store.create(&SliceEndpoint::new(entry.name.clone(), spec)).await?;
                continue;
            };
            let mut sets = known.spec.slice_sets.clone();
            if !sets.contains(set.name()) {
                sets.push(set.name().clone());
            }
            let wanted = SliceEndpointSpec {
                drained: known.spec.drained,
                ..endpoint_spec(entry, sets)
            };
            if wanted != known.spec {
                let mut known = known.clone();
                known.spec = wanted;
                self.store.update(&known).await?;
            }
        }
        Ok(())
    }

    /// Deletes what is left of sets that are gone: then no kernel holds anything of them any more.
    async fn forget_sets(&self, everything: &Everything, round: &mut Round) -> Result<(), StoreError> {
        let is_gone = |set: &Name| !everything.known_sets.contains(set.as_str());
        for one in everything.moves.iter().filter(|one| is_gone(&one.spec.slice_set)) {
            let version = one.metadata.resource_version.as_ref();
            self.store.delete::<SliceMoveSpec>(one.name(), version).await?;
        }
        for map in everything.maps.iter().filter(|map| is_gone(&map.spec.slice_set)) {
            round
                .told
                .push(format!("set {}: is gone, and its map", map.spec.slice_set));
            let version = map.metadata.resource_version.as_ref();
            self.store.delete::<SliceMapSpec>(map.name(), version).await?;
        }
        Ok(())
    }

    /// Deletes the oldest moves that are over.
    async fn forget(&self, mine: &[&SliceMove]) -> Result<(), StoreError> {
        let mut over: Vec<&&SliceMove> = mine.iter().filter(|one| one.status.phase.is_final()).collect();
        over.sort_by_key(|one| std::cmp::Reverse(one.epoch()));
        for one in over.into_iter().skip(self.options.kept_moves) {
            let version = one.metadata.resource_version.as_ref();
            self.store.delete::<SliceMoveSpec>(one.name(), version).await?;
        }
        Ok(())
    }

    async fn describe_set(
        &self,
        set: &SliceSet,
        report: &Report,
        members: &[Member],
        open: u32,
        epoch: Epoch,
        wall: Timestamp,
    ) -> Result<(), StoreError> {
        let mut described = set.clone();
        let status = &mut described.status;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        status.observed_generation = set.metadata.generation;
        status.epoch = epoch;
        status.slices = count(report.slices);
        status.endpoints = count(members.len());
        status.ready_endpoints = count(report.serving);
        status.wanted_endpoints = count(report.serving);
        status.open_moves = open;
        status.imbalance_permille = report.imbalance_permille;
        let served = report.without_owner == 0;
        let (reason, message) = if served {
            ("EverySliceOwned", String::new())
        } else {
            (
                "NoOwner",
                format!("{} of {} slices have no owner", report.without_owner, report.slices),
            )
        };
        let ready = if served {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        let before = set.status.conditions.iter().find(|one| one.kind.as_str() == "Ready");
        if let (Ok(kind), Ok(reason)) = (LabelValue::new("Ready"), LabelValue::new(reason)) {
            let since = before
                .filter(|before| before.status == ready)
                .map(|before| before.last_transition_time);
            status.conditions = vec![Condition {
                kind,
                status: ready,
                reason,
                message: Message::new(&message),
                last_transition_time: since.unwrap_or(wall),
                observed_generation: set.metadata.generation,
            }];
        }
        if described.status != set.status {
            self.store.update_status(&described).await?;
        }
        Ok(())
    }
}

/// Says which pins are of a part of a slice; they are ignored, for such a part does not move by itself.
fn partial_pins(set: &SliceSet, slice_length: u8) -> impl Iterator<Item = String> {
    let pins = set.spec.placement.pinned.iter().zip(0..);
    let partial = pins.filter(move |(pin, _): &(_, usize)| pin.prefix.net().prefix_len() > slice_length);
    partial.map(move |(pin, number)| {
        let (set, prefix) = (set.name(), pin.prefix);
        format!(
            "SliceSet {set}: spec.placement.pinned[{number}].prefix: {prefix} is a part of a slice, a /{slice_length}, \
             and is ignored"
        )
    })
}

fn endpoint_spec(entry: &EndpointEntry, slice_sets: Vec<Name>) -> SliceEndpointSpec {
    SliceEndpointSpec {
        slice_sets,
        address: entry.address,
        tunnel: entry.tunnel.clone(),
        http_port: entry.http_port,
        node: entry.node.clone(),
        domain: entry.domain.clone(),
        weight: entry.weight,
        drained: false,
    }
}

/// Lists a set's endpoints. Those that are not ready, lost or drained have no weight: they own nothing for long.
fn members(set: &SliceSet, around: &Around<'_>) -> Vec<Member> {
    let mine = around
        .endpoints
        .values()
        .filter(|one| one.spec.slice_sets.contains(set.name()));
    mine.map(|one| Member {
        name: one.name().endpoint(),
        weight: if around.serves(one) { one.spec.weight.get() } else { 0 },
        domain: one.spec.domain.as_ref().map(|domain| domain.as_str().to_owned()),
        lost: around.is_lost(one.name()),
    })
    .collect()
}

/// Returns the map of a set that has none. Whoever is about to get ready is waited for, so that nothing has to move at once.
fn begin_map(
    set: &SliceSet,
    numbered: &Numbered<'_>,
    replicas: Replicas,
    around: &Around<'_>,
    round: &mut Round,
) -> Option<Map> {
    if !numbered.can_serve() || around.is_anybody_starting(set.name()) {
        return None;
    }
    match numbered.first_map(replicas, set.spec.standby) {
        Ok(map) => {
            round.told.push(format!("set {}: slices are given out", set.name()));
            Some(map)
        }
        Err(error) => {
            round.faults.push(format!("SliceSet {}: {error}", set.name()));
            None
        }
    }
}

/// Says whether every endpoint that is there follows the map.
fn all_follow(members: &[Member], around: &Around<'_>) -> bool {
    members.iter().filter(|member| !member.lost).all(|member| {
        let name = Name::new(member.name.as_str());
        name.is_ok_and(|name| around.follows(&name) == around.map.epoch())
    })
}

/// Lists the moves that are to begin: what standbys have taken, what lost owners have, then whatever spreads slices evenly.
fn wishes(
    numbered: &Numbered<'_>,
    replicas: Replicas,
    around: &Around<'_>,
    members: &[Member],
    mut busy: BTreeSet<Ipv6Net>,
    open: &[(&SliceMove, Next)],
    map_changes: bool,
) -> Result<Vec<Wish>, PlanError> {
    let mut wishes = takeovers(members, around, &busy);
    busy.extend(wishes.iter().flat_map(|wish| wish.prefixes.iter().copied()));
    let failures = numbered.failures(around.map, &busy);
    busy.extend(failures.iter().flat_map(|wish| wish.prefixes.iter().copied()));
    wishes.extend(failures);
    let parallel = usize::try_from(around.set.handover.parallel.get()).unwrap_or(usize::MAX);
    let room = parallel.saturating_sub(open.len());
    if numbered.can_serve() && room > 0 && !around.set.placement.paused && !map_changes {
        // What is on its way counts where it goes to: it may take as long as its flows last.
        let arrived = open.iter().fold(around.map.clone(), |map, (one, _)| {
            let handover = one.handover();
            map.with_owner(&handover.prefixes, &handover.to, map.epoch())
        });
        wishes.extend(numbered.spread(replicas, &arrived, &busy)?.into_iter().take(room));
    }
    Ok(wishes)
}

/// Wishes for what standbys have taken over already to be theirs by the map too.
fn takeovers(members: &[Member], around: &Around<'_>, busy: &BTreeSet<Ipv6Net>) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for member in members.iter().filter(|member| !member.lost) {
        let Some(endpoint) = around.endpoints.get(member.name.as_str()) else {
            continue;
        };
        let mut by_owner: BTreeMap<EndpointName, Vec<Ipv6Net>> = BTreeMap::new();
        for taken in &endpoint.status.taken {
            let (prefix, owner) = (taken.prefix.net(), taken.from.endpoint());
            let still = around.map.owner(prefix) == Some(&owner);
            if still && !busy.iter().any(|other| overlap(*other, prefix)) {
                by_owner.entry(owner).or_default().push(prefix);
            }
        }
        wishes.extend(by_owner.into_iter().map(|(owner, prefixes)| Wish {
            from: Some(owner),
            to: member.name.clone(),
            prefixes,
            reason: Reason::Failure,
        }));
    }
    wishes
}

/// The epoch after all that were given out.
fn next_epoch(map: &Map, moves: &[&SliceMove]) -> Epoch {
    let last = moves.iter().map(|one| one.epoch().get()).max().unwrap_or(0);
    Epoch::new(last.max(map.epoch().get())).unwrap_or_default().next()
}

/// Says whether a phase is one in which nothing has changed yet.
#[must_use]
pub fn can_be_called_off(phase: Phase) -> bool {
    phase < Phase::Release
}
