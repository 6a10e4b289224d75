//! Files that are read and written: `-` is standard input or output, sizes are bounded, and what fails is told in words.
//!
//! A pipe that is read is waited for, as by every command. Nothing is written to a pipe of a name: opening it would wait for
//! a reader, who may never come.

use std::{
    fs::{File, FileType, OpenOptions, remove_file},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    string::FromUtf8Error,
    sync::atomic::{AtomicBool, Ordering},
};

use ssa_input::text::without_mark;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Whether a flag reads standard input already.
static STDIN_TAKEN: AtomicBool = AtomicBool::new(false);

/// Why a file is not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// Another flag reads standard input.
    #[error("standard input is read already, by another flag")]
    StdinTaken,
    /// It is something else that is not read.
    #[error("is {0}; a file is wanted")]
    NotReadable(&'static str),
    /// It is something else that is not written.
    #[error("is {0}; a file is wanted, or - for standard output")]
    NotWritable(&'static str),
    /// The system refuses it.
    #[error("{}", reason(.0, .1))]
    Io(PathBuf, #[source] io::Error),
    /// It is too large.
    #[error("more than {MAX_FILE} bytes, which is the most that is read")]
    TooLarge,
    /// It is not a text.
    #[error("is no text: byte {} is not UTF-8", .0.utf8_error().valid_up_to())]
    NotText(#[source] FromUtf8Error),
}

/// Returns whether a path stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens a file, or standard input by `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, FileError> {
    if is_standard(path) {
        if STDIN_TAKEN.swap(true, Ordering::Relaxed) {
            return Err(FileError::StdinTaken);
        }
        return Ok(Box::new(io::stdin()));
    }
    if let Some(kind) = path.metadata().ok().and_then(|found| unfit(found.file_type())) {
        return Err(FileError::NotReadable(kind));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(FileError::Io(path.to_owned(), error)),
    }
}

/// Reads a whole file that is not too large, without a byte order mark before it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| FileError::Io(path.to_owned(), error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(FileError::TooLarge);
    }
    Ok(without_mark(&bytes).to_vec())
}

/// Reads a whole file of text.
pub(crate) fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read(path)?).map_err(FileError::NotText)
}

/// Returns, before any work is done, why a file could not be written after it. What is there is left as it is.
pub(crate) fn check_writable(path: &Path) -> Result<(), FileError> {
    let told = |error: io::Error| FileError::Io(path.to_owned(), error);
    let Ok(found) = path.metadata() else {
        let created = OpenOptions::new().write(true).create_new(true).open(path);
        created.map_err(told)?;
        return remove_file(path).map_err(told);
    };
    let kind = unfit(found.file_type()).or_else(|| pipe(path, found.file_type()));
    if let Some(kind) = kind {
        return Err(FileError::NotWritable(kind));
    }
    if found.is_file() {
        OpenOptions::new().write(true).open(path).map_err(told)?;
    }
    Ok(())
}

/// Returns what something is that is neither read nor written as a file.
fn unfit(kind: FileType) -> Option<&'static str> {
    if kind.is_dir() {
        return Some("a directory");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_block_device() {
            return Some("a block device");
        }
    }
    None
}

/// Returns whether something is a pipe of a name. One below `/dev` or `/proc`, such as `/dev/stdout` and what shells make of
/// `>(command)`, is open already.
#[cfg(unix)]
fn pipe(path: &Path, kind: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let is_open = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
    (kind.is_fifo() && !is_open).then_some("a pipe")
}

#[cfg(not(unix))]
fn pipe(_path: &Path, _kind: FileType) -> Option<&'static str> {
    None
}

/// Returns in words why a file cannot be used.
pub(crate) fn reason(path: &Path, error: &io::Error) -> String {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if error.kind() == ErrorKind::NotFound && !parent.exists() => {
            format!("the directory {} does not exist", parent.display())
        }
        _ => ssa_input::files::reason(error),
    }
}
