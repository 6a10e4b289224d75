//! What is stored: each object's fields, with their types, units and bounds, stated once, here.
//!
//! An object is read as a whole: every fault is told at once, with the path of its field, and an object with a fault
//! changes nothing. What is written is held against the same bounds before it is sent to a store.
//!
//! ```
//! use ssa_cluster::objects::{SliceSet, SliceSetSpec};
//!
//! let json = br#"{
//!     "apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceSet", "metadata": {"name": "store"},
//!     "spec": {"service": "store.example", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}, "bits": 21}
//! }"#;
//! let faults = SliceSet::read(json).unwrap_err();
//! let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
//! assert_eq!(told, ["spec.bits: must be an integer from 0 to 20, not 21 (line 3, column 105)"]);
//! ```

mod fields;
mod kind;
mod lease;
mod metadata;
mod object;
mod slice_endpoint;
mod slice_map;
mod slice_move;
mod slice_node;
mod slice_set;

pub use fields::{Epoch, LabelValue, Message, Name, NameError, Prefix, ServiceName, Timestamp};
pub use kind::{GROUP, Kind, VERSION};
pub use lease::{ENDPOINT_LEASE, Lease, LeaseSpec};
pub use metadata::{Metadata, Owner, ResourceVersion};
pub use object::{Fault, MAX_BYTES, NoStatus, Object, Spec};
pub use slice_endpoint::{
    MAX_ENDPOINT_SETS, ObservedMove, SliceEndpoint, SliceEndpointSpec, SliceEndpointStatus, Taken, Tunnel,
};
pub use slice_map::{MAX_MAP_PREFIXES, MapEndpoint, SliceMap, SliceMapSpec};
pub use slice_move::{MAX_MOVE_PREFIXES, Phase, Reason, SliceMove, SliceMoveSpec, SliceMoveStatus};
pub use slice_node::{AppliedMap, SliceNode, SliceNodeSpec, SliceNodeStatus};
pub use slice_set::{
    Balance, Condition, ConditionStatus, EndpointEntry, Endpoints, Handover, MAX_ENDPOINTS, Metric, Ownership, Pin,
    Placement, SliceSet, SliceSetSpec, SliceSetStatus,
};

#[cfg(test)]
mod tests;
