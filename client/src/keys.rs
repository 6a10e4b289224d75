//! Keys, by the names that records give them.

use std::{collections::BTreeMap, io, path::Path};

use ssa_rules::{ClientKey, Key, KeyId, KeyMaterialError, Secret};

/// The most files read of a folder.
const MAX_FILES: usize = 64;

/// The longest file of a key, in bytes.
const MAX_BYTES: u64 = 256;

/// The keys of a client, by the names that records give them. Nothing prints them.
///
/// ```
/// let keys = ssa_client::Keys::default().with_client_key("k1", "00112233445566778899aabbccddeeff")?;
/// assert!(!format!("{keys:?}").contains("0011"));
/// # Ok::<(), ssa_client::KeysError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<KeyId, Key>);

/// Why a key is none. No key is part of it.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The name is none.
    #[error("{name}: {source}")]
    Name {
        /// What was given.
        name: String,
        /// What is allowed.
        source: ssa_rules::KeyIdError,
    },
    /// The material is none.
    #[error("key {name}: {source}")]
    Material {
        /// The name of the key.
        name: KeyId,
        /// What is allowed.
        source: KeyMaterialError,
    },
    /// A folder or a file of it cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A folder has too many files, or a file is too large.
    #[error("{path}: at most {MAX_FILES} keys are read of a folder, each of at most {MAX_BYTES} bytes")]
    TooMuch {
        /// Which.
        path: String,
    },
}

impl Keys {
    /// Adds the client's own key under the record's tag `kdf`: 32 hex digits.
    ///
    /// # Errors
    ///
    /// [`KeysError`].
    pub fn with_client_key(self, name: &str, hex: &str) -> Result<Self, KeysError> {
        self.with(name, hex, |hex| hex.parse::<ClientKey>().map(Key::Client))
    }

    /// Adds a secret, for rules without `kdf`: 32 hex digits.
    ///
    /// # Errors
    ///
    /// [`KeysError`].
    pub fn with_secret(self, name: &str, hex: &str) -> Result<Self, KeysError> {
        self.with(name, hex, |hex| hex.parse::<Secret>().map(Key::Secret))
    }

    fn with(
        mut self,
        name: &str,
        hex: &str,
        parse: impl Fn(&str) -> Result<Key, KeyMaterialError>,
    ) -> Result<Self, KeysError> {
        let id: KeyId = name.parse().map_err(|source| KeysError::Name {
            // A key in the place of its name is not repeated.
            name: if name.len() > 24 {
                "the name of a key".into()
            } else {
                name.escape_debug().to_string()
            },
            source,
        })?;
        let key = parse(hex).map_err(|source| KeysError::Material {
            name: id.clone(),
            source,
        })?;
        self.0.insert(id, key);
        Ok(self)
    }

    /// Reads client keys of a folder, as the shim's `client_keys`: a file's name is the key's, its content 32 hex digits.
    /// Names that begin with a dot are left out, as those of a mounted Secret.
    ///
    /// # Errors
    ///
    /// [`KeysError`].
    pub fn with_client_keys_of(mut self, folder: &Path) -> Result<Self, KeysError> {
        let at = |path: &Path| path.display().to_string();
        let failed = |path: &Path| {
            let path = at(path);
            move |source| KeysError::File { path, source }
        };
        let mut read = 0;
        for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            let Some(name) = path
                .file_name()
                .and_then(|name| name.to_str())
                .filter(|name| !name.starts_with('.'))
            else {
                continue;
            };
            read += 1;
            let size = std::fs::metadata(&path).map_err(failed(&path))?.len();
            if read > MAX_FILES || size > MAX_BYTES {
                return Err(KeysError::TooMuch { path: at(&path) });
            }
            let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
            self = self.with_client_key(name, text.trim())?;
        }
        Ok(self)
    }

    #[cfg(feature = "socket")]
    pub(crate) fn insert(&mut self, id: KeyId, key: Key) {
        self.0.insert(id, key);
    }

    pub(crate) fn get(&self, id: &KeyId) -> Key {
        self.0.get(id).copied().unwrap_or(Key::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_of_a_folder_and_never_told() {
        let folder = std::env::temp_dir().join(format!("ssa-client-keys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("k1"), "00112233445566778899aabbccddeeff\n").unwrap();
        std::fs::write(folder.join("..data"), "no key").unwrap();
        let keys = Keys::default().with_client_keys_of(&folder).unwrap();
        assert!(matches!(keys.get(&"k1".parse().unwrap()), Key::Client(_)));
        std::fs::write(folder.join("k2"), "00112233445566778899aabbccddeefg").unwrap();
        let error = Keys::default().with_client_keys_of(&folder).unwrap_err().to_string();
        assert_eq!(
            error,
            "key k2: key material is 32 hex digits (16 bytes); these 32 characters are not"
        );
        std::fs::write(folder.join("k2"), "0".repeat(257)).unwrap();
        let error = Keys::default().with_client_keys_of(&folder).unwrap_err().to_string();
        assert!(
            error.ends_with("at most 64 keys are read of a folder, each of at most 256 bytes"),
            "{error}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_key_in_the_place_of_its_name_is_not_repeated() {
        let secret = "00112233445566778899aabbccddeeff!";
        let error = Keys::default().with_secret(secret, "k1").unwrap_err().to_string();
        assert!(!error.contains("0011"), "{error}");
    }
}
