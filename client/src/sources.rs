//! Which source connections use: the kernel says it of a connected UDP socket, without a packet sent.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use ssa_rules::{ItemSource, Published};

/// Asks the kernel for the source of connections to an address; nothing where it has no route or no address for it.
pub(crate) fn ask(destination: Ipv6Addr) -> Option<Ipv6Addr> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    // The port means nothing: that of discard.
    socket.connect(SocketAddr::new(destination.into(), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V6(address) if !address.is_unspecified() => Some(address),
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    }
}

/// Asks the kernel for the source of each item of a service.
pub(crate) fn of_items(published: &Published) -> Vec<ItemSource> {
    let mut sources: Vec<ItemSource> = Vec::new();
    for (_, item) in published.rules().iter().flat_map(ssa_rules::Rule::positive_items) {
        if sources.iter().all(|known| known.item != item)
            && let Some(source) = ask(item.network())
        {
            sources.push(ItemSource { item, source });
        }
    }
    sources
}
