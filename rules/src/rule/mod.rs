//! The compiled form of a record together with an address space: what composes and verifies.
//!
//! A [`Rule`] is plain data of fixed size: no pointers, no padding, no invalid bit patterns. It can be copied into a
//! shared map as bytes and used there in place. Composing and verifying with it allocate nothing, read no clock and
//! draw no random bits of their own, never panic and do bounded work, whatever its bytes are.

mod compose;
mod context;
#[cfg(test)]
mod hashes;
mod limits;
mod prepare;
mod search;
mod verify;

use core::{fmt, net::Ipv6Addr};

use ipnet::Ipv6Net;
use subtle::ConstantTimeEq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use compose::{ComposeError, ItemIndex, ItemSet, Missing, Request};
pub use limits::{LimitError, Limits};
pub use prepare::{Key, PrepareError, PrepareFault};
pub use search::{Progress, Search};
pub use verify::{Flow, SecretMissing};

use crate::{
    apl::{MAX_ITEMS, Membership},
    bits, hash,
    record::MAX_FIELDS,
    types::{SourceBits, ValidFrom},
};

/// A record and an address space, prepared for composing and verifying.
///
/// [`Rule::prepare`] makes one. [`zerocopy::IntoBytes`] gives its bytes, which hold the secret, and
/// [`zerocopy::FromBytes`] takes them back; they are of this machine's byte order and of this version of the crate.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Rule {
    /// Items by descending length, ascending among equals: negated ones longer than the positive ones, the positive
    /// ones, then the other negated ones.
    items: [Item; MAX_ITEMS],
    fields: [CompiledField; MAX_FIELDS],
    salt: [u8; 32],
    key: [u8; 16],
    from: u64,
    /// Seconds of a time step; 0 without time.
    step: u64,
    item_inputs: CompiledInputs,
    skew: u16,
    salt_length: u8,
    field_count: u8,
    replicas: u8,
    pow: u8,
    item_choice: u8,
    key_kind: u8,
    /// Bits of the source by which a client has its own key; 0 without.
    kdf: u8,
    /// Negated items longer than the positive ones; then positive ones; then items in all.
    longer_negated: u8,
    positive: u8,
    item_count: u8,
    /// Fields that are not rand, and those that need an object key, a chunk number and a port: bit i for field i.
    fixed: u16,
    needs_object: u16,
    needs_chunk: u16,
    needs_port: u16,
    /// Whether a field reads the object key as a number.
    needs_number: u8,
    has_mac: u8,
    /// Whether the item choice needs an object key, a chunk number, a port.
    item_needs_object: u8,
    item_needs_chunk: u8,
    item_needs_port: u8,
    /// Whether anything at all needs one of these.
    needs_inputs: u8,
    reserved: [u8; 14],
}

/// An item: the addresses that are `network` under `mask`.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Item {
    network: u128,
    mask: u128,
}

impl Item {
    const NONE: Self = Self { network: 0, mask: 0 };

    fn new(prefix: Ipv6Net) -> Self {
        Self {
            network: crate::apl::number(prefix),
            mask: bits::leading(prefix.prefix_len()),
        }
    }

    fn contains(&self, address: u128) -> bool {
        (address ^ self.network) & self.mask == 0
    }

    fn prefix(&self) -> Ipv6Net {
        let length = u8::try_from(self.mask.leading_ones()).unwrap_or(128);
        Ipv6Net::new(Ipv6Addr::from(self.network), length).unwrap_or_default()
    }
}

/// A field of the template.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct CompiledField {
    /// The value of a const field.
    constant: u64,
    inputs: CompiledInputs,
    kind: u8,
    width: u8,
    /// How far the field's last bit is from the address's last.
    shift: u8,
    /// How far the last bit taken of a source or object number is from its last.
    range_shift: u8,
    reserved: [u8; 4],
}

impl CompiledField {
    const NONE: Self = Self {
        constant: 0,
        inputs: CompiledInputs::NONE,
        kind: 0,
        width: 0,
        shift: 0,
        range_shift: 0,
        reserved: [0; 4],
    };

    /// Returns the field's value in an address.
    fn value_in(&self, address: u128) -> u64 {
        bits::low64(address.unbounded_shr(self.shift.into())) & bits::trailing(self.width)
    }

    /// Returns a value at the field's place.
    fn place(&self, value: u64) -> u128 {
        u128::from(value & bits::trailing(self.width)).unbounded_shl(self.shift.into())
    }

    /// Returns a mask of all bits before the field.
    fn before(&self) -> u128 {
        u128::MAX.unbounded_shl(u32::from(self.shift).saturating_add(self.width.into()))
    }
}

/// The inputs of a hash, as the skeleton of its message: `head ‖ S ‖ I` with zeros for what is not known beforehand,
/// and where in it that is, in bytes; 0 where the input is not among them.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct CompiledInputs {
    skeleton: hash::Skeleton,
    /// The bits of the source that are used, as two little-endian numbers.
    source_mask: [u64; 2],
    length: u8,
    source_at: u8,
    /// Where the object key's length is; the key itself follows it.
    object_at: u8,
    chunk_at: u8,
    time_at: u8,
    port_at: u8,
    /// Whether there are inputs other than the source.
    has_others: u8,
    reserved: [u8; 1],
}

impl CompiledInputs {
    const NONE: Self = Self {
        skeleton: hash::EMPTY,
        source_mask: [0; 2],
        length: 0,
        source_at: 0,
        object_at: 0,
        chunk_at: 0,
        time_at: 0,
        port_at: 0,
        has_others: 0,
        reserved: [0; 1],
    };
}

mod field_kind {
    pub(super) const RAND: u8 = 0;
    pub(super) const CONST: u8 = 1;
    pub(super) const SOURCE: u8 = 2;
    pub(super) const OBJECT: u8 = 3;
    pub(super) const HASH: u8 = 4;
    pub(super) const MAC: u8 = 5;
}

mod item_choice {
    pub(super) const NEAR: u8 = 0;
    pub(super) const RAND: u8 = 1;
    pub(super) const HASH: u8 = 2;
}

mod key_kind {
    pub(super) const NONE: u8 = 0;
    pub(super) const SECRET: u8 = 1;
    pub(super) const CLIENT: u8 = 2;
}

impl Rule {
    /// Returns the second from which the record may be used.
    #[must_use]
    pub fn from(&self) -> ValidFrom {
        ValidFrom(self.from)
    }

    /// Returns the clock skew that a verifier bears, in seconds.
    #[must_use]
    pub fn skew(&self) -> u16 {
        self.skew
    }

    /// Returns the number of replicas, at least 1.
    #[must_use]
    pub fn replicas(&self) -> u8 {
        self.replicas.max(1)
    }

    /// Returns whether inputs choose the item, so that there is no other.
    #[must_use]
    pub fn computes_item(&self) -> bool {
        self.item_choice == item_choice::HASH
    }

    /// Returns whether an address's first bits after the item are random, so that another draw leads to another slice.
    #[must_use]
    pub fn leads_at_random(&self) -> bool {
        self.fields()
            .first()
            .is_some_and(|field| field.kind == field_kind::RAND)
    }

    /// Returns how many bits inputs decide before the first random one: where slices are no longer than that, draws
    /// choose none. Constants are not counted, for they choose no slice either.
    #[must_use]
    pub fn deciding_bits(&self) -> u32 {
        let leading = self.fields().iter().take_while(|field| field.kind != field_kind::RAND);
        leading
            .filter(|field| field.kind != field_kind::CONST)
            .map(|field| u32::from(field.width))
            .sum()
    }

    /// Returns how many bits follow the item before the first random one, constants included.
    #[must_use]
    pub fn bits_before_random(&self) -> u32 {
        let leading = self.fields().iter().take_while(|field| field.kind != field_kind::RAND);
        leading.map(|field| u32::from(field.width)).sum()
    }

    /// Returns the bits of proof of work; 0 is none.
    #[must_use]
    pub fn pow(&self) -> u8 {
        self.pow
    }

    /// Returns the time step in seconds, if addresses depend on the time apart from a proof of work.
    #[must_use]
    pub fn time_step(&self) -> Option<u32> {
        u32::try_from(self.step).ok().filter(|step| *step > 0)
    }

    /// Returns the source prefix by which clients have their own keys, if they do.
    #[must_use]
    pub fn kdf(&self) -> Option<SourceBits> {
        SourceBits::new(self.kdf)
    }

    /// Returns the positive items, ascending.
    pub fn positive_items(&self) -> impl Iterator<Item = (ItemIndex, Ipv6Net)> + Clone {
        (0..)
            .zip(self.positive())
            .map(|(index, item)| (ItemIndex::new(index), item.prefix()))
    }

    /// Returns what an address is to the service.
    #[must_use]
    pub fn membership(&self, address: Ipv6Addr) -> Membership {
        match self.containing(u128::from(address)) {
            None => Membership::Outside,
            Some((item, true)) => Membership::Service(item.prefix()),
            Some((item, false)) => Membership::Legacy(item.prefix()),
        }
    }

    fn fields(&self) -> &[CompiledField] {
        self.fields.get(..usize::from(self.field_count)).unwrap_or(&self.fields)
    }

    fn positive(&self) -> &[Item] {
        let start = usize::from(self.longer_negated);
        self.items
            .get(start..start.saturating_add(self.positive.into()))
            .unwrap_or_default()
    }

    /// Returns the longest item that contains the address and whether it is positive.
    #[inline]
    fn containing(&self, address: u128) -> Option<(&Item, bool)> {
        let items = self.items.get(..usize::from(self.item_count)).unwrap_or_default();
        let index = items.iter().position(|item| item.contains(address))?;
        let positive = index
            .checked_sub(self.longer_negated.into())
            .is_some_and(|i| i < usize::from(self.positive));
        Some((items.get(index)?, positive))
    }

    /// Returns whether an address made under a positive item is in the service: no longer negated item contains it.
    fn escapes_negated(&self, address: u128) -> bool {
        let longer = self.items.get(..usize::from(self.longer_negated)).unwrap_or_default();
        !longer.iter().any(|item| item.contains(address))
    }
}

impl PartialEq for Rule {
    /// Compares in a time that does not tell where the keys differ.
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Eq for Rule {}

impl fmt::Debug for Rule {
    /// Prints what identifies the rule, and no key material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("from", &self.from)
            .field("items", &self.item_count)
            .field("fields", &self.field_count)
            .finish_non_exhaustive()
    }
}
