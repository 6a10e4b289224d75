//! Which source address the connections to a prefix use: the kernel says it of a connected UDP socket, without a
//! packet sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use ipnet::Ipv6Net;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr as Groups, TokioSocket, protocols::NETLINK_ROUTE};
use tokio::{sync::mpsc, time::Instant};

/// How long changes are gathered, for they come in bursts.
const GATHER: Duration = Duration::from_millis(100);

/// How often all is asked again even where nothing tells of changes.
const POLL: Duration = Duration::from_secs(30);

/// The same, where the kernel does not tell of changes at all.
const POLL_ALONE: Duration = Duration::from_secs(2);

/// The multicast groups of links, IPv6 addresses and IPv6 routes (`RTMGRP_LINK`, `RTMGRP_IPV6_IFADDR`,
/// `RTMGRP_IPV6_ROUTE`).
const GROUPS: u32 = 0x1 | 0x100 | 0x400;

/// Asks the kernel; nothing where it has no route or no address for it.
#[must_use]
pub fn ask(prefix: Ipv6Net) -> Option<Ipv6Addr> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    // The port means nothing: that of discard.
    socket.connect(SocketAddr::new(prefix.network().into(), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V6(address) if !address.is_unspecified() => Some(address),
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    }
}

/// The sources found so far.
#[derive(Debug, Default)]
pub struct Sources {
    known: BTreeMap<Ipv6Net, Option<Ipv6Addr>>,
}

impl Sources {
    /// Returns the source of a prefix, asked once.
    pub fn of(&mut self, prefix: Ipv6Net) -> Option<Ipv6Addr> {
        *self.known.entry(prefix).or_insert_with(|| ask(prefix))
    }

    /// Asks for all again, and returns whether anything changed.
    pub fn refresh(&mut self) -> bool {
        let mut changed = false;
        for (prefix, source) in &mut self.known {
            let now = ask(*prefix);
            changed |= now != *source;
            *source = now;
        }
        changed
    }

    /// Forgets all but these prefixes.
    pub fn keep(&mut self, prefixes: &BTreeSet<Ipv6Net>) {
        self.known.retain(|prefix, _| prefixes.contains(prefix));
    }
}

/// Signals whenever addresses, routes or links may have changed, without end.
pub async fn watch(changes: mpsc::Sender<()>) {
    let mut kernel = listen()
        .inspect_err(|error| {
            tracing::warn!(
                error = ssa_input::files::reason(error),
                "the kernel does not report address changes; polling instead"
            );
        })
        .ok();
    loop {
        let poll = if kernel.is_some() { POLL } else { POLL_ALONE };
        let told = match &mut kernel {
            None => {
                tokio::time::sleep(poll).await;
                Ok(())
            }
            Some(socket) => tokio::time::timeout(poll, gather(socket)).await.unwrap_or(Ok(())),
        };
        if let Err(error) = told {
            // What was lost is made good by asking for all.
            tracing::debug!(error = ssa_input::files::reason(&error), "netlink messages were lost");
            tokio::time::sleep(GATHER).await;
        }
        if changes.send(()).await.is_err() {
            return;
        }
    }
}

fn listen() -> std::io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&Groups::new(0, GROUPS))?;
    Ok(socket)
}

/// Waits for a message, and for those that follow it at once.
async fn gather(socket: &mut TokioSocket) -> std::io::Result<()> {
    socket.recv_from_full().await?;
    let until = Instant::now() + GATHER;
    while let Ok(message) = tokio::time::timeout_at(until, socket.recv_from_full()).await {
        message?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_its_own_source() {
        let loopback: Ipv6Net = "::1/128".parse().unwrap();
        let mut sources = Sources::default();
        // A machine without IPv6 has none.
        let found = sources.of(loopback);
        assert!(found.is_none_or(|source| source == Ipv6Addr::LOCALHOST));
        assert!(!sources.refresh());
        sources.keep(&BTreeSet::new());
        assert!(sources.known.is_empty());
    }
}
