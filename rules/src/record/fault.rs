//! What can be wrong with a record, where, and what is allowed.

use alloc::{string::String, vec::Vec};
use core::fmt;

use super::{
    FitFault, MAX_FIELDS, MAX_RECORD_BYTES, MAX_SKEW_WITH_POW, MAX_TEMPLATE_BITS, MIN_MAC_BITS, MIN_VALUES_PER_REPLICA,
};
use crate::{
    apl::{SpaceFault, TextFault},
    http::{MAX_SEGMENTS, MAX_SOURCES},
    text::{self, Quoted, escaped},
};

/// Why a text is no usable record: every fault of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The faults: of the text as a whole, of single tags in their order, of tags against each other.
    pub faults: Vec<RecordFault>,
}

/// One fault of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// Where it is.
    pub location: Location,
    /// What is wrong there, and what is allowed.
    pub problem: Problem,
}

/// A location in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The tag's name; empty for the record as a whole.
    pub tag: String,
    /// The number of the field, counted from 0, where the tag is `addr`; that of the source, where it is `obj`.
    pub field: Option<usize>,
    /// The offset in bytes of the faulty text.
    pub offset: usize,
    /// The length in bytes of the faulty text.
    pub length: usize,
}

impl Location {
    /// Returns the name of the location alone: `record`, a tag, a field such as `addr[1]`, or a source such as `obj[1]`.
    #[must_use]
    pub fn name(&self) -> impl fmt::Display {
        LocationName(self)
    }
}

struct LocationName<'a>(&'a Location);

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The record is longer than [`MAX_RECORD_BYTES`].
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// Consecutive bytes are not ASCII, such as those of one letter in UTF-8. The location has their number.
    NotAscii {
        /// The first of them.
        byte: u8,
    },
    /// The first tag is not `v=ssa1`.
    Version,
    /// There is no tag `addr`.
    MissingAddr,
    /// There is nothing between two semicolons.
    EmptyTag,
    /// The tag has no `=`.
    MissingEquals,
    /// No tag has this name.
    UnknownTag,
    /// The tag is a duplicate.
    RepeatedTag,
    /// The text is not a number in these bounds.
    Number {
        /// The text as given.
        text: String,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// The text has a length or a character that its tag does not allow.
    Name {
        /// The text as given.
        text: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The item choice is none of those there are.
    ItemChoice {
        /// The text as given.
        text: String,
    },
    /// The text is not a field.
    Field {
        /// The text as given.
        text: String,
    },
    /// The text is not an input.
    Input {
        /// The text as given.
        text: String,
    },
    /// The kind of input is a duplicate in one list.
    RepeatedInput {
        /// The kind.
        kind: &'static str,
    },
    /// The source prefix of the tag `kdf` is not `src/l`.
    Kdf {
        /// The text as given.
        text: String,
    },
    /// A constant is not 1 to 16 hex digits.
    ConstDigits {
        /// The text as given.
        text: String,
    },
    /// A constant does not fit its width.
    ConstTooWide {
        /// The value.
        value: u64,
        /// The width in bits.
        width: u8,
    },
    /// A bit range is not a < b ≤ 128 with at most 64 bits.
    BitRange {
        /// The text as given.
        text: String,
    },
    /// A mac is narrower than [`MIN_MAC_BITS`].
    NarrowMac {
        /// Its width in bits.
        width: u8,
    },
    /// There are more than [`MAX_FIELDS`] fields.
    TooManyFields {
        /// How many there are.
        fields: usize,
    },
    /// The template is wider than [`MAX_TEMPLATE_BITS`].
    TooWide {
        /// Its width in bits.
        bits: u32,
    },
    /// There is a mac and no tag `key`.
    MacWithoutKey,
    /// The tag needs a mac, and there is none.
    NeedsMac,
    /// The template has two different time steps.
    TimeSteps {
        /// One, in seconds.
        first: u32,
        /// The other, in seconds.
        other: u32,
    },
    /// Time is an input of the item choice.
    TimeInItem,
    /// The skew is more than two time steps.
    SkewPastSteps {
        /// The skew in seconds.
        skew: u16,
        /// The time step in seconds.
        step: u32,
    },
    /// The skew is more than 120 seconds beside a proof of work.
    SkewPastPow {
        /// The skew in seconds.
        skew: u16,
    },
    /// The rand fields are too narrow for a proof of work.
    PowNeedsRand {
        /// The width of all rand fields in bits.
        rand: u8,
        /// The bits needed.
        needed: u8,
    },
    /// The first field cannot carry replicas.
    ReplicasFirstField,
    /// The first field is too narrow for the replicas.
    ReplicasWidth {
        /// Its width in bits.
        width: u8,
        /// The number of replicas.
        replicas: u8,
    },
    /// The text is none of the sources of an object key or of a chunk.
    KeySource {
        /// The text as given.
        text: String,
        /// Whether it is the tag `chunk`, which has one more.
        chunk: bool,
    },
    /// There are more than [`MAX_SOURCES`] sources of the object key.
    TooManySources {
        /// How many there are.
        sources: usize,
    },
    /// A header field that cannot be a source.
    HeaderSource {
        /// Its name.
        name: &'static str,
    },
    /// A path pattern does not begin with `/`.
    Pattern {
        /// The text as given.
        text: String,
    },
    /// A path pattern has more than [`MAX_SEGMENTS`] segments.
    TooManySegments {
        /// How many there are.
        segments: usize,
    },
    /// A segment of a path pattern is neither text nor one of the variables.
    Segment {
        /// The text as given.
        text: String,
    },
    /// A variable that takes all further segments is not the last one.
    RestNotLast,
    /// A path pattern has not exactly one variable of its tag, or one of the other tag.
    PatternVariables {
        /// Whether it is the tag `chunk`.
        chunk: bool,
    },
    /// An item of the tag `apl` is malformed.
    AplText(TextFault),
    /// The tag `apl` describes no address space.
    AplSpace(SpaceFault),
    /// The template does not fit the record's own address space.
    AplFit(FitFault),
}

impl Problem {
    /// Returns whether the message repeats what stands in the record.
    pub(super) fn repeats_text(&self) -> bool {
        matches!(
            self,
            Self::UnknownTag
                | Self::Number { .. }
                | Self::Name { .. }
                | Self::ItemChoice { .. }
                | Self::Field { .. }
                | Self::Input { .. }
                | Self::Kdf { .. }
                | Self::ConstDigits { .. }
                | Self::BitRange { .. }
                | Self::KeySource { .. }
                | Self::Pattern { .. }
                | Self::Segment { .. }
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(f, "{bytes} bytes exceed {MAX_RECORD_BYTES}"),
            Self::NotAscii { byte } => write!(f, "what begins with the byte {byte:#04x} is not ASCII"),
            Self::Version => f.write_str("the first tag is not v=ssa1"),
            Self::MissingAddr => f.write_str("the tag addr is missing; it is required"),
            Self::EmptyTag => f.write_str("empty tag; one semicolon stands between tags and at most one at the end"),
            Self::MissingEquals => f.write_str("no `=`; a tag is name=value"),
            Self::UnknownTag => f.write_str(
                "unknown tag; there are v, addr, item, salt, replicas, pow, key, kdf, skew, from, obj, \
                 chunk, apl and x-…",
            ),
            Self::RepeatedTag => f.write_str("duplicate tag"),
            Self::Number { text, min, max } => {
                write!(
                    f,
                    "{} is not a number from {min} to {max} without sign or leading zero",
                    Quoted(text)
                )
            }
            Self::Name { text, allowed } => write!(f, "{} is not {allowed}", Quoted(text)),
            Self::ItemChoice { text } => write!(f, "{} is none of near, rand, hash(inputs)", Quoted(text)),
            Self::Field { text } => {
                write!(
                    f,
                    "{} is none of rand:n, const(hex):n, src[a:b], obj[a:b], hash(inputs):n, mac(inputs):n",
                    Quoted(text)
                )
            }
            Self::Input { text } => write!(f, "{} is none of src/l, obj, chunk, time/s, port", Quoted(text)),
            Self::RepeatedInput { kind } => write!(f, "duplicate input {kind}"),
            Self::Kdf { text } => write!(f, "{} is not src/l with l from 1 to 128", Quoted(text)),
            Self::ConstDigits { text } => write!(f, "{} is not 1 to 16 hex digits", Quoted(text)),
            Self::ConstTooWide { value, width } => write!(f, "constant {value:x} does not fit {width} bits"),
            Self::BitRange { text } => write!(
                f,
                "{} is not a:b with a < b, b at most 128, at most 64 bits",
                Quoted(text)
            ),
            Self::NarrowMac { width } => write!(f, "mac of {width} bits; at least {MIN_MAC_BITS} are needed"),
            Self::TooManyFields { fields } => write!(f, "{fields} fields exceed {MAX_FIELDS}"),
            Self::TooWide { bits } => write!(f, "fields of {bits} bits in all exceed {MAX_TEMPLATE_BITS}"),
            Self::MacWithoutKey => f.write_str("a mac needs the tag key"),
            Self::NeedsMac => f.write_str("the tag has no use without a mac field"),
            Self::TimeSteps { first, other } => {
                write!(f, "time steps of {first} s and {other} s; a record has one")
            }
            Self::TimeInItem => f.write_str("time cannot choose the item"),
            Self::SkewPastSteps { skew, step } => write!(f, "{skew} s exceed twice the time step of {step} s"),
            Self::SkewPastPow { skew } => write!(
                f,
                "{skew} s exceed {MAX_SKEW_WITH_POW} s, the most beside a proof of work"
            ),
            Self::PowNeedsRand { rand, needed } => {
                write!(
                    f,
                    "rand fields of {rand} bits in all; at least {needed} (pow+8) are needed"
                )
            }
            Self::ReplicasFirstField => f.write_str("replicas need a first field of the kind src, obj, hash or mac"),
            Self::ReplicasWidth { width, replicas } => write!(
                f,
                "{replicas} replicas need a first field of at least {} bits; it has {width}",
                u32::from(*replicas)
                    .saturating_mul(MIN_VALUES_PER_REPLICA.into())
                    .next_power_of_two()
                    .trailing_zeros()
            ),
            Self::KeySource { text, chunk } => {
                let range = if *chunk { "range:n, " } else { "" };
                write!(
                    f,
                    "{} is none of {range}path:pattern, query:name, header:name, cookie:name",
                    Quoted(text)
                )
            }
            Self::TooManySources { sources } => write!(f, "{sources} sources exceed {MAX_SOURCES}"),
            Self::HeaderSource { name } => write!(
                f,
                "header:{name} is not allowed: cookies are sources as cookie:name, and the host is not one"
            ),
            Self::Pattern { text } => write!(f, "{} does not begin with `/`, as a path pattern does", Quoted(text)),
            Self::TooManySegments { segments } => write!(f, "{segments} segments exceed {MAX_SEGMENTS}"),
            Self::Segment { text } => write!(
                f,
                "{} is none of {{*}}, {{obj}}, {{chunk}}, {{obj...}}, {{*...}} and has other characters than \
                 a-z A-Z 0-9 - _ . ~ ! $ & ' ( ) * + = : @",
                Quoted(text)
            ),
            Self::RestNotLast => f.write_str("what takes all further segments must be the last segment"),
            Self::PatternVariables { chunk: false } => {
                f.write_str("a pattern of obj has exactly one of {obj} and {obj...}, and no {chunk}")
            }
            Self::PatternVariables { chunk: true } => {
                f.write_str("the pattern of chunk has exactly one {chunk}, and no {obj} or {obj...}")
            }
            Self::AplText(fault) => fault.fmt(f),
            Self::AplSpace(fault) => fault.fmt(f),
            Self::AplFit(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.name(), self.offset)
    }
}

impl fmt::Display for LocationName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.tag.as_str(), self.0.field) {
            ("", _) => f.write_str("record"),
            (tag, None) => escaped(f, tag),
            (tag, Some(field)) => write!(f, "{tag}[{field}]"),
        }
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.problem)
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_joined(f, &self.faults)
    }
}

impl core::error::Error for RecordError {}
