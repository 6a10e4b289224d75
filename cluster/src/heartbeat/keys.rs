//! The keys of heartbeats, which may be replaced while everybody goes on: their files are read again when they change.
//!
//! Not everybody sees a new key at once. So what was signed with goes on to sign for [`ROTATION`], and is accepted for as
//! long again after that; the new one is accepted at once.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Key, KeyError};

/// How often files are looked at.
const LOOKED: Duration = Duration::from_secs(1);
/// How long others may take to see a key: kubelets take two minutes to bring a Secret's change to pods.
pub const ROTATION: Duration = Duration::from_mins(3);
/// The most earlier keys that are accepted.
const EARLIER: usize = 8;

/// The keys of heartbeats: the first signs, and all are accepted.
#[derive(Debug, Clone)]
pub struct Keys {
    files: Vec<KeyFile>,
    /// What signs in place of the first file's key, and until when.
    signs: Option<(Key, Duration)>,
    /// Keys that were replaced, and until when they are accepted, the last one first.
    earlier: Vec<(Key, Duration)>,
    /// All that are accepted.
    accepted: Vec<Key>,
    looked: Duration,
}

#[derive(Debug, Clone)]
struct KeyFile {
    path: PathBuf,
    seen: Option<Seen>,
    key: Key,
}

/// By what it is known that a file has changed: its device, number, size, and the seconds and nanoseconds of both its times.
type Seen = (u64, u64, u64, [i64; 4]);

impl Keys {
    /// Reads the keys of some files.
    ///
    /// # Errors
    ///
    /// [`KeyError`] of the first that has none.
    pub fn read(paths: &[PathBuf]) -> Result<Self, KeyError> {
        let read = |path: &PathBuf| {
            let seen = seen(path);
            let key = Key::read(path)?;
            Ok(KeyFile {
                path: path.clone(),
                seen,
                key,
            })
        };
        let files = paths.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self::of(files))
    }

    /// Takes keys that are in no file.
    #[must_use]
    pub fn fixed(keys: impl IntoIterator<Item = Key>) -> Self {
        let files = keys.into_iter().map(|key| KeyFile {
            path: PathBuf::new(),
            seen: None,
            key,
        });
        Self::of(files.collect())
    }

    fn of(files: Vec<KeyFile>) -> Self {
        let accepted = files.iter().map(|file| file.key.clone()).collect();
        Self {
            files,
            signs: None,
            earlier: Vec::new(),
            accepted,
            looked: Duration::ZERO,
        }
    }

    /// Says whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the key that signs; none if there is none.
    #[must_use]
    pub fn signs(&self) -> Option<&Key> {
        let first = self.files.first().map(|file| &file.key);
        self.signs.as_ref().map(|(key, _)| key).or(first)
    }

    /// Returns the keys that are accepted.
    #[must_use]
    pub fn accepted(&self) -> &[Key] {
        &self.accepted
    }

    /// Looks now and then whether a file has changed, and takes its key. What is wrong with a file changes nothing.
    ///
    /// # Errors
    ///
    /// [`KeyError`], once for each change of the file.
    pub fn look(&mut self, now: Duration) -> Result<(), KeyError> {
        if now.saturating_sub(self.looked) < LOOKED {
            return Ok(());
        }
        self.looked = now;
        let mut result = Ok(());
        let signed = self.signs().cloned();
        let mut changed = false;
        for (number, file) in self.files.iter_mut().enumerate() {
            let found = seen(&file.path);
            if file.path.as_os_str().is_empty() || found == file.seen {
                continue;
            }
            file.seen = found;
            match Key::read(&file.path) {
                Ok(key) if key.is(&file.key) => {}
                Ok(key) => {
                    let before = std::mem::replace(&mut file.key, key);
                    if let Some(signed) = signed.as_ref().filter(|_| number == 0) {
                        self.signs = Some((signed.clone(), now + ROTATION));
                    }
                    self.earlier.insert(0, (before, now + 2 * ROTATION));
                    self.earlier.truncate(EARLIER);
                    changed = true;
                }
                Err(error) => result = Err(error),
            }
        }
        let before = self.earlier.len();
        self.earlier.retain(|(_, until)| *until > now);
        if self.signs.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.signs = None;
        }
        if changed || before != self.earlier.len() {
            let files = self.files.iter().map(|file| &file.key);
            let earlier = self.earlier.iter().map(|(key, _)| key);
            self.accepted = files.chain(earlier).cloned().collect();
        }
        result
    }
}

fn seen(path: &Path) -> Option<Seen> {
    let found = fs::metadata(path).ok()?;
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    Some((found.dev(), found.ino(), found.size(), times))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Replaces a file as kubelets and careful people do.
    fn write(path: &Path, text: &str) {
        let new = path.with_extension("new");
        fs::write(&new, text).expect("a file");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("a mode");
        fs::rename(&new, path).expect("renamed");
    }

    fn key(digit: u8) -> Key {
        Key::new(&[digit * 0x11; 32])
    }

    /// Which of the keys 0 to 9 sign and are accepted.
    fn state(keys: &Keys) -> (Option<u8>, Vec<u8>) {
        let digit = |one: &Key| (0..10).find(|digit| one.is(&key(*digit))).expect("a known key");
        (keys.signs().map(digit), keys.accepted().iter().map(digit).collect())
    }

    #[test]
    fn a_key_is_replaced_while_everybody_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let text = |digit: u8| format!("{digit}").repeat(64);
        write(&path, &text(1));
        let mut keys = Keys::read(std::slice::from_ref(&path)).expect("a key");
        let mut now = Duration::from_secs(1000);
        assert_eq!(keys.look(now), Ok(()));
        assert_eq!(state(&keys), (Some(1), vec![1]));
        write(&path, &text(2));
        assert_eq!(keys.look(now + LOOKED / 2), Ok(()));
        assert_eq!(state(&keys), (Some(1), vec![1]), "it is looked at now and then");
        now += LOOKED;
        assert_eq!(keys.look(now), Ok(()));
        // Others may not have it yet: the earlier one signs.
        assert_eq!(state(&keys), (Some(1), vec![2, 1]));
        // What is wrong is told once and changes nothing.
        write(&path, "nothing");
        let told = keys.look(now + LOOKED).expect_err("no key");
        assert!(told.problem.starts_with("must have 64"), "{told}");
        assert_eq!(keys.look(now + 2 * LOOKED), Ok(()));
        write(&path, &text(2));
        assert_eq!(keys.look(now + 3 * LOOKED), Ok(()));
        fs::remove_file(&path).expect("removed");
        assert!(keys.look(now + 4 * LOOKED).is_err());
        assert_eq!(state(&keys), (Some(1), vec![2, 1]));
        // Two that have seen the change at different times understand each other all the while.
        for later in 0..800_u64 {
            let now = now + Duration::from_secs(later);
            let _ = keys.look(now);
            let (signs, accepted) = state(&keys);
            assert_eq!(signs, Some(if later < 180 { 1 } else { 2 }), "after {later} s");
            assert_eq!(accepted.contains(&1), later < 360, "after {later} s");
            assert!(accepted.contains(&2));
        }
    }

    #[test]
    fn as_many_earlier_keys_are_accepted_as_may_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let write = |number: u32| write(&path, &format!("{number:064x}"));
        write(0);
        let mut keys = Keys::read(std::slice::from_ref(&path)).expect("a key");
        for number in 1..30 {
            write(number);
            assert_eq!(keys.look(LOOKED * (number + 1)), Ok(()));
        }
        assert_eq!(keys.accepted().len(), EARLIER + 1);
    }
}
