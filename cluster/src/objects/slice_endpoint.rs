//! Slice endpoints.

use std::{collections::BTreeSet, net::Ipv6Addr};

use ipnet::Ipv6Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ssa_rules::apl::Unroutable;
use ssa_slices::handover::View;
use ssa_snapshot::{Number, Port};

use super::{
    AppliedMap, Condition, Epoch, Fault, Kind, LabelValue, Message, Name, Object, Phase, Prefix, Spec, Timestamp,
    fields::at_most, slice_set::MAX_CONDITIONS,
};

/// An endpoint. The leader writes the spec, the endpoint's own agent the status.
pub type SliceEndpoint = Object<SliceEndpointSpec>;

/// The most slice sets of one endpoint.
pub const MAX_ENDPOINT_SETS: usize = 16;

/// The most moves that an endpoint or node tells of.
pub(super) const MAX_OBSERVED: usize = 1024;

/// Where an endpoint is, and what it may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceEndpointSpec {
    /// The slice sets that it serves, each once.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_ENDPOINT_SETS>")]
    #[schemars(length(max = MAX_ENDPOINT_SETS))]
    pub slice_sets: Vec<Name>,
    /// Its address in the underlay: where its prefixes are routed to, and heartbeats are sent to.
    pub address: Ipv6Addr,
    /// Where its siblings reach it during handovers.
    #[serde(default)]
    pub tunnel: Tunnel,
    /// The TCP port at its address where its agent answers the leader's requests for its load; absent, it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Number<1, 65535, 9475>>")]
    pub http_port: Option<Port>,
    /// The host it is on: a `SliceNode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Name>,
    /// What fails together with it. An endpoint without one shares its fate with no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<LabelValue>,
    /// Its share relative to others; 0 drains it.
    #[serde(default)]
    pub weight: Number<0, { u32::MAX }, 1>,
    /// Whether it is to have nothing any more, whatever its weight.
    #[serde(default)]
    pub drained: bool,
}

/// Where an endpoint's siblings reach it during handovers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tunnel {
    /// The address, where it is not the endpoint's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv6Addr>,
}

/// What an agent observes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceEndpointStatus {
    /// The generation of the spec that it has seen.
    #[serde(default)]
    pub observed_generation: u64,
    /// Which run of an agent has written this: where two write for one endpoint, both see that it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<LabelValue>,
    /// Of which kernel it reports: another one after the host, or its network namespace, has begun anew. By this name it holds
    /// its lease, where ownership is exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Name>,
    /// Whether Envoy and application serve, and the agent is not about to end: an endpoint that is not ready gets nothing,
    /// and what it owns is given to others.
    #[serde(default)]
    pub ready: bool,
    /// Whether Envoy and application serve, even if the agent is about to end: what the endpoint owns leads to it until
    /// others have it. Nothing is announced for one that does not serve.
    #[serde(default)]
    pub serving: bool,
    /// Since when it is ready, or is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
    /// When the agent last said that it is alive, by its own clock. Others count from the moment that they see it change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<Timestamp>,
    /// Whether its host has lost flows and routes, and it waits for what it owned to be given to others.
    #[serde(default)]
    pub rejoined: bool,
    /// Prefixes that the map or a move has given it since its agent began and that it does not route, for that may not: they
    /// are outside of `--allowed`. Others are to have them, and it gets nothing of such a set before its agent begins anew.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_OBSERVED>")]
    #[schemars(length(max = MAX_OBSERVED))]
    pub refused: Vec<Prefix>,
    /// What it has taken over, as the standby of an owner that was lost.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_OBSERVED>")]
    #[schemars(length(max = MAX_OBSERVED))]
    pub taken: Vec<Taken>,
    /// The maps that its kernel holds, by set.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_OBSERVED>")]
    #[schemars(length(max = MAX_OBSERVED))]
    pub maps: Vec<AppliedMap>,
    /// The open moves that it takes part in.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_OBSERVED>")]
    #[schemars(length(max = MAX_OBSERVED))]
    pub moves: Vec<ObservedMove>,
    /// What people should know.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_CONDITIONS>")]
    #[schemars(length(max = MAX_CONDITIONS))]
    pub conditions: Vec<Condition>,
}

/// A prefix that a standby has taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taken {
    /// The prefix.
    pub prefix: Prefix,
    /// The owner that was lost.
    pub from: Name,
}

/// How far an endpoint or a node has come with a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObservedMove {
    /// The move.
    pub name: Name,
    /// Its epoch.
    pub epoch: Epoch,
    /// The phase that its kernel is in.
    pub phase: Phase,
    /// The flows that it still has: of the owner, while it drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<u32>,
    /// The packets handed to the recipient so far: of the owner. Where it stands still, routers have converged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<u64>,
    /// Why it cannot go on.
    #[serde(default)]
    pub message: Message,
}

impl SliceEndpoint {
    /// Returns what an endpoint knows of its peers, as far as the store tells: what it has said of itself, and others of it.
    #[must_use]
    pub fn stored_view<'a>(&self, all: impl Iterator<Item = &'a Self>) -> View {
        let status = &self.status;
        let taken = status.taken.iter();
        let takes = |other: &&Self| other.status.taken.iter().any(|taken| taken.from == *self.name());
        View {
            taken: taken.map(|one| (one.prefix.net(), one.from.endpoint())).collect(),
            taken_by: all.filter(takes).map(|other| other.name().endpoint()).collect(),
            rejoined: status.rejoined,
            unready: !status.serving,
            ..View::default()
        }
    }
}

/// Says why nothing can be routed to an address, if so.
pub(super) fn not_a_host(address: Ipv6Addr) -> Option<String> {
    let unroutable = Unroutable::overlapping(Ipv6Net::from(address))?;
    Some(format!(
        "{address} is {}; wanted is the address of a host that others reach",
        unroutable.purpose
    ))
}

impl Spec for SliceEndpointSpec {
    type Status = SliceEndpointStatus;

    const KIND: Kind = Kind::SliceEndpoint;

    // Its lease has a word before it, and a directory has names of at most 250 bytes.
    const MAX_NAME: usize = 250 - super::ENDPOINT_LEASE.len();

    fn check(&self, faults: &mut Vec<Fault>) {
        let mut seen = BTreeSet::new();
        for (number, set) in self.slice_sets.iter().enumerate() {
            if !seen.insert(set) {
                let path = format!("spec.sliceSets[{number}]");
                faults.push(Self::fault(path, format!("{set} is there already")));
            }
        }
        let addresses = [
            ("spec.address", Some(self.address)),
            ("spec.tunnel.address", self.tunnel.address),
        ];
        for (path, address) in addresses {
            if let Some(problem) = address.and_then(not_a_host) {
                faults.push(Self::fault(path, problem));
            }
        }
    }
}
