//! Slice maps.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ssa_snapshot::Number;

use super::{
    Epoch, Fault, Kind, Name, NoStatus, Object, Ownership, Prefix, Spec, fields::at_most, slice_set::MAX_ENDPOINTS,
};

/// Which endpoint owns which prefix, and which stands by for it. The leader writes it.
pub type SliceMap = Object<SliceMapSpec>;

/// The most prefixes that one object gives to owners, and the most that it gives to standbys. A set with more slices has
/// several objects.
pub const MAX_MAP_PREFIXES: usize = 1 << 14;

/// A part of a set's map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceMapSpec {
    /// The slice set.
    pub slice_set: Name,
    /// The epoch: a reader keeps the part with the higher one.
    pub epoch: Epoch,
    /// Which part it is, from 0.
    #[serde(default)]
    pub part: Number<0, 1023, 0>,
    /// How many parts there are.
    #[serde(default)]
    pub parts: Number<1, 1024, 1>,
    /// Whether two endpoints may serve a slice for a moment: as the set says, for agents read no sets.
    #[serde(default)]
    pub ownership: Ownership,
    /// The length of a slice's prefix: what agents measure load by. An owned prefix is of one or several slices, or a part of
    /// one that is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_length: Option<Number<1, 128, 72>>,
    /// The endpoints, each once.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_ENDPOINTS>")]
    #[schemars(length(max = MAX_ENDPOINTS))]
    pub endpoints: Vec<MapEndpoint>,
}

/// What one endpoint has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MapEndpoint {
    /// The endpoint.
    pub name: Name,
    /// The prefixes that it owns.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_MAP_PREFIXES>")]
    #[schemars(length(max = MAX_MAP_PREFIXES))]
    pub owned: Vec<Prefix>,
    /// The prefixes that it stands by for.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_MAP_PREFIXES>")]
    #[schemars(length(max = MAX_MAP_PREFIXES))]
    pub standby: Vec<Prefix>,
}

impl Spec for SliceMapSpec {
    type Status = NoStatus;

    const KIND: Kind = Kind::SliceMap;

    fn check(&self, faults: &mut Vec<Fault>) {
        if self.part.get() >= self.parts.get() {
            faults.push(Self::fault(
                "spec.part",
                format!("must be below spec.parts, {}", self.parts.get()),
            ));
        }
        let mut names = BTreeSet::new();
        for (number, endpoint) in self.endpoints.iter().enumerate() {
            if !names.insert(&endpoint.name) {
                let path = format!("spec.endpoints[{number}].name");
                faults.push(Self::fault(path, format!("{} is there already", endpoint.name)));
            }
        }
        self.check_prefixes(faults, "owned", |endpoint| &endpoint.owned);
        self.check_prefixes(faults, "standby", |endpoint| &endpoint.standby);
    }
}

impl SliceMapSpec {
    /// Notes a prefix that another one, here or at another endpoint, repeats or lies in, and too many of them.
    fn check_prefixes(&self, faults: &mut Vec<Fault>, field: &str, of: impl Fn(&MapEndpoint) -> &Vec<Prefix>) {
        let mut all: Vec<(Prefix, usize, usize)> = Vec::new();
        for (endpoint, entry) in self.endpoints.iter().enumerate() {
            all.extend(
                of(entry)
                    .iter()
                    .enumerate()
                    .map(|(number, prefix)| (*prefix, endpoint, number)),
            );
        }
        if all.len() > MAX_MAP_PREFIXES {
            let problem = format!("have {} prefixes; an object has at most {MAX_MAP_PREFIXES}", all.len());
            faults.push(Self::fault(format!("spec.endpoints[*].{field}"), problem));
        }
        // A prefix stands before those that lie in it.
        all.sort_unstable();
        let mut outer: Option<(Prefix, usize, usize)> = None;
        for (prefix, endpoint, number) in all {
            match outer {
                Some((covering, other, _)) if covering.covers(prefix) => {
                    let path = format!("spec.endpoints[{endpoint}].{field}[{number}]");
                    let name = self.endpoints.get(other).map_or("", |entry| entry.name.as_str());
                    faults.push(Self::fault(path, format!("{prefix} lies in {covering} of {name}")));
                }
                _ => outer = Some((prefix, endpoint, number)),
            }
        }
    }
}
