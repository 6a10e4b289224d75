//! Verdicts: what a verifier says of a connection. Their names are stable: they become metrics and log fields.

use core::fmt;

use ipnet::Ipv6Net;

/// What a verifier says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that could be checked fits; the rest is named.
    Conforming(Unchecked),
    /// The destination lies in a negated item: legacy traffic, which gets its own, limited capacity.
    Legacy,
    /// The destination lies in no item.
    Outside,
    /// Something does not fit.
    Violation(Violation),
}

impl Verdict {
    /// Returns the verdict's stable name: `conforming`, `legacy`, `outside` or `violation`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conforming(_) => "conforming",
            Self::Legacy => "legacy",
            Self::Outside => "outside",
            Self::Violation(_) => "violation",
        }
    }

    /// Returns the violation, if it is one.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        if let Self::Violation(violation) = self {
            Some(violation)
        } else {
            None
        }
    }

    /// Orders verdicts over several records: conforming is best, then legacy, violation, outside; among conforming
    /// ones, that with the fewest unchecked parts. Less is better.
    pub(crate) fn rank(&self) -> (u8, u32) {
        match self {
            Self::Conforming(unchecked) => (0, unchecked.count()),
            Self::Legacy => (1, 0),
            Self::Violation(_) => (2, 0),
            Self::Outside => (3, 0),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Conforming(unchecked) if !unchecked.is_empty() => {
                write!(f, " (unchecked: {unchecked})")
            }
            Self::Violation(violation) => write!(f, " of {violation}"),
            _ => Ok(()),
        }
    }
}

/// A part of an address that a verifier judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The item.
    Item,
    /// The field of this number, 0 to 15.
    Field(u8),
    /// The proof of work.
    Pow,
}

impl Part {
    /// Returns the part's stable name: `item`, `field_0` to `field_15`, or `pow`.
    #[must_use]
    pub fn name(self) -> &'static str {
        const FIELDS: [&str; 16] = [
            "field_0", "field_1", "field_2", "field_3", "field_4", "field_5", "field_6", "field_7", "field_8",
            "field_9", "field_10", "field_11", "field_12", "field_13", "field_14", "field_15",
        ];
        match self {
            Self::Item => "item",
            Self::Field(index) => FIELDS.get(usize::from(index)).copied().unwrap_or("field"),
            Self::Pow => "pow",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was not checked, for lack of an object key, a chunk number or a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unchecked {
    pub(crate) fields: u16,
    pub(crate) item: bool,
    pub(crate) pow: bool,
}

impl Unchecked {
    /// Returns whether everything was checked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Returns how many parts were not checked.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.fields
            .count_ones()
            .saturating_add(self.item as u32)
            .saturating_add(self.pow as u32)
    }

    /// Returns the parts that were not checked: the item, fields in their order, the proof of work.
    pub fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let fields = self.fields;
        let unchecked = (0_u8..16).filter(move |index| fields.unbounded_shr(u32::from(*index)) & 1 == 1);
        self.item
            .then_some(Part::Item)
            .into_iter()
            .chain(unchecked.map(Part::Field))
            .chain(self.pow.then_some(Part::Pow))
    }
}

impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.parts();
        if let Some(first) = parts.next() {
            f.write_str(first.name())?;
        }
        parts.try_for_each(|part| write!(f, ", {part}"))
    }
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The inputs choose another item.
    Item {
        /// The item that they choose.
        expected: Ipv6Net,
        /// The item of the destination.
        found: Ipv6Net,
    },
    /// A field has another value. It is the first that fails in the time step of now.
    Field {
        /// The field's number, 0 to 15.
        index: u8,
        /// The field's kind.
        kind: FieldKind,
        /// What it should be.
        expected: Expected,
        /// What it is.
        found: u64,
    },
    /// The proof of work is not there.
    Pow {
        /// The bits needed.
        needed: u8,
        /// The bits found in the minute of now.
        found: u8,
    },
}

impl Violation {
    /// Returns the part that does not fit.
    #[must_use]
    pub const fn part(&self) -> Part {
        match self {
            Self::Item { .. } => Part::Item,
            Self::Field { index, .. } => Part::Field(*index),
            Self::Pow { .. } => Part::Pow,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.part())?;
        match self {
            Self::Item { expected, found } => write!(f, ": expected {expected}, found {found}"),
            Self::Field {
                kind, expected, found, ..
            } => {
                write!(f, " ({}): expected {expected}, found {found:#x}", kind.name())
            }
            Self::Pow { needed, found } => write!(f, ": {needed} bits needed, {found} found"),
        }
    }
}

/// The kind of a field that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// `const(hex):n`.
    Const,
    /// `src[a:b]`.
    Source,
    /// `obj[a:b]`.
    Object,
    /// `hash(inputs):n`.
    Hash,
    /// `mac(inputs):n`.
    Mac,
}

impl FieldKind {
    /// Returns the kind's stable name: `const`, `src`, `obj`, `hash` or `mac`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Const => "const",
            Self::Source => "src",
            Self::Object => "obj",
            Self::Hash => "hash",
            Self::Mac => "mac",
        }
    }
}

/// What a field should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This value, for replica 0 in the time step of now.
    Value(u64),
    /// A mac, for replica 0 in the time step of now: a token, which is not for logs.
    Hidden(HiddenValue),
    /// Bits of a number, but the object key is none.
    Number,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value:#x}"),
            Self::Hidden(_) => f.write_str("(hidden)"),
            Self::Number => f.write_str("a numeric object key"),
        }
    }
}

/// A value that admits whoever knows it: it prints as `(hidden)`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HiddenValue(u64);

impl HiddenValue {
    pub(crate) const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Returns the value, for an operator who holds the secret anyway.
    #[must_use]
    pub const fn reveal(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for HiddenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
