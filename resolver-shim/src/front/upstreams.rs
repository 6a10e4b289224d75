//! The servers that queries are handed to, by a few sockets each that are renewed over and over.
//!
//! A query goes out by a socket chosen at random, under a number of its own: who is not on the path to the server has to
//! guess both. A socket that serves one query alone would be no harder to guess, and twice the work.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::Interest,
    net::{TcpStream, UdpSocket},
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    answer,
    framing::{read, write},
    query,
    wire::{self, MAX_MESSAGE, set_number},
};
use crate::random::Bits;

/// The longest that servers are waited for in all.
const LONGEST: Duration = Duration::from_secs(10);

/// How often each server is asked by UDP: datagrams get lost.
const ROUNDS: usize = 2;

/// How many sockets a server is asked by.
const SLOTS: usize = 8;

/// How many queries a socket serves, and for how long: its port is not to be found out.
const USES: u32 = 256;
const AGE: Duration = Duration::from_secs(10);

/// Servers that queries are handed to.
#[derive(Debug, Default)]
pub struct Upstreams {
    servers: Vec<Server>,
    timeout: Duration,
    /// The one that answered last.
    first: AtomicUsize,
    /// Whether the last that was asked of them had no answer.
    silent: AtomicBool,
    bits: Mutex<Bits>,
}

/// By which servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// As most are.
    Udp,
    /// For answers of any size.
    Tcp,
}

impl Transport {
    /// Returns the stable name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What servers say.
#[derive(Debug)]
pub(super) enum Reply {
    /// One has answered the question.
    Answer(Vec<u8>),
    /// None has, and one says so.
    Failure(Vec<u8>),
    /// None says anything that can be read.
    Silence,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    slots: Mutex<[Option<Arc<UdpSlot>>; SLOTS]>,
}

/// A connected socket, and the task that reads from it. It ends with its place and the last query under way.
#[derive(Debug)]
struct UdpSlot {
    exchange: Arc<Exchange>,
    reader: AbortHandle,
    born: Instant,
    uses: AtomicU32,
}

impl Drop for UdpSlot {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[derive(Debug)]
struct Exchange {
    socket: UdpSocket,
    waiting: Mutex<HashMap<u16, Waiting>>,
    broken: AtomicBool,
}

/// A query under way.
#[derive(Debug)]
struct Waiting {
    question: Box<[u8]>,
    answer: oneshot::Sender<Vec<u8>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upstreams {
    /// Takes servers, and how long each is waited for.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>, timeout: Duration) -> Self {
        let server = |address| Server {
            address,
            slots: Mutex::default(),
        };
        Self {
            servers: servers.into_iter().map(server).collect(),
            timeout,
            ..Self::default()
        }
    }

    /// Returns the servers with their numbers, that which answered last first.
    fn in_order(&self) -> impl Iterator<Item = (usize, &Server)> {
        let first = self.first.load(Ordering::Relaxed);
        let all = || self.servers.iter().enumerate();
        all().skip(first).chain(all().take(first))
    }

    /// Returns whether the last that was asked of servers had no answer.
    pub(super) fn are_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Records that servers let somebody wait for too long.
    pub(super) fn note_silence(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// Asks one server after the other, until one says what was asked: that it cannot or will not say is no reason for
    /// others not to.
    pub(super) async fn ask(&self, query: &[u8], transport: Transport) -> Reply {
        let until = Instant::now() + LONGEST;
        let rounds = match transport {
            Transport::Udp => ROUNDS,
            Transport::Tcp => 1,
        };
        let mut failure = None;
        let mut failed = Vec::new();
        'asking: for _ in 0..rounds {
            for (number, server) in self.in_order() {
                if failed.contains(&number) {
                    continue;
                }
                match timeout_at(until, self.ask_one(server, query, transport)).await {
                    Ok(Ok(answer)) if answer::is_final(&answer, query) => {
                        self.first.store(number, Ordering::Relaxed);
                        self.silent.store(false, Ordering::Relaxed);
                        return Reply::Answer(answer);
                    }
                    Ok(Ok(answer)) => {
                        failed.push(number);
                        failure.get_or_insert(answer);
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(server = %server.address, %error, "cannot query a server");
                    }
                    Err(_) => break 'asking,
                }
            }
        }
        failure.map_or_else(
            || {
                self.note_silence();
                Reply::Silence
            },
            Reply::Failure,
        )
    }

    /// Asks one server, and once more where it seems to know nothing of EDNS.
    async fn ask_one(&self, server: &Server, query: &[u8], transport: Transport) -> io::Result<Vec<u8>> {
        let answer = self.exchange(server, query, transport).await?;
        if answer::knows_no_edns(&answer)
            && let Some(plain) = query::without_edns(query)
        {
            return self.exchange(server, &plain, transport).await;
        }
        Ok(answer)
    }

    async fn exchange(&self, server: &Server, query: &[u8], transport: Transport) -> io::Result<Vec<u8>> {
        match transport {
            Transport::Udp => timeout(self.timeout, server.by_udp(query, &self.bits)).await?,
            Transport::Tcp => timeout(self.timeout, server.by_tcp(query, &self.bits)).await?,
        }
    }

    /// Returns a connection to the server that answered last.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let (_, server) = self.in_order().next().ok_or(io::ErrorKind::NotConnected)?;
        timeout(self.timeout, TcpStream::connect(server.address)).await?
    }
}

impl Server {
    /// Asks by one of the sockets, under a number of its own, and returns the answer to the query as it came.
    async fn by_udp(&self, query: &[u8], bits: &Mutex<Bits>) -> io::Result<Vec<u8>> {
        let slot = self.slot(bits).await?;
        let exchange = &slot.exchange;
        let (sender, answer) = oneshot::channel();
        let pending = PendingQuery {
            number: exchange.expect(wire::question(query), sender, bits),
            exchange,
        };
        let mut asked = query.to_vec();
        set_number(&mut asked, &pending.number.to_be_bytes());
        if let Err(error) = exchange.socket.send(&asked).await {
            exchange.fail();
            return Err(error);
        }
        let gone = |_| io::Error::new(io::ErrorKind::ConnectionReset, "its socket failed");
        let mut answer = answer.await.map_err(gone)?;
        set_number(&mut answer, query);
        Ok(answer)
    }

    /// Asks by a connection of its own, under a number of its own.
    async fn by_tcp(&self, query: &[u8], bits: &Mutex<Bits>) -> io::Result<Vec<u8>> {
        let mut asked = query.to_vec();
        let [high, low, ..] = lock(bits).draw().to_be_bytes();
        set_number(&mut asked, &[high, low]);
        let mut stream = TcpStream::connect(self.address).await?;
        write(&mut stream, &asked).await?;
        loop {
            let mut answer = read(&mut stream).await?;
            if answer.get(..2) == asked.get(..2) && wire::answers(&answer, wire::question(query)) {
                set_number(&mut answer, query);
                return Ok(answer);
            }
        }
    }

    /// Returns one of the sockets, a new one where it is used up.
    async fn slot(&self, bits: &Mutex<Bits>) -> io::Result<Arc<UdpSlot>> {
        let number = usize::try_from(lock(bits).draw()).unwrap_or(0) % SLOTS;
        let found = lock(&self.slots).get(number).cloned().flatten();
        if let Some(slot) = found.filter(|slot| slot.is_good()) {
            return Ok(slot);
        }
        let slot = Arc::new(UdpSlot::new(self.address).await?);
        if let Some(place) = lock(&self.slots).get_mut(number) {
            *place = Some(slot.clone());
        }
        Ok(slot)
    }
}

impl UdpSlot {
    async fn new(server: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        let exchange = Arc::new(Exchange {
            socket,
            waiting: Mutex::default(),
            broken: AtomicBool::new(false),
        });
        let reading = exchange.clone();
        Ok(Self {
            exchange,
            reader: tokio::spawn(async move { reading.read().await }).abort_handle(),
            born: Instant::now(),
            uses: AtomicU32::new(0),
        })
    }

    /// Returns whether one more query may go by it, and counts that.
    fn is_good(&self) -> bool {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed);
        uses < USES && self.born.elapsed() < AGE && !self.exchange.broken.load(Ordering::Relaxed)
    }
}

impl Exchange {
    /// Records a query, and returns a number that no other has.
    fn expect(&self, question: &[u8], answer: oneshot::Sender<Vec<u8>>, bits: &Mutex<Bits>) -> u16 {
        let mut waiting = lock(&self.waiting);
        loop {
            let [high, low, ..] = lock(bits).draw().to_be_bytes();
            let number = u16::from_be_bytes([high, low]);
            if let Entry::Vacant(entry) = waiting.entry(number) {
                entry.insert(Waiting {
                    question: question.into(),
                    answer,
                });
                return number;
            }
        }
    }

    /// Hands answers to those who wait, until the socket fails.
    async fn read(&self) {
        let mut buffer = Vec::new();
        loop {
            // That nobody listens there makes a socket fail, not readable.
            let failed = match self.socket.ready(Interest::READABLE | Interest::ERROR).await {
                Ok(ready) if ready.is_error() => self.error(),
                Ok(_) => None,
                Err(error) => Some(error),
            };
            if let Some(error) = failed {
                tracing::debug!(error = ssa_input::files::reason(&error), "a socket to a server failed");
                return self.fail();
            }
            buffer.clear();
            buffer.reserve(MAX_MESSAGE);
            match self.socket.try_recv_buf(&mut buffer) {
                Ok(_) => self.hand(&buffer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    tracing::debug!(error = ssa_input::files::reason(&error), "a server is gone");
                    return self.fail();
                }
            }
        }
    }

    /// Returns the error that a socket met, if any, and waits for the next one.
    fn error(&self) -> Option<io::Error> {
        let met = self.socket.take_error().ok().flatten();
        let nothing: io::Result<()> = self
            .socket
            .try_io(Interest::ERROR, || Err(io::ErrorKind::WouldBlock.into()));
        met.or_else(|| nothing.err().filter(|error| error.kind() != io::ErrorKind::WouldBlock))
    }

    /// Hands an answer to who waits for it; anything else is as if it had not come.
    fn hand(&self, answer: &[u8]) {
        let Some(number) = answer.first_chunk().copied().map(u16::from_be_bytes) else {
            return;
        };
        let mut waiting = lock(&self.waiting);
        if let Entry::Occupied(entry) = waiting.entry(number)
            && wire::answers(answer, &entry.get().question)
        {
            // Who asked may have given up just now.
            let _ = entry.remove().answer.send(answer.to_vec());
        }
    }

    /// Lets all who wait ask elsewhere, and nobody ask here again.
    fn fail(&self) {
        self.broken.store(true, Ordering::Relaxed);
        lock(&self.waiting).clear();
    }
}

/// A query that waits for its response; it is forgotten when this is dropped.
struct PendingQuery<'a> {
    exchange: &'a Exchange,
    number: u16,
}

impl Drop for PendingQuery<'_> {
    fn drop(&mut self) {
        lock(&self.exchange.waiting).remove(&self.number);
    }
}
