//! `ssa slices plan`.

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf};

use ipnet::Ipv6Net;
use serde_json::json;
use ssa_rules::{AddressSpace, Record};
use ssa_slices::{
    self as slices, Bound, DomainId, EndpointIdx, Plan, Replicas, SliceBits, SliceError, SliceId, SliceSpace,
};

use super::{
    document::{self, Document, Endpoint, Move, Report},
    endpoints::{self, Wanted},
    routes,
};
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
        document::read_json::<Document>(&place, path, &mut faults).map(|document| (place, document))
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

    let team = Team::new(wanted, former.as_ref().map(|(_, former)| former));
    let current = match &former {
        Some((place, former)) => team.current(&space, place, former, &mut faults),
        None => vec![None; space.count()],
    };
    faults.check()?;
    let plan = slices::plan(&space, replicas, &current, &team.planned());
    let plan = plan.map_err(|error| Failure::input("plan", error))?;
    let document = team.document(&space, replicas, &plan)?;
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

fn overlap(one: Ipv6Net, other: Ipv6Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// The wanted endpoints, then those that leave.
struct Team {
    endpoints: Vec<Wanted>,
    places: BTreeMap<String, usize>,
}

impl Team {
    fn new(wanted: Vec<Wanted>, former: Option<&Document>) -> Self {
        let places = wanted
            .iter()
            .enumerate()
            .map(|(place, one)| (one.name.clone(), place))
            .collect();
        let mut team = Self {
            endpoints: wanted,
            places,
        };
        for endpoint in former.into_iter().flat_map(|former| &former.endpoints) {
            match team
                .places
                .get(&endpoint.name)
                .and_then(|place| team.endpoints.get_mut(*place))
            {
                // The next hop is kept where none is given anew.
                Some(one) => one.via = one.via.or(endpoint.via),
                None if endpoint.prefixes.is_empty() => {}
                None => {
                    let (name, domain, via) = (endpoint.name.clone(), endpoint.domain.clone(), endpoint.via);
                    team.places.insert(name.clone(), team.endpoints.len());
                    team.endpoints.push(Wanted {
                        name,
                        weight: 0,
                        domain,
                        via,
                    });
                }
            }
        }
        team
    }

    fn index(&self, name: &str) -> Option<EndpointIdx> {
        u32::try_from(*self.places.get(name)?).ok().map(EndpointIdx::new)
    }

    fn name(&self, index: EndpointIdx) -> String {
        let place = usize::try_from(index.get()).unwrap_or(usize::MAX);
        self.endpoints
            .get(place)
            .map_or_else(|| index.to_string(), |endpoint| endpoint.name.clone())
    }

    /// Returns the endpoint of each slice in a former plan, which may have been cut more coarsely.
    fn current(
        &self,
        space: &SliceSpace,
        place: &str,
        former: &Document,
        faults: &mut Faults,
    ) -> Vec<Option<EndpointIdx>> {
        let mut current = vec![None; space.count()];
        let mut prefixes = former.endpoints.iter().flat_map(|one| &one.prefixes).peekable();
        let is_ours = |prefix: &Ipv6Net| space.items().any(|item| overlap(*prefix, item));
        if prefixes.peek().is_some() && !prefixes.any(is_ours) {
            let wrong = "no prefix in it is of this address list: it is the plan of another service";
            faults.push(place, wrong);
        }
        let length = space
            .prefix_of(SliceId::new(0))
            .map_or(128, |prefix| prefix.prefix_len());
        for endpoint in &former.endpoints {
            let Some(index) = self.index(&endpoint.name) else {
                continue;
            };
            for prefix in &endpoint.prefixes {
                let place = || format!("{place} endpoint {}", endpoint.name);
                if prefix.prefix_len() > length {
                    faults.push(
                        place(),
                        format!("{prefix} is smaller than a slice of /{length}; more --bits are needed"),
                    );
                    continue;
                }
                // An item that is gone takes its slices with it; a prefix around items covers all of theirs.
                for item in space.items().filter(|item| overlap(*prefix, *item)) {
                    let from = if prefix.contains(&item) { item } else { *prefix };
                    let count = 1_usize << (length - from.prefix_len());
                    let Some(start) = space.slice_of(from.network()) else {
                        continue;
                    };
                    let start = usize::try_from(start.get()).unwrap_or(usize::MAX);
                    for slot in current.iter_mut().skip(start).take(count) {
                        if slot.is_some_and(|taken| taken != index) {
                            faults.push(place(), format!("{prefix} is another endpoint's too"));
                            break;
                        }
                        *slot = Some(index);
                    }
                }
            }
        }
        current
    }

    fn planned(&self) -> Vec<slices::Endpoint> {
        let mut domains: BTreeMap<&str, u32> = BTreeMap::new();
        let endpoints = self.endpoints.iter().map(|endpoint| {
            let domain = endpoint.domain.as_deref().map(|name| {
                let next = u32::try_from(domains.len()).unwrap_or(u32::MAX);
                DomainId::new(*domains.entry(name).or_insert(next))
            });
            slices::Endpoint {
                weight: endpoint.weight,
                domain,
            }
        });
        endpoints.collect()
    }

    fn document(&self, space: &SliceSpace, replicas: Replicas, plan: &Plan) -> Result<Document, Failure> {
        let mut held: BTreeMap<EndpointIdx, Vec<SliceId>> = BTreeMap::new();
        for (slice, endpoint) in space.slices().zip(&plan.assignment) {
            held.entry(*endpoint).or_default().push(slice);
        }
        let mut moved: BTreeMap<(Option<EndpointIdx>, EndpointIdx), Vec<SliceId>> = BTreeMap::new();
        let (mut ins, mut outs) = (BTreeMap::new(), BTreeMap::new());
        for one in &plan.moves {
            *ins.entry(one.to).or_insert(0) += 1;
            if let Some(from) = one.from {
                *outs.entry(from).or_insert(0) += 1;
            }
            moved.entry((one.from, one.to)).or_default().push(one.slice);
        }
        let prefixes = |slices: &[SliceId]| {
            space
                .aggregate(slices.iter().copied())
                .map_err(|error| Failure::input("plan", error))
        };
        let weights: u64 = self.endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
        let mut endpoints = Vec::new();
        for (index, endpoint) in (0..).map(EndpointIdx::new).zip(&self.endpoints) {
            let slices = held.remove(&index).unwrap_or_default();
            endpoints.push(Endpoint {
                name: endpoint.name.clone(),
                weight: endpoint.weight,
                domain: endpoint.domain.clone(),
                via: endpoint.via,
                slices: slices.len(),
                share: share(space.count(), endpoint.weight, weights),
                moves_in: ins.get(&index).copied().unwrap_or(0),
                moves_out: outs.get(&index).copied().unwrap_or(0),
                prefixes: prefixes(&slices)?,
            });
        }
        let moves = moved.iter().map(|((from, to), slices)| {
            let (from, to) = (from.map(|from| self.name(from)), self.name(*to));
            Ok(Move {
                from,
                to,
                slices: slices.len(),
                prefixes: prefixes(slices)?,
            })
        });
        let report = plan.report;
        Ok(Document {
            items: space.items().collect(),
            bits: space.bits().get(),
            replicas: replicas.count(),
            endpoints,
            moves: moves.collect::<Result<_, Failure>>()?,
            report: Some(Report {
                slices: space.count(),
                moves: plan.moves.len(),
                lower_bound: report.lower_bound,
                bound: bound(report.bound).into(),
                endpoint_conflicts: report.endpoint_conflicts,
                domain_conflicts: report.domain_conflicts,
                prefixes: report.prefixes,
            }),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "at most 2^20 slices and sums of 2^16 weights, for people to read"
)]
fn share(slices: usize, weight: u32, weights: u64) -> f64 {
    slices as f64 * f64::from(weight) / (weights.max(1) as f64)
}

fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Balance => "balance",
        Bound::Replicas => "replicas",
        Bound::Exact => "exact",
    }
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
    let length = space
        .prefix_of(SliceId::new(0))
        .map_or(128, |prefix| prefix.prefix_len());
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
