//! The Unix socket: created with its permissions, and moved into place.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use tokio::net::UnixListener;

use crate::{
    config::Socket,
    files::{self, AnchoredPath},
    folders::{Folders, Missing},
};

/// Opens the place of the socket, if what is there is one, or nothing.
///
/// # Errors
///
/// Its folder is missing or others can change it, or what is there is something else, which stays.
pub(crate) fn place(config: &Socket, folders: Folders, missing: Missing) -> io::Result<AnchoredPath> {
    let place = AnchoredPath::open(&config.path, folders, missing)?;
    match place.found() {
        Ok(found) if !files::is_socket(&found) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "what is there is not a socket, and is left as it is",
        )),
        _ => Ok(place),
    }
}

/// A bound socket, whose file is removed with it.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: UnixListener,
    place: AnchoredPath,
    file: (u64, u64),
}

impl Listener {
    /// Binds the socket. It is created with its permissions in a directory that nobody else can enter, and then renamed to
    /// its path: nobody sees it with other permissions, nothing that others put there is followed or changed, and the socket
    /// of a daemon that crashed is replaced.
    ///
    /// # Errors
    ///
    /// Another daemon listens there, the path is something else, another user controls a part of it, or a system call fails.
    pub fn new(config: &Socket, folders: Folders) -> io::Result<Self> {
        let place = place(config, folders, Missing::Create)?;
        if place.found().is_ok() && std::os::unix::net::UnixStream::connect(place.path()).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process is listening there",
            ));
        }
        if place.shared {
            let path = config.path.display();
            tracing::info!(%path, "others may write to the socket's directory; shared_folders permits it");
        }
        let (listener, file) = place.replace_by(|path| {
            let listener = UnixListener::bind(path)?;
            if config.group.is_some() {
                std::os::unix::fs::chown(path, None, config.group)?;
            }
            fs::set_permissions(path, fs::Permissions::from_mode(config.mode))?;
            let found = fs::symlink_metadata(path)?;
            Ok((listener, (found.dev(), found.ino())))
        })?;
        Ok(Self {
            socket: listener,
            place,
            file,
        })
    }

    /// Returns the identity of its file: device and inode.
    #[must_use]
    pub fn file(&self) -> (u64, u64) {
        self.file
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A successor may have replaced the file already.
        if self
            .place
            .found()
            .is_ok_and(|found| (found.st_dev, found.st_ino) == self.file)
        {
            let _ = self.place.remove();
        }
    }
}
