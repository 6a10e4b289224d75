//! What a round has done.

use std::{collections::BTreeMap, time::Duration};

use super::report::Report;
use crate::objects::{Name, Phase, Reason};

/// What a round did, and what there is to say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// What happened, for people.
    pub told: Vec<String>,
    /// What is wrong with objects; they changed nothing.
    pub faults: Vec<String>,
    /// What happened to moves.
    pub changes: Vec<Change>,
    /// The sets, after the round.
    pub reports: BTreeMap<Name, Report>,
}

/// A move that began, or went from one phase to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The slice set.
    pub set: Name,
    /// The move.
    pub name: Name,
    /// Why it moves.
    pub reason: Reason,
    /// The phase that it left, and how long it was in it; none where it has begun.
    pub left: Option<(Phase, Duration)>,
    /// The phase that it is in now.
    pub phase: Phase,
    /// Whether it was turned back just now.
    pub turned_back: bool,
    /// Who gives, by the spec; nobody where nobody had it.
    pub from: Option<Name>,
    /// Who gets it.
    pub to: Name,
    /// How many prefixes.
    pub prefixes: usize,
}
