//! What people are told of a round where objects are looked at, such as by `kubectl events`: moves that begin and end, what
//! is taken from endpoints that are lost, and what is refused.
//!
//! At most [`BURST`] at once and one in [`EVERY`]: a scale-up has hundreds of moves, and events are kept in the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::round::{Change, Round};
use crate::{
    objects::{Kind, Name, Phase, Reason},
    store::Occurrence,
};

/// How many events may be told at once.
const BURST: u32 = 32;
/// How long it takes until one more may.
const EVERY: Duration = Duration::from_secs(2);

/// What is told, and how much more may be.
#[derive(Debug)]
pub(super) struct Occurrences {
    /// What was refused after the last round, by set.
    refused: BTreeMap<Name, BTreeSet<String>>,
    room: u32,
    /// When the last one came to be allowed.
    filled: Duration,
}

impl Default for Occurrences {
    fn default() -> Self {
        Self {
            refused: BTreeMap::new(),
            room: BURST,
            filled: Duration::ZERO,
        }
    }
}

impl Occurrences {
    /// Returns what is to be told of a round, and how much of it is left out.
    pub(super) fn of(&mut self, round: &Round, now: Duration) -> (Vec<Occurrence>, usize) {
        let mut all: Vec<Occurrence> = round.changes.iter().filter_map(occurrence).collect();
        for (set, report) in &round.reports {
            let refused: BTreeSet<String> = report.refused.iter().cloned().collect();
            let before = self.refused.get(set);
            let new = refused
                .iter()
                .filter(|one| !before.is_some_and(|before| before.contains(*one)));
            all.extend(new.map(|one| about(set, "PrefixesRefused", one.clone(), true)));
            self.refused.insert(set.clone(), refused);
        }
        self.refused.retain(|set, _| round.reports.contains_key(set));
        let more = now.saturating_sub(self.filled).as_millis() / EVERY.as_millis();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.filled += EVERY * more;
        self.room = self.room.saturating_add(more).min(BURST);
        let told = all.len().min(usize::try_from(self.room).unwrap_or(usize::MAX));
        let left = all.len() - told;
        self.room -= u32::try_from(told).unwrap_or(self.room);
        // What is wrong comes before what goes as it shall.
        all.sort_by_key(|one| !one.warning);
        all.truncate(told);
        (all, left)
    }
}

/// Says what is told of a change of a move; nothing of phases in between.
fn occurrence(change: &Change) -> Option<Occurrence> {
    let Change {
        set,
        name,
        reason,
        prefixes,
        from,
        to,
        ..
    } = change;
    let giver = from.as_ref().map_or("nobody", |from| from.as_str());
    let what = format!("move {name}: {prefixes} prefixes from {giver} to {to}");
    if change.left.is_none() {
        return Some(match reason {
            Reason::Failure => about(set, "TakenOver", format!("{what}, for {giver} is lost"), true),
            _ => about(set, "MoveBegun", format!("{what} ({reason:?})"), false),
        });
    }
    if change.turned_back {
        return Some(about(set, "MoveTurnedBack", format!("{what}: turned back"), true));
    }
    match change.phase {
        Phase::Done => Some(about(set, "MoveDone", format!("{what}: done"), false)),
        Phase::Aborted => Some(about(set, "MoveAborted", format!("{what}: given up"), true)),
        _ => None,
    }
}

fn about(set: &Name, reason: &'static str, message: String, warning: bool) -> Occurrence {
    Occurrence {
        kind: Kind::SliceSet,
        name: set.clone(),
        reason,
        message,
        warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Report;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn change(reason: Reason, left: Option<Phase>, phase: Phase) -> Change {
        Change {
            set: name("web"),
            name: name("web-7"),
            reason,
            left: left.map(|left| (left, Duration::ZERO)),
            phase,
            turned_back: false,
            from: Some(name("a")),
            to: name("b"),
            prefixes: 3,
        }
    }

    fn told(occurrences: &mut Occurrences, round: &Round, second: u64) -> (Vec<String>, usize) {
        let (all, left) = occurrences.of(round, Duration::from_secs(second));
        let told = all.into_iter().map(|one| {
            let kind = if one.warning { "Warning" } else { "Normal" };
            format!("{kind} {} {}: {}", one.reason, one.name, one.message)
        });
        (told.collect(), left)
    }

    #[test]
    fn moves_are_told_when_they_begin_and_end_and_refusals_once() {
        let mut occurrences = Occurrences::default();
        let turned = Change {
            turned_back: true,
            ..change(Reason::Scale, Some(Phase::Drain), Phase::Announce)
        };
        let mut round = Round {
            changes: vec![
                change(Reason::Scale, None, Phase::Prepare),
                change(Reason::Scale, Some(Phase::Prepare), Phase::Arm),
                change(Reason::Failure, None, Phase::Prepare),
                turned,
                change(Reason::Scale, Some(Phase::Release), Phase::Done),
                change(Reason::Scale, Some(Phase::Prepare), Phase::Aborted),
            ],
            ..Round::default()
        };
        let report = Report {
            refused: vec!["endpoint c refuses 2001:db8::/66".to_owned()],
            ..Report::default()
        };
        round.reports.insert(name("web"), report);
        let what = "web: move web-7: 3 prefixes from a to b";
        let wanted = [
            format!("Warning TakenOver {what}, for a is lost"),
            format!("Warning MoveTurnedBack {what}: turned back"),
            format!("Warning MoveAborted {what}: given up"),
            "Warning PrefixesRefused web: endpoint c refuses 2001:db8::/66".to_owned(),
            format!("Normal MoveBegun {what} (Scale)"),
            format!("Normal MoveDone {what}: done"),
        ];
        assert_eq!(told(&mut occurrences, &round, 0), (wanted.to_vec(), 0));
        round.changes.clear();
        assert_eq!(told(&mut occurrences, &round, 1), (vec![], 0));
        round.reports.clear();
        assert_eq!(told(&mut occurrences, &round, 2), (vec![], 0));
    }

    #[test]
    fn however_much_happens_no_more_is_told_than_may_be() {
        let mut occurrences = Occurrences::default();
        let round = Round {
            changes: vec![change(Reason::Scale, None, Phase::Prepare); 100],
            ..Round::default()
        };
        let mut count = |second| {
            let (told, left) = told(&mut occurrences, &round, second);
            (told.len(), left)
        };
        assert_eq!(count(0), (32, 68));
        assert_eq!(count(1), (0, 100));
        assert_eq!(count(2), (1, 99));
        assert_eq!(count(7), (2, 98));
        assert_eq!(count(100_000), (32, 68));
        assert_eq!(count(100_001), (0, 100));
    }
}
