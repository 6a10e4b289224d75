//! Who is alive, by what the leader itself has seen.

use std::{collections::BTreeMap, time::Duration};

use crate::objects::Name;

/// The longest between two looks that counts in full. While a leader cannot look, because the store is away or because it
/// does not lead, endpoints cannot be seen to renew anything either.
const LOOK: Duration = Duration::from_secs(2);

/// When each endpoint or node was seen to renew its status last, or its lease, by the leader's own clock. `T` tells one
/// renewal from another.
///
/// A new leader has seen nobody, and counts from when it begins: that the leader has changed is nobody's loss. Nor is what
/// it finds written a sign of life: whoever wrote it may have been dead for long.
#[derive(Debug)]
pub(super) struct Liveness<T> {
    seen: BTreeMap<Name, Seen<T>>,
    /// When the leader looked last.
    looked: Option<Duration>,
}

#[derive(Debug)]
struct Seen<T> {
    renewed: T,
    since: Duration,
    is_doubtful: bool,
}

impl<T> Default for Liveness<T> {
    fn default() -> Self {
        Self {
            seen: BTreeMap::new(),
            looked: None,
        }
    }
}

impl<T: PartialEq> Liveness<T> {
    /// Notes what each says now. Returns for how long the leader has been unable to look.
    pub(super) fn note<'a>(&mut self, said: impl Iterator<Item = (&'a Name, T)>, now: Duration) -> Duration {
        let since_last = now.saturating_sub(self.looked.unwrap_or_default());
        let blind = since_last.saturating_sub(LOOK);
        let is_first = self.looked.is_none();
        self.looked = Some(now);
        let mut seen = BTreeMap::new();
        for (name, renewed) in said {
            let one = match self.seen.get(name) {
                Some(before) if before.renewed == renewed => Seen {
                    renewed,
                    since: before.since + blind,
                    is_doubtful: before.is_doubtful || !blind.is_zero(),
                },
                _ => Seen {
                    renewed,
                    since: now,
                    is_doubtful: is_first,
                },
            };
            seen.insert(name.clone(), one);
        }
        self.seen = seen;
        blind
    }

    /// Doubts that some are alive, each until it is seen to renew its status.
    pub(super) fn doubt<'a>(&mut self, names: impl Iterator<Item = &'a Name>) {
        for name in names {
            if let Some(one) = self.seen.get_mut(name) {
                one.is_doubtful = true;
            }
        }
    }

    /// Says whether one has not been seen to renew its status since there was reason to doubt that it is alive.
    pub(super) fn is_doubtful(&self, name: &Name) -> bool {
        self.seen.get(name).is_none_or(|one| one.is_doubtful)
    }

    /// Returns how long one has been silent; `None` if there is none of this name.
    pub(super) fn silent_for(&self, name: &Name, now: Duration) -> Option<Duration> {
        let one = self.seen.get(name)?;
        Some(now.saturating_sub(one.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Timestamp;

    #[test]
    fn silence_counts_while_the_leader_looks_and_no_more_than_that() {
        let (mut liveness, name) = (Liveness::default(), Name::new("a").expect("a name"));
        let at = Duration::from_secs;
        let mut note = |renewed: i64, second: u64| {
            let renewed = Some(Timestamp::from_millis(renewed));
            liveness.note([(&name, renewed)].into_iter(), at(second));
            liveness.silent_for(&name, at(second))
        };
        for second in 0..10 {
            note(1, second);
        }
        assert_eq!(note(1, 10), Some(at(10)));
        // The store is away for a minute.
        assert_eq!(note(1, 70), Some(at(12)));
        assert_eq!(note(2, 71), Some(at(0)));
    }

    #[test]
    fn what_a_leader_finds_written_is_no_sign_of_life() {
        let [old, new] = ["old", "new"].map(|name| Name::new(name).expect("a name"));
        let (renewed, mut liveness) = (Timestamp::from_millis, Liveness::default());
        liveness.note([(&old, Some(renewed(1)))].into_iter(), Duration::from_mins(1));
        assert!(liveness.is_doubtful(&old) && liveness.is_doubtful(&new));
        let mut note = |one: i64, other: i64, second: u64| {
            let said = [(&old, Some(renewed(one))), (&new, Some(renewed(other)))];
            liveness.note(said.into_iter(), Duration::from_secs(second));
            [&old, &new].map(|name| liveness.is_doubtful(name))
        };
        // One that is new now was written while the leader looked.
        assert_eq!(note(1, 1, 61), [true, false]);
        assert_eq!(note(2, 1, 62), [false, false]);
        // Whoever was there before the store was away may be dead by now.
        assert_eq!(note(2, 2, 90), [true, false]);
        assert_eq!(note(3, 2, 91), [false, false]);
        liveness.doubt([&old].into_iter());
        assert!(liveness.is_doubtful(&old));
    }
}
