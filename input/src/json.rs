//! JSON documents, read into types: every fault with its path, line and column, in the terms of JSON.
//!
//! Errors do not repeat strings of the document, because one of them may be a misplaced key; they do repeat the names of
//! fields and numbers, without anything that may be key material.

mod de;
mod position;
mod problem;
mod syntax;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use problem::Problem;

use crate::{secrets::concealed, text::without_mark};

/// The maximum number of faults reported for a document.
pub const MAX_FAULTS: usize = 64;

/// One fault of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path, such as `services[3].allowed[0]`; empty for the whole document.
    pub path: String,
    /// What is wrong, and what is allowed.
    pub problem: Problem,
    /// The line and the column, counted from 1, if known.
    pub position: Option<(usize, usize)>,
}

impl Fault {
    /// Returns what is wrong, with line and column and without the path.
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

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The value of this key.
    Key(String),
    /// The member at this index.
    At(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

/// A JSON document without duplicate keys in any object.
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
    /// The first syntax error, or the first duplicate key.
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

    /// Removes and returns the members of a list in a field of the document; none if it is not a list.
    pub fn take_members(&mut self, key: &str) -> Vec<Value> {
        match self.value.get_mut(key) {
            Some(Value::Array(members)) => std::mem::take(members),
            _ => Vec::new(),
        }
    }

    /// Reads the whole document and records every fault; returns nothing if what remains without them is not sufficient.
    pub fn read<T: DeserializeOwned>(&self, faults: &mut Vec<Fault>) -> Option<T> {
        self.part(&self.value, &[], faults)
    }

    /// Reads a part that was at this path, and records every fault.
    pub fn part<T: DeserializeOwned>(&self, value: &Value, at: &[Step], faults: &mut Vec<Fault>) -> Option<T> {
        let (read, found) = de::read(value, MAX_FAULTS.saturating_sub(faults.len()));
        faults.extend(found.into_iter().map(|(steps, problem)| {
            let path: Vec<Step> = at.iter().cloned().chain(steps).collect();
            // What is missing has the position of the object that lacks it.
            let present = match path.split_last() {
                Some((_, object)) if problem == Problem::MISSING => object,
                _ => &path,
            };
            Fault {
                position: position::of(self.text, present),
                path: written(&path),
                problem,
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

/// Returns a path in writing, such as `services[3].allowed[0]`.
fn written(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(&excerpt(key)),
            Step::Key(key) => text.extend([".", &excerpt(key)]),
            Step::At(index) => {
                let _ = write!(text, "[{index}]");
            }
        }
    }
    text
}

/// The maximum length of the name of a field in a fault, in characters.
const MAX_NAME: usize = 64;

/// Returns the name of a field, or the beginning of a longer one; without what may be key material, which would not be
/// recognised after it was cut in two.
fn excerpt(name: &str) -> Cow<'_, str> {
    if name.chars().nth(MAX_NAME).is_none() {
        return name.into();
    }
    let beginning: String = concealed(name).chars().take(MAX_NAME).collect();
    format!("{beginning}…").into()
}
