//! The presentation format of APL, RFC 3123 §5: blank-separated items of
//!
//! ```text
//! ["!"] family ":" address "/" length
//! ```
//!
//! The RFC gives no text for families other than 1 and 2; here their address is its AFDPART in hex.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{
    fmt::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::Ipv4Net;

use super::{Apl, AplItem, AplPrefix, OtherPrefix, exact};
use crate::{
    bits,
    text::{BLANKS, Quoted, write_joined},
};

/// The faults of a list in presentation format, every one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The faults, in the order of the items.
    pub faults: Vec<TextFault>,
}

/// A fault in one item of a list in presentation format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextFault {
    /// The item is not `[!]family:address/length`.
    Shape {
        /// Which item, counted from 0.
        item: usize,
        /// The item as given.
        text: String,
    },
    /// The family is not a number from 0 to 65535 without leading zeros.
    Family {
        /// Which item, counted from 0.
        item: usize,
        /// The family as given.
        text: String,
    },
    /// The address is not one of the family.
    Address {
        /// Which item, counted from 0.
        item: usize,
        /// The family.
        family: u16,
        /// The address as given.
        text: String,
    },
    /// The length is not a number without leading zeros, or exceeds the family's.
    Length {
        /// Which item, counted from 0.
        item: usize,
        /// The length as given.
        text: String,
        /// The longest allowed.
        max: u8,
    },
    /// A bit of the address past the length is set (family 2).
    BitsPastLength {
        /// Which item, counted from 0.
        item: usize,
        /// The address as given.
        address: Ipv6Addr,
        /// The prefix length.
        length: u8,
    },
}

impl TextFault {
    /// Returns which item is faulty, counted from 0.
    #[must_use]
    pub fn item(&self) -> usize {
        match self {
            Self::Shape { item, .. }
            | Self::Family { item, .. }
            | Self::Address { item, .. }
            | Self::Length { item, .. }
            | Self::BitsPastLength { item, .. } => *item,
        }
    }
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { item, text } => {
                write!(f, "apl[{item}]: {} is not [!]family:address/length", Quoted(text))
            }
            Self::Family { item, text } => {
                write!(
                    f,
                    "apl[{item}].family: {} is not a number from 0 to 65535 without leading zeros",
                    Quoted(text)
                )
            }
            Self::Address { item, family: 1, text } => write!(f, "apl[{item}].address: {} is not IPv4", Quoted(text)),
            Self::Address { item, family: 2, text } => write!(f, "apl[{item}].address: {} is not IPv6", Quoted(text)),
            Self::Address { item, family, text } => write!(
                f,
                "apl[{item}].address: {} is not hex of at most 127 bytes (family {family})",
                Quoted(text)
            ),
            Self::Length { item, text, max } => {
                write!(
                    f,
                    "apl[{item}].length: {} is not a number from 0 to {max} without leading zeros",
                    Quoted(text)
                )
            }
            Self::BitsPastLength { item, address, length } => {
                let network = Ipv6Addr::from(u128::from(*address) & bits::leading(*length));
                write!(
                    f,
                    "apl[{item}]: a bit of {address} past length {length} is set; write {network}/{length}"
                )
            }
        }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_joined(f, &self.faults)
    }
}

impl core::error::Error for TextError {}

impl FromStr for Apl {
    type Err = TextError;

    /// Parses blank-separated items; the empty text is an empty list.
    ///
    /// # Errors
    ///
    /// Every fault of every item.
    fn from_str(text: &str) -> Result<Self, TextError> {
        let mut items = Vec::new();
        let mut faults = Vec::new();
        let words = text.split(BLANKS).filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            match item(index, word) {
                Ok(item) => items.push(item),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(Self { items })
        } else {
            Err(TextError { faults })
        }
    }
}

fn item(item: usize, word: &str) -> Result<AplItem, TextFault> {
    let (negated, rest) = word.strip_prefix('!').map_or((false, word), |rest| (true, rest));
    let parts = rest.split_once(':').and_then(|(family, rest)| {
        let (address, length) = rest.rsplit_once('/')?;
        Some((family, address, length))
    });
    let (family, address, length) = parts.ok_or_else(|| TextFault::Shape {
        item,
        text: word.into(),
    })?;
    let family: u16 = decimal(family).ok_or_else(|| TextFault::Family {
        item,
        text: family.into(),
    })?;
    let bad_address = || TextFault::Address {
        item,
        family,
        text: address.into(),
    };
    let length_up_to = |max: u8| {
        let fault = || TextFault::Length {
            item,
            text: length.into(),
            max,
        };
        decimal(length).filter(|length| *length <= max).ok_or_else(fault)
    };
    let prefix = match family {
        1 => {
            let address: Ipv4Addr = address.parse().map_err(|_| bad_address())?;
            let length = length_up_to(32)?;
            AplPrefix::V4(Ipv4Net::new(address, length).map_err(|_| bad_address())?)
        }
        2 => {
            let address: Ipv6Addr = address.parse().map_err(|_| bad_address())?;
            let length = length_up_to(128)?;
            let past = TextFault::BitsPastLength { item, address, length };
            AplPrefix::V6(exact(address, length).ok_or(past)?)
        }
        _ => {
            let bytes = hex(address).ok_or_else(bad_address)?;
            let length = length_up_to(u8::MAX)?;
            AplPrefix::Other(OtherPrefix::new(family, length, bytes).ok_or_else(bad_address)?)
        }
    };
    Ok(AplItem { negated, prefix })
}

/// Reads a decimal number with no sign and no leading zero.
pub(crate) fn decimal<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let plain = text.len() == 1 || !text.starts_with('0');
    if digits && plain { text.parse().ok() } else { None }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

impl fmt::Display for AplItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_char('!')?;
        }
        match &self.prefix {
            AplPrefix::V4(prefix) => write!(f, "1:{}/{}", prefix.addr(), prefix.prefix_len()),
            AplPrefix::V6(prefix) => {
                f.write_str("2:")?;
                // Hex even where RFC 5952 §5 would mix in dotted decimal: a record must not grow by being printed.
                match prefix.addr().segments() {
                    [0, 0, 0, 0, 0, 0xffff, high, low] => write!(f, "::ffff:{high:x}:{low:x}")?,
                    _ => write!(f, "{}", prefix.addr())?,
                }
                write!(f, "/{}", prefix.prefix_len())
            }
            AplPrefix::Other(prefix) => {
                write!(f, "{}:", prefix.family)?;
                prefix.address.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                write!(f, "/{}", prefix.length)
            }
        }
    }
}

impl fmt::Display for Apl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<String> = self.items.iter().map(ToString::to_string).collect();
        f.write_str(&items.join(" "))
    }
}
