//! The slices of a service and the prefixes that route them.

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use ipnet::Ipv6Net;

use crate::{MAX_SLICES, SliceBits, SliceId};

/// Cuts each positive item of a service into 2^s equal slices.
///
/// ```text
///  0                         128−W        128−W+s                            127
/// +-------------------------------+-----------+---------------------------------+
/// |  item (one of the APL's)      |  s bits   |  the addresses of the slice     |
/// +-------------------------------+-----------+---------------------------------+
/// |<-------- prefix that routes the slice --->|
/// ```
///
/// Slices are numbered item by item, the items in ascending order whatever the order they were given in: see [`SliceId`].
///
/// ```
/// use ssa_slices::{SliceBits, SliceId, SliceSpace};
///
/// // A /64 in 16384 slices of /78.
/// let space = SliceSpace::new(&["2001:db8:5::/64".parse()?], SliceBits::new(14)?)?;
/// assert_eq!(space.count(), 16_384);
/// let slice = space.slice_of("2001:db8:5:0:8000::1".parse()?);
/// assert_eq!(slice, Some(SliceId::new(8192)));
/// assert_eq!(space.prefix_of(SliceId::new(8192)), Some("2001:db8:5:0:8000::/78".parse()?));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceSpace {
    /// The items' addresses, ascending.
    items: Vec<u128>,
    item_len: u8,
    bits: SliceBits,
}

impl SliceSpace {
    /// Takes the positive items, in any order, and how finely to cut them.
    ///
    /// # Errors
    ///
    /// [`SliceError`] if there is no item, an item has bits past its length, items differ in length or repeat, s exceeds
    /// the bits that an item leaves, or there would be more than [`MAX_SLICES`].
    pub fn new(items: &[Ipv6Net], bits: SliceBits) -> Result<Self, SliceError> {
        let item_len = items.first().ok_or(SliceError::NoItems)?.prefix_len();
        for (index, item) in items.iter().enumerate() {
            if item.prefix_len() != item_len {
                return Err(SliceError::ItemLength {
                    index,
                    length: item.prefix_len(),
                    expected: item_len,
                });
            }
            if item.trunc() != *item {
                return Err(SliceError::HostBits { index, item: *item });
            }
        }
        let width = 128_u8.saturating_sub(item_len);
        if bits.get() > width {
            return Err(SliceError::PastWidth {
                bits: bits.get(),
                width,
            });
        }
        let slices = items.len().saturating_mul(bits.per_item());
        if slices > MAX_SLICES {
            return Err(SliceError::TooManySlices { slices });
        }
        let mut addresses: Vec<u128> = items.iter().map(|item| item.addr().to_bits()).collect();
        addresses.sort_unstable();
        let twice = addresses
            .iter()
            .zip(addresses.iter().skip(1))
            .find(|(one, next)| one == next);
        if let Some((address, _)) = twice {
            return Err(SliceError::ItemTwice {
                item: net(*address, item_len),
            });
        }
        Ok(Self {
            items: addresses,
            item_len,
            bits,
        })
    }

    /// Returns the number of slices of all items.
    #[must_use]
    pub fn count(&self) -> usize {
        self.items.len().saturating_mul(self.bits.per_item())
    }

    /// Returns s.
    #[must_use]
    pub const fn bits(&self) -> SliceBits {
        self.bits
    }

    /// Returns W, the number of bits that an item leaves to the fields.
    #[must_use]
    pub const fn width(&self) -> u8 {
        128_u8.saturating_sub(self.item_len)
    }

    /// Returns the prefix length of a slice.
    #[must_use]
    pub const fn slice_length(&self) -> u8 {
        self.item_len.saturating_add(self.bits.get())
    }

    /// Returns the items in ascending order.
    #[must_use]
    pub fn items(&self) -> impl ExactSizeIterator<Item = Ipv6Net> + '_ {
        self.items.iter().map(|address| net(*address, self.item_len))
    }

    /// Returns the slices in ascending order.
    pub fn slices(&self) -> impl Iterator<Item = SliceId> + use<> {
        (0..self.count()).map(SliceId::at)
    }

    /// Returns the slice that an address lies in; none if it lies in no item.
    #[must_use]
    pub fn slice_of(&self, address: Ipv6Addr) -> Option<SliceId> {
        let bits = address.to_bits();
        let item = bits & high_bits(self.item_len);
        let index = self.items.binary_search(&item).ok()?;
        let inside = bits ^ item;
        let slice = inside.checked_shr(self.shift()).unwrap_or(0);
        Some(SliceId::at((index << self.bits.get()) + usize::try_from(slice).ok()?))
    }

    /// Returns the prefix that routes a slice; none if the space lacks the slice.
    #[must_use]
    pub fn prefix_of(&self, slice: SliceId) -> Option<Ipv6Net> {
        self.block(slice.index(), 0)
    }

    /// Returns the item that a slice was cut from; none if the space lacks the slice.
    #[must_use]
    pub fn item_of(&self, slice: SliceId) -> Option<Ipv6Net> {
        self.block(slice.index(), self.bits.get())
    }

    /// Returns the fewest prefixes that cover just these slices, in ascending order; repeated slices count once.
    ///
    /// Slices join into a prefix where 2^k of them follow each other, the first one's number a multiple of 2^k,
    /// within one item. Prefixes never join across items, not even across neighbouring ones: an announcement then always
    /// lies in one item, route filters made from the APL let it pass, and items can be added or taken away without
    /// touching the routes of others.
    ///
    /// # Errors
    ///
    /// [`SliceError::UnknownSlice`] for a slice that the space lacks.
    ///
    /// ```
    /// use ssa_slices::{SliceBits, SliceId, SliceSpace};
    ///
    /// let space = SliceSpace::new(&["2001:db8:5::/64".parse()?], SliceBits::new(4)?)?;
    /// let prefixes = space.aggregate((3..8).map(SliceId::new))?;
    /// let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    /// assert_eq!(prefixes, ["2001:db8:5:0:3000::/68", "2001:db8:5:0:4000::/66"]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn aggregate(&self, slices: impl IntoIterator<Item = SliceId>) -> Result<Vec<Ipv6Net>, SliceError> {
        let count = self.count();
        let mut positions: Vec<usize> = slices.into_iter().map(SliceId::index).collect();
        positions.sort_unstable();
        positions.dedup();
        if let Some(last) = positions.last().copied().filter(|last| *last >= count) {
            return Err(SliceError::UnknownSlice {
                slice: SliceId::at(last),
                count,
            });
        }
        Ok(blocks(&positions, self.bits)
            .filter_map(|block| self.block(block.start, block.order))
            .collect())
    }

    /// The prefix of 2^order slices, the first one given.
    fn block(&self, start: usize, order: u8) -> Option<Ipv6Net> {
        let s = self.bits.get();
        let item = self.items.get(start >> s)?;
        let inside = start & self.bits.per_item().saturating_sub(1);
        let length = self.item_len.saturating_add(s.saturating_sub(order));
        let address = item + u128::try_from(inside).ok()?.checked_shl(self.shift()).unwrap_or(0);
        Some(net(address & high_bits(length), length))
    }

    /// How far a slice's number lies from an address's end; 128 where the item is `::/0` and s is 0.
    fn shift(&self) -> u32 {
        u32::from(self.width().saturating_sub(self.bits.get()))
    }
}

/// 2^order slices, the first one a multiple of 2^order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) start: usize,
    pub(crate) order: u8,
}

/// Joins slices, ascending and each once, into the fewest blocks that stay within an item.
pub(crate) fn blocks(positions: &[usize], bits: SliceBits) -> impl Iterator<Item = Block> + '_ {
    let mut rest = positions;
    core::iter::from_fn(move || {
        let start = *rest.first()?;
        let run = rest.iter().zip(start..).take(bits.per_item());
        let run = run.take_while(|(position, expected)| **position == *expected).count();
        let aligned = u8::try_from(start.trailing_zeros()).unwrap_or(u8::MAX);
        let fits = u8::try_from(run.checked_ilog2()?).unwrap_or(u8::MAX);
        let order = aligned.min(fits).min(bits.get());
        rest = rest.get(1 << order..).unwrap_or_default();
        Some(Block { start, order })
    })
}

fn high_bits(length: u8) -> u128 {
    u128::MAX
        .checked_shl(u32::from(128_u8.saturating_sub(length)))
        .unwrap_or(0)
}

/// Writes a prefix whose length came from a prefix, cut further by at most the bits it left.
fn net(address: u128, length: u8) -> Ipv6Net {
    Ipv6Net::new(Ipv6Addr::from_bits(address), length).unwrap_or_default()
}

/// Says why a service cannot be cut into slices, or a slice is not one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SliceError {
    /// No item was given.
    NoItems,
    /// Items differ in length.
    ItemLength {
        /// The item's place in the list given.
        index: usize,
        /// Its length.
        length: u8,
        /// The length of the first item.
        expected: u8,
    },
    /// An item has bits past its length.
    HostBits {
        /// The item's place in the list given.
        index: usize,
        /// The item.
        item: Ipv6Net,
    },
    /// An item occurs twice.
    ItemTwice {
        /// The item.
        item: Ipv6Net,
    },
    /// s exceeds the bits that an item leaves.
    PastWidth {
        /// The s asked for.
        bits: u8,
        /// W: the bits that an item leaves.
        width: u8,
    },
    /// There would be more than [`MAX_SLICES`].
    TooManySlices {
        /// How many there would be.
        slices: usize,
    },
    /// The space lacks the slice.
    UnknownSlice {
        /// The slice.
        slice: SliceId,
        /// How many slices the space has.
        count: usize,
    },
}

impl fmt::Display for SliceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoItems => write!(f, "items: none"),
            Self::ItemLength {
                index,
                length,
                expected,
            } => {
                write!(
                    f,
                    "items[{index}]: length {length} differs from the first item's {expected}"
                )
            }
            Self::HostBits { index, item } => write!(f, "items[{index}]: {item} has bits past its length"),
            Self::ItemTwice { item } => write!(f, "items: {item} occurs twice"),
            Self::PastWidth { bits, width } => write!(f, "slice bits: {bits} exceeds the item's {width}"),
            Self::TooManySlices { slices } => write!(f, "slices: {slices} exceeds {MAX_SLICES}"),
            Self::UnknownSlice { slice, count } => write!(f, "slice: {slice} is not below {count}"),
        }
    }
}

impl core::error::Error for SliceError {}
