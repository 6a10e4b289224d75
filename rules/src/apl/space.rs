//! The address space of a service: what its APL says of each address.

use alloc::vec::Vec;
use core::{fmt, net::Ipv6Addr};

use ipnet::Ipv6Net;

use super::{Apl, AplItem, AplPrefix, MAX_ITEMS, MIN_POSITIVE_LENGTH};
use crate::{order, text};

/// The validated items of family 2 of a service's list.
///
/// The longest item that contains an address decides of it: see [`Membership`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddressSpace {
    positive: Vec<Ipv6Net>,
    negated: Vec<Ipv6Net>,
}

/// What an address is to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// In the service: the longest item that contains it is this positive one.
    Service(Ipv6Net),
    /// Legacy: the longest item that contains it is this negated one.
    Legacy(Ipv6Net),
    /// No item contains it.
    Outside,
}

/// Why a list describes no address space: every fault of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceError {
    /// The faults, those of the whole list first.
    pub faults: Vec<SpaceFault>,
}

/// A fault of a list as an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceFault {
    /// More than [`MAX_ITEMS`] items of family 2, duplicates counted.
    TooManyItems {
        /// How many there are.
        items: usize,
    },
    /// No item of family 2 is positive.
    NoPositiveItem,
    /// A positive item is shorter than [`MIN_POSITIVE_LENGTH`].
    TooShort {
        /// The item.
        item: Ipv6Net,
    },
    /// An item is both positive and negated.
    Conflict {
        /// The item.
        item: Ipv6Net,
    },
}

impl fmt::Display for SpaceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyItems { items } => {
                write!(f, "apl: {items} items of family 2 exceed {MAX_ITEMS}")
            }
            Self::NoPositiveItem => f.write_str("apl: no positive item of family 2; at least one is needed"),
            Self::TooShort { item } => {
                write!(
                    f,
                    "apl 2:{item}: a positive item has at least {MIN_POSITIVE_LENGTH} bits"
                )
            }
            Self::Conflict { item } => write!(f, "apl 2:{item}: is both positive and negated"),
        }
    }
}

impl fmt::Display for SpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_joined(f, &self.faults)
    }
}

impl core::error::Error for SpaceError {}

impl AddressSpace {
    /// Validates the items of family 2 of a list; without any, the list counts as absent and gives nothing.
    ///
    /// # Errors
    ///
    /// Every [`SpaceFault`] of the list.
    pub fn new(apl: &Apl) -> Result<Option<Self>, SpaceError> {
        let items = apl.v6().count();
        if items == 0 {
            return Ok(None);
        }
        let mut faults = Vec::new();
        if items > MAX_ITEMS {
            faults.push(SpaceFault::TooManyItems { items });
        }
        let sorted = |wanted: bool| {
            let of_kind = apl.v6().filter(|(_, negated)| *negated == wanted);
            let mut prefixes = order::ascending(of_kind.map(|(prefix, _)| prefix));
            prefixes.dedup();
            prefixes
        };
        let (positive, negated) = (sorted(false), sorted(true));
        if positive.is_empty() {
            faults.push(SpaceFault::NoPositiveItem);
        }
        let short = positive.iter().filter(|item| item.prefix_len() < MIN_POSITIVE_LENGTH);
        faults.extend(short.map(|item| SpaceFault::TooShort { item: *item }));
        let both = positive.iter().filter(|item| negated.binary_search(item).is_ok());
        faults.extend(both.map(|item| SpaceFault::Conflict { item: *item }));
        if faults.is_empty() {
            Ok(Some(Self { positive, negated }))
        } else {
            Err(SpaceError { faults })
        }
    }

    /// Returns the positive items, ascending, without duplicates.
    #[must_use]
    pub fn positive(&self) -> &[Ipv6Net] {
        &self.positive
    }

    /// Returns the negated items, ascending, without duplicates.
    #[must_use]
    pub fn negated(&self) -> &[Ipv6Net] {
        &self.negated
    }

    /// Returns the items as a list: the positive ones, then the negated ones.
    #[must_use]
    pub fn apl(&self) -> Apl {
        let items = |prefixes: &[Ipv6Net], negated| {
            let items: Vec<AplItem> = prefixes
                .iter()
                .map(|prefix| AplItem {
                    negated,
                    prefix: AplPrefix::V6(*prefix),
                })
                .collect();
            items
        };
        items(&self.positive, false)
            .into_iter()
            .chain(items(&self.negated, true))
            .collect()
    }

    /// Returns what an address is to the service.
    ///
    /// ```
    /// use ssa_rules::{AddressSpace, Apl, Membership};
    ///
    /// let apl: Apl = "2:2001:db8:5::/64 !2:2001:db8:5:0:f000::/68".parse()?;
    /// let space = AddressSpace::new(&apl)?.ok_or("absent")?;
    /// assert!(matches!(space.membership("2001:db8:5::1".parse()?), Membership::Service(_)));
    /// assert!(matches!(space.membership("2001:db8:5:0:f000::1".parse()?), Membership::Legacy(_)));
    /// assert_eq!(space.membership("2001:db8:6::1".parse()?), Membership::Outside);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub fn membership(&self, address: Ipv6Addr) -> Membership {
        let positive = self.positive.iter().map(|item| (item, Membership::Service(*item)));
        let negated = self.negated.iter().map(|item| (item, Membership::Legacy(*item)));
        let containing = positive.chain(negated).filter(|(item, _)| item.contains(&address));
        containing
            .max_by_key(|(item, _)| item.prefix_len())
            .map_or(Membership::Outside, |(_, membership)| membership)
    }
}
