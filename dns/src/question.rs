//! Questions, to be told.

use std::fmt;

use hickory_resolver::proto::rr::{Name, RecordType};

/// The type number of APL, which hickory does not know.
pub(crate) const APL: u16 = 42;

/// A question: a name and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    name: Name,
    kind: RecordType,
}

impl Question {
    /// Takes its name and type.
    #[must_use]
    pub fn new(name: &Name, kind: RecordType) -> Self {
        let name = name.clone();
        Self { name, kind }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if u16::from(self.kind) == APL {
            // hickory does not know it.
            return write!(f, "{} APL", self.name);
        }
        write!(f, "{} {}", self.name, self.kind)
    }
}
