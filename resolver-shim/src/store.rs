//! What is known, on disk: a restart forgets nothing.

use std::{collections::BTreeMap, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{answers::Seconds, files, model::Stored};

/// The most bytes of the file.
const MAX_BYTES: usize = 64 << 20;

/// The version of the format.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    services: BTreeMap<String, Stored>,
}

/// Reads what was stored; nothing where there is no file.
///
/// # Errors
///
/// Why the file cannot be used.
pub fn load(path: &Path, now: Seconds) -> io::Result<BTreeMap<String, Stored>> {
    let bytes = match files::read(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    parse(&bytes, now)
}

/// Reads what was stored from its bytes.
///
/// # Errors
///
/// Why they cannot be used.
pub fn parse(bytes: &[u8], now: Seconds) -> io::Result<BTreeMap<String, Stored>> {
    let file: File = serde_json::from_slice(bytes)?;
    if file.version != VERSION {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("version {} is not {VERSION}", file.version),
        ));
    }
    let mut services = file.services;
    for stored in services.values_mut() {
        stored.memory.not_after(now);
    }
    Ok(services)
}

/// Writes what is known. It holds no secrets.
///
/// # Errors
///
/// Why it cannot be written; the last file stays.
pub fn save(path: &Path, services: BTreeMap<String, Stored>) -> io::Result<()> {
    let file = File {
        version: VERSION,
        services,
    };
    files::replace(path, &serde_json::to_vec(&file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = Folder::new("store");
        let path = folder.path().join("state.json");
        assert!(load(&path, 5).unwrap().is_empty());
        let mut services = BTreeMap::new();
        let mut stored = Stored {
            held: ["2001:db8:5::/64".parse().unwrap()].into(),
            ..Stored::default()
        };
        stored.memory.list.at = 100;
        services.insert("web".to_owned(), stored.clone());
        save(&path, services.clone()).unwrap();
        assert_eq!(load(&path, 100).unwrap(), services);
        // The clock went back meanwhile.
        assert_eq!(load(&path, 50).unwrap()["web"].memory.list.at, 50);
    }

    #[test]
    fn files_at_fault_are_told() {
        let folder = Folder::new("store");
        let path = folder.path().join("state.json");
        for bad in [
            "",
            "{}",
            r#"{"version": 2, "services": {}}"#,
            r#"{"version": 1, "services": {"a": {}}}"#,
            "[[[[",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(load(&path, 0).is_err(), "{bad}");
        }
    }
}
