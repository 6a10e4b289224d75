//! Probes: whether what serves behind this endpoint would take a connection.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
            let reason = |error: std::io::Error| ssa_input::files::reason(&error);
            let mut stream = TcpStream::connect(self.address).await.map_err(reason)?;
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
