//! What became of cases.

use std::fmt;

/// What running a file of vectors came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many cases came out as expected.
    pub passed: usize,
    /// The cases that did not.
    pub failures: Vec<Failure>,
}

/// A case that came out other than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The number of the case, counted from 0.
    pub case: usize,
    /// Its operation.
    pub op: String,
    /// Its note, if it has one.
    pub note: Option<String>,
    /// Everything that differs.
    pub differences: Vec<Difference>,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key of the case.
    pub key: &'static str,
    /// What the case expects.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "case {} ({}", self.case, self.op)?;
        if let Some(note) = &self.note {
            write!(f, ", {note}")?;
        }
        f.write_str("): ")?;
        for (index, Difference { key, expected, found }) in self.differences.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{key}: {expected} expected, {found} found")?;
        }
        Ok(())
    }
}
