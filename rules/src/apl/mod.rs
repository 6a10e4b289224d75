//! Address prefix lists: the DNS APL record (RFC 3123), its two formats, and the address space that it describes.

mod space;
mod text;
mod unroutable;
mod wire;

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::bits;

pub use space::{AddressSpace, Membership, SpaceError, SpaceFault};
pub(crate) use text::decimal;
pub use text::{TextError, TextFault};
pub use unroutable::Unroutable;
pub use wire::{WireError, WireFault};

/// The maximum number of items of family 2 that an address space may have, duplicates counted.
pub const MAX_ITEMS: usize = 64;

/// The shortest positive item, in bits.
pub const MIN_POSITIVE_LENGTH: u8 = 16;

/// An address prefix list in the order it was published: the content of one APL record, or of several united.
///
/// It parses from and prints to the presentation format of RFC 3123 §5 (`1:192.0.2.0/24 !2:2001:db8::/48`), and
/// decodes from and encodes to its RDATA format (§4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Apl {
    items: Vec<AplItem>,
}

/// One item of a list: a prefix, or the negation of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AplItem {
    /// Whether the item is negated (`!`).
    pub negated: bool,
    /// The prefix.
    pub prefix: AplPrefix,
}

/// The prefix of an item, by address family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AplPrefix {
    /// Address family 1. SSA ignores it.
    V4(Ipv4Net),
    /// Address family 2. Bits past the length count as zero; parsers refuse others.
    V6(Ipv6Net),
    /// Any other address family, kept as it came. SSA ignores it.
    Other(OtherPrefix),
}

/// A prefix of an address family that this crate does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherPrefix {
    family: u16,
    length: u8,
    address: Vec<u8>,
}

impl OtherPrefix {
    /// Accepts a family other than 1 and 2 and an AFDPART of at most 127 bytes.
    #[must_use]
    pub fn new(family: u16, length: u8, address: Vec<u8>) -> Option<Self> {
        let fits = !matches!(family, 1 | 2) && address.len() <= 127;
        fits.then_some(Self {
            family,
            length,
            address,
        })
    }

    /// Returns the IANA address family number.
    #[must_use]
    pub fn family(&self) -> u16 {
        self.family
    }

    /// Returns the prefix length in bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Returns the AFDPART as it came: only families 1 and 2 say what its trailing zeros mean.
    #[must_use]
    pub fn address(&self) -> &[u8] {
        &self.address
    }
}

impl AplItem {
    /// Makes an item of family 2, or nothing where the prefix has bits past its length.
    #[must_use]
    pub fn v6(prefix: Ipv6Net, negated: bool) -> Option<Self> {
        (prefix.addr() == prefix.network()).then_some(Self {
            negated,
            prefix: AplPrefix::V6(prefix),
        })
    }
}

impl Apl {
    /// Returns the items in their order.
    #[must_use]
    pub fn items(&self) -> &[AplItem] {
        &self.items
    }

    /// Appends the items of another record of the same name: several APL records are united.
    pub fn unite(&mut self, other: Self) {
        self.items.extend(other.items);
    }

    /// Returns the items of family 2, the only ones that SSA looks at.
    pub fn v6(&self) -> impl Iterator<Item = (Ipv6Net, bool)> {
        self.items.iter().filter_map(|item| match item.prefix {
            AplPrefix::V6(prefix) => {
                let length = prefix.prefix_len();
                let network = u128::from(prefix.addr()) & bits::leading(length);
                Some((Ipv6Net::new(network.into(), length).ok()?, item.negated))
            }
            AplPrefix::V4(_) | AplPrefix::Other(_) => None,
        })
    }
}

impl FromIterator<AplItem> for Apl {
    fn from_iter<T: IntoIterator<Item = AplItem>>(items: T) -> Self {
        Self {
            items: items.into_iter().collect(),
        }
    }
}

/// Returns the prefix as the number that its network address is.
pub(crate) fn number(prefix: Ipv6Net) -> u128 {
    u128::from(prefix.network())
}

/// Makes a prefix of an address and a length, or nothing where a bit past the length is set.
fn exact(address: Ipv6Addr, length: u8) -> Option<Ipv6Net> {
    Ipv6Net::new(address, length)
        .ok()
        .filter(|prefix| prefix.network() == address)
}
