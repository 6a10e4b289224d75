//! What is known, on disk: a restart forgets nothing.

use std::{collections::BTreeMap, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Moment,
    files::AnchoredPath,
    folders::{Folders, Missing},
    model::Stored,
};

/// The maximum size in bytes of the file.
const MAX_BYTES: usize = 64 << 20;

/// The version of the format that is written.
const VERSION: u32 = 2;

/// The versions that are read, each with its field behind the version. Files of version 1 do not say when they were written.
const FORMATS: [(u32, &str); 2] = [(1, "services"), (VERSION, "saved")];

/// Returns whether a file begins, but for spaces, as one of those versions does: nothing else is replaced.
fn is_state(head: &[u8]) -> bool {
    let begins = |(version, field): (u32, &str)| format!("{{\"version\":{version},\"{field}\":").into_bytes();
    FORMATS.into_iter().any(|format| head.starts_with(&begins(format)))
}

/// Names the versions that are read.
fn versions() -> String {
    FORMATS.map(|(version, _)| version.to_string()).join(" or ")
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    /// When it was written.
    saved: Option<Moment>,
    services: BTreeMap<String, Stored>,
}

/// Reads what was stored; nothing where there is no file.
///
/// # Errors
///
/// Why the file cannot be used: its folder is missing or others can change it, it is faulty, or others can write it.
pub fn load(path: &Path, folders: Folders, now: &Moment) -> io::Result<BTreeMap<String, Stored>> {
    let bytes = match AnchoredPath::open(path, folders, Missing::Fail)?.read(MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    if bytes.is_empty() {
        return Ok(BTreeMap::new());
    }
    parse(&bytes, now)
}

/// Opens the place of the state, if what is there is one, empty, or nothing.
///
/// # Errors
///
/// Its folder is missing or others can change it, or what is there is something else, which stays.
pub(crate) fn place(path: &Path, folders: Folders) -> io::Result<AnchoredPath> {
    let place = AnchoredPath::open(path, folders, Missing::Fail)?;
    let stays = |kind, reason: &str| io::Error::new(kind, format!("{reason}, and is left as it is"));
    let head = match place.head(64) {
        Ok(head) => head,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(place),
        Err(error) => {
            let kind = match error.kind() {
                kind @ io::ErrorKind::PermissionDenied => kind,
                _ => io::ErrorKind::AlreadyExists,
            };
            return Err(stays(kind, &ssa_input::files::reason(&error)));
        }
    };
    let head: Vec<u8> = head.into_iter().filter(|octet| !octet.is_ascii_whitespace()).collect();
    if head.is_empty() || is_state(&head) {
        Ok(place)
    } else {
        let reason = format!("what is there is no state file of version {}", versions());
        Err(stays(io::ErrorKind::AlreadyExists, &reason))
    }
}

/// Reads what was stored from its bytes, with all times by the clock of now.
///
/// # Errors
///
/// Why they cannot be used.
pub fn parse(bytes: &[u8], now: &Moment) -> io::Result<BTreeMap<String, Stored>> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| {
        // What stands there is of no use to who reads the log, and may be anything.
        let (line, column) = (error.line(), error.column());
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("is not a state file of this version: line {line}, column {column}"),
        )
    })?;
    let mut services = file.services;
    let is_known = FORMATS.iter().any(|(version, _)| *version == file.version);
    match (file.version, &file.saved) {
        (1, None) => {}
        (_, Some(saved)) if is_known && file.version > 1 => {
            for stored in services.values_mut() {
                stored.history.shift(|time| now.of(time, saved));
            }
        }
        (version, _) => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("is not a state file of version {}, but of {version}", versions()),
            ));
        }
    }
    for stored in services.values_mut() {
        stored.history.not_after(now.now);
    }
    Ok(services)
}

/// Writes what is known. It holds no secrets.
///
/// # Errors
///
/// Why it cannot be written; the last file stays, and so does whatever is not a state.
pub fn save(path: &Path, folders: Folders, services: BTreeMap<String, Stored>, now: Moment) -> io::Result<()> {
    let file = File {
        version: VERSION,
        saved: Some(now),
        services,
    };
    place(path, folders)?.replace(&serde_json::to_vec(&file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn moment(now: u64, since_boot: u64) -> Moment {
        Moment {
            now,
            system: now,
            boot: "this".into(),
            since_boot,
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = Folder::new("store");
        let path = folder.path().join("state.json");
        assert!(load(&path, Folders::Own, &moment(5, 5)).unwrap().is_empty());
        let mut services = BTreeMap::new();
        let mut stored = Stored {
            held: ["2001:db8:5::/64".parse().unwrap()].into(),
            ..Stored::default()
        };
        stored.history.list.at = 100;
        services.insert("web".to_owned(), stored.clone());
        save(&path, Folders::Own, services.clone(), moment(110, 10)).unwrap();
        assert_eq!(load(&path, Folders::Own, &moment(110, 10)).unwrap(), services);
        // Half a minute passed, whatever the system's clock says.
        for now in [50, 140, 100_000] {
            let at = load(&path, Folders::Own, &moment(now, 40)).unwrap()["web"]
                .history
                .list
                .at;
            assert_eq!(at, now - 40);
        }
    }

    #[test]
    fn what_is_saved_may_be_replaced() {
        let folder = Folder::new("store");
        let path = folder.path().join("state.json");
        for now in [5, 6, 7] {
            save(&path, Folders::Own, BTreeMap::new(), moment(now, now)).unwrap();
            assert!(is_state(&std::fs::read(&path).unwrap()));
        }
        assert!(FORMATS.iter().any(|(version, _)| *version == VERSION));
    }

    #[test]
    fn what_is_no_state_stays_as_it_is() {
        let folder = Folder::new("store");
        let path = folder.path().join("state.json");
        let save = || save(&path, Folders::Own, BTreeMap::new(), moment(5, 5));
        let texts = [
            "key = 1\n",
            r#"{"version": 3, "saved": {}}"#,
            r#"{"version": 20, "saved": {}}"#,
            "00112233445566778899aabbccddeeff",
            "{}",
        ];
        for text in texts {
            std::fs::write(&path, text).unwrap();
            let error = save().unwrap_err().to_string();
            assert_eq!(
                error,
                "what is there is no state file of version 1 or 2, and is left as it is"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        // A state of its own that was cut off in the middle, or never begun, is replaced.
        for text in [
            "",
            "\n",
            r#"{"version":2,"saved":{"now":5"#,
            "{\"version\": 1,\n \"services\": {}}",
        ] {
            std::fs::write(&path, text).unwrap();
            save().unwrap();
            assert!(load(&path, Folders::Own, &moment(5, 5)).unwrap().is_empty());
        }
        for make in [
            |path: &Path| {
                let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
                assert!(made.success());
            },
            |path: &Path| std::os::unix::fs::symlink("elsewhere", path).unwrap(),
            |path: &Path| std::fs::create_dir(path).unwrap(),
            |path: &Path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        ] {
            let other = folder.path().join("other");
            make(&other);
            let before = std::fs::symlink_metadata(&other).unwrap();
            let error = super::save(&other, Folders::Own, BTreeMap::new(), moment(5, 5)).unwrap_err();
            assert!(error.to_string().ends_with("and is left as it is"), "{error}");
            let after = std::fs::symlink_metadata(&other).unwrap();
            assert_eq!(before.file_type(), after.file_type());
            if before.is_dir() {
                std::fs::remove_dir(&other).unwrap();
            } else {
                std::fs::remove_file(&other).unwrap();
            }
        }
    }

    #[test]
    fn a_missing_folder_is_told_at_once() {
        let folder = Folder::new("store");
        let path = folder.path().join("none/state.json");
        let error = load(&path, Folders::Own, &moment(5, 5)).unwrap_err().to_string();
        assert!(error.ends_with("none: there is no such directory"), "{error}");
    }

    #[test]
    fn files_of_version_1_are_read() {
        let history = r#"{"list": {"value": {"items": "2:2001:db8:5::/64"}, "ttl": 300, "at": 100},
            "records": {"value": ["v=ssa1; addr=rand:64"], "ttl": 300, "at": 100},
            "addresses": {"value": [], "ttl": 300, "at": 100},
            "seen_records": [{"value": "v=ssa1; addr=rand:64", "ttl": 300, "until": 400, "gone": false},
                             {"value": "v=ssa1; addr=rand:64; salt=2", "ttl": 300, "until": 350, "gone": true}],
            "seen_lists": [{"value": "2:2001:db8:5::/64", "ttl": 300, "until": 400, "gone": false}]}"#;
        let json =
            format!(r#"{{"version": 1, "services": {{"web": {{"domain": null, "memory": {history}, "held": []}}}}}}"#);
        let mut history = parse(json.as_bytes(), &moment(200, 9)).unwrap()["web"].history.clone();
        let terms = crate::history::Terms {
            key_of: &|_| ssa_rules::Key::None,
            forbidden: &|_| None,
            taken: &|_| None,
            max_ttl: 1000,
        };
        let view = history.verifier(350 + 59, &terms);
        assert_eq!((view.pairs.len(), view.kept.until), (2, Some(410)));
        assert_eq!(history.verifier(410, &terms).pairs.len(), 1);
        // The clock went back meanwhile.
        assert_eq!(
            parse(json.as_bytes(), &moment(50, 9)).unwrap()["web"].history.list.at,
            50
        );
    }

    #[test]
    fn files_at_fault_are_told() {
        let folder = Folder::new("store");
        let path = folder.path().join("state.json");
        for bad in [
            "{}",
            r#"{"version": 2, "services": {}}"#,
            r#"{"version": 3, "services": {}}"#,
            r#"{"version": 1, "services": {"a": {}}}"#,
            "[[[[",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(load(&path, Folders::Own, &moment(0, 0)).is_err(), "{bad}");
        }
    }
}
