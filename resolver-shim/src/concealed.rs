//! Text that may hold a key is printed without it: whatever somebody wrote into the wrong place.

use std::{borrow::Cow, io};

use tracing_subscriber::fmt::MakeWriter;

/// The least run of hex digits that is taken for a key, which has 32.
const HEX: usize = 32;

/// The length of 16 octets in base64, without the two characters of padding behind it.
const BASE64: usize = 22;

/// What stands in place of a key.
const HIDDEN: &str = "(hidden)";

/// Returns the text without what looks like a key: runs of 32 hex digits and more, and 16 octets in base64 with their
/// padding.
#[must_use]
pub fn concealed(text: &str) -> Cow<'_, str> {
    let Some((start, end)) = find(text) else {
        return Cow::Borrowed(text);
    };
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut found) = (text, Some((start, end)));
    while let Some((start, end)) = found {
        plain.push_str(rest.get(..start).unwrap_or_default());
        plain.push_str(HIDDEN);
        rest = rest.get(end..).unwrap_or_default();
        found = find(rest);
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Says whether there is something in the text that looks like a key.
#[must_use]
pub fn looks_like_key(text: &str) -> bool {
    find(text).is_some()
}

/// Returns where the first that looks like a key begins and ends.
fn find(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut start = 0;
    // Where the characters of base64 end that `start` is among: counted once, for texts may be long.
    let mut end = 0;
    while start < bytes.len() {
        let run = |is: fn(&u8) -> bool| bytes.iter().skip(start).take_while(|byte| is(byte)).count();
        let hex = run(u8::is_ascii_hexdigit);
        if hex >= HEX {
            return Some((start, start + hex));
        }
        if start >= end {
            end = start + run(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte));
        }
        // A text before it, such as `k1/`, may run into it.
        if end - start >= BASE64 && bytes.get(end..end + 2) == Some(b"==") {
            return Some((end - BASE64, end + 2));
        }
        start += if hex > 0 { hex } else { 1 };
    }
    None
}

/// Writes a line to standard error, without what looks like a key. That nobody reads it ends nothing.
pub fn tell(text: &str) {
    let _ = io::Write::write_all(&mut Lines(io::stderr()), format!("{text}\n").as_bytes());
}

/// Writes logs to standard error, without what looks like a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

impl<'a> MakeWriter<'a> for Log {
    type Writer = Lines<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines(io::stderr())
    }
}

/// Writes each text that it is given whole without what looks like a key. What cannot be written is lost: a full disk or a
/// reader that left must not end what logs.
#[derive(Debug)]
pub struct Lines<W>(W);

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(concealed(&String::from_utf8_lossy(bytes)).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const HEX: &str = "00112233445566778899aabbccddEEFF";
    const BASE64: &str = "ABEiM0RVZneImaq7zN3u/w==";

    #[test]
    fn keys_are_hidden_wherever_they_stand() {
        for (text, wanted) in [
            (HEX.to_owned(), "(hidden)"),
            (format!("{HEX}{HEX}0"), "(hidden)"),
            (format!("k1={HEX}, k2={HEX}."), "k1=(hidden), k2=(hidden)."),
            (format!("`0x{HEX}` é"), "`0x(hidden)` é"),
            (format!("key \"{BASE64}\""), "key \"(hidden)\""),
            (format!("keys/{BASE64}"), "keys/(hidden)"),
            (BASE64.replace('/', "_"), "(hidden)"),
        ] {
            assert_eq!(concealed(&text), wanted);
            assert!(looks_like_key(&text));
        }
    }

    #[test]
    fn other_text_stays() {
        for text in [
            "",
            &HEX[1..],
            "2001:0db8:0000:0000:0000:0000:0000:0001",
            "v=ssa1; addr=hash(src/64):20 mac(src/64,time/30):44; key=k1",
            "34dbaa0e90e65954-7",
            "a==",
            "größe",
        ] {
            assert_eq!(concealed(text), text);
            assert!(!looks_like_key(text));
        }
    }

    #[test]
    fn a_long_text_is_looked_through_in_no_time() {
        let began = std::time::Instant::now();
        assert!(!looks_like_key(&"z".repeat(1 << 20)));
        assert!(!looks_like_key(&"zf".repeat(1 << 19)));
        // Were each octet's run counted anew, this would take hours.
        assert!(began.elapsed().as_secs() < 60);
    }

    #[test]
    fn what_cannot_be_written_ends_nothing() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut lines = Lines(Full);
        lines.write_all(b"a line\n").unwrap();
        lines.flush().unwrap();
    }

    #[test]
    fn logs_are_concealed() {
        let mut lines = Lines(Vec::new());
        lines.write_all(format!("key={HEX}\n").as_bytes()).unwrap();
        assert_eq!(lines.0, b"key=(hidden)\n");
    }
}
