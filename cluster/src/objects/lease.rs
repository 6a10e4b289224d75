//! Leases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ssa_snapshot::Number;

use super::{Kind, Name, NoStatus, Object, Spec, Timestamp};

/// Who leads, or who may serve exclusively, and until when. In Kubernetes it is a Lease of `coordination.k8s.io/v1`.
pub type Lease = Object<LeaseSpec>;

/// What the names of endpoints' leases begin with.
pub const ENDPOINT_LEASE: &str = "ssa-endpoint-";

/// The terms of a lease. Others count its time by their own clocks, from the moment that they see it renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaseSpec {
    /// Who holds it; absent after it was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_identity: Option<Name>,
    /// How long after it was renewed others may take it, in seconds.
    pub lease_duration_seconds: Number<1, 3600, 15>,
    /// When the holder took it, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquire_time: Option<Timestamp>,
    /// When the holder last renewed it, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_time: Option<Timestamp>,
    /// How often it went from one holder to another.
    #[serde(default)]
    pub lease_transitions: Number<0, { i32::MAX.cast_unsigned() }, 0>,
}

impl Spec for LeaseSpec {
    type Status = NoStatus;

    const KIND: Kind = Kind::Lease;
}
