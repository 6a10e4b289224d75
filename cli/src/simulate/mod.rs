//! `ssa simulate`: how a record spreads clients over endpoints.

mod attack;
pub(crate) mod clients;
mod distinct;
mod endpoints;
mod load;
pub(crate) mod placement;
pub(crate) mod random;
mod read;
mod report;
pub(crate) mod spread;
pub(crate) mod svg;

use std::{
    io::{IsTerminal, stderr},
    path::PathBuf,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    Outcome,
    failure::{Failure, Faults},
    input::{KeyArgs, ServiceArgs, files},
    output::Output,
};

const EXAMPLES: &str = "\
Composes an address for every client by the record's own rule, gives the slices to endpoints by the planner, and counts. \
Clients are distinct random sources of their prefixes. A client starts at a random replica and takes the next one \
for every further connection. A proof of work is left out: it moves nothing. A secret that is not given is made up from \
the seed. Loads are told relative to an endpoint's fair share, its weight's part of all connections.

Examples:
  ssa simulate --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=hash(src/64):20 rand:44' \\
      --clients 2001:db8::/32=1000000 --endpoints 1000 --then 1010 --svg load.svg
  ssa simulate --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=hash(obj):14 const(0):50; replicas=3' \\
      --objects 100000 --endpoints big=4,small-1,small-2
  ssa simulate --apl 2:2001:db8:5::/64 --rule 'v=ssa1; addr=hash(src/64):20 rand:44' \\
      --endpoints 1000 --attack 2001:db8::/48

Exit codes: 0 simulated; 1 some clients can compose no address; 2 usage or bad input.";

/// Simulates how a record spreads clients over endpoints
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    keys: KeyArgs,
    /// Clients: a source prefix and how many clients are in it; may repeat, at most 100000000 in all
    #[arg(long, value_name = "PREFIX=COUNT", help_heading = "Load")]
    clients: Vec<String>,
    /// A file of clients (- for standard input), a line SOURCE or PREFIX=COUNT for each; what follows a # is ignored
    #[arg(long, value_name = "FILE", help_heading = "Load")]
    clients_file: Option<PathBuf>,
    /// How many objects there are, or a file (- for standard input) with a key on each line. With clients, each connection asks for one at
    /// random; without, each object is asked for once
    #[arg(long, value_name = "N|FILE", help_heading = "Load")]
    objects: Option<String>,
    /// How many chunks an object has [default: 1]
    #[arg(long, value_name = "N", help_heading = "Load")]
    chunks: Option<String>,
    /// How many connections each client opens, or how often each chunk is asked for, 1 to 1000 [default: the record's
    /// replicas]
    #[arg(long, value_name = "N", help_heading = "Load")]
    connections: Option<String>,
    /// The destination port [default: 443]
    #[arg(long, value_name = "PORT", help_heading = "Load")]
    port: Option<String>,
    /// The time in seconds since 1970 (UTC) [default: now]
    #[arg(long, value_name = "UNIX", help_heading = "Load")]
    time: Option<String>,
    /// What is drawn at random is drawn from this seed, 0 to 2^64-1 [default: 1]
    #[arg(long, value_name = "N", help_heading = "Load")]
    seed: Option<String>,
    /// How many endpoints there are, 1 to 65536, or their names, each with a weight unless it is 1
    #[arg(long, value_name = "N|NAME[=WEIGHT],...", help_heading = "Cluster")]
    endpoints: Option<String>,
    /// The endpoints afterwards: what moves then. Those of the same name stay
    #[arg(long, value_name = "N|NAME[=WEIGHT],...", help_heading = "Cluster")]
    then: Option<String>,
    /// Cuts each item into 2^S slices, 0 to 20 [default: 14, or what gives 16 slices to an endpoint, or what fits]
    #[arg(long, value_name = "S", help_heading = "Cluster")]
    bits: Option<String>,
    /// Tells what the holder of this prefix can aim at one endpoint
    #[arg(long, value_name = "PREFIX", help_heading = "Attack")]
    attack: Option<String>,
    /// From how many sources the attacker sends, 1 to 100000000 [default: 1000]
    #[arg(long, value_name = "N", requires = "attack", help_heading = "Attack")]
    budget: Option<String>,
    /// How many of the attacker's inputs are tried at most, 16 to 1048576; of more, a sample [default: 1048576]
    #[arg(long, value_name = "N", requires = "attack", help_heading = "Attack")]
    sample: Option<String>,
    /// Draws the load of every endpoint into this file, or in place of the report to standard output (-)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    svg: Option<PathBuf>,
}

#[expect(clippy::needless_pass_by_value, reason = "all subcommands are called alike")]
pub(crate) fn run(args: Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let plain = read::Plain::read(&args, &mut faults);
    check_picture(&args, out, &mut faults);
    let keys = args.keys.read(&mut faults, out);
    let service = args.service.read(&mut faults)?;
    faults.check()?;
    let (Some(plain), Some(service)) = (plain, service) else {
        return Err(Failure::input("command line", "incomplete"));
    };
    let scene = read::Scene::new(plain, &service, &keys)?;

    let fleet = scene.fleet()?;
    let then = scene.then(&fleet)?;
    let load = scene.subjects.as_ref().map(|subjects| {
        let workload = scene.workload(subjects);
        let progress = progress(workload.count(), out);
        let load = workload.run(&progress);
        progress.finish_and_clear();
        load
    });
    let attack = scene.attack(&fleet).map(|attack| attack.run());

    let report = report::Report::new(&scene, &fleet, then.as_ref(), load.as_ref(), attack);
    if let Some(path) = &args.svg {
        let picture = report.picture().ok_or_else(|| Failure::input("--svg", NO_PICTURE))?;
        if files::is_standard(path) {
            out.put(picture);
        } else {
            std::fs::write(path, picture.to_string())
                .map_err(|error| Failure::input(format!("--svg {}", path.display()), files::reason(path, &error)))?;
        }
    }
    if args.svg.as_deref().is_some_and(files::is_standard) {
        // The picture stands there already.
    } else if out.is_json() {
        out.json(&report);
    } else {
        report.print(out);
    }
    Ok(if report.is_fine() {
        Outcome::Fine
    } else {
        Outcome::NotFine
    })
}

const NO_PICTURE: &str = "nothing to draw without --clients or --objects";

/// Notes, before any work is done, why there will be no picture.
fn check_picture(args: &Args, out: &Output, faults: &mut Faults) {
    let Some(path) = &args.svg else { return };
    if args.clients.is_empty() && args.clients_file.is_none() && args.objects.is_none() {
        faults.push("--svg", NO_PICTURE);
    }
    if files::is_standard(path) {
        if out.is_json() {
            faults.push("--svg -", "standard output holds the document of --json; give a file");
        }
    } else {
        faults.take(&format!("--svg {}", path.display()), files::check_writable(path));
    }
}

/// A bar on standard error, where that is a terminal and no document is asked for.
fn progress(count: u64, out: &Output) -> ProgressBar {
    if out.is_json() || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("composing {wide_bar} {human_pos} of {human_len}, {eta} left");
    let bar = ProgressBar::new(count);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
