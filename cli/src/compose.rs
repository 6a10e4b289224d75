//! `ssa compose`: the addresses that a client connects to.

use serde::Serialize;
use ssa_rules::{
    ComposeError, Destination, ItemSet, Progress, Record, Replica, Request, Rule, UnixTime,
    published::{Party, Publication},
};

use crate::{
    Outcome,
    failure::{Failure, Fault, Faults, Kind},
    input::{FlowArgs, Found, Inputs, KeyArgs, Keys, Service, ServiceArgs, number},
    output::Output,
    published,
    random::Random,
    style::{self, paint},
};

const EXAMPLES: &str = "\
Prints one address a line. Of several records, the one counts that a client uses at --time: the usable one with the \
greatest `from` not after it.

Examples:
  ssa compose --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=hash(src/64):20 rand:44' \\
      --source 2001:db8:77::7
  ssa compose store.example --source 2001:db8:77::7 --object photos/cat.jpg --replica all
  ssa compose --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=mac(src/64,time/30):64; key=k1' \\
      --source 2001:db8:77::7 --secret-file keys.txt
  ssa compose --apl 2:2001:db8:5::/64 \\
      --rule 'v=ssa1; addr=hash(obj):10 const(0):54; obj=path:/cas/{obj},header:x-key' \\
      --source 2001:db8:77::7 --request 'GET /cas/x' --header 'x-key: y'

Exit codes: 0 composed; 1 the service publishes nothing usable, or no address is in it; 2 usage or bad input.";

/// Composes addresses as a client does
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which replica, counted from 0, or `all` [default: a random one for each address]
    #[arg(long, value_name = "R")]
    replica: Option<String>,
    /// How many addresses, each drawn on its own, 1 to 1000000 [default: 1]
    #[arg(long, value_name = "N")]
    count: Option<String>,
    /// Draws the random bits from this seed, 0 to 2^64-1, so that the same call prints the same [default: the
    /// system's random bits]
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// Adds item, replica and tries to each address, and the record above them
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Which replica to compose by.
#[derive(Clone, Copy)]
enum WhichReplica {
    Random,
    One(u8),
    All,
}

#[derive(Serialize)]
struct Composed {
    address: String,
    item: String,
    replica: u8,
    tries: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    record: &'a str,
    from: u64,
    time: u64,
    source: String,
    /// What the record finds in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<serde_json::Value>,
    addresses: Vec<Composed>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let inputs = args.flow.read_with_source(&mut faults);
    let keys = args.keys.read(&mut faults, out);
    let which = match args.replica.as_deref() {
        None => WhichReplica::Random,
        Some("all") => WhichReplica::All,
        Some(text) => number("--replica", text, 0, 15, &mut faults).map_or(WhichReplica::Random, WhichReplica::One),
    };
    let count = args
        .count
        .as_deref()
        .map_or(Some(1), |text| number("--count", text, 1, 1_000_000, &mut faults));
    let seed = args
        .seed
        .as_deref()
        .and_then(|text| number("--seed", text, 0, u64::MAX, &mut faults));
    let service = args.service.read(&mut faults)?;
    faults.check()?;
    let (Some(service), Some(source), Some(count)) = (service, inputs.source, count) else {
        return Err(Failure::input("command line", "incomplete"));
    };

    inputs.warn(out);
    let publication = service.publication(Party::Client, &keys);
    let (rule, record) = client_rule(&service, &publication, inputs.time)?;
    let (inputs, found) = inputs.by(&record);
    let mut random = Random::new(seed)?;
    let request = Request {
        source,
        object: inputs.object.as_deref(),
        chunk: inputs.chunk,
        port: inputs.port,
        time: Some(inputs.time),
        replica: Replica(0),
    };
    let told = |error| tell(error, &record, &inputs, found.as_ref(), &keys);
    let mut compose = |replica: u8, out: &mut Output| -> Result<Option<Composed>, Failure> {
        let request = Request {
            replica: Replica(replica),
            ..request
        };
        let found = search(&rule, &request, &mut random).map_err(told)?;
        if out.is_json() {
            return Ok(Some(found));
        }
        print(&found, args.verbose, out);
        Ok(None)
    };

    if args.verbose && !out.is_json() {
        out.line(format_args!("{} {record}", paint(style::HEADING, "record  ")));
        for (name, text) in found.iter().flat_map(|found| found.lines(&record)) {
            out.line(format_args!("{} {text}", paint(style::HEADING, format!("{name:<8}"))));
        }
    }
    let mut addresses = Vec::new();
    let mut drawn = Random::new(seed.map(|seed| !seed))?;
    for _ in 0..count {
        if out.is_closed() {
            break;
        }
        match which {
            WhichReplica::All => {
                for replica in 0..rule.replicas() {
                    addresses.extend(compose(replica, out)?);
                }
            }
            WhichReplica::One(replica) => addresses.extend(compose(replica, out)?),
            WhichReplica::Random => addresses.extend(compose(drawn.below(rule.replicas()), out)?),
        }
    }
    if out.is_json() {
        let (from, time) = (rule.from().0, inputs.time.0);
        out.json(&Document {
            record: &record.to_string(),
            from,
            time,
            source: source.to_string(),
            request: found.as_ref().map(Found::json),
            addresses,
        });
    }
    Ok(Outcome::Fine)
}

fn print(found: &Composed, verbose: bool, out: &mut Output) {
    if verbose {
        let Composed {
            address,
            item,
            replica,
            tries,
        } = found;
        let details = format!("item {item}  replica {replica}  tries {tries}");
        out.line(format_args!("{address:<39}  {}", paint(style::DIM, details)));
    } else {
        out.line(&found.address);
    }
}

/// Returns the rule that a client uses now, and its record.
pub(crate) fn client_rule(
    service: &Service,
    publication: &Publication,
    now: UnixTime,
) -> Result<(Rule, Record), Failure> {
    published::check(service, publication, Party::Client)?;
    let rule = publication
        .set
        .as_ref()
        .ok()
        .and_then(|set| set.client_rule(now))
        .copied();
    let record = rule.and_then(|rule| published::record_of(publication, rule.from()));
    let (Some(rule), Some(record)) = (rule, record) else {
        let starts =
            published::next_start(publication, now).map_or_else(String::new, |from| format!(", the first from {from}"));
        return Err(Failure::not_fine(
            "record",
            format!("none is in force at {now}{starts}; fall back to a plain connection"),
        ));
    };
    Ok((rule, record.clone()))
}

fn search(rule: &Rule, request: &Request<'_>, random: &mut Random) -> Result<Composed, ComposeError> {
    let mut bits = || random.next();
    let mut search = rule.search(request, ItemSet::EMPTY, &mut bits)?;
    loop {
        if let Progress::Found(Destination(address)) = rule.advance(&mut search, request, 1 << 20, &mut bits)? {
            let item = rule.positive_items().find(|(index, _)| *index == search.item());
            let item = item.map_or_else(String::new, |(_, item)| item.to_string());
            return Ok(Composed {
                address: address.to_string(),
                item,
                replica: request.replica.0,
                tries: search.tries(),
            });
        }
    }
}

/// Returns which flag would help.
fn tell(error: ComposeError, record: &Record, inputs: &Inputs, found: Option<&Found>, keys: &Keys) -> Failure {
    let fault = |place: &str| Fault::new(place, error);
    let mut kind = Kind::Input;
    let faults = match error {
        ComposeError::Missing(missing) => {
            let flags = [
                ("--object", missing.object),
                ("--chunk", missing.chunk),
                ("--port", missing.port),
            ];
            let missing = flags.into_iter().filter(|(_, missing)| *missing);
            missing
                .map(|(flag, _)| match (found, flag) {
                    (Some(found), "--object") => Fault::new(
                        "--request",
                        format!("no object key: {}: {record}", found.why_no_object()),
                    ),
                    (Some(found), "--chunk") => {
                        Fault::new("--request", format!("no chunk: {}: {record}", found.why_no_chunk()))
                    }
                    _ => Fault::new(flag, format!("missing; the record needs it: {record}")),
                })
                .collect()
        }
        ComposeError::SecretMissing => {
            let lacking = record.key().map_or_else(|| "missing".into(), |id| keys.lacks(id));
            vec![Fault::new(
                "--secret",
                format!(
                    "{lacking}; give --secret NAME=HEX, --secret-file FILE or, with kdf, --client-key NAME=HEX: \
                     {record}"
                ),
            )]
        }
        ComposeError::ReplicaOutOfRange { .. } => vec![fault("--replica")],
        ComposeError::ObjectNotNumeric => {
            let object = inputs.object.as_deref().unwrap_or_default().escape_ascii();
            let place = if found.is_some() { "--request" } else { "--object" };
            vec![Fault::new(place, format!("`{object}`: {error}"))]
        }
        ComposeError::ObjectTooLong => vec![fault("--object")],
        ComposeError::NoItemLeft | ComposeError::NotInService | ComposeError::PowExhausted { .. } => {
            kind = Kind::NotFine;
            vec![fault("record")]
        }
        ComposeError::Corrupt => vec![fault("record")],
    };
    Failure { faults, kind }
}
