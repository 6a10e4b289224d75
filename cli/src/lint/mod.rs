//! `ssa lint`: what is wrong or unwise in a record, and what to write instead.

mod addresses;
mod advice;
mod check;
mod envoy;
mod faults;
mod finding;
mod host;
mod placement;
mod plugin;
mod publication;
mod read;
mod request;
mod secret;
mod source;
mod spread;
mod subject;

use serde::Serialize;
use ssa_input::text::clean;

use crate::{
    Outcome,
    counts::counted,
    failure::{Failure, Faults},
    input::ServiceArgs,
    output::Output,
    style::{self, paint},
};
use finding::{Code, Finding, Severity};

const EXAMPLES: &str = "\
Tells every fault that makes a record unusable, and what is unwise in one that is usable: why, with the number, and \
what to write instead. What depends on clients and endpoints is exact where they are given.

Examples:
  ssa lint --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=src[0:64]' --clients 2001:db8::/32
  ssa lint --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=hash(src/64):20 rand:44' \\
      --aaaa 2001:db8:5::1 --clients 2001:db8:77::/48=100 --endpoints 100
  ssa lint store.example
  ssa lint --host
  ssa lint --host store.example
  ssa lint --envoy envoy.yaml

Exit codes: 0 nothing but notes; 1 an error or a warning; 2 usage or bad input.";

/// Tells what is wrong or unwise in a record, and what to write instead
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    /// An AAAA record of the service; may repeat. Of a NAME, those of the DNS
    #[arg(long, value_name = "ADDRESS", help_heading = "Surroundings")]
    aaaa: Vec<String>,
    /// Where clients are: a source prefix, and how many are in it; may repeat
    #[arg(long, value_name = "PREFIX[=COUNT]", help_heading = "Surroundings")]
    clients: Vec<String>,
    /// How many endpoints there are, 1 to 65536
    #[arg(long, value_name = "N", help_heading = "Surroundings")]
    endpoints: Option<String>,
    /// Each item is cut into 2^S slices, 0 to 20 [default: 14]
    #[arg(long, value_name = "S", help_heading = "Surroundings")]
    bits: Option<String>,
    /// The time in seconds since 1970 (UTC) [default: now]
    #[arg(long, value_name = "UNIX", help_heading = "Surroundings")]
    time: Option<String>,
    /// How long DNS answers are kept, in seconds [default: what the DNS says, or 300]
    #[arg(long, value_name = "SECONDS", help_heading = "Surroundings")]
    ttl: Option<String>,
    /// Checks this machine for what SSA needs: IPv6, AnyIP, user namespaces; with a service also whether it answers for
    /// that service's addresses, and has a resolver
    #[arg(long)]
    host: bool,
    /// Checks a configuration of Envoy for what takes the source from elsewhere: YAML or JSON; may repeat
    #[arg(long, value_name = "FILE")]
    envoy: Vec<std::path::PathBuf>,
    /// With --host: where a resolver serves snapshots, its socket.path [default: where the chart's does, or one whose
    /// configuration names no socket]
    #[arg(long, value_name = "PATH", requires = "host")]
    resolver_socket: Option<std::path::PathBuf>,
    /// Leaves notes out
    #[arg(long)]
    no_notes: bool,
    /// Lists the codes of all findings
    #[arg(long, conflicts_with_all = ["name", "apl", "rule", "host"])]
    codes: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    errors: usize,
    warnings: usize,
    notes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<&'a [Finding]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a [host::Check]>,
}

#[expect(clippy::needless_pass_by_value, reason = "all subcommands are called alike")]
pub(crate) fn run(args: Args, out: &mut Output) -> Result<Outcome, Failure> {
    if args.codes {
        list_codes(out);
        return Ok(Outcome::Fine);
    }
    let mut faults = Faults::default();
    let around = read::surroundings(&args, &mut faults);
    let given = read::given(&args, &mut faults)?;
    let of_envoy = envoy::check_all(&args.envoy, &mut faults);
    faults.check()?;
    let host = args.host.then(|| {
        let items = given.as_ref().map(read::Published::items).unwrap_or_default();
        host::checks(&items, args.resolver_socket.as_deref())
    });
    let found = given.map(|published| {
        let mut around = around;
        around.aaaa.extend(published.aaaa);
        if let (Some(ttl), None) = (published.ttl, &args.ttl) {
            around.ttl = ttl;
        }
        let mut found = check::check(&published.given, &around);
        found.retain(|finding| !args.no_notes || finding.severity != Severity::Note);
        found
    });
    let found = match found {
        None if args.envoy.is_empty() => None,
        found => Some([found.unwrap_or_default(), of_envoy].concat()),
    };

    let of_host = host.iter().flatten().filter_map(host::Check::severity);
    let severities: Vec<Severity> = found
        .iter()
        .flatten()
        .map(|finding| finding.severity)
        .chain(of_host)
        .collect();
    let count = |wanted: Severity| severities.iter().filter(|severity| **severity == wanted).count();
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    if out.is_json() {
        out.json(&Document {
            errors,
            warnings,
            notes,
            findings: found.as_deref(),
            host: host.as_deref(),
        });
    } else {
        found.iter().flatten().for_each(|finding| print(finding, out));
        host.iter().flatten().for_each(|check| check.print(out));
        out.line(format_args!(
            "{}, {}, {}",
            counted(errors, "error"),
            counted(warnings, "warning"),
            counted(notes, "note")
        ));
    }
    Ok(if errors + warnings == 0 {
        Outcome::Fine
    } else {
        Outcome::NotFine
    })
}

fn colour(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Error => style::BAD,
        Severity::Warning => style::WARN,
        Severity::Note => style::HEADING,
    }
}

fn print(finding: &Finding, out: &mut Output) {
    let severity = paint(colour(finding.severity), finding.severity.name());
    let code = paint(style::DIM, format!("[{}]", finding.code));
    out.line(format_args!(
        "{severity}: {}: {} {code}",
        clean(&finding.place),
        clean(&finding.what)
    ));
    out.line(format_args!("  why:     {}", clean(&finding.why)));
    if let Some(instead) = &finding.instead {
        out.line(format_args!("  instead: {}", clean(instead)));
    }
}

fn list_codes(out: &mut Output) {
    if out.is_json() {
        let codes = Code::ALL.iter().map(|code| (code.name(), code.summary()));
        out.json(&codes.collect::<std::collections::BTreeMap<_, _>>());
    } else {
        for code in Code::ALL {
            out.line(format_args!("{:<24} {}", code.name(), code.summary()));
        }
    }
}
