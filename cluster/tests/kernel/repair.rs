//! What others change of what is set here is seen, set again and counted; what is theirs stays, and hinders no end.

use std::time::Duration;

use ssa_cluster::kernel::{Applied, Kernel, Repaired};

use crate::inside::{eventually, inside, run};
use crate::{busy, everything, host, settings, wanted};

/// What is seen in milliseconds, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// Brings the kernel to what is wanted when something was changed and once a second, as an agent does, until enough was
/// done. Nothing is looked at that is not known to be changed.
async fn mended(kernel: &mut Kernel, what: &str, enough: impl Fn(&Applied, Repaired) -> bool) -> Applied {
    let until = tokio::time::Instant::now() + SOON;
    loop {
        let _ = tokio::time::timeout(Duration::from_secs(1), kernel.disturbed()).await;
        let applied = kernel.apply(&wanted(busy())).await;
        if enough(&applied, kernel.repaired()) {
            return applied;
        }
        assert!(tokio::time::Instant::now() < until, "{what}: {applied:?}");
    }
}

/// Counts the repairs of a kind.
type Kind = fn(Repaired) -> u64;

#[test]
fn whatever_is_changed_of_what_was_set_is_set_again() {
    inside("repair::whatever_is_changed_of_what_was_set_is_set_again", async || {
        host();
        let mut kernel = Kernel::open(settings()).await.expect("a kernel");
        assert!(kernel.apply(&wanted(busy())).await.holds());
        let before = everything();
        let cases: [(&str, Kind); 20] = [
            ("nft flush ruleset", |all| all.rulesets),
            ("nft delete table ip6 ssa-cluster", |all| all.rulesets),
            ("nft flush chain ip6 ssa-cluster steer", |all| all.rulesets),
            ("nft insert rule ip6 ssa-cluster steer accept", |all| all.rulesets),
            ("nft delete table ip ssa-cluster", |all| all.rulesets),
            ("nft flush chain ip ssa-cluster tunnels", |all| all.rulesets),
            ("nft flush set ip6 ssa-cluster allowed", |all| all.rulesets),
            ("nft flush set ip6 ssa-cluster peers", |all| all.rulesets),
            (
                "nft delete element ip6 ssa-cluster outgoing { 2001:db8:5::/66 }",
                |all| all.rulesets,
            ),
            ("ip -6 rule del pref 16", |all| all.rules),
            ("ip -6 rule del pref 19 fwmark 4", |all| all.rules),
            ("ip -6 rule add pref 20 iif far lookup 500 protocol 199", |all| {
                all.rules
            }),
            ("ip -6 route flush table 500", |all| all.routes),
            ("ip -6 route flush table 510", |all| all.routes),
            ("ip -6 route flush table 602", |all| all.routes),
            (
                "ip -6 route replace 2001:db8:5::/66 dev eth0 table 600 proto 199",
                |all| all.routes,
            ),
            ("ip -6 route add blackhole 2001:db8:5::/70 table 510 proto 199", |all| {
                all.routes
            }),
            ("ip link set ssa-try down", |all| all.links),
            ("ip link del ssa-final", |all| all.links),
            ("ip -6 addr flush dev ssa-try", |all| all.links),
        ];
        for (command, kind) in cases {
            let repaired = kind(kernel.repaired());
            run(command);
            mended(&mut kernel, command, |applied, all| {
                applied.holds() && kind(all) > repaired
            })
            .await;
            assert!(kind(kernel.repaired()) > repaired, "{command}");
            // The number of a link that was made again is another one.
            let unnumbered = |text: &str| {
                let lines = text
                    .lines()
                    .map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest).to_owned());
                lines.collect::<Vec<_>>()
            };
            let then = unnumbered(&before);
            // The kernel's own routes of a link that is up again come a moment later.
            eventually(command, || {
                let now = unnumbered(&everything());
                now.iter().all(|line| then.contains(line)) && then.iter().all(|line| now.contains(line))
            });
        }
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "0").expect("a setting");
        mended(&mut kernel, "forwarding", |applied, _| applied.repaired.forwarding > 0).await;
        assert_eq!(run("cat /proc/sys/net/ipv6/conf/all/forwarding"), "1\n");
        // What the ruleset of others does is no change of ours.
        let repaired = kernel.repaired();
        run("nft add table ip6 theirs");
        let _ = tokio::time::timeout(SOON, kernel.disturbed()).await;
        assert!(kernel.apply(&wanted(busy())).await.holds());
        assert_eq!(kernel.repaired(), repaired);
        // The end takes back what was there first, though the ruleset's own record was flushed.
        kernel.close().await.expect("an end");
        assert_eq!(run("cat /proc/sys/net/ipv6/conf/all/forwarding"), "0\n");
    });
}

#[test]
fn what_others_put_in_the_way_is_told_and_hinders_neither_the_rest_nor_the_end() {
    inside(
        "repair::what_others_put_in_the_way_is_told_and_hinders_neither_the_rest_nor_the_end",
        async || {
            host();
            let before = everything();
            let cases = [
                (
                    "ip -6 route add blackhole 2001:db8:7::/64 table 510 proto static",
                    "ip -6 route del 2001:db8:7::/64 table 510",
                ),
                (
                    "ip -6 rule add pref 18 lookup 77 protocol static",
                    "ip -6 rule del pref 18 lookup 77",
                ),
            ];
            for (add, remove) in cases {
                let mut kernel = Kernel::open(settings()).await.expect("a kernel");
                let some = wanted(busy().into_iter().take(1));
                assert!(kernel.apply(&some).await.holds());
                run(add);
                let theirs = mended(&mut kernel, add, |applied, _| !applied.holds()).await;
                let told: Vec<String> = theirs.wrong().collect();
                assert!(told.len() == 1 && told[0].contains("4 (static)"), "{told:?}");
                // All that is wanted is there all the same.
                assert_eq!(run("ip -6 route show table 601 proto 199").lines().count(), 1);
                let left = kernel.apply(&wanted(busy())).await;
                assert_eq!(left.wrong().collect::<Vec<_>>(), told, "as long as it is there");
                kernel.close().await.expect("an end");
                run(remove);
                assert_eq!(everything(), before, "{add}");
            }
            // After a kill: the next program removes what the last one has set.
            let mut kernel = Kernel::open(settings()).await.expect("a kernel");
            assert!(kernel.apply(&wanted(busy())).await.holds());
            drop(kernel);
            for (add, _) in cases {
                run(add);
            }
            Kernel::cleanup().await.expect("a cleanup");
            for (_, remove) in cases {
                run(remove);
            }
            assert_eq!(everything(), before);
        },
    );
}
