//! `ssa slices` over a store, whose objects a controller and agents without kernels have written.
#![cfg(target_os = "linux")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use ssa_cluster::{
    controller::{Controller, Options},
    objects::{
        AppliedMap, LeaseSpec, Message, Name, ObservedMove, Ownership, Phase, SliceEndpointSpec, SliceMapSpec,
        SliceMoveSpec, SliceSet, SliceSetSpec, Timestamp,
    },
    store::{FileStore, Store},
};
use support::{Run, ssa, text};
use tokio::runtime::Runtime;

/// A set of 256 slices in a directory, with its controller and its endpoints' agents.
struct Cluster {
    folder: PathBuf,
    runtime: Runtime,
    store: Store,
    controller: Controller,
    now: Duration,
    /// The flows that every old owner says it has.
    flows: u32,
    unready: &'static str,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the command looks at the clock too")]
fn wall() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(i64::try_from(since.unwrap().as_millis()).unwrap())
}

impl Cluster {
    fn new(test: &str, endpoints: usize) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("slices_store_{test}"));
        let _ = fs::remove_dir_all(&folder);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let store = Store::new(Arc::new(runtime.block_on(FileStore::open(&folder)).unwrap()));
        let entry =
            |number: usize| json!({"name": format!("e{number}"), "address": format!("2001:db8:ffff::{number}1")});
        let spec = json!({
            "service": "store.example", "apl": "2:2001:db8:5::/64", "bits": 8,
            "endpoints": {"list": (0..endpoints).map(entry).collect::<Vec<_>>()}, "handover": {"parallel": 64},
        });
        let spec: SliceSetSpec = serde_json::from_value(spec).unwrap();
        runtime
            .block_on(store.create(&SliceSet::new(name("store"), spec)))
            .unwrap();
        let options = Options {
            quiet: Duration::ZERO,
            ..Options::default()
        };
        let mut cluster = Self {
            folder,
            controller: Controller::new(store.clone(), options),
            runtime,
            store,
            now: Duration::ZERO,
            flows: 0,
            unready: "",
        };
        cluster.until(|cluster| cluster.set()["standby_missing"] == 0 && cluster.set()["moves"] == json!([]));
        cluster
    }

    /// A second passes: a round, and every agent's report.
    fn step(&mut self) {
        self.now += Duration::from_secs(1);
        self.runtime.block_on(async {
            self.controller.round(self.now, wall()).await.unwrap();
            let maps = self.store.list::<SliceMapSpec>().await.unwrap().objects;
            let moves = self.store.list::<SliceMoveSpec>().await.unwrap().objects;
            for mut endpoint in self.store.list::<SliceEndpointSpec>().await.unwrap().objects {
                let own = endpoint.name().clone();
                let status = &mut endpoint.status;
                status.ready = own.as_str() != self.unready;
                status.serving = status.ready;
                status.renewed_at = Some(wall());
                let applied = maps.iter().map(|map| AppliedMap {
                    name: map.name().clone(),
                    epoch: map.spec.epoch,
                });
                status.maps = applied.collect();
                let mine = moves
                    .iter()
                    .filter(|one| !one.status.phase.is_final() && (one.giver() == Some(&own) || *one.taker() == own));
                let observed = mine.map(|one| ObservedMove {
                    name: one.name().clone(),
                    epoch: one.epoch(),
                    phase: one.status.phase,
                    flows: (one.giver() == Some(&own)).then_some(self.flows),
                    forwarded: Some(0),
                    message: Message::default(),
                });
                status.moves = observed.collect();
                self.store.update_status(&endpoint).await.unwrap();
            }
        });
    }

    #[track_caller]
    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            self.step();
            if done(self) {
                return;
            }
        }
        panic!("{}", self.run(&["status"]).stdout);
    }

    fn run(&self, args: &[&str]) -> Run {
        ssa(&[&["slices"], args, &["--store", text(&self.folder)]].concat())
    }

    /// The set, as `status --json` has it.
    fn set(&self) -> Value {
        let mut set = self.run(&["status", "--json"]).json()["sets"][0].take();
        set["standby_missing"] = set["without_standby"].take();
        set
    }

    fn owned(&self) -> Vec<u64> {
        let set = self.set();
        let endpoints = set["endpoints"].as_array().unwrap();
        endpoints.iter().map(|one| one["owned"].as_u64().unwrap()).collect()
    }

    fn open_moves(&self) -> usize {
        self.set()["moves"].as_array().unwrap().len()
    }

    fn phase(&self) -> Option<Phase> {
        serde_json::from_value(self.set()["moves"][0]["phase"].clone()).ok()
    }
}

#[test]
fn status_shows_shares_readiness_and_faults() {
    let mut cluster = Cluster::new("status", 2);
    let run = cluster.run(&["status"]).exits(0);
    run.prints(&["store  store.example", "256 of /72", "e0", "ready", "128", "50.00 %"]);
    let json = cluster.run(&["status", "--json"]).exits(0).json();
    let endpoint = &json["sets"][0]["endpoints"][0];
    assert_eq!(
        (
            &endpoint["owned"],
            &endpoint["standby"],
            &endpoint["share"],
            &endpoint["drained"]
        ),
        (&json!(128), &json!(128), &json!(0.5), &json!(false))
    );
    // Its slices have moves to the other, in which nothing can go on without it.
    cluster.unready = "e1";
    cluster.flows = 1;
    cluster.until(|cluster| cluster.open_moves() > 0);
    let run = cluster.run(&["status"]).exits(1);
    run.prints(&["not ready", "move store-", "128 slices with an owner that is not ready"]);
    // Objects at fault are told, with path and field, beside the others.
    fs::write(cluster.folder.join("slicemoves/broken.json"), "{").unwrap();
    let file = cluster.folder.join("sliceendpoints/e9.json");
    let wrong = fs::read_to_string(cluster.folder.join("sliceendpoints/e0.json")).unwrap();
    let wrong = wrong.replace("\"e0\"", "\"e9\"").replace("2001:db8:ffff::1", "ff02::1");
    fs::write(file, wrong).unwrap();
    let run = cluster.run(&["status"]).exits(2);
    run.tells(&[
        "SliceMove broken",
        "slicemoves/broken.json",
        "SliceEndpoint e9: spec.address: ",
    ])
    .prints(&["store  store.example"]);
    let json = cluster.run(&["status", "--json"]).exits(2).json();
    assert_eq!(json["faults"].as_array().map(Vec::len), Some(2), "{json}");
    assert_eq!(json["sets"][0]["endpoints"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_store_that_is_empty_or_none_is_told_and_not_made() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slices_store_none");
    let _ = fs::remove_dir_all(&folder);
    let status = |folder: &Path| ssa(&["slices", "status", "--store", text(folder)]);
    status(&folder).exits(2).tells(&["--store", "slices_store_none"]);
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    status(&folder).exits(2).tells(&["holds no store", "slicesets"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let file = support::file("slices_store_file", "");
    status(&file).exits(2).tells(&["is not a directory"]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    drop(runtime.block_on(FileStore::open(&folder)).unwrap());
    status(&folder).exits(0).prints(&["no slice sets"]);
    ssa(&["slices", "status"]).exits(2).tells(&["--store"]);
    let by_environment = support::command(&["slices", "status"])
        .env("SSA_STORE", &folder)
        .output()
        .unwrap();
    assert_eq!(by_environment.status.code(), Some(0));
}

#[test]
fn an_address_is_explained_before_and_in_a_move() {
    let mut cluster = Cluster::new("explain", 2);
    let explain = |cluster: &Cluster| cluster.run(&["explain", "2001:db8:5::7", "--json"]).json()["sets"][0].take();
    let place = explain(&cluster);
    let owner = place["owner"].as_str().unwrap().to_owned();
    assert_eq!(
        (&place["slice"], &place["routed_to"]),
        (&json!("2001:db8:5::/72"), &json!(owner))
    );
    assert_ne!(place["standby"], json!(owner));
    let run = cluster.run(&["explain", "2001:db8:5::7"]).exits(0);
    run.prints(&[
        &format!("owner    {owner} (ready)"),
        "none is open",
        "metric 100",
        "metric 1000",
        "a new flow           delivered",
        &format!("an unknown flow      handed to {owner}"),
    ]);
    cluster.flows = 1;
    cluster.run(&["drain", &owner]).exits(0);
    cluster.until(|cluster| cluster.phase() == Some(Phase::Drain));
    let place = explain(&cluster);
    let other = if owner == "e0" { "e1" } else { "e0" };
    assert_eq!((&place["owner"], &place["move"]["to"]), (&json!(owner), &json!(other)));
    assert_eq!(place["routed_to"], json!(other));
    let run = cluster.run(&["explain", "2001:db8:5::7"]).exits(0);
    run.prints(&[
        "metric 50",
        "metric 500",
        &format!("a new flow           handed to {other}"),
        "Drain",
    ]);
    let run = cluster.run(&["explain", "2001:db8:6::7"]).exits(1);
    run.tells(&["2001:db8:6::7: is in the address list of no slice set"]);
    cluster
        .run(&["explain", "192.0.2.1"])
        .exits(2)
        .tells(&["is not an IPv6 address"]);
}

#[test]
fn a_drained_endpoint_has_nothing_until_it_is_undrained() {
    let mut cluster = Cluster::new("drain", 3);
    let run = cluster.run(&["drain", "e1", "--wait", "1"]).exits(1);
    run.tells(&["e1: has ", "slices and 0 open moves after 1 s"]);
    cluster.run(&["drain", "e1"]).exits(0).prints(&["was drained already"]);
    cluster.until(|cluster| cluster.owned()[1] == 0 && cluster.open_moves() == 0);
    assert_eq!(cluster.owned(), [128, 0, 128]);
    cluster.run(&["status"]).exits(0).prints(&["drained"]);
    let json = cluster.run(&["drain", "e1", "--wait", "1", "--json"]).exits(0).json();
    assert_eq!(json, json!({"endpoint": "e1", "changed": []}));
    let run = cluster.run(&["undrain", "e1"]).exits(0);
    run.prints(&["e1 may have slices again (changed: store)"]);
    cluster.until(|cluster| cluster.owned()[1] >= 85 && cluster.open_moves() == 0);
    cluster.run(&["undrain", "e1"]).exits(0).prints(&["was not drained"]);
    cluster.unready = "e0";
    cluster.step();
    cluster.run(&["drain", "e2"]).exits(0);
    let run = cluster.run(&["drain", "e1"]).exits(0);
    run.tells(&["no other endpoint is ready"]);
    for command in ["drain", "undrain"] {
        cluster
            .run(&[command, "e7"])
            .exits(2)
            .tells(&["e7: is an endpoint of no slice set"]);
        cluster.run(&[command, "E_7"]).exits(2).tells(&["ENDPOINT"]);
    }
}

#[test]
fn a_prefix_is_moved_and_a_move_is_cancelled() {
    let mut cluster = Cluster::new("move", 2);
    let owner = |cluster: &Cluster| {
        let json = cluster.run(&["explain", "2001:db8:5::7", "--json"]).json();
        json["sets"][0]["owner"].as_str().unwrap().to_owned()
    };
    let prefix = "2001:db8:5::/72";
    let before = owner(&cluster);
    let other = if before == "e0" { "e1" } else { "e0" };
    cluster
        .run(&["move", prefix, "--cancel"])
        .exits(1)
        .tells(&["no pin and no open move"]);
    cluster.flows = 1; // so that Drain lasts
    cluster
        .run(&["move", prefix, "--to", other])
        .exits(0)
        .prints(&["is pinned to"]);
    cluster
        .run(&["move", prefix, "--to", other])
        .exits(0)
        .prints(&["was pinned to"]);
    cluster.until(|cluster| cluster.phase() == Some(Phase::Drain));
    cluster.run(&["status"]).exits(0).prints(&["(reason: Manual)"]);
    let run = cluster.run(&["move", prefix, "--cancel"]).exits(0);
    run.prints(&["is no longer pinned", "is cancelled"]);
    cluster.flows = 0;
    cluster.until(|cluster| cluster.open_moves() == 0);
    assert_eq!(owner(&cluster), before);
    // By its name, as status prints it.
    cluster.flows = 1;
    cluster.run(&["move", prefix, "--to", other]).exits(0);
    cluster.until(|cluster| cluster.phase() == Some(Phase::Drain));
    let json = cluster.run(&["status", "--json"]).json();
    let named = json["sets"][0]["moves"][0]["name"].as_str().unwrap().to_owned();
    let run = cluster.run(&["move", "--cancel", &named]).exits(0);
    run.prints(&[
        "its prefixes are no longer pinned to",
        &format!("move {named} is cancelled"),
    ]);
    let run = cluster.run(&["move", "--cancel", &named]).exits(0);
    run.prints(&[&format!("move {named} was cancelled already")]);
    cluster.flows = 0;
    cluster.until(|cluster| cluster.open_moves() == 0);
    assert_eq!(owner(&cluster), before);
    let run = cluster.run(&["move", "--cancel", &named]).exits(1);
    run.tells(&[&format!("move {named}"), "is over"]);
    // Without being cancelled it arrives, and stays.
    cluster.run(&["move", prefix, "--to", other]).exits(0);
    cluster.until(|cluster| owner(cluster) == other && cluster.open_moves() == 0);
    for (args, code, told) in [
        (
            &["2001:db8:5::/73", "--to", "e0"][..],
            2,
            "is a part of a slice of store, which is a /72",
        ),
        (&["2001:db8:6::/72", "--to", "e0"], 2, "lies in no slice set"),
        (&["nonsense", "--to", "e0"], 2, "PREFIX"),
        (&["nonsense", "--cancel"], 2, "nonsense is neither a prefix nor a move"),
        (&["2001:db8:5::1/72", "--cancel"], 2, "or the name of a move"),
        (&[prefix, "--to", "e7"], 2, "e7 is no endpoint of store"),
        (&[prefix], 2, "--to"),
        (&[prefix, "--to", "e0", "--cancel"], 2, "--cancel"),
    ] {
        cluster.run(&[&["move"], args].concat()).exits(code).tells(&[told]);
    }
    cluster.run(&["drain", "e0"]).exits(0);
    let run = cluster.run(&["move", prefix, "--to", "e0"]).exits(1);
    run.tells(&["e0 is drained, and gets nothing"]);
}

#[test]
fn who_takes_new_flows_of_an_exclusive_set_is_explained() {
    let mut cluster = Cluster::new("exclusive", 2);
    let exclusive = async |store: &Store| {
        let mut set = store.get::<SliceSetSpec>(&name("store")).await.unwrap();
        set.spec.ownership = Ownership::Exclusive;
        store.update(&set).await.unwrap();
    };
    cluster.runtime.block_on(exclusive(&cluster.store));
    cluster.until(|cluster| {
        let json = cluster.run(&["status", "--json"]).json();
        let conditions = json["sets"][0]["conditions"].as_array().unwrap();
        conditions.iter().any(|one| one["type"] == "Fenced")
    });
    let address = "2001:db8:5::7";
    let run = cluster.run(&["status"]).exits(0);
    run.prints(&[", exclusive", "Fenced is False (NotYet): e0 does not hold its lease"]);
    cluster
        .run(&["explain", address])
        .prints(&["its lease", "is not held", "refused"]);
    let explained = |cluster: &Cluster| cluster.run(&["explain", address, "--json"]).json()["sets"][0].clone();
    let owner = explained(&cluster)["owner"].as_str().unwrap().to_owned();
    let give = async |store: &Store| {
        let mut lease = store
            .get::<LeaseSpec>(&name(&format!("ssa-endpoint-{owner}")))
            .await
            .unwrap();
        lease.spec.holder_identity = Some(name("kernel-1"));
        store.update(&lease).await.unwrap();
        let mut endpoint = store.get::<SliceEndpointSpec>(&name(&owner)).await.unwrap();
        endpoint.status.kernel = Some(name("kernel-1"));
        store.update_status(&endpoint).await.unwrap();
    };
    cluster.runtime.block_on(give(&cluster.store));
    let told = explained(&cluster);
    let held = told["endpoints"].as_array().unwrap().iter();
    for one in held {
        let is_owner = one["endpoint"] == owner;
        assert_eq!(
            one["fence"],
            json!({"lease": is_owner, "direct": is_owner, "tunnelled": is_owner})
        );
    }
    cluster
        .run(&["explain", address])
        .prints(&["is held", "a new flow           delivered"]);
}

#[test]
fn what_is_watched_is_told_in_lines_where_there_is_no_terminal() {
    let cluster = Cluster::new("watch", 2);
    let run = cluster.run(&["watch", "--for", "1"]).exits(0);
    assert_eq!(
        run.lines(),
        [
            "store: slices: e0 128, e1 128; 0 open moves",
            "store: e0 is ready",
            "store: e1 is ready"
        ]
    );
    cluster.run(&["watch", "--json"]).exits(2);
    cluster
        .run(&["watch", "--for", "0"])
        .exits(2)
        .tells(&["--for: `0` is not a number from 1 to 86400"]);
}
