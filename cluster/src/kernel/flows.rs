//! Flows that are open: sockets of this host, and captured or answered flows of connection tracking.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Protocol, Status, Tuple,
};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_SOCK_DIAG};
use netlink_sys::{Socket, SocketAddr};

use super::Error;

/// The open flows of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flows {
    /// TCP connections whose socket has an address of the prefix: the application's, or those of a sidecar by TPROXY.
    pub sockets: u64,
    /// TCP connections to the prefix that a sidecar has by REDIRECT.
    pub redirected: u64,
    /// Flows of other protocols that were answered lately, as connection tracking knows them.
    pub answered: u64,
}

impl Flows {
    /// Returns how many there are in all.
    #[must_use]
    pub fn total(self) -> u64 {
        self.sockets + self.redirected + self.answered
    }
}

/// Counts the open flows of prefixes, none of which overlap.
///
/// It asks the kernel for all sockets and all tracked flows of this network namespace once, and waits for it.
///
/// # Errors
///
/// [`Error::Flows`].
pub fn flows(prefixes: &[Ipv6Net]) -> Result<BTreeMap<Ipv6Net, Flows>, Error> {
    let mut found: BTreeMap<Ipv6Net, Flows> = prefixes.iter().map(|prefix| (*prefix, Flows::default())).collect();
    if found.is_empty() {
        return Ok(found);
    }
    let mut count = |address: Ipv6Addr, kind: fn(&mut Flows) -> &mut u64| {
        let end = Ipv6Net::from(address);
        if let Some((prefix, flows)) = found.range_mut(..=end).next_back()
            && prefix.contains(&address)
        {
            *kind(flows) += 1;
        }
    };
    let failed = |what| move |source| Error::Flows { what, source };
    sockets(|address| count(address, |flows| &mut flows.sockets)).map_err(failed("list the sockets"))?;
    tracked(|address, protocol| {
        count(
            address,
            match protocol {
                Kind::Redirected => |flows: &mut Flows| &mut flows.redirected,
                Kind::Answered => |flows: &mut Flows| &mut flows.answered,
            },
        );
    })
    .map_err(failed("list the tracked flows"))?;
    Ok(found)
}

fn sockets(mut count: impl FnMut(Ipv6Addr)) -> io::Result<()> {
    // Neither listeners nor connections that only wait for late packets.
    let states = StateFlags::all() - StateFlags::LISTEN - StateFlags::TIME_WAIT - StateFlags::CLOSE;
    let request = SockDiagMessage::InetRequest(InetRequest {
        family: AF_INET6,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id: SocketId::new_v6(),
    });
    dump(NETLINK_SOCK_DIAG, request, |message| {
        if let SockDiagMessage::InetResponse(socket) = message
            && let IpAddr::V6(address) = socket.header.socket_id.source_address
        {
            count(address);
        }
    })
}

enum Kind {
    Redirected,
    Answered,
}

fn tracked(mut count: impl FnMut(Ipv6Addr, Kind)) -> io::Result<()> {
    let header = NetfilterHeader::new(NetfilterProtoFamily::IPv6, 0, 0);
    let request = NetfilterMessage::new(header, ConntrackMessage::Get(Vec::new()));
    dump(NETLINK_NETFILTER, request, |message| {
        if let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = message.inner
            && let Some((address, kind)) = judge(&attributes)
        {
            count(address, kind);
        }
    })
}

/// Says what a tracked flow counts as, and the address that its client dialled.
fn judge(attributes: &[ConntrackAttribute]) -> Option<(Ipv6Addr, Kind)> {
    // As the kernel numbers them: established, and the closing ones before TIME_WAIT.
    const OPEN: std::ops::RangeInclusive<u8> = 2..=6;
    let (mut destination, mut protocol, mut state, mut status) = (None, None, None, Status::empty());
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaStatus(found) => status = *found,
            ConntrackAttribute::CtaTupleOrig(tuples) => {
                for tuple in tuples {
                    match tuple {
                        Tuple::Ip(parts) => destination = parts.iter().find_map(destination_of).or(destination),
                        Tuple::Proto(parts) => protocol = parts.iter().find_map(protocol_of).or(protocol),
                        _ => {}
                    }
                }
            }
            ConntrackAttribute::CtaProtoInfo(infos) => {
                state = infos.iter().find_map(|info| match info {
                    ProtoInfo::TCP(parts) => parts.iter().find_map(|part| match part {
                        ProtoInfoTCP::State(state) => Some(*state),
                        _ => None,
                    }),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    match protocol? {
        Protocol::Tcp => (status.contains(Status::DstNat) && state.is_some_and(|state| OPEN.contains(&state)))
            .then_some((destination?, Kind::Redirected)),
        Protocol::Ipv6Icmp => None,
        _ => status
            .contains(Status::SeenReply)
            .then_some((destination?, Kind::Answered)),
    }
}

fn destination_of(part: &IPTuple) -> Option<Ipv6Addr> {
    match part {
        IPTuple::DestinationAddress(IpAddr::V6(address)) => Some(*address),
        _ => None,
    }
}

fn protocol_of(part: &ProtoTuple) -> Option<Protocol> {
    match part {
        ProtoTuple::Protocol(protocol) => Some(*protocol),
        _ => None,
    }
}

/// Sends a request for a list, and hands on what comes.
fn dump<M>(family: isize, request: M, mut each: impl FnMut(M)) -> io::Result<()>
where
    M: NetlinkSerializable + NetlinkDeserializable + Into<NetlinkPayload<M>>,
{
    dump_raw(family, request, |bytes| {
        let message = NetlinkMessage::<M>::deserialize(bytes).map_err(io::Error::other)?;
        if let NetlinkPayload::InnerMessage(message) = message.payload {
            each(message);
        }
        Ok(())
    })
}

/// The same, of messages as they come, with their heads.
pub(super) fn dump_raw<M>(family: isize, request: M, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>
where
    M: NetlinkSerializable + Into<NetlinkPayload<M>>,
{
    let mut socket = Socket::new(family)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut packet = NetlinkMessage::new(header, request.into());
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let head = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
            let length = usize::try_from(head.length()).map_err(io::Error::other)?;
            match head.message_type() {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    let code = head.payload().first_chunk().copied().map_or(0, i32::from_ne_bytes);
                    if code != 0 {
                        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                    }
                }
                _ => each(rest.get(..length).unwrap_or(rest))?,
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}
