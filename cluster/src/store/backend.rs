//! What each store implements.

use std::{fmt::Debug, pin::Pin};

use futures_util::Stream;
use serde_json::Value;

use super::{Occurrence, Pods, StoreError};
use crate::objects::{Kind, Metadata, Name, ResourceVersion};

/// What a store answers, sooner or later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What a store tells while it is watched. It ends after the first error.
pub type Events = Pin<Box<dyn Stream<Item = Result<RawEvent, StoreError>> + Send>>;

/// An object whose fields nobody has looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    /// What it says of itself.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: Value,
    /// What is observed; null where nothing was written yet.
    pub status: Value,
}

/// All objects of a kind at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct RawList {
    /// The objects, by name.
    pub objects: Vec<Raw>,
    /// Objects that the store itself cannot read: a name, and what is wrong.
    pub unreadable: Vec<(String, String)>,
    /// The version to watch from.
    pub version: ResourceVersion,
}

/// What happens to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum RawEvent {
    /// It is new, or has changed.
    Applied(
        /// Its last state.
        Raw,
    ),
    /// It is gone.
    Deleted {
        /// Its name.
        name: Name,
        /// The version to watch from after this.
        version: ResourceVersion,
    },
    /// The store itself cannot read it.
    Unreadable {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing happened up to this version.
    Bookmark(
        /// The version to watch from after this.
        ResourceVersion,
    ),
}

/// The part of an object that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// What is wanted.
    Spec,
    /// What is observed.
    Status,
}

/// A store.
pub trait Backend: Debug + Send + Sync {
    /// Reads an object.
    fn get<'a>(&'a self, kind: Kind, name: &'a Name) -> Answer<'a, Raw>;

    /// Reads all objects of a kind.
    fn list(&self, kind: Kind) -> Answer<'_, RawList>;

    /// Makes an object, without a status, and returns it as it is kept: generation 1, and a version.
    fn create(&self, kind: Kind, object: Raw) -> Answer<'_, Raw>;

    /// Replaces one part of the object that has this version still, and returns it as it is kept. A change of the spec
    /// raises the generation.
    fn update(&self, kind: Kind, object: Raw, part: Part) -> Answer<'_, Raw>;

    /// Deletes an object; if a version is given, only that one.
    fn delete<'a>(&'a self, kind: Kind, name: &'a Name, version: Option<&'a ResourceVersion>) -> Answer<'a, ()>;

    /// Follows the pods of the store's namespace; `None` if the store has no pods.
    fn pods(&self) -> Option<Pods> {
        None
    }

    /// Tells people what happened to an object, if the store has a place for that. `by` is who tells it.
    fn publish<'a>(&'a self, occurrence: &'a Occurrence, by: &'a str) -> Answer<'a, ()> {
        let _ = (occurrence, by);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Watches a kind for what happens after a version.
    fn watch<'a>(&'a self, kind: Kind, from: &'a ResourceVersion) -> Answer<'a, Events>;
}
