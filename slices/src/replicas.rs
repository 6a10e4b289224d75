//! Which slices hold replicas of one address.

use alloc::vec::Vec;
use core::fmt;

use crate::{SliceBits, SliceId, SliceSpace};

/// Says how many replicas an address has and which bits tell them apart.
///
/// Replica r of an address differs from it in the first field only, the n bits after the item's prefix: their value
/// becomes (value + ⌊r·2ⁿ/count⌋) mod 2ⁿ (SSA-1, section 3). Item and later bits stay.
///
/// ```text
///  0                   128−W          128−W+n                                 127
/// +-------------------------+--------------+-------------------------------------+
/// |          item           | first field  |             later fields            |
/// +-------------------------+--------------+-------------------------------------+
///                           |<---- n ----->|
///                           |<-- s -->|        bits of the slice: fewer than n, as many, or more
/// ```
///
/// ```
/// use ssa_slices::Replicas;
///
/// let three = Replicas::new(3, 20)?;
/// assert_eq!(three.steps().collect::<Vec<_>>(), [0, 349_525, 699_050]);
/// # Ok::<(), ssa_slices::ReplicaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Replicas {
    count: u8,
    first_field_bits: u8,
}

impl Replicas {
    /// The maximum number of replicas.
    pub const MAX: u8 = 16;

    /// Stands for a service without replicas.
    pub const SINGLE: Self = Self {
        count: 1,
        first_field_bits: 1,
    };

    /// Takes the number of replicas and the width of the first field in bits.
    ///
    /// # Errors
    ///
    /// [`ReplicaError`] if the count is not 1 to 16, or the width not 1 to 64.
    pub const fn new(count: u8, first_field_bits: u8) -> Result<Self, ReplicaError> {
        if count == 0 || count > Self::MAX {
            return Err(ReplicaError::Count { count });
        }
        if first_field_bits == 0 || first_field_bits > 64 {
            return Err(ReplicaError::FirstField { bits: first_field_bits });
        }
        Ok(Self {
            count,
            first_field_bits,
        })
    }

    /// Returns the number of replicas of an address, itself included.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.count
    }

    /// Returns the width of the first field in bits.
    #[must_use]
    pub const fn first_field_bits(self) -> u8 {
        self.first_field_bits
    }

    /// Returns what each replica adds to the first field: ⌊r·2ⁿ/count⌋ for r from 0.
    pub fn steps(self) -> impl Iterator<Item = u64> {
        (0..u128::from(self.count))
            .map(move |replica| u64::try_from((replica << self.first_field_bits) / u128::from(self.count)).unwrap_or(0))
    }

    /// Returns by how much two replicas of one address can differ, slice by slice, within an item of 2^s slices.
    ///
    /// Replicas r < q of one address differ in the first field by ⌊q·2ⁿ/c⌋ − ⌊r·2ⁿ/c⌋, which is the floor or the
    /// ceiling of k·2ⁿ/c with k = q − r; against r = 0 it is the floor, and backwards the ceiling, so both occur.
    /// With s ≥ n that is a multiple of 2^(s−n) slices. With s < n it is a number of whole slices and a rest; a rest
    /// carries some addresses of the slice, though not all, into the next one.
    pub(crate) fn distances(self, slice_bits: SliceBits) -> Distances {
        let field = u32::from(self.first_field_bits);
        let slice = u32::from(slice_bits.get());
        let count = u128::from(self.count);
        let per_item = 1_u128 << slice;
        let mut all: Vec<u128> = Vec::new();
        for k in 1..count {
            let scaled = k << field;
            for step in [scaled / count, scaled.div_ceil(count)] {
                if let Some(finer) = slice.checked_sub(field) {
                    all.push(step << finer);
                } else {
                    let coarser = field.saturating_sub(slice);
                    all.push(step >> coarser);
                    all.push(step.div_ceil(1 << coarser));
                }
            }
        }
        let mut between: Vec<usize> = all
            .into_iter()
            .filter_map(|d| usize::try_from(d % per_item).ok())
            .collect();
        between.sort_unstable();
        between.dedup();
        let own = between.first() == Some(&0);
        between.retain(|distance| *distance > 0);
        Distances { between, own }
    }
}

/// By how many slices replicas of one address lie apart, upwards and around the item.
#[derive(Debug)]
pub(crate) struct Distances {
    /// Above 0, below 2^s, ascending, and with every d also 2^s − d.
    pub(crate) between: Vec<usize>,
    /// Two replicas of one address can lie in one slice.
    pub(crate) own: bool,
}

/// Tells which slices are siblings: some address has one replica in the first and another in the second.
///
/// The relation is symmetric and stays within an item. Where an item has few slices, a slice can be its own sibling.
///
/// ```
/// use ssa_slices::{Replicas, Siblings, SliceBits, SliceId, SliceSpace};
///
/// let space = SliceSpace::new(&["2001:db8:5::/64".parse()?], SliceBits::new(4)?)?;
/// let siblings = Siblings::new(&space, Replicas::new(3, 20)?)?;
/// let of_0: Vec<u32> = siblings.of(SliceId::new(0)).map(SliceId::get).collect();
/// assert_eq!(of_0, [5, 6, 10, 11]); // a third of 16 slices is 5 and a rest
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Siblings {
    per_item: usize,
    count: usize,
    distances: Distances,
}

impl Siblings {
    /// Derives the siblings of every slice of a space.
    ///
    /// # Errors
    ///
    /// [`ReplicaError::PastWidth`] if there are several replicas and the first field is wider than what an item leaves.
    pub fn new(space: &SliceSpace, replicas: Replicas) -> Result<Self, ReplicaError> {
        let (bits, width) = (replicas.first_field_bits, space.width());
        if replicas.count > 1 && bits > width {
            return Err(ReplicaError::PastWidth { bits, width });
        }
        let slice_bits = space.bits();
        let distances = replicas.distances(slice_bits);
        Ok(Self {
            per_item: slice_bits.per_item(),
            count: space.count(),
            distances,
        })
    }

    /// Returns the siblings of a slice, in ascending order of their distance; none for a slice that the space lacks.
    pub fn of(&self, slice: SliceId) -> impl Iterator<Item = SliceId> + '_ {
        let position = slice.index();
        let known = position < self.count;
        let own = known && self.distances.own;
        let others = self.distances.between.iter().filter(move |_| known);
        let others = others.map(move |distance| SliceId::at(around(position, *distance, self.per_item)));
        own.then_some(slice).into_iter().chain(others)
    }

    /// Returns whether two replicas of one address can lie in one and the same slice, as no plan can part them.
    #[must_use]
    pub fn within_one_slice(&self) -> bool {
        self.distances.own
    }

    pub(crate) fn into_distances(self) -> Vec<usize> {
        self.distances.between
    }
}

/// Goes up by a distance from a slice, around its item of `per_item` slices, a power of two.
pub(crate) fn around(position: usize, distance: usize, per_item: usize) -> usize {
    let mask = per_item.saturating_sub(1);
    (position & !mask) + (position.wrapping_add(distance) & mask)
}

/// Says why a description of replicas is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaError {
    /// The number of replicas is not 1 to 16.
    Count {
        /// The number asked for.
        count: u8,
    },
    /// The first field's width is not 1 to 64 bits.
    FirstField {
        /// The width asked for.
        bits: u8,
    },
    /// The first field is wider than all the fields together.
    PastWidth {
        /// The width of the first field.
        bits: u8,
        /// W: the bits that an item leaves to the fields.
        width: u8,
    },
}

impl fmt::Display for ReplicaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { count } => write!(f, "replicas: {count} is not 1 to {}", Replicas::MAX),
            Self::FirstField { bits } => write!(f, "first field: width {bits} is not 1 to 64"),
            Self::PastWidth { bits, width } => write!(f, "first field: width {bits} exceeds the item's {width}"),
        }
    }
}

impl core::error::Error for ReplicaError {}
