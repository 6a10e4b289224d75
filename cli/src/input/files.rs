//! Files that are read and written: `-` is standard input or output, sizes are bounded, and what fails is told in words.

use std::{
    fs::{File, OpenOptions, remove_file},
    io::{self, ErrorKind, Read},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Whether a flag reads standard input already.
static STDIN_TAKEN: AtomicBool = AtomicBool::new(false);

const A_DIRECTORY: &str = "is a directory; a file is wanted";

/// Says whether a path stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens a file, or standard input by `-`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, String> {
    if is_standard(path) {
        if STDIN_TAKEN.swap(true, Ordering::Relaxed) {
            return Err("standard input is read already, by another flag".into());
        }
        return Ok(Box::new(io::stdin()));
    }
    if path.is_dir() {
        return Err(A_DIRECTORY.into());
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(reason(path, &error)),
    }
}

/// Reads a whole file that is not too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| reason(path, &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(format!("more than {MAX_FILE} bytes, which is the most that is read"));
    }
    Ok(bytes)
}

/// Reads a whole file of text.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read(path)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        format!("is no text: byte {valid} is not UTF-8")
    })
}

/// Says before any work is done why a file could not be written after it. What is there is left as it is.
pub(crate) fn check_writable(path: &Path) -> Result<(), String> {
    let told = |error: io::Error| reason(path, &error);
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(A_DIRECTORY.into()),
        Ok(found) if found.is_file() => OpenOptions::new().write(true).open(path).map(drop).map_err(told),
        // Opening a pipe would wait for its reader.
        Ok(_) => Ok(()),
        Err(_) => {
            let created = OpenOptions::new().write(true).create_new(true).open(path);
            created.map_err(told)?;
            remove_file(path).map_err(told)
        }
    }
}

/// Says in words why a file cannot be used.
pub(crate) fn reason(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) if !parent.exists() => format!("the directory {} does not exist", parent.display()),
            _ => "there is no such file".into(),
        },
        ErrorKind::PermissionDenied => "permission is denied".into(),
        ErrorKind::IsADirectory => A_DIRECTORY.into(),
        ErrorKind::NotADirectory => "a part of the path is not a directory".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}
