//! Snapshots as they are served: one for each role, with a generation that changes with the content.

use std::sync::Arc;

use serde_json::value::RawValue;
use ssa_snapshot::{Generation, MAX_BYTES, Version};
use tokio::sync::watch;

use crate::{config::Role, model::Entries, random};

/// A snapshot, but for its seed.
#[derive(Debug)]
pub struct Snapshot {
    /// Its name: the daemon's start and a count.
    pub generation: Generation,
    off: bool,
    services: Box<RawValue>,
}

impl Snapshot {
    /// Returns the JSON with a seed of its own: whoever fetches it draws other random bits than all others.
    #[must_use]
    pub fn json(&self) -> String {
        let snapshot = ssa_snapshot::Snapshot {
            version: Version::default(),
            generation: self.generation.clone(),
            seed: [random::name(), random::name()].concat(),
            off: self.off,
            services: &self.services,
        };
        // Texts, a flag and JSON that was written already: nothing of it can fail.
        serde_json::to_string(&snapshot).unwrap_or_default()
    }

    /// Returns the entity tag.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("\"{}\"", self.generation)
    }
}

/// The last snapshot of a role, for whoever serves it; none so far at first.
pub type Latest = watch::Receiver<Option<Arc<Snapshot>>>;

/// Gives new snapshots to those who serve them.
#[derive(Debug)]
pub struct Publisher {
    start: u64,
    count: u64,
    inbound: watch::Sender<Option<Arc<Snapshot>>>,
    outbound: watch::Sender<Option<Arc<Snapshot>>>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            start: random::bits(),
            count: 0,
            inbound: watch::Sender::default(),
            outbound: watch::Sender::default(),
        }
    }
}

/// Why a snapshot is not published.
#[derive(Debug)]
pub enum PublishError {
    /// It is larger than filters read.
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// It cannot be written as JSON.
    Json(serde_json::Error),
}

impl std::fmt::Display for PublishError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(f, "a snapshot of {bytes} bytes exceeds {MAX_BYTES}"),
            Self::Json(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PublishError {}

impl Publisher {
    /// Returns where the last snapshot of a role is seen.
    #[must_use]
    pub fn latest(&self, role: Role) -> Latest {
        self.of(role).subscribe()
    }

    /// Returns how many look at a role's snapshots.
    #[cfg(test)]
    pub(crate) fn waiting(&self, role: Role) -> usize {
        self.of(role).receiver_count()
    }

    fn of(&self, role: Role) -> &watch::Sender<Option<Arc<Snapshot>>> {
        match role {
            Role::Inbound => &self.inbound,
            Role::Outbound => &self.outbound,
        }
    }

    /// Publishes what a role is told, and returns the bytes of its JSON where it differs from the last.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: the last snapshot stays.
    pub fn publish(&mut self, role: Role, off: bool, services: &Entries) -> Result<Option<usize>, PublishError> {
        let services = serde_json::value::to_raw_value(services).map_err(PublishError::Json)?;
        let is_same = |last: &Arc<Snapshot>| last.off == off && last.services.get() == services.get();
        if self.of(role).borrow().as_ref().is_some_and(is_same) {
            return Ok(None);
        }
        let count = self.count.saturating_add(1);
        let snapshot = Snapshot {
            generation: Generation::numbered(self.start, count),
            off,
            services,
        };
        let bytes = snapshot.json().len();
        if bytes > MAX_BYTES {
            return Err(PublishError::TooLong { bytes });
        }
        self.count = count;
        self.of(role).send_replace(Some(Arc::new(snapshot)));
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_changes_with_the_content_and_the_seed_always() {
        let mut publisher = Publisher::default();
        let latest = publisher.latest(Role::Outbound);
        assert!(latest.borrow().is_none());
        let nothing = Entries::Outbound(Vec::new());
        assert!(publisher.publish(Role::Outbound, false, &nothing).unwrap().is_some());
        let first = latest.borrow().clone().unwrap();
        assert!(publisher.publish(Role::Outbound, false, &nothing).unwrap().is_none());
        assert_eq!(latest.borrow().clone().unwrap().generation, first.generation);
        assert_ne!(first.json(), first.json());
        assert!(publisher.publish(Role::Outbound, true, &nothing).unwrap().is_some());
        let second = latest.borrow().clone().unwrap();
        assert_ne!(second.generation, first.generation);
        let read = ssa_filter::config::Snapshot::outbound(second.json().as_bytes()).unwrap();
        assert!(read.off && read.services.services().is_empty());
        assert_eq!(read.generation, &*second.generation);
        assert_eq!(read.seed.len(), 32);
    }
}
