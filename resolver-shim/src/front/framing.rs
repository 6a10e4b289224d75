//! Messages over TCP, each behind its length (RFC 1035 §4.2.2).

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// How long a connection stays without a query, how long the bytes of one may take, and how long an answer's reader may.
pub(super) const IDLE: Duration = Duration::from_secs(10);

/// What is read at once.
const CHUNK: usize = 4096;

/// What has been read of a connection, and is no whole message yet.
#[derive(Debug, Default)]
pub(super) struct Incoming(Vec<u8>);

impl Incoming {
    /// Reads the next message behind its length (RFC 1035 §4.2.2); nothing where the connection ends before it. It takes
    /// no more memory than there are bytes, whatever length they name, and loses nothing where it is given up.
    pub(super) async fn next(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some((length, rest)) = self.0.split_first_chunk()
                && let Some(message) = rest.get(..u16::from_be_bytes(*length).into())
            {
                let message = message.to_vec();
                self.0.drain(..message.len().saturating_add(2));
                if self.0.is_empty() {
                    self.0 = Vec::new();
                }
                return Ok(Some(message));
            }
            self.0.reserve(CHUNK);
            if reader.read_buf(&mut self.0).await? == 0 {
                let is_between = self.0.is_empty();
                return if is_between {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }
}

/// Reads a message behind its length.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message behind its length, within a time.
pub(super) async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    // In one piece: some queriers read no further than the first.
    let whole = [&length.to_be_bytes(), message].concat();
    timeout(IDLE, stream.write_all(&whole)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_length_takes_no_memory_before_its_bytes_come() {
        let (mut sender, mut receiver) = tokio::io::duplex(1 << 17);
        let mut incoming = Incoming::default();
        sender.write_all(&[255, 255, 1, 2, 3]).await.unwrap();
        let given_up = timeout(Duration::from_millis(10), incoming.next(&mut receiver)).await;
        assert!(given_up.is_err());
        assert_eq!(incoming.0, [255, 255, 1, 2, 3]);
        assert!(incoming.0.capacity() <= 2 * CHUNK, "{}", incoming.0.capacity());
        // What was read is not lost, and the next message is told from it.
        let rest = [vec![4; 65_532], vec![0, 1, 9, 0]].concat();
        sender.write_all(&rest).await.unwrap();
        let whole = incoming.next(&mut receiver).await.unwrap().unwrap();
        assert_eq!((whole.len(), &whole[..4]), (65_535, &[1, 2, 3, 4][..]));
        assert_eq!(incoming.next(&mut receiver).await.unwrap(), Some(vec![9]));
        drop(sender);
        assert_eq!(
            incoming.next(&mut receiver).await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
