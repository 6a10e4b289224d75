//! Collects the faults of a document and of its values.

use ssa_snapshot::read::{self, Document, Value};

use super::fault::{ConfigError, Fault, Problem};

/// A document, and its faults so far.
pub(super) struct Checker {
    document: Document,
    faults: Vec<Fault>,
}

impl Checker {
    pub(super) fn new(document: Document) -> Self {
        let faults = Vec::new();
        Self { document, faults }
    }

    /// Reports a fault, unless one of that place is known: it may follow from that.
    pub(super) fn fault(&mut self, place: &str, problem: Problem) {
        if !self.document.has_fault(place) {
            let place = place.to_owned();
            self.faults.push(Fault { place, problem });
        }
    }

    /// Adds faults.
    pub(super) fn append(&mut self, faults: &mut Vec<Fault>) {
        self.faults.append(faults);
    }

    /// Returns whether there are so many faults that no others are looked for.
    pub(super) fn is_full(&self) -> bool {
        self.document.is_full()
    }

    pub(super) fn has_fault(&self, place: &str) -> bool {
        self.document.has_fault(place)
    }

    fn collect_faults<T>(&mut self, read: T) -> T {
        self.faults
            .extend(self.document.take_faults().into_iter().map(Fault::from));
        read
    }

    /// Reads a required field before the others; nothing if it is faulty.
    pub(super) fn first<T: Value>(&mut self, field: &'static str) -> Option<T> {
        let read = self.document.first(field);
        self.collect_faults(read)
    }

    /// Reports a configuration that has both services and a snapshot, or neither.
    pub(super) fn one_source(&mut self) {
        if self.document.has("services") == self.document.has("snapshot") {
            self.fault("", Problem::Document(read::Problem::OneOf(["services", "snapshot"])));
        }
    }

    /// Reads the whole.
    pub(super) fn whole<T: Value>(&mut self) -> T {
        let read = self.document.read();
        self.collect_faults(read)
    }

    /// Returns the result, or all faults if there are any.
    pub(super) fn finish<T>(self, whole: Option<T>) -> Result<T, ConfigError> {
        match whole {
            Some(whole) if self.faults.is_empty() => Ok(whole),
            _ => Err(ConfigError { faults: self.faults }),
        }
    }
}
