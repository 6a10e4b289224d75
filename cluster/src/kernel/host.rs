//! The kernel of a host: routes to the endpoints whose network namespaces are behind it, and no connection tracking for
//! their packets.
//!
//! Routes stand in the main table, with the metric that the endpoint's announcement has: the kernel takes the owner's,
//! and the standby's once that is gone. A routing daemon reads the same routes and metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use ssa_slices::handover::{EndpointName, Metric};

use super::applied::{Applied, count};
use super::nft::{Installed, Table};
use super::watch::{Dirty, Watch, Watched};
use super::{Error, Netlink, Refusal, Refused, Repaired, Route, Routes, Target, plan, table};

const RULESET: &str = include_str!("untracked.nft");
const TABLE: Table = Table {
    family: "ip6",
    name: "ssa-cluster-node",
    comment: "set by ssa-cluster node",
};
/// The tables that it has routes in, beside those of others.
const TABLES: &[u32] = &[table::MAIN];

/// A prefix that an endpoint announces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRoute {
    /// The prefix.
    pub prefix: Ipv6Net,
    /// How much the endpoint is preferred.
    pub metric: Metric,
    /// The endpoint.
    pub endpoint: EndpointName,
    /// Its address.
    pub address: Ipv6Addr,
    /// Whether it is on this host; otherwise its packets go where those to its address go.
    pub here: bool,
}

/// A host that routes slices to endpoints.
#[derive(Debug)]
pub struct Host {
    netlink: Netlink,
    routes: Routes,
    watch: Watch,
    allowed: Vec<Ipv6Net>,
    untracked: Installed,
    failed: Dirty,
    repaired: Repaired,
}

/// Where packets to an address go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hop {
    link: u32,
    gateway: Option<Ipv6Addr>,
}

impl Host {
    /// Sets up what does not change. Routes of an earlier run stay.
    ///
    /// # Errors
    ///
    /// [`Error`], if the kernel refuses something or somebody else has the table's name.
    pub async fn open(allowed: Vec<Ipv6Net>) -> Result<Self, Error> {
        let netlink = Netlink::open()?;
        TABLE.listing().await?;
        let routes = Routes::open(TABLES)?;
        let watch = Watch::start(Watched {
            own_tables: &[],
            shared_tables: TABLES,
            links: None,
            own: vec![netlink.port, routes.port()?],
        })?;
        watch.take();
        let listed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let script = RULESET
            .replace("COMMENT", TABLE.comment)
            .replace("ALLOWED", &listed.join(", "))
            .replace("QUOTED", &quoted(&allowed));
        let before = watch.generation()?;
        let untracked = Installed::install(TABLE, script).await?;
        watch.ruleset_settled(before, 1)?;
        Ok(Self {
            netlink,
            routes,
            watch,
            allowed,
            untracked,
            failed: Dirty::NONE,
            repaired: Repaired::default(),
        })
    }

    /// Makes the host have exactly the wanted routes, as far as they are ours. What others have changed of what was set
    /// here is set again.
    ///
    /// What cannot be set keeps nothing else from being set.
    pub async fn apply(&mut self, wanted: &BTreeSet<HostRoute>) -> Applied {
        let dirty = self.watch.take().and(std::mem::replace(&mut self.failed, Dirty::NONE));
        let mut applied = Applied::default();
        if !super::forwarding::is_on() {
            applied.faults.push(Error::NotForwarding);
        }
        match self.untrack(dirty).await {
            Ok(repaired) => applied.repaired.rulesets += u64::from(repaired),
            Err(error) => self.fail(&mut applied, Dirty::RULESET, error),
        }
        if dirty.has(Dirty::ROUTES) {
            match self.routes.look(&self.netlink).await {
                Ok(differ) => applied.repaired.routes += count(differ),
                Err(error) => self.fail(&mut applied, Dirty::ROUTES, error),
            }
        }
        match self.plan(wanted).await {
            Ok((routes, refused)) => {
                applied.refused = refused;
                let (changes, errors) = self.routes.reconcile(&self.netlink, &routes).await;
                applied.changes = changes;
                for error in errors {
                    self.fail(&mut applied, Dirty::ROUTES, error);
                }
            }
            Err(error) => self.fail(&mut applied, Dirty::ROUTES, error),
        }
        self.repaired += applied.repaired;
        applied
    }

    fn fail(&mut self, applied: &mut Applied, dirty: Dirty, error: Error) {
        self.failed = self.failed.and(dirty);
        applied.faults.push(error);
    }

    async fn untrack(&mut self, dirty: Dirty) -> Result<bool, Error> {
        let before = self.watch.generation()?;
        if !dirty.has(Dirty::RULESET) && self.watch.is_ruleset_known(before) {
            return Ok(false);
        }
        let repaired = self.untracked.verify().await?;
        self.watch.ruleset_settled(before, u32::from(repaired))?;
        Ok(repaired)
    }

    /// Returns the routes for what is wanted, and what of it cannot be set.
    async fn plan(&mut self, wanted: &BTreeSet<HostRoute>) -> Result<(BTreeSet<Route>, BTreeSet<Refused>), Error> {
        let addresses: BTreeSet<Ipv6Addr> = wanted.iter().map(|route| route.address).collect();
        let hops = self.hops(addresses.into_iter().collect()).await?;
        let (mut routes, mut refused) = (BTreeMap::new(), BTreeSet::new());
        for route in wanted {
            let HostRoute { prefix, address, .. } = *route;
            let mut refuse = |reason| refused.insert(Refused { prefix, reason });
            if !plan::is_allowed(&self.allowed, prefix) {
                refuse(Refusal::NotAllowed(self.allowed.clone()));
                continue;
            }
            if self.allowed.iter().any(|allowed| allowed.contains(&address)) {
                refuse(Refusal::PeerAllowed(route.endpoint.clone(), address));
                continue;
            }
            // An endpoint of this host is behind a link of its own, not behind another host.
            let hop = hops.get(&address).filter(|hop| !route.here || hop.gateway.is_none());
            let Some(hop) = hop else {
                refuse(Refusal::NoWay(route.endpoint.clone(), address));
                continue;
            };
            let target = Target::Via {
                link: hop.link,
                gateway: hop.gateway.unwrap_or(address),
            };
            // Of two with one metric the nearer counts.
            let key = (prefix, route.metric.value());
            if route.here || !routes.contains_key(&key) {
                routes.insert(key, target);
            }
        }
        let routes = routes.into_iter().map(|((prefix, metric), target)| Route {
            table: table::MAIN,
            prefix,
            metric,
            target,
        });
        Ok((routes.collect(), refused))
    }

    /// Asks the kernel where packets to addresses would go.
    async fn hops(&mut self, addresses: Vec<Ipv6Addr>) -> Result<BTreeMap<Ipv6Addr, Hop>, Error> {
        let requests = addresses.iter().map(|address| {
            RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(*address, 128)
                .build()
        });
        let found = self.routes.ask(requests.collect()).await?;
        let hops = addresses.into_iter().zip(found);
        Ok(hops
            .filter_map(|(address, found)| Some((address, hop(&found?)?)))
            .collect())
    }

    /// Says for each prefix whether its packets go where those to an address go, or by that address.
    ///
    /// # Errors
    ///
    /// [`Error`], if the kernel does not answer.
    pub async fn leads(&mut self, ways: &[(Ipv6Net, Ipv6Addr)]) -> Result<Vec<bool>, Error> {
        let of_prefix = |prefix: &Ipv6Net| prefix.network();
        let addresses: BTreeSet<Ipv6Addr> = ways
            .iter()
            .flat_map(|(prefix, address)| [of_prefix(prefix), *address])
            .collect();
        let hops = self.hops(addresses.into_iter().collect()).await?;
        let leads = ways.iter().map(|(prefix, address)| {
            let Some(found) = hops.get(&of_prefix(prefix)) else {
                return false;
            };
            found.gateway == Some(*address) || (found.gateway.is_some() && hops.get(address) == Some(found))
        });
        Ok(leads.collect())
    }

    /// Waits until somebody else may have changed what was set here, or a link has come or gone.
    pub async fn disturbed(&self) {
        self.watch.disturbed().await;
    }

    /// Counts what others had changed and was set again.
    #[must_use]
    pub fn repaired(&self) -> Repaired {
        self.repaired
    }

    /// Removes everything of this and of any earlier run, whatever else is there. What is somebody else's stays.
    ///
    /// # Errors
    ///
    /// [`Error`] of the first step that failed; the others are done all the same.
    pub async fn cleanup() -> Result<(), Error> {
        let netlink = Netlink::open()?;
        let (_, errors) = Routes::open(TABLES)?.reconcile(&netlink, &BTreeSet::new()).await;
        let untracked = TABLE.remove().await;
        let mut failed = errors.into_iter().chain(untracked.err());
        failed.find(|error| !error.is_foreign()).map_or(Ok(()), Err)
    }
}

/// Rules for ICMPv6 errors that quote a packet to one of the prefixes.
///
/// A set cannot be asked for what is not at a place that nft has a name for.
fn quoted(allowed: &[Ipv6Net]) -> String {
    let rules: Vec<String> = allowed
        .iter()
        .map(|prefix| {
            let (mask, wanted) = (prefix.netmask().to_bits(), prefix.network().to_bits());
            format!("@th,256,128 & {mask:#034x} == {wanted:#034x} notrack")
        })
        .collect();
    rules.join("\n    ")
}

/// Reads the kernel's answer; none if packets go nowhere, or to this host itself.
fn hop(message: &RouteMessage) -> Option<Hop> {
    use rtnetlink::packet_route::route::RouteType;
    let mut hop = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(link) => hop.0 = Some(*link),
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway)) => hop.1 = Some(*gateway),
            _ => {}
        }
    }
    (message.header.kind == RouteType::Unicast).then_some(())?;
    Some(Hop {
        link: hop.0?,
        gateway: hop.1,
    })
}
