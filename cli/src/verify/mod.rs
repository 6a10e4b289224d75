//! `ssa verify`: what the cluster says of a connection.

mod batch;
mod connection;

use serde::Serialize;
use serde_json::{Value, json};
use ssa_rules::{
    Destination, Flow, Record, Rule, Verdict,
    published::{Judgement, Party, Published},
    verdict::{Expected, Violation},
};

use crate::{
    Outcome,
    counts::counted,
    failure::{Failure, Faults},
    input::{FlowArgs, Found, Inputs, KeyArgs, ServiceArgs, address},
    output::Output,
    published,
    style::{self, paint},
};

const EXAMPLES: &str = "\
Judges by every record whose `from` is not after --time plus its skew; the best verdict counts. What needs an object \
key, a chunk or a port that is not given stays unchecked. With --batch, each line is

  SOURCE DESTINATION [PORT]

where an address may stand as [ADDRESS]:PORT too, or a line of Envoy's access log as JSON: its source and destination \
(downstream_remote_address and downstream_local_address), and unless --time is given its time (start_time). Each is judged \
as it comes. Empty lines and those that start with # are passed over.

Examples:
  ssa verify --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=hash(src/64):20 rand:44' \\
      --source 2001:db8:77::7 --destination 2001:db8:5:0:f28c:839:3d5e:f186
  ssa verify store.example --source 2001:db8:77::7 --destination 2001:db8:5::1 \\
      --object photos/cat.jpg --port 443
  ssa verify store.example --source 2001:db8:77::7 --destination 2001:db8:5::1 \\
      --request 'GET /cas/x' --header 'x-tenant: a'
  ssa verify store.example --secret-file keys.txt --batch connections.txt --json
  ssa verify store.example --batch - < access.log

Exit codes: 0 conforming (every line, with --batch); 1 anything else; 2 usage or bad input.";

/// Verifies a connection as the cluster does
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The address that the client connects to: IPv6
    #[arg(long, value_name = "ADDRESS")]
    destination: Option<String>,
    /// Reads many connections from a file, or from standard input (-)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "destination", "request"])]
    batch: Option<String>,
    /// Shows what a mac should be: whoever knows it passes for the client
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    keys: KeyArgs,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let inputs = if args.batch.is_some() {
        args.flow.read(&mut faults)
    } else {
        args.flow.read_with_source(&mut faults)
    };
    if args.destination.is_none() && args.batch.is_none() {
        faults.push(
            "--destination",
            "missing; give the address that the client connects to, or --batch FILE",
        );
    }
    let destination = args
        .destination
        .as_deref()
        .and_then(|text| address("--destination", text, &mut faults));
    let keys = args.keys.read(&mut faults, out);
    let batch = args.batch.as_deref().and_then(|path| batch::open(path, &mut faults));
    let service = args.service.read(&mut faults)?;
    faults.check()?;
    let Some(service) = service else {
        return Err(Failure::input("command line", "incomplete"));
    };

    let publication = service.publication(Party::Verifier, &keys);
    published::check(&service, &publication, Party::Verifier)?;
    let Ok(set) = &publication.set else {
        return Err(Failure::not_fine("records", "none is usable"));
    };
    if publication.candidates.len() > set.rules().len() {
        for fault in published::faults(&service, &publication) {
            out.warn(format_args!(
                "{}: {}",
                fault.place,
                ssa_input::text::clean(&fault.message)
            ));
        }
    }
    let judge = Judge {
        set,
        inputs: &inputs,
        by_its_time: args.flow.time.is_none(),
        reveal: args.reveal,
        record: &|rule| published::record_of(&publication, rule.from()),
    };
    if let Some(batch) = batch {
        return Ok(batch::run(&judge, batch, out));
    }
    if judge.set.accepted(inputs.time).next().is_none() {
        let starts = published::next_start(&publication, inputs.time);
        let starts = starts.map_or_else(String::new, |from| format!(", the first from {from}"));
        return Err(Failure::not_fine(
            "records",
            format!("none is in force at {}{starts}", inputs.time),
        ));
    }
    let (Some(source), Some(destination)) = (inputs.source, destination) else {
        return Err(Failure::input("command line", "incomplete"));
    };
    let flow = Flow {
        source,
        destination: Destination(destination),
        port: inputs.port,
        object: inputs.object.as_deref(),
        chunk: inputs.chunk,
        time: inputs.time,
    };
    Ok(judge.tell(&flow, out))
}

/// What connections are judged by.
struct Judge<'a> {
    set: &'a Published,
    inputs: &'a Inputs,
    /// Whether a connection that tells its time is judged by that.
    by_its_time: bool,
    reveal: bool,
    record: &'a dyn Fn(&Rule) -> Option<&'a Record>,
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    verdict: Value,
    /// The record that gave the verdict.
    record: String,
    from: u64,
    source: String,
    destination: String,
    time: u64,
    /// What that record finds in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Value>,
    /// What each accepted record says.
    records: Vec<Value>,
}

impl Judge<'_> {
    /// Returns the text of a rule's record.
    fn text(&self, rule: &Rule) -> String {
        (self.record)(rule).map_or_else(String::new, ToString::to_string)
    }

    /// Returns what a rule's record finds in the request, if there is one.
    fn found(&self, rule: &Rule) -> Option<Found> {
        self.inputs.by((self.record)(rule)?).1
    }

    fn verdict(&self, rule: &Rule, flow: &Flow<'_>) -> Option<Verdict> {
        let found = self.found(rule);
        let of_request = found.as_ref().map(|found| Flow {
            object: found.object.as_deref(),
            chunk: found.chunk,
            ..*flow
        });
        rule.verify(&of_request.unwrap_or(*flow)).ok()
    }

    fn tell(&self, flow: &Flow<'_>, out: &mut Output) -> Outcome {
        let all: Vec<(&Rule, Verdict)> = self
            .set
            .accepted(flow.time)
            .filter_map(|rule| Some((rule, self.verdict(rule, flow)?)))
            .collect();
        let judgement = |(rule, verdict): &(&Rule, Verdict)| Judgement {
            verdict: *verdict,
            from: rule.from(),
        };
        let Some(best) = Judgement::best(all.iter().map(judgement)) else {
            // A record is accepted and has its secret, as was checked.
            return Outcome::NotFine;
        };
        let of_best = self.set.record(best.from).map(|(rule, _)| rule);
        let record = of_best.map_or_else(String::new, |rule| self.text(rule));
        let found = of_best.and_then(|rule| self.found(rule));
        if out.is_json() {
            let records = all.iter().map(|(rule, verdict)| {
                let mut value = self.json(verdict);
                value["record"] = self.text(rule).into();
                value["from"] = rule.from().0.into();
                value
            });
            out.json(&Document {
                verdict: self.json(&best.verdict),
                record,
                from: best.from.0,
                source: flow.source.to_string(),
                destination: flow.destination.to_string(),
                time: flow.time.0,
                request: found.as_ref().map(Found::json),
                records: records.collect(),
            });
        } else {
            let line = |name: &str, text: String| format!("{} {text}", paint(style::HEADING, format!("{name:<11}")));
            out.line(line(
                "verdict",
                paint(colour(&best.verdict), best.verdict.name()).to_string(),
            ));
            for (name, text) in self.details(&best.verdict) {
                out.line(line(name, text));
            }
            out.line(line("source", flow.source.to_string()));
            out.line(line("destination", flow.destination.to_string()));
            out.line(line("time", flow.time.to_string()));
            if let (Some(found), Some(record)) = (&found, of_best.and_then(self.record)) {
                for (name, text) in found.lines(record) {
                    out.line(line(name, text));
                }
            }
            out.line(line("record", record));
            if all.len() > 1 {
                out.line(line(
                    "all records",
                    format!("{} are accepted; the best verdict counts", all.len()),
                ));
                for (rule, verdict) in &all {
                    let name = paint(colour(verdict), format!("{:<10}", verdict.name()));
                    out.line(format_args!("  {name} from={}  {}", rule.from(), self.text(rule)));
                }
            }
        }
        outcome(&best.verdict)
    }

    /// Returns more of a verdict, by heading.
    fn details(&self, verdict: &Verdict) -> Vec<(&'static str, String)> {
        match verdict {
            Verdict::Conforming(unchecked) if unchecked.is_empty() => vec![("unchecked", "nothing".into())],
            Verdict::Conforming(unchecked) => {
                vec![(
                    "unchecked",
                    if self.inputs.request.is_some() {
                        format!("{unchecked} (the request does not tell, or --port is not given)")
                    } else {
                        format!("{unchecked} (for lack of --object, --chunk, --request or --port)")
                    },
                )]
            }
            Verdict::Legacy => vec![(
                "reason",
                "the longest item that contains the destination is negated".into(),
            )],
            Verdict::Outside => vec![("reason", "no item of the address list contains the destination".into())],
            Verdict::Violation(violation) => {
                let (expected, found) = self.expected_and_found(violation);
                let part = match violation {
                    Violation::Field { kind, .. } => format!("{} ({})", violation.part(), kind.name()),
                    Violation::Item { .. } | Violation::Pow { .. } => violation.part().to_string(),
                };
                vec![("part", part), ("expected", expected), ("found", found)]
            }
        }
    }

    fn expected_and_found(&self, violation: &Violation) -> (String, String) {
        match violation {
            Violation::Item { expected, found } => (expected.to_string(), found.to_string()),
            Violation::Field { expected, found, .. } => {
                let expected = match expected {
                    Expected::Hidden(value) if self.reveal => format!("{:#x}", value.reveal()),
                    Expected::Hidden(_) => "(hidden; --reveal shows it)".into(),
                    Expected::Value(_) | Expected::Number => expected.to_string(),
                };
                (expected, format!("{found:#x}"))
            }
            Violation::Pow { needed, found } => {
                (format!("{} of work", counted(*needed, "bit")), counted(*found, "bit"))
            }
        }
    }

    fn json(&self, verdict: &Verdict) -> Value {
        let unchecked: Vec<&str> = match verdict {
            Verdict::Conforming(unchecked) => unchecked.parts().map(ssa_rules::Part::name).collect(),
            Verdict::Legacy | Verdict::Outside | Verdict::Violation(_) => Vec::new(),
        };
        let violation = verdict.violation().map(|violation| {
            let kind = match violation {
                Violation::Item { .. } => "item",
                Violation::Field { kind, .. } => kind.name(),
                Violation::Pow { .. } => "pow",
            };
            let (expected, found) = match violation {
                Violation::Field {
                    expected: Expected::Hidden(_),
                    found,
                    ..
                } if !self.reveal => (Value::Null, format!("{found:#x}")),
                Violation::Pow { needed, found } => (needed.to_string().into(), found.to_string()),
                Violation::Item { .. } | Violation::Field { .. } => {
                    let (expected, found) = self.expected_and_found(violation);
                    (expected.into(), found)
                }
            };
            json!({ "part": violation.part().name(), "kind": kind, "expected": expected, "found": found })
        });
        json!({ "verdict": verdict.name(), "unchecked": unchecked, "violation": violation })
    }
}

fn outcome(verdict: &Verdict) -> Outcome {
    if matches!(verdict, Verdict::Conforming(_)) {
        Outcome::Fine
    } else {
        Outcome::NotFine
    }
}

fn colour(verdict: &Verdict) -> anstyle::Style {
    match verdict {
        Verdict::Conforming(_) => style::GOOD,
        Verdict::Legacy => style::WARN,
        Verdict::Outside | Verdict::Violation(_) => style::BAD,
    }
}
