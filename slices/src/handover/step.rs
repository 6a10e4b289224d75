//! What the leader does next about a handover.

use core::fmt;

use super::{Epoch, Handover, Phase, Progress};

/// What the leader knows about one side of a handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Side {
    /// It has not been heard of for long, or says that it has [rejoined](super::View::rejoined); with exclusive ownership,
    /// and the leader has taken its [lease](super::lease), so that it surely accepts nothing.
    pub lost: bool,
    /// The furthest state of this handover that it has reported its kernel to be in.
    pub reached: Option<Progress>,
    /// The epoch of the map that it has reported its kernel to follow.
    pub map: Epoch,
}

/// What the leader knows about a handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub struct Facts {
    /// The old owner; none where nobody owned the prefixes.
    pub from: Option<Side>,
    /// The new owner.
    pub to: Side,
    /// A third endpoint stands by for the prefixes and is not lost.
    pub other_standby: bool,
    /// Routers follow what both sides announce in this phase: all nodes have said so, and the old owner has long got
    /// nothing, or the time for that is over.
    pub converged: bool,
    /// The old owner has no flows left, by a report made in [`Phase::Drain`] or because its host is gone; or the time for
    /// draining is over. An agent that does not answer says nothing: its kernel may well have flows.
    pub drained: bool,
    /// Somebody wants the handover undone.
    pub cancelled: bool,
    /// A handover [before](Handover::is_before) this one is not over: a third endpoint has flows, and the map names it.
    pub before: bool,
    /// Both sides of this one have reported that the one before drains, or are lost: they know of it.
    pub joined: bool,
    /// A later handover [goes on](Handover::is_before) from this one.
    pub goes_on: bool,
    /// Whoever takes part in a later one that goes on from this has reported this phase too, or is lost.
    pub followed: bool,
    /// The epoch in which the map came to name the new owner; none if it does not.
    pub map_names_to: Option<Epoch>,
}

/// What to do about a handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing before something else has happened.
    Wait(Awaited),
    /// Write this phase.
    Write(Phase),
    /// Write the handover as [turned back](Handover::turned_back), in a new epoch.
    TurnBack,
    /// Write a map, in a new epoch, that names the new owner.
    WriteMap,
}

/// What a handover waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Awaited {
    /// The old owner is to report the phase.
    OldOwner,
    /// The new owner is to report the phase.
    NewOwner,
    /// Routers are to follow.
    Routers,
    /// Flows of the old owner are to end, or the time for that.
    Flows,
    /// The handover before is to drain, or to be over.
    Before,
    /// Whoever has got the prefixes by a later handover is to report the phase.
    Later,
    /// One side is to follow the map.
    Map,
    /// Nothing: it is over.
    Nothing,
}

impl Awaited {
    /// Says what is waited for, as a label of a metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OldOwner => "old_owner",
            Self::NewOwner => "new_owner",
            Self::Routers => "routers",
            Self::Flows => "flows",
            Self::Before => "move_before",
            Self::Later => "later_owner",
            Self::Map => "map",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OldOwner => "waiting for the old owner to report the phase",
            Self::NewOwner => "waiting for the new owner to report the phase",
            Self::Routers => "waiting for routers to follow",
            Self::Flows => "waiting for flows of the old owner to end",
            Self::Before => "waiting for the move before, by which the old owner got the prefixes",
            Self::Later => "waiting for the endpoint that has got the prefixes since to report the phase",
            Self::Map => "waiting for both sides to follow the map",
            Self::Nothing => "over",
        })
    }
}

/// Says what the leader does next about a handover.
///
/// It depends on what is, not on what was done: a leader that has just taken over, or does the same thing twice, goes
/// on from where the last one was.
#[must_use]
pub fn next(handover: &Handover, facts: &Facts) -> Next {
    let told = Told { handover, facts };
    match handover.phase {
        Phase::Prepare => told.prepare(),
        Phase::Arm | Phase::Announce | Phase::Drain | Phase::Release => told.under_way(),
        Phase::Withdraw => told.withdraw(),
        Phase::Done | Phase::Aborted => Next::Wait(Awaited::Nothing),
    }
}

struct Told<'a> {
    handover: &'a Handover,
    facts: &'a Facts,
}

impl Told<'_> {
    fn old_owner_lost(&self) -> bool {
        self.facts.from.is_some_and(|from| from.lost)
    }

    fn old_owner_alive(&self) -> bool {
        self.facts.from.is_some_and(|from| !from.lost)
    }

    /// Waits for a report of the phase, from a side that is there and not lost.
    fn unless_reached(&self, side: Option<Side>, awaited: Awaited) -> Option<Next> {
        let side = side.filter(|side| !side.lost)?;
        (side.reached < Some(self.handover.progress())).then_some(Next::Wait(awaited))
    }

    fn old_owner(&self) -> Option<Next> {
        self.unless_reached(self.facts.from, Awaited::OldOwner)
    }

    fn new_owner(&self) -> Option<Next> {
        self.unless_reached(Some(self.facts.to), Awaited::NewOwner)
    }

    /// Nothing has changed yet, so nothing has to be undone.
    fn prepare(&self) -> Next {
        // A standby takes over what a lost owner has; it is not this handover's to move. What the handover before has brought to
        // a lost one goes back by that, for the kernel may announce it still, and no other announcement is better.
        let taken_over = self.old_owner_lost() && (self.facts.other_standby || self.facts.before);
        if self.facts.cancelled || self.facts.to.lost || taken_over {
            return Next::Write(Phase::Aborted);
        }
        let ready = if self.old_owner_alive() {
            Phase::Arm
        } else {
            Phase::Announce
        };
        let before = (self.facts.before && !self.facts.joined).then_some(Next::Wait(Awaited::Before));
        self.new_owner()
            .or_else(|| self.old_owner())
            .or(before)
            .unwrap_or(Next::Write(ready))
    }

    /// The new owner may have flows: the handover can go on or be turned back, and cannot be dropped.
    fn under_way(&self) -> Next {
        if self.facts.to.lost && !self.old_owner_alive() {
            return Next::Write(Phase::Aborted); // nobody has any flows
        }
        // Once the new owner has let go of the old one's flows, only having nobody else is a reason to go back.
        let lets_go = self.handover.phase == Phase::Release;
        // Three endpoints may have flows, of which only the last two handovers know: going back is for a lost one alone.
        let called_off = self.facts.cancelled && !lets_go && !self.facts.before && !self.facts.goes_on;
        let forsaken = self.facts.to.lost && !(lets_go && self.facts.other_standby) && !self.facts.goes_on;
        if self.old_owner_alive() && (called_off || forsaken) {
            return Next::TurnBack;
        }
        let both = || self.old_owner().or_else(|| self.new_owner());
        let (waits, phase) = match self.handover.phase {
            Phase::Arm => (both(), Phase::Announce),
            Phase::Announce => {
                let routers = (!self.facts.converged).then_some(Next::Wait(Awaited::Routers));
                (both().or(routers), Phase::Drain)
            }
            Phase::Drain => {
                let flows = (!self.facts.drained).then_some(Next::Wait(Awaited::Flows));
                let before = self.facts.before.then_some(Next::Wait(Awaited::Before));
                (flows.or(before), Phase::Release)
            }
            _ => {
                let later = (self.facts.goes_on && !self.facts.followed).then_some(Next::Wait(Awaited::Later));
                (self.new_owner().or(later), Phase::Withdraw)
            }
        };
        waits.unwrap_or(Next::Write(phase))
    }

    /// The old owner may have given the prefixes up: there is no way back but another handover.
    fn withdraw(&self) -> Next {
        if let Some(waits) = self.old_owner() {
            return waits;
        }
        // A standby will announce the pieces of what is split, and the new owner the whole of what is joined: routers have
        // to know the pieces from their owners, and nothing of this handover from the old one, by then.
        if !self.facts.converged {
            return Next::Wait(Awaited::Routers);
        }
        let Some(epoch) = self.facts.map_names_to else {
            return Next::WriteMap;
        };
        let follows = |side: Side| side.lost || side.map >= epoch;
        if self.facts.from.is_none_or(follows) && follows(self.facts.to) {
            Next::Write(Phase::Done)
        } else {
            Next::Wait(Awaited::Map)
        }
    }
}
