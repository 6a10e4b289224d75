//! Open moves: what the leader knows about each, and what it does next.

use std::{collections::BTreeMap, time::Duration};

use ssa_slices::handover::{self, Awaited, Facts, Handover, Map, Next, Phase, Progress, Side, next};

use super::{
    Options,
    chains::Chains,
    leases::{Leased, is_silent},
    liveness::Liveness,
};
use crate::objects::{
    Message, Name, ObservedMove, Ownership, Reason, SliceEndpoint, SliceMove, SliceNode, SliceSetSpec, Timestamp,
};

/// What the leader remembers of a move between rounds; nothing depends on it but how long it waits.
#[derive(Debug, Default)]
pub(super) struct Memory {
    moves: BTreeMap<Name, Remembered>,
}

#[derive(Debug)]
struct Remembered {
    progress: Progress,
    since: Duration,
    began: Duration,
    /// What the old owner has handed on, and since when that has not changed.
    forwarded: (Option<u64>, Duration),
}

impl Memory {
    /// Takes for nothing a time in which the leader could not look: moves could not go on either.
    pub(super) fn discount(&mut self, blind: Duration) {
        for one in self.moves.values_mut() {
            for moment in [&mut one.since, &mut one.began, &mut one.forwarded.1] {
                *moment += blind;
            }
        }
    }

    /// Forgets the moves that are over.
    pub(super) fn retain(&mut self, open: impl Fn(&Name) -> bool) {
        self.moves.retain(|name, _| open(name));
    }

    /// Names those of the moves that have been in a phase, other than the drain, for longer than the set allows.
    pub(super) fn stuck<'a>(&self, around: &Around<'_>, open: impl Iterator<Item = &'a Name>) -> Vec<String> {
        let most = Duration::from_secs(around.set.handover.deadline_seconds.get().into());
        let is_stuck = |name: &&Name| {
            let one = self.moves.get(name.as_str());
            one.is_some_and(|one| one.progress.phase != Phase::Drain && around.now.saturating_sub(one.since) > most)
        };
        open.filter(is_stuck).map(ToString::to_string).collect()
    }

    /// Returns how long a move has been in its phase.
    pub(super) fn elapsed(&self, name: &Name, now: Duration) -> Duration {
        let since = self.moves.get(name).map_or(now, |one| one.since);
        now.saturating_sub(since)
    }
}

/// Counts the nodes whose FIB has not followed an open move yet.
pub(super) fn nodes_behind<'a>(around: &Around<'_>, open: impl Iterator<Item = &'a SliceMove>) -> usize {
    let open: Vec<(&Name, Progress)> = open.map(|one| (one.name(), one.handover().progress())).collect();
    let behind = |node: &&SliceNode| !open.iter().all(|(name, progress)| has_followed(node, name, *progress));
    around.nodes.iter().filter(behind).count()
}

/// Returns whether a node's FIB has followed a move, as far as it has a say: one that is not ready has none.
fn has_followed(node: &SliceNode, name: &Name, wanted: Progress) -> bool {
    let observed = node.status.moves.iter().find(|observed| observed.name == *name);
    !node.status.ready || observed.is_some_and(|observed| progress(observed) >= wanted)
}

/// What there is beside a move.
pub(super) struct Around<'a> {
    pub(super) set: &'a SliceSetSpec,
    pub(super) map: &'a Map,
    pub(super) map_parts: &'a [Name],
    pub(super) endpoints: &'a BTreeMap<Name, SliceEndpoint>,
    pub(super) nodes: &'a [SliceNode],
    pub(super) liveness: &'a Liveness<Option<Timestamp>>,
    pub(super) leased: &'a Leased,
    pub(super) chains: &'a Chains<'a>,
    pub(super) options: &'a Options,
    pub(super) now: Duration,
}

impl Around<'_> {
    /// Says whether an endpoint is lost: gone, silent, or back without what it had. With exclusive ownership that is not
    /// enough: its kernel may take new flows until the leader has its lease.
    pub(super) fn is_lost(&self, endpoint: &Name) -> bool {
        let silent = self.liveness.silent_for(endpoint, self.now);
        is_silent(self.endpoints.get(endpoint), silent, self.options.lost_after)
            && (self.set.ownership == Ownership::Available || self.leased.is_taken(endpoint))
    }

    /// Returns an endpoint as it reports; none where it reports of another kernel than of the one that may take new flows.
    fn reports(&self, endpoint: &Name) -> Option<&SliceEndpoint> {
        let known = self.endpoints.get(endpoint)?;
        (self.set.ownership == Ownership::Available || self.leased.speaks(known)).then_some(known)
    }

    /// Says whether an endpoint may have slices: it is ready, and neither lost nor drained.
    pub(super) fn serves(&self, endpoint: &SliceEndpoint) -> bool {
        let is_drained = endpoint.spec.weight.get() == 0 || self.set.drains(endpoint);
        endpoint.status.ready && !is_drained && !self.is_lost(endpoint.name())
    }

    /// Says whether it is clear of all endpoints of a set that may have slices that they are alive. One that has not been
    /// seen to be lately is, until it is or is lost, neither to get any nor to lose any.
    pub(super) fn is_clear(&self, set: &Name) -> bool {
        let mut mine = self.endpoints.values().filter(|one| one.spec.slice_sets.contains(set));
        mine.all(|one| !self.serves(one) || !self.liveness.is_doubtful(one.name()))
    }

    /// Says whether the endpoint that gets a move's prefixes leaves, while the one that gives them serves on: flows that
    /// are still there stay where they are if the prefixes go back at once. As long as nothing has changed, they go at once
    /// to somebody who stays.
    fn recipient_leaves(&self, one: &SliceMove) -> bool {
        let serves = |name: &Name| self.endpoints.get(name).is_some_and(|one| self.serves(one));
        let goes_back = one.status.phase == crate::objects::Phase::Prepare || one.giver().is_some_and(serves);
        goes_back && !serves(one.taker())
    }

    /// Says whether an endpoint of a set is there and not ready yet.
    pub(super) fn is_anybody_starting(&self, set: &Name) -> bool {
        let mine = self.endpoints.values().filter(|one| one.spec.slice_sets.contains(set));
        mine.into_iter()
            .any(|one| !one.status.ready && !self.is_lost(one.name()))
    }

    /// The epoch of the map that an endpoint's kernel holds all of.
    pub(super) fn follows(&self, endpoint: &Name) -> handover::Epoch {
        let maps = self.reports(endpoint).map_or(&[][..], |one| &one.status.maps);
        let epochs = self.map_parts.iter().map(|part| {
            let applied = maps.iter().find(|map| map.name == *part);
            applied.map_or(0, |map| map.epoch.get())
        });
        handover::Epoch::new(epochs.min().unwrap_or(0))
    }

    fn observed<'a>(&'a self, endpoint: &Name, one: &SliceMove) -> Option<&'a ObservedMove> {
        let status = &self.reports(endpoint)?.status;
        status.moves.iter().find(|observed| observed.name == *one.name())
    }

    /// Says whether whoever takes part in moves that go on from one has reported its phase too, or is lost.
    fn have_followed(&self, one: &SliceMove) -> bool {
        let later = self.chains.later(one).iter();
        let mut sides = later.flat_map(|later| later.giver().into_iter().chain([later.taker()]));
        let wanted = one.handover().progress();
        sides.all(|side| {
            let Side { lost, reached, .. } = self.side(side, one);
            lost || reached >= Some(wanted)
        })
    }

    /// Says whether both sides of a move know that those drain which it goes on from, or are lost.
    fn have_joined(&self, one: &SliceMove) -> bool {
        let sides = || one.giver().into_iter().chain([one.taker()]);
        self.chains.earlier(one).iter().all(|before| {
            let drains = Progress {
                epoch: handover::Epoch::new(before.epoch().get()),
                phase: Phase::Drain,
            };
            sides().all(|side| {
                let Side { lost, reached, .. } = self.side(side, before);
                lost || reached >= Some(drains)
            })
        })
    }

    fn side(&self, endpoint: &Name, one: &SliceMove) -> Side {
        Side {
            lost: self.is_lost(endpoint),
            reached: self.observed(endpoint, one).map(progress),
            map: self.follows(endpoint),
        }
    }
}

pub(super) fn progress(observed: &ObservedMove) -> Progress {
    Progress {
        epoch: handover::Epoch::new(observed.epoch.get()),
        phase: observed.phase.into(),
    }
}

/// Says what to do about an open move.
pub(super) fn decide(one: &SliceMove, around: &Around<'_>, memory: &mut Memory) -> Next {
    let handover = one.handover();
    let facts = facts(one, &handover, around, memory);
    next(&handover, &facts)
}

fn facts(one: &SliceMove, handover: &Handover, around: &Around<'_>, memory: &mut Memory) -> Facts {
    let now = around.now;
    let progress = handover.progress();
    let remembered = memory.moves.entry(one.name().clone()).or_insert(Remembered {
        progress,
        since: now,
        began: now,
        forwarded: (None, now),
    });
    let giver = one.giver();
    let observed = giver.and_then(|giver| around.observed(giver, one));
    let forwarded = observed.and_then(|observed| observed.forwarded);
    if remembered.progress != progress {
        (remembered.progress, remembered.since) = (progress, now);
        remembered.forwarded = (forwarded, now);
    } else if remembered.forwarded.0 != forwarded {
        remembered.forwarded = (forwarded, now);
    }
    let elapsed = now.saturating_sub(remembered.since);
    // Its object goes with its pod: there is nobody who hands anything on, and no flow that could be cut.
    let absent = giver.is_some_and(|giver| !around.endpoints.contains_key(giver));
    // What was not counted is not quiet, as long as there is somebody who counts.
    let is_known = forwarded.is_some() || giver.is_none_or(|giver| around.is_lost(giver));
    let quiet = absent || (is_known && now.saturating_sub(remembered.forwarded.1) >= around.options.quiet);

    let from = giver.map(|giver| around.side(giver, one));
    let standby_is_there = handover.prefixes.iter().all(|prefix| {
        let standby = around.map.standby(*prefix).filter(|standby| **standby != handover.to);
        let name = standby.and_then(|standby| Name::new(standby.as_str()).ok());
        name.is_some_and(|name| !around.is_lost(&name))
    });
    let followed = around.nodes.iter().all(|node| has_followed(node, one.name(), progress));
    // A router that has not heard of the third of three endpoints may take the first for as good as the second.
    let mut later = around.chains.later(one).iter();
    let is_announced_anew = later.any(|later| later.status.phase == crate::objects::Phase::Announce);
    let flows = observed
        .filter(|observed| self::progress(observed) >= progress && handover.phase == Phase::Drain)
        .and_then(|observed| observed.flows);
    let deadline = Duration::from_secs(around.set.handover.drain_seconds.get().into());
    let gone = absent || (from.is_some_and(|from| from.lost) && elapsed >= around.options.lost_after);
    let named = handover
        .prefixes
        .iter()
        .all(|prefix| around.map.owner(*prefix) == Some(&handover.to));
    let too_long = handover.phase < Phase::Drain
        && now.saturating_sub(remembered.began)
            >= Duration::from_secs(around.set.handover.deadline_seconds.get().into());
    Facts {
        from,
        to: around.side(one.taker(), one),
        other_standby: standby_is_there,
        // A node that cannot follow must not hold up the moves of all others: it is counted as behind.
        converged: (followed && quiet && !is_announced_anew) || elapsed >= around.options.converge_limit,
        drained: giver.is_none() || flows == Some(0) || gone || elapsed >= deadline,
        cancelled: (one.spec.cancelled || too_long || around.recipient_leaves(one))
            && !one.status.turned_back
            && one.spec.reason != Reason::Failure,
        before: !around.chains.earlier(one).is_empty(),
        joined: around.have_joined(one),
        goes_on: !around.chains.later(one).is_empty(),
        followed: around.have_followed(one),
        map_names_to: named.then(|| around.map.epoch()),
    }
}

/// Writes what is next into a move's status; `None` if nothing is.
pub(super) fn changed(
    one: &SliceMove,
    next: Next,
    epoch: crate::objects::Epoch,
    ownership: Ownership,
    wall: Timestamp,
) -> Option<SliceMove> {
    let mut changed = one.clone();
    let status = &mut changed.status;
    status.started_at = status.started_at.or(Some(wall));
    match next {
        Next::Wait(awaited) => {
            status.message = Message::new(&awaited.to_string());
            // Only what people read has changed, which is not worth a write for each round.
            let same = one.status.message == status.message && one.status.started_at.is_some();
            return (!same && awaited != Awaited::Nothing).then_some(changed);
        }
        Next::WriteMap => return None,
        Next::Write(phase) => {
            status.phase = phase.into();
            status.message = Message::new("");
            if !phase.is_open() {
                status.ended_at = Some(wall);
                if phase == Phase::Aborted {
                    status.message = Message::new("given up before anything changed, or with both sides lost");
                }
            }
        }
        Next::TurnBack => {
            let back = one
                .handover()
                .turned_back(handover::Epoch::new(epoch.get()), ownership.into())?;
            status.turned_back = !status.turned_back;
            status.epoch = epoch;
            status.phase = back.phase.into();
            status.message = Message::new("turned back");
        }
    }
    status.phase_since = Some(wall);
    Some(changed)
}
