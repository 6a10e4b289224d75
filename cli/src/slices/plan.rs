//! `ssa slices plan`.

use std::{borrow::Cow, path::PathBuf};

use ipnet::Ipv6Net;
use serde_json::json;
use ssa_rules::{AddressSpace, Record, apl::Unroutable};
use ssa_slices::{
    self as slices, Replicas, SliceBits, SliceError, SliceSpace,
    document::{Document, Endpoint, Roster, StateFault},
};

use super::{endpoints, read, routes};
use crate::{
    Outcome,
    counts::{counted, grouped},
    failure::{Failure, Faults},
    input::{FlagArgs, Service, number},
    output::Output,
    style::{self, paint},
};

const EXAMPLES: &str = "\
Every slice gets an endpoint, every endpoint the floor or the ceiling of its share; then replicas of one address are \
with different endpoints (and domains), then the fewest slices move, then the fewest prefixes are announced.

--current takes a plan that --json printed, or at least
  {\"endpoints\": [{\"name\": \"a\", \"prefixes\": [\"2001:db8:5::/65\"]}]}
--endpoints takes
  [{\"name\": \"a\", \"weight\": 1, \"domain\": \"rack1\", \"via\": \"2001:db8:1::a\"}]
where all but the name may be left out. Endpoints of --current that are not wanted leave.

Examples:
  ssa slices plan --apl 2:2001:db8:5::/64 --bits 14 --endpoint a --endpoint b=2 --json > plan.json
  ssa slices plan --rule 'v=ssa1; addr=hash(obj):20 const(0):44; replicas=3' \\
      --apl 2:2001:db8:5::/64 --bits 14 --endpoint a@rack1 --endpoint b@rack2 \\
      --endpoint c@rack3 --current plan.json
  ssa slices plan --apl 2:2001:db8:5::/64 --bits 4 --endpoint a,via=2001:db8:1::a \\
      --endpoint b,via=2001:db8:1::b --format ip-route
  ssa slices plan --apl 2:2001:db8:5::/64 --bits 4 --endpoint a --endpoint b \\
      --format ip-route --local a

Exit codes: 0 planned; 2 usage or bad input.";

/// How to print the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    #[default]
    Table,
    /// `ip -6 route` commands: of a router, or with --local of an endpoint.
    IpRoute,
}

/// Plans slices over endpoints, from a current plan to a new one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Cuts each positive item into 2^S slices, S from 0 to 20
    #[arg(long, value_name = "S")]
    bits: String,
    /// A wanted endpoint; weights (default 1, 0 drains) are relative, a domain is what fails together, via is the
    /// next hop for --format ip-route
    #[arg(long, value_name = endpoints::FORM)]
    endpoint: Vec<String>,
    /// Wanted endpoints in a JSON file (- for standard input)
    #[arg(long, value_name = "FILE")]
    endpoints: Option<PathBuf>,
    /// The plan in force, a JSON file (- for standard input) [default: nothing is assigned]
    #[arg(long, value_name = "FILE")]
    current: Option<PathBuf>,
    /// Replicas of an address, 1 to 16, in place of --rule; needs --first-field
    #[arg(long, value_name = "N", conflicts_with = "rule", requires = "first_field")]
    replicas: Option<String>,
    /// The width of the template's first field in bits, 1 to 64
    #[arg(long, value_name = "BITS", conflicts_with = "rule", requires = "replicas")]
    first_field: Option<String>,
    /// How to print the plan
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// With --format ip-route: the commands of this endpoint, which make its slices local
    #[arg(long, value_name = "NAME")]
    local: Option<String>,
    /// Lists the prefixes too
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    service: FlagArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let bits = number("--bits", &args.bits, 0, SliceBits::MAX, &mut faults);
    let bits = bits.and_then(|bits| faults.take("--bits", SliceBits::new(bits)));
    let wanted = endpoints::read(&args.endpoint, args.endpoints.as_deref(), &mut faults);
    let former = args.current.as_deref().and_then(|path| {
        let place = format!("--current {}", path.display());
        read::json::<Document>(&place, path, &mut faults).map(|document| (place, document))
    });
    if args.local.is_some() && args.format != Format::IpRoute {
        faults.push("--local", "goes with --format ip-route");
    }
    let (space, replicas) = service(args, &mut faults);
    let space = space.zip(bits).and_then(|(space, bits)| {
        let cut = SliceSpace::new(space.positive(), bits);
        faults.take(at_fault(cut.as_ref().err()), cut)
    });
    let (Some(space), Some(replicas)) = (space, replicas) else {
        faults.check()?;
        return Err(Failure::input("command line", "incomplete"));
    };

    let roster = Roster::new(wanted, former.as_ref().map(|(_, former)| former));
    let current = match &former {
        Some((place, former)) => roster.current(&space, former).unwrap_or_else(|wrong| {
            for fault in wrong {
                let endpoint = fault
                    .endpoint()
                    .map_or_else(String::new, |name| format!(" endpoint {name}"));
                let help = match fault {
                    StateFault::BelowSlice { .. } => "; more --bits are needed",
                    StateFault::OtherService | StateFault::Shared { .. } => "",
                };
                faults.push(format!("{place}{endpoint}"), format!("{fault}{help}"));
            }
            Vec::new()
        }),
        None => vec![None; space.count()],
    };
    faults.check()?;
    let plan = slices::plan(&space, replicas, &current, &roster.planned());
    let plan = plan.map_err(|error| Failure::input("plan", error))?;
    let document = roster.document(&space, replicas, &plan);
    let document = document.map_err(|error| Failure::input("plan", error))?;
    let former = former.map(|(_, former)| former);
    match args.format {
        Format::IpRoute => {
            let commands = match &args.local {
                Some(name) => routes::of_endpoint(name, &document, former.as_ref())?,
                None => routes::of_router(&document, former.as_ref())?,
            };
            if out.is_json() {
                out.json(&json!({ "commands": commands }));
            } else {
                for command in commands {
                    out.line(command);
                }
            }
        }
        Format::Table if out.is_json() => out.json(&document),
        Format::Table => print(&document, &space, args.verbose, out),
    }
    Ok(Outcome::Fine)
}

/// The flag that slices cannot be cut by.
fn at_fault(error: Option<&SliceError>) -> &'static str {
    match error {
        Some(
            SliceError::ItemLength { .. }
            | SliceError::HostBits { .. }
            | SliceError::ItemTwice { .. }
            | SliceError::NoItems,
        ) => "--apl",
        _ => "--bits",
    }
}

/// Reads the address space and the replicas of `--apl` with `--rule` or `--replicas`.
fn service(args: &Args, faults: &mut Faults) -> (Option<AddressSpace>, Option<Replicas>) {
    if args.service.rule.len() > 1 {
        faults.push("--rule", "given more than once; a plan is made for one record");
    }
    let service = if args.service.rule.is_empty() {
        args.service.parse(faults)
    } else {
        args.service.read(faults)
    };
    let Some(service) = service else {
        return (None, None);
    };
    let record = service.records.first().and_then(|text| Record::from_bytes(text).ok());
    let replicas = match (&record, &args.replicas, &args.first_field) {
        (Some(record), ..) => {
            let width = record
                .template()
                .fields()
                .first()
                .map_or(1, ssa_rules::record::Field::width);
            faults.take("--rule", Replicas::new(record.replicas(), width))
        }
        (None, Some(count), Some(width)) => {
            let count = number("--replicas", count, 1, Replicas::MAX, faults);
            let width = number("--first-field", width, 1, 64, faults);
            count
                .zip(width)
                .and_then(|(count, width)| faults.take("--replicas", Replicas::new(count, width)))
        }
        (None, ..) => Some(Replicas::SINGLE),
    };
    (space(&service, record.as_ref(), faults), replicas)
}

fn space(service: &Service, record: Option<&Record>, faults: &mut Faults) -> Option<AddressSpace> {
    let published = match service.apl.as_ref().map_or(Ok(None), AddressSpace::new) {
        Ok(space) => space,
        // With a record they are told already.
        Err(_) if record.is_some() => return None,
        Err(error) => {
            error.faults.iter().for_each(|fault| faults.push("--apl", fault));
            return None;
        }
    };
    let space = match record {
        Some(record) => record.space(published.as_ref()).map(Cow::into_owned),
        None => published,
    };
    for item in space.iter().flat_map(AddressSpace::positive) {
        if let Some(unroutable) = Unroutable::overlapping(*item) {
            faults.push(
                "--apl",
                format!("2:{item} overlaps {unroutable}, which no router forwards"),
            );
        }
    }
    if space.is_none() {
        let wrong = if service.apl.is_some() {
            "no item of family 2; at least one positive one is needed"
        } else {
            "missing; give the service's address list"
        };
        faults.push("--apl", wrong);
    }
    space
}

fn list(prefixes: &[Ipv6Net], out: &mut Output) {
    for prefix in prefixes {
        out.line(paint(style::DIM, format!("  {prefix}")));
    }
}

fn print(plan: &Document, space: &SliceSpace, verbose: bool, out: &mut Output) {
    let width = plan
        .endpoints
        .iter()
        .map(|endpoint| endpoint.name.len())
        .max()
        .unwrap_or(0)
        .max(8);
    let domains = plan
        .endpoints
        .iter()
        .filter_map(|endpoint| endpoint.domain.as_ref())
        .map(String::len)
        .max();
    let domains = domains.unwrap_or(0).max(6);
    let heading = format!(
        "{:<width$}  {:<domains$} {:>6} {:>7} {:>9} {:>8} {:>7} {:>7}",
        "endpoint", "domain", "weight", "slices", "share", "prefixes", "in", "out"
    );
    out.line(paint(style::HEADING, heading));
    for endpoint in &plan.endpoints {
        let Endpoint {
            name,
            weight,
            slices,
            share,
            moves_in,
            moves_out,
            prefixes,
            ..
        } = endpoint;
        let domain = endpoint.domain.as_deref().unwrap_or("-");
        let count = prefixes.len();
        out.line(format_args!(
            "{name:<width$}  {domain:<domains$} {weight:>6} {slices:>7} {share:>9.2} {count:>8} {moves_in:>7} {moves_out:>7}"
        ));
        if verbose {
            list(prefixes, out);
        }
    }
    out.line("");
    if verbose {
        for one in &plan.moves {
            let from = one.from.as_deref().unwrap_or("nobody");
            out.line(format_args!("{from} -> {}: {}", one.to, counted(one.slices, "slice")));
            list(&one.prefixes, out);
        }
    }
    let Some(report) = &plan.report else {
        return;
    };
    let length = space.slice_length();
    let line = |name: &str, text: String| format!("{} {text}", paint(style::HEADING, format!("{name:<9}")));
    out.line(line(
        "slices",
        format!(
            "{} of /{length}, {} in each item",
            grouped(report.slices),
            grouped(space.bits().per_item())
        ),
    ));
    let bound = format!(
        "at least {} in any such plan, by {}",
        grouped(report.lower_bound),
        report.bound
    );
    out.line(line("moves", format!("{}; {bound}", counted(report.moves, "slice"))));
    out.line(line("prefixes", grouped(report.prefixes)));
    if plan.replicas > 1 {
        let (same, near) = (report.endpoint_conflicts, report.domain_conflicts);
        let good = if same == 0 && near == 0 {
            style::GOOD
        } else {
            style::WARN
        };
        let text = format!(
            "{} of siblings on one endpoint, {near} in one domain",
            counted(same, "pair")
        );
        out.line(line("replicas", format!("{}: {}", plan.replicas, paint(good, text))));
    }
}
