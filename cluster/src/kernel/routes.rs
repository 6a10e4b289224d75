//! Routes: what is there, what is wanted, and the way from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteIp6Tunnel, RouteIp6TunnelFlags, RouteLwTunnelEncap,
    RouteMessage, RouteProtocol, RouteType,
};

use super::batch::{Action, Batch};
use super::error::Protocol;
use super::netlink::{EEXIST, ENOENT, ESRCH, Netlink, collect, is};
use super::{Error, PROTOCOL, Route, Target, table};

/// The order in which tables get their routes; others, such as announcements, come last. They lose them in the opposite
/// order: an endpoint that gives a prefix up must not deliver what it no longer sends to the new owner.
const ORDER: [u32; 5] = [
    table::FINAL_OUTGOING,
    table::FINAL_INCOMING,
    table::INCOMING,
    table::OUTGOING,
    table::LOCAL,
];
/// The hop limit of outer packets.
const HOP_LIMIT: u8 = 64;

/// Counts what was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Routes that were added.
    pub added: usize,
    /// Routes that lead elsewhere than before.
    pub replaced: usize,
    /// Routes that were removed.
    pub removed: usize,
}

impl Changes {
    /// Says whether nothing was changed.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// The identity of a route: the kernel has one of these at most.
type Key = (u32, Ipv6Net, u32);

/// A route that is there. Its target is `None` if it is none that would be set here.
struct Found {
    key: Key,
    target: Option<Target>,
    protocol: u8,
}

/// Routes of some tables, as the kernel has them.
#[derive(Debug)]
pub struct Routes {
    batch: Batch,
    tables: &'static [u32],
    /// What is there of ours; `None` if that has to be asked first.
    current: Option<Current>,
    /// What of somebody else's was in the way when it was asked last.
    foreign: Vec<Foreign>,
}

/// The routes that are there. A target is `None` if it is none that would be set here.
type Current = BTreeMap<Key, Option<Target>>;

/// Somebody else's route in a table where only ours may be.
type Foreign = (u32, Protocol, Ipv6Net);

/// The most routes of somebody else that are told of.
const TOLD: usize = 8;

impl Routes {
    /// Opens a socket for them.
    ///
    /// # Errors
    ///
    /// [`Error::Socket`].
    pub fn open(tables: &'static [u32]) -> Result<Self, Error> {
        Ok(Self {
            batch: Batch::open().map_err(Error::Socket)?,
            tables,
            current: None,
            foreign: Vec::new(),
        })
    }

    /// Returns the number by which the kernel's notifications tell whose change it was.
    pub(super) fn port(&self) -> Result<u32, Error> {
        self.batch.port().map_err(Error::Socket)
    }

    /// Asks the kernel again what is there. Returns how many routes are not as they were set.
    pub(super) async fn look(&mut self, netlink: &Netlink) -> Result<usize, Error> {
        let before = self.current.take();
        let mut current = Current::new();
        self.foreign.clear();
        for &table in self.tables {
            for found in dump(netlink, table).await? {
                if found.protocol == PROTOCOL {
                    current.insert(found.key, found.target);
                } else if table::OWN.contains(&table) && self.foreign.len() < TOLD {
                    self.foreign.push((table, Protocol(found.protocol), found.key.1));
                }
            }
        }
        let differ = before.map_or(0, |before| {
            let gone = before
                .iter()
                .filter(|(key, target)| current.get(*key) != Some(*target))
                .count();
            gone + current.keys().filter(|key| !before.contains_key(*key)).count()
        });
        self.current = Some(current);
        Ok(differ)
    }

    /// Makes the tables have exactly the wanted routes, as far as they are ours.
    ///
    /// First new routes are added and changed ones replaced, in one step of the kernel each; then what is left over is
    /// removed. Nobody's packets miss a route in between.
    ///
    /// Whatever is wrong with one route, the others are changed all the same. Of routes that were refused the first is
    /// told, and of somebody else's those that are in the way.
    pub async fn reconcile(&mut self, netlink: &Netlink, wanted: &BTreeSet<Route>) -> (Changes, Vec<Error>) {
        let mut changes = Changes::default();
        if self.current.is_none()
            && let Err(error) = self.look(netlink).await
        {
            return (changes, vec![error]);
        }
        let current = self.current.take().unwrap_or_default();
        let wanted: Current = wanted.iter().map(|route| (key(*route), Some(route.target))).collect();
        let mut work = Vec::new();
        for step in 0..=ORDER.len() {
            for (key, target) in wanted.iter().filter(|((table, ..), _)| rank(*table) == step) {
                let before = current.get(key);
                let (Some(target), true) = (target, before != Some(target)) else {
                    continue;
                };
                let action = if before.is_some() { Action::Replace } else { Action::Add };
                work.push((action, *key, message(*key, *target)));
            }
        }
        for step in (0..=ORDER.len()).rev() {
            let left = current
                .keys()
                .filter(|key| rank(key.0) == step && !wanted.contains_key(*key));
            work.extend(left.map(|key| (Action::Remove, *key, removal(*key))));
        }
        let keys: Vec<(Action, Key)> = work.iter().map(|(action, key, _)| (*action, *key)).collect();
        let requests: Vec<(Action, RouteMessage)> =
            work.into_iter().map(|(action, _, message)| (action, message)).collect();
        let refused = match self.batch.change(&requests).await {
            Ok(refused) => refused,
            Err(source) => {
                return (changes, self.told(vec![Error::Socket(source)]));
            }
        };
        for (action, _) in &keys {
            match action {
                Action::Add => changes.added += 1,
                Action::Replace => changes.replaced += 1,
                Action::Remove => changes.removed += 1,
            }
        }
        let mut failed = None;
        for (place, number) in refused {
            let Some((action, key)) = keys.get(place) else { continue };
            // What is gone already need not be removed.
            if (*action, number) == (Action::Remove, ESRCH) || failed.is_some() {
                continue;
            }
            failed = Some(self.why(netlink, *action, *key, number).await);
        }
        if failed.is_none() {
            self.current = Some(wanted);
        }
        (changes, self.told(failed.into_iter().collect()))
    }

    /// Asks where packets go; `None` where they go nowhere.
    pub(super) async fn ask(&mut self, requests: Vec<RouteMessage>) -> Result<Vec<Option<RouteMessage>>, Error> {
        self.batch.ask(requests).await.map_err(Error::Socket)
    }

    /// Adds what of somebody else's is in the way.
    fn told(&self, mut errors: Vec<Error>) -> Vec<Error> {
        errors.extend(
            self.foreign
                .iter()
                .map(|(table, protocol, prefix)| Error::ForeignRoute {
                    table: *table,
                    protocol: *protocol,
                    prefix: *prefix,
                }),
        );
        errors
    }

    /// Says why a route was refused, and whose is in the way.
    async fn why(&self, netlink: &Netlink, action: Action, key: Key, number: i32) -> Error {
        let (table, prefix, metric) = key;
        if (action, number) != (Action::Add, EEXIST) {
            let verb = if action == Action::Remove { "remove" } else { "add" };
            return Error::Refused {
                what: format!("{verb} the route for {prefix} with metric {metric} in table {table}"),
                source: std::io::Error::from_raw_os_error(number),
            };
        }
        let owner = dump_all(netlink, table, 0).await.ok().and_then(|found| {
            found
                .into_iter()
                .find(|found| found.key == key)
                .map(|found| found.protocol)
        });
        Error::Occupied {
            table,
            prefix,
            metric,
            protocol: Protocol(owner.unwrap_or(0)),
        }
    }
}

/// Lists the prefixes of our routes in a table, with their metrics.
pub(super) async fn held(netlink: &Netlink, table: u32) -> Result<BTreeMap<Ipv6Net, u32>, Error> {
    let found = dump(netlink, table).await?;
    let ours = found.into_iter().filter(|found| found.protocol == PROTOCOL);
    Ok(ours.map(|found| (found.key.1, found.key.2)).collect())
}

/// Says whose a route is that is in a table where nobody else may have one.
///
/// # Errors
///
/// [`Error::ForeignRoute`].
pub(super) async fn refuse_foreign(netlink: &Netlink) -> Result<(), Error> {
    for table in table::OWN {
        if let Some(found) = dump(netlink, table)
            .await?
            .iter()
            .find(|found| found.protocol != PROTOCOL)
        {
            return Err(foreign(found));
        }
    }
    Ok(())
}

fn foreign(found: &Found) -> Error {
    Error::ForeignRoute {
        table: found.key.0,
        protocol: Protocol(found.protocol),
        prefix: found.key.1,
    }
}

fn key(route: Route) -> Key {
    (route.table, route.prefix, route.metric)
}

fn rank(table: u32) -> usize {
    ORDER.iter().position(|one| *one == table).unwrap_or(ORDER.len())
}

fn removal((table, prefix, metric): Key) -> RouteMessage {
    let mut message = RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(prefix.addr(), prefix.prefix_len())
        .table_id(table)
        .priority(metric)
        .protocol(RouteProtocol::from(PROTOCOL))
        .build();
    message.header.kind = RouteType::Unspec;
    message
}

fn message((table, prefix, metric): Key, target: Target) -> RouteMessage {
    let builder = RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(prefix.addr(), prefix.prefix_len())
        .table_id(table)
        .priority(metric)
        .protocol(RouteProtocol::from(PROTOCOL));
    let mut message = match target {
        Target::Local { link } => builder.kind(RouteType::Local).output_interface(link),
        Target::Nowhere => builder.kind(RouteType::BlackHole),
        Target::Via { link, gateway } => builder.output_interface(link).gateway(gateway),
        Target::Tunnel { link, peer, source } => builder.output_interface(link).encap_ip6(vec![
            RouteIp6Tunnel::Id(0),
            RouteIp6Tunnel::Destination(peer),
            RouteIp6Tunnel::Source(source),
            RouteIp6Tunnel::Hoplimit(HOP_LIMIT),
            // Receivers drop UDP over IPv6 without a checksum.
            RouteIp6Tunnel::Flags(RouteIp6TunnelFlags::Checksum),
        ]),
    }
    .build();
    if let Target::Via { .. } = target {
        // A pod's address is in no prefix of its link, and BIRD learns no route to a neighbour of which that is so.
        message.header.flags |= RouteFlags::Onlink;
    }
    message
}

/// Lists the routes of a table: all of them in tables where only ours may be, ours alone in others.
async fn dump(netlink: &Netlink, table: u32) -> Result<Vec<Found>, Error> {
    let protocol = if table::OWN.contains(&table) { 0 } else { PROTOCOL };
    dump_all(netlink, table, protocol).await
}

/// Lists the routes of a table with a protocol number, or with any if it is 0.
async fn dump_all(netlink: &Netlink, table: u32, protocol: u8) -> Result<Vec<Found>, Error> {
    let mut filter = RouteMessage::default();
    filter.header = RouteHeader {
        address_family: AddressFamily::Inet6,
        protocol: RouteProtocol::from(protocol),
        ..RouteHeader::default()
    };
    filter.attributes.push(RouteAttribute::Table(table));
    let found = netlink.handle.route().get(filter).execute();
    match collect(format!("list the routes of table {table}"), found).await {
        Ok(messages) => Ok(messages
            .iter()
            .filter_map(parse)
            .filter(|found| found.key.0 == table && (protocol == 0 || found.protocol == protocol))
            .collect()),
        // The kernel makes a table with its first route.
        Err(error) if is(&error, ENOENT) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Reads a route; none if it is one of a cache.
fn parse(message: &RouteMessage) -> Option<Found> {
    let mut table = u32::from(message.header.table);
    let mut address = Ipv6Addr::UNSPECIFIED;
    let (mut metric, mut link, mut gateway, mut tunnel) = (0, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(RouteAddress::Inet6(found)) => address = *found,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet6(found)) => gateway = Some(*found),
            RouteAttribute::Encap(parts) => tunnel = Some(parse_tunnel(parts)),
            _ => {}
        }
    }
    let target = match (message.header.kind, link, gateway, tunnel) {
        (RouteType::Local, Some(link), None, None) => Some(Target::Local { link }),
        (RouteType::BlackHole, _, None, None) => Some(Target::Nowhere),
        (RouteType::Unicast, Some(link), Some(gateway), None) => Some(Target::Via { link, gateway }),
        (RouteType::Unicast, Some(link), None, Some(Some((peer, source)))) => {
            Some(Target::Tunnel { link, peer, source })
        }
        _ => None,
    };
    let prefix = Ipv6Net::new(address, message.header.destination_prefix_length).ok()?;
    Some(Found {
        key: (table, prefix, metric),
        target,
        protocol: u8::from(message.header.protocol),
    })
}

fn parse_tunnel(parts: &[RouteLwTunnelEncap]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let (mut peer, mut source, mut checksum, mut hops) = (None, None, false, false);
    for part in parts {
        match part {
            RouteLwTunnelEncap::Ip6(RouteIp6Tunnel::Destination(address)) => peer = Some(*address),
            RouteLwTunnelEncap::Ip6(RouteIp6Tunnel::Source(address)) => source = Some(*address),
            RouteLwTunnelEncap::Ip6(RouteIp6Tunnel::Flags(flags)) => {
                checksum = flags.contains(RouteIp6TunnelFlags::Checksum);
            }
            RouteLwTunnelEncap::Ip6(RouteIp6Tunnel::Hoplimit(limit)) => hops = *limit == HOP_LIMIT,
            _ => {}
        }
    }
    if checksum && hops { peer.zip(source) } else { None }
}
