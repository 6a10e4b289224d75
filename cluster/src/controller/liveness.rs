//! Who is alive, by what the leader itself has seen.

use std::{collections::BTreeMap, time::Duration};

use crate::objects::Name;

/// The longest between two looks that counts in full. While a leader cannot look, because the store is away or because it
/// does not lead, endpoints cannot be seen to renew anything either.
const LOOK: Duration = Duration::from_secs(2);

/// When each endpoint or node was seen to renew its status last, or its lease, by the leader's own clock. `T` tells one
/// renewal from another.
///
/// A new leader has seen nobody, and counts from when it begins: that the leader has changed is nobody's loss.
#[derive(Debug)]
pub(super) struct Liveness<T> {
    seen: BTreeMap<Name, (T, Duration)>,
    looked: Duration,
}

impl<T> Default for Liveness<T> {
    fn default() -> Self {
        Self {
            seen: BTreeMap::new(),
            looked: Duration::ZERO,
        }
    }
}

impl<T: PartialEq> Liveness<T> {
    /// Notes what each says now. Returns for how long the leader has been unable to look.
    pub(super) fn note<'a>(&mut self, said: impl Iterator<Item = (&'a Name, T)>, now: Duration) -> Duration {
        let blind = now.saturating_sub(self.looked).saturating_sub(LOOK);
        self.looked = now;
        let mut seen = BTreeMap::new();
        for (name, renewed) in said {
            let since = match self.seen.get(name) {
                Some((before, since)) if *before == renewed => *since + blind,
                _ => now,
            };
            seen.insert(name.clone(), (renewed, since));
        }
        self.seen = seen;
        blind
    }

    /// Returns how long one has been silent; `None` if there is none of this name.
    pub(super) fn silent_for(&self, name: &Name, now: Duration) -> Option<Duration> {
        let (_, since) = self.seen.get(name)?;
        Some(now.saturating_sub(*since))
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
}
