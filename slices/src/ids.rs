//! Numbers that must not be mixed up: a slice, an endpoint, a domain.

use core::fmt;

/// Numbers a slice: the index of its item, then the s bits that follow the item's prefix.
///
/// ```text
///  31                    s+i     s                   0
/// +-------------------------+-----+-------------------+
/// |            0            |  i  |         s         |   i: index of the item, items in ascending order
/// +-------------------------+-----+-------------------+   s: the first bits after the item's prefix
/// ```
///
/// A number says nothing without its [`SliceSpace`](super::SliceSpace); a space answers `None`, or an error, to the
/// number of a slice that it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceId(u32);

impl SliceId {
    /// Takes a slice's number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Gives the number back.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    pub(crate) const fn position(self) -> usize {
        self.0 as usize
    }

    /// Numbers the slice at a position, which a space keeps below [`MAX_SLICES`](super::MAX_SLICES).
    pub(crate) fn at(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Numbers an endpoint by its place in the list given to [`plan`](super::plan).
///
/// An endpoint that leaves keeps its place, with weight 0, as long as a slice is assigned to it; or, if it was the
/// last, its number may point past the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointIdx(u32);

impl EndpointIdx {
    /// Takes an endpoint's place, counted from 0.
    #[must_use]
    pub const fn new(place: u32) -> Self {
        Self(place)
    }

    /// Gives the place back.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    pub(crate) const fn position(self) -> usize {
        self.0 as usize
    }

    /// Numbers the endpoint at a place, which the planner keeps below [`MAX_ENDPOINTS`](super::MAX_ENDPOINTS).
    pub(crate) fn at(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for EndpointIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Names a failure domain: endpoints of one domain fail together (a rack, a zone).
///
/// Only equality counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(u32);

impl DomainId {
    /// Takes a domain's number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Gives the number back.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Describes an endpoint to the planner.
///
/// ```
/// use ssa_slices::{DomainId, Endpoint};
///
/// let twice_as_large = Endpoint { weight: 2, domain: Some(DomainId::new(7)) };
/// assert_ne!(twice_as_large, Endpoint::of_weight(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its share of the slices, relative to the sum of all weights; 0 drains it.
    pub weight: u32,
    /// Its failure domain; without one it shares a domain with no other endpoint.
    pub domain: Option<DomainId>,
}

impl Endpoint {
    /// Describes an endpoint that shares a failure domain with no other.
    #[must_use]
    pub const fn of_weight(weight: u32) -> Self {
        Self { weight, domain: None }
    }
}
