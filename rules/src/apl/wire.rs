//! The RDATA format of APL, RFC 3123 §4: items of
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+---------------+-+-------------+
//! |         ADDRESSFAMILY         |    PREFIX     |N|  AFDLENGTH  |
//! +-------------------------------+---------------+-+-------------+
//! /                            AFDPART                            /
//! +---------------------------------------------------------------+
//! ```
//!
//! For families 1 and 2, AFDPART is the address without its trailing zero bytes: a sender omits them all, so a list has
//! one encoding. What other families put there is kept as it came.

use alloc::vec::Vec;
use core::{fmt, net::Ipv6Addr};

use ipnet::Ipv4Net;

use super::{Apl, AplItem, AplPrefix, OtherPrefix, exact};

/// A fault in the RDATA of an APL record, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// Which item, counted from 0.
    pub item: usize,
    /// The offset in bytes of the item in the RDATA.
    pub offset: usize,
    /// What is wrong with it.
    pub fault: WireFault,
}

/// What is wrong with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFault {
    /// Fewer bytes are left than the item's head (4) or its AFDLENGTH asks for.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes left.
        left: usize,
    },
    /// PREFIX is longer than an address of the family.
    PrefixTooLong {
        /// The prefix length.
        length: u8,
        /// The longest allowed.
        max: u8,
    },
    /// AFDPART is longer than an address of the family.
    AddressTooLong {
        /// Its bytes.
        bytes: u8,
        /// The most allowed.
        max: u8,
    },
    /// AFDPART ends in a zero byte, which a sender must omit.
    TrailingZero,
    /// A bit of the address past the prefix length is set (family 2).
    BitsPastPrefix {
        /// The prefix length.
        length: u8,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "apl[{}] at byte {}: ", self.item, self.offset)?;
        match self.fault {
            WireFault::Truncated { needed, left } => {
                write!(f, "{needed} bytes needed, {left} left")
            }
            WireFault::PrefixTooLong { length, max } => {
                write!(f, "prefix length {length} exceeds {max}")
            }
            WireFault::AddressTooLong { bytes, max } => {
                write!(f, "address part of {bytes} bytes exceeds {max}")
            }
            WireFault::TrailingZero => f.write_str("address part ends in a zero byte; trailing zeros are omitted"),
            WireFault::BitsPastPrefix { length } => {
                write!(f, "a bit past the prefix length {length} is set")
            }
        }
    }
}

impl core::error::Error for WireError {}

impl Apl {
    /// Decodes the RDATA of one APL record. An empty RDATA is an empty list.
    ///
    /// ```
    /// use ssa_rules::Apl;
    ///
    /// // `1:192.168.32.0/21 !1:192.168.38.0/28`, an example of RFC 3123 §6.
    /// let rdata = [0, 1, 21, 3, 192, 168, 32, 0, 1, 28, 0x83, 192, 168, 38];
    /// assert_eq!(Apl::from_wire(&rdata)?.to_string(), "1:192.168.32.0/21 !1:192.168.38.0/28");
    /// # Ok::<(), ssa_rules::apl::WireError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WireError`] for the first faulty item: past it, nothing says where the next one starts.
    pub fn from_wire(rdata: &[u8]) -> Result<Self, WireError> {
        let mut items = Vec::new();
        let mut rest = rdata;
        while !rest.is_empty() {
            let offset = rdata.len().saturating_sub(rest.len());
            let (item, after) = decode_item(rest).map_err(|fault| WireError {
                item: items.len(),
                offset,
                fault,
            })?;
            items.push(item);
            rest = after;
        }
        Ok(Self { items })
    }

    /// Encodes the list as RDATA.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut rdata = Vec::new();
        for item in &self.items {
            match &item.prefix {
                AplPrefix::V4(prefix) => {
                    encode_item(
                        &mut rdata,
                        1,
                        prefix.prefix_len(),
                        item.negated,
                        trimmed(&prefix.addr().octets()),
                    );
                }
                AplPrefix::V6(prefix) => {
                    encode_item(
                        &mut rdata,
                        2,
                        prefix.prefix_len(),
                        item.negated,
                        trimmed(&prefix.addr().octets()),
                    );
                }
                AplPrefix::Other(prefix) => {
                    encode_item(&mut rdata, prefix.family, prefix.length, item.negated, &prefix.address);
                }
            }
        }
        rdata
    }
}

fn decode_item(rest: &[u8]) -> Result<(AplItem, &[u8]), WireFault> {
    let truncated = |needed| WireFault::Truncated {
        needed,
        left: rest.len(),
    };
    let (&[family_high, family_low, length, flags], after) = rest.split_first_chunk().ok_or(truncated(4))?;
    let bytes = flags & 0x7f;
    let needed = usize::from(bytes).saturating_add(4);
    let (address, after) = after.split_at_checked(usize::from(bytes)).ok_or(truncated(needed))?;

    let family = u16::from_be_bytes([family_high, family_low]);
    let bounds = |max_length: u8| {
        let max = max_length / 8;
        if length > max_length {
            Err(WireFault::PrefixTooLong {
                length,
                max: max_length,
            })
        } else if bytes > max {
            Err(WireFault::AddressTooLong { bytes, max })
        } else if address.last() == Some(&0) {
            Err(WireFault::TrailingZero)
        } else {
            Ok(())
        }
    };
    let prefix = match family {
        1 => {
            bounds(32)?;
            let net = Ipv4Net::new(padded(address).into(), length);
            AplPrefix::V4(net.map_err(|_| WireFault::PrefixTooLong { length, max: 32 })?)
        }
        2 => {
            bounds(128)?;
            let address: Ipv6Addr = padded(address).into();
            AplPrefix::V6(exact(address, length).ok_or(WireFault::BitsPastPrefix { length })?)
        }
        _ => {
            let fault = WireFault::AddressTooLong { bytes, max: 127 };
            AplPrefix::Other(OtherPrefix::new(family, length, address.into()).ok_or(fault)?)
        }
    };
    Ok((
        AplItem {
            negated: flags & 0x80 != 0,
            prefix,
        },
        after,
    ))
}

/// Restores the trailing zeros that the sender omitted.
fn padded<const N: usize>(address: &[u8]) -> [u8; N] {
    let mut octets = [0; N];
    octets.iter_mut().zip(address).for_each(|(octet, byte)| *octet = *byte);
    octets
}

/// Leaves out the trailing zeros of an address.
fn trimmed(address: &[u8]) -> &[u8] {
    let significant = address
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last.saturating_add(1));
    address.get(..significant).unwrap_or_default()
}

fn encode_item(rdata: &mut Vec<u8>, family: u16, length: u8, negated: bool, address: &[u8]) {
    let negation = if negated { 0x80 } else { 0 };
    let flags = u8::try_from(address.len()).unwrap_or(0x7f).saturating_add(negation);
    rdata.extend(family.to_be_bytes());
    rdata.extend([length, flags]);
    rdata.extend(address);
}
