//! Where results go: text for people or one JSON document, and no panic when the reader leaves.

use std::{
    fmt,
    io::{self, BufWriter, ErrorKind, Write},
};

use anstream::AutoStream;
use serde::Serialize;
use ssa_input::{secrets::concealed, text::clean};

use crate::{counts::counted, failure::Fault, style};

/// The maximum number of faults reported at once.
const MAX_FAULTS: usize = 50;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless the environment says otherwise (`NO_COLOR`, `CLICOLOR_FORCE`).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<Colour> for anstream::ColorChoice {
    fn from(colour: Colour) -> Self {
        match colour {
            Colour::Auto => Self::Auto,
            Colour::Always => Self::Always,
            Colour::Never => Self::Never,
        }
    }
}

/// Standard output and standard error.
///
/// Writing never fails: once the reader has left ([`Output::is_closed`]) what is written is dropped, and any other
/// fault of standard output is reported by [`Output::finish`].
pub(crate) struct Output {
    stdout: BufWriter<AutoStream<io::StdoutLock<'static>>>,
    stderr: AutoStream<io::Stderr>,
    json: bool,
    /// Whether keys are what the command is to show.
    shows_keys: bool,
    closed: bool,
    fault: Option<io::Error>,
}

impl Output {
    pub(crate) fn new(json: bool, colour: Colour) -> Self {
        let stdout = AutoStream::new(io::stdout().lock(), colour.into());
        let stderr = AutoStream::new(io::stderr(), colour.into());
        Self {
            stdout: BufWriter::new(stdout),
            stderr,
            json,
            shows_keys: false,
            closed: false,
            fault: None,
        }
    }

    /// Shows keys from now on. Otherwise what may be a key is hidden, wherever it was given.
    pub(crate) fn show_keys(&mut self) {
        self.shows_keys = true;
    }

    /// Returns whether a JSON document is wanted in place of text.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns whether standard output is a terminal that a picture can be drawn on again and again.
    pub(crate) fn is_live(&self) -> bool {
        let stdout = self.stdout.get_ref();
        stdout.is_terminal() && stdout.current_choice() != anstream::ColorChoice::Never
    }

    /// Returns whether the reader of standard output has left, so that there is no use in going on.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes text to standard output.
    pub(crate) fn put(&mut self, text: impl fmt::Display) {
        if !self.closed {
            let result = if self.shows_keys {
                write!(self.stdout, "{text}")
            } else {
                let text = text.to_string();
                let text = concealed(&text);
                self.stdout.write_all(text.as_bytes())
            };
            self.note(result);
        }
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&mut self, text: impl fmt::Display) {
        self.put(format_args!("{text}\n"));
    }

    /// Writes the JSON document to standard output. There is one per run.
    pub(crate) fn json(&mut self, document: &impl Serialize) {
        match serde_json::to_string_pretty(document) {
            Ok(text) => self.line(text),
            Err(error) => self.fault = Some(error.into()),
        }
    }

    /// Writes a warning to standard error.
    pub(crate) fn warn(&mut self, text: impl fmt::Display) {
        self.flush();
        let warning = style::paint(style::WARN, "warning");
        // Where standard error is gone too there is no one left to tell.
        let text = text.to_string();
        let _ = writeln!(self.stderr, "{warning}: {}", clean(&concealed(&text)));
    }

    /// Writes faults: as a JSON document to standard output where JSON is wanted, else as text to standard error.
    pub(crate) fn faults(&mut self, faults: &[Fault]) {
        let shown = faults.get(..MAX_FAULTS).unwrap_or(faults);
        if self.json {
            let mut error = serde_json::json!({ "faults": shown });
            if shown.len() < faults.len() {
                error["more"] = (faults.len() - shown.len()).into();
            }
            self.json(&serde_json::json!({ "error": error }));
        } else {
            self.flush();
            let _ = write!(self.stderr, "{}", crate::failure::Rendered(shown));
            if shown.len() < faults.len() {
                let more = counted(faults.len() - shown.len(), "fault");
                let _ = writeln!(self.stderr, "and {more} more, not shown");
            }
        }
    }

    /// Writes what is buffered.
    pub(crate) fn flush(&mut self) {
        let result = self.stdout.flush();
        self.note(result);
    }

    /// Ends the output; tells a fault of standard output other than a reader that left.
    pub(crate) fn finish(mut self) -> Result<(), io::Error> {
        self.flush();
        let result = self.fault.take().map_or(Ok(()), Err);
        // What cannot be written must not be tried again when the buffer is dropped.
        let (_, _) = self.stdout.into_parts();
        result
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.closed = true;
            if error.kind() != ErrorKind::BrokenPipe && self.fault.is_none() {
                self.fault = Some(error);
            }
        }
    }
}
