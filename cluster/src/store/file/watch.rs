//! Watching a kind.

use std::collections::{BTreeMap, VecDeque};

use futures_util::stream;
use tokio::sync::watch::Receiver;

use super::{
    FileStore,
    changes::Counts,
    folder::{Folder, Lock, Stamp},
};
use crate::{
    objects::{Kind, ResourceVersion},
    store::{Events, RawEvent, StoreError},
};

/// What somebody who watches knows of the files.
#[derive(Clone, Debug)]
struct Known {
    kind: Kind,
    /// The revision up to which everything was told.
    revision: u64,
    /// The files, once they were looked at.
    files: Option<BTreeMap<String, (Stamp, u64)>>,
}

struct Watching {
    store: FileStore,
    changes: Receiver<Counts>,
    /// How often files of the kind had changed when they were looked at last.
    seen: u64,
    known: Known,
    pending: VecDeque<RawEvent>,
}

pub(super) async fn events(store: FileStore, kind: Kind, from: &ResourceVersion) -> Result<Events, StoreError> {
    let revision = from.as_str().parse().map_err(|_| StoreError::TooOld { kind })?;
    let mut watching = Watching {
        changes: store.changes.clone(),
        seen: 0,
        store,
        known: Known {
            kind,
            revision,
            files: None,
        },
        pending: VecDeque::new(),
    };
    watching.look().await?;
    let events = stream::unfold(Some(watching), |watching| async move {
        let mut watching = watching?;
        match watching.next().await {
            Ok(event) => Some((Ok(event), Some(watching))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(Box::pin(events))
}

impl Watching {
    async fn next(&mut self) -> Result<RawEvent, StoreError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            let (kind, seen) = (self.known.kind, self.seen);
            if self.changes.wait_for(|counts| counts.of(kind) != seen).await.is_err() {
                return Err(self.store.folder.unavailable("its files are no longer followed".into()));
            }
            self.look().await?;
        }
    }

    /// Looks for what has changed.
    async fn look(&mut self) -> Result<(), StoreError> {
        self.seen = self.changes.borrow().of(self.known.kind);
        let mut known = self.known.clone();
        let work = move |folder: &Folder| known.look(folder).map(|events| (known, events));
        let (known, events) = self.store.locked(Lock::Shared, work).await?;
        self.known = known;
        self.pending.extend(events);
        Ok(())
    }
}

impl Known {
    /// Finds what has happened since the last time, in the order of versions.
    fn look(&mut self, folder: &Folder) -> Result<Vec<RawEvent>, StoreError> {
        let kind = self.kind;
        let revision = folder.revision()?;
        let deleted = folder.deleted(revision)?;
        if self.revision > revision || (self.files.is_none() && self.revision < deleted.forgotten) {
            return Err(StoreError::TooOld { kind });
        }
        let (mut events, mut files) = (Vec::new(), BTreeMap::new());
        let before = self.files.as_ref();
        for (file, stamp) in folder.files(kind)? {
            let seen = before.and_then(|files| files.get(&file));
            if let Some(seen) = seen.filter(|seen| seen.0 == stamp) {
                files.insert(file, *seen);
                continue;
            }
            let known = seen.map_or(self.revision, |seen| seen.1);
            let version = match folder.read(kind, &file) {
                // It is gone since the folder was read: it was not deleted by a writer, who would hold the lock.
                Ok(None) => continue,
                Ok(Some((version, object))) => {
                    if version > known {
                        events.push((version, RawEvent::Applied(object)));
                    }
                    version
                }
                Err(reason) => {
                    let name = Folder::told_as(file.clone());
                    events.push((revision, RawEvent::Unreadable { name, reason }));
                    // Whatever it is once it can be read again, it is told.
                    0
                }
            };
            files.insert(file, (stamp, version));
        }
        let gone = |name: &str| !files.contains_key(&Folder::file_of(name));
        let (mut told, since) = (BTreeMap::new(), self.revision);
        for (name, version) in deleted
            .of(kind)
            .filter(|(name, version)| *version > since && gone(name))
        {
            told.insert(name.clone(), version);
        }
        // Whoever removed a file by hand left no note of it.
        for file in before.into_iter().flat_map(BTreeMap::keys) {
            if let Some(name) = Folder::name_of(file).filter(|name| gone(name)) {
                told.entry(name).or_insert(revision);
            }
        }
        for (name, version) in told {
            let kept = ResourceVersion::new(version.to_string());
            events.push((version, RawEvent::Deleted { name, version: kept }));
        }
        events.sort_by_key(|(version, _)| *version);
        self.files = Some(files);
        self.revision = revision;
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }
}
