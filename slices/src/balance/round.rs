//! One round of evening out load.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use ipnet::Ipv6Net;

use super::Load;
use crate::{Endpoint, EndpointId};

/// A slice, or a part of one that was split, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its prefix.
    pub prefix: Ipv6Net,
    /// Its owner.
    pub owner: EndpointId,
    /// What it costs.
    pub load: Load,
    /// Rounds for which it has to stay where it is: it has moved, or is moving, or is pinned.
    pub stays: u32,
}

/// How much load may be evened out, and how carefully.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How far an endpoint may be above its share before anything moves, in thousandths. Once it does, all come to half of
    /// that, so that a load that only varies begins nothing anew.
    pub tolerance: u32,
    /// The most pieces that move in one round, in thousandths of all; at least one may.
    pub budget: u32,
    /// The greatest length of a prefix that a split makes.
    pub longest: u8,
    /// The most pieces that one endpoint gives or gets in one round, in thousandths of its share of pieces; at least one
    /// may. So that one that tells lies of its load changes little before others are measured again.
    pub endpoint_budget: u32,
    /// The most pieces that an endpoint may come to have, in thousandths of its share of them.
    pub most: u32,
}

impl Default for Policy {
    /// 10 %, 9 %, nothing is split, and an endpoint may give all that it has, and get as much as it likes.
    fn default() -> Self {
        Self {
            tolerance: 100,
            budget: 90,
            longest: 0,
            endpoint_budget: 1_000_000,
            most: 1_000_000_000,
        }
    }
}

/// Tells a piece to go to another endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// The piece, by its place.
    pub piece: usize,
    /// Where it goes.
    pub to: EndpointId,
}

/// Tells a piece to be split, or two to be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The piece at this place becomes its two halves; both stay with its owner.
    Halve(usize),
    /// The pieces at this place and the next are halves of one prefix, which they become again.
    Join(usize),
}

/// What a round decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// What moves.
    pub relocations: Vec<Relocation>,
    /// What is split or joined, once nothing of it moves.
    pub splits: Vec<Split>,
}

/// Decides what moves because of load; nothing if no endpoint is above its share by more than the tolerance.
///
/// Pieces go from the endpoint that is hottest, relative to its weight, to the coldest: each time the heaviest that is at most
/// half the gap between the two, so that neither ever trades places with the other. A piece that is heavier than twice the
/// mean, where nothing smaller helps, is split. Halves that together are lighter than the mean are joined again.
///
/// `pieces` are in ascending order. `may_hold` says whether an endpoint may get a piece, as replicas ask; it is given the
/// owners as they are by then.
#[must_use]
pub fn round(
    pieces: &[Piece],
    endpoints: &[Endpoint],
    policy: Policy,
    may_hold: impl Fn(usize, EndpointId, &[EndpointId]) -> bool,
) -> Round {
    let mut state = State::new(pieces, endpoints);
    state.policy = policy;
    let budget = (pieces.len() * usize::try_from(policy.budget).unwrap_or(0) / 1000).max(1);
    let mut round = Round::default();
    let mut stuck: BTreeSet<usize> = BTreeSet::new();
    let begins = state
        .hottest(&stuck)
        .is_some_and(|one| state.is_hot(one, policy.tolerance));
    while begins && round.relocations.len() < budget {
        let Some(hottest) = state
            .hottest(&stuck)
            .filter(|one| state.is_hot(*one, policy.tolerance / 2))
        else {
            break;
        };
        if let Some((piece, to)) = state.best_move(pieces, hottest, &may_hold) {
            state.relocate(pieces, piece, hottest, to);
            let to = EndpointId::at(to);
            round.relocations.push(Relocation { piece, to });
        } else {
            if let Some(piece) = state
                .heaviest(pieces, hottest)
                .filter(|piece| state.is_heavy(pieces, *piece) && state.is_hot(hottest, policy.tolerance))
            {
                let splits = pieces
                    .get(piece)
                    .is_some_and(|piece| piece.prefix.prefix_len() < policy.longest);
                if splits {
                    round.splits.push(Split::Halve(piece));
                }
            }
            stuck.insert(hottest);
        }
    }
    let joins = state.joins(pieces, policy);
    round.splits.extend(joins);
    round
}

/// Returns the greatest load of an endpoint relative to its share, in thousandths: 1000 is even.
#[must_use]
pub fn imbalance(pieces: &[Piece], endpoints: &[Endpoint]) -> u32 {
    let state = State::new(pieces, endpoints);
    let most = state.hottest(&BTreeSet::new()).map_or(0, |one| state.permille(one));
    u32::try_from(most).unwrap_or(u32::MAX)
}

struct State {
    loads: Vec<u64>,
    weights: Vec<u64>,
    total_load: u64,
    total_weight: u64,
    pieces: usize,
    owners: Vec<EndpointId>,
    /// The pieces of each endpoint that may move, heaviest first.
    movable: Vec<BTreeSet<(core::cmp::Reverse<u64>, usize)>>,
    moved: BTreeSet<usize>,
    policy: Policy,
    /// How many pieces each endpoint has, and has given or got in this round.
    counts: Vec<(u64, u64)>,
}

impl State {
    fn new(pieces: &[Piece], endpoints: &[Endpoint]) -> Self {
        let mut loads: Vec<u64> = endpoints.iter().map(|_| 0).collect();
        let mut movable: Vec<BTreeSet<_>> = endpoints.iter().map(|_| BTreeSet::new()).collect();
        let mut total_load = 0;
        let mut counts = alloc::vec![(0, 0); endpoints.len()];
        for (place, piece) in pieces.iter().enumerate() {
            let owner = piece.owner.index();
            total_load += piece.load.get();
            if let Some((has, _)) = counts.get_mut(owner) {
                *has += 1;
            }
            if let Some(load) = loads.get_mut(owner) {
                *load += piece.load.get();
            }
            if let Some(own) = movable.get_mut(owner).filter(|_| piece.stays == 0) {
                own.insert((core::cmp::Reverse(piece.load.get()), place));
            }
        }
        let weights: Vec<u64> = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).collect();
        Self {
            loads,
            total_weight: weights.iter().sum(),
            weights,
            total_load,
            pieces: pieces.len(),
            owners: pieces.iter().map(|piece| piece.owner).collect(),
            movable,
            moved: BTreeSet::new(),
            policy: Policy::default(),
            counts,
        }
    }

    fn load(&self, endpoint: usize) -> u64 {
        self.loads.get(endpoint).copied().unwrap_or(0)
    }

    /// Its share of all load; nothing for one that is drained.
    fn share(&self, endpoint: usize) -> u64 {
        let weight = u128::from(self.weights.get(endpoint).copied().unwrap_or(0));
        let share = u128::from(self.total_load) * weight / u128::from(self.total_weight.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// So many thousandths of an endpoint's share of pieces.
    fn pieces_of(&self, endpoint: usize, permille: u32) -> u64 {
        let weight = u128::from(self.weights.get(endpoint).copied().unwrap_or(0));
        let pieces = u128::try_from(self.pieces).unwrap_or(0) * weight * u128::from(permille);
        u64::try_from(pieces / u128::from(self.total_weight.max(1)) / 1000).unwrap_or(u64::MAX)
    }

    /// Says whether an endpoint may give or get another piece in this round.
    fn may_trade(&self, endpoint: usize) -> bool {
        let (_, traded) = self.counts.get(endpoint).copied().unwrap_or((0, 0));
        traded < self.pieces_of(endpoint, self.policy.endpoint_budget).max(1)
    }

    fn may_get(&self, endpoint: usize) -> bool {
        let (has, _) = self.counts.get(endpoint).copied().unwrap_or((0, 0));
        self.may_trade(endpoint) && has < self.pieces_of(endpoint, self.policy.most).max(1)
    }

    fn permille(&self, endpoint: usize) -> u64 {
        let permille = u128::from(self.load(endpoint)) * 1000 / u128::from(self.share(endpoint).max(1));
        u64::try_from(permille).unwrap_or(u64::MAX)
    }

    fn active(&self) -> impl Iterator<Item = usize> + '_ {
        let weights = self.weights.iter().enumerate();
        weights.filter(|(_, weight)| **weight > 0).map(|(endpoint, _)| endpoint)
    }

    fn hottest(&self, but: &BTreeSet<usize>) -> Option<usize> {
        let others = self.active().filter(|one| !but.contains(one));
        others.max_by_key(|one| (self.permille(*one), core::cmp::Reverse(*one)))
    }

    fn is_hot(&self, endpoint: usize, tolerance: u32) -> bool {
        self.permille(endpoint) > 1000 + u64::from(tolerance)
    }

    /// Finds the heaviest piece that may go, and the coldest endpoint that may have it.
    fn best_move(
        &self,
        pieces: &[Piece],
        from: usize,
        may_hold: &impl Fn(usize, EndpointId, &[EndpointId]) -> bool,
    ) -> Option<(usize, usize)> {
        /// How many endpoints and pieces are looked at before a hot endpoint is left as it is.
        const COLDEST: usize = 8;
        const HEAVIEST: usize = 64;
        if !self.may_trade(from) {
            return None;
        }
        let others = self.active().filter(|one| *one != from && self.may_get(*one));
        let mut cold: Vec<usize> = others.collect();
        let by_heat = |one: &usize| (self.permille(*one), *one);
        if cold.len() > COLDEST {
            cold.select_nth_unstable_by_key(COLDEST, by_heat);
            cold.truncate(COLDEST);
        }
        cold.sort_unstable_by_key(by_heat);
        let excess = |one: usize| i128::from(self.load(one)) - i128::from(self.share(one));
        for to in cold {
            let half = u64::try_from((excess(from) - excess(to)) / 2)
                .ok()
                .filter(|half| *half > 0)?;
            let fitting = self.movable.get(from)?.range((core::cmp::Reverse(half), 0)..);
            let loaded = fitting.take_while(|(load, _)| load.0 > 0).take(HEAVIEST);
            let index = EndpointId::at(to);
            let free = |place: &usize| pieces.len() > *place && may_hold(*place, index, &self.owners);
            if let Some(piece) = loaded.map(|(_, place)| *place).find(free) {
                return Some((piece, to));
            }
        }
        None
    }

    fn relocate(&mut self, pieces: &[Piece], piece: usize, from: usize, to: usize) {
        let load = pieces.get(piece).map_or(0, |piece| piece.load.get());
        if let Some((has, traded)) = self.counts.get_mut(from) {
            (*has, *traded) = (has.saturating_sub(1), *traded + 1);
        }
        if let Some((has, traded)) = self.counts.get_mut(to) {
            (*has, *traded) = (*has + 1, *traded + 1);
        }
        if let Some(from) = self.loads.get_mut(from) {
            *from -= load;
        }
        if let Some(to) = self.loads.get_mut(to) {
            *to += load;
        }
        if let Some(own) = self.movable.get_mut(from) {
            own.remove(&(core::cmp::Reverse(load), piece)); // and into no other: once a round is enough
        }
        if let Some(owner) = self.owners.get_mut(piece) {
            *owner = EndpointId::at(to);
        }
        self.moved.insert(piece);
    }

    fn heaviest(&self, pieces: &[Piece], endpoint: usize) -> Option<usize> {
        let (_, place) = self.movable.get(endpoint)?.first()?;
        (pieces.len() > *place).then_some(*place)
    }

    fn mean(&self) -> u64 {
        self.total_load / u64::try_from(self.pieces.max(1)).unwrap_or(u64::MAX)
    }

    fn is_heavy(&self, pieces: &[Piece], piece: usize) -> bool {
        pieces
            .get(piece)
            .is_some_and(|piece| piece.load.get() > 2 * self.mean())
    }

    /// Finds halves of one prefix with one owner that are light together.
    fn joins(&self, pieces: &[Piece], policy: Policy) -> Vec<Split> {
        let whole = pieces.iter().map(|piece| piece.prefix.prefix_len()).min().unwrap_or(0);
        let mut joins = Vec::new();
        let mut last = None;
        for (place, (one, next)) in pieces.iter().zip(pieces.iter().skip(1)).enumerate() {
            let halves = one.prefix.prefix_len() == next.prefix.prefix_len()
                && one.prefix.prefix_len() > whole
                && one.prefix.supernet() == next.prefix.supernet();
            let light = one.load.get() + next.load.get() < self.mean();
            let rest = one.stays == 0 && next.stays == 0 && one.owner == next.owner;
            let moves = self.moved.contains(&place) || self.moved.contains(&(place + 1));
            if halves && light && rest && !moves && last != Some(place) && policy.longest > whole {
                joins.push(Split::Join(place));
                last = Some(place + 1);
            }
        }
        joins
    }
}
