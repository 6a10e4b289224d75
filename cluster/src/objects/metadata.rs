//! What every object says of itself.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;

/// What every object says of itself. A store sets all of it but the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The name, unique among the objects of its kind.
    pub name: Name,
    /// The namespace, in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// The pod that it goes away with, in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The version of the object, new with every write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<ResourceVersion>,
    /// How often the spec was written: 1 for a new object.
    #[serde(default)]
    pub generation: u64,
}

impl Metadata {
    /// Describes an object that no store has yet.
    #[must_use]
    pub const fn new(name: Name) -> Self {
        Self {
            name,
            namespace: None,
            owner: None,
            resource_version: None,
            generation: 0,
        }
    }
}

/// A pod that an object goes away with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    /// The pod.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// What tells it from another pod of that name.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// The version of an object or of a list. Only a store reads anything into it: others may tell whether two are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ResourceVersion(#[schemars(length(min = 1, max = 64))] String);

impl ResourceVersion {
    /// Takes a store's name of a version.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the store's name of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
