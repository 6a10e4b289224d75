//! Documents in, values out, with every fault at once.
//!
//! ```text
//! text ──▶ JSON, as it stands ──▶ a type: what is at fault is noted with its path, and something stands in for it
//! ```
//!
//! A document with faults is refused by whoever reads it; it is read all the same, so that what else is wrong with it can
//! be told too. Reading by serde's derive instead cost the filter's module 28 kB, and it ends at the first fault.

mod fault;
mod json;
mod reader;

use alloc::{string::String, vec::Vec};
use core::fmt;

pub use fault::{Fault, Problem};
pub use json::Json;
pub use reader::{Object, Reader, Value, Way};
pub(crate) use reader::{object, words};

/// The most faults that are told of one document.
pub const MAX_FAULTS: usize = 64;

/// A JSON document, and what is found to be wrong with it.
pub struct Document {
    json: Json,
    reader: Reader,
}

/// What it says is not printed: it may hold secrets.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.reader).finish()
    }
}

impl Document {
    /// Reads the text.
    ///
    /// # Errors
    ///
    /// Where it is no JSON.
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

    /// Takes every field for a fault that is named as key material is: everyone may read this document.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.reader.refuses_secrets = true;
        self
    }

    /// Says whether the whole is an object that has a field.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.json.field(field).is_some()
    }

    /// Reads a field of the whole that has to be there, before all others; nothing where it is at fault.
    pub fn first<T: Value>(&mut self, field: &'static str) -> Option<T> {
        let way = Way::Field(&Way::Whole, field);
        match (self.json.field(field), &self.json) {
            (Some(value), _) => {
                let value = T::read(value, &way, &mut self.reader);
                (!self.reader.is_known(field)).then_some(value)
            }
            (None, Json::Object(_)) => {
                self.reader.fault(&way, Problem::Missing);
                None
            }
            (None, _) => {
                self.reader.not(&Way::Whole, "an object");
                None
            }
        }
    }

    /// Reads the whole.
    pub fn read<T: Value>(&mut self) -> T {
        T::read(&self.json, &Way::Whole, &mut self.reader)
    }

    /// Says whether a fault of this place is known: another one there may follow from it.
    #[must_use]
    pub fn is_at_fault(&self, place: &str) -> bool {
        self.reader.is_known(place)
    }

    /// Says whether so many faults were met that no others are told any more.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.reader.is_full()
    }

    /// Takes the faults that were met since the last time.
    pub fn take_faults(&mut self) -> Vec<Fault> {
        self.reader.take()
    }
}

#[cfg(test)]
mod tests;
