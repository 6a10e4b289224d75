//! Agents without kernels, time without a clock, and a store that a writer can die at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ssa_cluster::{
    controller::{Change, Controller},
    load::{LoadReport, PrefixLoad},
    objects::{
        AppliedMap, EndpointEntry, Kind, LabelValue, LeaseSpec, Message, Name, ObservedMove, Ownership, Phase, Pin,
        Prefix, Reason, ResourceVersion, SliceEndpoint, SliceEndpointSpec, SliceMapSpec, SliceMove, SliceMoveSpec,
        SliceSet, SliceSetSpec, Timestamp,
    },
    store::{Answer, Backend, Events, Memory, Part, Raw, RawList, Store, StoreError},
};
use ssa_slices::handover::Ownership::Available;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn wall(now: Duration) -> Timestamp {
    Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap())
}

/// What happened until all was quiet.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Slices that changed hands.
    pub(crate) moved: usize,
    pub(crate) reasons: BTreeSet<Reason>,
}

/// A set of 256 slices, its endpoints' agents, and the time.
pub(crate) struct Cluster {
    pub(crate) store: Store,
    pub(crate) now: Duration,
    pub(crate) unready: BTreeSet<String>,
    dead: BTreeSet<String>,
    /// The flows that every old owner says it has.
    pub(crate) flows: u32,
    /// No old owner can count what it hands on.
    pub(crate) uncounted: bool,
    endpoints: usize,
    made: bool,
    /// The bits of a slice, in /64.
    pub(crate) bits: u8,
    /// The load of each slice, if agents are asked for it.
    pub(crate) loads: Vec<f64>,
    /// What an endpoint says of its load in place of the truth, as a factor.
    pub(crate) lies: BTreeMap<String, f64>,
    /// Endpoints that refuse whatever they own.
    pub(crate) refusing: BTreeSet<String>,
    pub(crate) replicas: u8,
    /// What runs of agents call themselves.
    pub(crate) instance: Option<&'static str>,
    /// Endpoints are pods that the set selects.
    pub(crate) selects: bool,
    /// The kernels of endpoints, by which they renew their leases.
    pub(crate) kernels: BTreeMap<String, Name>,
    /// Endpoints that are heard, and see nothing of what is decided.
    pub(crate) blind: BTreeSet<String>,
}

impl Cluster {
    pub(crate) fn new(store: Store, endpoints: usize) -> Self {
        Self {
            store,
            now: Duration::ZERO,
            unready: BTreeSet::new(),
            dead: BTreeSet::new(),
            flows: 0,
            uncounted: false,
            endpoints,
            made: false,
            bits: 8,
            loads: Vec::new(),
            lies: BTreeMap::new(),
            refusing: BTreeSet::new(),
            replicas: 1,
            instance: None,
            selects: false,
            kernels: BTreeMap::new(),
            blind: BTreeSet::new(),
        }
    }

    /// Gives each endpoint a kernel of its own, and makes ownership exclusive.
    pub(crate) async fn exclusive(&mut self) {
        self.make().await;
        self.change(|spec| spec.ownership = Ownership::Exclusive).await;
        for number in 0..self.endpoints {
            self.kernels
                .insert(format!("e{number}"), name(&format!("kernel-{number}")));
        }
    }

    /// Who holds the lease of an endpoint.
    pub(crate) async fn holder(&self, endpoint: &str) -> Option<Name> {
        let lease = self
            .store
            .get::<LeaseSpec>(&name(&format!("ssa-endpoint-{endpoint}")))
            .await;
        lease.ok()?.spec.holder_identity
    }

    /// Renews the lease of an endpoint, if its kernel holds it; says whether it does.
    async fn renew(&self, endpoint: &Name) -> bool {
        let lease = self
            .store
            .get::<LeaseSpec>(&name(&format!("ssa-endpoint-{endpoint}")))
            .await;
        let kernel = self.kernels.get(endpoint.as_str());
        let Ok(mut lease) = lease else { return false };
        let holds = kernel.is_some() && lease.spec.holder_identity.as_ref() == kernel;
        if holds {
            lease.spec.renew_time = Some(wall(self.now));
            self.store.update(&lease).await.unwrap();
        }
        holds
    }

    fn entries(endpoints: usize) -> Vec<EndpointEntry> {
        let entry = |number: usize| {
            serde_json::json!({
                "name": format!("e{number}"),
                "address": format!("2001:db8:ffff::{:x}", number + 1),
                "domain": format!("rack{}", number % 2),
            })
        };
        (0..endpoints)
            .map(|number| serde_json::from_value(entry(number)).unwrap())
            .collect()
    }

    async fn make(&mut self) {
        if !self.made {
            let endpoints = if self.selects {
                for entry in Self::entries(self.endpoints) {
                    self.pod(&entry).await;
                }
                serde_json::json!({"selector": {"app": "web"}})
            } else {
                serde_json::json!({"list": Self::entries(self.endpoints)})
            };
            let spec = serde_json::json!({
                "service": "store.example", "apl": "2:2001:db8:5::/64", "bits": self.bits,
                "replicas": self.replicas, "firstFieldBits": (self.replicas > 1).then_some(20),
                "endpoints": endpoints, "handover": {"parallel": 64},
            });
            let spec: SliceSetSpec = serde_json::from_value(spec).unwrap();
            self.store.create(&SliceSet::new(name("store"), spec)).await.unwrap();
            self.made = true;
        }
    }

    async fn change(&self, change: impl FnOnce(&mut SliceSetSpec)) {
        let mut set = self.store.get::<SliceSetSpec>(&name("store")).await.unwrap();
        change(&mut set.spec);
        self.store.update(&set).await.unwrap();
    }

    /// Makes the endpoint of a pod, as the leader does when it sees one.
    async fn pod(&self, entry: &EndpointEntry) {
        let spec = serde_json::json!({"sliceSets": ["store"], "address": entry.address, "domain": entry.domain});
        let made = SliceEndpoint::new(entry.name.clone(), serde_json::from_value(spec).unwrap());
        self.store.create(&made).await.unwrap();
    }

    /// One more pod is there, and ready.
    pub(crate) async fn add_pod(&mut self) {
        let added = Self::entries(self.endpoints + 1).pop().unwrap();
        self.pod(&added).await;
        self.endpoints += 1;
    }

    /// A pod is told to end.
    pub(crate) async fn end_pod(&self, pod: &str) {
        let mut endpoint = self.store.get::<SliceEndpointSpec>(&name(pod)).await.unwrap();
        endpoint.spec.drained = true;
        self.store.update(&endpoint).await.unwrap();
    }

    /// A pod is gone, and its endpoint with it.
    pub(crate) async fn remove_pod(&self, pod: &str) {
        self.store.delete::<SliceEndpointSpec>(&name(pod), None).await.unwrap();
    }

    /// Says whether a move is under way.
    pub(crate) async fn is_moving(&self) -> bool {
        let moves = self.store.list::<SliceMoveSpec>().await.unwrap().objects;
        moves.iter().any(|one| !one.status.phase.is_final())
    }

    /// The moves that there were, with who gave and who got.
    pub(crate) async fn ways(&self) -> BTreeSet<(String, String)> {
        let moves = self.store.list::<SliceMoveSpec>().await.unwrap().objects;
        let way = |one: SliceMove| Some((one.spec.from?.to_string(), one.spec.to.to_string()));
        moves.into_iter().filter_map(way).collect()
    }

    pub(crate) async fn scale(&mut self, endpoints: usize) {
        self.endpoints = endpoints;
        self.change(|spec| spec.endpoints.list = Some(Self::entries(endpoints)))
            .await;
    }

    pub(crate) async fn pause(&self, paused: bool) {
        self.change(|spec| spec.placement.paused = paused).await;
    }

    pub(crate) async fn drain(&self, endpoint: &str) {
        self.change(|spec| spec.placement.drained.push(name(endpoint))).await;
    }

    pub(crate) async fn pin(&self, prefix: &str, endpoint: &str) {
        let prefix = prefix.parse().unwrap();
        self.change(|spec| {
            spec.placement.pinned.retain(|pin| pin.prefix != prefix);
            spec.placement.pinned.push(Pin {
                prefix,
                endpoint: name(endpoint),
            });
        })
        .await;
    }

    pub(crate) fn revive(&mut self, endpoint: &str) {
        self.dead.remove(endpoint);
    }

    pub(crate) fn kill(&mut self, endpoint: &str) {
        self.dead.insert(endpoint.to_owned());
    }

    /// Standbys say that they have taken what an endpoint owns.
    pub(crate) async fn take_over(&self, from: &str) {
        let maps = self.store.list::<SliceMapSpec>().await.unwrap().objects;
        let entries: Vec<_> = maps.iter().flat_map(|map| &map.spec.endpoints).collect();
        let owned = entries.iter().filter(|one| one.name.as_str() == from);
        let owned: Vec<_> = owned.flat_map(|one| one.owned.iter().copied()).collect();
        for entry in entries {
            let stands_by = |prefix: &&Prefix| entry.standby.iter().any(|one| one.covers(**prefix));
            let taken = owned.iter().filter(stands_by);
            let taken = taken.map(|prefix| serde_json::json!({"prefix": prefix, "from": from}));
            let mut endpoint = self.store.get::<SliceEndpointSpec>(&entry.name).await.unwrap();
            endpoint.status.taken = serde_json::from_value(taken.collect()).unwrap();
            self.store.update_status(&endpoint).await.unwrap();
        }
    }

    /// A second passes; every agent that is alive reports what the store asks of it.
    pub(crate) async fn step(&mut self) {
        self.now += Duration::from_secs(1);
        let maps = self.store.list::<SliceMapSpec>().await.unwrap().objects;
        let moves = self.store.list::<SliceMoveSpec>().await.unwrap().objects;
        for mut endpoint in self.store.list::<SliceEndpointSpec>().await.unwrap().objects {
            let own = endpoint.name().clone();
            if self.dead.contains(own.as_str()) {
                continue;
            }
            let status = &mut endpoint.status;
            status.ready = !self.unready.contains(own.as_str());
            status.serving = status.ready;
            status.renewed_at = Some(wall(self.now));
            status.instance = self.instance.map(|text| LabelValue::new(text).unwrap());
            status.kernel = self.kernels.get(own.as_str()).cloned();
            let holds = self.kernels.is_empty() || self.renew(&own).await;
            if self.blind.contains(own.as_str()) {
                self.store.update_status(&endpoint).await.unwrap();
                continue;
            }
            let applied = maps.iter().map(|map| AppliedMap {
                name: map.name().clone(),
                epoch: map.spec.epoch,
            });
            status.maps = applied.collect();
            let owned = maps
                .iter()
                .flat_map(|map| &map.spec.endpoints)
                .filter(|one| one.name == own);
            // As long as a run of an agent lasts, it says what it has refused.
            if !self.refusing.contains(own.as_str()) {
                status.refused.clear();
            } else if status.refused.is_empty() {
                status.refused = owned.flat_map(|one| one.owned.iter().copied()).take(3).collect();
            }
            let open = || moves.iter().filter(|one| !one.status.phase.is_final());
            let is_side = |one: &SliceMove| one.giver() == Some(&own) || *one.taker() == own;
            let goes_on = |one: &SliceMove| open().any(|later| is_side(later) && goes_on(one, later));
            let mine = open().filter(|one| is_side(one) || goes_on(one));
            let can_come = |one: &&SliceMove| holds || one.status.phase != Phase::Prepare || *one.taker() != own;
            let observed = mine.filter(can_come).map(|one| ObservedMove {
                name: one.name().clone(),
                epoch: one.epoch(),
                phase: one.status.phase,
                flows: (one.giver() == Some(&own)).then_some(self.flows),
                forwarded: (!self.uncounted).then_some(0),
                message: Message::default(),
            });
            status.moves = observed.collect();
            self.store.update_status(&endpoint).await.unwrap();
        }
    }

    /// Holds the store against what must always be so: each address has one owner, and is in one open move at most, or in two
    /// of which one goes on from the other.
    async fn check(&self) -> BTreeMap<String, BTreeSet<Reason>> {
        let maps = self.store.list::<SliceMapSpec>().await.unwrap().objects;
        let owned: usize = maps
            .iter()
            .flat_map(|map| &map.spec.endpoints)
            .flat_map(|one| &one.owned)
            .map(|prefix| size(self.bits, prefix))
            .sum();
        assert!(
            maps.is_empty() || owned == 256 << self.bits,
            "{owned} parts of slices have an owner"
        );
        let moves = self.store.list::<SliceMoveSpec>().await.unwrap().objects;
        let open = moves.iter().filter(|one| !one.status.phase.is_final());
        let mut open: Vec<_> = open
            .flat_map(|one| one.spec.prefixes.iter().map(move |prefix| (*prefix, one)))
            .collect();
        open.sort_unstable_by_key(|(prefix, one)| (*prefix, one.epoch()));
        for (place, (prefix, one)) in open.iter().enumerate() {
            let within = open
                .iter()
                .skip(place + 1)
                .take_while(|(other, _)| prefix.covers(*other));
            for (other, later) in within {
                let both = format!(
                    "{prefix} of {} and {other} of {} are both in open moves",
                    one.name(),
                    later.name()
                );
                assert!(goes_on(one, later), "{both}");
            }
            let same = open.iter().filter(|(other, _)| other == prefix).count();
            assert!(same <= 2, "{prefix} is in {same} open moves");
        }
        moves
            .into_iter()
            .map(|one| (one.name().to_string(), BTreeSet::from([one.spec.reason])))
            .collect()
    }

    /// Lets rounds and reports take turns until nothing changes any more.
    pub(crate) async fn settle(&mut self, controller: &mut Controller) -> Seen {
        self.rounds(controller, false).await.expect("nothing fails")
    }

    /// The same, until the store fails; tells whether it did.
    pub(crate) async fn settle_until_crash(&mut self, controller: &mut Controller) -> bool {
        self.rounds(controller, true).await.is_err()
    }

    async fn rounds(&mut self, controller: &mut Controller, may_fail: bool) -> Result<Seen, StoreError> {
        self.make().await;
        let before = if self.has_map().await {
            self.owners().await
        } else {
            Vec::new()
        };
        let mut reasons = BTreeSet::new();
        let mut quiet = 0;
        for _ in 0..3000 {
            let round = match controller.round(self.now, wall(self.now)).await {
                Ok(round) => round,
                Err(error) if may_fail => return Err(error),
                Err(StoreError::Conflict { .. } | StoreError::Exists { .. }) => continue,
                Err(error) => panic!("{error}"),
            };
            if !self.selects {
                assert_eq!(round.faults, Vec::<String>::new());
            }
            for (_, of) in self.check().await {
                reasons.extend(of);
            }
            quiet = if round.told.is_empty() { quiet + 1 } else { 0 };
            // As long as a silent endpoint takes to be lost, and more.
            if quiet > 40 {
                let after = self.owners().await;
                let moved = if before.is_empty() {
                    0
                } else {
                    before
                        .iter()
                        .zip(&after)
                        .filter(|(before, after)| before != after)
                        .count()
                };
                return Ok(Seen { moved, reasons });
            }
            self.step().await;
        }
        panic!("does not come to rest");
    }

    async fn has_map(&self) -> bool {
        !self.store.list::<SliceMapSpec>().await.unwrap().objects.is_empty()
    }

    /// The owner of each slice.
    pub(crate) async fn owners(&self) -> Vec<String> {
        let mut all = Vec::new();
        for map in self.store.list::<SliceMapSpec>().await.unwrap().objects {
            for endpoint in map.spec.endpoints {
                for prefix in &endpoint.owned {
                    let length = (64 + self.bits).max(prefix.net().prefix_len());
                    let slices = prefix.net().subnets(length).unwrap();
                    all.extend(slices.map(|slice| (slice, endpoint.name.to_string())));
                }
            }
        }
        all.sort();
        all.into_iter().map(|(_, owner)| owner).collect()
    }

    /// What each endpoint has of the load of all.
    pub(crate) async fn shares(&self) -> BTreeMap<String, f64> {
        let mut shares = BTreeMap::new();
        for (endpoint, report) in self.reports().await {
            let load: f64 = report.prefixes.iter().map(|one| one.new_flows).sum();
            shares.insert(endpoint.to_string(), load);
        }
        shares
    }

    /// The highest load of an endpoint relative to the mean.
    pub(crate) async fn ratio(&self) -> f64 {
        let shares = self.shares().await;
        let total: f64 = shares.values().sum();
        let most = shares.values().fold(0.0, |most: f64, load| most.max(*load));
        most * f64::from(u32::try_from(shares.len()).unwrap()) / total
    }

    /// What agents measure: the load of each slice, or part of one, that they own.
    pub(crate) async fn reports(&self) -> BTreeMap<Name, LoadReport> {
        let mut reports: BTreeMap<Name, LoadReport> = BTreeMap::new();
        for endpoint in self.store.list::<SliceEndpointSpec>().await.unwrap().objects {
            reports.insert(endpoint.name().clone(), LoadReport::default());
        }
        let length = 64 + self.bits;
        for map in self.store.list::<SliceMapSpec>().await.unwrap().objects {
            for endpoint in map.spec.endpoints {
                let report = reports.entry(endpoint.name).or_default();
                for prefix in endpoint.owned {
                    for part in prefix.net().subnets(length.max(prefix.net().prefix_len())).unwrap() {
                        let slice = (u128::from(part.addr()) << 64 >> (128 - self.bits)) as usize;
                        let load = self.loads[slice] / f64::from(1 << (part.prefix_len() - length));
                        report.prefixes.push(PrefixLoad {
                            prefix: part.into(),
                            new_flows: load,
                            bytes: 0.0,
                        });
                    }
                }
            }
        }
        reports
    }

    /// So many seconds pass; every ten, agents are asked for their loads. Returns the moves that began.
    pub(crate) async fn seconds(&mut self, controller: &mut Controller, seconds: u32) -> Vec<Change> {
        let mut begun = Vec::new();
        for _ in 0..seconds {
            self.step().await;
            if self.now.as_secs().is_multiple_of(10) {
                let mut reports = self.reports().await;
                for (endpoint, factor) in &self.lies {
                    let report = reports.get_mut(endpoint.as_str()).unwrap();
                    report.prefixes.iter_mut().for_each(|one| one.new_flows *= factor);
                }
                controller.measure(reports);
            }
            let round = controller.round(self.now, wall(self.now)).await.unwrap();
            assert_eq!(round.faults, Vec::<String>::new());
            self.check().await;
            begun.extend(round.changes.into_iter().filter(|change| change.left.is_none()));
        }
        begun
    }

    /// Who takes new flows of each slice: the owner, or the recipient of its last move from Arm on.
    pub(crate) async fn takers(&self) -> Vec<String> {
        let mut takers = self.owners().await;
        let mut moves = self.store.list::<SliceMoveSpec>().await.unwrap().objects;
        moves.retain(|one| !one.status.phase.is_final() && one.status.phase >= Phase::Arm);
        moves.sort_by_key(SliceMove::epoch);
        for one in moves {
            for prefix in &one.spec.prefixes {
                let slices = prefix.net().subnets(64 + self.bits).unwrap();
                for slice in slices {
                    let place = (u128::from(slice.addr()) << 64 >> (128 - self.bits)) as usize;
                    takers[place] = one.taker().to_string();
                }
            }
        }
        takers
    }

    pub(crate) async fn counts(&self) -> Vec<usize> {
        let owners = self.owners().await;
        let count = |number: usize| owners.iter().filter(|owner| **owner == format!("e{number}")).count();
        (0..self.endpoints).map(count).collect()
    }

    /// Opens a move of all that an endpoint has.
    pub(crate) async fn move_by_hand(&self, from: &str, to: &str) -> Name {
        let maps = self.store.list::<SliceMapSpec>().await.unwrap().objects;
        let owned = maps
            .iter()
            .flat_map(|map| &map.spec.endpoints)
            .filter(|one| one.name.as_str() == from);
        let spec = serde_json::json!({
            "sliceSet": "store", "epoch": 1000, "from": from, "to": to, "reason": "Manual",
            "prefixes": owned.flat_map(|one| &one.owned).collect::<Vec<_>>(),
        });
        let spec: SliceMoveSpec = serde_json::from_value(spec).unwrap();
        self.store.create(&SliceMove::new(name("by-hand"), spec)).await.unwrap();
        name("by-hand")
    }

    /// Lets time pass until a move is in a phase.
    pub(crate) async fn until(&mut self, controller: &mut Controller, called: &Name, phase: Phase) {
        for _ in 0..100 {
            if self.store.get::<SliceMoveSpec>(called).await.unwrap().status.phase == phase {
                return;
            }
            self.step().await;
            controller.round(self.now, wall(self.now)).await.unwrap();
        }
        panic!("{called} never is in {phase:?}");
    }
}

/// Says whether a move goes on from another one.
pub(crate) fn goes_on(one: &SliceMove, later: &SliceMove) -> bool {
    let mut prefixes = one.spec.prefixes.iter();
    let shared = prefixes.any(|prefix| later.spec.prefixes.iter().any(|other| prefix.covers(*other)));
    shared && one.handover().is_before(&later.handover(), Available)
}

/// How many 256ths of a slice a prefix has.
pub(crate) fn size(bits: u8, prefix: &ssa_cluster::objects::Prefix) -> usize {
    1 << (64 + bits + 8 - prefix.net().prefix_len())
}

/// A store that fails at a write, and from then on, until it is revived. The write may have been kept.
#[derive(Debug)]
pub(crate) struct Crashing {
    memory: Memory,
    left: AtomicUsize,
    kept: Mutex<bool>,
}

impl Crashing {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            memory,
            left: AtomicUsize::new(usize::MAX),
            kept: Mutex::new(false),
        }
    }

    pub(crate) fn memory(&self) -> Memory {
        self.memory.clone()
    }

    pub(crate) fn crash_at(&self, write: usize, kept: bool) {
        *self.kept.lock().unwrap() = kept;
        self.left.store(write, Ordering::SeqCst);
    }

    pub(crate) fn revive(self: &Arc<Self>) {
        self.left.store(usize::MAX, Ordering::SeqCst);
    }

    fn gone<'a, T: Send + 'a>() -> Answer<'a, T> {
        Box::pin(std::future::ready(Err(StoreError::Unavailable {
            store: "memory".into(),
            reason: "the writer is dead".into(),
        })))
    }

    /// Says whether a write comes through, and whether its writer hears of it.
    fn write(&self) -> (bool, bool) {
        let left = self.left.load(Ordering::SeqCst);
        if left == usize::MAX {
            return (true, true);
        }
        self.left.store(left.saturating_sub(1), Ordering::SeqCst);
        match left {
            0 => (false, false),
            1 => (*self.kept.lock().unwrap(), false),
            _ => (true, true),
        }
    }

    fn through<'a, T: Send + 'a>(&'a self, write: impl FnOnce(&'a Memory) -> Answer<'a, T>) -> Answer<'a, T> {
        let (kept, heard) = self.write();
        let answer = if kept { Some(write(&self.memory)) } else { None };
        match answer {
            Some(answer) if heard => answer,
            Some(answer) => Box::pin(async move {
                drop(answer.await);
                Self::gone().await
            }),
            None => Self::gone(),
        }
    }
}

impl Backend for Crashing {
    fn get<'a>(&'a self, kind: Kind, name: &'a Name) -> Answer<'a, Raw> {
        self.memory.get(kind, name)
    }

    fn list(&self, kind: Kind) -> Answer<'_, RawList> {
        self.memory.list(kind)
    }

    fn create(&self, kind: Kind, object: Raw) -> Answer<'_, Raw> {
        self.through(|memory| memory.create(kind, object))
    }

    fn update(&self, kind: Kind, object: Raw, part: Part) -> Answer<'_, Raw> {
        self.through(|memory| memory.update(kind, object, part))
    }

    fn delete<'a>(&'a self, kind: Kind, name: &'a Name, version: Option<&'a ResourceVersion>) -> Answer<'a, ()> {
        self.through(|memory| memory.delete(kind, name, version))
    }

    fn watch<'a>(&'a self, kind: Kind, from: &'a ResourceVersion) -> Answer<'a, Events> {
        self.memory.watch(kind, from)
    }
}
