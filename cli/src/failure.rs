//! What keeps a command from giving an answer: every fault at once, each with its place and what is allowed.

use std::fmt;

use serde::Serialize;
use ssa_input::{
    secrets::{concealed, masked},
    text::clean,
};

use crate::style;

/// Why a command gave no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) faults: Vec<Fault>,
    pub(crate) kind: Kind,
}

/// What kind of failure it is, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Usage, bad input, or a server that does not answer: exit 2.
    Input,
    /// All was understood, and the answer is no: exit 1.
    NotFine,
}

impl Failure {
    /// Makes a failure of one fault in the input.
    pub(crate) fn input(place: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            faults: vec![Fault::new(place, message)],
            kind: Kind::Input,
        }
    }

    /// Makes a failure of one reason why the answer is no.
    pub(crate) fn not_fine(place: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            faults: vec![Fault::new(place, message)],
            kind: Kind::NotFine,
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// Where: a flag (`--source`), a part of one (`--rule addr[1]`), a file with a line.
    pub(crate) place: String,
    /// What is wrong, and what is allowed.
    pub(crate) message: String,
    /// A stable name of the kind of fault, where programs may want to tell it from others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    /// The faulty text and where in it.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) excerpt: Option<Excerpt>,
}

/// A text and the part of it that is faulty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Excerpt {
    /// The whole text.
    pub(crate) text: String,
    /// The first faulty byte.
    pub(crate) offset: usize,
    /// The faulty bytes.
    pub(crate) length: usize,
}

impl Fault {
    pub(crate) fn new(place: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            place: concealed(&place.into()).into_owned(),
            message: concealed(&message.to_string()).into_owned(),
            code: None,
            excerpt: None,
        }
    }

    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn with_excerpt(mut self, text: &str, offset: usize, length: usize) -> Self {
        self.excerpt = Some(Excerpt {
            text: masked(text).into_owned(),
            offset,
            length,
        });
        self
    }
}

/// Collects faults, so that all are reported together.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, place: impl Into<String>, message: impl fmt::Display) {
        self.0.push(Fault::new(place, message));
    }

    /// Takes the value, or notes the error as a fault of this place.
    pub(crate) fn take<T, E: fmt::Display>(&mut self, place: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.push(place, error)).ok()
    }

    /// Fails if there are faults.
    pub(crate) fn check(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Failure {
                faults: self.0,
                kind: Kind::Input,
            })
        }
    }
}

/// Faults as text for people: each with the faulty text and carets under what is wrong.
pub(crate) struct Rendered<'a>(pub(crate) &'a [Fault]);

/// The widest text that is shown whole; of a longer one, only what surrounds the fault.
const WIDEST: usize = 110;

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in self.0 {
            let error = style::paint(style::BAD, "error");
            writeln!(f, "{error}: {}: {}", clean(&fault.place), clean(&fault.message))?;
            let Some(Excerpt { text, offset, length }) = &fault.excerpt else {
                continue;
            };
            let first = if text.len() <= WIDEST {
                0
            } else {
                offset.saturating_sub(30).min(text.len())
            };
            let window: String = text.bytes().skip(first).take(WIDEST).map(column).collect();
            let indent = offset.saturating_sub(first);
            let carets = "^".repeat((*length).clamp(1, WIDEST.saturating_sub(indent).max(1)));
            writeln!(
                f,
                "  {window}\n  {}{}",
                " ".repeat(indent),
                style::paint(style::BAD, carets)
            )?;
        }
        Ok(())
    }
}

/// Returns one column for one byte, so that carets stand where they should.
fn column(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' {
        byte.into()
    } else {
        '·'
    }
}
