//! The plan as a document, which is also the form of the current state that the next plan starts from.
//!
//! The planner numbers endpoints and slices; people name endpoints and write prefixes. A [`Roster`] translates.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use crate::{Bound, DomainId, EndpointId, Plan, Replicas, SliceError, SliceId, SliceSpace};

/// A plan, or a state. To start from, `endpoints` with their `name` and `prefixes` are all that is needed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a plan, an object with the key `endpoints`")]
pub struct Document {
    /// The positive items.
    #[serde(default)]
    pub items: Vec<Ipv6Net>,
    /// s: each item is cut into 2^s slices.
    #[serde(default)]
    pub bits: u8,
    /// Replicas of an address.
    #[serde(default)]
    pub replicas: u8,
    /// The endpoints, in the order given, then those that leave.
    pub endpoints: Vec<Endpoint>,
    /// What moves, by former and new endpoint.
    #[serde(default)]
    pub moves: Vec<Move>,
    /// What the plan costs.
    #[serde(default)]
    pub report: Option<Report>,
}

/// An endpoint and what is routed to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an endpoint, an object with the key `name`")]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its share of the slices, relative to the others.
    #[serde(default)]
    pub weight: u32,
    /// Its failure domain.
    #[serde(default)]
    pub domain: Option<String>,
    /// The next hop of routes to it.
    #[serde(default)]
    pub via: Option<Ipv6Addr>,
    /// How many slices it has.
    #[serde(default)]
    pub slices: usize,
    /// How many slices its weight entitles it to.
    #[serde(default)]
    pub share: f64,
    /// How many slices come to it.
    #[serde(default)]
    pub moves_in: usize,
    /// How many slices leave it.
    #[serde(default)]
    pub moves_out: usize,
    /// The fewest prefixes that hold its slices.
    #[serde(default)]
    pub prefixes: Vec<Ipv6Net>,
}

/// Slices that go from one endpoint to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a move, an object with the keys `from`, `to`, `slices` and `prefixes`"
)]
pub struct Move {
    /// The endpoint that had them; none where nobody had.
    pub from: Option<String>,
    /// The endpoint that is to have them.
    pub to: String,
    /// How many they are.
    pub slices: usize,
    /// The fewest prefixes that hold them.
    pub prefixes: Vec<Ipv6Net>,
}

/// What a plan costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a report, an object with what a plan costs")]
pub struct Report {
    /// All slices.
    pub slices: usize,
    /// Slices that move.
    pub moves: usize,
    /// No plan of this balance moves fewer.
    pub lower_bound: usize,
    /// What that rests on: `balance`, `replicas` or `exact`.
    pub bound: String,
    /// Pairs of slices that hold replicas of one address, both with one endpoint.
    pub endpoint_conflicts: usize,
    /// The same with different endpoints of one domain.
    pub domain_conflicts: usize,
    /// Prefixes that all endpoints announce.
    pub prefixes: usize,
}

/// A wanted endpoint, as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an endpoint, an object with the key `name`")]
pub struct Wanted {
    /// Its name; [`is_name`] says what is allowed.
    pub name: String,
    /// Its share of the slices, relative to the others, 0 to 2^32-1; 0 drains it.
    #[serde(default = "one")]
    pub weight: u32,
    /// Its failure domain; without one it shares a domain with no other.
    #[serde(default)]
    pub domain: Option<String>,
    /// The next hop of routes to it.
    #[serde(default)]
    pub via: Option<Ipv6Addr>,
}

const fn one() -> u32 {
    1
}

/// Returns whether a text is the name of an endpoint or a domain: 1 to 253 of `a-z A-Z 0-9 - _ . :`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    matches!(text.len(), 1..=253) && text.bytes().all(allowed)
}

/// Why a document is not a state to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateFault {
    /// None of its prefixes lies in the space.
    OtherService,
    /// A prefix is longer than a slice is.
    BelowSlice {
        /// The endpoint that has it.
        endpoint: String,
        /// The prefix.
        prefix: Ipv6Net,
        /// The prefix length of a slice.
        length: u8,
    },
    /// Two endpoints have a slice.
    Shared {
        /// The second of them.
        endpoint: String,
        /// Its prefix that holds the slice.
        prefix: Ipv6Net,
    },
}

impl StateFault {
    /// The faulty endpoint.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        match self {
            Self::OtherService => None,
            Self::BelowSlice { endpoint, .. } | Self::Shared { endpoint, .. } => Some(endpoint),
        }
    }
}

impl fmt::Display for StateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherService => {
                f.write_str("no prefix in it is of this address list: it is the plan of another service")
            }
            Self::BelowSlice { prefix, length, .. } => {
                write!(f, "{prefix} is smaller than a slice of /{length}")
            }
            Self::Shared { prefix, .. } => write!(f, "{prefix} is another endpoint's too"),
        }
    }
}

impl core::error::Error for StateFault {}

/// Endpoints by name and by number: those that are wanted, then those that leave.
#[derive(Clone, Debug)]
pub struct Roster {
    endpoints: Vec<Wanted>,
    places: BTreeMap<String, usize>,
}

impl Roster {
    /// Numbers the wanted endpoints in their order, and after them those of the former state that have slices to give.
    #[must_use]
    pub fn new(wanted: Vec<Wanted>, former: Option<&Document>) -> Self {
        let places = wanted
            .iter()
            .enumerate()
            .map(|(place, one)| (one.name.clone(), place))
            .collect();
        let mut roster = Self {
            endpoints: wanted,
            places,
        };
        for endpoint in former.into_iter().flat_map(|former| &former.endpoints) {
            match roster
                .places
                .get(&endpoint.name)
                .and_then(|place| roster.endpoints.get_mut(*place))
            {
                // The next hop is kept where none is given anew.
                Some(one) => one.via = one.via.or(endpoint.via),
                None if endpoint.prefixes.is_empty() => {}
                None => {
                    let (name, domain, via) = (endpoint.name.clone(), endpoint.domain.clone(), endpoint.via);
                    roster.places.insert(name.clone(), roster.endpoints.len());
                    roster.endpoints.push(Wanted {
                        name,
                        weight: 0,
                        domain,
                        via,
                    });
                }
            }
        }
        roster
    }

    fn index(&self, name: &str) -> Option<EndpointId> {
        u32::try_from(*self.places.get(name)?).ok().map(EndpointId::new)
    }

    fn name(&self, index: EndpointId) -> String {
        let place = usize::try_from(index.get()).unwrap_or(usize::MAX);
        self.endpoints
            .get(place)
            .map_or_else(|| index.to_string(), |endpoint| endpoint.name.clone())
    }

    /// Returns the endpoint of each slice in a former state, which may have been cut more coarsely.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn current(&self, space: &SliceSpace, former: &Document) -> Result<Vec<Option<EndpointId>>, Vec<StateFault>> {
        let mut current = vec![None; space.count()];
        let mut faults = Vec::new();
        let mut prefixes = former.endpoints.iter().flat_map(|one| &one.prefixes).peekable();
        let is_ours = |prefix: &Ipv6Net| space.items().any(|item| overlap(*prefix, item));
        if prefixes.peek().is_some() && !prefixes.any(is_ours) {
            faults.push(StateFault::OtherService);
        }
        let length = space.slice_length();
        for endpoint in &former.endpoints {
            let Some(index) = self.index(&endpoint.name) else {
                continue;
            };
            for &prefix in &endpoint.prefixes {
                let endpoint = || endpoint.name.clone();
                if prefix.prefix_len() > length {
                    faults.push(StateFault::BelowSlice {
                        endpoint: endpoint(),
                        prefix,
                        length,
                    });
                    continue;
                }
                // An item that is gone takes its slices with it; a prefix around items covers all of theirs.
                for item in space.items().filter(|item| overlap(prefix, *item)) {
                    let from = if prefix.contains(&item) { item } else { prefix };
                    let count = 1_usize << (length - from.prefix_len());
                    let Some(start) = space.slice_of(from.network()) else {
                        continue;
                    };
                    let start = usize::try_from(start.get()).unwrap_or(usize::MAX);
                    for slot in current.iter_mut().skip(start).take(count) {
                        if slot.is_some_and(|taken| taken != index) {
                            faults.push(StateFault::Shared {
                                endpoint: endpoint(),
                                prefix,
                            });
                            break;
                        }
                        *slot = Some(index);
                    }
                }
            }
        }
        if faults.is_empty() { Ok(current) } else { Err(faults) }
    }

    /// Returns the endpoints as the planner takes them, in the order of their numbers.
    #[must_use]
    pub fn planned(&self) -> Vec<crate::Endpoint> {
        let mut domains: BTreeMap<&str, u32> = BTreeMap::new();
        let endpoints = self.endpoints.iter().map(|endpoint| {
            let domain = endpoint.domain.as_deref().map(|name| {
                let next = u32::try_from(domains.len()).unwrap_or(u32::MAX);
                DomainId::new(*domains.entry(name).or_insert(next))
            });
            crate::Endpoint {
                weight: endpoint.weight,
                domain,
            }
        });
        endpoints.collect()
    }

    /// Returns the document of a plan that was made for these endpoints.
    ///
    /// # Errors
    ///
    /// The plan is of another space.
    pub fn document(&self, space: &SliceSpace, replicas: Replicas, plan: &Plan) -> Result<Document, SliceError> {
        let mut held: BTreeMap<EndpointId, Vec<SliceId>> = BTreeMap::new();
        for (slice, endpoint) in space.slices().zip(&plan.assignment) {
            held.entry(*endpoint).or_default().push(slice);
        }
        let mut moved: BTreeMap<(Option<EndpointId>, EndpointId), Vec<SliceId>> = BTreeMap::new();
        let (mut ins, mut outs) = (BTreeMap::new(), BTreeMap::new());
        for one in &plan.moves {
            *ins.entry(one.to).or_insert(0) += 1;
            if let Some(from) = one.from {
                *outs.entry(from).or_insert(0) += 1;
            }
            moved.entry((one.from, one.to)).or_default().push(one.slice);
        }
        let prefixes = |slices: &[SliceId]| space.aggregate(slices.iter().copied());
        let weights: u64 = self.endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
        let mut endpoints = Vec::new();
        for (index, endpoint) in (0..).map(EndpointId::new).zip(&self.endpoints) {
            let slices = held.remove(&index).unwrap_or_default();
            endpoints.push(Endpoint {
                name: endpoint.name.clone(),
                weight: endpoint.weight,
                domain: endpoint.domain.clone(),
                via: endpoint.via,
                slices: slices.len(),
                share: share(space.count(), endpoint.weight, weights),
                moves_in: ins.get(&index).copied().unwrap_or(0),
                moves_out: outs.get(&index).copied().unwrap_or(0),
                prefixes: prefixes(&slices)?,
            });
        }
        let moves = moved.iter().map(|((from, to), slices)| {
            let (from, to) = (from.map(|from| self.name(from)), self.name(*to));
            Ok(Move {
                from,
                to,
                slices: slices.len(),
                prefixes: prefixes(slices)?,
            })
        });
        let report = plan.report;
        Ok(Document {
            items: space.items().collect(),
            bits: space.bits().get(),
            replicas: replicas.count(),
            endpoints,
            moves: moves.collect::<Result<_, SliceError>>()?,
            report: Some(Report {
                slices: space.count(),
                moves: plan.moves.len(),
                lower_bound: report.lower_bound,
                bound: bound(report.bound).into(),
                endpoint_conflicts: report.endpoint_conflicts,
                domain_conflicts: report.domain_conflicts,
                prefixes: report.prefixes,
            }),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "at most 2^20 slices and sums of 2^16 weights, for people to read"
)]
fn share(slices: usize, weight: u32, weights: u64) -> f64 {
    slices as f64 * f64::from(weight) / (weights.max(1) as f64)
}

fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Balance => "balance",
        Bound::Replicas => "replicas",
        Bound::Exact => "exact",
    }
}

fn overlap(one: Ipv6Net, other: Ipv6Net) -> bool {
    one.contains(&other) || other.contains(&one)
}
