//! The key that endpoints share.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ring::hmac;

/// The digits of a key: 32 bytes in hexadecimal.
const DIGITS: usize = 64;
/// What is read of a file at most.
const MOST: u64 = 1024;

/// The key of heartbeats, for HMAC-SHA-256 (RFC 2104). It is never printed.
#[derive(Clone)]
pub struct Key(pub(super) hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A file has no key that may be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct KeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; nothing of its content.
    pub problem: String,
}

impl Key {
    /// Takes 32 bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Says whether it is the same key.
    #[must_use]
    pub(super) fn is(&self, other: &Self) -> bool {
        let tag = hmac::sign(&self.0, b"the same key");
        hmac::verify(&other.0, b"the same key", tag.as_ref()).is_ok()
    }

    /// Reads a file of 64 hexadecimal digits, as `openssl rand -hex 32` makes them. Nobody but its owner, who has to be this
    /// user or root, may have any right to it; if that is root its group may read it, as kubelets let the group of a pod.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let wrong = |problem: String| KeyError {
            path: path.to_owned(),
            problem,
        };
        let failed = |error: std::io::Error| wrong(ssa_input::files::reason(&error));
        let file = File::open(path).map_err(failed)?;
        // Of the file that is read, and not of what has its name by now.
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            return Err(wrong("is no file".to_owned()));
        }
        let me = rustix::process::geteuid().as_raw();
        if found.uid() != me && found.uid() != 0 {
            let owner = found.uid();
            return Err(wrong(format!(
                "belongs to user {owner}, who is neither this one ({me}) nor root"
            )));
        }
        let (others, allowed) = match found.uid() {
            0 => (0o037, "640, 600, 440 or 400"),
            _ => (0o077, "600 or 400"),
        };
        if found.mode() & others != 0 {
            let mode = found.mode() & 0o7777;
            return Err(wrong(format!(
                "others have rights to it (mode {mode:o}); its mode must be {allowed}"
            )));
        }
        let mut text = String::new();
        let read = file.take(MOST).read_to_string(&mut text);
        read.map_err(|_| wrong(digits()))?;
        Self::parse(text.trim_end()).ok_or_else(|| wrong(digits()))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut bytes = [0; DIGITS / 2];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self::new(&bytes))
    }
}

fn digits() -> String {
    format!("must have {DIGITS} hexadecimal digits, as of openssl rand -hex 32")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_read_from_a_file_that_is_its_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let read = |text: &str, mode: u32| {
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            Key::read(&path)
                .map(|key| format!("{key:?}"))
                .map_err(|error| error.problem)
        };
        let good = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n";
        assert_eq!(read(good, 0o600), Ok("Key(…)".to_owned()));
        assert_eq!(read(good, 0o400), Ok("Key(…)".to_owned()));
        let is_root = rustix::process::geteuid().is_root();
        let allowed = if is_root { "640, 600, 440 or 400" } else { "600 or 400" };
        let refused = |mode: u32| {
            Err(format!(
                "others have rights to it (mode {mode:o}); its mode must be {allowed}"
            ))
        };
        for mode in [0o604, 0o620, 0o610, 0o660] {
            assert_eq!(read(good, mode), refused(mode));
        }
        for mode in [0o640, 0o440] {
            let expected = if is_root {
                Ok("Key(…)".to_owned())
            } else {
                refused(mode)
            };
            assert_eq!(read(good, mode), expected);
        }
        for wrong in ["", "00", &good.replace('0', "g"), &good.repeat(2), &"0".repeat(5000)] {
            let told = read(wrong, 0o600).expect_err(wrong);
            assert_eq!(told, "must have 64 hexadecimal digits, as of openssl rand -hex 32");
        }
        assert_eq!(
            Key::read(folder.path()).map(drop).map_err(|error| error.problem),
            Err("is no file".to_owned())
        );
        let none = Key::read(&folder.path().join("none")).expect_err("no file");
        assert_eq!(none.problem, "there is no such file");
    }
}
