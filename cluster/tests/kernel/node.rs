//! A host with two pods behind links of their own, and another host: what the node routes, and what it says of it.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use ssa_cluster::kernel::Host;
use ssa_cluster::metrics::Registry;
use ssa_cluster::node::{self, Options};
use ssa_cluster::objects::{Name, Object, SliceEndpointSpec, SliceMapSpec, SliceMoveSpec, SliceNodeSpec, Spec};
use ssa_cluster::store::{Memory, Store, StoreError};

use crate::inside::{eventually, inside, run};
use crate::net;

/// What takes milliseconds, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// A pod: a network namespace behind a link.
pub(crate) struct Pod {
    holder: Child,
    link: &'static str,
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Pod {
    /// Makes one as most CNI plugins do: a route to its address by its link.
    pub(crate) fn new(link: &'static str, address: &str) -> Self {
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare");
        let process = holder.id();
        let pod = Self { holder, link };
        // The program has a namespace of its own from some moment on.
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        eventually("the pod has its network namespace", || {
            std::fs::read_link(format!("/proc/{process}/ns/net")).is_ok_and(|one| one != own)
        });
        run(&format!("ip link add {link} type veth peer name eth0 netns {process}"));
        run(&format!("ip link set {link} up"));
        run(&format!("ip addr add fe80::1/64 dev {link} nodad"));
        pod.run(&format!("ip addr add {address}/128 dev eth0 nodad"));
        pod.run("ip link set eth0 up");
        pod.run("ip link set lo up");
        pod.run("ip -6 route add default via fe80::1 dev eth0");
        run(&format!("ip -6 route add {address} dev {link}"));
        pod
    }

    fn run(&self, command: &str) -> String {
        run(&format!("nsenter --target {} --net {command}", self.holder.id()))
    }

    /// Runs a script of bash.
    pub(crate) fn shell(&self, script: &str) {
        let process = self.holder.id().to_string();
        let done = Command::new("nsenter")
            .args(["--target", &process, "--net", "bash", "-ec", script])
            .output()
            .expect("nsenter");
        assert!(
            done.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

/// A host with an address of its own.
fn host() {
    std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").expect("a setting");
    std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").expect("a setting");
    run("ip link set lo up");
    run("ip link add eth0 type veth peer name far");
    run("ip addr add fd00::1/64 dev eth0 nodad");
    run("ip link set eth0 up");
    run("ip link set far up");
    // The other host's pods, as a CNI plugin without tunnels leads to them.
    run("ip -6 route add 2001:db8:2::/64 via fd00::2");
}

fn object<S: Spec>(kind: &str, name: &str, spec: &Value) -> Object<S> {
    let value =
        json!({"apiVersion": "ssa.dev.example/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    Object::from_value(&value).expect(name)
}

async fn endpoint(store: &Store, name: &str, address: &str, node: &str) {
    let spec = json!({"sliceSets": ["web"], "address": address, "node": node});
    let made = object::<SliceEndpointSpec>("SliceEndpoint", name, &spec);
    store.create(&made).await.expect(name);
    serves(store, name, (true, true)).await;
}

async fn serves(store: &Store, name: &str, (ready, serving): (bool, bool)) {
    let mut found = store
        .get::<SliceEndpointSpec>(&Name::new(name).expect(name))
        .await
        .expect(name);
    (found.status.ready, found.status.serving) = (ready, serving);
    store.update_status(&found).await.expect(name);
}

/// Our routes in the main table, without their ages and flags.
fn routes() -> Vec<String> {
    let told = run("ip -6 route show proto 199");
    let mut lines: Vec<String> = told
        .lines()
        .map(|line| {
            line.split_whitespace()
                .take_while(|word| *word != "pref")
                .filter(|word| *word != "onlink")
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    lines.sort();
    lines
}

/// Waits until the host has exactly these routes.
async fn until_routes(what: &str, wanted: &[&str]) {
    until(what, || {
        let found = routes();
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:#?}"))
        }
    })
    .await;
}

async fn until(what: &str, mut check: impl FnMut() -> Result<(), String>) {
    let deadline = tokio::time::Instant::now() + SOON;
    while let Err(found) = check() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}: {found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the node says something of its status.
async fn says(store: &Store, what: &str, check: impl Fn(&ssa_cluster::objects::SliceNodeStatus) -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let found = store.get::<SliceNodeSpec>(&Name::new("here").expect("a name")).await;
        match found {
            Ok(found) if check(&found.status) => return,
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A move from a to b: its phase is reported when packets go there.
async fn moves(store: &Store) {
    let spec = json!({"sliceSet": "web", "epoch": 2, "from": "a", "to": "b", "prefixes": ["2001:db8:5::/66"], "reason": "Manual"});
    let mut moved = store
        .create(&object::<SliceMoveSpec>("SliceMove", "web-2", &spec))
        .await
        .expect("a move");
    for phase in ["Prepare", "Arm", "Announce", "Drain"] {
        moved.status.phase = serde_json::from_value(json!(phase)).expect("a phase");
        moved = store.update_status(&moved).await.expect("a phase");
        says(store, phase, |status| {
            let told = |one: &ssa_cluster::objects::ObservedMove| {
                one.name.as_str() == "web-2" && one.phase == moved.status.phase
            };
            status.moves.iter().any(told)
        })
        .await;
        let hop = run("ip -6 route get 2001:db8:5::7");
        let expected = if ["Prepare", "Arm"].contains(&phase) {
            "veth-a"
        } else {
            "veth-c"
        };
        assert!(hop.contains(expected), "{phase}: {hop}");
    }
}

#[test]
fn a_node_routes_to_its_pods_and_says_when_it_has_followed() {
    inside(
        "node::a_node_routes_to_its_pods_and_says_when_it_has_followed",
        async || {
            host();
            let (a, b) = (Pod::new("veth-a", "2001:db8:1::a"), Pod::new("veth-b", "2001:db8:1::b"));
            let store = Store::new(Arc::new(Memory::new()));
            for (name, address, node) in [
                ("a", "2001:db8:1::a", "here"),
                ("b", "2001:db8:1::b", "here"),
                ("c", "2001:db8:2::c", "there"),
            ] {
                endpoint(&store, name, address, node).await;
            }
            let map = json!({"sliceSet": "web", "epoch": 1, "endpoints": [
                {"name": "a", "owned": ["2001:db8:5::/66"], "standby": ["2001:db8:5:0:4000::/66"]},
                {"name": "b", "standby": ["2001:db8:5::/66"]},
                {"name": "c", "owned": ["2001:db8:5:0:4000::/66"]},
            ]});
            store
                .create(&object::<SliceMapSpec>("SliceMap", "web", &map))
                .await
                .expect("a map");
            let options = |all_endpoints| Options {
                node: Name::new("here").expect("a name"),
                allowed: vec![net("2001:db8:5::/64")],
                all_endpoints,
            };
            let node = tokio::task::spawn_local(node::run(
                store.clone(),
                options(false),
                Registry::default(),
                ssa_cluster::contact::Contact::default(),
                || (),
            ));
            let own = [
                "2001:db8:5:0:4000::/66 via 2001:db8:1::a dev veth-a metric 1000",
                "2001:db8:5::/66 via 2001:db8:1::a dev veth-a metric 100",
                "2001:db8:5::/66 via 2001:db8:1::b dev veth-b metric 1000",
            ];
            until_routes("owners and standbys of this host", &own).await;
            // Otherwise BIRD does not learn them: the pods' addresses are of no prefix of the host.
            let told = run("ip -6 route show proto 199");
            assert!(told.lines().all(|line| line.contains("onlink")), "{told}");
            says(&store, "the map", |status| {
                status.ready && status.maps.iter().any(|map| map.epoch.get() == 1)
            })
            .await;
            assert!(run("nft list table ip6 ssa-cluster-node").contains("ip6 daddr @allowed notrack"));

            // Who does not serve announces nothing.
            serves(&store, "a", (false, false)).await;
            until_routes("a does not serve", &own[2..]).await;
            // Who is about to end serves on.
            serves(&store, "a", (false, true)).await;
            until_routes("a serves until it ends", &own).await;
            serves(&store, "a", (true, true)).await;

            // Others change it.
            run("ip -6 route del 2001:db8:5::/66 via 2001:db8:1::a");
            until_routes("a route is set again", &own).await;
            run("nft flush ruleset");
            until("the ruleset is set again", || {
                let told = run("nft list ruleset");
                if told.contains("notrack") { Ok(()) } else { Err(told) }
            })
            .await;

            // A pod gone, and the same one with another link.
            run("ip link del veth-b");
            until_routes("b has gone", &own[..2]).await;
            drop(b);
            let b = Pod::new("veth-c", "2001:db8:1::b");
            let then = [
                own[0],
                own[1],
                "2001:db8:5::/66 via 2001:db8:1::b dev veth-c metric 1000",
            ];
            until_routes("b is back by another link", &then).await;

            moves(&store).await;

            // Endpoints of other hosts too, by the way that their addresses have.
            node.abort();
            let _ = node.await;
            let node = tokio::task::spawn_local(node::run(
                store.clone(),
                options(true),
                Registry::default(),
                ssa_cluster::contact::Contact::default(),
                || (),
            ));
            until("slices of the other host go its way", || {
                let found = routes();
                let wanted = "2001:db8:5:0:4000::/66 via fd00::2 dev eth0 metric 100";
                if found.iter().any(|line| line == wanted) {
                    Ok(())
                } else {
                    Err(format!("{found:#?}"))
                }
            })
            .await;
            node.abort();
            let _ = node.await;
            assert!(a.run("ip -6 route show").contains("default"), "{} is there", a.link);
            drop((a, b));
            Host::cleanup().await.expect("a cleanup");
            assert_eq!(routes(), [""; 0]);
            assert_eq!(run("nft list ruleset"), "");
        },
    );
}

/// Where kube-proxy drops what connection tracking calls invalid, a pod hands a packet on that is too big for its tunnel.
#[test]
fn an_error_about_a_packet_to_a_slice_reaches_the_client() {
    inside(
        "node::an_error_about_a_packet_to_a_slice_reaches_the_client",
        async || {
            host();
            let server = Pod::new("veth-a", "2001:db8:1::a");
            let client = Pod::new("veth-c", "2001:db8:1::c");
            server.shell(
                "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
             ip link add tunnel mtu 1400 type veth peer name far
             ip link set tunnel up
             ip link set far up
             ip -6 route add 2001:db8:5::/48 dev tunnel",
            );
            run("nft add table ip6 proxy");
            run("nft add chain ip6 proxy forward { type filter hook forward priority filter ; }");
            run("nft add rule ip6 proxy forward ct state invalid drop");
            run("ip -6 route add 2001:db8:5::/64 via 2001:db8:1::a dev veth-a onlink");
            run("ip -6 route add 2001:db8:5:1::/64 via 2001:db8:1::a dev veth-a onlink");
            run("ip -6 route add 2001:db8:5:2::/64 via 2001:db8:1::a dev veth-a onlink");
            let allowed = vec![net("2001:db8:5::/64"), net("2001:db8:5:1::7/128")];
            let node = Host::open(allowed).await.expect("a host");
            // The last one is none of a slice: it is tracked, as ever.
            for address in ["2001:db8:5::7", "2001:db8:5:1::7", "2001:db8:5:2::7"] {
                eventually("the client knows how big a packet may be", || {
                    // The error is for a socket that is open.
                    client.shell(&format!(
                        "exec 3>/dev/udp/{address}/9; head -c 1430 /dev/zero >&3; head -c 1430 /dev/zero >&3 || true"
                    ));
                    client.run(&format!("ip -6 route get {address}")).contains("mtu 1400")
                });
            }
            let told = run("nft list table ip6 ssa-cluster-node");
            assert_eq!(told.matches("@th,256,128").count(), 2, "{told}");
            drop(node);
            Host::cleanup().await.expect("a cleanup");
            drop((server, client));
        },
    );
}

#[test]
fn a_node_that_ends_leaves_its_routes_or_nothing_where_there_are_no_slices() {
    inside(
        "node::a_node_that_ends_leaves_its_routes_or_nothing_where_there_are_no_slices",
        async || {
            host();
            let pod = Pod::new("veth-a", "2001:db8:1::a");
            let store = Store::new(Arc::new(Memory::new()));
            endpoint(&store, "a", "2001:db8:1::a", "here").await;
            let map =
                json!({"sliceSet": "web", "epoch": 1, "endpoints": [{"name": "a", "owned": ["2001:db8:5::/64"]}]});
            let map = object::<SliceMapSpec>("SliceMap", "web", &map);
            let map = store.create(&map).await.expect("a map");
            let own = ["2001:db8:5::/64 via 2001:db8:1::a dev veth-a metric 100"];
            for has_slices in [true, false] {
                let options = Options {
                    node: Name::new("here").expect("a name"),
                    allowed: vec![net("2001:db8:5::/64")],
                    all_endpoints: false,
                };
                let node = tokio::task::spawn_local(node::run(
                    store.clone(),
                    options,
                    Registry::default(),
                    ssa_cluster::contact::Contact::default(),
                    || (),
                ));
                until_routes("it routes", &own).await;
                if !has_slices {
                    let version = map.metadata.resource_version.as_ref();
                    store.delete::<SliceMapSpec>(map.name(), version).await.expect("gone");
                    until_routes("it routes nothing", &[]).await;
                }
                run(&format!("kill -TERM {}", std::process::id()));
                node.await.expect("it ends").expect("in order");
                assert_eq!(routes(), if has_slices { &own[..] } else { &[] });
                assert_eq!(run("nft list tables").contains("ssa-cluster-node"), has_slices);
            }
            drop(pod);
        },
    );
}
