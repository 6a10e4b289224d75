//! Asks a running daemon to forget what a service's verifiers keep though it is gone from the DNS.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The maximum size in bytes of an answer.
const MAX_ANSWER: u64 = 4096;

/// Why nothing was forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// No daemon answers there.
    #[error("no daemon answers: {}", ssa_input::files::reason(.0))]
    Unreachable(#[source] io::Error),
    /// The daemon says no.
    #[error("{0}")]
    Refused(
        /// What it says.
        String,
    ),
}

/// Has the daemon at a socket forget, and returns how many records and lists that were. It does so for root and its own
/// user alone.
///
/// # Errors
///
/// Why not.
pub fn forget(socket: &Path, service: &str) -> Result<String, ForgetError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if service.is_empty() || !service.bytes().all(allowed) {
        return Err(ForgetError::Refused(
            "a service's name has a-z A-Z 0-9 - _ . alone".into(),
        ));
    }
    let answer = ask(socket, service).map_err(ForgetError::Unreachable)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") {
        Ok(body.trim().to_owned())
    } else {
        Err(ForgetError::Refused(body.trim().to_owned()))
    }
}

fn ask(socket: &Path, service: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("POST /v1/forget/{service} HTTP/1.1\r\nhost: ssa\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}
