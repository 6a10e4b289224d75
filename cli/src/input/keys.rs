//! Secrets and client keys: `--secret`, `--secret-file`, `--client-key`. None is ever repeated in a message.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use ssa_input::secrets::has_key;
use ssa_rules::{ClientKey, Key, KeyId, KeyMaterialError, Secret};

use super::files;
use crate::{failure::Faults, output::Output};

/// Where secrets come from.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
pub(crate) struct SecretArgs {
    /// A secret: the name that the record gives it, and 32 hex digits (16 bytes). Other users of this machine can
    /// see it; better use a file
    #[arg(long, value_name = "NAME=HEX")]
    pub(crate) secret: Vec<String>,
    /// A file of secrets (- for standard input), a line NAME=HEX for each; empty lines and lines that start with # are
    /// passed over
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Vec<PathBuf>,
}

/// Where keys come from.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    secrets: SecretArgs,
    /// A client key under the record's tag kdf, of the same form; it composes, and verifies nothing
    #[arg(long, value_name = "NAME=HEX")]
    pub(crate) client_key: Vec<String>,
}

/// The available keys, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(BTreeMap<KeyId, Key>);

impl Keys {
    /// Returns what is known of the secret of this name.
    pub(crate) fn get(&self, id: &KeyId) -> Key {
        self.0.get(id).copied().unwrap_or(Key::None)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, id: &KeyId) -> bool {
        self.0.contains_key(id)
    }

    /// Returns the secrets, without client keys.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&KeyId, &Secret)> {
        self.0.iter().filter_map(|(id, key)| match key {
            Key::Secret(secret) => Some((id, secret)),
            Key::Client(_) | Key::None => None,
        })
    }

    /// Returns which key is needed, and which ones were given in its place.
    pub(crate) fn lacks(&self, id: &KeyId) -> String {
        let given: Vec<&str> = self.0.keys().map(KeyId::as_str).collect();
        let verb = if given.len() == 1 { "was" } else { "were" };
        if given.is_empty() || self.has(id) {
            format!("missing; {id} is needed")
        } else {
            format!("missing; {id} is needed, {} {verb} given", given.join(", "))
        }
    }

    fn insert(
        &mut self,
        place: &str,
        line: &str,
        key: impl Fn(&str) -> Result<Key, KeyMaterialError>,
        faults: &mut Faults,
    ) {
        // The text may hold a secret wherever it is faulty, so no part of it is repeated.
        let Some((id, hex)) = line.split_once('=') else {
            return faults.push(
                place,
                "not NAME=HEX, such as k1= and 32 hex digits (what was given is not shown)",
            );
        };
        let id = faults.take(place, key_name(id.trim()));
        let key = faults.take(place, key(hex.trim()));
        let (Some(id), Some(key)) = (id, key) else {
            return;
        };
        if self.0.get(&id).is_some_and(|known| *known != key) {
            faults.push(place, format!("the key {id} is given twice, with different values"));
        }
        self.0.insert(id, key);
    }
}

/// Why a text names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyNameError {
    /// It may be a key itself.
    #[error("a key name that looks like a key (what was given is not shown)")]
    Key,
    /// It is not written as one.
    #[error("{0}")]
    Text(#[source] <KeyId as FromStr>::Err),
}

/// Reads the name of a key. One that may be a key itself is none: names are shown.
pub(crate) fn key_name(text: &str) -> Result<KeyId, KeyNameError> {
    if has_key(text) {
        return Err(KeyNameError::Key);
    }
    KeyId::from_str(text).map_err(KeyNameError::Text)
}

fn secret(hex: &str) -> Result<Key, KeyMaterialError> {
    hex.parse::<Secret>().map(Key::Secret)
}

fn client_key(hex: &str) -> Result<Key, KeyMaterialError> {
    hex.parse::<ClientKey>().map(Key::Client)
}

impl SecretArgs {
    /// Reads all secrets, recording every fault, and warns of files that others can read.
    pub(crate) fn read(&self, faults: &mut Faults, out: &mut Output) -> Keys {
        let mut keys = Keys::default();
        for text in &self.secret {
            keys.insert("--secret", text, secret, faults);
        }
        for path in &self.secret_file {
            let place = format!("--secret-file {}", path.display());
            let Some(text) = faults.take(&place, files::read_text(path)) else {
                continue;
            };
            if !files::is_standard(path) && is_open_to_all(path) {
                out.warn(format_args!(
                    "{place}: every user of this machine can read it; chmod 600 is advised"
                ));
            }
            for (number, line) in (1..).zip(text.lines()) {
                let line = line.trim();
                if !line.is_empty() && !line.starts_with('#') {
                    keys.insert(&format!("{place} line {number}"), line, secret, faults);
                }
            }
        }
        keys
    }
}

impl KeyArgs {
    /// Reads all keys, recording every fault, and warns of files that others can read.
    pub(crate) fn read(&self, faults: &mut Faults, out: &mut Output) -> Keys {
        let mut keys = self.secrets.read(faults, out);
        for text in &self.client_key {
            keys.insert("--client-key", text, client_key, faults);
        }
        keys
    }
}

#[cfg(unix)]
fn is_open_to_all(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_path: &std::path::Path) -> bool {
    false
}
