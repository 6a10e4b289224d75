//! Structured Service Addressing, SSA-1: the rules, and nothing else.
//!
//! A service owns IPv6 prefixes, published as a DNS APL record (RFC 3123), and a rule record that says which
//! address in that space a client connects to. **An address is a template**: the bits after the prefix are fields,
//! each a function of what the client is, wants or knows.
//!
//! ```text
//!  0                                               128−W                                            127
//! +-----------------------------------------------+---------+---------+------------------------------+
//! |  item: a positive prefix of the APL           | field 0 | field 1 |  …                           |
//! +-----------------------------------------------+---------+---------+------------------------------+
//! ```
//!
//! A client composes the fields; the cluster recomputes those that it can and compares. `docs/spec.md` is the
//! normative text.
//!
//! ```
//! use ssa_rules::{AddressSpace, Apl, Flow, Key, Record, Request, Rule, Source, UnixTime, Verdict};
//!
//! let record: Record = "v=ssa1; addr=hash(src/64):20 rand:44".parse()?;
//! let apl: Apl = "2:2001:db8:5::/64".parse()?;
//! let space = AddressSpace::new(&apl)?;
//! let rule = Rule::prepare(&record, space.as_ref(), &Key::None)?;
//!
//! let source = Source("2001:db8:77:1::7".parse()?);
//! let destination = rule.compose(&Request::new(source), &mut || 0x0123_4567_89ab_cdef)?;
//! let verdict = rule.verify(&Flow::new(source, destination, UnixTime(1_790_000_000)))?;
//! assert!(matches!(verdict, Verdict::Conforming(unchecked) if unchecked.is_empty()));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # What this crate does not do
//!
//! It has no clock, no source of randomness, no I/O and no logging: time and random bits are arguments. Preparing a
//! [`Rule`] allocates; composing and verifying with it do not, never panic and do bounded work. It resolves no
//! names, keeps no state of clients or connections, and knows no proxy.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod apl;
mod bits;
pub mod choice;
pub mod failed_addresses;
pub mod hash;
pub mod http;
pub mod mint;
mod order;
pub mod published;
pub mod record;
pub mod rule;
pub mod text;
mod types;
pub mod verdict;

pub use apl::{AddressSpace, Apl, AplItem, AplPrefix, Membership};
pub use choice::{Candidate, Choice, Chosen, Connection, ItemSource, RandomBits, Sources, Work};
pub use failed_addresses::FailedAddresses;
pub use http::{HttpRequest, KeySources};
pub use mint::{MintError, Minted};
pub use published::{Judgement, Party, Publication, Published};
pub use record::Record;
pub use rule::{
    ComposeError, Flow, ItemIndex, ItemSet, Key, LimitError, Limits, PrepareError, Progress, Request, Rule, Search,
};
pub use types::{
    Chunk, ClientKey, Destination, KeyId, KeyIdError, KeyMaterialError, Port, Replica, Secret, Source, SourceBits,
    UnixTime, ValidFrom,
};
pub use verdict::{Expected, Part, Unchecked, Verdict, Violation};
