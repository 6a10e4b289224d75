//! Routes: what is there, what is wanted, and the way from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use futures_util::{StreamExt as _, stream};
use ipnet::Ipv6Net;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteIp6Tunnel, RouteIp6TunnelFlags, RouteLwTunnelEncap, RouteMessage,
    RouteProtocol, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::error::Protocol;
use super::netlink::{EEXIST, ENOENT, ESRCH, Netlink, collect, is};
use super::{Error, PROTOCOL, Route, Target, table};

/// How many requests wait for the kernel's answer at once. Their answers fit the socket's buffer.
const AT_ONCE: usize = 64;
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

/// Makes some tables have exactly the wanted routes, as far as they are ours.
///
/// First new routes are added and changed ones replaced, in one step of the kernel each; then what is left over is
/// removed. Nobody's packets miss a route in between.
///
/// # Errors
///
/// [`Error::ForeignRoute`] or [`Error::Occupied`] if a route of somebody else is in the way, or what the kernel says; of
/// several the first. The other changes are made all the same.
pub async fn reconcile_routes(netlink: &Netlink, tables: &[u32], wanted: &BTreeSet<Route>) -> Result<Changes, Error> {
    let mut current = BTreeMap::new();
    for &table in tables {
        for found in dump(netlink, table).await? {
            if found.protocol == PROTOCOL {
                current.insert(found.key, found.target);
            } else if table::OWN.contains(&table) {
                return Err(foreign(&found));
            }
        }
    }
    let wanted: BTreeMap<Key, Target> = wanted.iter().map(|route| (key(*route), route.target)).collect();
    let mut changes = Changes::default();
    let mut failed = None;
    for step in 0..=ORDER.len() {
        let due = wanted
            .iter()
            .filter(|((table, ..), _)| rank(*table) == step)
            .filter(|(key, target)| current.get(*key) != Some(&Some(**target)))
            .map(|(key, target)| (*key, *target, current.contains_key(key)));
        let due: Vec<_> = due.collect();
        changes.replaced += due.iter().filter(|(.., replace)| *replace).count();
        changes.added += due.iter().filter(|(.., replace)| !replace).count();
        let requests = due
            .into_iter()
            .map(|(key, target, replace)| set(netlink.handle.clone(), key, target, replace));
        keep_first(&mut failed, run(requests).await);
    }
    for step in (0..=ORDER.len()).rev() {
        let left = current
            .keys()
            .filter(|key| rank(key.0) == step && !wanted.contains_key(*key))
            .copied();
        let left: Vec<Key> = left.collect();
        changes.removed += left.len();
        let requests = left.into_iter().map(|key| remove(netlink.handle.clone(), key));
        keep_first(&mut failed, run(requests).await);
    }
    match failed {
        None => Ok(changes),
        Some(error) => Err(tell_who(netlink, error).await),
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

fn keep_first(failed: &mut Option<Error>, result: Result<(), Error>) {
    if let Err(error) = result {
        failed.get_or_insert(error);
    }
}

/// Makes all requests, and returns the first error.
async fn run(requests: impl Iterator<Item = impl Future<Output = Result<(), Error>>>) -> Result<(), Error> {
    let mut failed = None;
    let mut answers = stream::iter(requests).buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        keep_first(&mut failed, answer);
    }
    failed.map_or(Ok(()), Err)
}

async fn set(handle: Handle, key: Key, target: Target, replace: bool) -> Result<(), Error> {
    let request = handle.route().add(message(key, target));
    let request = if replace { request.replace() } else { request };
    request.execute().await.map_err(|source| {
        if Error::number(&source) == Some(EEXIST) {
            let (table, prefix, metric) = key;
            Error::Occupied {
                table,
                prefix,
                metric,
                protocol: Protocol(0),
            }
        } else {
            failed_for("add", key, source)
        }
    })
}

async fn remove(handle: Handle, key: Key) -> Result<(), Error> {
    let (table, prefix, metric) = key;
    let mut message = RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(prefix.addr(), prefix.prefix_len())
        .table_id(table)
        .priority(metric)
        .protocol(RouteProtocol::from(PROTOCOL))
        .build();
    message.header.kind = RouteType::Unspec;
    match handle.route().del(message).execute().await {
        Err(error) if Error::number(&error) != Some(ESRCH) => Err(failed_for("remove", key, error)),
        _ => Ok(()),
    }
}

fn failed_for(action: &str, (table, prefix, metric): Key, source: rtnetlink::Error) -> Error {
    Error::Netlink {
        what: format!("{action} the route for {prefix} with metric {metric} in table {table}"),
        source,
    }
}

/// Finds out whose route is in the way.
async fn tell_who(netlink: &Netlink, error: Error) -> Error {
    let Error::Occupied {
        table, prefix, metric, ..
    } = error
    else {
        return error;
    };
    let owner = dump_all(netlink, table, 0).await.ok().and_then(|found| {
        found
            .into_iter()
            .find(|found| found.key == (table, prefix, metric))
            .map(|found| found.protocol)
    });
    Error::Occupied {
        table,
        prefix,
        metric,
        protocol: Protocol(owner.unwrap_or(0)),
    }
}

fn message((table, prefix, metric): Key, target: Target) -> RouteMessage {
    let builder = RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(prefix.addr(), prefix.prefix_len())
        .table_id(table)
        .priority(metric)
        .protocol(RouteProtocol::from(PROTOCOL));
    match target {
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
    .build()
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
