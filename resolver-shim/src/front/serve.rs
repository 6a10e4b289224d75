//! The front's sockets: queries in, by UDP and TCP, and what is not composed handed to a server and back, unchanged.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
    time::{timeout, timeout_at},
};

use super::{
    Decision, Outcome, Table, Upstreams,
    wire::{self, Code},
};
use crate::{
    daemon::Clock,
    http::{Room, stopped},
    metrics::Counters,
    random::Random,
};

/// The most queries by UDP that servers are asked at once. Each has a descriptor, of which processes often have 1024.
const MAX_QUERIES: usize = 512;

/// The most connections at once. Each may have two.
const MAX_CONNECTIONS: usize = 128;

/// The most bytes of a message.
const MAX_MESSAGE: usize = 65_535;

/// How long a connection stays without a query, and how long an answer's reader may take.
const IDLE: Duration = Duration::from_secs(10);

/// The longest that servers are waited for in all.
const LONGEST: Duration = Duration::from_secs(10);

/// The longest that the transfer of a zone takes.
const TRANSFER: Duration = Duration::from_mins(5);

/// How often each server is asked by UDP: datagrams get lost.
const ROUNDS: usize = 2;

/// What all conversations share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    table: watch::Receiver<Arc<Table>>,
    clock: Clock,
    counters: Arc<Counters>,
    queries: Room,
    connections: Room,
}

impl Shared {
    pub(crate) fn new(table: watch::Receiver<Arc<Table>>, clock: Clock, counters: Arc<Counters>) -> Self {
        Self {
            table,
            clock,
            counters,
            queries: Room::new(MAX_QUERIES),
            connections: Room::new(MAX_CONNECTIONS),
        }
    }

    fn count(&self, transport: &'static str, outcome: Outcome) {
        let labels = [("transport", transport), ("outcome", outcome.name())];
        self.counters.count("ssa_resolver_front_queries_total", &labels);
    }

    fn decide(&self, message: &[u8], asker: IpAddr, random: &mut Random) -> Decision {
        // Nobody is to guess the addresses of others.
        let mut bits = || getrandom::u64().unwrap_or_else(|_| random.bits());
        let table = self.table.borrow().clone();
        table.decide(message, asker, self.clock.both(), &mut bits)
    }

    fn upstreams(&self) -> Arc<Upstreams> {
        self.table.borrow().upstreams.clone()
    }
}

/// An address that is listened at.
#[derive(Debug)]
pub(crate) struct Bound {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Bound {
    pub(crate) async fn new(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        // Of a port that the system chose, both have the same.
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Self { udp, tcp })
    }
}

/// Serves until it is to stop.
pub(crate) async fn serve(bound: Bound, shared: Shared, mut stop: watch::Receiver<bool>) {
    let Bound { udp, tcp } = bound;
    tokio::select! {
        () = datagrams(Arc::new(udp), shared.clone()) => {}
        () = connections(tcp, shared) => {}
        () = stopped(&mut stop) => {}
    }
}

async fn datagrams(socket: Arc<UdpSocket>, shared: Shared) {
    let mut random = Random::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        while tasks.try_join_next().is_some() {}
        let (length, asker) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "no datagram could be received");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let message = buffer.get(..length).unwrap_or_default();
        match shared.decide(message, asker.ip(), &mut random) {
            Decision::Ignore => shared.count("udp", Outcome::Ignored),
            Decision::Answer(outcome, answer) => {
                shared.count("udp", outcome);
                // Who cannot be answered asks again.
                let _ = socket.send_to(&answer, asker).await;
            }
            Decision::Pass(outcome) => {
                let Some(place) = shared.queries.take() else {
                    shared.count("udp", Outcome::Dropped);
                    continue;
                };
                let (query, socket, shared) = (message.to_vec(), socket.clone(), shared.clone());
                tasks.spawn(async move {
                    let answer = by_udp(&query, &shared.upstreams()).await;
                    let outcome = if answer.is_some() { outcome } else { Outcome::Failed };
                    shared.count("udp", outcome);
                    if let Some(answer) = answer.or_else(|| wire::failure(&query, Code::ServerFailure)) {
                        let _ = socket.send_to(&answer, asker).await;
                    }
                    drop(place);
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
            Ok((stream, asker)) => {
                let Some(place) = shared.connections.take() else {
                    shared.count("tcp", Outcome::Dropped);
                    continue;
                };
                let shared = shared.clone();
                tasks.spawn(async move {
                    if let Err(error) = converse(stream, asker.ip(), &shared).await {
                        tracing::debug!(%error, "a connection to the front ends");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Answers the queries of a connection, one after the other.
async fn converse(mut stream: TcpStream, asker: IpAddr, shared: &Shared) -> io::Result<()> {
    let mut random = Random::new();
    loop {
        let query = timeout(IDLE, read(&mut stream)).await??;
        let answer = match shared.decide(&query, asker, &mut random) {
            Decision::Ignore => {
                shared.count("tcp", Outcome::Ignored);
                return Ok(());
            }
            Decision::Answer(outcome, answer) => {
                shared.count("tcp", outcome);
                Some(answer)
            }
            Decision::Pass(outcome) if wire::is_transfer(&query) => {
                shared.count("tcp", outcome);
                return timeout(TRANSFER, join(stream, &query, &shared.upstreams())).await?;
            }
            Decision::Pass(outcome) => {
                let answer = by_tcp(&query, &shared.upstreams()).await;
                let outcome = if answer.is_some() { outcome } else { Outcome::Failed };
                shared.count("tcp", outcome);
                answer.or_else(|| wire::failure(&query, Code::ServerFailure))
            }
        };
        let Some(answer) = answer else { return Ok(()) };
        timeout(IDLE, write(&mut stream, &answer)).await??;
    }
}

/// Reads a message behind its length (RFC 1035 §4.2.2).
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    // In one piece: some askers read no further than the first.
    let whole = [&length.to_be_bytes(), message].concat();
    stream.write_all(&whole).await
}

/// Asks one server after the other, and returns the first answer, whatever it says.
async fn by_udp(query: &[u8], upstreams: &Upstreams) -> Option<Vec<u8>> {
    let until = tokio::time::Instant::now() + LONGEST;
    for _ in 0..ROUNDS {
        for (number, server) in upstreams.in_order() {
            let asked = timeout(upstreams.timeout, exchange(server, query));
            match timeout_at(until, asked).await {
                Ok(Ok(Ok(answer))) => {
                    upstreams.first.store(number, Ordering::Relaxed);
                    return Some(answer);
                }
                Ok(Ok(Err(error))) => tracing::debug!(%server, %error, "a server cannot be asked by UDP"),
                Ok(Err(_)) => {}
                Err(_) => return None,
            }
        }
    }
    None
}

/// Asks a server by a socket of its own: its port is hard to guess, and what others send does not get in.
async fn exchange(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    loop {
        socket.readable().await?;
        // Only now, for many wait.
        let mut answer = Vec::with_capacity(MAX_MESSAGE);
        match socket.try_recv_buf(&mut answer) {
            Ok(_) if wire::is_answer(&answer, query) => return Ok(answer),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
}

/// The same by TCP.
async fn by_tcp(query: &[u8], upstreams: &Upstreams) -> Option<Vec<u8>> {
    let until = tokio::time::Instant::now() + LONGEST;
    for (number, server) in upstreams.in_order() {
        let ask = async {
            let mut stream = TcpStream::connect(server).await?;
            write(&mut stream, query).await?;
            loop {
                let answer = read(&mut stream).await?;
                if wire::is_answer(&answer, query) {
                    return io::Result::Ok(answer);
                }
            }
        };
        match timeout_at(until, timeout(upstreams.timeout, ask)).await {
            Ok(Ok(Ok(answer))) => {
                upstreams.first.store(number, Ordering::Relaxed);
                return Some(answer);
            }
            Ok(Ok(Err(error))) => tracing::debug!(%server, %error, "a server cannot be asked by TCP"),
            Ok(Err(_)) => {}
            Err(_) => return None,
        }
    }
    None
}

/// Joins a connection with one to a server, from this query on.
async fn join(mut stream: TcpStream, query: &[u8], upstreams: &Upstreams) -> io::Result<()> {
    let (_, server) = upstreams.in_order().next().ok_or(io::ErrorKind::NotConnected)?;
    let mut other = timeout(upstreams.timeout, TcpStream::connect(server)).await??;
    write(&mut other, query).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut other).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::{tests::offers, wire::tests::query};

    /// What tests have room for.
    const QUERIES: usize = 20;
    const CONNECTIONS: usize = 10;

    /// A server that answers each query by its own bytes, marked as an answer, and so many more.
    async fn echoing(more: usize) -> SocketAddr {
        let Bound { udp, tcp } = Bound::new("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let answer = move |query: &[u8]| {
            let mut answer = query.to_vec();
            answer[2] |= 0x80;
            answer.resize(query.len() + more, 7);
            answer
        };
        tokio::spawn(async move {
            let mut buffer = vec![0; MAX_MESSAGE];
            loop {
                let (length, asker) = udp.recv_from(&mut buffer).await.unwrap();
                // What comes first is not the answer.
                udp.send_to(&[0; 20], asker).await.unwrap();
                udp.send_to(&answer(&buffer[..length]), asker).await.unwrap();
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let query = read(&mut stream).await.unwrap();
                write(&mut stream, &answer(&query)).await.unwrap();
            }
        });
        address
    }

    async fn front(servers: Vec<SocketAddr>) -> (SocketAddr, watch::Sender<Arc<Table>>, Arc<Counters>) {
        let bound = Bound::new("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.tcp.local_addr().unwrap();
        let table = watch::Sender::new(Arc::new(Table {
            upstreams: Arc::new(Upstreams::new(servers, Duration::from_millis(300))),
            offers: offers("v=ssa1; addr=rand:64"),
            ..Table::default()
        }));
        let counters = Arc::new(Counters::default());
        let shared = Shared {
            queries: Room::new(QUERIES),
            connections: Room::new(CONNECTIONS),
            ..Shared::new(table.subscribe(), Clock::new(), counters.clone())
        };
        tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(false);
            serve(bound, shared, stopped).await;
        });
        (address, table, counters)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn other_queries_are_handed_on_unchanged_by_udp_and_tcp() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let servers = vec![silent.local_addr().unwrap(), echoing(20_000).await];
        let (address, _table, counters) = front(servers).await;
        let mut asked = query("web.demo.test", 255, 3, b"anything");
        asked.extend([9; 700]);
        let mut expected = asked.clone();
        expected[2] |= 0x80;
        expected.resize(asked.len() + 20_000, 7);
        assert_eq!(exchange(address, &asked).await.unwrap(), expected);
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            write(&mut stream, &asked).await.unwrap();
            assert_eq!(read(&mut stream).await.unwrap(), expected);
        }
        // The service's addresses are composed, on the same connection.
        let asked = query("web.demo.test", 28, 0, &[]);
        write(&mut stream, &asked).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap().len(), asked.len() + 28);
        let told: Vec<String> = (counters.figures().iter())
            .map(|figure| format!("{} {}", figure.labels[1].1, figure.value))
            .collect();
        assert_eq!(told, ["composed 1", "passed 2", "passed 1"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_a_server_queries_fail_soon() {
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (address, _table, counters) = front(vec![gone]).await;
        let asked = query("other.test", 1, 0, &[]);
        assert_eq!(exchange(address, &asked).await.unwrap()[3] & 15, 2);
        let mut stream = TcpStream::connect(address).await.unwrap();
        write(&mut stream, &asked).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap()[3] & 15, 2);
        assert_eq!(counters.figures().len(), 2);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn connections_are_bounded_in_number() {
        let (address, _table, counters) = front(Vec::new()).await;
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            held.push(TcpStream::connect(address).await.unwrap());
        }
        let mut more = TcpStream::connect(address).await.unwrap();
        assert_eq!(more.read(&mut [0]).await.unwrap_or(0), 0);
        assert_eq!(counters.figures()[0].labels[1].1, "dropped");
        held.clear();
        let asked = query("web.demo.test", 28, 0, &[]);
        let mut answered = false;
        for _ in 0..100 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            answered = write(&mut stream, &asked).await.is_ok() && read(&mut stream).await.is_ok();
            if answered {
                break;
            }
        }
        assert!(answered);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn queries_under_way_are_bounded_in_number() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, _table, counters) = front(vec![silent.local_addr().unwrap()]).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let asked = query("other.test", 1, 0, &[]);
        let dropped = || {
            let figures = counters.figures();
            figures.iter().any(|figure| figure.labels[1].1 == "dropped")
        };
        for _ in 0..10 * QUERIES {
            socket.send_to(&asked, address).await.unwrap();
            tokio::task::yield_now().await;
            if dropped() {
                break;
            }
        }
        assert!(dropped());
        // What the rule answers needs no server.
        let asked = query("web.demo.test", 28, 0, &[]);
        assert_eq!(exchange(address, &asked).await.unwrap().len(), asked.len() + 28);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_query_that_does_not_end_ends_its_connection() {
        let (address, _table, _counters) = front(Vec::new()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[0, 200, 1]).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        assert!(began.elapsed() >= IDLE);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn no_octets_end_the_front() {
        let (address, _table, _counters) = front(vec![echoing(0).await]).await;
        let mut random = Random::seeded(9);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..300 {
            let length = usize::try_from(random.below(60)).unwrap();
            let junk: Vec<u8> = (0..length).map(|_| random.bits().to_le_bytes()[0]).collect();
            socket.send_to(&junk, address).await.unwrap();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&junk).await.unwrap();
        }
        let asked = query("web.demo.test", 28, 0, &[]);
        assert_eq!(exchange(address, &asked).await.unwrap().len(), asked.len() + 28);
    }
}
