//! Probes: whether what serves behind this endpoint would take a connection.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// How often it is asked.
pub(super) const INTERVAL: Duration = Duration::from_millis(50);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many failures in a row make it not ready: one may be a queue that was full for a moment.
const FAILURES: u32 = 2;

/// What is asked: `tcp:ADDRESS:PORT`, or `http:ADDRESS:PORT/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    address: SocketAddr,
    path: Option<String>,
}

/// A text is no probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("probe `{0}` is neither tcp:ADDRESS:PORT nor http:ADDRESS:PORT/PATH, such as tcp:[::1]:8080")]
pub struct ProbeError(String);

impl FromStr for Probe {
    type Err = ProbeError;

    fn from_str(text: &str) -> Result<Self, ProbeError> {
        let wrong = || ProbeError(text.chars().take(200).collect());
        if let Some(address) = text.strip_prefix("tcp:") {
            let address = address.parse().map_err(|_| wrong())?;
            return Ok(Self { address, path: None });
        }
        let rest = text.strip_prefix("http:").ok_or_else(wrong)?;
        let (address, path) = rest.split_once('/').ok_or_else(wrong)?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        Ok(Self {
            address: address.parse().map_err(|_| wrong())?,
            path: Some(format!("/{path}")),
        })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            None => write!(f, "tcp:{}", self.address),
            Some(path) => write!(f, "http:{}{path}", self.address),
        }
    }
}

impl Probe {
    /// Asks once; says why that failed.
    pub(super) async fn ask(&self) -> Result<(), String> {
        let asked = async {
            let reason = |error: io::Error| ssa_input::files::reason(&error);
            let mut stream = connect(self.address).await.map_err(reason)?;
            let Some(path) = &self.path else { return Ok(()) };
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
                self.address
            );
            stream.write_all(request.as_bytes()).await.map_err(reason)?;
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.map_err(reason)?;
            if status.starts_with(b"HTTP/1.") && status.get(9) == Some(&b'2') {
                return Ok(());
            }
            Err(format!("answered {:?}", String::from_utf8_lossy(&status)))
        };
        let late = || format!("no answer within {} ms", PATIENCE.as_millis());
        tokio::time::timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

/// Connects from another port than the one that is asked.
///
/// Where nobody listens on a port of the range that the kernel gives clients theirs from, it gives a client on the same host
/// that very port in time: the client is then connected to itself, and whoever is to listen there cannot.
async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    loop {
        let (socket, any) = match to {
            SocketAddr::V4(_) => (TcpSocket::new_v4()?, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            SocketAddr::V6(_) => (TcpSocket::new_v6()?, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
        };
        socket.bind(any)?;
        if socket.local_addr()?.port() != to.port() {
            return socket.connect(to).await;
        }
    }
}

/// What a row of answers comes to: ready by one, not ready by [`FAILURES`] in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    /// There have been answers enough to tell. Until then nothing may be changed: what the kernel holds may well be served.
    pub(super) known: bool,
    failures: u32,
}

impl Readiness {
    /// Takes an answer; says whether that changed anything.
    pub(super) fn note(&mut self, answered: bool) -> bool {
        let before = (self.ready, self.known);
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        self.ready = answered || (self.ready && self.failures < FAILURES);
        self.known |= answered || self.failures >= FAILURES;
        (self.ready, self.known) != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_read_and_written() {
        for text in ["tcp:[::1]:8080", "http:127.0.0.1:15021/healthz/ready", "http:[::1]:80/"] {
            assert_eq!(
                text.parse::<Probe>().map(|probe| probe.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "tcp:localhost:80",
            "tcp:[::1]",
            "http:[::1]:80",
            "http:[::1]:80/a b",
            "udp:[::1]:53",
        ] {
            let error = text.parse::<Probe>().expect_err(text);
            assert!(
                error.to_string().starts_with(&format!("probe `{text}` is neither")),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_never_answers_for_itself() {
        // Of the range that clients get theirs from, and even, as those of clients are.
        let free = |port: &u16| std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, *port)).is_ok();
        let port = (40_000..60_000).step_by(2).find(free).unwrap();
        let probe: Probe = format!("tcp:[::1]:{port}").parse().unwrap();
        // As many as the range has ports: without a port of its own choice one in some thousands is connected to itself.
        for number in 0..30_000 {
            assert!(probe.ask().await.is_err(), "probe {number}");
        }
    }

    #[test]
    fn one_answer_makes_ready_and_two_failures_in_a_row_do_not() {
        let mut readiness = Readiness::default();
        let answers = [false, true, false, true, false, false, false, true];
        let ready: Vec<bool> = answers
            .into_iter()
            .map(|answered| {
                readiness.note(answered);
                readiness.ready
            })
            .collect();
        assert_eq!(ready, [false, true, true, true, true, false, false, true]);
    }

    #[test]
    fn nothing_is_known_before_one_answer_or_two_failures() {
        for (answers, known) in [
            (&[][..], false),
            (&[false], false),
            (&[true], true),
            (&[false, false], true),
        ] {
            let mut readiness = Readiness::default();
            for (number, answered) in answers.iter().enumerate() {
                assert_eq!(readiness.note(*answered), known && number + 1 == answers.len());
            }
            assert_eq!(readiness.known, known, "{answers:?}");
        }
    }
}
