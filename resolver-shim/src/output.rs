//! What is told to people and written to logs goes without what may be a key, and without what would steer a terminal or
//! forge a line, whatever somebody wrote into the wrong place.

use std::io;

use ssa_input::{secrets::concealed, text::clean};
use tracing_subscriber::fmt::MakeWriter;

/// Writes a line to standard error, without what looks like a key. That nobody reads it ends nothing.
pub fn tell(text: &str) {
    let _ = io::Write::write_all(&mut Lines(io::stderr()), format!("{text}\n").as_bytes());
}

/// Writes a line to standard output, likewise.
pub fn say(text: &str) {
    let _ = io::Write::write_all(&mut Lines(io::stdout()), format!("{text}\n").as_bytes());
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

/// Writes each text that it is given whole as one line, without what looks like a key. What cannot be written is lost: a full
/// disk or a reader that left must not end what logs.
#[derive(Debug)]
pub struct Lines<W>(W);

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        // Colours end a word, so keys are looked for before these are gone.
        let line = concealed(line);
        let _ = self.0.write_all([&clean(&line), end].concat().as_bytes());
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
        lines.write_all(b"key=00112233445566778899aabbccddEEFF\n").unwrap();
        assert_eq!(lines.0, b"key=(hidden)\n");
    }

    #[test]
    fn what_is_logged_is_one_line_that_steers_no_terminal() {
        let mut lines = Lines(Vec::new());
        lines
            .write_all("path=/a\u{1b}[31m\0\u{9b}b\nINFO forged\r\n".as_bytes())
            .unwrap();
        let told = String::from_utf8(lines.0).unwrap();
        assert_eq!(
            told,
            "path=/a\u{fffd}[31m\u{fffd}\u{fffd}b\u{fffd}INFO forged\u{fffd}\n"
        );
    }
}
