//! `ssa mint`: object keys that lead to a slice.

use std::net::Ipv6Addr;

use serde::Serialize;
use ssa_rules::{Chunk, MintError, Port, Replica, Request, Source, UnixTime, mint::MAX_PREFIX_BYTES, published::Party};

use crate::{
    Outcome,
    compose::client_rule,
    failure::{Failure, Fault, Faults},
    input::{KeyArgs, PrefixError, ServiceArgs, address, never_a_source, now, number, prefix},
    output::Output,
    random::Random,
};

const EXAMPLES: &str = "\
For servers that name objects themselves, such as sessions: each line is an object key, a UUID of version 4 behind --prefix, \
that clients compose to an address in --home. About 2^n keys are drawn for a slice n bits longer than its item, and 64 * 2^n \
at most; n is at most 24.

Examples:
  ssa mint store.example --home 2001:db8:5:0:a000::/68
  ssa mint --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=hash(obj):12 const(0):52; replicas=2' \\
      --home 2001:db8:5:0:a000::/68 --prefix session- --count 3 --verbose

Exit codes: 0 minted; 1 no key leads there, or the service publishes nothing usable; 2 usage or bad input.";

/// Mints object keys that lead to a slice
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The slice: an IPv6 prefix in a positive item
    #[arg(long, value_name = "PREFIX")]
    home: Option<String>,
    /// What each key begins with, at most 256 bytes [default: nothing]
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// How many keys, 1 to 10000 [default: 1]
    #[arg(long, value_name = "N")]
    count: Option<String>,
    /// Draws from this seed, 0 to 2^64-1, so that the same call prints the same: not for keys that are to be secret
    /// [default: the system's random bits]
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// Adds address, replica and tries to each key
    #[arg(long, short)]
    verbose: bool,
    /// The source address of those who will ask for the object, where the record depends on it: IPv6
    #[arg(long, value_name = "ADDRESS", help_heading = "Connection")]
    source: Option<String>,
    /// The chunk number, 0 to 2^64-1
    #[arg(long, value_name = "N", help_heading = "Connection")]
    chunk: Option<String>,
    /// The destination port, 0 to 65535
    #[arg(long, value_name = "PORT", help_heading = "Connection")]
    port: Option<String>,
    /// The time in seconds since 1970 (UTC) [default: now]
    #[arg(long, value_name = "UNIX", help_heading = "Connection")]
    time: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Serialize)]
struct Minted {
    key: String,
    address: String,
    replica: u8,
    tries: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    record: &'a str,
    home: String,
    keys: Vec<Minted>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let keys = args.keys.read(&mut faults, out);
    let home = if let Some(text) = &args.home {
        faults.take("--home", prefix(text).map_err(|error| told(text, &error)))
    } else {
        faults.push("--home", "missing; give the slice that keys are to lead to");
        None
    };
    let beginning = args.prefix.as_deref().unwrap_or_default();
    if beginning.len() > MAX_PREFIX_BYTES {
        let length = beginning.len();
        faults.push("--prefix", MintError::PrefixTooLong { length });
    }
    let optional = |flag: &str, text: &Option<String>, most: u64, faults: &mut Faults| {
        text.as_deref().and_then(|text| number(flag, text, 0, most, faults))
    };
    let count = args
        .count
        .as_deref()
        .map_or(Some(1), |text| number("--count", text, 1, 10_000, &mut faults));
    let seed = optional("--seed", &args.seed, u64::MAX, &mut faults);
    let chunk = optional("--chunk", &args.chunk, u64::MAX, &mut faults).map(Chunk);
    let port = args
        .port
        .as_deref()
        .and_then(|text| number("--port", text, 0, u16::MAX, &mut faults))
        .map(Port);
    let time = optional("--time", &args.time, u64::MAX, &mut faults).map_or_else(now, UnixTime);
    let source = args.source.as_deref().and_then(|text| read_source(text, &mut faults));
    let service = args.service.read(&mut faults)?;
    faults.check()?;
    let (Some(service), Some(home), Some(count)) = (service, home, count) else {
        return Err(Failure::input("command line", "incomplete"));
    };

    let publication = service.publication(Party::Client, &keys);
    let (rule, record) = client_rule(&service, &publication, time)?;
    let needs = record.needs();
    if !needs.object {
        let told = format!("no key leads anywhere: the record does not depend on the object key: {record}");
        return Err(Failure::not_fine("record", told));
    }
    if source.is_none() && needs.source {
        return Err(Failure::input(
            "--source",
            format!("missing; the record needs it: {record}"),
        ));
    }
    let request = Request {
        chunk,
        port,
        time: Some(time),
        replica: Replica(0),
        ..Request::new(Source(source.unwrap_or(Ipv6Addr::UNSPECIFIED)))
    };
    let mut random = Random::new(seed)?;
    let mut minted = Vec::new();
    for _ in 0..count {
        if out.is_closed() {
            break;
        }
        let found = rule.mint(&request, home, beginning, &mut || random.next());
        let found = found.map_err(|error| refused(error, &record.to_string()))?;
        let key = Minted {
            key: found.key,
            address: found.address.to_string(),
            replica: found.replica.0,
            tries: found.tries,
        };
        if out.is_json() {
            minted.push(key);
        } else if args.verbose {
            let Minted {
                key,
                address,
                replica,
                tries,
            } = key;
            out.line(format_args!("{key}  {address}  replica {replica}  tries {tries}"));
        } else {
            out.line(key.key);
        }
    }
    if out.is_json() {
        out.json(&Document {
            record: &record.to_string(),
            home: home.to_string(),
            keys: minted,
        });
    }
    Ok(Outcome::Fine)
}

fn read_source(text: &str, faults: &mut Faults) -> Option<Ipv6Addr> {
    let source = address("--source", text, faults)?;
    if let Some(why) = never_a_source(&source.into()) {
        faults.push("--source", format!("{source} is {why}"));
        return None;
    }
    Some(source)
}

fn told(text: &str, error: &PrefixError) -> String {
    match error {
        PrefixError::None => format!("`{text}` is not an IPv6 prefix, such as 2001:db8:5:0:a000::/68"),
        PrefixError::BitsPastLength(prefix) => {
            format!("{prefix} has bits set past its length; write {}", prefix.trunc())
        }
    }
}

/// Returns which flag would help, or that nothing does.
fn refused(error: MintError, record: &str) -> Failure {
    match error {
        MintError::Compose(ssa_rules::ComposeError::Missing(missing)) => {
            let flags = [("--chunk", missing.chunk), ("--port", missing.port)];
            let missing = flags.into_iter().filter(|(_, missing)| *missing);
            let faults = missing.map(|(flag, _)| Fault::new(flag, format!("missing; the record needs it: {record}")));
            Failure {
                faults: faults.collect(),
                kind: crate::failure::Kind::Input,
            }
        }
        MintError::Compose(error @ ssa_rules::ComposeError::SecretMissing) => {
            Failure::input("--secret", format!("{error}: {record}"))
        }
        MintError::Compose(ssa_rules::ComposeError::ObjectNotNumeric) => Failure::input(
            "--prefix",
            format!("must be empty, for the record takes the key as a number: {record}"),
        ),
        MintError::PrefixTooLong { .. } => Failure::input("--prefix", error),
        MintError::NotInService { .. } | MintError::TooSmall { .. } | MintError::Random { .. } => {
            Failure::input("--home", format!("{error}: {record}"))
        }
        MintError::NoneLeads { .. } | MintError::Compose(_) => {
            Failure::not_fine("--home", format!("{error}: {record}"))
        }
    }
}
