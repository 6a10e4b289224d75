//! The rule record: the `_ssa` TXT record of a service (docs/spec.md §2).
//!
//! ```
//! use ssa_rules::Record;
//!
//! let record: Record = "v=ssa1;addr=mac(src/64,time/30):64;key=k1".parse()?;
//! assert_eq!(record.skew(), 10);
//! assert_eq!(record.to_string(), "v=ssa1; addr=mac(src/64,time/30):64; key=k1");
//!
//! let faults = "v=ssa1; addr=rand:65 mac(src/64):8; replicas=17".parse::<Record>().unwrap_err();
//! assert_eq!(faults.faults.len(), 4); // the width, the mac's width, no key, the replicas
//! # Ok::<(), ssa_rules::record::RecordError>(())
//! ```

mod edit;
mod fault;
mod fit;
mod needs;
mod parse;
mod piece;
mod print;
mod sources;

use alloc::vec::Vec;

pub use edit::{TagError, Tags};
pub use fault::{Location, Problem, RecordError, RecordFault};
pub use fit::FitFault;
pub use needs::Needs;

use crate::{
    apl::Apl,
    http::KeySources,
    types::{KeyId, SourceBits, ValidFrom},
};

/// The longest record, in bytes.
pub const MAX_RECORD_BYTES: usize = 1024;

/// The maximum number of fields that a template may have.
pub const MAX_FIELDS: usize = 16;

/// The widest template, in bits: a positive item has at least 16.
pub const MAX_TEMPLATE_BITS: u16 = 112;

/// The narrowest mac, in bits.
pub const MIN_MAC_BITS: u8 = 16;

/// The maximum number of bits of a proof of work (tag `pow`).
pub const MAX_POW: u8 = 24;

/// The most replicas (tag `replicas`).
pub const MAX_REPLICAS: u8 = 16;

/// The longest clock skew, in seconds (tag `skew`).
pub const MAX_SKEW: u16 = 600;

/// The longest clock skew beside a proof of work, in seconds.
pub const MAX_SKEW_WITH_POW: u16 = 120;

/// The maximum time step, in seconds.
pub const MAX_TIME_STEP: u32 = 86_400;

/// How many more rand bits than those of its proof of work a record needs.
pub const POW_MARGIN_BITS: u8 = 8;

/// How many values of the first field there are at the least for each replica.
pub const MIN_VALUES_PER_REPLICA: u8 = 64;

/// A validated rule record.
///
/// It parses by [`FromStr`](core::str::FromStr) or [`Record::from_bytes`] and prints canonically: tags in the order
/// below, defaults and `x-` tags left out, numbers and names as the grammar has them. Parsing what it prints gives
/// the same record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    template: Template,
    item: ItemChoice,
    salt: Option<Salt>,
    replicas: u8,
    pow: u8,
    key: Option<KeyId>,
    kdf: Option<SourceBits>,
    skew: u16,
    from: ValidFrom,
    keys: KeySources,
    apl: Option<Apl>,
}

impl Record {
    /// Returns the template (tag `addr`).
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Returns how a client chooses the item (tag `item`).
    #[must_use]
    pub fn item(&self) -> &ItemChoice {
        &self.item
    }

    /// Returns the salt, if there is one (tag `salt`).
    #[must_use]
    pub fn salt(&self) -> Option<&Salt> {
        self.salt.as_ref()
    }

    /// Returns the number of replicas, 1 to 16 (tag `replicas`).
    #[must_use]
    pub fn replicas(&self) -> u8 {
        self.replicas
    }

    /// Returns the proof of work in bits, 0 to 24; 0 is none (tag `pow`).
    #[must_use]
    pub fn pow(&self) -> u8 {
        self.pow
    }

    /// Returns the name of the secret, if the template has a mac (tag `key`).
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// Returns the source prefix by which each client has its own key, if it does (tag `kdf`).
    #[must_use]
    pub fn kdf(&self) -> Option<SourceBits> {
        self.kdf
    }

    /// Returns the clock skew that a verifier bears, in seconds, 0 to 600 (tag `skew`).
    #[must_use]
    pub fn skew(&self) -> u16 {
        self.skew
    }

    /// Returns the second from which the record may be used (tag `from`).
    #[must_use]
    pub fn from(&self) -> ValidFrom {
        self.from
    }

    /// Returns where a request over HTTP has its object key and chunk (tags `obj` and `chunk`).
    #[must_use]
    pub fn keys(&self) -> &KeySources {
        &self.keys
    }

    /// Returns the record's own address list, for providers without the APL type (tag `apl`).
    #[must_use]
    pub fn apl(&self) -> Option<&Apl> {
        self.apl.as_ref()
    }

    /// Returns the time step in seconds, 1 to 86400, if the template has time.
    #[must_use]
    pub fn time_step(&self) -> Option<u32> {
        self.template.time_step()
    }
}

/// The template of an address: the fields after the item, most significant first.
///
/// ```text
///  0                       128−W                                   127
/// +-----------------------+----------+----------+-----+-------------+
/// |         item          | field 0  | field 1  |  …  | field n−1   |
/// +-----------------------+----------+----------+-----+-------------+
///                          \____________ W bits ____________________/
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template(Vec<Field>);

impl Template {
    /// Returns the fields, most significant first; none for `-`.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    /// Returns W, the sum of the widths in bits, 0 to 112.
    #[must_use]
    pub fn width(&self) -> u8 {
        self.0.iter().fold(0, |sum, field| sum.saturating_add(field.width()))
    }

    /// Returns the length that every positive item must have: 128−W bits.
    #[must_use]
    pub fn item_length(&self) -> u8 {
        128_u8.saturating_sub(self.width())
    }

    /// Returns the sum of the widths of the `rand` fields in bits.
    #[must_use]
    pub fn rand_bits(&self) -> u8 {
        let rand = self.0.iter().filter(|field| matches!(field, Field::Rand { .. }));
        rand.fold(0, |sum, field| sum.saturating_add(field.width()))
    }

    fn time_step(&self) -> Option<u32> {
        self.0.iter().find_map(|field| field.inputs()?.time_step())
    }
}

/// How a client chooses one of the positive items.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ItemChoice {
    /// The item sharing the most leading bits with the source, ties at random.
    Near,
    /// Any item, at random.
    Rand,
    /// The item with the greatest hash of these inputs.
    Hash(Inputs),
}

/// A field of a template. Widths are 1 to 64 bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `rand:n`, random bits.
    Rand {
        /// Its width in bits.
        width: u8,
    },
    /// `const(hex):n`, a value that fits the width.
    Const {
        /// The value.
        value: u64,
        /// Its width in bits.
        width: u8,
    },
    /// `src[a:b]`, bits of the source address.
    Source(BitRange),
    /// `obj[a:b]`, bits of the object key read as a 128-bit number.
    Object(BitRange),
    /// `hash(inputs):n`, the top bits of a public hash.
    Hash {
        /// What is hashed.
        inputs: Inputs,
        /// Its width in bits.
        width: u8,
    },
    /// `mac(inputs):n`, the top bits of a keyed hash over the inputs and all bits before the field.
    Mac {
        /// What is authenticated besides the bits before the field.
        inputs: Inputs,
        /// Its width in bits, at least 16.
        width: u8,
    },
}

impl Field {
    /// Returns the width in bits, 1 to 64.
    #[must_use]
    pub fn width(&self) -> u8 {
        match self {
            Self::Rand { width } | Self::Const { width, .. } | Self::Hash { width, .. } | Self::Mac { width, .. } => {
                *width
            }
            Self::Source(range) | Self::Object(range) => range.width(),
        }
    }

    /// Returns the inputs of a hash or a mac.
    #[must_use]
    pub fn inputs(&self) -> Option<&Inputs> {
        match self {
            Self::Hash { inputs, .. } | Self::Mac { inputs, .. } => Some(inputs),
            Self::Rand { .. } | Self::Const { .. } | Self::Source(_) | Self::Object(_) => None,
        }
    }

    /// Returns the stable name of the field's kind, for metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rand { .. } => "rand",
            Self::Const { .. } => "const",
            Self::Source(_) => "src",
            Self::Object(_) => "obj",
            Self::Hash { .. } => "hash",
            Self::Mac { .. } => "mac",
        }
    }
}

/// The bits `[a:b]` of a 128-bit value: a to b−1, bit 0 the most significant, at most 64 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BitRange {
    start: u8,
    end: u8,
}

impl BitRange {
    /// Accepts 0 ≤ a < b ≤ 128 with b−a ≤ 64.
    #[must_use]
    pub fn new(start: u8, end: u8) -> Option<Self> {
        (end <= 128 && matches!(end.checked_sub(start), Some(1..=64))).then_some(Self { start, end })
    }

    /// Returns a, the first bit.
    #[must_use]
    pub fn start(self) -> u8 {
        self.start
    }

    /// Returns b, the bit after the last.
    #[must_use]
    pub fn end(self) -> u8 {
        self.end
    }

    /// Returns the number of bits, 1 to 64.
    #[must_use]
    pub fn width(self) -> u8 {
        self.end.saturating_sub(self.start)
    }
}

/// The inputs of a hash or a mac in the order written: one or more, each kind at most once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inputs(Vec<Input>);

impl Inputs {
    /// Returns the inputs in the order written.
    #[must_use]
    pub fn as_slice(&self) -> &[Input] {
        &self.0
    }

    /// Returns the time step in seconds, if time is among them.
    #[must_use]
    pub fn time_step(&self) -> Option<u32> {
        self.0.iter().find_map(|input| {
            if let Input::Time(step) = input {
                Some(*step)
            } else {
                None
            }
        })
    }

    /// Returns how many bits of the source are used, if the source is among them.
    #[must_use]
    pub fn source_bits(&self) -> Option<SourceBits> {
        self.0.iter().find_map(|input| {
            if let Input::Source(bits) = input {
                Some(*bits)
            } else {
                None
            }
        })
    }

    /// Returns whether an input of the kind of this one is among them.
    #[must_use]
    pub fn has_kind(&self, of: Input) -> bool {
        self.0.iter().any(|input| input.name() == of.name())
    }
}

/// An input of a hash or a mac.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// `src/l`, the first l bits of the source.
    Source(SourceBits),
    /// `obj`, the object key.
    Object,
    /// `chunk`, the chunk number.
    Chunk,
    /// `time/s`, the number of the time step of s seconds, 1 to 86400.
    Time(u32),
    /// `port`, the destination port.
    Port,
}

impl Input {
    /// Returns the stable name of the input's kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source(_) => "src",
            Self::Object => "obj",
            Self::Chunk => "chunk",
            Self::Time(_) => "time",
            Self::Port => "port",
        }
    }
}

/// A salt: 1 to 32 of `a-z A-Z 0-9 - _ .`, mixed into hashes of the source and into proofs of work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Salt(alloc::string::String);

impl Salt {
    /// Returns the salt as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
