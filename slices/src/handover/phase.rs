//! A handover and its phases.

use alloc::vec::Vec;
use core::fmt;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use super::{EndpointName, Epoch, Ownership};

/// Says how far a handover has come.
///
/// The leader writes the phase; agents bring their kernels into it and report it. A phase is written only when both
/// sides have reported the one before, or the side that has not is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The new owner gets ready: it delivers what reaches it, and sends flows that it does not know to the old owner.
    Prepare,
    /// The old owner sends new flows to the new owner, which takes over at once should the old owner be lost.
    Arm,
    /// The new owner is announced with the best metric; the handover waits until routers have followed.
    Announce,
    /// Routers have followed; the flows of the old owner come to their end.
    Drain,
    /// The new owner no longer sends anything to the old owner.
    Release,
    /// The old owner gives the prefixes up; then the map names the new owner.
    Withdraw,
    /// It is over and the map says so: the prefixes are the new owner's.
    Done,
    /// It is over and nothing has changed: the prefixes are the old owner's.
    Aborted,
}

impl Phase {
    /// Every phase, in the order in which a handover passes through them.
    pub const ALL: [Self; 8] = [
        Self::Prepare,
        Self::Arm,
        Self::Announce,
        Self::Drain,
        Self::Release,
        Self::Withdraw,
        Self::Done,
        Self::Aborted,
    ];

    /// Says whether the handover is still under way.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Done | Self::Aborted)
    }

    /// Returns the phase's name, as objects and metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "Prepare",
            Self::Arm => "Arm",
            Self::Announce => "Announce",
            Self::Drain => "Drain",
            Self::Release => "Release",
            Self::Withdraw => "Withdraw",
            Self::Done => "Done",
            Self::Aborted => "Aborted",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Prefixes that go from one endpoint to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The order of this decision, in one sequence with the map's: the map that names the new owner has a later one.
    /// Turning a handover back makes it a later decision.
    pub epoch: Epoch,
    /// The old owner; none where nobody owned the prefixes.
    pub from: Option<EndpointName>,
    /// The new owner.
    pub to: EndpointName,
    /// What goes, each of them within one prefix of the old owner.
    pub prefixes: Vec<Ipv6Net>,
    /// How far it has come.
    pub phase: Phase,
}

impl Handover {
    /// Returns how far it has come, in the order of decisions.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        Progress {
            epoch: self.epoch,
            phase: self.phase,
        }
    }

    /// Says whether a later handover of one of its prefixes goes on from where this one is.
    ///
    /// While flows of the old owner drain, the new owner may give the prefix on to a third endpoint. That one asks the first
    /// for flows that it does not know, and the first passes on to the second what it does not know either. A fourth is out of
    /// reach. It is the same where the later one was turned back, and the prefix is the second's again.
    ///
    /// The later one does not get ready before the earlier one drains, whatever somebody has seen of it yet.
    ///
    /// With exclusive ownership no handover begins before the one before it has ended.
    #[must_use]
    pub fn is_before(&self, later: &Self, ownership: Ownership) -> bool {
        ownership == Ownership::Available
            && self.epoch < later.epoch
            && self.phase >= Phase::Arm
            && self.phase.is_open()
            && (later.from.as_ref() == Some(&self.to) || later.to == self.to)
            && self.from.as_ref() != Some(&later.to)
    }

    /// Returns the handover that undoes this one: the old owner takes new flows again, and those of the new owner drain.
    ///
    /// `None` if there is no old owner. The new handover begins where both sides may have flows. With exclusive ownership
    /// the side that gives has to say first that it takes no new flows any more.
    #[must_use]
    pub fn turned_back(&self, epoch: Epoch, ownership: Ownership) -> Option<Self> {
        Some(Self {
            epoch,
            from: Some(self.to.clone()),
            to: self.from.clone()?,
            prefixes: self.prefixes.clone(),
            phase: match ownership {
                Ownership::Available => Phase::Announce,
                Ownership::Exclusive => Phase::Arm,
            },
        })
    }
}

/// How far a handover has come, by the leader's word or by an agent's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Progress {
    /// The decision.
    pub epoch: Epoch,
    /// The phase within it.
    pub phase: Phase,
}
