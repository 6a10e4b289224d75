//! Opening a directory whose path only trusted users control: whoever can replace one component controls all that follow.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::{FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::users::{STICKY, WRITABLE_BY_OTHERS, overflow_user, own_user};

/// The maximum number of symbolic links followed in a path; the kernel's limit.
const MAX_LINKS: usize = 40;

/// Which directories files may be created in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folders {
    /// Directories that only root, the daemon's own user and the owner of `/` can change.
    Own,
    /// Also directories that others may write to, if the configuration allows it; never as root.
    Shared,
}

/// What is done if the last directory of a path is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is created, with mode 755.
    Create,
    /// That is an error.
    Fail,
}

/// Opens a directory whose path nobody but root and the daemon's own user can change. Every directory in it belongs to one
/// of these or to the owner of the root directory, and nobody else may write to it; or it has the sticky bit, as `/tmp`
/// has, where only its owner can replace a file. Symbolic links of these users are followed. Also returns whether a
/// directory in the path is shared.
///
/// # Errors
///
/// A part of the path belongs to another user, may be written by others, is missing, or is not a directory: the error
/// names it.
pub(crate) fn reach(folder: &Path, folders: Folders, missing: Missing) -> io::Result<(File, bool)> {
    let root = open_root()?;
    let owner = rustix::fs::fstat(&root)?.st_uid;
    let own = own_user();
    let mut walk = Walk {
        trusted: trusted(own, owner, overflow_user()),
        own,
        folders,
        is_shared: false,
        path: PathBuf::from("/"),
        at: root,
    };
    walk.judge()?;
    walk.walk(&std::path::absolute(folder)?, missing)?;
    // An O_PATH descriptor cannot be read or synchronised.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&walk.at, ".", flags, Mode::empty())?;
    Ok((File::from(opened), walk.is_shared))
}

/// Returns who may own the directories and links of a path: root, the daemon's own user and the owner of the root directory.
/// The overflow user may not, because it stands for any unmapped user of another user namespace.
fn trusted(own: u32, owner: u32, overflow: Option<u32>) -> Vec<u32> {
    let is_somebody = |user: &u32| Some(*user) != overflow;
    [0, own, owner].into_iter().filter(is_somebody).collect()
}

fn open_root() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The walk along a path, as far as it has come.
struct Walk {
    /// Who may own directories and links in it.
    trusted: Vec<u32>,
    own: u32,
    folders: Folders,
    is_shared: bool,
    /// The path so far, for errors.
    path: PathBuf,
    at: OwnedFd,
}

impl Walk {
    fn walk(&mut self, folder: &Path, missing: Missing) -> io::Result<()> {
        let mut left: VecDeque<OsString> = steps(folder).collect();
        let mut links = 0_usize;
        while let Some(name) = left.pop_front() {
            if name.as_bytes() == b"/" {
                (self.at, self.path) = (open_root()?, PathBuf::from("/"));
                continue;
            }
            let is_last = left.is_empty();
            let found = match self.open(&name) {
                Err(Errno::NOENT) if is_last && missing == Missing::Create => {
                    rustix::fs::mkdirat(
                        &self.at,
                        &name,
                        Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH,
                    )
                    .map_err(|errno| self.failed(&name, errno))?;
                    self.open(&name)
                }
                found => found,
            };
            let found = found.map_err(|errno| self.failed(&name, errno))?;
            let stat = rustix::fs::fstat(&found)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    self.belongs(&stat, &self.path.join(&name), "the link ")?;
                    links = links.saturating_add(1);
                    if links > MAX_LINKS {
                        return Err(self.failed(&name, Errno::LOOP));
                    }
                    let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                        left.push_front(step);
                    }
                }
                FileType::Directory => {
                    if name.as_bytes() == b".." {
                        self.path.pop();
                    } else {
                        self.path.push(&name);
                    }
                    self.at = found;
                    self.judge()?;
                }
                _ => return Err(self.failed(&name, Errno::NOTDIR)),
            }
        }
        Ok(())
    }

    /// Opens what has this name, itself and not where it leads.
    fn open(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.at, name, flags, Mode::empty())
    }

    /// Returns what became of a part of the path.
    fn failed(&self, name: &OsStr, errno: Errno) -> io::Error {
        let error = io::Error::from(errno);
        let reason = match errno {
            Errno::NOENT => "there is no such directory".to_owned(),
            Errno::NOTDIR => "is not a directory".to_owned(),
            Errno::LOOP => format!("more than {MAX_LINKS} links lead there"),
            _ => ssa_input::files::reason(&error),
        };
        io::Error::new(error.kind(), format!("{}: {reason}", self.path.join(name).display()))
    }

    /// Returns whether the folder that has been reached may be on the way.
    fn judge(&mut self) -> io::Result<()> {
        let stat = rustix::fs::fstat(&self.at)?;
        // Whoever has the root folder rules over this process anyhow, mapped or not.
        if self.path.as_os_str() != "/" {
            self.belongs(&stat, &self.path, "")?;
        }
        if !is_shared(stat.st_mode) {
            return Ok(());
        }
        if self.folders == Folders::Shared && self.own != 0 {
            self.is_shared = true;
            return Ok(());
        }
        let remedy = if self.own == 0 {
            "root uses none that others may write to: remove that permission with chmod go-w"
        } else {
            "remove that permission with chmod go-w, or set shared_folders where that is meant, as in a pod's volume"
        };
        Err(denied(format!(
            "others may write to its folder {}, which has mode {:o}: {remedy}",
            self.path.display(),
            stat.st_mode & 0o7777
        )))
    }

    fn belongs(&self, stat: &Stat, path: &Path, what: &str) -> io::Result<()> {
        if self.trusted.contains(&stat.st_uid) {
            return Ok(());
        }
        let own = match self.own {
            0 => String::new(),
            own => format!(" or user {own}"),
        };
        let unmapped = if Some(stat.st_uid) == overflow_user() {
            ", who stands for all users that this user namespace does not map"
        } else {
            ""
        };
        Err(denied(format!(
            "{what}{} on its path belongs to user {}{unmapped}, not to root{own}",
            path.display(),
            stat.st_uid
        )))
    }
}

/// Returns whether others may replace files of a folder of this mode, whoever owns them.
fn is_shared(mode: u32) -> bool {
    mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0
}

fn denied(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

/// Returns the names of a path, `/` for the root.
fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    let named = path.components().filter(|component| *component != Component::CurDir);
    named.map(|component| component.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    };

    use super::*;
    use crate::testing::Folder;

    /// Another user.
    const OTHER: u32 = 1001;

    fn opened(path: &Path) -> io::Result<u64> {
        let (folder, _) = reach(path, Folders::Own, Missing::Fail)?;
        Ok(folder.metadata()?.ino())
    }

    fn refused(path: &Path) -> String {
        let error = opened(path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        error.to_string()
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn ways_lead_where_the_kernel_leads() {
        let folder = Folder::new("folders");
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        symlink("a/b", folder.path().join("relative")).unwrap();
        symlink(&deep, folder.path().join("absolute")).unwrap();
        symlink("../absolute/../../a/./b", folder.path().join("a/winding")).unwrap();
        symlink("circle", folder.path().join("circle")).unwrap();
        for way in ["a/b", "relative", "absolute", "a/winding", "a/../relative/.", "a//b"] {
            let path = folder.path().join(way);
            assert_eq!(opened(&path).unwrap(), fs::metadata(&deep).unwrap().ino(), "{way}");
        }
        for way in ["none", "file", "file/b", "circle", "a/b/none/.."] {
            let found = opened(&folder.path().join(way)).unwrap_err();
            let expected = fs::read_dir(folder.path().join(way)).unwrap_err();
            assert_eq!(found.kind(), expected.kind(), "{way}");
            assert!(found.to_string().starts_with('/'), "{found}");
        }
    }

    #[test]
    fn the_owner_of_the_root_folder_is_trusted_unless_it_stands_for_all_who_are_not_mapped() {
        assert_eq!(trusted(1000, 7, None), [0, 1000, 7]);
        assert_eq!(trusted(1000, 7, Some(65_534)), [0, 1000, 7]);
        assert_eq!(trusted(1000, 65_534, Some(65_534)), [0, 1000]);
        assert_eq!(trusted(65_534, 65_534, Some(65_534)), [0]);
        // Where the number is mapped it is somebody.
        assert_eq!(trusted(65_534, 0, None), [0, 65_534, 0]);
    }

    #[test]
    fn every_folder_of_a_way_is_judged() {
        let folder = Folder::new("folders");
        let (open, inner) = (folder.path().join("open"), folder.path().join("open/inner"));
        fs::create_dir_all(&inner).unwrap();
        for bits in [0o777, 0o775, 0o757, 0o2775] {
            mode(&open, bits);
            for path in [&open, &inner, &inner.join("..")] {
                let told = refused(path);
                assert!(
                    told.contains(&format!("{}, which has mode {bits:o}", open.display())),
                    "{told}"
                );
            }
            // A missing folder is not made there either.
            let missing = open.join("missing");
            assert!(reach(&missing, Folders::Own, Missing::Create).is_err());
            assert!(!missing.exists());
        }
        // Where only a file's owner replaces it, as in /tmp.
        mode(&open, 0o1777);
        assert!(opened(&inner).is_ok());
        let missing = open.join("missing");
        assert!(reach(&missing, Folders::Own, Missing::Fail).is_err());
        assert!(reach(&missing, Folders::Own, Missing::Create).is_ok());
        assert_eq!(fs::metadata(&missing).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn what_another_user_has_on_a_way_is_not_passed() {
        if own_user() != 0 {
            eprintln!("skipped: only root has files of other users to meet");
            return;
        }
        let folder = Folder::new("folders");
        let (of_root, of_other) = (folder.path().join("root"), folder.path().join("other"));
        fs::create_dir_all(of_root.join("deep")).unwrap();
        fs::create_dir_all(of_other.join("deep")).unwrap();
        chown(&of_other, Some(OTHER), None).unwrap();
        // A link in the folder of another, which that one may turn anywhere.
        symlink(&of_root, of_other.join("link")).unwrap();
        for way in ["other", "other/deep", "other/link", "other/link/deep", "other/.."] {
            let told = refused(&folder.path().join(way));
            assert!(
                told.contains(&format!("other on its path belongs to user {OTHER}")),
                "{told}"
            );
        }
        // In a folder with the sticky bit everybody may make a link.
        let sticky = folder.path().join("sticky");
        fs::create_dir(&sticky).unwrap();
        mode(&sticky, 0o1777);
        let (link, good) = (sticky.join("link"), sticky.join("good"));
        symlink(&of_root, &link).unwrap();
        lchown(&link, Some(OTHER), None).unwrap();
        symlink(&of_root, &good).unwrap();
        let told = refused(&link.join("deep"));
        assert!(
            told.starts_with("the link ") && told.contains(&format!("user {OTHER}")),
            "{told}"
        );
        assert!(opened(&good.join("deep")).is_ok());
        fs::create_dir(sticky.join("theirs")).unwrap();
        chown(sticky.join("theirs"), Some(OTHER), None).unwrap();
        refused(&sticky.join("theirs"));
        // Root shares none, whatever the configuration says.
        mode(&of_root, 0o777);
        assert!(reach(&of_root, Folders::Shared, Missing::Fail).is_err());
    }
}
