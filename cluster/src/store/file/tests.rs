//! What only a directory can do wrong.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::*;
use crate::{
    objects::{SliceNode, SliceSet, SliceSetSpec},
    store::{Event, Store},
};

fn set(name: &str) -> SliceSet {
    let spec = r#"{"service": "store.example", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}}"#;
    SliceSet::new(Name::new(name).unwrap(), serde_json::from_str(spec).unwrap())
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

async fn open(path: &Path) -> Store {
    Store::new(Arc::new(FileStore::open(path).await.unwrap()))
}

/// A directory with a set `one`, and the path of its file.
async fn with_one() -> (TempDir, Store, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.create(&set("one")).await.unwrap();
    let file = folder.path().join("slicesets/one.json");
    (folder, store, file)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn files_are_private_unless_the_group_may_write() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("made/here");
    open(&path).await.create(&set("one")).await.unwrap();
    assert_eq!((mode(&path), mode(&path.join("slicesets"))), (0o700, 0o700));
    for file in ["lock", "revision", "slicesets/one.json"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
    let shared = outer.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o770)).unwrap();
    open(&shared).await.create(&set("one")).await.unwrap();
    assert_eq!(mode(&shared.join("slicesets/one.json")) & 0o007, 0);
}

#[tokio::test]
async fn a_directory_that_everybody_may_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = FileStore::open(folder.path()).await.unwrap_err();
    let told = format!(
        "directory {}: everybody may write to it (mode 777)",
        folder.path().display()
    );
    assert_eq!(error.to_string(), told);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = FileStore::open(&file).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_object_is_told_with_its_path_and_field_and_changes_nothing() {
    let good = {
        let (_folder, _store, file) = with_one().await;
        fs::read_to_string(file).unwrap()
    };
    let other_name = good.replace("\"one\"", "\"two\"");
    let unwritten = good.replace("\"resourceVersion\": \"1\"", "\"resourceVersion\": \"none\"");
    let large = format!("{good}{}", " ".repeat(4 << 20));
    let more = good.replace("\"spec\"", "\"specs\": {}, \"spec\"");
    for (text, wanted) in [
        (&good[..good.len() / 2], "line"),
        ("", "line 1"),
        ("[]", "must be an object, not a list"),
        (&other_name, "metadata.name: must be `one`"),
        (
            &unwritten,
            "metadata.resourceVersion: must be a number from 1: no store has written it",
        ),
        (&large, "has more than 4194304 bytes"),
        (&more, "specs"),
        (&good.replace("SliceSet", "SliceMap"), "kind: must be `SliceSet`"),
        (
            &good.replace("v1alpha1", "v1"),
            "apiVersion: must be `ssa.dev.example/v1alpha1`",
        ),
        (&good.replace("2:2001:db8:5::/64", "2:2001:db8:5::/640"), "spec.apl: "),
        (&good.replace("\"bits\": 14", "\"bits\": 99"), "spec.bits: "),
    ] {
        let (folder, store, file) = with_one().await;
        store.create(&set("other")).await.unwrap();
        fs::write(&file, text).unwrap();
        let listed = store.list::<SliceSetSpec>().await.unwrap();
        assert_eq!(listed.objects.len(), 1, "{wanted}");
        assert_eq!(listed.faulty.len(), 1, "{wanted}");
        assert_eq!(listed.faulty[0].name, "one");
        let told = listed.faulty[0].faults[0].to_string();
        assert!(told.contains(wanted), "{told}: {wanted}");
        let error = store.get::<SliceSetSpec>(&name("one")).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}: {wanted}");
        if !wanted.starts_with("spec.") {
            assert!(told.contains(&file.display().to_string()), "{told}");
            let mut next = set("one");
            next.metadata.resource_version = Some(ResourceVersion::new("1"));
            next.spec.standby = false;
            let error = store.update(&next).await.unwrap_err();
            assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
        }
        assert!(matches!(
            store.create(&set("one")).await,
            Err(StoreError::Exists { .. })
        ));
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        // It can be taken away, by who does not claim to have seen it.
        store.delete::<SliceSetSpec>(&name("one"), None).await.unwrap();
        store.create(&set("one")).await.unwrap();
        drop(folder);
    }
}

#[tokio::test]
async fn neither_links_nor_pipes_nor_other_files_are_objects() {
    let (folder, store, file) = with_one().await;
    let outside = folder.path().join("outside.json");
    fs::rename(&file, &outside).unwrap();
    symlink(&outside, &file).unwrap();
    let kinds = folder.path().join("slicesets");
    fs::write(kinds.join("README"), "").unwrap();
    fs::create_dir(kinds.join("folder.json")).unwrap();
    let pipe = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        kinds.join("pipe.json"),
        rustix::fs::FileType::Fifo,
        pipe,
        0,
    )
    .unwrap();
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    let told: Vec<(String, String)> = listed
        .faulty
        .iter()
        .map(|faulty| (faulty.name.clone(), faulty.faults[0].to_string()))
        .collect();
    let wanted = [
        ("README", "is no object: wanted is NAME.json"),
        ("folder", "is no file"),
        ("one", "is a link; a file is wanted"),
        ("pipe", "is no file"),
    ];
    assert_eq!((listed.objects.len(), told.len()), (0, wanted.len()), "{told:?}");
    for ((name, told), (wanted_name, wanted)) in told.iter().zip(wanted) {
        assert!(name == wanted_name && told.ends_with(wanted), "{name}: {told}");
    }
}

#[tokio::test]
async fn a_watch_tells_faults_and_that_they_are_gone() {
    let (_folder, store, file) = with_one().await;
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    let good = fs::read(&file).unwrap();
    fs::write(&file, "{").unwrap();
    // A file that is written to in place may be seen empty, and then with its text.
    let Event::Faulty(faulty) = watch.next().await.unwrap() else {
        panic!("no fault");
    };
    assert_eq!(faulty.name, "one");
    let whole = file.with_file_name(".whole");
    fs::write(&whole, good).unwrap();
    fs::rename(&whole, &file).unwrap();
    loop {
        match watch.next().await.unwrap() {
            Event::Faulty(_) => {}
            event => {
                assert_eq!(event, Event::Applied(listed.objects[0].clone()));
                break;
            }
        }
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(watch.next().await.unwrap(), Event::Deleted(name("one")));
}

/// A writer may end after each of its steps. What it then leaves are a temporary file, a revision without its object, and
/// a deletion that is noted and not done.
#[tokio::test]
async fn a_writer_that_dies_leaves_the_old_object_or_the_new_one() {
    let (folder, store, file) = with_one().await;
    let path = folder.path();
    let made = store.get::<SliceSetSpec>(&name("one")).await.unwrap();
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    // While the revision was written, then while the object was.
    for half in [".tmp-1-1", "slicesets/.tmp-1-2"] {
        fs::write(path.join(half), "{\"apiVersion\": ").unwrap();
        assert_eq!(store.list::<SliceSetSpec>().await.unwrap().objects, listed.objects);
    }
    // After the revision was written.
    fs::write(path.join("revision"), "2\n").unwrap();
    assert_eq!(store.get::<SliceSetSpec>(&name("one")).await.unwrap(), made);
    // After a deletion was noted.
    let noted = r#"{"forgotten": 0, "deleted": [{"kind": "SliceSet", "name": "one", "revision": 2}]}"#;
    fs::write(path.join("deleted.json"), noted).unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    let mut next = made.clone();
    next.spec.standby = false;
    let kept = store.update(&next).await.unwrap();
    assert_eq!(kept.metadata.resource_version.as_ref().unwrap().as_str(), "3");
    assert_eq!(watch.next().await.unwrap(), Event::Applied(kept.clone()));
    let left: Vec<_> = fs::read_dir(path.join("slicesets")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(!path.join(".tmp-1-1").exists());
    // The revision is lost, as a machine that loses power may lose it.
    for lost in ["", "x", "1"] {
        fs::write(path.join("revision"), lost).unwrap();
        let mut next = store.get::<SliceSetSpec>(&name("one")).await.unwrap();
        let before: u64 = next
            .metadata
            .resource_version
            .as_ref()
            .unwrap()
            .as_str()
            .parse()
            .unwrap();
        next.spec.standby = !next.spec.standby;
        let kept = store.update(&next).await.unwrap();
        let after: u64 = kept
            .metadata
            .resource_version
            .as_ref()
            .unwrap()
            .as_str()
            .parse()
            .unwrap();
        assert!(after > before, "{after} {before}");
        assert!(matches!(store.update(&next).await, Err(StoreError::Conflict { .. })));
    }
    fs::remove_file(path.join("revision")).unwrap();
    assert_eq!(
        store.list::<SliceSetSpec>().await.unwrap().version,
        store
            .get::<SliceSetSpec>(&name("one"))
            .await
            .unwrap()
            .metadata
            .resource_version
            .unwrap()
    );
    assert!(file.exists());
}

#[tokio::test]
async fn deletions_are_remembered_up_to_a_bound() {
    let (folder, store, _) = with_one().await;
    let start = store.list::<SliceSetSpec>().await.unwrap().version;
    store.delete::<SliceSetSpec>(&name("one"), None).await.unwrap();
    let noted: Vec<String> = (2..1026)
        .map(|revision| format!(r#"{{"kind": "SliceSet", "name": "n{revision}", "revision": {revision}}}"#))
        .collect();
    let noted = format!(r#"{{"forgotten": 0, "deleted": [{}]}}"#, noted.join(", "));
    fs::write(folder.path().join("deleted.json"), noted).unwrap();
    fs::write(folder.path().join("revision"), "1025").unwrap();
    store.watch::<SliceSetSpec>(&start).await.unwrap();
    // One more, and the first half is forgotten.
    store.create(&set("more")).await.unwrap();
    store.delete::<SliceSetSpec>(&name("more"), None).await.unwrap();
    let error = store.watch::<SliceSetSpec>(&start).await.unwrap_err();
    assert!(matches!(error, StoreError::TooOld { .. }), "{error}");
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    // A torn note is no note.
    fs::write(folder.path().join("deleted.json"), "{").unwrap();
    store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    let error = store
        .watch::<SliceSetSpec>(&ResourceVersion::new("1026"))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::TooOld { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_held_for_too_long_is_told() {
    let (folder, store, _) = with_one().await;
    let lock = fs::File::open(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let error = store.get::<SliceSetSpec>(&name("one")).await.unwrap_err();
    let told = format!(
        "directory {}: another process holds its lock for 10 s",
        folder.path().display()
    );
    assert_eq!(error.to_string(), told);
    lock.unlock().unwrap();
    store.get::<SliceSetSpec>(&name("one")).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_gone_ends_its_watches() {
    let (folder, store, _) = with_one().await;
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    drop(folder);
    loop {
        match watch.next().await {
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_is_too_long_for_a_file_is_refused() {
    let (_folder, store, _) = with_one().await;
    let label = "a".repeat(49);
    let longest = [&*label; 5].join(".");
    // Of the names of sets and endpoints others are made, so that those are shorter anyway.
    let node = |name: &str| {
        let spec = serde_json::from_value(serde_json::json!({})).unwrap();
        SliceNode::new(Name::new(name).unwrap(), spec)
    };
    store.create(&node(&format!("{longest}a"))).await.unwrap();
    let error = store.create(&node(&format!("{longest}aa"))).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("metadata.name: has 251 bytes; a name in a directory has at most 250")
    );
}

#[tokio::test]
async fn a_writer_gets_in_before_readers_that_come_after_it() {
    let (folder, store, _) = with_one().await;
    let open = |file: &str| fs::File::open(folder.path().join(file)).unwrap();
    let reading = open("lock");
    reading.lock_shared().unwrap();
    let mut one = store.get::<SliceSetSpec>(&name("one")).await.unwrap();
    one.spec.standby = !one.spec.standby;
    let wanted = one.spec.standby;
    let writer = tokio::spawn({
        let store = store.clone();
        async move { store.update(&one).await }
    });
    let gate = open("gate");
    while gate.try_lock_shared().is_ok() {
        gate.unlock().unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let reader = tokio::spawn(async move { store.get::<SliceSetSpec>(&name("one")).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!reader.is_finished(), "it waits for the writer");
    reading.unlock().unwrap();
    writer.await.unwrap().unwrap();
    assert_eq!(reader.await.unwrap().unwrap().spec.standby, wanted);
}

#[tokio::test]
async fn changes_are_counted_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let backend = FileStore::open(folder.path()).await.unwrap();
    let mut changes = backend.changes.clone();
    Store::new(Arc::new(backend)).create(&set("one")).await.unwrap();
    changes.wait_for(|counts| counts.of(Kind::SliceSet) > 0).await.unwrap();
    let others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::SliceSet);
    for kind in others {
        assert_eq!(changes.borrow().of(kind), 0, "{kind}");
    }
}
