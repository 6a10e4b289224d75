//! `ssa explain`: the template of a record as a bit map, and an address decoded by it.

mod decode;
mod map;
mod words;

use std::net::Ipv6Addr;

use serde_json::{Value, json};
use ssa_rules::{AddressSpace, Apl, Record, published::Party};

use crate::{
    Outcome,
    failure::{Failure, Faults},
    input::{FlagArgs, FlowArgs, Found, KeyArgs, Keys, NameArgs, Service, ServiceArgs},
    output::Output,
    published,
    style::{self, paint},
};
use decode::{Decoded, Finding};

const EXAMPLES: &str = "\
With an ADDRESS every field is decoded, and compared with what it should be as far as the inputs are given. \
Without --apl the address is taken to lie in an item of the service.

Examples:
  ssa explain --rule 'v=ssa1; addr=hash(src/64):20 rand:44'
  ssa explain --rule 'v=ssa1; addr=hash(src/64):20 rand:44' 2001:db8:5:0:f28c:839:3d5e:f186 \\
      --source 2001:db8:77::7
  ssa explain store.example 2001:db8:5:0:f28c:839:3d5e:f186 --object photos/cat.jpg
  ssa explain store.example 2001:db8:5:0:f28c:839:3d5e:f186 --request 'GET /photos/cat.jpg'

Exit codes: 0 explained; 1 the name has no usable record, or the address does not conform; 2 usage or bad input.";

/// Shows the template as a bit map, and decodes an address by it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The service's name, in place of --apl and --rule; an address to decode
    #[arg(value_name = "NAME|ADDRESS", num_args = 0..=2)]
    what: Vec<String>,
    /// Shows what a mac should be: whoever knows it passes for the client
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    flags: FlagArgs,
    #[command(flatten)]
    server: NameArgs,
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    keys: KeyArgs,
}

pub(crate) fn run(args: Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let (mut address, mut name) = (None, None);
    for text in args.what {
        let seen = match text.parse::<Ipv6Addr>() {
            Ok(found) => address.replace(found).is_some(),
            Err(_) => name.replace(text).is_some(),
        };
        if seen {
            faults.push("NAME|ADDRESS", "two of a kind; at most one name and one IPv6 address");
        }
    }
    if name.is_some() && (!args.flags.apl.is_empty() || !args.flags.rule.is_empty()) {
        faults.push("NAME", "stands in place of --apl and --rule; give one or the other");
    }
    let inputs = args.flow.read(&mut faults);
    let keys = args.keys.read(&mut faults, out);
    let service = if name.is_none() && args.flags.has_no_addresses() {
        args.server.refuse(&mut faults);
        args.flags.require_rule(&mut faults);
        args.flags.parse(&mut faults)
    } else {
        ServiceArgs {
            name,
            flags: args.flags,
            server: args.server,
        }
        .read(&mut faults)?
    };
    faults.check()?;
    let Some(service) = service else {
        return Err(Failure::input("command line", "incomplete"));
    };
    let records = records(&service, &keys)?;
    let published = service
        .apl
        .as_ref()
        .and_then(|apl| AddressSpace::new(apl).ok().flatten());
    // A list without items of family 2 counts as absent.
    let apl = service.apl.as_ref().filter(|_| published.is_some());

    let mut documents = Vec::new();
    let mut conforms = address.is_none();
    for (index, record) in records.iter().enumerate() {
        let (inputs, found) = inputs.by(record);
        let decoded = address.map(|address| {
            let context = decode::Context {
                record,
                published: published.as_ref(),
                inputs: &inputs,
                keys: &keys,
            };
            decode::decode(&context, address)
        });
        conforms |= decoded.as_ref().is_some_and(Decoded::conforms);
        if out.is_json() {
            let mut document = document(record, apl, decoded.as_ref(), args.reveal);
            if let Some(found) = &found {
                document["request"] = found.json();
            }
            documents.push(document);
        } else {
            if index > 0 {
                out.line("");
            }
            print(record, apl, decoded.as_ref(), found.as_ref(), args.reveal, out);
        }
    }
    if out.is_json() {
        out.json(&json!({ "records": documents }));
    }
    Ok(if conforms { Outcome::Fine } else { Outcome::NotFine })
}

/// Returns the records to explain: those given, or the usable ones of a name.
fn records(service: &Service, keys: &Keys) -> Result<Vec<Record>, Failure> {
    if service.resolution.is_none() {
        let records = service.records.iter().filter_map(|text| Record::from_bytes(text).ok());
        return Ok(records.collect());
    }
    let publication = service.publication(Party::Client, keys);
    published::check(service, &publication, Party::Client)?;
    let usable = publication
        .candidates
        .into_iter()
        .filter(|candidate| candidate.rule.is_ok());
    Ok(usable.filter_map(|candidate| candidate.record.ok()).collect())
}

/// What stands at which bits.
struct Part {
    letter: char,
    name: String,
    start: u8,
    width: u8,
    style: anstyle::Style,
}

/// The item, then the fields.
fn parts(record: &Record) -> Vec<Part> {
    let width = record.template().item_length();
    let mut start = width;
    let mut parts = vec![Part {
        letter: '·',
        name: "item".into(),
        start: 0,
        width,
        style: style::ITEM,
    }];
    for ((index, field), letter) in record.template().fields().iter().enumerate().zip('A'..) {
        let width = field.width();
        parts.push(Part {
            letter,
            name: format!("field {index}"),
            start,
            width,
            style: style::field(index),
        });
        start = start.saturating_add(width);
    }
    parts
}

fn bits(part: &Part) -> String {
    let last = part.start.saturating_add(part.width).saturating_sub(1);
    if part.width == 1 {
        part.start.to_string()
    } else {
        format!("{}-{last}", part.start)
    }
}

fn print(
    record: &Record,
    apl: Option<&Apl>,
    decoded: Option<&Decoded>,
    found: Option<&Found>,
    reveal: bool,
    out: &mut Output,
) {
    let parts = parts(record);
    out.line(paint(style::HEADING, record));
    out.line("");
    map::print(&parts, decoded.map(|decoded| decoded.address), out);
    out.line("");
    table(record, &parts, out);
    out.line("");
    for (name, text) in words::facts(record, apl) {
        out.line(format_args!("{} {text}", paint(style::HEADING, format!("{name:<9}"))));
    }
    if let Some(found) = found {
        out.line("");
        for (name, text) in found.lines(record) {
            out.line(format_args!("{} {text}", paint(style::HEADING, format!("{name:<9}"))));
        }
    }
    let Some(decoded) = decoded else {
        return;
    };
    out.line("");
    out.line(format_args!(
        "{} {}",
        paint(style::HEADING, "address  "),
        decoded.address
    ));
    let (verdict, style) = decoded.verdict_text(reveal);
    out.line(format_args!(
        "{} {}",
        paint(style::HEADING, "verdict  "),
        paint(style, verdict)
    ));
    for (part, finding) in parts.iter().zip(&decoded.findings) {
        let name = paint(part.style, format!("{} {:<9}", part.letter, part.name));
        let (mark, style) = mark(finding);
        let (value, remark) = (&finding.value, finding.remark(reveal));
        // Part, mark and blanks take 21 columns; a remark that does not fit beside them goes below.
        if 21 + value.len().max(18) + remark.len() > WIDEST {
            out.line(format_args!("{name} {value:<18} {}", paint(style, mark)));
            out.line(format_args!("{:12}{remark}", ""));
        } else {
            let line = format!("{name} {value:<18} {} {remark}", paint(style, mark));
            out.line(line.trim_end());
        }
    }
}

/// The widest line of the table.
const WIDEST: usize = 80;

fn table(record: &Record, parts: &[Part], out: &mut Output) {
    let rows: Vec<(&Part, String, String)> = parts
        .iter()
        .enumerate()
        .map(|(index, part)| {
            let (filled, checked) = words_of(record, index);
            (part, filled, checked)
        })
        .collect();
    let widest = rows
        .iter()
        .map(|(_, filled, _)| filled.len())
        .max()
        .unwrap_or(0)
        .max(11);
    let checks = rows.iter().map(|(_, _, checked)| checked.len()).max().unwrap_or(0);
    // Part, bits and width take 29 columns; what does not fit beside them goes below.
    let below = 29 + widest + checks > WIDEST;
    let heading = format!(
        "  {:<9} {:>7} {:>5}  {:<widest$}  a verifier",
        "part", "bits", "width", "filled with"
    );
    out.line(paint(
        style::DIM,
        if below {
            heading.trim_end_matches("a verifier").trim_end()
        } else {
            &heading
        },
    ));
    for (part, filled, checked) in rows {
        let name = paint(part.style, format!("{} {:<9}", part.letter, part.name));
        let row = format!("{name} {:>7} {:>5}  {filled:<widest$}", bits(part), part.width);
        if below {
            out.line(row.trim_end());
            out.line(format_args!(
                "{:27}{}",
                "",
                paint(style::DIM, format!("a verifier {checked}"))
            ));
        } else {
            out.line(format_args!("{row}  {checked}"));
        }
    }
}

/// Returns what fills a part and what a verifier does about it.
fn words_of(record: &Record, index: usize) -> (String, String) {
    match index
        .checked_sub(1)
        .and_then(|index| record.template().fields().get(index))
    {
        None => (words::item(record), words::item_check(record)),
        Some(field) => (words::field(field), words::field_check(record, field)),
    }
}

fn mark(finding: &Finding) -> (&'static str, anstyle::Style) {
    match finding.fits {
        Some(true) => ("fits   ", style::GOOD),
        Some(false) => ("differs", style::BAD),
        None if finding.open => ("open   ", style::DIM),
        None => ("unknown", style::WARN),
    }
}

fn document(record: &Record, apl: Option<&Apl>, decoded: Option<&Decoded>, reveal: bool) -> Value {
    let fields = record.template().fields();
    let parts: Vec<Value> = parts(record)
        .iter()
        .enumerate()
        .map(|(index, part)| {
            let field = index.checked_sub(1).and_then(|index| fields.get(index));
            let (filled, checked) = words_of(record, index);
            let mut value = json!({
                "part": part.name.replace(' ', "_"),
                "kind": field.map_or("item", ssa_rules::record::Field::name),
                "first_bit": part.start,
                "width": part.width,
                "filled_with": filled,
                "verifier": checked,
            });
            if let Some(finding) = decoded.and_then(|decoded| decoded.findings.get(index)) {
                value["value"] = finding.value.clone().into();
                value["fits"] = finding.fits.into();
                value["expected"] = finding.shown(reveal).into();
                value["remark"] = finding.note.clone().into();
            }
            value
        })
        .collect();
    let facts: serde_json::Map<String, Value> = words::facts(record, apl)
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    json!({
        "record": record.to_string(),
        "from": record.from().0,
        "item_length": record.template().item_length(),
        "parts": parts,
        "facts": facts,
        "address": decoded.map(|decoded| decoded.address.to_string()),
        "verdict": decoded.and_then(|decoded| decoded.verdict.as_ref()).map(ssa_rules::Verdict::name),
    })
}
