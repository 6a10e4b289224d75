//! Many connections, a line each, judged as they come.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde_json::{Map, Value, json};
use ssa_input::text::without_mark;
use ssa_rules::{Flow, Verdict};

use super::{
    Judge, colour,
    connection::{self, Connection, Line},
};
use crate::{
    Outcome,
    counts::counted,
    failure::{Fault, Faults},
    input::files,
    output::Output,
    style::{self, paint},
};

/// The maximum number of faults reported for one file.
const MAX_FAULTS: usize = 20;

/// The longest line, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// A file of connections.
pub(super) struct Batch {
    place: String,
    lines: BufReader<Box<dyn Read>>,
    /// Whether no line was read so far.
    is_new: bool,
}

/// Opens a file, recording why it cannot be.
pub(super) fn open(path: &str, faults: &mut Faults) -> Option<Batch> {
    let place = format!("--batch {path}");
    let file = faults.take(&place, files::open(Path::new(path)))?;
    let lines = BufReader::new(file);
    Some(Batch {
        place,
        lines,
        is_new: true,
    })
}

impl Batch {
    /// Returns the next line, or why it is none; nothing at the end.
    fn next(&mut self) -> io::Result<Option<Result<String, LineError>>> {
        let mut bytes = Vec::new();
        self.lines.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !bytes.ends_with(b"\n") && u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_LINE) {
            self.lines.skip_until(b'\n')?;
            return Ok(Some(Err(LineError::TooLong)));
        }
        if std::mem::take(&mut self.is_new) {
            bytes = without_mark(&bytes).to_vec();
        }
        Ok(Some(
            String::from_utf8(bytes).map_err(|error| LineError::NotUtf8(error.utf8_error())),
        ))
    }

    /// Returns whether the next line must be waited for.
    fn waits(&self) -> bool {
        !self.lines.buffer().contains(&b'\n')
    }
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// It is longer than [`MAX_LINE`].
    #[error("exceeds {MAX_LINE} bytes")]
    TooLong,
    /// It is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8(#[source] std::str::Utf8Error),
}

/// The results so far.
struct Tally {
    counts: [(&'static str, usize); 4],
    others: usize,
    faults: Vec<Fault>,
    /// The number of connections in the document.
    written: usize,
}

/// Judges line by line, and writes a table with counts or one JSON document as the lines arrive.
pub(super) fn run(judge: &Judge<'_>, mut batch: Batch, out: &mut Output) -> Outcome {
    let mut tally = Tally {
        counts: [("conforming", 0), ("legacy", 0), ("violation", 0), ("outside", 0)],
        others: 0,
        faults: Vec::new(),
        written: 0,
    };
    if out.is_json() {
        out.put("{\n  \"connections\": [");
    }
    for number in 1_usize.. {
        if batch.waits() {
            out.flush();
        }
        if out.is_closed() {
            break;
        }
        let place = format!("{} line {number}", batch.place);
        let mut faults = Faults::default();
        let text = match batch.next() {
            Ok(None) => break,
            Ok(Some(text)) => faults.take(&place, text),
            Err(error) => {
                faults.push(&place, files::reason(Path::new(""), &error));
                tally.report(faults, out);
                break;
            }
        };
        match text.and_then(|text| connection::read(&place, &text, judge.by_its_time, &mut faults)) {
            Some(Line::Connection(connection)) => tally.judge(judge, &place, &connection, &mut faults, out),
            Some(Line::Other) => tally.others += 1,
            Some(Line::Nothing) | None => {}
        }
        if tally.faults.len() + faults.0.len() >= MAX_FAULTS {
            faults.push(place, format!("{MAX_FAULTS} faults; the rest is not read"));
            tally.report(faults, out);
            break;
        }
        tally.report(faults, out);
    }
    tally.end(judge, out)
}

impl Tally {
    fn judge(
        &mut self,
        judge: &Judge<'_>,
        place: &str,
        connection: &Connection,
        faults: &mut Faults,
        out: &mut Output,
    ) {
        let flow = Flow {
            source: connection.source,
            destination: connection.destination,
            port: connection.port.or(judge.inputs.port),
            object: judge.inputs.object.as_deref(),
            chunk: judge.inputs.chunk,
            time: connection
                .time
                .filter(|_| judge.by_its_time)
                .unwrap_or(judge.inputs.time),
        };
        let Some(judgement) = judge.set.verify(&flow) else {
            return faults.push(place, format!("no record is in force at {}", flow.time));
        };
        let verdict = judgement.verdict;
        if let Some((_, count)) = self.counts.iter_mut().find(|(name, _)| *name == verdict.name()) {
            *count += 1;
        }
        if out.is_json() {
            let mut document = judge.json(&verdict);
            document["source"] = flow.source.to_string().into();
            document["destination"] = flow.destination.to_string().into();
            document["port"] = flow.port.map(|port| port.0).into();
            document["time"] = flow.time.0.into();
            document["from"] = judgement.from.0.into();
            let separator = if self.written > 0 { "," } else { "" };
            out.put(format_args!("{separator}\n    {}", indented(&document, "    ")));
            self.written += 1;
        } else {
            let name = paint(colour(&verdict), format!("{:<10}", verdict.name()));
            let (source, destination) = (flow.source.to_string(), flow.destination.to_string());
            let line = format!("{name}  {source:<39}  {destination:<39}  {}", remark(judge, &verdict));
            out.line(line.trim_end());
        }
    }

    /// Reports faults: immediately as text, or at the end of a document.
    fn report(&mut self, faults: Faults, out: &mut Output) {
        if !out.is_json() && !faults.0.is_empty() {
            out.faults(&faults.0);
        }
        self.faults.extend(faults.0);
    }

    fn end(self, judge: &Judge<'_>, out: &mut Output) -> Outcome {
        let judged: usize = self.counts.iter().map(|(_, count)| count).sum();
        let conforming = self.counts.iter().find(|(name, _)| *name == "conforming");
        let all_conform = conforming.is_some_and(|(_, count)| *count == judged);
        if out.is_json() {
            let counts: Map<String, Value> = self
                .counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), (*count).into()))
                .collect();
            let mut rest = json!({ "counts": counts, "passed_over": self.others, "time": judge.inputs.time.0 });
            if !self.faults.is_empty() {
                rest["error"] = json!({ "faults": self.faults });
            }
            let newline = if self.written > 0 { "\n  " } else { "" };
            // Without its first brace, which the document began with.
            let rest = indented(&rest, "");
            out.line(format_args!("{newline}],{}", rest.strip_prefix('{').unwrap_or(&rest)));
        } else {
            let counts: Vec<String> = self
                .counts
                .iter()
                .map(|(name, count)| format!("{count} {name}"))
                .collect();
            let others = if self.others > 0 {
                format!("; {} passed over, not from IPv6 to IPv6", counted(self.others, "line"))
            } else {
                String::new()
            };
            let text = format!("{}: {}{others}", counted(judged, "connection"), counts.join(", "));
            out.line(paint(style::HEADING, text));
        }
        if !self.faults.is_empty() {
            Outcome::BadInput
        } else if all_conform {
            Outcome::Fine
        } else {
            Outcome::NotFine
        }
    }
}

/// Writes a value in several lines, all but the first indented.
fn indented(value: &Value, by: &str) -> String {
    format!("{value:#}").replace('\n', &format!("\n{by}"))
}

fn remark(judge: &Judge<'_>, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Conforming(unchecked) if !unchecked.is_empty() => format!("unchecked: {unchecked}"),
        Verdict::Violation(violation) => {
            let (expected, found) = judge.expected_and_found(violation);
            format!("{}: expected {expected}, found {found}", violation.part())
        }
        Verdict::Conforming(_) | Verdict::Legacy | Verdict::Outside => String::new(),
    }
}
