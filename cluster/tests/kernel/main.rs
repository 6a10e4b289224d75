//! The kernel side in a network namespace: what it sets, whose it leaves alone, and that nothing stays behind.

mod fence;
mod inside;
mod load;
mod node;
mod repair;
mod tunnels;

use std::collections::BTreeSet;

use ipnet::Ipv6Net;
use ssa_cluster::kernel::{
    Applied, Changes, Kernel, Netlink, Refusal, Refused, Route, Routes, Settings, Target, Wanted, flows, table,
};
use ssa_slices::handover::{EndpointName, KernelRoute, Metric};

use inside::{inside, run};

fn net(text: &str) -> Ipv6Net {
    text.parse().expect("a prefix")
}

fn name(text: &str) -> EndpointName {
    EndpointName::new(text).expect("a name")
}

fn settings() -> Settings {
    Settings {
        interfaces: vec!["eth0".to_owned()],
        tunnel: "fd00::1".parse().expect("an address"),
        allowed: vec![net("2001:db8:5::/64")],
    }
}

fn wanted(routes: impl IntoIterator<Item = KernelRoute>) -> Wanted {
    let peers = [("old", "fd00::2"), ("new", "fd00::3")];
    Wanted {
        routes: routes.into_iter().collect(),
        peers: peers
            .into_iter()
            .map(|(peer, address)| (name(peer), address.parse().expect("an address")))
            .collect(),
        ..Wanted::default()
    }
}

/// A host with one link to elsewhere.
fn host() {
    std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").expect("a setting");
    run("ip link add eth0 type veth peer name far");
    run("ip addr add fd00::1/64 dev eth0 nodad");
    run("ip link set lo up");
    run("ip link set eth0 up");
    run("ip link set far up");
    inside::eventually("the link is up", || {
        run("ip -6 route show table all").matches("multicast ff00::/8").count() == 2
            && !run("ip -6 route show").contains("linkdown")
            && !run("ip -6 addr show").contains("tentative")
    });
}

/// Everything that could be left behind.
fn everything() -> String {
    [
        "ip -6 route show table all",
        "ip -6 rule show",
        "ip -o link show",
        "ip -o -6 addr show",
        "nft list ruleset",
        "cat /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/eth0/accept_ra",
    ]
    .map(|command| format!("{command}\n{}", run(command)))
    .concat()
}

/// The prefixes of a busy endpoint.
const BUSY: [&str; 2] = ["2001:db8:5::/66", "2001:db8:5:0:4000::/66"];

/// An endpoint with a route in every table.
pub(crate) fn busy() -> Vec<KernelRoute> {
    let [a, b] = BUSY.map(net);
    vec![
        KernelRoute::Local { prefix: a },
        KernelRoute::Outgoing {
            prefix: a,
            to: name("new"),
        },
        KernelRoute::Incoming {
            prefix: b,
            from: name("old"),
        },
        KernelRoute::Announced {
            prefix: a,
            metric: Metric::Owner,
        },
    ]
}

#[test]
fn what_is_wanted_is_set_once_and_nothing_is_left_behind() {
    inside("what_is_wanted_is_set_once_and_nothing_is_left_behind", async || {
        host();
        let before = everything();
        let mut kernel = Kernel::open(settings()).await.expect("a kernel");
        let [a, b] = BUSY.map(net);
        let moving = wanted(busy());
        let changes = held(&kernel.apply(&moving).await);
        assert_eq!(
            changes,
            Changes {
                added: 6,
                replaced: 0,
                removed: 0
            }
        );
        assert_eq!(held(&kernel.apply(&moving).await), Changes::default());
        let shown = |table: u32| {
            let told = run(&format!("ip -6 route show table {table}"));
            let lines = told
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(
            shown(500),
            ["local 2001:db8:5::/66 dev lo proto 199 metric 1024 pref medium"]
        );
        assert_eq!(
            shown(510),
            ["blackhole 2001:db8:5::/66 dev lo proto 199 metric 100 pref medium"]
        );
        let tunnel = |prefix, peer, link| {
            format!(
                "{prefix} encap ip6 id 0 src fd00::1 dst {peer} hoplimit 64 tc 0 csum dev {link} proto 199 metric 1024 pref medium"
            )
        };
        assert_eq!(shown(600), [tunnel(a, "fd00::3", "ssa-try")]);
        assert_eq!(shown(601), [tunnel(b, "fd00::2", "ssa-try")]);
        assert_eq!(shown(602), [tunnel(b, "fd00::2", "ssa-final")]);
        assert_eq!(shown(603), [tunnel(a, "fd00::3", "ssa-final")]);
        assert_eq!(kernel.forwarded().await.expect("counters"), [(a, 0)].into());

        // Another agent finds all of it, and changes nothing.
        drop(kernel);
        let mut again = Kernel::open(settings()).await.expect("a kernel");
        assert_eq!(run("nft list set ip6 ssa-cluster peers").matches("fd00::").count(), 2);
        assert_eq!(held(&again.apply(&moving).await), Changes::default());

        // The prefix is given up.
        let left = kernel_changes(&mut again, []).await;
        assert_eq!(
            left,
            Changes {
                added: 0,
                replaced: 0,
                removed: 6
            }
        );
        kernel_changes(&mut again, moving.routes.clone()).await;
        drop(again);
        Kernel::cleanup().await.expect("a cleanup");
        assert_eq!(everything(), before);
        Kernel::cleanup().await.expect("a cleanup of nothing");
        assert_eq!(everything(), before);
    });
}

async fn kernel_changes(kernel: &mut Kernel, routes: impl IntoIterator<Item = KernelRoute>) -> Changes {
    held(&kernel.apply(&wanted(routes)).await)
}

/// Returns what was changed by something that succeeded, and after which nothing had to be repaired.
fn held(applied: &Applied) -> Changes {
    assert!(applied.holds() && applied.repaired.is_empty(), "{applied:?}");
    applied.changes
}

#[test]
fn forwarding_stays_on_where_it_was_on() {
    inside("forwarding_stays_on_where_it_was_on", async || {
        host();
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").expect("a setting");
        let before = everything();
        drop(Kernel::open(settings()).await.expect("a kernel"));
        Kernel::cleanup().await.expect("a cleanup");
        assert_eq!(everything(), before);
    });
}

fn set(setting: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{setting}"), value).expect("a setting");
}

/// What interfaces do with router advertisements and packets for others.
fn interfaces() -> String {
    let settings = ["eth0", "far", "lo"].map(|name| {
        let folder = format!("/proc/sys/net/ipv6/conf/{name}");
        run(&format!("grep -H . {folder}/accept_ra {folder}/forwarding"))
    });
    settings.concat()
}

#[test]
fn what_the_operator_has_set_of_interfaces_is_as_it_was_after_the_end() {
    inside(
        "what_the_operator_has_set_of_interfaces_is_as_it_was_after_the_end",
        async || {
            host();
            set("eth0/accept_ra", "1");
            set("far/accept_ra", "2");
            set("lo/forwarding", "1");
            let before = interfaces();
            let mut kernel = Kernel::open(settings()).await.expect("a kernel");
            assert_eq!(run("cat /proc/sys/net/ipv6/conf/eth0/accept_ra"), "2\n");
            // By the end of the run that has changed them, by a later run's, and by a cleanup after one was killed.
            kernel_changes(&mut kernel, []).await;
            kernel.close().await.expect("an end");
            assert_eq!(interfaces(), before);
            drop(Kernel::open(settings()).await.expect("a kernel"));
            let again = Kernel::open(settings()).await.expect("a kernel");
            // Memory has it too.
            run("nft flush ruleset");
            again.close().await.expect("an end");
            assert_eq!(interfaces(), before);
            drop(Kernel::open(settings()).await.expect("a kernel"));
            Kernel::cleanup().await.expect("a cleanup");
            assert_eq!(interfaces(), before);
        },
    );
}

#[test]
fn what_fails_to_begin_leaves_nothing_behind() {
    inside("what_fails_to_begin_leaves_nothing_behind", async || {
        host();
        set("eth0/accept_ra", "1");
        // The kernel takes such a name, and a script of nft does not.
        run("ip link add e\"x type veth peer name y");
        let unusable = Settings {
            interfaces: vec!["e\"x".to_owned()],
            ..settings()
        };
        let before = everything();
        let error = Kernel::open(unusable.clone()).await.expect_err("no ruleset");
        assert!(error.to_string().starts_with("nft set the ruleset"), "{error}");
        assert_eq!(everything(), before);

        // Beside what a killed run has left, which stays: that forwarding was off is noted before it is turned on.
        set("all/forwarding", "1");
        let mut killed = Kernel::open(settings()).await.expect("a kernel");
        let prefix = net("2001:db8:5::/66");
        kernel_changes(&mut killed, [KernelRoute::Local { prefix }]).await;
        drop(killed);
        set("all/forwarding", "0");
        Kernel::open(unusable).await.expect_err("no ruleset");
        assert_eq!(run("ip -6 route show table 500").lines().count(), 1);
        assert_eq!(run("cat /proc/sys/net/ipv6/conf/all/forwarding"), "1\n");
        Kernel::cleanup().await.expect("a cleanup");
        assert_eq!(everything(), before);
    });
}

#[test]
fn what_is_somebody_elses_is_told_and_stays() {
    inside("what_is_somebody_elses_is_told_and_stays", async || {
        host();
        let cases = [
            (
                "ip -6 route add 2001:db8:7::/64 dev eth0 table 600 proto bird",
                "ip -6 route del 2001:db8:7::/64 dev eth0 table 600",
                "table 600 has a route of protocol 12 (bird): 2001:db8:7::/64; it must have routes of protocol 199 alone",
            ),
            (
                "ip -6 rule add pref 20 iif eth0 lookup 77 protocol static",
                "ip -6 rule del pref 20",
                "rule 20 of protocol 4 (static) has a preference from 16 to 21, which must have rules of protocol 199 alone",
            ),
            (
                "ip -6 rule add pref 90 lookup 500 protocol static",
                "ip -6 rule del pref 90",
                "rule 90 of protocol 4 (static) leads to table 500, which must be led to by rules of protocol 199 alone",
            ),
            (
                "ip -6 rule add pref 90 fwmark 2 lookup 77 protocol static",
                "ip -6 rule del pref 90",
                "rule 90 of protocol 4 (static) is for packets with mark 2, which must be that of packets to peers alone",
            ),
            (
                "ip -6 rule add pref 90 fwmark 0x1/0xff lookup 77 protocol static",
                "ip -6 rule del pref 90",
                "rule 90 of protocol 4 (static) is for packets with mark 1, which must be that of packets to peers alone",
            ),
            (
                "nft add table ip6 ssa-cluster",
                "nft delete table ip6 ssa-cluster",
                "nft table ip6 ssa-cluster has no comment \"set by ssa-cluster agent\": it is somebody else's, and is left alone",
            ),
            (
                "nft add table ip ssa-cluster",
                "nft delete table ip ssa-cluster",
                "nft table ip ssa-cluster has no comment \"set by ssa-cluster agent\": it is somebody else's, and is left alone",
            ),
            (
                "ip link add ssa-final type veth peer name other",
                "ip link del ssa-final",
                "link ssa-final is no VXLAN-GPE tunnel on UDP port 4796: it is somebody else's, and is left alone",
            ),
        ];
        for (add, remove, expected) in cases {
            run(add);
            let before = everything();
            let error = Kernel::open(settings()).await.expect_err(add).to_string();
            assert_eq!(error, expected, "{add}");
            assert_eq!(everything(), before, "{add}");
            Kernel::cleanup().await.expect("a cleanup");
            assert_eq!(everything(), before, "{add}");
            run(remove);
        }
        // The marks of sidecars and of kube-proxy are others.
        run("ip -6 rule add pref 90 fwmark 1337 lookup 133");
        run("ip -6 rule add pref 91 fwmark 0x4000/0x4000 lookup 134");
        drop(Kernel::open(settings()).await.expect("a kernel"));
        Kernel::cleanup().await.expect("a cleanup");
        assert!(run("ip -6 rule show").contains("fwmark 0x539 lookup 133"));
    });
}

#[test]
fn a_route_that_somebody_else_has_is_told_and_the_others_are_set() {
    inside(
        "a_route_that_somebody_else_has_is_told_and_the_others_are_set",
        async || {
            host();
            run("ip -6 route add 2001:db8:5::/66 via fd00::9 metric 100 proto bgp");
            run("ip -6 route add 2001:db8:5:0:8000::/66 via fd00::9 metric 50 proto bgp");
            let before = run("ip -6 route show proto bgp");
            let netlink = Netlink::open().expect("a socket");
            let told = run("ip -o link show eth0");
            let link = told
                .split(':')
                .next()
                .and_then(|index| index.parse().ok())
                .expect("an index");
            let route = |prefix| Route {
                table: table::MAIN,
                prefix: net(prefix),
                metric: 100,
                target: Target::Via {
                    link,
                    gateway: "fd00::8".parse().expect("an address"),
                },
            };
            let all = ["2001:db8:5::/66", "2001:db8:5:0:4000::/66", "2001:db8:5:0:8000::/66"].map(route);
            let mut routes = Routes::open(&[table::MAIN]).expect("a socket");
            let (_, errors) = routes.reconcile(&netlink, &all.into()).await;
            assert_eq!(
                errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
                [
                    "table 254 has a route for 2001:db8:5::/66 with metric 100 of protocol 186 (bgp), which is left alone"
                ]
            );
            assert_eq!(run("ip -6 route show proto bgp"), before);
            assert_eq!(run("ip -6 route show proto 199").lines().count(), 2);
            let (_, errors) = routes.reconcile(&netlink, &BTreeSet::new()).await;
            assert_eq!(errors.len(), 0, "{errors:?}");
            assert_eq!(run("ip -6 route show proto 199"), "");
            assert_eq!(run("ip -6 route show proto bgp"), before);
        },
    );
}

#[test]
fn a_route_is_replaced_and_never_missing() {
    inside("a_route_is_replaced_and_never_missing", async || {
        host();
        let mut kernel = Kernel::open(settings()).await.expect("a kernel");
        let prefix = net("2001:db8:5::/66");
        let to = |peer| [KernelRoute::Outgoing { prefix, to: name(peer) }];
        let announced = |metric| KernelRoute::Announced { prefix, metric };
        kernel_changes(&mut kernel, to("old").into_iter().chain([announced(Metric::Owner)])).await;
        let monitor = inside::Monitor::start();
        let changes = kernel_changes(&mut kernel, to("new").into_iter().chain([announced(Metric::Former)])).await;
        assert_eq!(
            changes,
            Changes {
                added: 1,
                replaced: 2,
                removed: 1
            }
        );
        let seen = monitor.until("Deleted");
        let deleted: Vec<usize> = (0..seen.len())
            .filter(|line| seen[*line].starts_with("Deleted"))
            .collect();
        let added = seen.iter().position(|line| line.contains("metric 500"));
        assert_eq!(deleted, [seen.len() - 1], "{seen:#?}");
        assert!(seen[deleted[0]].contains("metric 100") && added.is_some(), "{seen:#?}");
    });
}

#[test]
fn what_is_outside_is_told_and_everything_else_is_set() {
    inside("what_is_outside_is_told_and_everything_else_is_set", async || {
        host();
        let mut kernel = Kernel::open(settings()).await.expect("a kernel");
        let more =
            ["2001:db8:5:0:4000::/66", "2001:db8:6::/66"].map(|prefix| KernelRoute::Local { prefix: net(prefix) });
        let applied = kernel.apply(&wanted(more)).await;
        let refused = Refused {
            prefix: net("2001:db8:6::/66"),
            reason: Refusal::NotAllowed(vec![net("2001:db8:5::/64")]),
        };
        assert_eq!(applied.refused, [refused].into());
        assert!(!applied.holds() && applied.faults.is_empty(), "{applied:?}");
        let routes = run("ip -6 route show table 500");
        assert!(
            routes.contains("2001:db8:5:0:4000::/66") && !routes.contains("2001:db8:6::"),
            "{routes}"
        );
    });
}

#[test]
fn sixteen_thousand_routes_are_set_and_removed() {
    inside("sixteen_thousand_routes_are_set_and_removed", async || {
        host();
        let mut kernel = Kernel::open(settings()).await.expect("a kernel");
        let slices = net("2001:db8:5::/64").subnets(78).expect("slices");
        let all: Vec<KernelRoute> = slices.map(|prefix| KernelRoute::Local { prefix }).collect();
        assert_eq!(
            kernel_changes(&mut kernel, all.clone()).await,
            Changes {
                added: 16384,
                replaced: 0,
                removed: 0
            }
        );
        assert_eq!(kernel_changes(&mut kernel, all).await, Changes::default());
        assert_eq!(run("ip -6 route show table 500").lines().count(), 16384);
        assert_eq!(
            kernel_changes(&mut kernel, []).await,
            Changes {
                added: 0,
                replaced: 0,
                removed: 16384
            }
        );
    });
}

#[test]
fn open_connections_are_counted_and_listeners_are_not() {
    inside("open_connections_are_counted_and_listeners_are_not", async || {
        host();
        run("ip -6 route add local 2001:db8:5::/64 dev lo");
        let listener = std::net::TcpListener::bind("[::]:0").expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let (a, b) = (net("2001:db8:5::/66"), net("2001:db8:5:0:4000::/66"));
        let open: Vec<_> = ["2001:db8:5::1", "2001:db8:5::2", "2001:db8:5:0:4000::1"]
            .map(|address| std::net::TcpStream::connect((address, port)).expect("a connection"))
            .into_iter()
            .map(|client| (client, listener.accept().expect("a connection")))
            .collect();
        let count = || {
            let found = flows(&[a, b]).expect("flows");
            [a, b].map(|prefix| found[&prefix].sockets)
        };
        assert_eq!(count(), [2, 1]);
        drop(open);
        inside::eventually("the connections have ended", || count() == [0, 0]);
    });
}
