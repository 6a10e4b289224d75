//! Requests of HTTP/1.1: clients that ask, and the application that answers.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::load;

/// The end of a message's head.
const END: &[u8] = b"\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nok\n";
const BODY: &[u8] = b"ok\n";

/// Answers requests without a body until the other side ends; `read` has been read already.
pub(crate) fn answer(mut stream: TcpStream, mut read: Vec<u8>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A sidecar keeps connections for as long as it likes.
    stream.set_read_timeout(None)?;
    let mut buffer = [0; 4096];
    loop {
        while let Some(end) = find(&read, END) {
            read.drain(..end + END.len());
            stream.write_all(ANSWER)?;
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            more => read.extend_from_slice(&buffer[..more]),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// How long each request took.
pub(crate) type Latencies = Vec<Duration>;

/// Makes connections, each for one request, `clients` at a time.
pub(crate) fn connect(destinations: &[SocketAddr], connections: u64, clients: u16) -> io::Result<Latencies> {
    let latencies = Mutex::new(Vec::new());
    load::share_out(destinations, connections, clients, |destination| {
        let latency = connect_once(destination)?;
        latencies.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
        Ok(())
    })?;
    Ok(latencies.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Makes one connection for one request; says how long that took until the answer was there.
pub(crate) fn connect_once(destination: SocketAddr) -> io::Result<Duration> {
    let start = Instant::now();
    let mut stream = load::open(destination)?;
    ask(&mut stream, "close")?;
    Ok(start.elapsed())
}

/// Sends a request and reads its answer; says whether the connection can be used again.
fn ask(stream: &mut TcpStream, connection: &str) -> io::Result<bool> {
    let request = format!("GET / HTTP/1.1\r\nhost: web.demo.test\r\nconnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..read]);
        match find(&answer, END) {
            Some(end) if answer[end + END.len()..].len() >= BODY.len() => {
                let head = String::from_utf8_lossy(&answer[..end]);
                if !head.starts_with("HTTP/1.1 200 ") || &answer[end + END.len()..] != BODY {
                    return Err(io::Error::other(format!(
                        "the answer is {:?}",
                        String::from_utf8_lossy(&answer)
                    )));
                }
                return Ok(!head.contains("connection: close"));
            }
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

/// Connections that are kept for many requests.
#[derive(Debug)]
pub(crate) struct Kept(Vec<Mutex<Connection>>);

#[derive(Debug)]
struct Connection {
    destination: SocketAddr,
    stream: Option<TcpStream>,
}

impl Connection {
    /// Asks once, on a new connection where there is none. Any side may close one at any time between two requests, as
    /// Envoy does at an age: then the request is sent once more.
    fn ask(&mut self) -> io::Result<()> {
        if let Some(mut stream) = self.stream.take()
            && let Ok(again) = ask(&mut stream, "keep-alive")
        {
            self.stream = again.then_some(stream);
            return Ok(());
        }
        let mut stream = load::open(self.destination)?;
        stream.set_nodelay(true)?;
        let again = ask(&mut stream, "keep-alive")?;
        self.stream = again.then_some(stream);
        Ok(())
    }
}

impl Kept {
    /// Opens this many, each with a request.
    pub(crate) fn open(destinations: &[SocketAddr], connections: u16) -> io::Result<Self> {
        let open = |_| {
            let mut connection = Connection {
                destination: load::pick(destinations),
                stream: None,
            };
            connection.ask()?;
            Ok(Mutex::new(connection))
        };
        (0..connections).map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Asks this many times on each of them, on all at once.
    pub(crate) fn ask(&self, times: u64) -> io::Result<Latencies> {
        let latencies = Mutex::new(Vec::new());
        load::together(u16::try_from(self.0.len()).unwrap_or(u16::MAX), |number| {
            // Poisoned only by a panic, which is a fault already.
            let mut connection = self.0[usize::from(number)]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let mut own = Vec::new();
            for _ in 0..times {
                let start = Instant::now();
                connection.ask()?;
                own.push(start.elapsed());
            }
            latencies.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
            Ok(())
        })?;
        Ok(latencies.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn requests_are_answered_on_new_connections_and_kept_ones() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let destination = listener.local_addr().unwrap();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                thread::spawn(move || answer(stream, Vec::new()));
            }
        });
        assert_eq!(connect(&[destination], 5, 2).unwrap().len(), 5);
        let kept = Kept::open(&[destination], 3).unwrap();
        assert_eq!(kept.ask(4).unwrap().len(), 12);
    }

    #[test]
    fn a_kept_connection_that_was_closed_is_opened_anew() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let destination = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
                stream.write_all(ANSWER).unwrap();
            }
        });
        let kept = Kept::open(&[destination], 1).unwrap();
        assert_eq!(kept.ask(1).unwrap().len(), 1);
        served.join().unwrap();
    }

    #[test]
    fn another_answer_is_a_fault() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let destination = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
            stream
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nno\n")
                .unwrap();
        });
        let fault = connect_once(destination).unwrap_err().to_string();
        assert!(fault.contains("503"), "{fault}");
        served.join().unwrap();
    }
}
