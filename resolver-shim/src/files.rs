//! Files that are made and replaced by a handle of their folder: what somebody else puts in the way is neither followed,
//! waited for nor changed.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::{
    folders::{self, Folders, Missing},
    reading::{bounded, regular},
    users::{WRITABLE_BY_OTHERS, is_own, own_user},
};

/// A file name in an open directory: it means the same file whatever happens to the path (`openat(2)`).
#[derive(Debug)]
pub(crate) struct AnchoredPath {
    folder: File,
    name: OsString,
    /// Whether others may put files into the folder.
    pub(crate) shared: bool,
}

impl AnchoredPath {
    /// Opens the directory of a path, if only root and the daemon's own user can change that path, or if the configuration
    /// allows shared directories.
    ///
    /// # Errors
    ///
    /// The directory is missing, or another user controls a part of the path.
    pub(crate) fn open(path: &Path, folders: Folders, missing: Missing) -> io::Result<Self> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not the path of a file"));
        };
        let (folder, shared) = folders::reach(folder, folders, missing)?;
        Ok(Self {
            folder,
            name: name.to_owned(),
            shared,
        })
    }

    /// Returns the name under which its replacement is created.
    fn beside(&self) -> OsString {
        successor(&self.name)
    }

    /// Returns the status of the file, without following a symbolic link.
    pub(crate) fn found(&self) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Returns a path to it that goes by the handle.
    pub(crate) fn path(&self) -> PathBuf {
        under(&self.folder, &self.name)
    }

    /// Removes it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }

    /// Reads a file of at most so many bytes that only root or the daemon's own user can have written.
    pub(crate) fn read(&self, most: usize) -> io::Result<Vec<u8>> {
        bounded(self.open_own()?, most)
    }

    /// Reads the first bytes of such a file, at most so many.
    pub(crate) fn head(&self, most: u64) -> io::Result<Vec<u8>> {
        let file = self.open_own()?;
        regular(&file)?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn open_own(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty()).map_err(|error| {
            if error == Errno::LOOP {
                io::Error::new(io::ErrorKind::InvalidInput, "is a symbolic link, which is not followed")
            } else {
                error.into()
            }
        })?;
        let file = File::from(opened);
        let found = file.metadata()?;
        let own = own_user();
        if !is_own(found.uid()) || found.mode() & WRITABLE_BY_OTHERS != 0 {
            let (uid, mode) = (found.uid(), found.mode() & 0o7777);
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "others can write it: it belongs to user {uid} with mode {mode:o}, not to root or user {own} with mode 600"
                ),
            ));
        }
        Ok(file)
    }

    /// Replaces it by a file, readable by its owner alone.
    pub(crate) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let beside = self.beside();
        clear(&self.folder, &beside)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.folder, &beside, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(opened);
        file.write_all(bytes)?;
        file.sync_all()?;
        rustix::fs::renameat(&self.folder, &beside, &self.folder, &self.name)?;
        // Without it the name may still mean the old file after a crash of the machine.
        let _ = self.folder.sync_all();
        Ok(())
    }

    /// Replaces it by what `make` puts at the path that it is given, which lies in a folder that the daemon's own user
    /// alone can enter.
    pub(crate) fn replace_by<T>(&self, make: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let beside = self.beside();
        clear(&self.folder, &beside)?;
        rustix::fs::mkdirat(&self.folder, &beside, Mode::RWXU)?;
        let made = self.move_from(&beside, make);
        let _ = clear(&self.folder, &beside);
        made
    }

    fn move_from<T>(&self, beside: &OsStr, make: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let inner = File::from(enter(&self.folder, beside)?);
        let found = rustix::fs::fstat(&inner)?;
        // Somebody may have put another there since it was made.
        if found.st_uid != own_user() || found.st_mode & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "somebody replaces files in its folder",
            ));
        }
        let made = make(&under(&inner, OsStr::new(INNER)))?;
        rustix::fs::renameat(&inner, INNER, &self.folder, &self.name)?;
        Ok(made)
    }
}

/// What is made is called so until it moves to its place.
const INNER: &str = "made";

/// Opens a folder in a folder, if it is one itself and no link.
fn enter(folder: &File, name: &OsStr) -> Result<rustix::fd::OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// Removes what is left at the name beside a place, whatever it is; nothing is followed.
fn clear(folder: &File, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    let inner = enter(folder, name)?;
    let _ = rustix::fs::unlinkat(&inner, INNER, AtFlags::empty());
    Ok(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

/// Returns a path that goes by the handle of a folder.
fn under(folder: &File, name: &OsStr) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name)
}

/// Returns whether what was found is a socket.
pub(crate) fn is_socket(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Socket
}

/// Returns the name under which the successor of a file or socket is made, beside it.
pub(crate) fn successor(name: &OsStr) -> OsString {
    let mut name = name.to_owned();
    name.push(".new");
    name
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, os::unix::fs::symlink};

    use super::*;
    use crate::{reading::read, testing::Folder};

    fn pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    }

    fn open(path: &Path) -> io::Result<AnchoredPath> {
        AnchoredPath::open(path, Folders::Own, Missing::Fail)
    }

    fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
        open(path)?.replace(bytes)
    }

    #[test]
    fn files_are_bounded_and_replaced_whole() {
        let folder = Folder::new("files");
        let path = folder.path().join("a");
        replace(&path, b"one").unwrap();
        replace(&path, b"three").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path, 5).unwrap(), b"three");
        assert_eq!(open(&path).unwrap().read(5).unwrap(), b"three");
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "has more than 4 bytes");
        assert_eq!(read(folder.path(), 9).unwrap_err().to_string(), "is not a regular file");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn pipes_are_not_waited_for() {
        let folder = Folder::new("files");
        let path = folder.path().join("a");
        pipe(&path);
        assert_eq!(read(&path, 9).unwrap_err().to_string(), "is not a regular file");
        let place = open(&path).unwrap();
        assert!(place.read(9).is_err());
        for beside in ["a.new", "b.new"] {
            pipe(&folder.path().join(beside));
        }
        place.replace(b"one").unwrap();
        assert_eq!(read(&path, 9).unwrap(), b"one");
        let other = open(&folder.path().join("b")).unwrap();
        other.replace_by(|path| fs::write(path, "two")).unwrap();
        assert_eq!(read(&folder.path().join("b"), 9).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_are_neither_followed_nor_changed() {
        let folder = Folder::new("files");
        let (path, victim) = (folder.path().join("a"), folder.path().join("victim"));
        fs::write(&victim, "of another").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
        let place = open(&path).unwrap();
        for round in 0..2 {
            symlink(&victim, folder.path().join("a.new")).unwrap();
            if round == 0 {
                symlink(&victim, &path).unwrap();
                assert!(place.read(99).unwrap_err().to_string().contains("symbolic link"));
                place.replace(b"one").unwrap();
            } else {
                let make = |path: &Path| {
                    fs::write(path, "one")?;
                    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
                };
                place.replace_by(make).unwrap();
            }
            assert_eq!(fs::read(&path).unwrap(), b"one");
            assert!(!fs::symlink_metadata(&path).unwrap().file_type().is_symlink());
        }
        assert_eq!(fs::read(&victim).unwrap(), b"of another");
        assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_handle_outlives_the_path() {
        let folder = Folder::new("files");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::create_dir(&one).unwrap();
        let place = open(&one.join("a")).unwrap();
        fs::rename(&one, &two).unwrap();
        fs::create_dir(&one).unwrap();
        fs::write(one.join("a"), "of another").unwrap();
        place.replace(b"x").unwrap();
        assert_eq!(fs::read(two.join("a")).unwrap(), b"x");
        assert_eq!(fs::read(one.join("a")).unwrap(), b"of another");
    }

    #[test]
    fn what_others_can_write_is_not_read() {
        let folder = Folder::new("files");
        let path = folder.path().join("a");
        fs::write(&path, "{}").unwrap();
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = open(&path).unwrap().read(9).unwrap_err().to_string();
            assert!(error.contains("others can write it"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(open(&path).unwrap().read(9).unwrap(), b"{}");
    }
}
