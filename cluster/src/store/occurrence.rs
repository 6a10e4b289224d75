//! What people are told about an object, where a store has a place for that.

use crate::objects::{Kind, Name};

/// Something that happened to an object, for people: an Event of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The object's kind.
    pub kind: Kind,
    /// The object.
    pub name: Name,
    /// What happened, in one word, such as `MoveBegun`.
    pub reason: &'static str,
    /// The same, for people.
    pub message: String,
    /// Whether something is not as it shall be.
    pub warning: bool,
}
