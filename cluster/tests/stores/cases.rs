//! What every store promises.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::json;
use ssa_cluster::{
    objects::{
        Epoch, Kind, Lease, LeaseSpec, MAX_BYTES, MapEndpoint, Message, Name, Object, Ownership, Phase, Prefix,
        ResourceVersion, SliceEndpoint, SliceEndpointSpec, SliceMap, SliceMapSpec, SliceMove, SliceNode, SliceNodeSpec,
        SliceSet, SliceSetSpec, Spec, Timestamp,
    },
    store::{Event, Store, StoreError, Watch},
};
use ssa_snapshot::Number;

use crate::fixture::{Case, Env};

/// Each case with its name, and whether it disturbs the server.
pub(crate) const CASES: &[(&str, bool, Case)] = &[
    ("an_object_is_made_once", false, |env| {
        Box::pin(an_object_is_made_once(env))
    }),
    ("every_kind_is_kept_whole", false, |env| {
        Box::pin(every_kind_is_kept_whole(env))
    }),
    ("what_was_not_seen_is_not_overwritten", false, |env| {
        Box::pin(what_was_not_seen_is_not_overwritten(env))
    }),
    ("no_update_of_many_writers_is_lost", false, |env| {
        Box::pin(no_update_of_many_writers_is_lost(env))
    }),
    ("spec_and_status_are_written_apart", false, |env| {
        Box::pin(spec_and_status_are_written_apart(env))
    }),
    ("a_write_that_changes_nothing_is_none", false, |env| {
        Box::pin(a_write_that_changes_nothing_is_none(env))
    }),
    ("what_is_deleted_is_gone", false, |env| {
        Box::pin(what_is_deleted_is_gone(env))
    }),
    ("a_watch_ends_with_the_last_state_of_every_object", false, |env| {
        Box::pin(a_watch_ends_with_the_last_state_of_every_object(env))
    }),
    ("a_watch_goes_on_where_another_ended", false, |env| {
        Box::pin(a_watch_goes_on_where_another_ended(env))
    }),
    ("a_watch_past_a_gap_says_so", true, |env| {
        Box::pin(a_watch_past_a_gap_says_so(env))
    }),
    ("an_object_out_of_bounds_is_refused_whole", false, |env| {
        Box::pin(an_object_out_of_bounds_is_refused_whole(env))
    }),
    ("the_largest_object_is_kept_and_a_larger_one_refused", false, |env| {
        Box::pin(the_largest_object_is_kept_and_a_larger_one_refused(env))
    }),
    ("a_faulty_object_is_told_and_the_others_work", false, |env| {
        Box::pin(a_faulty_object_is_told_and_the_others_work(env))
    }),
    ("many_objects_are_listed", false, |env| {
        Box::pin(many_objects_are_listed(env))
    }),
    ("programs_open_it_by_their_flags", false, |env| {
        Box::pin(programs_open_it_by_their_flags(env))
    }),
    ("a_server_that_starts_again_has_everything", true, |env| {
        Box::pin(a_server_that_starts_again_has_everything(env))
    }),
];

/// How long to wait for what has to come; nothing waits for it to pass.
const LONG: Duration = Duration::from_mins(1);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn spec<S: Spec>(value: serde_json::Value) -> S {
    serde_json::from_value(value).unwrap()
}

fn set(called: &str) -> SliceSet {
    let spec = json!({"service": "store.example", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}});
    SliceSet::new(name(called), self::spec(spec))
}

fn version<S: Spec>(object: &Object<S>) -> ResourceVersion {
    object.metadata.resource_version.clone().unwrap()
}

async fn next<S: Spec>(watch: &mut Watch<S>) -> Event<S> {
    loop {
        match tokio::time::timeout(LONG, watch.next()).await.unwrap().unwrap() {
            Event::Bookmark => {}
            event => return event,
        }
    }
}

async fn an_object_is_made_once(env: Env) {
    let store = env.open().await;
    let missing = store.get::<SliceSetSpec>(&name("one")).await.unwrap_err();
    assert_eq!(missing.to_string(), "SliceSet one: there is none");
    let mut wanted = set("one");
    wanted.status.slices = 7;
    let made = store.create(&wanted).await.unwrap();
    assert_eq!((made.metadata.generation, &made.spec), (1, &wanted.spec));
    // Whoever makes an object does not observe it.
    assert_eq!(made.status, SliceSet::new(name("one"), wanted.spec.clone()).status);
    let exists = store.create(&set("one")).await.unwrap_err();
    assert_eq!(exists.to_string(), "SliceSet one: exists already");
    assert_eq!(store.get::<SliceSetSpec>(&name("one")).await.unwrap(), made);
    assert_eq!(store.list::<SliceSetSpec>().await.unwrap().objects, [made]);
}

async fn kept<S: Spec>(store: &Store, object: Object<S>) {
    let made = store.create(&object).await.unwrap();
    assert_eq!(made.spec, object.spec, "{}", S::KIND);
    let mut observed = made;
    observed.status = object.status;
    if S::KIND.has_status() {
        let kept = store.update_status(&observed).await.unwrap();
        assert_eq!(kept.status, observed.status, "{}", S::KIND);
        observed = kept;
    }
    assert_eq!(store.get::<S>(observed.name()).await.unwrap(), observed);
    assert_eq!(store.list::<S>().await.unwrap().objects, [observed]);
}

/// Objects of one name, with every field.
async fn every_kind_is_kept_whole(env: Env) {
    let store = env.open().await;
    let condition = json!({
        "type": "Ready", "status": "False", "reason": "NoEndpoint", "message": "größer als „nichts“",
        "lastTransitionTime": "2026-01-31T12:00:00.000001Z", "observedGeneration": 3
    });
    let maps = json!([{"name": "store-0", "epoch": 7}]);
    let moves = json!([{
        "name": "m", "epoch": 9_007_199_254_740_991_u64, "phase": "Drain", "flows": 4_000_000_000_u32,
        "forwarded": 5_000_000_000_u64, "message": "waits"
    }]);
    let mut one: SliceSet = SliceSet::new(
        name("one"),
        spec(json!({
            "service": "store.example", "apl": "2:2001:db8:5::/64 2:2001:db8:6::/64", "bits": 10, "replicas": 3,
            "firstFieldBits": 20, "endpoints": {"list": [
                {"name": "a", "address": "2001:db8:1::a", "tunnel": {"address": "2001:db8:2::a"},
                 "node": "n", "domain": "rack-1", "weight": 4_294_967_295_u32}]},
            "ownership": "Exclusive", "handover": {"drainSeconds": 1, "deadlineSeconds": 2, "parallel": 3},
            "balance": {"metric": "Bytes", "tolerancePercent": 1, "budgetPercent": 2, "cooldownSeconds": 3},
            "standby": false, "allowed": ["2001:db8::/32"],
            "placement": {"drained": ["b"], "pinned": [{"prefix": "2001:db8:5::/80", "endpoint": "a"}], "paused": true}
        })),
    );
    one.status = serde_json::from_value(json!({
        "observedGeneration": 1, "epoch": 2, "slices": 3, "endpoints": 4, "readyEndpoints": 5, "wantedEndpoints": 6,
        "openMoves": 7, "imbalancePermille": 1010, "conditions": [condition.clone()]
    }))
    .unwrap();
    kept(&store, one).await;
    let selector =
        json!({"service": "s", "apl": "2:2001:db8:5::/64", "endpoints": {"selector": {"app.example/x": "y"}}});
    let other = env.fixture.open("every-kind-by-selector").await;
    kept(&other, SliceSet::new(name("one"), spec(selector))).await;
    let map = json!({
        "sliceSet": "one", "epoch": 9_007_199_254_740_991_u64, "part": 1, "parts": 2, "ownership": "Exclusive",
        "endpoints": [{"name": "a", "owned": ["2001:db8:5::/65"], "standby": ["2001:db8:5:0:8000::/65"]},
                      {"name": "b", "owned": ["2001:db8:5:0:8000::/65"], "standby": ["2001:db8:5::/65"]}]
    });
    kept(&store, SliceMap::new(name("one"), spec(map))).await;
    let mut moved: SliceMove = SliceMove::new(
        name("one"),
        spec(json!({
            "sliceSet": "one", "epoch": 3, "from": "a", "to": "b", "prefixes": ["2001:db8:5::/80"], "reason": "Balance",
            "cancelled": true
        })),
    );
    moved.status.phase = Phase::Drain;
    moved.status.started_at = Some(Timestamp::from_micros(1_769_860_800_123_456));
    moved.status.phase_since = Some(Timestamp::from_millis(1_769_860_801_000));
    moved.status.ended_at = Some(Timestamp::from_millis(0));
    moved.status.message = Message::new("a message");
    kept(&store, moved).await;
    let mut endpoint: SliceEndpoint = SliceEndpoint::new(
        name("one"),
        spec(json!({
            "sliceSets": ["one"], "address": "2001:db8:1::a", "tunnel": {"address": "2001:db8:2::a"},
            "node": "n", "domain": "d", "weight": 0, "drained": true
        })),
    );
    endpoint.status = serde_json::from_value(json!({
        "observedGeneration": 1, "ready": true, "serving": true, "readySince": "2026-01-31T12:00:00.000000Z", "maps": maps.clone(),
        "moves": moves.clone(), "conditions": [condition.clone()]
    }))
    .unwrap();
    kept(&store, endpoint).await;
    let mut node: SliceNode = SliceNode::new(name("one"), SliceNodeSpec {});
    node.status = serde_json::from_value(json!({
        "ready": true, "readySince": "2026-01-31T12:00:00.000000Z", "maps": maps, "moves": moves,
        "conditions": [condition]
    }))
    .unwrap();
    kept(&store, node).await;
    let lease = json!({
        "holderIdentity": "a", "leaseDurationSeconds": 15, "acquireTime": "2026-01-31T12:00:00.000001Z",
        "renewTime": "2026-01-31T12:00:00.999999Z", "leaseTransitions": 2_147_483_647
    });
    kept(&store, Lease::new(name("one"), spec(lease))).await;
}

async fn what_was_not_seen_is_not_overwritten(env: Env) {
    let (store, other) = (env.open().await, env.open().await);
    let made = store.create(&set("one")).await.unwrap();
    let mut first = made.clone();
    first.spec.standby = false;
    let kept = store.update(&first).await.unwrap();
    assert_eq!(kept.metadata.generation, 2);
    assert_ne!(version(&kept), version(&made));
    let told = "SliceSet one: has changed since it was read";
    assert_eq!(other.update(&made).await.unwrap_err().to_string(), told);
    assert_eq!(other.update_status(&made).await.unwrap_err().to_string(), told);
    let stale = version(&made);
    let deleted = other.delete::<SliceSetSpec>(&name("one"), Some(&stale)).await;
    assert_eq!(deleted.unwrap_err().to_string(), told);
    // One that nobody has read has no version to replace.
    let mut unread = set("one");
    unread.spec.standby = false;
    assert_eq!(other.update(&unread).await.unwrap_err().to_string(), told);
    assert_eq!(other.get::<SliceSetSpec>(&name("one")).await.unwrap(), kept);
    let mut gone = kept.clone();
    gone.metadata.name = name("two");
    let error = other.update(&gone).await.unwrap_err();
    assert_eq!(error.to_string(), "SliceSet two: there is none");
    let error = other.update_status(&gone).await.unwrap_err();
    assert_eq!(error.to_string(), "SliceSet two: there is none");
}

async fn no_update_of_many_writers_is_lost(env: Env) {
    const WRITERS: u32 = 8;
    const EACH: u32 = 5;
    env.open().await.create(&set("counter")).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let env = env.clone();
            tokio::spawn(async move {
                let store = env.open().await;
                for _ in 0..EACH {
                    loop {
                        let mut read = store.get::<SliceSetSpec>(&name("counter")).await.unwrap();
                        read.spec.handover.parallel = Number::new(read.spec.handover.parallel.get() + 1).unwrap();
                        match store.update(&read).await {
                            Ok(_) => break,
                            Err(StoreError::Conflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let last = env.open().await.get::<SliceSetSpec>(&name("counter")).await.unwrap();
    assert_eq!(last.spec.handover.parallel.get(), 8 + WRITERS * EACH);
    assert_eq!(last.metadata.generation, u64::from(1 + WRITERS * EACH));
}

async fn spec_and_status_are_written_apart(env: Env) {
    let store = env.open().await;
    let mut both = store.create(&set("one")).await.unwrap();
    let made = both.clone();
    both.spec.standby = false;
    both.status.slices = 7;
    let observed = store.update_status(&both).await.unwrap();
    assert_eq!((&observed.spec, observed.status.slices), (&made.spec, 7));
    assert_eq!(observed.metadata.generation, 1);
    assert_ne!(version(&observed), version(&made));
    both.metadata = observed.metadata;
    both.status.slices = 8;
    let wanted = store.update(&both).await.unwrap();
    assert_eq!((wanted.spec.standby, wanted.status.slices), (false, 7));
    assert_eq!(wanted.metadata.generation, 2);
    // What is no longer there is gone, and not merged.
    let mut less = wanted;
    less.spec.endpoints = spec_of_endpoints();
    let kept = store.update(&less).await.unwrap();
    assert_eq!(
        (&kept.spec.endpoints.list, kept.spec.endpoints.selector.is_some()),
        (&None, true)
    );
}

fn spec_of_endpoints() -> ssa_cluster::objects::Endpoints {
    serde_json::from_value(json!({"selector": {"app": "store"}})).unwrap()
}

async fn a_write_that_changes_nothing_is_none(env: Env) {
    let store = env.open().await;
    let made = store.create(&set("one")).await.unwrap();
    assert_eq!(store.update(&made).await.unwrap(), made);
    let mut observed = made.clone();
    observed.status.slices = 7;
    let observed = store.update_status(&observed).await.unwrap();
    assert_eq!(store.update_status(&observed).await.unwrap(), observed);
    assert_eq!(store.update(&observed).await.unwrap(), observed);
}

async fn what_is_deleted_is_gone(env: Env) {
    let store = env.open().await;
    let start = store.list::<SliceSetSpec>().await.unwrap();
    let made = store.create(&set("one")).await.unwrap();
    let other: SliceNode = SliceNode::new(name("one"), SliceNodeSpec {});
    store.create(&other).await.unwrap();
    let seen = version(&made);
    store.delete::<SliceSetSpec>(&name("one"), Some(&seen)).await.unwrap();
    let told = "SliceSet one: there is none";
    let again = store.delete::<SliceSetSpec>(&name("one"), None).await;
    assert_eq!(again.unwrap_err().to_string(), told);
    assert_eq!(
        store.get::<SliceSetSpec>(&name("one")).await.unwrap_err().to_string(),
        told
    );
    assert_eq!(store.update(&made).await.unwrap_err().to_string(), told);
    // Another kind's object of that name stays.
    store.get::<SliceNodeSpec>(&name("one")).await.unwrap();
    let anew = store.create(&set("one")).await.unwrap();
    assert_eq!(anew.metadata.generation, 1);
    assert_ne!(version(&anew), version(&made));
    // Who knows the one that was deleted does not touch the one that has its name.
    assert!(matches!(store.update(&made).await, Err(StoreError::Conflict { .. })));
    store.delete::<SliceSetSpec>(&name("one"), None).await.unwrap();
    let last = store.create(&set("last")).await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&start.version).await.unwrap();
    let mut there = BTreeSet::new();
    loop {
        match next(&mut watch).await {
            Event::Applied(object) if object == last => break,
            Event::Applied(object) => _ = there.insert(object.name().clone()),
            Event::Deleted(name) => _ = there.remove(&name),
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(there, BTreeSet::new());
}

async fn a_watch_ends_with_the_last_state_of_every_object(env: Env) {
    const OBJECTS: usize = 5;
    const CHANGES: u64 = 10;
    let store = env.open().await;
    let start = store.list::<SliceSetSpec>().await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&start.version).await.unwrap();
    // Another kind changes too, which this watch does not tell.
    store
        .create(&SliceNode::new(name("other"), SliceNodeSpec {}))
        .await
        .unwrap();
    let writers: Vec<_> = (0..OBJECTS)
        .map(|number| {
            let env = env.clone();
            tokio::spawn(async move {
                let store = env.open().await;
                let mut object = store.create(&set(&format!("set-{number}"))).await.unwrap();
                for _ in 0..CHANGES {
                    object.spec.standby = !object.spec.standby;
                    object = store.update(&object).await.unwrap();
                }
                object
            })
        })
        .collect();
    let mut seen: BTreeMap<Name, SliceSet> = BTreeMap::new();
    while seen.len() < OBJECTS || seen.values().any(|object| object.metadata.generation <= CHANGES) {
        let Event::Applied(object) = next(&mut watch).await else {
            panic!("nothing was deleted, and nothing is at fault");
        };
        let before = seen.insert(object.name().clone(), object.clone());
        assert!(
            before.is_none_or(|before| before.metadata.generation < object.metadata.generation),
            "{object:?}"
        );
    }
    for writer in writers {
        let last = writer.await.unwrap();
        assert_eq!(seen[last.name()], last);
    }
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    assert_eq!(listed.objects, seen.into_values().collect::<Vec<_>>());
}

async fn a_watch_goes_on_where_another_ended(env: Env) {
    let store = env.open().await;
    let start = store.list::<SliceSetSpec>().await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&start.version).await.unwrap();
    let one = store.create(&set("one")).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Applied(one.clone()));
    let here = watch.version().clone();
    drop(watch);
    let two = store.create(&set("two")).await.unwrap();
    store.delete::<SliceSetSpec>(&name("one"), None).await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&here).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Applied(two));
    assert_eq!(next(&mut watch).await, Event::Deleted(name("one")));
    let here = watch.version().clone();
    let mut watch = store.watch::<SliceSetSpec>(&here).await.unwrap();
    let three = store.create(&set("three")).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Applied(three.clone()));
    // From a list on as well, and waiting for it can be given up without losing it.
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    for _ in 0..3 {
        assert!(
            tokio::time::timeout(Duration::from_millis(1), next(&mut watch))
                .await
                .is_err()
        );
    }
    store.delete::<SliceSetSpec>(&name("three"), None).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Deleted(name("three")));
}

async fn a_watch_past_a_gap_says_so(env: Env) {
    let store = env.open().await;
    let start = store.list::<SliceSetSpec>().await.unwrap();
    let one = store.create(&set("one")).await.unwrap();
    store.create(&set("two")).await.unwrap();
    store.delete::<SliceSetSpec>(&name("two"), None).await.unwrap();
    env.fixture.forget(&env.area).await;
    let store = env.open().await;
    let error = match store.watch::<SliceSetSpec>(&start.version).await {
        Err(error) => error,
        Ok(mut watch) => loop {
            match tokio::time::timeout(LONG, watch.next()).await.unwrap() {
                Ok(Event::Bookmark) => {}
                Ok(event) => panic!("{event:?}"),
                Err(error) => break error,
            }
        },
    };
    assert!(matches!(error, StoreError::TooOld { kind: Kind::SliceSet }), "{error}");
    // Who lists again goes on from there.
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    assert_eq!(listed.objects, [one]);
    let mut watch = store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    store.delete::<SliceSetSpec>(&name("one"), None).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Deleted(name("one")));
}

async fn an_object_out_of_bounds_is_refused_whole(env: Env) {
    let store = env.open().await;
    let made = store.create(&set("one")).await.unwrap();
    let mut wrong = made.clone();
    wrong.spec.apl = "2:2001:db8:5::/120".into();
    wrong.spec.allowed = vec![prefix("2001:db8:6::/64")];
    wrong.spec.replicas = Number::new(2).unwrap();
    wrong.spec.endpoints.list = None;
    let error = store.update(&wrong).await.unwrap_err();
    let told = "SliceSet one: spec.bits: slice bits: 14 exceeds the item's 8; spec.firstFieldBits: is required with more \
                than one replica; spec.endpoints: exactly one of selector and list is required";
    assert_eq!(error.to_string(), told);
    assert!(matches!(
        store.update_status(&wrong).await,
        Err(StoreError::Invalid { .. })
    ));
    assert_eq!(store.get::<SliceSetSpec>(&name("one")).await.unwrap(), made);
    wrong.metadata = set("two").metadata;
    assert!(matches!(store.create(&wrong).await, Err(StoreError::Invalid { .. })));
    assert!(matches!(
        store.get::<SliceSetSpec>(&name("two")).await,
        Err(StoreError::NotFound { .. })
    ));
}

/// So many prefixes whose texts are nearly as long as they can be.
fn prefixes(count: usize, digits: &str) -> Vec<Prefix> {
    (0..count)
        .map(|number| prefix(&format!("2001:db8:1111:2222:{digits}:{digits}:{number:x}:0/112")))
        .collect()
}

fn map(owned: Vec<Prefix>) -> SliceMap {
    SliceMap::new(
        name("map"),
        SliceMapSpec {
            slice_set: name("one"),
            epoch: Epoch::default(),
            part: Number::default(),
            parts: Number::default(),
            ownership: Ownership::default(),
            slice_length: None,
            endpoints: vec![MapEndpoint {
                name: name("a"),
                owned,
                standby: Vec::new(),
            }],
        },
    )
}

async fn the_largest_object_is_kept_and_a_larger_one_refused(env: Env) {
    let store = env.open().await;
    let mut largest = map(prefixes(1 << 14, "3333"));
    largest.spec.endpoints[0].standby = prefixes(8500, "4444");
    let size = largest.to_value().to_string().len();
    assert!((MAX_BYTES * 9 / 10..MAX_BYTES).contains(&size), "{size}");
    let made = store.create(&largest).await.unwrap();
    assert_eq!(made.spec, largest.spec);
    assert_eq!(store.get::<SliceMapSpec>(&name("map")).await.unwrap(), made);
    let mut larger = made.clone();
    larger.spec.endpoints[0].standby = prefixes(1 << 14, "4444");
    let error = store.update(&larger).await.unwrap_err();
    assert!(
        error.to_string().ends_with("bytes; an object has at most 1048576"),
        "{error}"
    );
    let mut more = made.clone();
    more.spec.endpoints[0].owned.push(prefix("2001:db8:9::/64"));
    let error = store.update(&more).await.unwrap_err();
    let told = "spec.endpoints[0].owned: has 16385 members; there may be at most 16384";
    assert_eq!(error.to_string(), format!("SliceMap map: {told}"));
    assert_eq!(store.get::<SliceMapSpec>(&name("map")).await.unwrap(), made);
}

async fn a_faulty_object_is_told_and_the_others_work(env: Env) {
    let store = env.open().await;
    let made = store.create(&set("one")).await.unwrap();
    let other = store.create(&set("other")).await.unwrap();
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    let mut value = made.to_value();
    // What the definitions of Kubernetes cannot tell.
    value["spec"]["apl"] = "2:ff05::/64".into();
    env.fixture.spoil(&env.area, Kind::SliceSet, value).await;
    let Event::Faulty(faulty) = next(&mut watch).await else {
        panic!("no fault is told");
    };
    assert_eq!(faulty.name, "one");
    let told = faulty.faults[0].to_string();
    assert!(
        told.starts_with("spec.apl: 2:ff05::/64 overlaps ") && told.ends_with(", which no router forwards"),
        "{told}"
    );
    let error = store.get::<SliceSetSpec>(&name("one")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("SliceSet one: {told}"));
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    assert_eq!((listed.objects, listed.faulty), (vec![other.clone()], vec![faulty]));
    let mut changed = other;
    changed.spec.standby = false;
    let changed = store.update(&changed).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Applied(changed));
    store.delete::<SliceSetSpec>(&name("one"), None).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Deleted(name("one")));
    let anew = store.create(&set("one")).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Applied(anew));
}

async fn many_objects_are_listed(env: Env) {
    const MANY: usize = 600;
    let store = env.open().await;
    let endpoint = |number: usize| -> SliceEndpoint {
        let spec = json!({"sliceSets": ["one"], "address": format!("2001:db8::{number:x}")});
        SliceEndpoint::new(name(&format!("endpoint-{number:04}")), self::spec(spec))
    };
    let mut made = Vec::new();
    for number in 1..=MANY {
        made.push(store.create(&endpoint(number)).await.unwrap());
    }
    let listed = store.list::<SliceEndpointSpec>().await.unwrap();
    assert_eq!(listed.objects, made);
    let mut watch = store.watch::<SliceEndpointSpec>(&listed.version).await.unwrap();
    let next_one = store.create(&endpoint(MANY + 1)).await.unwrap();
    assert_eq!(next(&mut watch).await, Event::Applied(next_one));
}

/// A process that is killed at the end.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every command takes the same flags: a controller leads by the Lease that this process reads, and `get` prints it.
async fn programs_open_it_by_their_flags(env: Env) {
    let store = env.open().await;
    let Some(told) = env.fixture.told(&env.area) else {
        return;
    };
    let program = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ssa-cluster"));
        command.env_remove("SSA_STORE").envs(told.iter().cloned());
        command
    };
    let mut watch = store
        .watch::<LeaseSpec>(&store.list::<LeaseSpec>().await.unwrap().version)
        .await
        .unwrap();
    let controller = program().args(["controller", "--identity", "one"]).spawn().unwrap();
    let _controller = Killed(controller);
    loop {
        if let Event::Applied(lease) = next(&mut watch).await
            && lease
                .spec
                .holder_identity
                .as_ref()
                .is_some_and(|holder| holder.starts_with("one."))
        {
            assert_eq!(lease.name().as_str(), "ssa-controller");
            break;
        }
    }
    let told = program().args(["get", "leases", "--json"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains(r#""holderIdentity": "one."#), "{told}");
}

async fn a_server_that_starts_again_has_everything(env: Env) {
    let store = env.open().await;
    let one = store.create(&set("one")).await.unwrap();
    let lease: LeaseSpec = spec(json!({"leaseDurationSeconds": 15, "holderIdentity": "a"}));
    let lease = store.create(&Lease::new(name("lease"), lease)).await.unwrap();
    let listed = store.list::<SliceSetSpec>().await.unwrap();
    let mut watch = store.watch::<SliceSetSpec>(&listed.version).await.unwrap();
    env.fixture.restart();
    // The same client gets there again, without being made anew.
    let began = Instant::now();
    let read = loop {
        match store.get::<SliceSetSpec>(&name("one")).await {
            Ok(read) => break read,
            Err(StoreError::Unavailable { .. }) if began.elapsed() < LONG => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(read, one);
    assert_eq!(store.get::<LeaseSpec>(&name("lease")).await.unwrap(), lease);
    let mut changed = one;
    changed.spec.standby = false;
    let changed = store.update(&changed).await.unwrap();
    // A watch goes on, or says that it has ended; then one from where it was, or from a list, goes on.
    loop {
        match tokio::time::timeout(LONG, watch.next()).await.unwrap() {
            Ok(Event::Bookmark) => {}
            Ok(event) => {
                assert_eq!(event, Event::Applied(changed));
                break;
            }
            Err(StoreError::Unavailable { .. }) => match store.watch(&watch.version().clone()).await {
                Ok(again) => watch = again,
                Err(error) => {
                    listed_again(&store, &error, changed).await;
                    break;
                }
            },
            Err(error) => {
                listed_again(&store, &error, changed).await;
                break;
            }
        }
    }
}

/// A watch past a gap may say so when it begins, or as its first event.
async fn listed_again(store: &Store, error: &StoreError, wanted: SliceSet) {
    assert!(matches!(error, StoreError::TooOld { .. }), "{error}");
    assert_eq!(store.list::<SliceSetSpec>().await.unwrap().objects, [wanted]);
}

/// The rest of the kinds are named here, so that one that is added is not forgotten.
const _: fn(Kind) = |kind| match kind {
    Kind::SliceSet | Kind::SliceMap | Kind::SliceMove | Kind::SliceEndpoint | Kind::SliceNode | Kind::Lease => {}
};
