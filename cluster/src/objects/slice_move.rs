//! Slice moves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// The endpoint that owns the prefixes; absent where nobody does, or who did is dead.
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
    /// Whether it is called off: before the drain it ends as `Aborted`; during the drain the prefixes go back by a move of
    /// their own.
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

/// A phase of a move, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// The recipient makes the prefixes local, and hands what it does not know to the owner.
    #[default]
    Prepare,
    /// The owner hands new flows to the recipient.
    Arm,
    /// The recipient announces the prefixes before the owner.
    Announce,
    /// Routers have followed.
    Converged,
    /// The owner serves the flows that it has until they end, or for as long as the set says.
    Drain,
    /// Both drop what the move needed.
    Release,
    /// It is over.
    Done,
    /// It was given up, and the owner still is the owner.
    Aborted,
}

impl Phase {
    /// Says whether the move is over.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Aborted)
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
