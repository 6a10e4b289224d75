//! `ssa key derive`.

use ipnet::Ipv6Net;
use serde_json::json;
use ssa_rules::{KeyId, Record, Source, SourceBits};

use super::made::{IntoArgs, Made};
use crate::{
    Outcome,
    failure::{Failure, Faults},
    input::{self, PrefixError, SecretArgs, number, record_faults},
    output::Output,
};

const EXAMPLES: &str = "\
Prints a line NAME=HEX for each secret, as --client-key takes it: the key of the clients in one source prefix. It \
composes for that prefix alone, and verifies nothing. With --rule it is the key of that record.

Examples:
  ssa key derive --secret-file keys.txt --kdf src/48 --source 2001:db8:77:1::7
  ssa key derive --secret-file keys.txt --source 2001:db8:77::/48 --into client_keys \\
      --rule 'v=ssa1; addr=hash(src/64):20 mac(src/64):44; key=k1; kdf=src/48'

Exit codes: 0 made; 2 usage or bad input.";

/// Derives the key of one client, or of the clients in one prefix
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How much of the source all clients of one key share, src/1 to src/128: the record's tag kdf
    #[arg(long, value_name = "src/L", conflicts_with = "rule")]
    kdf: Option<String>,
    /// The rule record whose tags key and kdf count, in place of --kdf
    #[arg(long, value_name = "RECORD")]
    rule: Option<String>,
    /// A client's address, or a prefix of clients, of the length that --kdf says or longer
    #[arg(long, value_name = "ADDRESS|PREFIX")]
    source: Option<String>,
    #[command(flatten)]
    into: IntoArgs,
    #[command(flatten)]
    secrets: SecretArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let (only, kdf) = args.which(&mut faults).unzip();
    let only = only.flatten();
    let source = args.source.as_deref().map_or_else(|| Err(SourceError::Missing), prefix);
    let source = faults.take("--source", source);
    if let (Some(source), Some(kdf)) = (source, kdf)
        && source.prefix_len() < kdf.get()
    {
        faults.push(
            "--source",
            format!(
                "the length of {source} is below {}: clients in it have different keys by src/{}; give one of them",
                kdf.get(),
                kdf.get()
            ),
        );
    }
    let known = faults.0.len();
    let keys = args.secrets.read(&mut faults, out);
    let is_read = faults.0.len() == known;
    if keys.is_empty() && is_read {
        faults.push(
            "--secret",
            "missing; give --secret-file FILE, or make one by ssa key new",
        );
    } else if let Some(id) = only.as_ref().filter(|id| is_read && !keys.has(id)) {
        faults.push("--secret", keys.lacks(id));
    }
    let names = keys.secrets().map(|(id, _)| id);
    args.into.check(
        names.filter(|id| only.as_ref().is_none_or(|only| only == *id)),
        &mut faults,
    );
    faults.check()?;
    let (Some(source), Some(kdf)) = (source, kdf) else {
        return Err(Failure::input("command line", "incomplete"));
    };
    let secrets = keys
        .secrets()
        .filter(|(id, _)| only.as_ref().is_none_or(|only| only == *id));
    let made: Vec<Made> = secrets
        .map(|(id, secret)| Made::client_key(id.clone(), &secret.client_key(kdf, Source(source.addr()))))
        .collect();
    let shared = Ipv6Net::new(source.addr(), kdf.get()).map_or(source, |prefix| prefix.trunc());
    args.into.hand_out(&made, json!({ "source": shared }), out)?;
    Ok(Outcome::Fine)
}

/// Why a text names no clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum SourceError {
    /// It is not given.
    #[error("missing; give the client's address or prefix")]
    Missing,
    /// It is not a prefix.
    #[error("`{0}` is not an IPv6 address or prefix, such as 2001:db8:77::/48")]
    NoPrefix(String),
    /// It has bits past its length.
    #[error("a bit of {} past its length is set; write {}", .0, .0.trunc())]
    BitsPastLength(Ipv6Net),
    /// No connection comes from it.
    #[error("{0} is {1}")]
    NoSource(Ipv6Net, &'static str),
}

fn prefix(text: &str) -> Result<Ipv6Net, SourceError> {
    let prefix = input::prefix(text).map_err(|error| match error {
        PrefixError::None => SourceError::NoPrefix(text.to_owned()),
        PrefixError::BitsPastLength(prefix) => SourceError::BitsPastLength(prefix),
    })?;
    match input::never_a_source(&prefix) {
        Some(why) => Err(SourceError::NoSource(prefix, why)),
        None => Ok(prefix),
    }
}

impl Args {
    /// Reads how keys are derived, and where a record says it, the name of the key.
    fn which(&self, faults: &mut Faults) -> Option<(Option<KeyId>, SourceBits)> {
        let Some(text) = &self.rule else {
            let Some(kdf) = &self.kdf else {
                faults.push("--kdf", "missing; give --kdf src/L, or the record by --rule");
                return None;
            };
            let Some(bits) = kdf.strip_prefix("src/") else {
                faults.push("--kdf", format!("`{kdf}` is not src/L, such as src/48"));
                return None;
            };
            return Some((None, number("--kdf", bits, 1, 128, faults).and_then(SourceBits::new)?));
        };
        let record = match text.parse::<Record>() {
            Ok(record) => record,
            Err(error) => {
                faults.0.extend(record_faults("--rule", text, &error));
                return None;
            }
        };
        let found = record.key().cloned().zip(record.kdf());
        if found.is_none() {
            faults.push(
                "--rule",
                "the record has no tag kdf: its clients hold the secret itself, or none",
            );
        }
        found.map(|(id, kdf)| (Some(id), kdf))
    }
}
