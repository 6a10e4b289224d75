//! From what an endpoint holds to routes of tables.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::{EndpointName, KernelRoute};

use super::error::{Refusal, Refused};
use super::links::Links;
use super::{Settings, Wanted, table};

/// One route of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The table.
    pub table: u32,
    /// The prefix.
    pub prefix: Ipv6Net,
    /// The metric; of two routes of a prefix in a table the kernel takes the one with the lower.
    pub metric: u32,
    /// Where it leads.
    pub target: Target,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// To this host itself.
    Local {
        /// The index of the loopback interface.
        link: u32,
    },
    /// Nowhere: it is there to be read.
    Nowhere,
    /// Through a tunnel.
    Tunnel {
        /// The index of the tunnel's link.
        link: u32,
        /// The outer destination.
        peer: Ipv6Addr,
        /// The outer source.
        source: Ipv6Addr,
    },
    /// To another host on a link.
    Via {
        /// The index of the link.
        link: u32,
        /// The host's address.
        gateway: Ipv6Addr,
    },
}

/// The metric of routes that stand alone in their table, as the kernel gives it to a route without one.
const ALONE: u32 = 1024;

/// Returns the routes of the tables for what is wanted, and what of it cannot be set.
///
/// Of a prefix whose way to a peer is refused the rest is set: what is delivered and announced stays so.
pub(super) fn plan(settings: &Settings, links: Links, wanted: &Wanted) -> (BTreeSet<Route>, BTreeSet<Refused>) {
    let (mut routes, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let allowed = |address: &Ipv6Addr| settings.allowed.iter().any(|allowed| allowed.contains(address));
    let peer = |name: &EndpointName| match wanted.peers.get(name) {
        None => Err(Refusal::UnknownPeer(name.clone())),
        Some(&address) if address == settings.tunnel => Err(Refusal::OwnAddress(name.clone(), address)),
        Some(address) if allowed(address) => Err(Refusal::PeerAllowed(name.clone(), *address)),
        Some(&address) => Ok(address),
    };
    for route in &wanted.routes {
        let prefix = route.prefix();
        let mut refuse = |reason| refused.insert(Refused { prefix, reason });
        if !is_allowed(&settings.allowed, prefix) {
            refuse(Refusal::NotAllowed(settings.allowed.clone()));
            continue;
        }
        let mut add = |table, metric, target| {
            routes.insert(Route {
                table,
                prefix,
                metric,
                target,
            });
        };
        let tunnel = |link, peer| Target::Tunnel {
            link,
            peer,
            source: settings.tunnel,
        };
        match route {
            KernelRoute::Local { .. } => add(table::LOCAL, ALONE, Target::Local { link: links.loopback }),
            KernelRoute::Outgoing { to: name, .. } | KernelRoute::Incoming { from: name, .. } => match peer(name) {
                Ok(peer) => {
                    let (table, last) = match route {
                        KernelRoute::Outgoing { .. } => (table::OUTGOING, table::FINAL_OUTGOING),
                        _ => (table::INCOMING, table::FINAL_INCOMING),
                    };
                    add(table, ALONE, tunnel(links.attempt, peer));
                    add(last, ALONE, tunnel(links.last, peer));
                }
                Err(reason) => {
                    refuse(reason);
                }
            },
            KernelRoute::Announced { metric, .. } => add(table::ANNOUNCED, metric.value(), Target::Nowhere),
        }
    }
    (routes, refused)
}

/// Says whether a prefix lies in what is allowed.
pub(super) fn is_allowed(allowed: &[Ipv6Net], prefix: Ipv6Net) -> bool {
    allowed.iter().any(|allowed| allowed.contains(&prefix))
}

#[cfg(test)]
mod tests {
    use ssa_slices::handover::Metric;

    use super::*;

    const LINKS: Links = Links {
        loopback: 1,
        attempt: 2,
        last: 3,
    };

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
        let address = |text: &str| text.parse().expect("an address");
        Wanted {
            routes: routes.into_iter().collect(),
            peers: [(name("a"), address("fd00::1")), (name("b"), address("fd00::2"))].into(),
            ..Wanted::default()
        }
    }

    #[test]
    fn a_peer_is_reached_by_both_tunnels() {
        let prefix = net("2001:db8:5::/66");
        let (found, refused) = plan(
            &settings(),
            LINKS,
            &wanted([KernelRoute::Outgoing { prefix, to: name("b") }]),
        );
        assert_eq!(refused, [].into());
        let tables: Vec<_> = found
            .iter()
            .map(|route| match route.target {
                Target::Tunnel { link, peer, .. } => (route.table, link, peer.to_string()),
                _ => panic!("{route:?}"),
            })
            .collect();
        assert_eq!(
            tables,
            [
                (table::OUTGOING, LINKS.attempt, "fd00::2".to_owned()),
                (table::FINAL_OUTGOING, LINKS.last, "fd00::2".to_owned())
            ]
        );
    }

    #[test]
    fn announcements_have_their_metric_and_lead_nowhere() {
        let prefix = net("2001:db8:5::/66");
        let metric = Metric::Standby;
        let (found, _) = plan(&settings(), LINKS, &wanted([KernelRoute::Announced { prefix, metric }]));
        let route = Route {
            table: table::ANNOUNCED,
            prefix,
            metric: 1000,
            target: Target::Nowhere,
        };
        assert_eq!(found, [route].into());
    }

    fn told(refused: &BTreeSet<Refused>) -> Vec<String> {
        refused.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_outside_of_the_services_is_refused_and_the_rest_is_not() {
        let inside = KernelRoute::Local {
            prefix: net("2001:db8:5::/66"),
        };
        for outside in ["2001:db8:6::/66", "2001:db8:5::/63", "::/0"] {
            let prefix = net(outside).trunc();
            let (found, refused) = plan(
                &settings(),
                LINKS,
                &wanted([inside.clone(), KernelRoute::Local { prefix }]),
            );
            assert_eq!(found.len(), 1, "{outside}");
            assert_eq!(
                told(&refused),
                [format!("{prefix} is outside of what is allowed: 2001:db8:5::/64")]
            );
        }
    }

    #[test]
    fn a_peer_that_cannot_be_reached_is_refused_and_what_is_delivered_and_announced_stays() {
        let prefix = net("2001:db8:5::/66");
        let refused = |from| {
            let mut wanted = wanted([
                KernelRoute::Local { prefix },
                KernelRoute::Announced {
                    prefix,
                    metric: Metric::Standby,
                },
                KernelRoute::Incoming { prefix, from },
            ]);
            let inside = "2001:db8:5::99".parse().expect("an address");
            wanted.peers.insert(name("d"), inside);
            let (found, refused) = plan(&settings(), LINKS, &wanted);
            let tables: Vec<u32> = found.iter().map(|route| route.table).collect();
            assert_eq!(tables, [table::LOCAL, table::ANNOUNCED]);
            told(&refused)
        };
        let leads = "2001:db8:5::/66 leads to the endpoint";
        assert_eq!(
            refused(name("c")),
            [format!("{leads} c, whose tunnel address is unknown")]
        );
        assert_eq!(
            refused(name("a")),
            [format!(
                "{leads} a, whose tunnel address fd00::1 is this endpoint's own"
            )]
        );
        assert_eq!(
            refused(name("d")),
            [format!(
                "{leads} d, whose tunnel address 2001:db8:5::99 is allowed for slices"
            )]
        );
    }
}
