//! Identifiers that must not be confused: of a slice, an endpoint, a domain.

use core::fmt;

/// The identifier of a slice: the index of its item, then the s bits that follow the item's prefix.
///
/// ```text
///  31                    s+i     s                   0
/// +-------------------------+-----+-------------------+
/// |            0            |  i  |         s         |   i: index of the item, items in ascending order
/// +-------------------------+-----+-------------------+   s: the first bits after the item's prefix
/// ```
///
/// It is meaningful only within its [`SliceSpace`](super::SliceSpace), which returns `None` or an error for a slice that
/// it does not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceId(u32);

impl SliceId {
    /// Makes an identifier of a number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Identifies the slice at an index, which a space keeps below [`MAX_SLICES`](super::MAX_SLICES).
    pub(crate) fn at(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The identifier of an endpoint: its index in the list given to [`plan`](super::plan).
///
/// An endpoint that leaves keeps its index, with weight 0, as long as a slice is assigned to it; or, if it was the
/// last, its identifier may be past the end of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(u32);

impl EndpointId {
    /// Makes an identifier of an index, counted from 0.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Returns the index.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Identifies the endpoint at an index, which the planner keeps below [`MAX_ENDPOINTS`](super::MAX_ENDPOINTS).
    pub(crate) fn at(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The identifier of a failure domain, such as a rack or a zone, whose endpoints fail together.
///
/// It is only compared for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(u32);

impl DomainId {
    /// Makes an identifier of a number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// An endpoint, as the planner knows it.
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
    /// Its failure domain; without one, it shares a domain with no other endpoint.
    pub domain: Option<DomainId>,
}

impl Endpoint {
    /// Makes an endpoint that shares a failure domain with no other.
    #[must_use]
    pub const fn of_weight(weight: u32) -> Self {
        Self { weight, domain: None }
    }
}
