//! A store in memory: for tests, and for controllers that only try something out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;

use super::{Answer, Backend, Events, Part, Raw, RawEvent, RawList, StoreError};
use crate::objects::{Kind, Name, ResourceVersion};

/// The most events that are kept; a watch from before them has to list again.
const MAX_EVENTS: usize = 1024;

/// A store in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    kept: Arc<Mutex<Kept>>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    objects: BTreeMap<(Kind, Name), Raw>,
    /// What happened, with the version that each event led to, ascending.
    events: Vec<(u64, Kind, RawEvent)>,
    version: u64,
    /// The version from which on all events are kept.
    forgotten: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            kept: Arc::default(),
            version: watch::Sender::new(0),
        }
    }

    /// Forgets what happened so far: a watch from before now has to list again.
    pub fn compact(&self) {
        let mut kept = self.kept();
        kept.events.clear();
        kept.forgotten = kept.version;
        drop(kept);
        self.version.send_modify(|_| ());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, kept: MutexGuard<'_, Kept>) {
        let version = kept.version;
        drop(kept);
        self.version.send_replace(version);
    }
}

impl Kept {
    fn applied(&mut self, kind: Kind, mut object: Raw) -> Raw {
        self.version += 1;
        object.metadata.resource_version = Some(ResourceVersion::new(self.version.to_string()));
        self.objects
            .insert((kind, object.metadata.name.clone()), object.clone());
        self.tell(kind, RawEvent::Applied(object.clone()));
        object
    }

    fn tell(&mut self, kind: Kind, event: RawEvent) {
        self.events.push((self.version, kind, event));
        if self.events.len() > MAX_EVENTS {
            let rest = self.events.split_off(MAX_EVENTS / 2);
            self.forgotten = self.events.last().map_or(0, |(version, ..)| *version);
            self.events = rest;
        }
    }

    /// Returns the object, if it has the version still that somebody wants to change.
    fn current(&self, kind: Kind, name: &Name, wanted: Option<&ResourceVersion>) -> Result<&Raw, StoreError> {
        let found = self
            .objects
            .get(&(kind, name.clone()))
            .ok_or_else(|| StoreError::NotFound {
                kind,
                name: name.to_string(),
            })?;
        if wanted.is_some() && found.metadata.resource_version.as_ref() != wanted {
            return Err(StoreError::Conflict {
                kind,
                name: name.to_string(),
            });
        }
        Ok(found)
    }

    /// Returns the first event of a kind after a version.
    fn after(&self, kind: Kind, from: u64) -> Result<Option<(u64, RawEvent)>, StoreError> {
        if from < self.forgotten || from > self.version {
            return Err(StoreError::TooOld { kind });
        }
        let start = self.events.partition_point(|(version, ..)| *version <= from);
        let mut later = self.events.iter().skip(start);
        let next = later.find(|(_, of, _)| *of == kind);
        Ok(next.map(|(version, _, event)| (*version, event.clone())))
    }
}

fn ready<'a, T: Send + 'a>(result: Result<T, StoreError>) -> Answer<'a, T> {
    Box::pin(std::future::ready(result))
}

impl Backend for Memory {
    fn get<'a>(&'a self, kind: Kind, name: &'a Name) -> Answer<'a, Raw> {
        let found = self.kept().current(kind, name, None).cloned();
        ready(found)
    }

    fn list(&self, kind: Kind) -> Answer<'_, RawList> {
        let kept = self.kept();
        let of_kind = kept.objects.iter().filter(|((of, _), _)| *of == kind);
        let objects = of_kind.map(|(_, object)| object.clone()).collect();
        let version = ResourceVersion::new(kept.version.to_string());
        ready(Ok(RawList {
            objects,
            unreadable: Vec::new(),
            version,
        }))
    }

    fn create(&self, kind: Kind, mut object: Raw) -> Answer<'_, Raw> {
        let mut kept = self.kept();
        let name = object.metadata.name.clone();
        if kept.objects.contains_key(&(kind, name.clone())) {
            return ready(Err(StoreError::Exists {
                kind,
                name: name.to_string(),
            }));
        }
        object.metadata.generation = 1;
        object.status = Value::Null;
        let object = kept.applied(kind, object);
        self.told(kept);
        ready(Ok(object))
    }

    fn update(&self, kind: Kind, object: Raw, part: Part) -> Answer<'_, Raw> {
        let mut kept = self.kept();
        let version = object.metadata.resource_version.as_ref();
        let mut next = match kept.current(kind, &object.metadata.name, version) {
            Ok(current) => current.clone(),
            Err(error) => return ready(Err(error)),
        };
        match part {
            Part::Spec if next.spec == object.spec => return ready(Ok(next)),
            Part::Spec => {
                next.metadata.generation += 1;
                next.spec = object.spec;
            }
            Part::Status if next.status == object.status => return ready(Ok(next)),
            Part::Status => next.status = object.status,
        }
        let object = kept.applied(kind, next);
        self.told(kept);
        ready(Ok(object))
    }

    fn delete<'a>(&'a self, kind: Kind, name: &'a Name, version: Option<&'a ResourceVersion>) -> Answer<'a, ()> {
        let mut kept = self.kept();
        if let Err(error) = kept.current(kind, name, version) {
            return ready(Err(error));
        }
        kept.objects.remove(&(kind, name.clone()));
        kept.version += 1;
        let version = ResourceVersion::new(kept.version.to_string());
        let name = name.clone();
        kept.tell(kind, RawEvent::Deleted { name, version });
        self.told(kept);
        ready(Ok(()))
    }

    fn watch<'a>(&'a self, kind: Kind, from: &'a ResourceVersion) -> Answer<'a, Events> {
        let Ok(from) = from.as_str().parse::<u64>() else {
            return ready(Err(StoreError::TooOld { kind }));
        };
        if let Err(error) = self.kept().after(kind, from) {
            return ready(Err(error));
        }
        let start = Some((self.clone(), self.version.subscribe(), from));
        let events = stream::unfold(start, move |state| async move {
            let (memory, mut changes, from) = state?;
            loop {
                changes.borrow_and_update();
                let next = memory.kept().after(kind, from);
                match next {
                    Err(error) => return Some((Err(error), None)),
                    Ok(Some((version, event))) => return Some((Ok(event), Some((memory, changes, version)))),
                    Ok(None) => changes.changed().await.ok()?,
                }
            }
        });
        let events: Events = Box::pin(events);
        ready(Ok(events))
    }
}
