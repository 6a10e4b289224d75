//! Who owns each prefix, and who stands by.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use super::{EndpointName, Epoch, overlap, subtract};

/// Says what holds when the owner of a slice may or may not be alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ownership {
    /// Slices stay reachable: for a moment two endpoints may both take new flows.
    #[default]
    Available,
    /// Never do two endpoints take new flows of one slice: whoever takes a slice over waits until the other's
    /// permission to accept has run out.
    Exclusive,
}

/// Says who owns each prefix and who stands by for it.
///
/// Routers follow the longest prefix before they look at any metric. So the prefix of a standby equals that of the
/// owner, or covers it; a longer one would draw the owner's packets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Map {
    epoch: Epoch,
    ownership: Ownership,
    owned: BTreeMap<Ipv6Net, EndpointName>,
    standby: BTreeMap<Ipv6Net, EndpointName>,
}

impl Map {
    /// Takes the owner of each prefix and the standby of each prefix.
    ///
    /// # Errors
    ///
    /// Every [`MapFault`] there is.
    pub fn new(
        epoch: Epoch,
        ownership: Ownership,
        owned: impl IntoIterator<Item = (Ipv6Net, EndpointName)>,
        standby: impl IntoIterator<Item = (Ipv6Net, EndpointName)>,
    ) -> Result<Self, Vec<MapFault>> {
        let mut faults = Vec::new();
        let mut collect = |entries: &mut dyn Iterator<Item = (Ipv6Net, EndpointName)>| {
            let mut map = BTreeMap::new();
            for (prefix, endpoint) in entries {
                if prefix.trunc() != prefix {
                    faults.push(MapFault::HostBits { prefix });
                } else if map.insert(prefix, endpoint).is_some() {
                    faults.push(MapFault::Duplicate { prefix });
                }
            }
            map
        };
        let owned = collect(&mut owned.into_iter());
        let standby = collect(&mut standby.into_iter());
        let neighbours = owned.keys().zip(owned.keys().skip(1));
        faults.extend(neighbours.filter_map(|(one, next)| {
            one.contains(next).then_some(MapFault::Overlap {
                prefix: *next,
                other: *one,
            })
        }));
        let map = Self {
            epoch,
            ownership,
            owned,
            standby,
        };
        for prefix in map.standby.keys() {
            if let Some((owned, _)) = map.owned_around(*prefix).filter(|(owned, _)| owned != prefix) {
                faults.push(MapFault::StandbyLonger { prefix: *prefix, owned });
            }
        }
        if faults.is_empty() { Ok(map) } else { Err(faults) }
    }

    /// Returns the epoch of the map.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Says what holds when an owner may or may not be alive.
    #[must_use]
    pub const fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// Lists all prefixes with their owners, in ascending order.
    pub fn owned(&self) -> impl Iterator<Item = (Ipv6Net, &EndpointName)> {
        self.owned.iter().map(|(prefix, owner)| (*prefix, owner))
    }

    /// Lists all prefixes of standbys, in ascending order.
    pub fn standbys(&self) -> impl Iterator<Item = (Ipv6Net, &EndpointName)> {
        self.standby.iter().map(|(prefix, standby)| (*prefix, standby))
    }

    /// Finds the owner of a prefix that lies within an owned one.
    #[must_use]
    pub fn owner(&self, prefix: Ipv6Net) -> Option<&EndpointName> {
        self.owned_around(prefix).map(|(_, owner)| owner)
    }

    /// Finds the owned prefix that equals or covers a prefix, and its owner.
    #[must_use]
    pub fn owned_around(&self, prefix: Ipv6Net) -> Option<(Ipv6Net, &EndpointName)> {
        let (owned, owner) = self.owned.range(..=prefix).next_back()?;
        owned.contains(&prefix).then_some((*owned, owner))
    }

    /// Returns the map of an epoch in which `endpoint` owns some prefixes and nothing else has changed.
    ///
    /// Standbys stay as they are: their prefixes still cover the pieces that are left of what was split.
    #[must_use]
    pub fn with_owner(&self, prefixes: &[Ipv6Net], endpoint: &EndpointName, epoch: Epoch) -> Self {
        let mut map = self.clone();
        map.epoch = epoch;
        for part in prefixes {
            let split: Vec<(Ipv6Net, EndpointName)> = match self.owned_around(*part) {
                Some((around, owner)) => [(around, owner.clone())].into(),
                None => self
                    .owned_within(*part)
                    .map(|(within, owner)| (within, owner.clone()))
                    .collect(),
            };
            for (whole, owner) in split {
                if let Some((around, _)) = map.owned_around(whole).filter(|(around, _)| around.contains(&whole)) {
                    map.owned.remove(&around);
                    let rest = subtract(around, *part).into_iter();
                    map.owned.extend(rest.map(|block| (block, owner.clone())));
                } else {
                    // Other parts have split it already.
                    let pieces: Vec<Ipv6Net> = map.owned_within(whole).map(|(piece, _)| piece).collect();
                    for piece in pieces.into_iter().filter(|piece| overlap(*piece, *part)) {
                        map.owned.remove(&piece);
                        let rest = subtract(piece, *part).into_iter();
                        map.owned.extend(rest.map(|block| (block, owner.clone())));
                    }
                }
            }
            map.owned.insert(*part, endpoint.clone());
        }
        map
    }

    /// Lists the owned prefixes that equal or lie within a prefix, with their owners.
    pub fn owned_within(&self, prefix: Ipv6Net) -> impl Iterator<Item = (Ipv6Net, &EndpointName)> {
        self.owned
            .range(prefix..)
            .take_while(move |(owned, _)| prefix.contains(*owned))
            .map(|(owned, owner)| (*owned, owner))
    }

    /// Finds the standby of a prefix: of those whose prefix equals or covers it, the one with the longest. Its owner is not
    /// its standby, though what it stands by for may cover what it owns.
    #[must_use]
    pub fn standby(&self, prefix: Ipv6Net) -> Option<&EndpointName> {
        let owner = self.owner(prefix);
        let mut around = Some(prefix);
        while let Some(candidate) = around {
            let standby = self.standby.get(&candidate);
            if standby.is_some() && standby != owner {
                return standby;
            }
            around = candidate.supernet();
        }
        None
    }
}

/// Says what is wrong with a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapFault {
    /// A prefix has bits past its length.
    HostBits {
        /// The prefix.
        prefix: Ipv6Net,
    },
    /// Two endpoints own, or stand by for, the same prefix.
    Duplicate {
        /// The prefix.
        prefix: Ipv6Net,
    },
    /// Two owned prefixes overlap.
    Overlap {
        /// The longer one.
        prefix: Ipv6Net,
        /// The shorter one.
        other: Ipv6Net,
    },
    /// A standby's prefix is longer than the owner's, and would draw its packets.
    StandbyLonger {
        /// The standby's prefix.
        prefix: Ipv6Net,
        /// The owner's.
        owned: Ipv6Net,
    },
}

impl fmt::Display for MapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostBits { prefix } => write!(f, "{prefix}: bits are set past the prefix length"),
            Self::Duplicate { prefix } => write!(f, "{prefix}: given to two endpoints"),
            Self::Overlap { prefix, other } => write!(f, "{prefix}: overlaps {other}, which is owned too"),
            Self::StandbyLonger { prefix, owned } => write!(
                f,
                "{prefix}: the standby's prefix is longer than the owner's {owned}, so routers would prefer it"
            ),
        }
    }
}

impl core::error::Error for MapFault {}
