//! Slice nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, Epoch, Kind, Name, Object, ObservedMove, Spec, Timestamp, fields::at_most, slice_endpoint::MAX_OBSERVED,
    slice_set::MAX_CONDITIONS,
};

/// A host that routes prefixes to its endpoints, and says when its FIB has followed. The host's own `ssa-cluster node`
/// writes all of it.
pub type SliceNode = Object<SliceNodeSpec>;

/// What is wanted of a node: nothing but what maps and moves say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceNodeSpec {}

/// What a node observes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceNodeStatus {
    /// Whether its routing engine has the routes.
    #[serde(default)]
    pub ready: bool,
    /// Since when it is ready, or is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
    /// When the node last said that it is alive, by its own clock. Others count from the moment that they see it change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<Timestamp>,
    /// The maps that its FIB holds, by set.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_OBSERVED>")]
    #[schemars(length(max = MAX_OBSERVED))]
    pub maps: Vec<AppliedMap>,
    /// The open moves that its FIB has followed.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_OBSERVED>")]
    #[schemars(length(max = MAX_OBSERVED))]
    pub moves: Vec<ObservedMove>,
    /// What people should know.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_CONDITIONS>")]
    #[schemars(length(max = MAX_CONDITIONS))]
    pub conditions: Vec<Condition>,
}

/// A map that a kernel holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppliedMap {
    /// The slice map.
    pub name: Name,
    /// Its epoch.
    pub epoch: Epoch,
}

impl Spec for SliceNodeSpec {
    type Status = SliceNodeStatus;

    const KIND: Kind = Kind::SliceNode;
}
