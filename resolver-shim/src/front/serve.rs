//! The front's sockets: queries in, by UDP and TCP, and what is not composed handed to a server and back, unchanged.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{
    Decision, Outcome, Table, Upstreams,
    share::Shares,
    wire::{self, Code},
};
use crate::{daemon::Clock, http::stopped, metrics::Counters, random::Bits};

/// The most queries by UDP that servers are asked at once; a large one counts for several.
const MAX_QUERIES: usize = 2048;

/// The bytes of a query for which it takes a place.
const PLACE: usize = 1024;

/// The most connections at once. Each may have two descriptors, of which processes often have 1024.
const MAX_CONNECTIONS: usize = 128;

/// The most bytes of a message.
pub(super) const MAX_MESSAGE: usize = 65_535;

/// How long a connection stays without a query, and how long an answer's reader may take.
const IDLE: Duration = Duration::from_secs(10);

/// The longest that the transfer of a zone takes.
const TRANSFER: Duration = Duration::from_mins(5);

/// What all conversations share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    table: watch::Receiver<Arc<Table>>,
    clock: Clock,
    counters: Arc<Counters>,
    queries: Shares,
    connections: Shares,
}

impl Shared {
    pub(crate) fn new(table: watch::Receiver<Arc<Table>>, clock: Clock, counters: Arc<Counters>) -> Self {
        Self {
            table,
            clock,
            counters,
            queries: Shares::new(MAX_QUERIES),
            connections: Shares::new(MAX_CONNECTIONS),
        }
    }

    fn count(&self, transport: &'static str, outcome: Outcome) {
        let labels = [("transport", transport), ("outcome", outcome.name())];
        self.counters.count("ssa_resolver_front_queries_total", &labels);
    }

    fn decide(&self, message: &[u8], asker: IpAddr, bits: &mut Bits) -> Decision {
        let table = self.table.borrow().clone();
        table.decide(message, asker, self.clock.both(), &mut || bits.draw())
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
    let mut bits = Bits::default();
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
        match shared.decide(message, asker.ip(), &mut bits) {
            Decision::Ignore => shared.count("udp", Outcome::Ignored),
            Decision::Answer(outcome, answer) => {
                shared.count("udp", outcome);
                // Who cannot be answered asks again.
                let _ = socket.send_to(&answer, asker).await;
            }
            Decision::Pass(outcome) => {
                let Some(place) = shared.queries.take(asker.ip(), length.div_ceil(PLACE)) else {
                    shared.count("udp", Outcome::Dropped);
                    continue;
                };
                let (query, socket, shared) = (message.to_vec(), socket.clone(), shared.clone());
                tasks.spawn(async move {
                    let answer = shared.upstreams().by_udp(&query).await;
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
                let Some(place) = shared.connections.take(asker.ip(), 1) else {
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
    let mut bits = Bits::default();
    loop {
        let query = timeout(IDLE, read(&mut stream)).await??;
        let answer = match shared.decide(&query, asker, &mut bits) {
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
                return timeout(TRANSFER, shared.upstreams().join(stream, &query)).await?;
            }
            Decision::Pass(outcome) => {
                let answer = shared.upstreams().by_tcp(&query).await;
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
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

pub(super) async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    // In one piece: some askers read no further than the first.
    let whole = [&length.to_be_bytes(), message].concat();
    stream.write_all(&whole).await
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        front::{tests::offers, wire::tests::query},
        random::Random,
    };

    /// What tests have room for; a single asker has half of it.
    const QUERIES: usize = 40;
    const CONNECTIONS: usize = 20;

    /// Asks by a socket of its own.
    async fn exchange(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
        exchange_from("127.0.0.1", server, query).await
    }

    async fn exchange_from(source: &str, server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
        let socket = UdpSocket::bind((source, 0)).await?;
        socket.send_to(query, server).await?;
        let mut answer = vec![0; MAX_MESSAGE];
        let length = timeout(Duration::from_secs(20), socket.recv(&mut answer)).await??;
        answer.truncate(length);
        Ok(answer)
    }

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
                let whole = answer(&buffer[..length]);
                // What comes first is not the answer: no message, no answer, another's number, another question.
                let other = |at: usize| {
                    let mut other = whole.clone();
                    other.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
                    other
                };
                for false_one in [vec![0], vec![0; 20], buffer[..length].to_vec(), other(0), other(14)] {
                    udp.send_to(&false_one, asker).await.unwrap();
                }
                udp.send_to(&whole, asker).await.unwrap();
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
            queries: Shares::new(QUERIES),
            connections: Shares::new(CONNECTIONS),
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
        for _ in 0..CONNECTIONS / 2 {
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

    #[tokio::test(flavor = "current_thread")]
    async fn an_asker_without_measure_leaves_room_for_others() {
        // A server that answers nobody but who asks for this name.
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, _table, counters) = front(vec![server.local_addr().unwrap()]).await;
        let quick = query("quick.test", 1, 0, &[]);
        let known = quick.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, asker) = server.recv_from(&mut buffer).await.unwrap();
                if buffer[12..length] == known[12..] {
                    buffer[2] |= 0x80;
                    server.send_to(&buffer[..length], asker).await.unwrap();
                }
            }
        });
        let flood = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let slow = query("slow.test", 1, 0, &[]);
        let dropped = || {
            let figures = counters.figures();
            let dropped = figures.iter().find(|figure| figure.labels[1].1 == "dropped");
            dropped.map_or(0, |figure| figure.value)
        };
        while dropped() == 0 {
            flood.send_to(&slow, address).await.unwrap();
            tokio::task::yield_now().await;
        }
        let before = dropped();
        let answer = exchange_from("127.1.0.1", address, &quick).await.unwrap();
        assert_eq!(answer[12..], quick[12..]);
        assert_eq!(dropped(), before);
        // The flood has had no answer yet: its queries still were under way.
        assert_eq!(flood.try_recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn servers_are_asked_by_ever_new_ports_under_numbers_that_nobody_chose() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, _table, _counters) = front(vec![server.local_addr().unwrap()]).await;
        let (seen, met) = std::sync::mpsc::channel();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, asker) = server.recv_from(&mut buffer).await.unwrap();
                seen.send((asker.port(), [buffer[0], buffer[1]])).unwrap();
                buffer[2] |= 0x80;
                server.send_to(&buffer[..length], asker).await.unwrap();
            }
        });
        let asked = query("other.test", 1, 0, &[]);
        for _ in 0..4000 {
            assert_eq!(exchange(address, &asked).await.unwrap()[..2], asked[..2]);
        }
        let (ports, numbers): (HashSet<_>, HashSet<_>) = met.try_iter().unzip();
        // Eight at once, each for 256 queries.
        assert!((15..60).contains(&ports.len()), "{}", ports.len());
        assert!(numbers.len() > 3700, "{}", numbers.len());
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
