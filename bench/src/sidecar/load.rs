//! The application and its clients: threads of this process, so that their CPU time is none of Envoy's.
//!
//! The first byte of a connection says what becomes of it:
//!
//! | byte | the application |
//! | --- | --- |
//! | `1` | sends it back and closes: the side that has no port to lose closes first |
//! | `+` | sends back every byte until the end |
//! | `<` | reads until the end, then sends one byte |
//! | `G` | answers requests of HTTP (`requests.rs`), in a thread of their own, until the end |

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    error::Error,
    network::{APPLICATION, PORT},
    requests,
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much is read or written at once.
const CHUNK: usize = 64 << 10;

/// Starts the application behind inbound and outbound Envoys; it ends with this process.
pub(crate) fn serve(threads: u16) -> Result<(), Error> {
    for address in [
        SocketAddr::from((Ipv6Addr::LOCALHOST, APPLICATION)),
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)),
    ] {
        let listener = TcpListener::bind(address).map_err(Error::io("listen on", address.to_string()))?;
        for _ in 0..threads {
            let listener = listener.try_clone().map_err(Error::io("share", address.to_string()))?;
            thread::spawn(move || {
                let mut buffer = vec![0; CHUNK];
                while let Ok((stream, _)) = listener.accept() {
                    // A client that goes away early is counted there.
                    let _ = answer(stream, &mut buffer);
                }
            });
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let read = stream.read(buffer)?;
    match buffer.get(..read) {
        Some([b'1', ..]) => stream.write_all(b"1"),
        Some([b'+', ..]) => {
            stream.set_nodelay(true)?;
            let mut read = read;
            while read > 0 {
                stream.write_all(&buffer[..read])?;
                read = stream.read(buffer)?;
            }
            Ok(())
        }
        Some([b'G', ..]) => {
            let head = buffer.get(..read).unwrap_or_default().to_vec();
            thread::spawn(move || requests::answer(stream, head));
            Ok(())
        }
        Some([b'<', ..]) => {
            while stream.read(buffer)? > 0 {}
            stream.write_all(b"<")
        }
        _ => Ok(()),
    }
}

/// Makes connections, each with a byte there and back, `clients` at a time.
pub(crate) fn connect(destinations: &[SocketAddr], connections: u64, clients: u16) -> io::Result<()> {
    share_out(destinations, connections, clients, connect_once)
}

/// Does something this many times, `clients` at a time, each time with one of the destinations.
pub(crate) fn share_out(
    destinations: &[SocketAddr],
    times: u64,
    clients: u16,
    work: impl Fn(SocketAddr) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let taken = AtomicU64::new(0);
    together(clients, |_| {
        loop {
            if taken.fetch_add(1, Ordering::Relaxed) >= times {
                return Ok(());
            }
            work(pick(destinations))?;
        }
    })
}

/// Returns one of some destinations, the next at each call: in no order, as draws are.
pub(crate) fn pick(destinations: &[SocketAddr]) -> SocketAddr {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mixed = CALLS
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(32)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        >> 33;
    destinations[usize::try_from(mixed).unwrap_or(0) % destinations.len()]
}

/// Does the same in this many threads at once, and returns the first fault.
pub(crate) fn together(threads: u16, work: impl Fn(u16) -> io::Result<()> + Sync) -> io::Result<()> {
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|number| {
                let work = &work;
                scope.spawn(move || work(number))
            })
            .collect();
        started.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
        })
    })
}

/// Makes one connection with a byte there and back.
pub(crate) fn connect_once(destination: SocketAddr) -> io::Result<()> {
    let mut stream = open(destination)?;
    stream.write_all(b"1")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer == b"1" {
        Ok(())
    } else {
        Err(io::Error::other(format!("the answer has {} bytes", answer.len())))
    }
}

pub(crate) fn open(destination: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(destination)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Connections whose bytes come back.
#[derive(Debug)]
pub(crate) struct Echoes(Vec<Mutex<TcpStream>>);

impl Echoes {
    /// Opens this many.
    pub(crate) fn open(destination: SocketAddr, connections: u16) -> io::Result<Self> {
        (0..connections)
            .map(|_| {
                let mut stream = open(destination)?;
                stream.set_nodelay(true)?;
                exchange(&mut stream, b'+')?;
                Ok(Mutex::new(stream))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Sends bytes through all of them at once; each waits for its byte to come back before the next.
    pub(crate) fn exchange(&self, times: u64) -> io::Result<()> {
        together(u16::try_from(self.0.len()).unwrap_or(u16::MAX), |number| {
            // Poisoned only by a panic, which is a fault already.
            let mut stream = self.0[usize::from(number)]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            (0..times).try_for_each(|_| exchange(&mut stream, b'x'))
        })
    }
}

fn exchange(stream: &mut TcpStream, byte: u8) -> io::Result<()> {
    stream.write_all(&[byte])?;
    stream.read_exact(&mut [0])
}

/// Sends this many bytes through a connection, and waits until the application has them all.
pub(crate) fn send(destination: SocketAddr, bytes: u64) -> io::Result<()> {
    let mut stream = open(destination)?;
    stream.write_all(b"<")?;
    let chunk = vec![b'x'; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        stream.write_all(&chunk[..now])?;
        left -= now as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_exact(&mut [0])
}
