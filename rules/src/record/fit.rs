//! Whether a template fits an address space (docs/spec.md §2).

use alloc::vec::Vec;
use core::fmt;

use ipnet::Ipv6Net;

use super::{Field, Template};
use crate::apl::AddressSpace;

/// A fault of a template together with an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitFault {
    /// A positive item is not exactly as long as the template leaves room for.
    Length {
        /// The item.
        item: Ipv6Net,
        /// The length that it must have: 128−W bits.
        expected: u8,
    },
    /// A negated item cannot be escaped by random bits, so sources or objects would be locked out.
    LockedOut {
        /// The negated item.
        negated: Ipv6Net,
        /// The positive item that it lies in.
        positive: Ipv6Net,
    },
}

impl fmt::Display for FitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { item, expected } => write!(
                f,
                "apl 2:{item}: the template of {} bits needs positive items of exactly {expected} bits",
                128_u8.saturating_sub(*expected)
            ),
            Self::LockedOut { negated, positive } => write!(
                f,
                "apl !2:{negated}: the template has no rand bit among the {} after 2:{positive}, so sources or objects \
                 would be locked out",
                negated.prefix_len().saturating_sub(positive.prefix_len())
            ),
        }
    }
}

impl Template {
    /// Returns every fault of the template with this address space: none, where it fits.
    #[must_use]
    pub fn misfits(&self, space: &AddressSpace) -> Vec<FitFault> {
        let expected = self.item_length();
        let wrong = space.positive().iter().filter(|item| item.prefix_len() != expected);
        let mut faults: Vec<FitFault> = wrong.map(|item| FitFault::Length { item: *item, expected }).collect();
        let pairs = space.positive().iter().flat_map(|positive| {
            let inside = space
                .negated()
                .iter()
                .filter(move |negated| positive.contains(*negated));
            inside.map(move |negated| (*positive, *negated))
        });
        let locked = pairs.filter(|(positive, negated)| {
            !self.has_rand_within(negated.prefix_len().saturating_sub(positive.prefix_len()))
        });
        faults.extend(locked.map(|(positive, negated)| FitFault::LockedOut { negated, positive }));
        faults
    }

    /// Returns whether a rand bit is among the first bits of the template.
    fn has_rand_within(&self, bits: u8) -> bool {
        let mut before = 0_u8;
        self.fields().iter().any(|field| {
            let starts_within = before < bits;
            before = before.saturating_add(field.width());
            starts_within && matches!(field, Field::Rand { .. })
        })
    }
}
