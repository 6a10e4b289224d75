//! The addresses that SVCB and HTTPS records give as hints (RFC 9460 §7.3).
//!
//! ```text
//! SvcPriority:16 TargetName (key:16 length:16 value)…
//! ```

use std::net::Ipv6Addr;

use super::{message::name, number};

/// The keys that must be understood (RFC 9460 §8).
const MANDATORY: u16 = 0;

/// IPv6 addresses (RFC 9460 §7.3).
const IPV6_HINT: u16 = 6;

/// A record's data. What the form for aliases has besides a name counts for nobody (RFC 9460 §2.4.2), and is read all the
/// same, for there are clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// The name whose addresses the hints are, in lower case; the root stands for the record's owner.
    pub target: Vec<u8>,
    head: &'a [u8],
    params: Vec<(u16, &'a [u8])>,
}

impl<'a> Service<'a> {
    /// Reads data; nothing where they are malformed: truncated, with keys that are not in order, or with hints that are
    /// no addresses (RFC 9460 §2.2, §7.3).
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        // The name is never behind a pointer (RFC 9460 §2.2).
        let named = data.get(2..)?;
        let (mut target, end) = name(named, 0)?;
        target.make_ascii_lowercase();
        let (head, mut rest) = data.split_at_checked(end.checked_add(2)?)?;
        let mut params: Vec<(u16, &[u8])> = Vec::new();
        while !rest.is_empty() {
            let (key, length) = (number(rest, 0)?, number(rest, 2)?);
            let (value, left) = rest.get(4..)?.split_at_checked(length.into())?;
            let is_address = !value.is_empty() && value.as_chunks::<16>().1.is_empty();
            let is_late = params.last().is_some_and(|(last, _)| *last >= key);
            if is_late || key == IPV6_HINT && !is_address {
                return None;
            }
            params.push((key, value));
            rest = left;
        }
        Some(Self { target, head, params })
    }

    /// Returns the IPv6 addresses that it hints at.
    pub fn hints(&self) -> impl Iterator<Item = Ipv6Addr> {
        let hints = self.params.iter().filter(|(key, _)| *key == IPV6_HINT);
        hints.flat_map(|(_, value)| {
            let (addresses, _) = value.as_chunks::<16>();
            addresses.iter().copied().map(Ipv6Addr::from)
        })
    }

    /// Returns the data without IPv6 addresses, and without the demand that they be understood.
    #[must_use]
    pub fn without_hints(&self) -> Vec<u8> {
        let mut data = self.head.to_vec();
        for (key, value) in &self.params {
            let value = match *key {
                IPV6_HINT => continue,
                MANDATORY => {
                    let (keys, _) = value.as_chunks::<2>();
                    let left = keys.iter().filter(|key| **key != IPV6_HINT.to_be_bytes());
                    left.flatten().copied().collect()
                }
                _ => value.to_vec(),
            };
            // The list of mandatory keys is never empty (RFC 9460 §8).
            if *key == MANDATORY && value.is_empty() {
                continue;
            }
            data.extend(key.to_be_bytes());
            data.extend(u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
            data.extend(value);
        }
        data
    }
}
