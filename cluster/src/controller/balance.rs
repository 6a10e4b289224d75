//! Balance by load: what the leader remembers of loads, and what moves for them.
//!
//! An endpoint may say of its load what it likes. It counts only for what it owns, an endpoint gives or gets no more in one
//! round than the tolerance of its share, and gets nothing more once it has twice its share of slices.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ipnet::Ipv6Net;
use ssa_slices::{
    EndpointId, Replicas, Siblings, SliceId, SliceSpace,
    balance::{Demand, Load, Piece, Policy, Split, imbalance, round, wanted_endpoints},
    handover::{EndpointName, Map},
};

use super::{
    pieces::Pieces,
    placement::{Numbered, Wish},
    report::Report,
};
use crate::{
    load::{INTERVAL, LoadReport, PrefixLoad},
    objects::{Epoch, MAX_MOVE_PREFIXES, Metric, Name, Reason, SliceSet},
};

/// Loads are kept in thousandths of a flow, or byte, a second.
const UNIT: f64 = 1000.0;

/// How many bits longer than a slice a part of one may be.
const MAX_SPLIT: u8 = 8;

/// What the leader remembers of loads. A new leader begins with nothing, and learns it within a few rounds.
#[derive(Debug, Default)]
pub(super) struct Loads {
    sets: BTreeMap<Name, OfSet>,
}

#[derive(Debug, Default)]
struct OfSet {
    loads: BTreeMap<Ipv6Net, Load>,
    /// When what has moved was last seen to move.
    moved: BTreeMap<Ipv6Net, Duration>,
    /// What is to be halved when all is quiet.
    halves: BTreeSet<Ipv6Net>,
    /// What is to be joined when all is quiet.
    joins: BTreeSet<Ipv6Net>,
    told: Told,
}

/// What people are told of loads until they are measured again.
#[derive(Debug, Default)]
struct Told {
    imbalance: Option<u32>,
    total: u64,
    by_endpoint: BTreeMap<EndpointName, u64>,
}

/// What balance is decided in.
#[derive(Clone, Copy)]
pub(super) struct Balancing<'a> {
    pub(super) set: &'a SliceSet,
    pub(super) space: &'a SliceSpace,
    pub(super) replicas: Replicas,
    pub(super) numbered: &'a Numbered<'a>,
    /// How many moves may begin.
    pub(super) room: usize,
}

impl Loads {
    /// Forgets the sets that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&Name) -> bool) {
        self.sets.retain(|name, _| is_there(name));
    }

    /// Takes what was measured. Returns the pieces with their loads; none if slices do not move for load, or too few
    /// endpoints have answered to tell.
    pub(super) fn note(
        &mut self,
        set: &SliceSet,
        pieces: &Pieces,
        numbered: &Numbered<'_>,
        reports: &BTreeMap<Name, LoadReport>,
        now: Duration,
    ) -> Option<Vec<Piece>> {
        let metric = set.spec.balance.metric;
        if metric == Metric::None {
            self.sets.remove(set.name());
            return None;
        }
        let of = self.sets.entry(set.name().clone()).or_default();
        let cooldown = Duration::from_secs(set.spec.balance.cooldown_seconds.get().into());
        of.moved.retain(|_, since| now.saturating_sub(*since) < cooldown);
        let serving = numbered.serving().count();
        let answered: BTreeSet<EndpointId> = reports
            .keys()
            .filter_map(|name| numbered.number(&name.endpoint()))
            .collect();
        if serving == 0 || numbered.serving().filter(|one| answered.contains(one)).count() * 2 < serving {
            return None;
        }
        let measured = measured(metric, pieces, numbered, reports);
        let mut loads = BTreeMap::new();
        let mut known = Vec::with_capacity(pieces.list.len());
        for (piece, measured) in pieces.list.iter().zip(measured) {
            let mut load = of.load(piece.prefix);
            if answered.contains(&piece.owner) {
                load.measure(measured);
            }
            if piece.moves {
                of.moved.insert(piece.prefix, now);
            }
            let rests = of.moved.get(&piece.prefix).map(|since| {
                let left = cooldown.saturating_sub(now.saturating_sub(*since));
                u32::try_from(left.as_millis().div_ceil(INTERVAL.as_millis())).unwrap_or(u32::MAX)
            });
            let is_pinned = numbered.is_pinned(piece.slot);
            loads.insert(piece.prefix, load);
            known.push(Piece {
                prefix: piece.prefix,
                owner: piece.owner,
                load,
                stays: rests.unwrap_or(0).max(u32::from(is_pinned || piece.moves)),
            });
        }
        of.loads = loads;
        of.told = Told::new(&known, numbered);
        Some(known)
    }

    /// Says what moves, and notes what is to be split and joined.
    pub(super) fn balance(&mut self, around: &Balancing<'_>, pieces: &[Piece], map: &Map) -> Vec<Wish> {
        let balance = &around.set.spec.balance;
        let length = around.space.slice_length();
        let policy = Policy {
            tolerance: balance.tolerance_percent.get() * 10,
            budget: balance.budget_percent.get() * 10,
            longest: length.saturating_add(MAX_SPLIT).min(128),
            endpoint_budget: balance.tolerance_percent.get() * 10,
            most: 2000,
        };
        let siblings = Siblings::new(around.space, around.replicas).ok();
        let siblings = siblings.filter(|_| around.replicas != Replicas::SINGLE);
        let slots: Vec<usize> = pieces
            .iter()
            .map(|piece| super::slots(around.space, piece.prefix).start)
            .collect();
        let of_slot = |slot: usize| {
            let start = slots.partition_point(|one| *one < slot);
            let end = slots.partition_point(|one| *one <= slot);
            start..end
        };
        let may_hold = |place: usize, to: EndpointId, owners: &[EndpointId]| {
            let (Some(siblings), Some(slot)) = (&siblings, slots.get(place)) else {
                return true;
            };
            let slice = SliceId::new(u32::try_from(*slot).unwrap_or(u32::MAX));
            let mut others = siblings
                .of(slice)
                .filter(|sibling| *sibling != slice)
                .flat_map(|sibling| {
                    let slot = usize::try_from(sibling.get()).unwrap_or(usize::MAX);
                    owners.get(of_slot(slot)).unwrap_or_default()
                });
            others.all(|other| around.numbered.may_be_siblings(to, *other))
        };
        let decided = round(pieces, around.numbered.endpoints(), policy, may_hold);
        let Some(of) = self.sets.get_mut(around.set.name()) else {
            return Vec::new();
        };
        of.halves.clear();
        of.joins.clear();
        for split in &decided.splits {
            match split {
                Split::Halve(place) => of.halves.extend(pieces.get(*place).map(|piece| piece.prefix)),
                Split::Join(place) => of
                    .joins
                    .extend(pieces.get(*place).and_then(|piece| piece.prefix.supernet())),
            }
        }
        let mut wishes: BTreeMap<(EndpointName, EndpointName), Vec<Ipv6Net>> = BTreeMap::new();
        for relocation in &decided.relocations {
            let piece = pieces.get(relocation.piece);
            let from = piece.and_then(|piece| map.owner(piece.prefix));
            if let (Some(piece), Some(from), Some(to)) = (piece, from, around.numbered.name(relocation.to)) {
                wishes.entry((from.clone(), to.clone())).or_default().push(piece.prefix);
            }
        }
        let wishes = wishes.into_iter().map(|((from, to), mut prefixes)| {
            prefixes.truncate(MAX_MOVE_PREFIXES);
            Wish {
                from: Some(from),
                to,
                prefixes,
                reason: Reason::Balance,
            }
        });
        wishes.take(around.room).collect()
    }

    /// Returns the map in which what is to be halved is; none if nothing is. Each half is announced by its owner for itself,
    /// and measured, before one of them moves.
    pub(super) fn split(&mut self, set: &SliceSet, map: &Map, epoch: Epoch) -> Option<Map> {
        let of = self.sets.get_mut(set.name())?;
        let epoch = ssa_slices::handover::Epoch::new(epoch.get());
        let mut split = None;
        for prefix in std::mem::take(&mut of.halves) {
            let before = split.as_ref().unwrap_or(map);
            let Some(owner) = before.owner(prefix).cloned() else {
                continue;
            };
            let half = prefix
                .subnets(prefix.prefix_len() + 1)
                .ok()
                .and_then(|mut halves| halves.next());
            if let Some(half) = half {
                split = Some(before.with_owner(&[half], &owner, epoch));
            }
        }
        split
    }

    /// Says whether the parts of a prefix are to be joined again.
    pub(super) fn is_joined(&self, set: &SliceSet, prefix: Ipv6Net) -> bool {
        let of = self.sets.get(set.name());
        set.spec.balance.metric == Metric::None || of.is_some_and(|of| of.joins.contains(&prefix))
    }

    /// Tells what is known of the loads of a set.
    pub(super) fn describe(&self, set: &SliceSet, report: &mut Report) {
        report.wanted = u32::try_from(report.serving).unwrap_or(u32::MAX);
        let Some(of) = self.sets.get(set.name()) else { return };
        let Some(imbalance) = of.told.imbalance else { return };
        report.imbalance_permille = imbalance;
        report.load = Some(of.told.total);
        report.loads = of.told.by_endpoint.clone();
        if let Some(each) = set.spec.balance.target_per_endpoint {
            report.wanted = wanted_endpoints(Demand {
                total: of.told.total,
                each: u64::from(each.get()) * 1000,
                endpoints: report.wanted,
                tolerance: set.spec.balance.tolerance_percent.get() * 10,
            });
        }
    }
}

impl OfSet {
    /// What is known of a piece's load: of itself, of a half of what it was before, or of both halves that it was.
    fn load(&self, prefix: Ipv6Net) -> Load {
        if let Some(load) = self.loads.get(&prefix) {
            return *load;
        }
        if let Some(whole) = prefix.supernet().and_then(|whole| self.loads.get(&whole)) {
            return Load::new(whole.get() / 2);
        }
        let within = self
            .loads
            .range(prefix..)
            .take_while(|(part, _)| prefix.contains(*part));
        Load::new(within.map(|(_, load)| load.get()).sum())
    }
}

impl Told {
    fn new(pieces: &[Piece], numbered: &Numbered<'_>) -> Self {
        let mut by_endpoint: BTreeMap<EndpointName, u64> = BTreeMap::new();
        for piece in pieces {
            if let Some(name) = numbered.name(piece.owner) {
                *by_endpoint.entry(name.clone()).or_default() += piece.load.get();
            }
        }
        Self {
            imbalance: Some(imbalance(pieces, numbered.endpoints())),
            total: pieces.iter().map(|piece| piece.load.get()).sum(),
            by_endpoint,
        }
    }
}

/// Adds up what was measured of each piece, in [`UNIT`]s: only what is said by those who have it.
fn measured(
    metric: Metric,
    pieces: &Pieces,
    numbered: &Numbered<'_>,
    reports: &BTreeMap<Name, LoadReport>,
) -> Vec<u64> {
    let mut measured = vec![0_u64; pieces.list.len()];
    for (name, report) in reports {
        let Some(number) = numbered.number(&name.endpoint()) else {
            continue;
        };
        for one in &report.prefixes {
            let places = pieces.places(one.prefix.net());
            let mine = |place: &usize| {
                let piece = pieces.list.get(*place);
                piece.is_some_and(|piece| piece.holders.contains(&number))
            };
            let count = places.clone().filter(mine).count().max(1);
            // A report of several slices says nothing of each.
            let each = rate(metric, one) / u64::try_from(count).unwrap_or(u64::MAX);
            for place in places.filter(mine) {
                if let Some(total) = measured.get_mut(place) {
                    *total = total.saturating_add(each).min(Load::MAX);
                }
            }
        }
    }
    measured
}

fn rate(metric: Metric, one: &PrefixLoad) -> u64 {
    let rate = match metric {
        Metric::NewFlows => one.new_flows,
        Metric::Bytes => one.bytes,
        Metric::None => 0.0,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is not negative, and one that is too great becomes the greatest"
    )]
    let units = (rate * UNIT) as u64;
    units.min(Load::MAX)
}
