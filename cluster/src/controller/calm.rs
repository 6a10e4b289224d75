//! Since when the endpoints of sets are the same.

use std::{collections::BTreeMap, time::Duration};

use crate::objects::{LabelValue, Name};

/// Since when each set has the endpoints that it has.
///
/// Pods come and go one after another: several that are added get ready within seconds, and in a rolling update the one
/// that is replaced is told to end right after the new one is ready. Slices that move at once for the first of these would
/// move again for the next, and from pods that are about to leave.
#[derive(Debug, Default)]
pub(super) struct Calm {
    seen: BTreeMap<Name, (LabelValue, Duration)>,
}

impl Calm {
    /// Takes what stands for a set's endpoints; returns for how long that has been the same.
    pub(super) fn note(&mut self, set: &Name, fingerprint: &LabelValue, now: Duration) -> Duration {
        let since = match self.seen.get(set) {
            Some((before, since)) if before == fingerprint => *since,
            _ => now,
        };
        self.seen.insert(set.clone(), (fingerprint.clone(), since));
        now.saturating_sub(since)
    }

    /// Forgets the sets that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&Name) -> bool) {
        self.seen.retain(|set, _| is_there(set));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_set_begins_anew() {
        let mut calm = Calm::default();
        let at = Duration::from_secs;
        let mut note = |set: &str, endpoints: &str, second: u64| {
            let (set, endpoints) = (
                Name::new(set).expect("a name"),
                LabelValue::new(endpoints).expect("text"),
            );
            calm.note(&set, &endpoints, at(second))
        };
        assert_eq!(note("web", "a-b", 1), at(0));
        assert_eq!(note("db", "a-b", 3), at(0));
        assert_eq!(note("web", "a-b", 3), at(2));
        assert_eq!(note("web", "a-b-c", 4), at(0));
        assert_eq!(note("web", "a-b", 5), at(0));
        assert_eq!(note("db", "a-b", 6), at(3));
    }
}
