//! A directory as store: for one machine, whose processes share it.
//!
//! ```text
//! DIR/lock                 locked (flock) by who reads, and exclusively by who writes
//! DIR/gate                 passed on the way to that lock, and kept by who writes: readers would never let a writer in
//! DIR/revision             how many writes there were
//! DIR/deleted.json         what was deleted last
//! DIR/slicesets/NAME.json  an object, as `kubectl get -o json` would print it; likewise for the other kinds
//! ```
//!
//! A write counts up the revision, which is the object's version; it writes a file beside the object's, brings it to the
//! disk and renames it over that. Whatever ends a process or the machine in between, the object is the old one or the new
//! one. Readers hold the lock too, so that a list is of one moment. Who watches is woken by inotify, looks for files that
//! are others than before, and reads those.

mod changes;
mod folder;
mod watch;

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{sync::watch::Receiver, time::Instant};

use self::{
    changes::Counts,
    folder::{Folder, Lock},
};
use super::{Answer, Backend, Events, Part, Raw, RawList, StoreError};
use crate::objects::{Kind, Name, ResourceVersion};

/// How long to wait for the lock. Others hold it for as long as a write takes to reach the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// A directory as store. Clones share it.
#[derive(Clone, Debug)]
pub struct FileStore {
    folder: Arc<Folder>,
    changes: Receiver<Counts>,
}

impl FileStore {
    /// Opens a directory, or makes it: with mode 0700, and files of mode 0600. Where it is there already and its group
    /// may read it, or write to it, the group may do so with the files too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Denied`] if it may not be used: it is another user's, or everybody may write to it;
    /// [`StoreError::Unavailable`] if the system refuses it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let folder = blocking(move || Folder::open(&path)).await?;
        let changes = changes::follow(&folder)?;
        Ok(Self {
            folder: Arc::new(folder),
            changes,
        })
    }

    /// Does something while the lock is held.
    async fn locked<T: Send + 'static>(
        &self,
        how: Lock,
        work: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(1);
        let mut gate = None;
        let lock = loop {
            if gate.is_none() {
                gate = self.folder.try_lock("gate", how)?;
            }
            if gate.is_some()
                && let Some(lock) = self.folder.try_lock("lock", how)?
            {
                break lock;
            }
            if how == Lock::Shared {
                gate = None;
            }
            if began.elapsed() >= PATIENCE {
                let reason = format!("another process holds its lock for {} s", PATIENCE.as_secs());
                return Err(self.folder.unavailable(reason));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(16));
        };
        let kept = gate.filter(|_| how == Lock::Exclusive);
        let folder = Arc::clone(&self.folder);
        blocking(move || {
            let done = work(&folder);
            drop((lock, kept));
            done
        })
        .await
    }
}

/// Does what may wait for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable {
            store: "the directory".into(),
            reason: "the program is ending".into(),
        })
    })
}

impl Backend for FileStore {
    fn get<'a>(&'a self, kind: Kind, name: &'a Name) -> Answer<'a, Raw> {
        let name = name.clone();
        Box::pin(self.locked(Lock::Shared, move |folder| folder.get(kind, &name)))
    }

    fn list(&self, kind: Kind) -> Answer<'_, RawList> {
        Box::pin(self.locked(Lock::Shared, move |folder| folder.list(kind)))
    }

    fn create(&self, kind: Kind, object: Raw) -> Answer<'_, Raw> {
        Box::pin(self.locked(Lock::Exclusive, move |folder| folder.create(kind, object)))
    }

    fn update(&self, kind: Kind, object: Raw, part: Part) -> Answer<'_, Raw> {
        Box::pin(self.locked(Lock::Exclusive, move |folder| folder.update(kind, object, part)))
    }

    fn delete<'a>(&'a self, kind: Kind, name: &'a Name, version: Option<&'a ResourceVersion>) -> Answer<'a, ()> {
        let (name, version) = (name.clone(), version.cloned());
        Box::pin(self.locked(Lock::Exclusive, move |folder| {
            folder.delete(kind, &name, version.as_ref())
        }))
    }

    fn watch<'a>(&'a self, kind: Kind, from: &'a ResourceVersion) -> Answer<'a, Events> {
        Box::pin(watch::events(self.clone(), kind, from))
    }
}

#[cfg(test)]
mod tests;
