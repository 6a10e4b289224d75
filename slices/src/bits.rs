//! Into how many slices an item is cut.

use core::fmt;

/// The maximum number of slices of a service.
pub const MAX_SLICES: usize = 1 << 20;

/// Says into how many slices each item is cut: 2^s, s being 0 to 20.
///
/// ```
/// use ssa_slices::SliceBits;
///
/// assert_eq!(SliceBits::new(14)?.per_item(), 16_384);
/// assert!(SliceBits::new(21).is_err());
/// # Ok::<(), ssa_slices::SliceBitsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceBits(u8);

impl SliceBits {
    /// The greatest s: one item cut into [`MAX_SLICES`].
    pub const MAX: u8 = 20;

    /// Takes s.
    ///
    /// # Errors
    ///
    /// [`SliceBitsError`] if s exceeds [`SliceBits::MAX`].
    pub const fn new(bits: u8) -> Result<Self, SliceBitsError> {
        if bits > Self::MAX {
            return Err(SliceBitsError { bits });
        }
        Ok(Self(bits))
    }

    /// Returns s.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns the number of slices of one item: 2^s.
    #[must_use]
    pub const fn per_item(self) -> usize {
        1 << self.0
    }
}

/// An item cannot be cut into so many slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceBitsError {
    /// The s asked for.
    pub bits: u8,
}

impl fmt::Display for SliceBitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slice bits: {} exceeds {}", self.bits, SliceBits::MAX)
    }
}

impl core::error::Error for SliceBitsError {}
