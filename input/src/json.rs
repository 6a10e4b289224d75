//! JSON documents, read into types: every fault with its path, its line and its column, in the words of JSON.
//!
//! Texts of the document are not repeated, for one of them may be a key in the wrong place; names of keys and numbers are,
//! without what may be key material.

mod de;
mod position;
mod problem;
mod syntax;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use problem::Problem;

use crate::{secrets::concealed, text::without_mark};

/// The most faults that are told of one document.
pub const MAX_FAULTS: usize = 64;

/// One fault of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path of what is at fault, such as `services[3].allowed[0]`; empty for the whole.
    pub path: String,
    /// What is wrong there, and what is allowed.
    pub problem: Problem,
    /// The line and the column, from 1, where the document has them.
    pub position: Option<(usize, usize)>,
}

impl Fault {
    /// Returns what is wrong and where in the text, without the path.
    #[must_use]
    pub fn reason(&self) -> String {
        let reason = match self.position {
            Some((line, column)) => format!("{} (line {line}, column {column})", self.problem),
            None => self.problem.to_string(),
        };
        concealed(&reason).into_owned()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason())
        } else {
            write!(f, "{}: {}", concealed(&self.path), self.reason())
        }
    }
}

impl std::error::Error for Fault {}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into the value of this key.
    Key(String),
    /// Into the member of this number.
    At(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

/// A document whose text is JSON, and of which no object has a key twice.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    text: &'a [u8],
    value: Value,
}

impl<'a> Document<'a> {
    /// Reads the text.
    ///
    /// # Errors
    ///
    /// Where it stops to be JSON, or which key stands twice.
    pub fn new(text: &'a [u8]) -> Result<Self, Fault> {
        let text = without_mark(text);
        let value = syntax::read(text)?;
        Ok(Self { text, value })
    }

    /// Returns the whole.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Takes the members of a list under a key of the document out of it, and leaves an empty list; nothing where no list is
    /// there.
    pub fn take_members(&mut self, key: &str) -> Vec<Value> {
        match self.value.get_mut(key) {
            Some(Value::Array(members)) => std::mem::take(members),
            _ => Vec::new(),
        }
    }

    /// Reads the whole, noting every fault; nothing where what is left without them is not enough.
    pub fn read<T: DeserializeOwned>(&self, faults: &mut Vec<Fault>) -> Option<T> {
        self.part(&self.value, &[], faults)
    }

    /// Reads a part that stood at this place, noting every fault.
    pub fn part<T: DeserializeOwned>(&self, value: &Value, at: &[Step], faults: &mut Vec<Fault>) -> Option<T> {
        let (read, found) = de::read(value, MAX_FAULTS.saturating_sub(faults.len()));
        faults.extend(found.into_iter().map(|(steps, problem)| {
            let way: Vec<Step> = at.iter().cloned().chain(steps).collect();
            Fault {
                path: written(&way),
                problem,
                position: position::of(self.text, &way),
            }
        }));
        read
    }
}

/// Reads a document.
///
/// # Errors
///
/// Every fault, up to [`MAX_FAULTS`].
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Vec<Fault>> {
    let document = Document::new(text).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    match document.read(&mut faults) {
        Some(read) if faults.is_empty() => Ok(read),
        _ => Err(faults),
    }
}

/// Returns a way as it is written, such as `services[3].allowed[0]`.
fn written(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::At(index) => {
                let _ = write!(text, "[{index}]");
            }
        }
    }
    text
}
