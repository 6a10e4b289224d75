//! RESP2 on the wire.
//!
//! ```text
//! +OK\r\n   -ERR what\r\n   :7\r\n   $3\r\nfoo\r\n   $-1\r\n   *2\r\n…   *-1\r\n
//! ```

use std::{fmt, io};

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// The longest string of a reply, in bytes: that of Redis (`proto-max-bulk-len`).
pub const MAX_BULK_BYTES: u64 = 512 << 20;

/// The most members of an array.
pub const MAX_MEMBERS: u64 = 1 << 20;

/// How deep arrays may be nested.
pub const MAX_DEPTH: u8 = 8;

/// The longest line, in bytes: an error or a number.
const MAX_LINE: u64 = 64 << 10;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A status, such as `OK`.
    Status(String),
    /// An error of the store.
    Error(String),
    /// A number.
    Integer(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// Several.
    Array(Vec<Value>),
}

/// Why bytes are no reply.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// The connection fails or ends.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// They begin as none does.
    #[error("a reply begins with one of + - : $ *, not with 0x{0:02x}")]
    Kind(u8),
    /// A number is none, or too large.
    #[error("{what}: `{found}` is out of range; at most {max} is allowed")]
    Number {
        /// Of what.
        what: &'static str,
        /// What was found.
        found: String,
        /// The greatest.
        max: u64,
    },
    /// Arrays are nested too deeply.
    #[error("arrays are nested deeper than {MAX_DEPTH}")]
    Depth,
    /// A line does not end, or not by carriage return and line feed.
    #[error("a line of a reply does not end within {MAX_LINE} bytes")]
    Line,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("(nil)"),
            Self::Status(text) | Self::Error(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Bulk(bytes) => bytes.escape_ascii().fmt(f),
            Self::Array(members) => f.debug_list().entries(members.iter().map(ToString::to_string)).finish(),
        }
    }
}

/// Writes a command.
pub(super) fn encode(args: &[&[u8]], out: &mut Vec<u8>) {
    out.extend(format!("*{}\r\n", args.len()).bytes());
    for arg in args {
        out.extend(format!("${}\r\n", arg.len()).bytes());
        out.extend(*arg);
        out.extend(b"\r\n");
    }
}

/// Reads a reply.
pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin + Send)) -> Result<Value, ValueError> {
    read_at(stream, 0).await
}

async fn read_at(stream: &mut (impl AsyncBufRead + Unpin + Send), depth: u8) -> Result<Value, ValueError> {
    let line = line(stream).await?;
    let (kind, rest) = line.split_first().ok_or(ValueError::Kind(b'\r'))?;
    let text = || String::from_utf8_lossy(rest).into_owned();
    let length = |what, max: u64| match rest {
        b"-1" => Ok(None),
        _ => std::str::from_utf8(rest)
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|length| *length <= max)
            .map(Some)
            .ok_or_else(|| ValueError::Number {
                what,
                found: text().chars().take(32).collect(),
                max,
            }),
    };
    Ok(match kind {
        b'+' => Value::Status(text()),
        b'-' => Value::Error(text()),
        b':' => {
            let number = std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok());
            Value::Integer(number.ok_or_else(|| ValueError::Number {
                what: "integer",
                found: text().chars().take(32).collect(),
                max: i64::MAX.unsigned_abs(),
            })?)
        }
        b'$' => match length("length of a string", MAX_BULK_BYTES)? {
            None => Value::Null,
            Some(length) => {
                // Memory grows with what arrives, not with what is announced.
                let mut bytes = Vec::new();
                let read = (&mut *stream).take(length).read_to_end(&mut bytes).await?;
                if (read as u64) < length {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                let mut end = [0; 2];
                stream.read_exact(&mut end).await?;
                if end != *b"\r\n" {
                    return Err(ValueError::Line);
                }
                Value::Bulk(bytes)
            }
        },
        b'*' => match length("members of an array", MAX_MEMBERS)? {
            None => Value::Null,
            Some(_) if depth >= MAX_DEPTH => return Err(ValueError::Depth),
            Some(members) => {
                let mut values = Vec::new();
                for _ in 0..members {
                    values.push(Box::pin(read_at(stream, depth + 1)).await?);
                }
                Value::Array(values)
            }
        },
        other => return Err(ValueError::Kind(*other)),
    })
}

/// Reads a line without its end.
async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, ValueError> {
    let mut line = Vec::new();
    let read = (&mut *stream).take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if read == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    match line.strip_suffix(b"\r\n") {
        Some(rest) => Ok(rest.to_vec()),
        None => Err(ValueError::Line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(bytes: &[u8]) -> Result<Value, String> {
        let mut stream = bytes;
        read(&mut stream).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn replies_are_read() {
        assert_eq!(told(b"+OK\r\n").await, Ok(Value::Status("OK".into())));
        assert_eq!(told(b"-ERR no\r\n").await, Ok(Value::Error("ERR no".into())));
        assert_eq!(told(b":-7\r\n").await, Ok(Value::Integer(-7)));
        assert_eq!(told(b"$4\r\na\r\nb\r\n").await, Ok(Value::Bulk(b"a\r\nb".to_vec())));
        assert_eq!(told(b"$0\r\n\r\n").await, Ok(Value::Bulk(vec![])));
        assert_eq!(told(b"$-1\r\n").await, Ok(Value::Null));
        assert_eq!(told(b"*-1\r\n").await, Ok(Value::Null));
        assert_eq!(
            told(b"*2\r\n:1\r\n*1\r\n$-1\r\n").await,
            Ok(Value::Array(vec![Value::Integer(1), Value::Array(vec![Value::Null])]))
        );
    }

    #[tokio::test]
    async fn what_is_no_reply_is_refused_and_bounded() {
        assert_eq!(
            told(b"HTTP/1.1 400\r\n").await,
            Err("a reply begins with one of + - : $ *, not with 0x48".into())
        );
        assert_eq!(
            told(b"$536870913\r\n").await,
            Err("length of a string: `536870913` is out of range; at most 536870912 is allowed".into())
        );
        assert_eq!(
            told(b"*1048577\r\n").await,
            Err("members of an array: `1048577` is out of range; at most 1048576 is allowed".into())
        );
        assert_eq!(
            told(&b"*1\r\n".repeat(9)).await,
            Err("arrays are nested deeper than 8".into())
        );
        assert!(told(&[&b"*1\r\n".repeat(8)[..], b":1\r\n"].concat()).await.is_ok());
        assert_eq!(
            told(&vec![b'+'; 70_000]).await,
            Err("a line of a reply does not end within 65536 bytes".into())
        );
        assert_eq!(
            told(b"+OK\n").await,
            Err("a line of a reply does not end within 65536 bytes".into())
        );
        assert_eq!(
            told(b"$3\r\nfoobar").await,
            Err("a line of a reply does not end within 65536 bytes".into())
        );
        assert!(told(b"$9\r\nfoo").await.is_err() && told(b"").await.is_err() && told(b":x\r\n").await.is_err());
    }

    #[test]
    fn commands_are_written() {
        let mut out = Vec::new();
        encode(&[b"SET", b"k", b"a\r\n"], &mut out);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\r\n\r\n");
    }
}
