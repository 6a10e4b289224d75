//! Slice moves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ssa_slices::handover::{self, Handover};

use super::{Epoch, Fault, Kind, Message, Name, Object, Prefix, Spec, Timestamp, fields::at_most};

/// Prefixes on their way from one endpoint to another. The leader writes it, and keeps it for a while after its end: it is
/// the journal of the handover.
pub type SliceMove = Object<SliceMoveSpec>;

/// The most prefixes of one move.
pub const MAX_MOVE_PREFIXES: usize = 1024;

/// What moves from where to where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceMoveSpec {
    /// The slice set.
    pub slice_set: Name,
    /// The epoch that the set's map has with this move: of two moves of a prefix the one with the higher epoch counts.
    pub epoch: Epoch,
    /// The endpoint that owns the prefixes; absent where nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Name>,
    /// The endpoint that is to own them.
    pub to: Name,
    /// The prefixes, 1 to 1024, none within another.
    #[serde(deserialize_with = "at_most::<_, _, MAX_MOVE_PREFIXES>")]
    #[schemars(length(min = 1, max = MAX_MOVE_PREFIXES))]
    pub prefixes: Vec<Prefix>,
    /// Why they move.
    pub reason: Reason,
    /// Whether it is called off: in `Prepare` it ends as `Aborted`; later, until `Release`, it is turned back, so that the
    /// prefixes stay with their owner and no flow is cut.
    #[serde(default)]
    pub cancelled: bool,
}

/// Why prefixes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// Endpoints came or went, or their weights changed.
    Scale,
    /// One endpoint has more load than others.
    Balance,
    /// The owner is to have nothing any more.
    Drain,
    /// The owner is dead or not ready.
    Failure,
    /// Somebody asked for it.
    Manual,
    /// An earlier move goes back.
    Rollback,
}

/// How far a move is: by the leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceMoveStatus {
    /// The phase that both endpoints are to be in.
    #[serde(default)]
    pub phase: Phase,
    /// Whether it has been turned back: then the prefixes go from `spec.to` to `spec.from`.
    #[serde(default)]
    pub turned_back: bool,
    /// The epoch of that decision; until then `spec.epoch` counts.
    #[serde(default)]
    pub epoch: Epoch,
    /// When this phase began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Timestamp>,
    /// When the move began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended, done or aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What it waits for, or why it was aborted.
    #[serde(default)]
    pub message: Message,
}

/// A phase of a move, in their order: those of [`ssa_slices::handover::Phase`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// The recipient makes the prefixes local, and hands what it does not know to the owner.
    #[default]
    Prepare,
    /// The owner hands new flows to the recipient.
    Arm,
    /// The recipient announces the prefixes before the owner, and routers follow.
    Announce,
    /// The owner serves the flows that it has until they end, or for as long as the set says.
    Drain,
    /// The recipient hands nothing to the owner any more.
    Release,
    /// The owner gives the prefixes up, and the map names the recipient.
    Withdraw,
    /// It is over.
    Done,
    /// It was given up, and the owner still is the owner.
    Aborted,
}

impl From<Phase> for handover::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Prepare => Self::Prepare,
            Phase::Arm => Self::Arm,
            Phase::Announce => Self::Announce,
            Phase::Drain => Self::Drain,
            Phase::Release => Self::Release,
            Phase::Withdraw => Self::Withdraw,
            Phase::Done => Self::Done,
            Phase::Aborted => Self::Aborted,
        }
    }
}

impl From<handover::Phase> for Phase {
    fn from(phase: handover::Phase) -> Self {
        match phase {
            handover::Phase::Prepare => Self::Prepare,
            handover::Phase::Arm => Self::Arm,
            handover::Phase::Announce => Self::Announce,
            handover::Phase::Drain => Self::Drain,
            handover::Phase::Release => Self::Release,
            handover::Phase::Withdraw => Self::Withdraw,
            handover::Phase::Done => Self::Done,
            handover::Phase::Aborted => Self::Aborted,
        }
    }
}

impl SliceMove {
    /// Returns the epoch that counts: of two states of a move, and of two moves of a prefix, the greater one wins. It is what
    /// agents report with the phase that they have reached.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.spec.epoch.max(self.status.epoch)
    }

    /// Returns the endpoint that gives the prefixes, by the direction that the move has now.
    #[must_use]
    pub fn giver(&self) -> Option<&Name> {
        if self.status.turned_back {
            Some(&self.spec.to)
        } else {
            self.spec.from.as_ref()
        }
    }

    /// Returns the endpoint that takes the prefixes, by the direction that the move has now.
    #[must_use]
    pub fn taker(&self) -> &Name {
        let back = self.spec.from.as_ref().filter(|_| self.status.turned_back);
        back.unwrap_or(&self.spec.to)
    }

    /// Returns the move as the [state machine](ssa_slices::handover) knows it.
    #[must_use]
    pub fn handover(&self) -> Handover {
        Handover {
            epoch: handover::Epoch::new(self.epoch().get()),
            from: self.giver().map(Name::endpoint),
            to: self.taker().endpoint(),
            prefixes: self.spec.prefixes.iter().map(|prefix| prefix.net()).collect(),
            phase: self.status.phase.into(),
        }
    }
}

impl Reason {
    /// Returns its name, as objects and metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scale => "Scale",
            Self::Balance => "Balance",
            Self::Drain => "Drain",
            Self::Failure => "Failure",
            Self::Manual => "Manual",
            Self::Rollback => "Rollback",
        }
    }
}

impl Phase {
    /// Returns whether the move is over.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Aborted)
    }

    /// Returns whether the move can still be turned back: the owner has all flows that it had, and can be reached.
    #[must_use]
    pub fn can_be_called_off(self) -> bool {
        self < Self::Release
    }
}

impl Spec for SliceMoveSpec {
    type Status = SliceMoveStatus;

    const KIND: Kind = Kind::SliceMove;

    fn check(&self, faults: &mut Vec<Fault>) {
        if self.prefixes.is_empty() {
            faults.push(Self::fault("spec.prefixes", "must not be empty"));
        }
        if self.from.as_ref() == Some(&self.to) {
            faults.push(Self::fault("spec.to", "must differ from spec.from"));
        }
        let mut sorted: Vec<(Prefix, usize)> = self.prefixes.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let mut outer: Option<Prefix> = None;
        for (prefix, number) in sorted {
            match outer {
                Some(covering) if covering.covers(prefix) => {
                    let path = format!("spec.prefixes[{number}]");
                    faults.push(Self::fault(path, format!("{prefix} lies in {covering}")));
                }
                _ => outer = Some(prefix),
            }
        }
    }
}
