//! Object keys that lead home: a server that names its objects itself draws names until one leads to its own slice.
//!
//! ```
//! use ssa_rules::{AddressSpace, Apl, Key, Record, Request, Rule, Source};
//!
//! let record: Record = "v=ssa1; addr=hash(obj):12 const(0):52; replicas=2".parse()?;
//! let apl: Apl = "2:2001:db8:5::/64".parse()?;
//! let rule = Rule::prepare(&record, AddressSpace::new(&apl)?.as_ref(), &Key::None)?;
//!
//! let mut state = 0_u64;
//! let mut random = || { state = state.wrapping_add(0x9e37_79b9_7f4a_7c15); state.wrapping_mul(0xbf58_476d_1ce4_e5b9) };
//! let request = Request::new(Source("2001:db8:77::7".parse()?));
//! let home = "2001:db8:5:0:a000::/67".parse()?;
//! let minted = rule.mint(&request, home, "session-", &mut random)?;
//! assert!(minted.key.starts_with("session-") && home.contains(&minted.address.0));
//!
//! let again = Request { object: Some(minted.key.as_bytes()), replica: minted.replica, ..request };
//! assert_eq!(rule.compose(&again, &mut random)?, minted.address);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use alloc::string::String;
use core::fmt::{self, Write as _};

use ipnet::Ipv6Net;

use crate::{
    rule::{ComposeError, ItemSet, Request, Rule},
    types::{Destination, Replica},
};

/// The most bits that a slice is longer than its item: one key in 2²⁴ leads there.
pub const MAX_SLICE_BITS: u8 = 24;

/// The longest prefix of a key, in bytes.
pub const MAX_PREFIX_BYTES: usize = 256;

/// How many keys are drawn for each that is expected: the chance that none of them leads home is e⁻⁶⁴.
const PATIENCE: u64 = 64;

/// A key that leads home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The object key: the prefix, and a UUID of version 4 (RFC 9562 §5.4).
    pub key: String,
    /// The address that it leads to.
    pub address: Destination,
    /// The replica that it leads to by.
    pub replica: Replica,
    /// How many keys were drawn.
    pub tries: u64,
}

/// Why no key was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintError {
    /// The prefix of the key is too long.
    PrefixTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The slice lies in no positive item.
    NotInService {
        /// The slice.
        home: Ipv6Net,
    },
    /// The slice is too small to be found by drawing keys.
    TooSmall {
        /// How many bits it is longer than its item.
        bits: u8,
    },
    /// Random bits choose among slices of this size: the same key leads to another one the next time.
    Random {
        /// How many bits it is longer than its item.
        bits: u8,
        /// How many bits follow the item before the first random one.
        fixed: u32,
    },
    /// The address cannot be composed, whatever the key.
    Compose(ComposeError),
    /// No key that was drawn leads there: the rule never does, or the object key does not decide.
    NoneLeads {
        /// The slice.
        home: Ipv6Net,
        /// How many were drawn.
        tries: u64,
    },
}

impl fmt::Display for MintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrefixTooLong { length } => {
                write!(
                    f,
                    "the prefix of the key has {length} bytes; at most {MAX_PREFIX_BYTES} are allowed"
                )
            }
            Self::NotInService { home } => write!(f, "{home} lies in no positive item of the service"),
            Self::TooSmall { bits } => {
                write!(
                    f,
                    "the slice is {bits} bits longer than its item; at most {MAX_SLICE_BITS} are allowed"
                )
            }
            Self::Random { bits, fixed } => {
                write!(
                    f,
                    "the slice is {bits} bits longer than its item, and the rule draws all but the first {fixed} at random"
                )
            }
            Self::Compose(error) => error.fmt(f),
            Self::NoneLeads { home, tries } => {
                write!(
                    f,
                    "none of {tries} keys leads to {home}: the rule never leads there, or not by the object key"
                )
            }
        }
    }
}

impl core::error::Error for MintError {}

impl Rule {
    /// Draws object keys until one leads to an address in this slice, by any replica: the key of the request and its
    /// replica count for nothing, all else of it does.
    ///
    /// About 2ⁿ keys are drawn for a slice that is n bits longer than its item, divided by the number of replicas, and
    /// 64·2ⁿ at most.
    ///
    /// # Errors
    ///
    /// [`MintError`].
    pub fn mint(
        &self,
        request: &Request<'_>,
        home: Ipv6Net,
        prefix: &str,
        random: &mut impl FnMut() -> u64,
    ) -> Result<Minted, MintError> {
        if prefix.len() > MAX_PREFIX_BYTES {
            return Err(MintError::PrefixTooLong { length: prefix.len() });
        }
        let item = self.positive_items().find(|(_, item)| item.contains(&home));
        let (item, bits) = item
            .map(|(index, item)| (index, home.prefix_len().saturating_sub(item.prefix_len())))
            .ok_or(MintError::NotInService { home })?;
        if bits > MAX_SLICE_BITS {
            return Err(MintError::TooSmall { bits });
        }
        let fixed = self.bits_before_random();
        if u32::from(bits) > fixed {
            return Err(MintError::Random { bits, fixed });
        }
        let mut key = String::with_capacity(prefix.len().saturating_add(36));
        // Among several items, each is as likely as another.
        let items = u64::try_from(self.positive_items().count()).unwrap_or(1);
        let most = PATIENCE
            .saturating_mul(items)
            .saturating_mul(1_u64.unbounded_shl(bits.into()));
        let mut tries = 0_u64;
        while tries < most {
            tries = tries.saturating_add(1);
            key.clear();
            key.push_str(prefix);
            write_uuid(&mut key, random);
            for replica in (0..self.replicas()).map(Replica) {
                let request = Request {
                    object: Some(key.as_bytes()),
                    replica,
                    ..*request
                };
                // Only where clients compose the item themselves does it depend on the key.
                let address = if self.computes_item() {
                    self.search(&request, ItemSet::EMPTY, random)
                } else {
                    self.search_in(item, &request, random)
                };
                let address = match address {
                    Ok(search) => search.candidate(),
                    Err(ComposeError::NotInService) => continue,
                    Err(error) => return Err(MintError::Compose(error)),
                };
                if home.contains(&address.0) {
                    return Ok(Minted {
                        key,
                        address,
                        replica,
                        tries,
                    });
                }
            }
        }
        Err(MintError::NoneLeads { home, tries })
    }
}

/// Writes a UUID of version 4: 122 random bits.
fn write_uuid(text: &mut String, random: &mut impl FnMut() -> u64) {
    let (high, low) = (random(), random());
    let high = high & !0xf000 | 0x4000;
    let low = low & (u64::MAX >> 2) | 1 << 63;
    let group = |bits: u64, shift: u32, mask: u64| bits.unbounded_shr(shift) & mask;
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        group(high, 32, 0xffff_ffff),
        group(high, 16, 0xffff),
        group(high, 0, 0xffff),
        group(low, 48, 0xffff),
        group(low, 0, 0xffff_ffff_ffff)
    );
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;
    use crate::{AddressSpace, Apl, Key, Record, Source};

    fn rule(record: &str, apl: &str) -> Rule {
        let record: Record = record.parse().unwrap();
        let apl: Apl = apl.parse().unwrap();
        Rule::prepare(&record, AddressSpace::new(&apl).unwrap().as_ref(), &Key::None).unwrap()
    }

    fn random() -> impl FnMut() -> u64 {
        let mut counter = 0_u64;
        move || {
            counter += 1;
            crate::hash::siphash24(b"mint under tests", &counter.to_be_bytes())
        }
    }

    fn request() -> Request<'static> {
        Request::new(Source("2001:db8:77::7".parse().unwrap()))
    }

    fn home(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    const APL: &str = "2:2001:db8:5::/64";

    #[test]
    fn keys_lead_home_by_hash_and_by_number() {
        for (record, bits) in [
            ("v=ssa1; addr=hash(obj):10 const(0):54", 70),
            ("v=ssa1; addr=hash(obj):10 const(0):54; replicas=4", 72),
            ("v=ssa1; addr=obj[120:128] const(0):56", 68),
            ("v=ssa1; addr=hash(obj):8 rand:56", 72),
        ] {
            let rule = rule(record, APL);
            let home = home(&std::format!("2001:db8:5:0:4000::/{bits}"));
            let minted = rule.mint(&request(), home, "", &mut random()).unwrap();
            assert!(home.contains(&minted.address.0), "{record}: {minted:?}");
            let again = Request {
                object: Some(minted.key.as_bytes()),
                replica: minted.replica,
                ..request()
            };
            let address = rule.compose(&again, &mut random()).unwrap();
            assert!(home.contains(&address.0), "{record}: {address}");
        }
    }

    #[test]
    fn the_item_is_found_where_the_key_decides_it() {
        let rule = rule(
            "v=ssa1; addr=hash(obj):8 const(0):56; item=hash(obj)",
            "2:2001:db8:5::/64 2:2001:db8:6::/64",
        );
        let home = home("2001:db8:6:0:8000::/65");
        let minted = rule.mint(&request(), home, "s-", &mut random()).unwrap();
        assert!(home.contains(&minted.address.0) && minted.key.starts_with("s-"));
    }

    #[test]
    fn names_are_uuids_of_version_4() {
        let rule = rule("v=ssa1; addr=hash(obj):8 const(0):56", APL);
        let minted = rule
            .mint(&request(), home(APL.trim_start_matches("2:")), "", &mut random())
            .unwrap();
        let groups: std::vec::Vec<&str> = minted.key.split('-').collect();
        assert_eq!(
            groups.iter().map(|group| group.len()).collect::<std::vec::Vec<_>>(),
            [8, 4, 4, 4, 12]
        );
        assert!(
            groups[2].starts_with('4') && "89ab".contains(&groups[3][..1]),
            "{}",
            minted.key
        );
        assert_eq!(minted.tries, 1);
    }

    #[test]
    fn what_leads_nowhere_ends_after_bounded_work() {
        let rule_of_objects = rule("v=ssa1; addr=hash(obj):8 const(0):56", APL);
        let never = home("2001:db8:5:0:40::/74");
        let told = |error: MintError| error.to_string();
        assert_eq!(
            rule_of_objects.mint(&request(), never, "", &mut random()).map_err(told),
            Err("none of 65536 keys leads to 2001:db8:5:0:40::/74: the rule never leads there, or not by the object key".into())
        );
        let by_source = rule("v=ssa1; addr=hash(src/64):4 const(0):60", APL);
        let other = (0..16).map(|slice| home(&std::format!("2001:db8:5:0:{slice:x}000::/68")));
        let leads = other.filter(|home| by_source.mint(&request(), *home, "", &mut random()).is_ok());
        assert_eq!(leads.count(), 1);
    }

    #[test]
    fn random_bits_choose_no_home() {
        let rule = rule("v=ssa1; addr=hash(obj):8 rand:56", APL);
        let error = rule
            .mint(&request(), home("2001:db8:5::/73"), "", &mut random())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the slice is 9 bits longer than its item, and the rule draws all but the first 8 at random"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let rule = rule("v=ssa1; addr=hash(obj,chunk):26 const(0):38", APL);
        let mint = |slice: &str, prefix: &str| {
            let minted = rule.mint(&request(), home(slice), prefix, &mut random());
            minted.unwrap_err().to_string()
        };
        assert_eq!(
            mint("2001:db8:6::/68", ""),
            "2001:db8:6::/68 lies in no positive item of the service"
        );
        assert_eq!(
            mint("2001:db8::/48", ""),
            "2001:db8::/48 lies in no positive item of the service"
        );
        assert_eq!(
            mint("2001:db8:5::/89", ""),
            "the slice is 25 bits longer than its item; at most 24 are allowed"
        );
        assert_eq!(
            mint("2001:db8:5::/68", ""),
            "the record needs inputs that are not given: chunk number"
        );
        assert_eq!(
            mint("2001:db8:5::/68", &"p".repeat(257)),
            "the prefix of the key has 257 bytes; at most 256 are allowed"
        );
    }
}
