//! Heartbeats that are ignored, as people are told of them: by kind, with how many there were, and seldom. Anybody who can
//! send from a peer's address makes as many as they like.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::WireError;

/// The least time between two words about them.
const EVERY: Duration = Duration::from_mins(1);

/// Those of one kind that nobody was told of.
#[derive(Debug, Clone, Copy)]
struct Kind {
    count: u64,
    from: Ipv6Addr,
    last: WireError,
}

/// What people have not been told yet.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    /// In the order in which they first came: as many as there are kinds of errors.
    kinds: Vec<Kind>,
    told: Option<Duration>,
}

impl Ignored {
    /// Notes one. What is no heartbeat at all is none of anybody's concern.
    pub(super) fn note(&mut self, from: Ipv6Addr, error: WireError) {
        if error == WireError::Foreign {
            return;
        }
        let is_same = |kind: &&mut Kind| std::mem::discriminant(&kind.last) == std::mem::discriminant(&error);
        if let Some(kind) = self.kinds.iter_mut().find(is_same) {
            (kind.count, kind.from, kind.last) = (kind.count.saturating_add(1), from, error);
        } else {
            self.kinds.push(Kind {
                count: 1,
                from,
                last: error,
            });
        }
    }

    /// Returns what is to be told now, if anything is.
    pub(super) fn due(&mut self, now: Duration) -> Option<String> {
        let rests = self.told.is_some_and(|told| now.saturating_sub(told) < EVERY);
        if rests || self.kinds.is_empty() {
            return None;
        }
        self.told = Some(now);
        let kinds = std::mem::take(&mut self.kinds);
        let kinds: Vec<String> = kinds
            .iter()
            .map(|Kind { count, from, last }| format!("{count}, the last of which, from {from}, {last}"))
            .collect();
        Some(format!("heartbeats that were ignored: {}", kinds.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_by_kind_and_once_a_minute_however_many_come() {
        let (a, b) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
        let mut ignored = Ignored::default();
        let second = Duration::from_secs(1);
        assert_eq!(ignored.due(second), None);
        ignored.note(a, WireError::Foreign);
        assert_eq!(ignored.due(second), None);
        ignored.note(a, WireError::Mac);
        assert_eq!(
            ignored.due(second).as_deref(),
            Some("heartbeats that were ignored: 1, the last of which, from ::1, was made with another key")
        );
        for (from, error) in [
            (a, WireError::Mac),
            (b, WireError::Mac),
            (a, WireError::Version(2)),
            (a, WireError::Version(3)),
        ] {
            for _ in 0..1000 {
                ignored.note(from, error);
                assert_eq!(ignored.due(second * 60), None);
            }
        }
        assert_eq!(
            ignored.due(second * 61).as_deref(),
            Some(
                "heartbeats that were ignored: 2000, the last of which, from ::, was made with another key; \
                 2000, the last of which, from ::1, is of version 3; only version 1 is spoken"
            )
        );
        assert_eq!(ignored.due(second * 1000), None);
    }
}
