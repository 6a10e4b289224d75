//! Many connections, a line each.

use std::{
    fs::File,
    io::{BufRead, BufReader, stdin},
};

use serde_json::{Value, json};
use ssa_rules::{Destination, Flow, Port, Source, Verdict};

use super::{Judge, colour, outcome};
use crate::{
    Outcome,
    counts::counted,
    failure::Faults,
    input::{address, number},
    output::Output,
    style::{self, paint},
};

/// A line: a source, a destination, and a port if it has one.
pub(super) struct Line {
    source: Source,
    destination: Destination,
    port: Option<Port>,
}

/// The most faults told of one file.
const MAX_FAULTS: usize = 20;

/// Reads all lines, noting every fault.
pub(super) fn read(path: &str, faults: &mut Faults) -> Vec<Line> {
    let reader: Box<dyn BufRead> = if path == "-" {
        Box::new(stdin().lock())
    } else {
        match faults.take(&format!("--batch {path}"), File::open(path)) {
            Some(file) => Box::new(BufReader::new(file)),
            None => return Vec::new(),
        }
    };
    let mut lines = Vec::new();
    let before = faults.0.len();
    for (number, text) in (1_usize..).zip(reader.lines()) {
        let place = format!("--batch {path} line {number}");
        let Some(text) = faults.take(&place, text) else {
            break;
        };
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        lines.extend(line(&place, &text, faults));
        if faults.0.len() >= before + MAX_FAULTS {
            faults.push(
                place,
                format!("{MAX_FAULTS} faults so far; the rest of the file is not read"),
            );
            break;
        }
    }
    lines
}

fn line(place: &str, text: &str, faults: &mut Faults) -> Option<Line> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (source, destination, port) = match words[..] {
        [source, destination] => (source, destination, None),
        [source, destination, port] => (source, destination, Some(port)),
        _ => {
            faults.push(
                place,
                format!("{} words; a line is SOURCE DESTINATION [PORT]", words.len()),
            );
            return None;
        }
    };
    let source = address(place, source, faults);
    let destination = address(place, destination, faults);
    let port = match port {
        Some(port) => Some(Port(number(place, port, 0, u16::MAX, faults)?)),
        None => None,
    };
    Some(Line {
        source: Source(source?),
        destination: Destination(destination?),
        port,
    })
}

/// Judges all lines: a table with counts, or one JSON document.
pub(super) fn run(judge: &Judge<'_>, lines: &[Line], out: &mut Output) -> Outcome {
    let mut counts = [("conforming", 0_usize), ("legacy", 0), ("violation", 0), ("outside", 0)];
    let mut all = Outcome::Fine;
    let mut documents: Vec<Value> = Vec::new();
    for line in lines {
        let flow = Flow {
            source: line.source,
            destination: line.destination,
            port: line.port.or(judge.inputs.port),
            object: judge.inputs.object.as_deref(),
            chunk: judge.inputs.chunk,
            time: judge.inputs.time,
        };
        let Some(judgement) = judge.set.verify(&flow) else {
            continue;
        };
        let verdict = judgement.verdict;
        if let Some((_, count)) = counts.iter_mut().find(|(name, _)| *name == verdict.name()) {
            *count += 1;
        }
        if outcome(&verdict) == Outcome::NotFine {
            all = Outcome::NotFine;
        }
        if out.is_json() {
            let mut document = judge.json(&verdict);
            document["source"] = line.source.to_string().into();
            document["destination"] = line.destination.to_string().into();
            document["port"] = flow.port.map(|port| port.0).into();
            document["from"] = judgement.from.0.into();
            documents.push(document);
        } else if !out.is_closed() {
            let name = paint(colour(&verdict), format!("{:<10}", verdict.name()));
            let (source, destination) = (line.source.to_string(), line.destination.to_string());
            let line = format!("{name}  {source:<39}  {destination:<39}  {}", remark(judge, &verdict));
            out.line(line.trim_end());
        }
    }
    if out.is_json() {
        let counts: serde_json::Map<String, Value> = counts
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect();
        out.json(&json!({ "time": judge.inputs.time.0, "counts": counts, "connections": documents }));
    } else {
        let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        out.line(paint(
            style::HEADING,
            format!("{}: {}", counted(lines.len(), "connection"), counts.join(", ")),
        ));
    }
    all
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
