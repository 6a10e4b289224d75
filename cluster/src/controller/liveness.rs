//! Who is alive, by what the leader itself has seen.

use std::{collections::BTreeMap, time::Duration};

use crate::objects::{Name, Timestamp};

/// When each endpoint or node was seen to renew its status last, by the leader's own clock.
///
/// A new leader has seen nobody, and counts from when it begins: that the leader has changed is nobody's loss.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    seen: BTreeMap<Name, (Option<Timestamp>, Duration)>,
}

impl Liveness {
    /// Notes when each says now that it renewed its status.
    pub(super) fn note<'a>(&mut self, said: impl Iterator<Item = (&'a Name, Option<Timestamp>)>, now: Duration) {
        let mut seen = BTreeMap::new();
        for (name, renewed) in said {
            let since = match self.seen.get(name) {
                Some((before, since)) if *before == renewed => *since,
                _ => now,
            };
            seen.insert(name.clone(), (renewed, since));
        }
        self.seen = seen;
    }

    /// Returns how long one has been silent; `None` if there is none of this name.
    pub(super) fn silent_for(&self, name: &Name, now: Duration) -> Option<Duration> {
        let (_, since) = self.seen.get(name)?;
        Some(now.saturating_sub(*since))
    }
}
