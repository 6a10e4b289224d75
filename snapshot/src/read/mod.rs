//! Reading documents, with every fault at once.
//!
//! ```text
//! text ──▶ JSON ──▶ a type: faults are recorded with their paths, and faulty values replaced by placeholders
//! ```
//!
//! The caller rejects a document with faults; it is read to its end so that all of them are reported. Reading by serde's
//! derive instead cost the filter's module 28 kB, and ends at the first fault.

mod fault;
mod json;
mod reader;

use alloc::{string::String, vec::Vec};
use core::fmt;

pub use fault::{Fault, Problem};
pub use json::Json;
pub use reader::{Object, Path, Reader, Value};
pub(crate) use reader::{object, words};

/// The maximum number of faults reported for a document.
pub const MAX_FAULTS: usize = 64;

/// A JSON document and its faults.
pub struct Document {
    json: Json,
    reader: Reader,
}

/// Does not print the content, which may include secrets.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.reader).finish()
    }
}

impl Document {
    /// Parses a text.
    ///
    /// # Errors
    ///
    /// Where it is not JSON.
    pub fn new(text: &[u8]) -> Result<Self, Fault> {
        let json = Json::parse(text).map_err(|error| Fault {
            place: String::new(),
            problem: Problem::NotJson {
                line: error.line(),
                column: error.column(),
            },
        })?;
        let reader = Reader::default();
        Ok(Self { json, reader })
    }

    /// Makes every field that is named like key material a fault, because others can read this document.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.reader.refuses_secrets = true;
        self
    }

    /// Returns whether the document is an object with this field.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.json.field(field).is_some()
    }

    /// Reads a required field of the document before all others; returns nothing if it is missing or faulty.
    pub fn first<T: Value>(&mut self, field: &'static str) -> Option<T> {
        let path = Path::Field(&Path::Root, field);
        match (self.json.field(field), &self.json) {
            (Some(value), _) => {
                let value = T::read(value, &path, &mut self.reader);
                (!self.reader.is_known(field)).then_some(value)
            }
            (None, Json::Object(_)) => {
                self.reader.fault(&path, Problem::Missing);
                None
            }
            (None, _) => {
                self.reader.wrong_type(&Path::Root, "an object");
                None
            }
        }
    }

    /// Reads the whole document.
    pub fn read<T: Value>(&mut self) -> T {
        T::read(&self.json, &Path::Root, &mut self.reader)
    }

    /// Returns whether a fault at this path is known, from which another one there may follow.
    #[must_use]
    pub fn has_fault(&self, place: &str) -> bool {
        self.reader.is_known(place)
    }

    /// Returns whether the maximum number of faults is reached, and no others are reported.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.reader.is_full()
    }

    /// Takes the faults found since the last call.
    pub fn take_faults(&mut self) -> Vec<Fault> {
        self.reader.take()
    }
}

#[cfg(test)]
mod tests;
