//! Files and streams of bounded size.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags};

/// Reads a file of at most so many bytes. Links are followed, for a mounted Kubernetes Secret is full of them.
pub(crate) fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    // A pipe or a device could be waited for without end.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    bounded(file, most)
}

/// Reads at most so many bytes of what is open, if it is a file.
pub(crate) fn bounded(file: File, most: usize) -> io::Result<Vec<u8>> {
    regular(&file)?;
    read_at_most(file, most)
}

/// Fails for what is open and is not a file.
///
/// # Errors
///
/// It is something else.
pub(crate) fn regular(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"))
    }
}

/// Reads a stream of at most so many bytes to its end.
pub(crate) fn read_at_most(stream: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    stream.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("has more than {most} bytes"),
        ));
    }
    Ok(bytes)
}
