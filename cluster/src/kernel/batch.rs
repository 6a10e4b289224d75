//! Many requests to the kernel in one call. It answers each before the call returns, so nothing here waits for anybody.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::RouteMessage;

/// How many requests go in one call. The answers fit the socket's buffer, even if all of them are refused.
const AT_ONCE: usize = 128;

/// What to do with a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Add it; there must be none.
    Add,
    /// Put it in the place of the one that is there.
    Replace,
    /// Remove it.
    Remove,
}

/// A socket for requests in batches.
pub(super) struct Batch {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// Opens it in the network namespace of this thread.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Answers repeat no request.
        socket.set_cap_ack(true)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; 1 << 16],
        })
    }

    /// Returns the number by which the kernel's notifications tell whose change it was.
    pub(super) fn port(&self) -> io::Result<u32> {
        let mut address = SocketAddr::new(0, 0);
        self.socket.get_address(&mut address)?;
        Ok(address.port_number())
    }

    /// Changes routes, in this order. Returns the places of those that were refused, with the error number.
    pub(super) async fn change(&mut self, requests: &[(Action, RouteMessage)]) -> io::Result<Vec<(usize, i32)>> {
        let mut refused = Vec::new();
        for (chunk, some) in requests.chunks(AT_ONCE).enumerate() {
            let first = self.sequence;
            let mut bytes = Vec::new();
            for (place, (action, message)) in some.iter().enumerate() {
                let (message, flags) = match action {
                    Action::Add => (
                        RouteNetlinkMessage::NewRoute(message.clone()),
                        NLM_F_CREATE | NLM_F_EXCL,
                    ),
                    Action::Replace => (
                        RouteNetlinkMessage::NewRoute(message.clone()),
                        NLM_F_CREATE | NLM_F_REPLACE,
                    ),
                    Action::Remove => (RouteNetlinkMessage::DelRoute(message.clone()), 0),
                };
                let last = place + 1 == some.len();
                self.append(&mut bytes, message, flags | if last { NLM_F_ACK } else { 0 });
            }
            self.socket.send(&bytes, 0)?;
            let last = self.sequence;
            self.answers(|sequence, payload| {
                if let NetlinkPayload::Error(error) = payload
                    && let Some(code) = error.code
                {
                    // An answer to anything else is late: of a request before, whose answers were cut off.
                    let place = usize::try_from(sequence.wrapping_sub(first))
                        .unwrap_or(usize::MAX)
                        .wrapping_sub(1);
                    if place < some.len() {
                        refused.push((chunk * AT_ONCE + place, -code.get()));
                    }
                }
                sequence == last
            })?;
            tokio::task::yield_now().await;
        }
        Ok(refused)
    }

    /// Asks one thing of each message, and returns the answers; `None` where the kernel has none.
    pub(super) async fn ask(&mut self, requests: Vec<RouteMessage>) -> io::Result<Vec<Option<RouteMessage>>> {
        let mut found = Vec::with_capacity(requests.len());
        for some in requests.chunks(AT_ONCE / 2) {
            let (first, start) = (self.sequence, found.len());
            found.resize(start + some.len(), None);
            let mut bytes = Vec::new();
            for message in some {
                self.append(&mut bytes, RouteNetlinkMessage::GetRoute(message.clone()), 0);
            }
            self.socket.send(&bytes, 0)?;
            let mut left = some.len();
            self.answers(|sequence, payload| {
                let place = usize::try_from(sequence.wrapping_sub(first))
                    .unwrap_or(usize::MAX)
                    .wrapping_sub(1);
                if place >= some.len() {
                    return false;
                }
                if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) = payload
                    && let Some(place) = found.get_mut(start + place)
                {
                    *place = Some(route);
                }
                left = left.saturating_sub(1);
                left == 0
            })?;
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    fn append(&mut self, bytes: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = NLM_F_REQUEST | flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let start = bytes.len().next_multiple_of(4);
        bytes.resize(start + packet.buffer_len(), 0);
        packet.serialize(&mut bytes[start..]);
    }

    /// Reads answers until one is the last.
    fn answers(&mut self, mut is_last: impl FnMut(u32, NetlinkPayload<RouteNetlinkMessage>) -> bool) -> io::Result<()> {
        loop {
            let read = self.socket.recv(&mut &mut self.buffer[..], 0)?;
            let mut rest = self.buffer.get(..read).unwrap_or_default();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
                let length = usize::try_from(message.header.length).map_err(io::Error::other)?;
                if is_last(message.header.sequence_number, message.payload) {
                    return Ok(());
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}
