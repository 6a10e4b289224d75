//! The files themselves. What is done here may wait for a disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ssa_input::{files::reason, json as input};

use crate::{
    objects::{Fault, Kind, MAX_BYTES, Metadata, Name, ResourceVersion},
    store::{Part, Raw, RawList, StoreError},
};

/// The most deletions that are remembered; a watch from before them has to list again.
const MAX_DELETED: usize = 1024;

/// The largest file: an object in lines.
const MAX_FILE: u64 = 4 * MAX_BYTES as u64;

/// The longest name: with its ending a file has at most 255 bytes.
const MAX_NAME: usize = 250;

const ENDING: &str = ".json";

/// How the lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Shared,
    Exclusive,
}

/// Tells a file from another that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The permissions of files.
    mode: u32,
}

/// What was deleted last.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deleted {
    /// Deletions up to this revision are no longer known.
    pub(super) forgotten: u64,
    deleted: Vec<Deletion>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    kind: String,
    name: Name,
    revision: u64,
}

impl Deleted {
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = (&Name, u64)> {
        let of_kind = self.deleted.iter().filter(move |one| one.kind == kind.name());
        of_kind.map(|one| (&one.name, one.revision))
    }
}

/// An object in a file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut folder = Self {
            path: path.to_owned(),
            mode: 0o600,
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| folder.failed(&error))?;
        let found = fs::metadata(path).map_err(|error| folder.failed(&error))?;
        let me = rustix::process::geteuid().as_raw();
        if found.uid() != me && found.uid() != 0 {
            let told = format!(
                "belongs to user {}, who is neither this one ({me}) nor root",
                found.uid()
            );
            return Err(folder.denied(told));
        }
        if found.mode() & 0o002 != 0 {
            return Err(folder.denied(format!("everybody may write to it (mode {:o})", found.mode() & 0o7777)));
        }
        // Who may look into the directory may read its files; who may write to it may write them.
        folder.mode |= found.mode() & 0o040;
        if found.mode() & 0o020 != 0 {
            folder.mode |= 0o060;
        }
        let kinds = found.mode() & 0o770 | 0o700;
        for kind in Kind::ALL {
            match DirBuilder::new().mode(kinds).create(folder.of(kind)) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(folder.failed(&error)),
                _ => {}
            }
        }
        Ok(folder)
    }

    /// Returns the directory of a kind.
    pub(super) fn of(&self, kind: Kind) -> PathBuf {
        self.path.join(kind.plural())
    }

    pub(super) fn file_of(name: &str) -> String {
        format!("{name}{ENDING}")
    }

    pub(super) fn name_of(file: &str) -> Option<Name> {
        Name::new(file.strip_suffix(ENDING)?).ok()
    }

    /// Returns what a file is told as: the object's name, or the file's where it has none.
    pub(super) fn told_as(file: String) -> String {
        Self::name_of(&file).map_or(file, |name| name.to_string())
    }

    fn store(&self) -> String {
        format!("directory {}", self.path.display())
    }

    pub(super) fn unavailable(&self, reason: String) -> StoreError {
        StoreError::Unavailable {
            store: self.store(),
            reason,
        }
    }

    fn denied(&self, reason: String) -> StoreError {
        StoreError::Denied {
            store: self.store(),
            reason,
        }
    }

    pub(super) fn failed(&self, error: &io::Error) -> StoreError {
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => self.denied(reason(error)),
            _ => self.unavailable(reason(error)),
        }
    }

    /// Locks a file of the directory, if nobody stands in the way.
    pub(super) fn try_lock(&self, file: &str, how: Lock) -> Result<Option<File>, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(self.mode);
        options.custom_flags(flags());
        let path = self.path.join(file);
        let file = options.open(&path).or_else(|error| match (how, error.kind()) {
            // To read, one need not be allowed to write.
            (Lock::Shared, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                OpenOptions::new().read(true).custom_flags(flags()).open(&path)
            }
            _ => Err(error),
        });
        let file = file.map_err(|error| self.failed(&error))?;
        let locked = match how {
            Lock::Shared => file.try_lock_shared(),
            Lock::Exclusive => file.try_lock(),
        };
        match locked {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.failed(&error)),
        }
    }

    /// Returns how many writes there were. Where the file is gone or torn, the latest object says so.
    pub(super) fn revision(&self) -> Result<u64, StoreError> {
        let kept = contents(&self.path.join("revision"), 32);
        let kept = kept.ok().flatten().and_then(|text| String::from_utf8(text).ok());
        if let Some(revision) = kept.and_then(|text| text.trim_end().parse().ok()) {
            return Ok(revision);
        }
        let mut latest = 0;
        for kind in Kind::ALL {
            for (file, _) in self.files(kind)? {
                if let Ok(Some((version, _))) = self.read(kind, &file) {
                    latest = latest.max(version);
                }
            }
        }
        Ok(latest)
    }

    /// Returns what was deleted last. Where the file is torn, all of it is forgotten; where it is gone, nothing ever was.
    pub(super) fn deleted(&self, revision: u64) -> Result<Deleted, StoreError> {
        let path = self.path.join("deleted.json");
        let text = contents(&path, MAX_FILE).map_err(|error| self.failed(&error))?;
        Ok(match text {
            None => Deleted::default(),
            Some(text) => serde_json::from_slice(&text).unwrap_or(Deleted {
                forgotten: revision,
                deleted: Vec::new(),
            }),
        })
    }

    /// Lists the files of a kind, by name; those that writers have in hand are none.
    pub(super) fn files(&self, kind: Kind) -> Result<Vec<(String, Stamp)>, StoreError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.of(kind)).map_err(|error| self.failed(&error))? {
            let entry = entry.map_err(|error| self.failed(&error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            match entry.metadata() {
                Ok(found) => files.push((name, stamp(&found))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        files.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(files)
    }

    /// Reads a file of a kind: the object and its version; nothing where there is no such file; else what is wrong.
    pub(super) fn read(&self, kind: Kind, file: &str) -> Result<Option<(u64, Raw)>, String> {
        let path = self.of(kind).join(file);
        let told = |problem: String| format!("{}: {problem}", path.display());
        let name = Self::name_of(file).ok_or_else(|| told(format!("is no object: wanted is NAME{ENDING}")))?;
        let Some(text) = contents(&path, MAX_FILE).map_err(|error| told(reason(&error)))? else {
            return Ok(None);
        };
        let form: Form = input::read(&text).map_err(|faults| told(listed(&faults)))?;
        let wrong = [
            ("apiVersion", form.api_version, kind.api_version()),
            ("kind", form.kind, kind.name().to_owned()),
            ("metadata.name", form.metadata.name.to_string(), name.to_string()),
        ];
        if let Some((field, _, wanted)) = wrong.iter().find(|(_, found, wanted)| found != wanted) {
            return Err(told(format!("{field}: must be `{wanted}`")));
        }
        let version = form.metadata.resource_version.as_ref();
        let version = version.and_then(|version| version.as_str().parse().ok());
        let version = version
            .filter(|version| *version > 0)
            .ok_or_else(|| told("metadata.resourceVersion: must be a number from 1: no store has written it".into()))?;
        let raw = Raw {
            metadata: form.metadata,
            spec: form.spec,
            status: form.status,
        };
        Ok(Some((version, raw)))
    }

    /// Reads an object of a name.
    fn object(&self, kind: Kind, name: &Name) -> Result<Raw, StoreError> {
        let found = self.read(kind, &Self::file_of(name));
        let told = |reason| StoreError::Invalid {
            kind,
            name: name.to_string(),
            faults: vec![said("", reason)],
        };
        match found.map_err(told)? {
            Some((_, object)) => Ok(object),
            None => Err(StoreError::NotFound {
                kind,
                name: name.to_string(),
            }),
        }
    }

    pub(super) fn get(&self, kind: Kind, name: &Name) -> Result<Raw, StoreError> {
        self.object(kind, name)
    }

    pub(super) fn list(&self, kind: Kind) -> Result<RawList, StoreError> {
        let (mut objects, mut unreadable) = (Vec::new(), Vec::new());
        for (file, _) in self.files(kind)? {
            match self.read(kind, &file) {
                Ok(found) => objects.extend(found.map(|(_, object)| object)),
                Err(reason) => unreadable.push((Self::told_as(file), reason)),
            }
        }
        Ok(RawList {
            objects,
            unreadable,
            version: ResourceVersion::new(self.revision()?.to_string()),
        })
    }

    pub(super) fn create(&self, kind: Kind, mut object: Raw) -> Result<Raw, StoreError> {
        let name = object.metadata.name.clone();
        if name.len() > MAX_NAME {
            let problem = format!("has {} bytes; a name in a directory has at most {MAX_NAME}", name.len());
            return Err(StoreError::Invalid {
                kind,
                name: name.to_string(),
                faults: vec![said("metadata.name", problem)],
            });
        }
        let path = self.of(kind).join(Self::file_of(&name));
        if fs::symlink_metadata(&path).is_ok() {
            return Err(StoreError::Exists {
                kind,
                name: name.to_string(),
            });
        }
        object.metadata.generation = 1;
        object.status = Value::Null;
        self.write(kind, object, 0)
    }

    pub(super) fn update(&self, kind: Kind, object: Raw, part: Part) -> Result<Raw, StoreError> {
        let mut next = self.object(kind, &object.metadata.name)?;
        let version = next.metadata.resource_version.clone();
        if version != object.metadata.resource_version {
            return Err(StoreError::Conflict {
                kind,
                name: object.metadata.name.to_string(),
            });
        }
        match part {
            Part::Spec if next.spec == object.spec => return Ok(next),
            Part::Spec => {
                next.metadata.generation += 1;
                next.spec = object.spec;
            }
            Part::Status if next.status == object.status => return Ok(next),
            Part::Status => next.status = object.status,
        }
        let before = version.and_then(|version| version.as_str().parse().ok());
        self.write(kind, next, before.unwrap_or(0))
    }

    pub(super) fn delete(&self, kind: Kind, name: &Name, version: Option<&ResourceVersion>) -> Result<(), StoreError> {
        let path = self.of(kind).join(Self::file_of(name));
        match self.object(kind, name) {
            Ok(found) if version.is_some() && found.metadata.resource_version.as_ref() != version => {
                return Err(StoreError::Conflict {
                    kind,
                    name: name.to_string(),
                });
            }
            Ok(_) => {}
            // One that cannot be read is taken away too, but for who wants to have seen it.
            Err(StoreError::Invalid { .. }) if version.is_none() => {}
            Err(error) => return Err(error),
        }
        self.tidy(kind)?;
        let revision = self.count(0)?;
        let mut deleted = self.deleted(revision)?;
        deleted.deleted.push(Deletion {
            kind: kind.name().to_owned(),
            name: name.clone(),
            revision,
        });
        if deleted.deleted.len() > MAX_DELETED {
            let rest = deleted.deleted.split_off(MAX_DELETED / 2);
            deleted.forgotten = deleted.deleted.last().map_or(revision, |last| last.revision);
            deleted.deleted = rest;
        }
        let text = format!("{}\n", json!(deleted));
        self.replace(&self.path, "deleted.json", text.as_bytes())?;
        fs::remove_file(&path).map_err(|error| self.failed(&error))?;
        self.sync(&self.of(kind))
    }

    /// Writes an object with the next version.
    fn write(&self, kind: Kind, mut object: Raw, before: u64) -> Result<Raw, StoreError> {
        self.tidy(kind)?;
        let revision = self.count(before)?;
        object.metadata.resource_version = Some(ResourceVersion::new(revision.to_string()));
        let mut form = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.name(),
            "metadata": object.metadata,
            "spec": object.spec,
        });
        if !object.status.is_null() {
            form["status"] = object.status.clone();
        }
        let text = format!("{form:#}\n");
        self.replace(&self.of(kind), &Self::file_of(&object.metadata.name), text.as_bytes())?;
        Ok(object)
    }

    /// Counts a write: up from the last one, and past an object's own version.
    fn count(&self, before: u64) -> Result<u64, StoreError> {
        let revision = self.revision()?.max(before) + 1;
        // It need not outlast the machine: whoever knew a higher one is gone too then.
        self.put(&self.path, "revision", format!("{revision}\n").as_bytes(), |_| Ok(()))?;
        Ok(revision)
    }

    /// Removes what writers left that did not come to their end: nobody else writes now.
    fn tidy(&self, kind: Kind) -> Result<(), StoreError> {
        for folder in [self.path.clone(), self.of(kind)] {
            for entry in fs::read_dir(&folder).map_err(|error| self.failed(&error))? {
                let entry = entry.map_err(|error| self.failed(&error))?;
                if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }

    /// Puts a file in the place of another, all of it or nothing, and brings it to the disk.
    fn replace(&self, folder: &Path, name: &str, text: &[u8]) -> Result<(), StoreError> {
        self.put(folder, name, text, File::sync_all)?;
        self.sync(folder)
    }

    fn put(
        &self,
        folder: &Path,
        name: &str,
        text: &[u8],
        sync: impl Fn(&File) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
        let written = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(self.mode).open(&temporary)?;
            file.write_all(text)?;
            sync(&file)?;
            fs::rename(&temporary, folder.join(name))
        };
        written().map_err(|error| {
            let _ = fs::remove_file(&temporary);
            self.failed(&error)
        })
    }

    fn sync(&self, folder: &Path) -> Result<(), StoreError> {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| self.failed(&error))
    }
}

/// What the names of files begin with that are not whole yet.
const TEMPORARY: &str = ".tmp-";

/// Does not follow a link, and does not wait for who writes to a pipe.
fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC)
        .bits()
        .cast_signed()
}

/// Reads a file of at most so many bytes; nothing where there is none.
fn contents(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let opened = OpenOptions::new().read(true).custom_flags(flags()).open(path);
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(io::Error::other("is a link; a file is wanted"));
        }
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is no file"));
    }
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("has more than {most} bytes")));
    }
    Ok(Some(text))
}

fn stamp(found: &fs::Metadata) -> Stamp {
    Stamp {
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    }
}

fn said(path: &str, problem: String) -> Fault {
    Fault {
        path: path.to_owned(),
        problem: input::Problem::Other(problem),
        position: None,
    }
}

fn listed(faults: &[Fault]) -> String {
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    told.join("; ")
}
