//! The front's sockets.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
};

pub(crate) use super::shared::Shared;
use super::{Decision, Outcome, answer, connection::converse, upstreams::Transport, wire::MAX_MESSAGE};
use crate::{http::stopped, random::Bits};

/// The bytes of a query for which it takes a place.
const PLACE: usize = 1024;

/// An address that is listened at.
#[derive(Debug)]
pub(crate) struct Listener {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Listener {
    pub(crate) async fn new(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        // If a port the system chose, both have the same.
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Self { udp, tcp })
    }
}

/// Serves until it is to stop.
pub(crate) async fn serve(bound: Listener, shared: Shared, mut stop: watch::Receiver<bool>) {
    let Listener { udp, tcp } = bound;
    tokio::select! {
        () = datagrams(Arc::new(udp), shared.clone()) => {}
        () = connections(tcp, shared) => {}
        () = stopped(&mut stop) => {}
    }
}

async fn datagrams(socket: Arc<UdpSocket>, shared: Shared) {
    let mut bits = Bits::default();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        while tasks.try_join_next().is_some() {}
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(error = ssa_input::files::reason(&error), "cannot receive a datagram");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let message = buffer.get(..length).unwrap_or_default();
        let querier = shared.queriers.of(from);
        match shared.decide(message, querier, &mut bits) {
            Decision::Ignore => shared.count(Transport::Udp, Outcome::Ignored),
            Decision::Answer(outcome, answer) => {
                shared.count(Transport::Udp, outcome);
                // Who cannot be answered asks again.
                let _ = socket.send_to(&answer, from).await;
            }
            Decision::Pass(outcome, asked) => {
                let Some(place) = shared.queries.take(querier.address, length.div_ceil(PLACE)) else {
                    shared.count(Transport::Udp, Outcome::Dropped);
                    continue;
                };
                let (socket, shared) = (socket.clone(), shared.clone());
                tasks.spawn(async move {
                    let (limit, signed) = (asked.limit, asked.is_signed);
                    let retry = asked.clone();
                    let asking = shared.clone();
                    let (outcome, answer) = asking.hand_on(outcome, asked, querier, Transport::Udp, place).await;
                    shared.count(Transport::Udp, outcome);
                    let too_large = answer.len() > limit && !signed;
                    let cut = too_large.then(|| answer::truncated(&retry, &answer)).flatten();
                    let _ = socket.send_to(cut.as_ref().unwrap_or(&answer), from).await;
                });
            }
        }
    }
}

async fn connections(listener: TcpListener, shared: Shared) {
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, from)) => begin(stream, from, &shared, &mut tasks),
            Err(error) => {
                tracing::debug!(error = ssa_input::files::reason(&error), "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Begins to talk with who may ask, where there is room. Others have no place that they could hold.
fn begin(stream: TcpStream, from: SocketAddr, shared: &Shared, tasks: &mut JoinSet<()>) {
    let querier = shared.queriers.of(from);
    if !shared.table().admits(querier) {
        return shared.count(Transport::Tcp, Outcome::Refused);
    }
    let Some(place) = shared.connections.take(querier.address, 1) else {
        return shared.count(Transport::Tcp, Outcome::Dropped);
    };
    let shared = shared.clone();
    tasks.spawn(async move {
        if let Err(error) = converse(stream, querier, &shared).await {
            tracing::debug!(
                error = ssa_input::files::reason(&error),
                "a connection to the front failed"
            );
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests;
