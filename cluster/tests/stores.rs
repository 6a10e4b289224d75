//! Every store keeps the same promises.

use ssa_cluster::{
    objects::{Name, SliceSet, SliceSetSpec},
    store::{Event, Memory, Store, StoreError},
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn set(called: &str) -> SliceSet {
    let spec: SliceSetSpec =
        serde_json::from_str(r#"{"service": "store.example", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}}"#)
            .unwrap();
    SliceSet::new(name(called), spec)
}

#[tokio::test]
async fn a_second_writer_is_told_of_the_first() {
    let store = Store::new(std::sync::Arc::new(Memory::new()));
    let made = store.create(&set("one")).await.unwrap();
    assert_eq!(made.metadata.generation, 1);
    let exists = store.create(&set("one")).await.unwrap_err();
    assert_eq!(exists.to_string(), "SliceSet one: exists already");
    let mut first = made.clone();
    first.spec.standby = false;
    let kept = store.update(&first).await.unwrap();
    assert_eq!(kept.metadata.generation, 2);
    assert_ne!(kept.metadata.resource_version, made.metadata.resource_version);
    let error = store.update(&made).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert_eq!(store.get::<SliceSetSpec>(&name("one")).await.unwrap(), kept);
}

#[tokio::test]
async fn a_watch_tells_what_happened_since() {
    let store = Store::new(std::sync::Arc::new(Memory::new()));
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    let made = store.create(&set("one")).await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    assert_eq!(watch.next().await.unwrap(), Event::Applied(made));
    store.delete::<SliceSetSpec>(&name("one"), None).await.unwrap();
    assert_eq!(watch.next().await.unwrap(), Event::Deleted(name("one")));
}
