//! Tunnels between endpoints: VXLAN-GPE, one for packets that may come back and one for those that may not.
//!
//! GPE carries IP packets without Ethernet headers: between pods nobody knows the other's MAC address. The outer
//! addresses are in the routes, so that one link leads to all peers.

use std::net::{IpAddr, Ipv6Addr};

use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVxlan};

use super::netlink::{EEXIST, Netlink, collect};
use super::{Error, Settings};

/// The names of the tunnels: of packets that come back once if nobody knows them, and of those that are delivered.
pub(super) const NAMES: [&str; 2] = ["ssa-try", "ssa-final"];
/// The UDP ports of the tunnels, in the order of [`NAMES`].
pub(super) const PORTS: [u16; 2] = [4795, 4796];
/// Addresses that the tunnels have in every network namespace. REDIRECT takes its destination from the interface that a
/// packet came by, and drops the packet if there is no address. Nobody routes them.
const ADDRESSES: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd5a, 0x9c1e, 0x73a1, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xfd5a, 0x9c1e, 0x73a1, 0, 0, 0, 0, 2),
];
/// The bytes of the outer headers: IPv6, UDP, VXLAN-GPE.
const OUTER: u32 = 40 + 8 + 8;
/// The least MTU of a link that has IPv6.
const LEAST_MTU: u32 = 1280;

/// The indices of links that routes name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Links {
    /// Of the loopback interface.
    pub(super) loopback: u32,
    /// Of the tunnel whose packets come back once.
    pub(super) attempt: u32,
    /// Of the tunnel whose packets are delivered.
    pub(super) last: u32,
}

/// Says that a link is somebody else's which has the name of a tunnel.
pub(super) async fn refuse_foreign(netlink: &Netlink) -> Result<(), Error> {
    for (name, port) in NAMES.into_iter().zip(PORTS) {
        if netlink.link(name).await?.is_some_and(|link| !is_ours(&link, port)) {
            return Err(Error::ForeignLink { name, port });
        }
    }
    Ok(())
}

/// Makes the tunnels if they are not there, and as they shall be if they are not. Says how many were not.
pub(super) async fn ensure(netlink: &Netlink, settings: &Settings) -> Result<(Links, usize), Error> {
    let mut mtu = u32::MAX;
    for name in &settings.interfaces {
        let link = netlink
            .link(name)
            .await?
            .ok_or_else(|| Error::NoInterface { name: name.clone() })?;
        mtu = mtu.min(mtu_of(&link).unwrap_or(LEAST_MTU));
    }
    let mtu = mtu.saturating_sub(OUTER).clamp(LEAST_MTU, 65_000);
    let (mut indices, mut changed) = ([0; 2], 0);
    for (place, index) in indices.iter_mut().enumerate() {
        let (found, differed) = tunnel(netlink, place, mtu).await?;
        *index = found;
        changed += usize::from(differed);
    }
    let [attempt, last] = indices;
    let loopback = netlink
        .link("lo")
        .await?
        .ok_or_else(|| Error::NoInterface { name: "lo".to_owned() })?;
    let links = Links {
        loopback: loopback.header.index,
        attempt,
        last,
    };
    Ok((links, changed))
}

/// Removes the tunnels; one of somebody else's stays.
pub(super) async fn remove(netlink: &Netlink) -> Result<(), Error> {
    let mut done = Ok(());
    for (name, port) in NAMES.into_iter().zip(PORTS) {
        let Some(link) = netlink.link(name).await? else {
            continue;
        };
        if !is_ours(&link, port) {
            done = done.and(Err(Error::ForeignLink { name, port }));
            continue;
        }
        let removed = netlink.handle.link().del(link.header.index).execute().await;
        done = done.and(removed.map_err(|source| Error::Netlink {
            what: format!("remove link {name}"),
            source,
        }));
    }
    done
}

/// Makes a tunnel what it shall be. Returns its index, and whether it was something else.
async fn tunnel(netlink: &Netlink, place: usize, mtu: u32) -> Result<(u32, bool), Error> {
    let (name, port) = (NAMES[place], PORTS[place]);
    let failed = |what: String| move |source| Error::Netlink { what, source };
    let mut found = netlink.link(name).await?;
    if let Some(link) = &found {
        if !is_ours(link, port) {
            return Err(Error::ForeignLink { name, port });
        }
        // Of a link that is as it shall be nothing is changed: the kernel would tell of it as of a change.
        let up = link.header.flags.contains(LinkFlags::Up) && mtu_of(link) == Some(mtu);
        if up && has_address(netlink, link.header.index, place).await? {
            return Ok((link.header.index, false));
        }
    } else {
        let message = LinkMessageBuilder::<LinkVxlan>::new(name)
            .collect_metadata(true)
            .learning(false)
            .gpe()
            .port(port)
            .mtu(mtu)
            .build();
        let added = netlink.handle.link().add(message).execute().await;
        added.map_err(failed(format!("add link {name}")))?;
        found = netlink.link(name).await?;
    }
    let link = found.ok_or_else(|| Error::NoInterface { name: name.to_owned() })?;
    let index = link.header.index;
    // A tunnel has no neighbours, and needs no link-local address.
    let no_address = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    let quiet = LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![no_address]))
        .build();
    let up = LinkUnspec::new_with_index(index).mtu(mtu).up().build();
    for message in [quiet, up] {
        let changed = netlink.handle.link().change(message).execute().await;
        changed.map_err(failed(format!("bring link {name} up")))?;
    }
    let mut request = netlink.handle.address().add(index, IpAddr::V6(ADDRESSES[place]), 128);
    let message = request.message_mut();
    message.header.family = AddressFamily::Inet6;
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    match request.execute().await {
        Err(error) if Error::number(&error) != Some(EEXIST) => {
            Err(failed(format!("add the address of link {name}"))(error))
        }
        _ => Ok((index, true)),
    }
}

async fn has_address(netlink: &Netlink, index: u32, place: usize) -> Result<bool, Error> {
    let request = netlink.handle.address().get().set_link_index_filter(index).execute();
    let found = collect(format!("list the addresses of link {}", NAMES[place]), request).await?;
    let wanted = AddressAttribute::Address(IpAddr::V6(ADDRESSES[place]));
    Ok(found
        .iter()
        .any(|one| one.header.index == index && one.attributes.contains(&wanted)))
}

fn mtu_of(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

/// Says whether a link is a tunnel as it is made here.
fn is_ours(link: &LinkMessage, port: u16) -> bool {
    let infos = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let Some(infos) = infos else { return false };
    let vxlan = infos.contains(&LinkInfo::Kind(InfoKind::Vxlan));
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vxlan(data)) => Some(data.as_slice()),
        _ => None,
    });
    let has = |wanted: &InfoVxlan| data.unwrap_or_default().contains(wanted);
    vxlan && has(&InfoVxlan::Port(port)) && has(&InfoVxlan::CollectMetadata(true)) && has(&InfoVxlan::Gpe)
}
