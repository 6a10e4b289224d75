//! The plan as a JSON document, which is also the form of the current state that the next plan starts from.

use std::{net::Ipv6Addr, path::Path};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{failure::Faults, input::files};

/// A plan, or a state. To start from, `endpoints` with their `name` and `prefixes` are all that is needed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a plan, an object with the key `endpoints`")]
pub(super) struct Document {
    /// The positive items.
    #[serde(default)]
    pub(super) items: Vec<Ipv6Net>,
    /// s: each item is cut into 2^s slices.
    #[serde(default)]
    pub(super) bits: u8,
    /// Replicas of an address.
    #[serde(default)]
    pub(super) replicas: u8,
    /// The endpoints, in the order given, then those that leave.
    pub(super) endpoints: Vec<Endpoint>,
    /// What moves, by former and new endpoint.
    #[serde(default)]
    pub(super) moves: Vec<Move>,
    /// What the plan costs.
    #[serde(default)]
    pub(super) report: Option<Report>,
}

/// An endpoint and what is routed to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an endpoint, an object with the key `name`")]
pub(super) struct Endpoint {
    pub(super) name: String,
    #[serde(default)]
    pub(super) weight: u32,
    #[serde(default)]
    pub(super) domain: Option<String>,
    #[serde(default)]
    pub(super) via: Option<Ipv6Addr>,
    /// How many slices it has.
    #[serde(default)]
    pub(super) slices: usize,
    /// How many slices its weight entitles it to.
    #[serde(default)]
    pub(super) share: f64,
    /// Slices that come to it and that leave it.
    #[serde(default)]
    pub(super) moves_in: usize,
    #[serde(default)]
    pub(super) moves_out: usize,
    /// The fewest prefixes that hold its slices.
    #[serde(default)]
    pub(super) prefixes: Vec<Ipv6Net>,
}

/// Slices that go from one endpoint to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a move, an object with the keys `from`, `to`, `slices` and `prefixes`"
)]
pub(super) struct Move {
    /// Nothing where no endpoint had them.
    pub(super) from: Option<String>,
    pub(super) to: String,
    pub(super) slices: usize,
    pub(super) prefixes: Vec<Ipv6Net>,
}

/// What a plan costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a report, an object with what a plan costs")]
pub(super) struct Report {
    /// All slices.
    pub(super) slices: usize,
    /// Slices that move.
    pub(super) moves: usize,
    /// No plan of this balance moves fewer.
    pub(super) lower_bound: usize,
    /// What that rests on: `balance`, `replicas` or `exact`.
    pub(super) bound: String,
    /// Pairs of slices that hold replicas of one address: with one endpoint, and in one domain.
    pub(super) endpoint_conflicts: usize,
    pub(super) domain_conflicts: usize,
    /// Prefixes that all endpoints announce.
    pub(super) prefixes: usize,
}

/// Reads a JSON file, noting what is wrong with it.
pub(super) fn read_json<T: DeserializeOwned>(place: &str, path: &Path, faults: &mut Faults) -> Option<T> {
    let text = faults.take(place, files::read(path))?;
    match ssa_input::json::read(&text) {
        Ok(read) => Some(read),
        Err(wrong) => {
            for fault in wrong {
                let within = if fault.path.is_empty() { "" } else { " " };
                faults.push(format!("{place}{within}{}", fault.path), fault.reason());
            }
            None
        }
    }
}
