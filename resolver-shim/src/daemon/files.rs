//! The files that a configuration is made of, and whether they have changed since they were read.
//!
//! They are looked at by name, each second, and not by inotify(7): that knows a file by its inode, of which a Kubernetes volume
//! has another after each change (the kubelet turns the link `..data`), is silent on some network volumes, and is limited to
//! 128 users of it for each user of the node by default.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::config::Config;

/// What a file is when it is looked at, links followed: whatever changes its content or what its name leads to changes this.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stamp {
    Is {
        file: (u64, u64),
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    Missing(io::ErrorKind),
}

impl Stamp {
    fn of(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(found) => Self::Is {
                file: (found.dev(), found.ino()),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            },
            Err(error) => Self::Missing(error.kind()),
        }
    }
}

/// A file that is read.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// What it was just before it was read.
    read: Stamp,
    /// What it was when it was looked at last.
    last: Stamp,
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        let found = Stamp::of(&path);
        Self {
            path,
            read: found.clone(),
            last: found,
        }
    }

    /// Returns whether it is another than was read, and has been so since the last look: one that is being written, or is away
    /// for a moment while an editor replaces it, is waited for.
    fn has_changed(&mut self) -> bool {
        let found = Stamp::of(&self.path);
        let is_settled = found == self.last;
        self.last = found;
        is_settled && self.last != self.read
    }
}

/// What must be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// The configuration, and with it all that it names.
    Configuration,
    /// What the configuration in use names.
    Trusted,
}

/// The files of a configuration: its own, and those of certificates and trust anchors that it names.
#[derive(Debug)]
pub(super) struct Files {
    /// Nothing where the configuration is of standard input, which is read once.
    configuration: Option<Watched>,
    trusted: Vec<Watched>,
    /// Whether what was read last is not in use.
    is_refused: bool,
}

impl Files {
    /// Watches a configuration that is not read yet.
    pub(super) fn new(configuration: Option<PathBuf>) -> Self {
        Self {
            configuration: configuration.map(Watched::new),
            trusted: Vec::new(),
            is_refused: false,
        }
    }

    /// Records that the configuration is about to be read.
    pub(super) fn begin(&mut self) {
        if let Some(file) = &mut self.configuration {
            *file = Watched::new(std::mem::take(&mut file.path));
        }
    }

    /// Watches the files that a configuration names from now on, which are about to be read.
    pub(super) fn follow(&mut self, config: &Config) {
        let named = config.dns.ca.iter().chain(&config.dns.trust_anchors);
        self.trusted = named.cloned().map(Watched::new).collect();
    }

    /// Records whether what was read is in use. Where it is not, it is read again when any file of it changes.
    pub(super) fn note(&mut self, is_refused: bool) {
        self.is_refused = is_refused;
    }

    /// Returns what has changed since it was read.
    pub(super) fn look(&mut self) -> Option<Changed> {
        let configuration = self.configuration.as_mut().is_some_and(Watched::has_changed);
        // Each is looked at.
        let trusted = self
            .trusted
            .iter_mut()
            .filter_map(|file| file.has_changed().then_some(()));
        let trusted = trusted.count() > 0;
        if configuration || trusted && self.is_refused && self.configuration.is_some() {
            Some(Changed::Configuration)
        } else {
            trusted.then_some(Changed::Trusted)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::testing::Folder;

    /// Makes a folder as the kubelet makes it of a `ConfigMap`, or turns it to another version.
    fn mount(folder: &Path, version: &str, text: &str) {
        let inner = folder.join(version);
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("x.json"), text).unwrap();
        symlink(version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        if fs::symlink_metadata(folder.join("x.json")).is_err() {
            symlink("..data/x.json", folder.join("x.json")).unwrap();
        }
    }

    /// Looks three times: nothing is told before it has settled, and nothing twice once it was read.
    #[track_caller]
    fn tells(files: &mut Files, changed: Option<Changed>) {
        assert_eq!(files.look(), None);
        assert_eq!(files.look(), changed);
        files.begin();
        assert_eq!((files.look(), files.look()), (None, None));
    }

    #[test]
    fn changes_are_found_in_whatever_way_a_file_is_changed() {
        let folder = Folder::new("files");
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        mount(&mounted, "..1", "{}");
        let path = mounted.join("x.json");
        let mut files = Files::new(Some(path.clone()));
        assert_eq!((files.look(), files.look()), (None, None));
        // The kubelet swaps the whole, and removes the last version.
        mount(&mounted, "..2", "[]");
        fs::remove_dir_all(mounted.join("..1")).unwrap();
        tells(&mut files, Some(Changed::Configuration));
        // Somebody writes into it, as large as it was.
        fs::write(&path, "{ ").unwrap();
        tells(&mut files, Some(Changed::Configuration));
        // An editor puts another in its place, with the same times.
        let times = fs::metadata(&path).unwrap().modified().unwrap();
        let beside = mounted.join("beside");
        fs::write(&beside, "[ ").unwrap();
        fs::File::options()
            .write(true)
            .open(&beside)
            .unwrap()
            .set_modified(times)
            .unwrap();
        fs::rename(&beside, &path).unwrap();
        tells(&mut files, Some(Changed::Configuration));
        fs::remove_file(&path).unwrap();
        tells(&mut files, Some(Changed::Configuration));
        fs::write(&path, "{}").unwrap();
        tells(&mut files, Some(Changed::Configuration));
    }

    #[test]
    fn what_is_being_written_is_waited_for() {
        let folder = Folder::new("files");
        let path = folder.path().join("x.json");
        fs::write(&path, "{}").unwrap();
        let mut files = Files::new(Some(path.clone()));
        for length in 1..5 {
            fs::write(&path, "x".repeat(length)).unwrap();
            assert_eq!(files.look(), None);
        }
        assert_eq!(files.look(), Some(Changed::Configuration));
    }

    #[test]
    fn what_a_refused_configuration_names_is_watched_too() {
        let folder = Folder::new("files");
        let (path, keys) = (folder.path().join("x.json"), folder.path().join("keys"));
        fs::write(&path, "{}").unwrap();
        let json = format!(
            r#"{{"dns": {{"dnssec": "validate", "trust_anchors": "{}"}}}}"#,
            keys.display()
        );
        let config = Config::from_json(json.as_bytes()).unwrap();
        for (configuration, refused, changed) in [
            (Some(path.clone()), false, Changed::Trusted),
            (Some(path), true, Changed::Configuration),
            (None, true, Changed::Trusted),
        ] {
            let _ = fs::remove_file(&keys);
            let mut files = Files::new(configuration);
            files.follow(&config);
            files.note(refused);
            assert_eq!((files.look(), files.look()), (None, None));
            fs::write(&keys, "").unwrap();
            assert_eq!((files.look(), files.look()), (None, Some(changed)));
            files.follow(&config);
            assert_eq!((files.look(), files.look()), (None, None));
        }
    }
}
