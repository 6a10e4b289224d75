//! Keeps going at faults, of the document and of what stands in it.

use ssa_snapshot::read::{self, Document, Value};

use super::fault::{ConfigError, Fault, Problem};

/// A document, and the faults met so far.
pub(super) struct Checker {
    document: Document,
    faults: Vec<Fault>,
}

impl Checker {
    pub(super) fn new(document: Document) -> Self {
        let faults = Vec::new();
        Self { document, faults }
    }

    /// Notes a fault, unless one of that place is known: it may follow from that.
    pub(super) fn fault(&mut self, place: &str, problem: Problem) {
        if !self.document.has_fault(place) {
            let place = place.to_owned();
            self.faults.push(Fault { place, problem });
        }
    }

    /// Notes faults.
    pub(super) fn append(&mut self, faults: &mut Vec<Fault>) {
        self.faults.append(faults);
    }

    /// Says whether so many faults were met that no others are looked for.
    pub(super) fn is_full(&self) -> bool {
        self.document.is_full()
    }

    pub(super) fn has_fault(&self, place: &str) -> bool {
        self.document.has_fault(place)
    }

    fn hear<T>(&mut self, read: T) -> T {
        self.faults
            .extend(self.document.take_faults().into_iter().map(Fault::from));
        read
    }

    /// Reads a field that has to be there before the others; nothing where it is at fault.
    pub(super) fn first<T: Value>(&mut self, field: &'static str) -> Option<T> {
        let read = self.document.first(field);
        self.hear(read)
    }

    /// Notes whether services stand in a plugin's configuration as well as a snapshot, or neither.
    pub(super) fn one_source(&mut self) {
        if self.document.has("services") == self.document.has("snapshot") {
            self.fault("", Problem::Document(read::Problem::OneOf(["services", "snapshot"])));
        }
    }

    /// Reads the whole.
    pub(super) fn whole<T: Value>(&mut self) -> T {
        let read = self.document.read();
        self.hear(read)
    }

    /// Refuses the whole at any fault.
    pub(super) fn finish<T>(self, whole: Option<T>) -> Result<T, ConfigError> {
        match whole {
            Some(whole) if self.faults.is_empty() => Ok(whole),
            _ => Err(ConfigError { faults: self.faults }),
        }
    }
}
