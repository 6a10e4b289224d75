//! What was published, and how long it counts.

use serde::{Deserialize, Serialize};

use crate::answers::Seconds;

/// The most records and lists remembered.
pub(super) const MAX_SEEN: usize = 16;

/// Something published, and how long caches may hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen<T> {
    pub(super) value: T,
    pub(super) ttl: u64,
    pub(super) until: Seconds,
    pub(super) gone: bool,
}

/// Those that stand first, then those that went last.
pub(super) fn by_age<T>(seen: &[Seen<T>]) -> Vec<&Seen<T>> {
    let mut sorted: Vec<&Seen<T>> = seen.iter().collect();
    sorted.sort_by_key(|seen| (seen.gone, std::cmp::Reverse(seen.until)));
    sorted
}

/// Notes what stands now, answered at a time; all else is gone.
pub(super) fn mark<T: PartialEq>(seen: &mut Vec<Seen<T>>, standing: Vec<T>, ttl: u64, at: Seconds, now: Seconds) {
    for one in seen
        .iter_mut()
        .filter(|one| !one.gone && !standing.contains(&one.value))
    {
        one.gone = true;
        // Others may have got it up to now.
        one.until = one.until.max(now.saturating_add(one.ttl));
    }
    for value in standing {
        let until = at.saturating_add(ttl);
        match seen.iter_mut().find(|one| one.value == value) {
            Some(one) => {
                one.gone = false;
                one.ttl = ttl;
                one.until = one.until.max(until);
            }
            None => seen.push(Seen {
                value,
                ttl,
                until,
                gone: false,
            }),
        }
    }
    seen.sort_by_key(|one| (one.gone, std::cmp::Reverse(one.until)));
    seen.truncate(MAX_SEEN);
}
