//! Slice sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv6Addr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ssa_rules::{AddressSpace, Apl, apl::Unroutable};
use ssa_slices::{Replicas, SliceBits, SliceSpace, handover};
use ssa_snapshot::{Number, Port};

use super::{
    Epoch, Fault, Kind, LabelValue, Message, Name, Object, Prefix, ServiceName, SliceEndpoint, SliceEndpointSpec, Spec,
    Timestamp, Tunnel, fields::at_most, slice_endpoint::not_a_host,
};

/// A service whose addresses are spread over endpoints. A user writes the spec, the leader the status.
pub type SliceSet = Object<SliceSetSpec>;

/// The most endpoints that an object lists.
pub const MAX_ENDPOINTS: usize = 4096;

/// The most prefixes, drained endpoints or pins that a set lists.
const MAX_LIST: usize = 1024;

/// The most conditions of an object.
pub(super) const MAX_CONDITIONS: usize = 16;

/// The longest address list, in bytes of its text.
const MAX_APL: usize = 4096;

/// What is wanted of a service's slices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules([
    (
        "!has(self.replicas) || self.replicas == 1 || has(self.firstFieldBits)",
        "firstFieldBits is required with more than one replica",
    ),
    ("self.apl.matches('(^| )2:')", "apl has no IPv6 item"),
])))]
pub struct SliceSetSpec {
    /// The service, as it is named in DNS.
    pub service: ServiceName,
    /// Its address list, as in DNS: `2:2001:db8:5::/64`; items are separated by spaces.
    #[schemars(length(min = 1, max = MAX_APL), regex(pattern = r"^ *!?[12]:[0-9A-Fa-f:.]+/[0-9]{1,3}( +!?[12]:[0-9A-Fa-f:.]+/[0-9]{1,3})* *$"))]
    pub apl: String,
    /// How finely each item is cut: into 2^bits slices, at most 2^20 in all.
    #[serde(default)]
    pub bits: Number<0, 20, 14>,
    /// How many replicas an address has.
    #[serde(default)]
    pub replicas: Number<1, 16, 1>,
    /// The width of the record's first field, in bits; required with more than one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_field_bits: Option<Number<1, 64, 20>>,
    /// Which endpoints serve it.
    pub endpoints: Endpoints,
    /// Whether two endpoints may serve a slice for a moment.
    #[serde(default)]
    pub ownership: Ownership,
    /// How prefixes are handed over.
    #[serde(default)]
    pub handover: Handover,
    /// How load is evened out.
    #[serde(default)]
    pub balance: Balance,
    /// Whether each prefix is announced by a second endpoint too, behind the first.
    #[serde(default = "yes")]
    pub standby: bool,
    /// The only prefixes that may ever be routed for it; by default the items of its address list.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    #[schemars(length(max = MAX_LIST))]
    pub allowed: Vec<Prefix>,
    /// What an operator wants of the placement.
    #[serde(default)]
    pub placement: Placement,
}

/// Makes rules by which an API server refuses what these types refuse.
fn rules<const N: usize>(rules: [(&str, &str); N]) -> serde_json::Value {
    let rule = |(rule, message): (&str, &str)| serde_json::json!({"rule": rule, "message": message});
    rules.into_iter().map(rule).collect()
}

const fn yes() -> bool {
    true
}

/// Which endpoints serve a set: exactly one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules([
    ("has(self.selector) != has(self.list)", "exactly one of selector and list is required"),
])))]
pub struct Endpoints {
    /// In Kubernetes: the labels that a pod has to have, 1 to 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub selector: Option<BTreeMap<String, LabelValue>>,
    /// Elsewhere: the endpoints themselves, each once.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some_endpoints"
    )]
    #[schemars(
        length(max = MAX_ENDPOINTS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub list: Option<Vec<EndpointEntry>>,
}

fn some_endpoints<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<EndpointEntry>>, D::Error> {
    at_most::<_, _, MAX_ENDPOINTS>(deserializer).map(Some)
}

/// An endpoint that is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointEntry {
    /// Its name.
    pub name: Name,
    /// Its address in the underlay.
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
    /// What fails together with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<LabelValue>,
    /// Its share relative to others; 0 drains it.
    #[serde(default)]
    pub weight: Number<0, { u32::MAX }, 1>,
}

/// Whether two endpoints may serve a slice for a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Ownership {
    /// They may: endpoints serve on without store and controller.
    #[default]
    Available,
    /// They may not: an owner whose lease expires is fenced by its kernel, and who takes over waits for that.
    Exclusive,
}

impl From<Ownership> for handover::Ownership {
    fn from(ownership: Ownership) -> Self {
        match ownership {
            Ownership::Available => Self::Available,
            Ownership::Exclusive => Self::Exclusive,
        }
    }
}

/// How prefixes are handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Handover {
    /// The longest that a former owner serves the flows that it has, in seconds.
    #[serde(default)]
    pub drain_seconds: Number<0, 86_400, 300>,
    /// The longest that a move may take before the drain, in seconds; then it is given up.
    #[serde(default)]
    pub deadline_seconds: Number<1, 3600, 60>,
    /// The most moves at once that have not come to their drain yet.
    #[serde(default)]
    pub parallel: Number<1, 1024, 8>,
}

/// How load is evened out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Balance {
    /// What load is.
    #[serde(default)]
    pub metric: Metric,
    /// How far an endpoint may be from its share before slices move for it, in percent.
    #[serde(default)]
    pub tolerance_percent: Number<1, 100, 10>,
    /// The most slices that move for load in one round of 10 s, in percent of all.
    #[serde(default)]
    pub budget_percent: Number<1, 100, 9>,
    /// How long a slice that has moved stays, in seconds.
    #[serde(default)]
    pub cooldown_seconds: Number<0, 86_400, 60>,
    /// The load that one endpoint is to have, in new flows or bytes a second: `status.wantedEndpoints` follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_per_endpoint: Option<Number<1, { u32::MAX }, 1000>>,
}

/// What load is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Metric {
    /// New flows a second.
    #[default]
    NewFlows,
    /// Bytes, of which a sample is counted.
    Bytes,
    /// Nothing: slices are spread by weight alone.
    None,
}

/// What an operator wants of the placement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// Endpoints that are to have nothing.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    #[schemars(length(max = MAX_LIST))]
    pub drained: Vec<Name>,
    /// Prefixes that are to be at an endpoint; they do not move for load.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    #[schemars(
        length(max = MAX_LIST),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["prefix"])
    )]
    pub pinned: Vec<Pin>,
    /// Whether nothing moves but what is at an endpoint that failed.
    #[serde(default)]
    pub paused: bool,
}

/// A prefix that is to be at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pin {
    /// The prefix: one or several whole slices. Of pins that cover a slice, the longest counts.
    pub prefix: Prefix,
    /// The endpoint.
    pub endpoint: Name,
}

/// What the leader observes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceSetStatus {
    /// The generation of the spec that it has seen.
    #[serde(default)]
    pub observed_generation: u64,
    /// The epoch of the map.
    #[serde(default)]
    pub epoch: Epoch,
    /// How many slices there are.
    #[serde(default)]
    pub slices: u32,
    /// How many endpoints there are.
    #[serde(default)]
    pub endpoints: u32,
    /// How many of them are ready.
    #[serde(default)]
    pub ready_endpoints: u32,
    /// How many the load asks for; as many as are ready where no target is given.
    #[serde(default)]
    pub wanted_endpoints: u32,
    /// How many moves are open.
    #[serde(default)]
    pub open_moves: u32,
    /// The highest load of an endpoint relative to its share, in thousandths: 1000 is even. Where loads are not known, by the
    /// number of its slices.
    #[serde(default)]
    pub imbalance_permille: u32,
    /// Stands for the endpoints, weights and pins for which slices are where they are to be; absent while some are not. As
    /// long as these are the same, slices that have moved for load stay where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<LabelValue>,
    /// What people should know.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_CONDITIONS>")]
    #[schemars(length(max = MAX_CONDITIONS))]
    pub conditions: Vec<Condition>,
}

/// What people should know of an object, as Kubernetes says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// What it is about, such as `Ready`.
    #[serde(rename = "type")]
    pub kind: LabelValue,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word.
    pub reason: LabelValue,
    /// Why, for people.
    #[serde(default)]
    pub message: Message,
    /// Since when.
    pub last_transition_time: Timestamp,
    /// The generation of the spec that it is about.
    #[serde(default)]
    pub observed_generation: u64,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

impl SliceSetSpec {
    /// Returns how the addresses are cut.
    ///
    /// # Errors
    ///
    /// The field and what is wrong with it.
    pub fn space(&self) -> Result<SliceSpace, Fault> {
        if self.apl.len() > MAX_APL {
            let problem = format!("has {} bytes; there may be at most {MAX_APL}", self.apl.len());
            return Err(Self::fault("spec.apl", problem));
        }
        let apl: Apl = self
            .apl
            .parse()
            .map_err(|error| Self::fault("spec.apl", format!("{error}")))?;
        let space = AddressSpace::new(&apl).map_err(|error| Self::fault("spec.apl", format!("{error}")))?;
        let space = space.ok_or_else(|| Self::fault("spec.apl", "has no IPv6 item"))?;
        let bits = u8::try_from(self.bits.get()).unwrap_or(u8::MAX);
        let bits = SliceBits::new(bits).map_err(|error| Self::fault("spec.bits", error.to_string()))?;
        SliceSpace::new(space.positive(), bits).map_err(|error| Self::fault("spec.bits", error.to_string()))
    }

    /// Returns which slices hold replicas of one address.
    ///
    /// # Errors
    ///
    /// The field and what is wrong with it.
    pub fn replicas(&self) -> Result<Replicas, Fault> {
        let count = u8::try_from(self.replicas.get()).unwrap_or(u8::MAX);
        let bits = match (count, self.first_field_bits) {
            (1, None) => return Ok(Replicas::SINGLE),
            (_, None) => {
                return Err(Self::fault(
                    "spec.firstFieldBits",
                    "is required with more than one replica",
                ));
            }
            (_, Some(bits)) => u8::try_from(bits.get()).unwrap_or(u8::MAX),
        };
        Replicas::new(count, bits).map_err(|error| Self::fault("spec.firstFieldBits", error.to_string()))
    }

    /// Says whether an endpoint is to have nothing, whatever its weight: it is drained, or no longer listed.
    #[must_use]
    pub fn drains(&self, endpoint: &SliceEndpoint) -> bool {
        let name = endpoint.name();
        let list = self.endpoints.list.as_ref();
        let is_listed = list.is_none_or(|list| list.iter().any(|entry| entry.name == *name));
        endpoint.spec.drained || self.placement.drained.contains(name) || !is_listed
    }

    /// Says whether a prefix may be routed for the set: it lies in `allowed`, or, where that is empty, in an item.
    #[must_use]
    pub fn allows(&self, prefix: Prefix) -> bool {
        if self.allowed.is_empty() {
            return self
                .space()
                .is_ok_and(|space| space.items().any(|item| Prefix::new(item).covers(prefix)));
        }
        self.allowed.iter().any(|allowed| allowed.covers(prefix))
    }
}

impl Spec for SliceSetSpec {
    type Status = SliceSetStatus;

    const KIND: Kind = Kind::SliceSet;

    // A move has the epoch behind it, and a directory has names of at most 250 bytes.
    const MAX_NAME: usize = 250 - "-9007199254740991".len();

    fn check(&self, faults: &mut Vec<Fault>) {
        match self.space() {
            Err(fault) => faults.push(fault),
            Ok(space) => {
                for item in space.items() {
                    if let Some(unroutable) = Unroutable::overlapping(item) {
                        let problem = format!("2:{item} overlaps {unroutable}, which no router forwards");
                        faults.push(Self::fault("spec.apl", problem));
                    }
                }
                for item in space.items().map(Prefix::new) {
                    if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed.covers(item)) {
                        faults.push(Self::fault("spec.allowed", format!("does not cover the item {item}")));
                    }
                }
                for (number, pin) in self.placement.pinned.iter().enumerate() {
                    if !space.items().any(|item| Prefix::new(item).covers(pin.prefix)) {
                        let path = format!("spec.placement.pinned[{number}].prefix");
                        faults.push(Self::fault(path, format!("{} lies in no item", pin.prefix)));
                    }
                }
            }
        }
        if let Err(fault) = self.replicas() {
            faults.push(fault);
        }
        self.endpoints.check(faults);
        let mut pins: Vec<(Prefix, usize)> = self.placement.pinned.iter().map(|pin| pin.prefix).zip(0..).collect();
        pins.sort_unstable();
        for (one, next) in pins.iter().zip(pins.iter().skip(1)) {
            if one.0 == next.0 {
                let path = format!("spec.placement.pinned[{}].prefix", next.1);
                faults.push(Self::fault(path, format!("{} is there already", next.0)));
            }
        }
    }
}

impl Endpoints {
    fn check(&self, faults: &mut Vec<Fault>) {
        match (&self.selector, &self.list) {
            (Some(labels), None) => {
                if labels.is_empty() || labels.len() > 16 {
                    let problem = format!("has {} labels; there have to be 1 to 16", labels.len());
                    faults.push(SliceSetSpec::fault("spec.endpoints.selector", problem));
                }
            }
            (None, Some(list)) => {
                let mut names = BTreeSet::new();
                for (number, entry) in list.iter().enumerate() {
                    if entry.name.len() > SliceEndpointSpec::MAX_NAME {
                        let path = format!("spec.endpoints.list[{number}].name");
                        let (length, most) = (entry.name.len(), SliceEndpointSpec::MAX_NAME);
                        let problem = format!("has {length} bytes; the name of an endpoint has at most {most}");
                        faults.push(SliceSetSpec::fault(path, problem));
                    }
                    if !names.insert(&entry.name) {
                        let path = format!("spec.endpoints.list[{number}].name");
                        faults.push(SliceSetSpec::fault(path, format!("{} is there already", entry.name)));
                    }
                    let addresses = [
                        ("address", Some(entry.address)),
                        ("tunnel.address", entry.tunnel.address),
                    ];
                    for (field, address) in addresses {
                        if let Some(problem) = address.and_then(not_a_host) {
                            let path = format!("spec.endpoints.list[{number}].{field}");
                            faults.push(SliceSetSpec::fault(path, problem));
                        }
                    }
                }
            }
            _ => faults.push(SliceSetSpec::fault(
                "spec.endpoints",
                "exactly one of selector and list is required",
            )),
        }
    }
}
