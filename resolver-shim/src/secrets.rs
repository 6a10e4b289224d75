//! Key material from directories, a file for each key: its name is the key's, its content 32 hex digits.
//!
//! A mounted Kubernetes Secret is such a directory. Files whose names begin with a dot are left alone.

use std::{
    collections::BTreeMap,
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ssa_input::{files::reason, secrets::has_key, text::without_mark};
use ssa_rules::{ClientKey, Key, KeyId, Secret};

use crate::reading;

/// The maximum number of keys of a directory.
pub const MAX_KEYS: usize = 64;

/// The maximum size in bytes of a key's file.
const MAX_FILE: usize = 256;

/// 32 hex digits, lower case. They print as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Material(String);

impl Material {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(without_mark(bytes)).ok()?.trim();
        text.parse::<Secret>().ok()?;
        Some(Self(text.to_ascii_lowercase()))
    }

    /// Returns the digits. The caller keeps them out of logs, errors and files.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns it as a secret.
    #[must_use]
    pub fn secret(&self) -> Key {
        self.0.parse().map_or(Key::None, Key::Secret)
    }

    /// Returns it as a client's own key.
    #[must_use]
    pub fn client_key(&self) -> Key {
        self.0.parse::<ClientKey>().map_or(Key::None, Key::Client)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(hidden)")
    }
}

/// The keys of one directory by name.
pub type Keys = BTreeMap<String, Material>;

/// The directories, and what they held when they were last read.
#[derive(Debug, Default)]
pub struct Keyring {
    directories: BTreeMap<PathBuf, Directory>,
    /// Whether keys that are not there are taken for given.
    given: bool,
}

#[derive(Clone, Debug, Default)]
struct Directory {
    keys: Keys,
    faults: Vec<String>,
    /// The files that every user of the machine can read.
    open: Vec<String>,
}

impl Keyring {
    /// Keeps to these directories from now on. One that is new begins with the keys of that which it takes the place of,
    /// until it can be read.
    pub fn watch(&mut self, paths: impl IntoIterator<Item = (PathBuf, Option<PathBuf>)>) {
        let old = std::mem::take(&mut self.directories);
        let mut formers: BTreeMap<PathBuf, Vec<Option<PathBuf>>> = BTreeMap::new();
        for (path, former) in paths {
            formers.entry(path).or_default().push(former);
        }
        let begun = formers.into_iter().map(|(path, formers)| {
            let inherited = || {
                // What services shared nothing do not get to share.
                let former = formers.first()?.as_ref()?;
                let alone = formers.iter().all(|other| other.as_ref() == Some(former));
                let keys = alone
                    .then(|| old.get(former))?
                    .map(|directory| directory.keys.clone())?;
                Some(Directory {
                    keys,
                    ..Directory::default()
                })
            };
            let known = old.get(&path).cloned().or_else(inherited);
            (path, known.unwrap_or_default())
        });
        self.directories = begun.collect();
    }

    /// Reads everything again, and returns whether anything changed. What cannot be read for now stays as it was.
    pub fn refresh(&mut self) -> bool {
        let mut changed = false;
        for (path, directory) in &mut self.directories {
            let (keys, faults) = read(path, &directory.keys);
            let open: Vec<String> = keys.keys().filter(|name| is_open(&path.join(name))).cloned().collect();
            if open != directory.open && !open.is_empty() {
                tracing::warn!(directory = %path.display(), files = open.join(", "), "key material is readable by every user");
            }
            changed |= keys != directory.keys || faults != directory.faults || open != directory.open;
            if faults != directory.faults {
                for fault in &faults {
                    tracing::warn!(directory = %path.display(), fault, "key material cannot be used");
                }
            }
            *directory = Directory { keys, faults, open };
        }
        changed
    }

    /// Returns the keys of a directory.
    #[must_use]
    pub fn keys(&self, path: &Path) -> Option<&Keys> {
        self.directories.get(path).map(|directory| &directory.keys)
    }

    /// Returns the secret of a name in a directory.
    #[must_use]
    pub fn secret(&self, path: &Path, name: &KeyId) -> Key {
        let found = self.keys(path).and_then(|keys| keys.get(name.as_str()));
        let given = || {
            if self.given {
                Key::Secret(Secret::new([0; 16]))
            } else {
                Key::None
            }
        };
        found.map_or_else(given, Material::secret)
    }

    /// Returns the client's own key of a name in a directory.
    #[must_use]
    pub fn client_key(&self, path: &Path, name: &KeyId) -> Key {
        let found = self.keys(path).and_then(|keys| keys.get(name.as_str()));
        let given = || {
            if self.given {
                Key::Client(ClientKey::new([0; 16]))
            } else {
                Key::None
            }
        };
        found.map_or_else(given, Material::client_key)
    }

    /// Takes every key for given from now on: nobody lives by what follows from that.
    pub fn take_for_given(&mut self) {
        self.given = true;
    }

    /// Returns how many faults there are.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.directories.values().map(|directory| directory.faults.len()).sum()
    }

    /// Returns how many files every user can read.
    #[must_use]
    pub fn open(&self) -> usize {
        self.directories.values().map(|directory| directory.open.len()).sum()
    }
}

/// Returns what is wrong with a directory.
#[must_use]
pub fn faults_of(path: &Path) -> Vec<String> {
    read(path, &Keys::new()).1
}

/// Returns whether every user can read a file: it is open to others, and so is the way to where it really is.
fn is_open(path: &Path) -> bool {
    let allows =
        |path: &Path, bit: u32| std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & bit != 0);
    allows(path, 0o004)
        && path
            .canonicalize()
            .is_ok_and(|real| real.ancestors().skip(1).all(|folder| allows(folder, 0o001)))
}

/// Reads a directory. Faults never repeat what a file holds.
fn read(path: &Path, known: &Keys) -> (Keys, Vec<String>) {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return (known.clone(), vec![format!("cannot be read: {}", reason(&error))]),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .take(MAX_KEYS.saturating_add(1))
        .collect();
    names.sort_unstable();
    let mut faults = Vec::new();
    if names.len() > MAX_KEYS {
        faults.push(format!("more than {MAX_KEYS} files"));
        names.truncate(MAX_KEYS);
    }
    let mut keys = Keys::new();
    for name in names {
        if name.parse::<KeyId>().is_err() {
            // A name may be anything, the key itself too.
            let characters = name.chars().count();
            faults.push(format!(
                "the name of a file, of {characters} characters, is not a key name: 1 to 32 of a-z A-Z 0-9 - _"
            ));
            continue;
        }
        if has_key(&name) {
            faults.push("the name of a file looks like a key: its name is the key's name, its content the key".into());
            continue;
        }
        let fault = match reading::read(&path.join(&name), MAX_FILE) {
            Ok(bytes) => {
                if let Some(material) = Material::read(&bytes) {
                    keys.insert(name, material);
                    continue;
                }
                format!("{name}: must be 32 hex digits")
            }
            Err(error) => format!("{name}: {}", reason(&error)),
        };
        faults.push(fault);
        // A file that is just being written must not take the key from those who use it.
        if let Some(material) = known.get(&name) {
            keys.insert(name, material.clone());
        }
    }
    (keys, faults)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::symlink,
    };

    use super::*;
    use crate::testing::Folder;

    const ONE: &str = "00112233445566778899aabbccddeeff";
    const TWO: &str = "FFEEDDCCBBAA99887766554433221100\n";

    fn keyring(path: &Path) -> Keyring {
        let mut keyring = Keyring::default();
        keyring.watch([(path.to_owned(), None)]);
        keyring.refresh();
        keyring
    }

    #[test]
    fn a_mounted_secret_is_swapped_whole() {
        let folder = Folder::new("secrets");
        let path = folder.path();
        for (version, keys) in [("..v1", &[("k1", ONE)][..]), ("..v2", &[("k1", ONE), ("k2", TWO)])] {
            fs::create_dir(path.join(version)).unwrap();
            for (name, text) in keys {
                fs::write(path.join(version).join(name), text).unwrap();
            }
        }
        symlink("..v1", path.join("..data")).unwrap();
        symlink("..data/k1", path.join("k1")).unwrap();
        let mut keyring = keyring(path);
        assert_eq!(keyring.keys(path).unwrap().keys().collect::<Vec<_>>(), ["k1"]);
        assert!(!keyring.refresh());

        symlink("..v2", path.join("..new")).unwrap();
        fs::rename(path.join("..new"), path.join("..data")).unwrap();
        symlink("..data/k2", path.join("k2")).unwrap();
        assert!(keyring.refresh());
        let keys = keyring.keys(path).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys["k2"].expose(), "ffeeddccbbaa99887766554433221100");
        assert_eq!(keyring.faults(), 0);
    }

    #[test]
    fn a_key_stays_while_its_file_is_at_fault_and_goes_with_it() {
        let folder = Folder::new("secrets");
        let file = folder.path().join("k1");
        fs::write(&file, ONE).unwrap();
        let mut keyring = keyring(folder.path());
        for bad in [&b""[..], b"0011", &[b'0'; MAX_FILE + 1], &[0xff; 32]] {
            fs::write(&file, bad).unwrap();
            keyring.refresh();
            assert_eq!(keyring.keys(folder.path()).unwrap()["k1"].expose(), ONE);
            assert_eq!(keyring.faults(), 1);
        }
        // The largest.
        fs::write(&file, format!("{TWO:MAX_FILE$}")).unwrap();
        keyring.refresh();
        assert_eq!(
            keyring.keys(folder.path()).unwrap()["k1"].expose(),
            TWO.trim().to_lowercase()
        );
        assert_eq!(keyring.faults(), 0);
        fs::remove_file(&file).unwrap();
        assert!(keyring.refresh());
        assert!(keyring.keys(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn faults_show_no_key() {
        let folder = Folder::new("secrets");
        fs::write(folder.path().join("k1"), &ONE[1..]).unwrap();
        fs::write(folder.path().join("k 2"), ONE).unwrap();
        let (keys, faults) = read(folder.path(), &Keys::new());
        assert!(keys.is_empty());
        assert_eq!(faults.len(), 2);
        assert!(!format!("{faults:?} {:?}", Material::read(ONE.as_bytes())).contains("112233"));
    }

    #[test]
    fn a_key_as_a_file_s_name_is_not_told() {
        let folder = Folder::new("secrets");
        fs::write(folder.path().join(ONE), "k1").unwrap();
        fs::write(folder.path().join(format!("k1={ONE}")), "").unwrap();
        fs::write(folder.path().join(format!("{ONE}{ONE}")), "").unwrap();
        let (keys, faults) = read(folder.path(), &Keys::new());
        assert!(keys.is_empty());
        assert_eq!(faults.len(), 3);
        assert!(!faults.join(" ").contains(&ONE[..8]), "{faults:?}");
    }

    #[test]
    fn a_directory_begins_with_the_keys_of_that_before_it() {
        let folder = Folder::new("secrets");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::create_dir(&one).unwrap();
        fs::write(one.join("k1"), ONE).unwrap();
        let mut keyring = keyring(&one);
        keyring.watch([(two.clone(), Some(one.clone()))]);
        keyring.refresh();
        assert!(keyring.keys(&two).unwrap().contains_key("k1"));
        assert_eq!(keyring.faults(), 1);
        fs::create_dir(&two).unwrap();
        fs::write(two.join("k2"), TWO).unwrap();
        assert!(keyring.refresh());
        assert_eq!(keyring.keys(&two).unwrap().keys().collect::<Vec<_>>(), ["k2"]);
        // Those of two directories are not mixed.
        let mut mixed = Keyring::default();
        mixed.watch([(one.clone(), None), (two.clone(), None)]);
        mixed.refresh();
        let three = folder.path().join("three");
        mixed.watch([(three.clone(), Some(one)), (three.clone(), Some(two))]);
        mixed.refresh();
        assert!(mixed.keys(&three).unwrap().is_empty());
    }

    #[test]
    fn what_every_user_can_read_is_told() {
        let folder = Folder::new("secrets");
        let (path, hidden) = (folder.path().join("keys"), folder.path().join("hidden"));
        for folder in [&path, &hidden] {
            fs::create_dir(folder).unwrap();
        }
        let allow = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        allow(folder.path(), 0o755);
        allow(&path, 0o755);
        for (name, mode) in [("own", 0o600), ("group", 0o640), ("all", 0o644)] {
            fs::write(path.join(name), ONE).unwrap();
            allow(&path.join(name), mode);
        }
        // Where a link leads nobody else comes.
        fs::write(hidden.join("linked"), ONE).unwrap();
        allow(&hidden.join("linked"), 0o644);
        allow(&hidden, 0o700);
        symlink(hidden.join("linked"), path.join("linked")).unwrap();
        let mut keyring = keyring(&path);
        assert_eq!(keyring.open(), 1);
        assert!(!keyring.refresh());
        allow(&hidden, 0o711);
        assert!(keyring.refresh());
        assert_eq!(keyring.open(), 2);
        allow(&path, 0o750);
        assert!(keyring.refresh());
        assert_eq!((keyring.open(), keyring.faults()), (1, 0));
        allow(folder.path(), 0o700);
        keyring.refresh();
        assert_eq!(keyring.open(), 0);
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let folder = Folder::new("secrets");
        let write = |number| fs::write(folder.path().join(format!("k{number}")), ONE).unwrap();
        (0..MAX_KEYS).for_each(write);
        let (keys, faults) = read(folder.path(), &Keys::new());
        assert_eq!((keys.len(), faults.len()), (MAX_KEYS, 0));
        write(MAX_KEYS);
        let (keys, faults) = read(folder.path(), &Keys::new());
        assert_eq!(keys.len(), MAX_KEYS);
        assert_eq!(faults, ["more than 64 files"]);
    }
}
