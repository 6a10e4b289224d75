//! What programs use.

use std::{fmt, marker::PhantomData, sync::Arc};

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{Backend, Events, Occurrence, Part, Pods, Raw, RawEvent, StoreError};
use crate::objects::{Fault, Name, Object, ResourceVersion, Spec};

/// A store, for objects of every kind. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// An object that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faulty {
    /// Its name, as the store has it.
    pub name: String,
    /// Every fault, with its field.
    pub faults: Vec<Fault>,
}

/// All objects of a kind at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<S: Spec> {
    /// Those that can be used, by name.
    pub objects: Vec<Object<S>>,
    /// Those that cannot.
    pub faulty: Vec<Faulty>,
    /// The version to watch from.
    pub version: ResourceVersion,
}

/// What happens to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<S: Spec> {
    /// It is new, or has changed.
    Applied(
        /// Its last state.
        Object<S>,
    ),
    /// It is gone.
    Deleted(
        /// Its name.
        Name,
    ),
    /// It has changed to something that cannot be used: what was known of it before still holds.
    Faulty(
        /// What is wrong.
        Faulty,
    ),
    /// Nothing happened up to [`Watch::version`].
    Bookmark,
}

impl Store {
    /// Takes a store.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// Reads an object.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`]; [`StoreError::Invalid`] if it cannot be used; what a store says.
    pub async fn get<S: Spec>(&self, name: &Name) -> Result<Object<S>, StoreError> {
        let raw = self.backend.get(S::KIND, name).await?;
        read(raw).map_err(|Faulty { name, faults }| invalid::<S>(name, faults))
    }

    /// Reads all objects of a kind.
    ///
    /// # Errors
    ///
    /// What a store says.
    pub async fn list<S: Spec>(&self) -> Result<Listed<S>, StoreError> {
        let list = self.backend.list(S::KIND).await?;
        let (mut objects, mut faulty) = (Vec::new(), Vec::new());
        for raw in list.objects {
            match read(raw) {
                Ok(object) => objects.push(object),
                Err(wrong) => faulty.push(wrong),
            }
        }
        let unreadable = list.unreadable.into_iter();
        faulty.extend(unreadable.map(|(name, reason)| unreadable_as::<S>(name, reason)));
        Ok(Listed {
            objects,
            faulty,
            version: list.version,
        })
    }

    /// Makes an object of the spec; the status begins as its default. Returns it as it is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`]; [`StoreError::Invalid`] if it is out of bounds; what a store says.
    pub async fn create<S: Spec>(&self, object: &Object<S>) -> Result<Object<S>, StoreError> {
        let mut object = object.clone();
        object.status = S::Status::default();
        let raw = self.backend.create(S::KIND, written(&object)?).await?;
        read(raw).map_err(|Faulty { name, faults }| invalid::<S>(name, faults))
    }

    /// Replaces the spec of the version that the object has. Returns it as it is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if there is a later version, or the object has none; [`StoreError::NotFound`];
    /// [`StoreError::Invalid`] if it is out of bounds; what a store says.
    pub async fn update<S: Spec>(&self, object: &Object<S>) -> Result<Object<S>, StoreError> {
        self.write(object, Part::Spec).await
    }

    /// Replaces the status of the version that the object has. Returns it as it is kept.
    ///
    /// # Errors
    ///
    /// Those of [`update`](Self::update).
    pub async fn update_status<S: Spec>(&self, object: &Object<S>) -> Result<Object<S>, StoreError> {
        self.write(object, Part::Status).await
    }

    async fn write<S: Spec>(&self, object: &Object<S>, part: Part) -> Result<Object<S>, StoreError> {
        let raw = written(object)?;
        if raw.metadata.resource_version.is_none() {
            return Err(StoreError::Conflict {
                kind: S::KIND,
                name: object.name().to_string(),
            });
        }
        let raw = self.backend.update(S::KIND, raw, part).await?;
        read(raw).map_err(|Faulty { name, faults }| invalid::<S>(name, faults))
    }

    /// Deletes an object; if a version is given, only that one.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] if it has another version; what a store says.
    pub async fn delete<S: Spec>(&self, name: &Name, version: Option<&ResourceVersion>) -> Result<(), StoreError> {
        self.backend.delete(S::KIND, name, version).await
    }

    /// Follows the pods of the store's namespace; `None` if the store has no pods.
    #[must_use]
    pub fn pods(&self) -> Option<Pods> {
        self.backend.pods()
    }

    /// Tells people what happened to an object, if the store has a place for that. `by` is who tells it.
    ///
    /// # Errors
    ///
    /// What a store says.
    pub async fn publish(&self, occurrence: &Occurrence, by: &str) -> Result<(), StoreError> {
        self.backend.publish(occurrence, by).await
    }

    /// Watches a kind for what happens after a version, that of a list or of an object.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooOld`]; what a store says.
    pub async fn watch<S: Spec>(&self, from: &ResourceVersion) -> Result<Watch<S>, StoreError> {
        Ok(Watch {
            events: self.backend.watch(S::KIND, from).await?,
            version: from.clone(),
            of: PhantomData,
        })
    }
}

/// What happens to the objects of a kind.
pub struct Watch<S> {
    events: Events,
    version: ResourceVersion,
    of: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl<S: Spec> Watch<S> {
    /// Waits for the next event. May be dropped at any time without losing one.
    ///
    /// # Errors
    ///
    /// After an error the watch is over. [`StoreError::TooOld`]: list again. Others: watch again from
    /// [`version`](Self::version).
    pub async fn next(&mut self) -> Result<Event<S>, StoreError> {
        let Some(event) = self.events.next().await else {
            return Err(StoreError::Unavailable {
                store: S::KIND.to_string(),
                reason: "the watch has ended".into(),
            });
        };
        Ok(match event? {
            RawEvent::Applied(raw) => {
                if let Some(version) = &raw.metadata.resource_version {
                    self.version = version.clone();
                }
                read(raw).map_or_else(Event::Faulty, Event::Applied)
            }
            RawEvent::Deleted { name, version } => {
                self.version = version;
                Event::Deleted(name)
            }
            RawEvent::Unreadable { name, reason } => Event::Faulty(unreadable_as::<S>(name, reason)),
            RawEvent::Bookmark(version) => {
                self.version = version;
                Event::Bookmark
            }
        })
    }

    /// Returns the version up to which everything was told.
    #[must_use]
    pub const fn version(&self) -> &ResourceVersion {
        &self.version
    }
}

fn unreadable_as<S: Spec>(name: String, reason: String) -> Faulty {
    let faults = vec![S::fault("", reason)];
    Faulty { name, faults }
}

fn invalid<S: Spec>(name: String, faults: Vec<Fault>) -> StoreError {
    StoreError::Invalid {
        kind: S::KIND,
        name,
        faults,
    }
}

/// Reads what a store keeps.
fn read<S: Spec>(raw: Raw) -> Result<Object<S>, Faulty> {
    let name = raw.metadata.name.to_string();
    let mut value = json!({
        "apiVersion": S::KIND.api_version(),
        "kind": S::KIND.name(),
        "metadata": raw.metadata,
        "spec": raw.spec,
    });
    if raw.status != Value::Null {
        value["status"] = raw.status;
    }
    Object::from_value(&value).map_err(|faults| Faulty { name, faults })
}

/// Makes of an object what a store keeps, if it is within the bounds.
fn written<S: Spec>(object: &Object<S>) -> Result<Raw, StoreError> {
    object
        .check()
        .map_err(|faults| invalid::<S>(object.name().to_string(), faults))?;
    Ok(Raw {
        metadata: object.metadata.clone(),
        spec: json!(object.spec),
        status: if S::KIND.has_status() {
            json!(object.status)
        } else {
            Value::Null
        },
    })
}
