//! What can keep a measurement from being made.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Why there are no figures.
#[derive(Debug)]
pub(crate) enum Error {
    /// A file, socket or process.
    Io { what: String, source: io::Error },
    /// A program that ended with a fault.
    Command { command: String, output: String },
    /// A module that is none.
    Module { path: PathBuf, fault: String },
    /// An Envoy that did not serve in time, with the end of its log.
    NotServing { variant: String, log: String },
    /// A connection that failed while it was measured.
    Load { variant: String, fault: String },
}

impl Error {
    /// Returns what was done, and to which file.
    pub(crate) fn io(what: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let what = format!("cannot {what} {}", path.as_ref().display());
        move |source| Self::Io { what, source }
    }

    /// Runs a program to its end, and returns what it printed.
    pub(crate) fn check(command: &mut Command) -> Result<String, Self> {
        let name = format!("{command:?}");
        let output = command.output().map_err(Self::io("run", &name))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().into());
        }
        Err(Self::Command {
            command: name,
            output: String::from_utf8_lossy(&output.stderr).trim().into(),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, source } => write!(formatter, "{what}: {source}"),
            Self::Command { command, output } => write!(formatter, "{command} failed: {output}"),
            Self::Module { path, fault } => write!(formatter, "{}: {fault}", path.display()),
            Self::NotServing { variant, log } => write!(formatter, "Envoy of {variant:?} does not serve:\n{log}"),
            Self::Load { variant, fault } => write!(formatter, "a connection through {variant:?} failed: {fault}"),
        }
    }
}

impl std::error::Error for Error {}
