//! What was published, and how long it counts.

use serde::{Deserialize, Serialize};

use crate::answers::{GRACE, Seconds};

/// The maximum number of records and lists remembered.
pub(super) const MAX_ENTRIES: usize = 16;

/// Something published, and how long caches may hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored<T>")]
pub(super) struct Entry<T> {
    pub(super) value: T,
    /// Until when caches may hold what is gone.
    pub(super) until: Seconds,
    /// Since when it is gone.
    pub(super) gone: Option<Seconds>,
}

/// The same as files have it, those of version 1 too.
#[derive(Deserialize)]
struct Stored<T> {
    value: T,
    #[serde(default)]
    ttl: u64,
    until: Seconds,
    gone: Gone,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Gone {
    Since(Option<Seconds>),
    /// Of version 1.
    Is(bool),
}

impl<T> From<Stored<T>> for Entry<T> {
    fn from(stored: Stored<T>) -> Self {
        let gone = match stored.gone {
            Gone::Since(since) => since,
            Gone::Is(is) => is.then(|| stored.until.saturating_sub(stored.ttl)),
        };
        Self {
            value: stored.value,
            until: stored.until,
            gone,
        }
    }
}

impl<T> Entry<T> {
    /// Returns until when it counts, if it is gone; a TTL counts for so long at most.
    pub(super) fn ends(&self, max_ttl: u64) -> Option<Seconds> {
        let most = self.gone?.saturating_add(max_ttl);
        Some(self.until.min(most).saturating_add(GRACE))
    }

    /// Moves it to another time.
    pub(super) fn shift(&mut self, moved: impl Fn(Seconds) -> Seconds) {
        self.until = moved(self.until);
        self.gone = self.gone.map(moved);
    }
}

/// Those that stand first, then those that went last.
pub(super) fn by_age<T>(entry: &[Entry<T>]) -> Vec<&Entry<T>> {
    let mut sorted: Vec<&Entry<T>> = entry.iter().collect();
    sorted.sort_by_key(|entry| (entry.gone.is_some(), std::cmp::Reverse(entry.until)));
    sorted
}

/// Records what stands now; all else is gone, and counts for the TTL that it may have had. One that is told of only later,
/// by a cache that had asked long before, counts too.
pub(super) fn mark<T: PartialEq>(
    entry: &mut Vec<Entry<T>>,
    standing: Vec<T>,
    ttl_of: impl Fn(&T) -> u64,
    now: Seconds,
) {
    for one in entry.iter_mut().filter(|one| !standing.contains(&one.value)) {
        // Others may have got it up to then.
        let gone = *one.gone.get_or_insert(now);
        one.until = one.until.max(gone.saturating_add(ttl_of(&one.value)));
    }
    for value in standing {
        match entry.iter_mut().find(|one| one.value == value) {
            Some(one) => (one.gone, one.until) = (None, 0),
            None => entry.push(Entry {
                value,
                until: 0,
                gone: None,
            }),
        }
    }
    entry.sort_by_key(|one| (one.gone.is_some(), std::cmp::Reverse(one.until)));
    entry.truncate(MAX_ENTRIES);
}
