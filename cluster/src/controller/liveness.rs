//! Who is alive, by what the leader itself has seen.

use std::{collections::BTreeMap, time::Duration};

use crate::objects::{Name, SliceEndpoint, Timestamp};

/// When each endpoint was seen to renew its status last, by the leader's own clock.
///
/// A new leader has seen nobody, and counts from when it begins: that the leader has changed is nobody's loss.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    seen: BTreeMap<Name, (Option<Timestamp>, Duration)>,
}

impl Liveness {
    /// Notes what endpoints say now.
    pub(super) fn note<'a>(&mut self, endpoints: impl Iterator<Item = &'a SliceEndpoint>, now: Duration) {
        let mut seen = BTreeMap::new();
        for endpoint in endpoints {
            let renewed = endpoint.status.renewed_at;
            let since = match self.seen.get(endpoint.name()) {
                Some((before, since)) if *before == renewed => *since,
                _ => now,
            };
            seen.insert(endpoint.name().clone(), (renewed, since));
        }
        self.seen = seen;
    }

    /// Returns how long an endpoint has been silent; `None` if there is no such endpoint.
    pub(super) fn silent_for(&self, endpoint: &Name, now: Duration) -> Option<Duration> {
        let (_, since) = self.seen.get(endpoint)?;
        Some(now.saturating_sub(*since))
    }
}
