//! One set in a round.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use ipnet::Ipv6Net;
use ssa_slices::{
    balance::Piece,
    handover::{Map, Next},
};

use super::{
    Controller,
    balance::{Balancing, Loads},
    chains::Chains,
    everything::Everything,
    maps, moves,
    moves::{Around, Memory},
    pieces::Pieces,
    placement::{Member, Numbered, Wish},
    pods,
    report::Report,
    round::Round,
    stored_map,
    wishes::{
        all_follow, arrived, begin_map, members, partial_pins, refusing, taken_over, unfenced, unfounded, wishes,
    },
};
use crate::{
    load::LoadReport,
    objects::{Epoch, LabelValue, Name, Ownership, Phase, Reason, SliceMove, SliceSet, Timestamp},
    store::StoreError,
};

/// The most open moves of a set, those that drain among them: an endpoint tells of as many.
const MAX_OPEN: usize = 1024;

impl Controller {
    /// Does what is next for one set.
    pub(super) async fn serve(
        &mut self,
        set: &SliceSet,
        everything: &Everything,
        measured: Option<&BTreeMap<Name, LoadReport>>,
        (now, wall): (Duration, Timestamp),
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let (space, replicas) = match (set.spec.space(), set.spec.replicas()) {
            (Ok(space), Ok(replicas)) => (space, replicas),
            (space, replicas) => {
                let wrong = [space.err(), replicas.err()].into_iter().flatten();
                let told = wrong.map(|fault| format!("SliceSet {}: {fault}", set.name()));
                round.faults.extend(told);
                return Ok(());
            }
        };
        self.describe_endpoints(set, everything, round).await?;
        let (parts, mine) = everything.of_set(set.name());
        let read = stored_map(&parts, set.spec.ownership);
        self.liveness.doubt(taken_over(&read.map, &everything.endpoints, &mine));
        let map_parts: Vec<Name> = parts.iter().map(|part| part.name().clone()).collect();
        let chains = Chains::new(&mine, set.spec.ownership);
        let around = Around {
            set: &set.spec,
            map: &read.map,
            map_parts: &map_parts,
            endpoints: &everything.endpoints,
            nodes: &everything.nodes,
            liveness: &self.liveness,
            leased: &self.leased,
            chains: &chains,
            options: &self.options,
            now,
        };
        let members = members(set, &around);
        let numbered = Numbered::new(&space, &members, &set.spec.placement.pinned);
        round
            .faults
            .extend(partial_pins(set, space.slice_length()).chain(unfounded(set, &members, &around)));
        let mut report = Report::new(&space, &read.map, &members);
        report.tolerance_permille = 1000 + 10 * set.spec.balance.tolerance_percent.get();
        if set.spec.ownership == Ownership::Exclusive {
            report.unfenced = Some(unfenced(set, &around));
        }
        report.refused = refusing(set, &everything.endpoints);
        let epoch = next_epoch(&read.map, &mine);

        let steps = next_steps(&mine, &around, &mut self.memory, &mut report);
        report.stuck = self.memory.stuck(&around, steps.iter().map(|(one, _)| one.name()));
        report.behind = moves::nodes_behind(&around, steps.iter().map(|(one, _)| *one));
        let (mut epoch, mut wanted) = self.advance(set, &read, &steps, epoch, (now, wall), round).await?;

        let known = measured.and_then(|reports| {
            let pieces = Pieces::new(&space, &read.map, &numbered, steps.iter().map(|(one, _)| *one));
            self.loads.note(set, &pieces, &numbered, reports, now)
        });
        self.loads.describe(set, &mut report);

        let calm = self.calm.note(set.name(), &numbered.fingerprint(set), now);
        let may_go_on_changing = pods::selects(set) && calm < self.options.settle;
        let mut set = Cow::Borrowed(set);
        let mut placed = set.status.placed.clone();
        // What begins; and when all is quiet, standbys, and prefixes that are joined or split.
        if parts.is_empty() {
            wanted = begin_map(&set, &numbered, replicas, &around, round)
                .map(|map| maps::owned_by(&map, set.spec.ownership, epoch));
        } else {
            let context = Context {
                balancing: Balancing {
                    set: &set,
                    space: &space,
                    replicas,
                    numbered: &numbered,
                    room: room(&set, &steps),
                },
                around: &around,
                members: &members,
                steps: &steps,
                may_move: around.is_clear(set.name()) && wanted.is_none() && !set.spec.placement.paused,
                may_go_on_changing,
            };
            let begun = context.begun(&mut self.loads, known, &mut placed, round);
            if placed.is_none() && set.status.placed.is_some() {
                // Whoever goes on from here has to know that slices are not where they are to be.
                let mut unplaced = set.into_owned();
                unplaced.status.placed = None;
                set = Cow::Owned(self.store.update_status(&unplaced).await?);
            }
            for wish in &begun {
                epoch = epoch.next();
                self.begin(&set, wish, epoch, round).await?;
            }
            let quiet = steps.is_empty() && begun.is_empty() && wanted.is_none();
            if quiet && all_follow(&members, &around) {
                let split = self.loads.split(&set, &read.map, epoch);
                let joined = |prefix: Ipv6Net| self.loads.is_joined(&set, prefix);
                let tidied = || numbered.tidied(&read.map, set.spec.standby, joined);
                wanted = split.or_else(|| tidied().map(|map| maps::with_epoch(&map, epoch)));
            }
        }
        if let Some(map) = wanted {
            self.write_map(&set, &maps::write(set.name(), &space, &map), &parts)
                .await?;
        }
        self.forget(&mine).await?;
        report.epoch = epoch.get();
        self.describe(&set, &report, epoch, placed, wall).await?;
        round.reports.insert(set.name().clone(), report);
        Ok(())
    }
}

/// What begins in a round follows from this.
struct Context<'a> {
    balancing: Balancing<'a>,
    around: &'a Around<'a>,
    members: &'a [Member],
    steps: &'a [(&'a SliceMove, Next)],
    /// Nothing forbids to move what is where it may be: slices stay while it is not clear who is alive.
    may_move: bool,
    /// More endpoints may be about to come or go.
    may_go_on_changing: bool,
}

impl Context<'_> {
    /// Lists what begins; notes for what slices are where they are to be.
    fn begun(
        &self,
        loads: &mut Loads,
        known: Option<Vec<Piece>>,
        placed: &mut Option<LabelValue>,
        round: &mut Round,
    ) -> Vec<Wish> {
        let Balancing {
            set,
            replicas,
            numbered,
            room,
            ..
        } = self.balancing;
        let map = self.around.map;
        let fingerprint = numbered.fingerprint(set);
        let is_settled = placed.as_ref() == Some(&fingerprint) && !numbered.is_anything_homeless(map);
        // Whoever leaves has no time to lose.
        let waits = self.may_go_on_changing && !numbered.is_anything_homeless(&arrived(map, self.steps));
        let spreads = if self.may_move && !is_settled && !waits {
            room
        } else {
            0
        };
        let mut open = self.steps.iter().map(|(one, _)| *one);
        let begun = match wishes(numbered, replicas, self.around, self.members, self.steps, spreads) {
            Ok(wishes) => wishes,
            Err(error) => {
                round.faults.push(format!("SliceSet {}: {error}", set.name()));
                return Vec::new();
            }
        };
        if !begun.is_empty() {
            *placed = None;
        } else if spreads > 0 && open.all(|one| one.spec.reason == Reason::Balance) {
            *placed = Some(fingerprint);
        }
        match known {
            Some(known) if begun.is_empty() && is_settled && self.may_move => {
                loads.balance(&self.balancing, &known, map)
            }
            _ => begun,
        }
    }
}

/// Decides on each open move, and counts them.
fn next_steps<'a>(
    mine: &[&'a SliceMove],
    around: &Around<'_>,
    memory: &mut Memory,
    report: &mut Report,
) -> Vec<(&'a SliceMove, Next)> {
    let mut steps = Vec::new();
    for one in mine.iter().filter(|one| !one.status.phase.is_final()) {
        let next = moves::decide(one, around, memory);
        let key = (one.status.phase.into(), one.spec.reason);
        *report.moves.entry(key).or_default() += 1;
        if let Next::Wait(awaited) = next {
            *report.waiting.entry(awaited).or_default() += 1;
        }
        steps.push((*one, next));
    }
    steps
}

/// Returns how many moves may begin.
fn room(set: &SliceSet, steps: &[(&SliceMove, Next)]) -> usize {
    let draining = steps.iter().filter(|(one, _)| one.status.phase >= Phase::Drain);
    let early = steps.len() - draining.count();
    let parallel = usize::try_from(set.spec.handover.parallel.get()).unwrap_or(usize::MAX);
    parallel.saturating_sub(early).min(MAX_OPEN.saturating_sub(steps.len()))
}

/// The epoch after all that were given out.
fn next_epoch(map: &Map, moves: &[&SliceMove]) -> Epoch {
    let last = moves.iter().map(|one| one.epoch().get()).max().unwrap_or(0);
    Epoch::new(last.max(map.epoch().get())).unwrap_or_default().next()
}
