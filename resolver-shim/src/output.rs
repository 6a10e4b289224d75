//! Output to terminals and logs, without anything that may be a key or a control sequence, whatever the input was.

use std::io;

use ssa_input::{secrets::concealed, text::clean};
use tracing_subscriber::fmt::MakeWriter;

/// Writes a line to standard error, without what looks like a key. Write errors are ignored.
pub fn print_error(text: &str) {
    let _ = io::Write::write_all(&mut RedactingWriter(io::stderr()), format!("{text}\n").as_bytes());
}

/// Writes a line to standard output, likewise.
pub fn print(text: &str) {
    let _ = io::Write::write_all(&mut RedactingWriter(io::stdout()), format!("{text}\n").as_bytes());
}

/// Writes logs to standard error, without what looks like a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

impl<'a> MakeWriter<'a> for Log {
    type Writer = RedactingWriter<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactingWriter(io::stderr())
    }
}

/// Writes each buffer as one line, without what looks like a key. Write errors are ignored: a full disk or a closed pipe
/// must not end the process that logs.
#[derive(Debug)]
pub struct RedactingWriter<W>(W);

impl<W: io::Write> io::Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        // Colour codes delimit words, so keys are searched for before these are removed.
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
        let mut lines = RedactingWriter(Full);
        lines.write_all(b"a line\n").unwrap();
        lines.flush().unwrap();
    }

    #[test]
    fn logs_are_concealed() {
        let mut lines = RedactingWriter(Vec::new());
        lines.write_all(b"key=00112233445566778899aabbccddEEFF\n").unwrap();
        assert_eq!(lines.0, b"key=(hidden)\n");
    }

    #[test]
    fn what_is_logged_is_one_line_that_steers_no_terminal() {
        let mut lines = RedactingWriter(Vec::new());
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
