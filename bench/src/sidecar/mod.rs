//! What Envoy spends on a connection with the filter, beside `tcp_proxy` alone and a filter that does nothing.
//!
//! One Envoy for each variant, all alive at once on a loopback of their own, take turns: each round measures every
//! variant, in another order each time. Ratios are of the same round, so that what else the machine does at that time
//! is in both.

mod envoy;
mod error;
mod http;
mod load;
mod modules;
mod network;
mod report;
mod requests;
mod rounds;
mod variant;

use std::{
    env,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use clap::{Args, builder::ArgPredicate};
use envoy::Envoy;
use error::Error;
use modules::{HOST_CALLS, INBOUND_CALLS, LEAST, OUTBOUND_CALLS};
use network::Shape;
use report::{Row, Spread};
use rounds::{Done, Subject, Work};
use variant::{Filter, Protocol, Variant};

/// The most that verifying may add to the SDK's filter that does nothing, as a share of `tcp_proxy` alone.
const INBOUND_BAR: f64 = 0.05;
/// The same for composing and rewriting.
const OUTBOUND_BAR: f64 = 0.12;
/// How many addresses clients of an inbound Envoy connect to, in turn.
const ADDRESSES: u32 = 256;
/// How many addresses the outbound filter makes of one: its draws in use under the rule, by default.
const COMPOSED: u32 = 16;

/// Filters in a row where a single one costs too little to be seen.
const COPIES: u16 = 10;

/// How often one host call is made for each connection, to be seen.
const CALLS: u16 = 10;

/// Environment variables that name programs.
const ENVOY: &str = "SSA_ENVOY";
const FILTER: &str = "SSA_FILTER";
const IDLE: &str = "SSA_IDLE";

/// What is measured, and for how long.
#[derive(Args, Debug)]
#[command(after_help = "\
SSA_ENVOY=PROGRAM  this Envoy instead of the one that hack/envoy.sh finds or installs
SSA_FILTER=FILE    this module instead of the one built from filter/
SSA_IDLE=FILE      this module that does nothing instead of the one built from bench/idle-sdk/")]
pub(crate) struct Arguments {
    #[command(flatten)]
    instead: Instead,
    /// Add rows with an access log that shows the filter's state; with --http, every Envoy writes one.
    #[arg(long)]
    access_log: bool,
    /// Another build of our module, to compare in the same run; can be given again.
    #[arg(long, value_name = "FILE")]
    also: Vec<PathBuf>,
    /// Rounds of every variant, after those that warm up; with --http, 41 where nothing else is said.
    #[arg(long, default_value = "401", default_value_if("http", ArgPredicate::Equals("true".into()), "41"))]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    rounds: u16,
    /// Connections of each round; with --http, 1000 where nothing else is said.
    #[arg(
        long,
        default_value = "100",
        default_value_if("http", ArgPredicate::Equals("true".into()), "1000")
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    connections: u64,
    /// Connections at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// Envoy's worker threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    /// Seconds after which it gives up.
    #[arg(long, default_value_t = 900)]
    limit: u64,
}

/// Other things to measure.
#[derive(Args, Debug)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "flags, of which one at most is given")]
struct Instead {
    /// Measure what each exported callback costs instead.
    #[arg(long)]
    exports: bool,
    /// Measure what host calls cost instead.
    #[arg(long)]
    calls: bool,
    /// Measure bytes through established connections instead, with the data callback and without.
    #[arg(long)]
    bytes: bool,
    /// Measure HTTP through two sidecars instead, a client's and a server's, and their memory: new connections with a
    /// request each, and requests on kept ones, each with its bar.
    #[arg(long)]
    http: bool,
}

/// The programs that are measured.
#[derive(Debug)]
struct Programs {
    envoy: PathBuf,
    filter: PathBuf,
    idle: PathBuf,
}

/// Measures and prints; fails when a bar is missed, or with 2 when there are no figures.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = Programs::find().and_then(|programs| {
        if network::entered() {
            measure_all(arguments, &programs).map(|held| u8::from(!held))
        } else {
            programs.enter()
        }
    });
    match outcome {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("ssa-bench: {error}");
            ExitCode::from(2)
        }
    }
}

impl Programs {
    /// Builds, installs or finds them.
    fn find() -> Result<Self, Error> {
        let programs = [
            found(ENVOY, || modules::scripted("hack/envoy.sh")),
            found(FILTER, || modules::scripted("hack/module.sh")),
            found(IDLE, || modules::build("ssa-bench-idle")),
        ];
        let [envoy, filter, idle] = programs;
        Ok(Self {
            envoy: envoy?,
            filter: filter?,
            idle: idle?,
        })
    }

    /// Runs this program anew in namespaces of its own, where nothing can be built.
    fn enter(&self) -> Result<u8, Error> {
        let Self { envoy, filter, idle } = self;
        network::enter([(ENVOY, envoy), (FILTER, filter), (IDLE, idle)])
    }
}

fn found(variable: &str, otherwise: impl FnOnce() -> Result<PathBuf, Error>) -> Result<PathBuf, Error> {
    let path = env::var_os(variable).map_or_else(otherwise, |path| Ok(path.into()))?;
    path.canonicalize().map_err(Error::io("find", &path))
}

/// Ends this process, and with it everything in its namespaces, when it takes too long.
fn give_up_after(limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit);
        eprintln!("ssa-bench: gives up after {} s", limit.as_secs());
        process::exit(2);
    });
}

fn measure_all(arguments: &Arguments, programs: &Programs) -> Result<bool, Error> {
    give_up_after(Duration::from_secs(arguments.limit));
    network::lay(64, arguments.instead.http)?;
    load::serve(arguments.clients)?;
    let started = Instant::now();
    let held = if arguments.instead.exports {
        exports(arguments, programs)?
    } else if arguments.instead.calls {
        calls(arguments, programs)?
    } else if arguments.instead.bytes {
        bytes(arguments, programs)?
    } else if arguments.instead.http {
        http::measure(arguments, programs)?
    } else {
        connections(arguments, programs)?
    };
    let version = Error::check(Command::new(&programs.envoy).arg("--version"))?;
    println!(
        "Envoy {}; {} of its workers, {} cores; {} rounds; {:.0} s in all",
        version
            .rsplit("version: ")
            .next()
            .and_then(|version| version.split('/').nth(1))
            .unwrap_or("of an unknown version"),
        arguments.concurrency,
        thread::available_parallelism().map_or(0, usize::from),
        arguments.rounds,
        started.elapsed().as_secs_f64()
    );
    Ok(held)
}

fn variant(name: impl Into<String>, shape: Shape, filter: Filter) -> Variant {
    Variant {
        name: name.into(),
        shape,
        protocol: Protocol::Tcp,
        access_log: false,
        copies: 1,
        // Ours makes many addresses of one; beside it, clients know as many themselves.
        addresses: match (shape, &filter) {
            (Shape::Outbound, Filter::Ssa(_)) => 1,
            (Shape::Outbound, _) => COMPOSED,
            (Shape::Inbound, _) => ADDRESSES,
        },
        filter,
    }
}

/// Writes a module in the folder of this run.
fn written(name: &str, write: impl FnOnce(&Path) -> Result<(), Error>) -> Result<Filter, Error> {
    let path = Path::new(network::FOLDER).join(name).with_extension("wasm");
    write(&path)?;
    Ok(Filter::Idle(path))
}

/// The main table: both sides, with their bars.
fn connections(arguments: &Arguments, programs: &Programs) -> Result<bool, Error> {
    let ours = modules::exports(&programs.filter)?;
    let same = written("same", |path| {
        modules::write(ours.iter().map(String::as_str), &[], path)
    })?;
    let mut variants = Vec::new();
    let mut bases = Vec::new();
    let asking = |name, deeds| {
        written(name, |path| {
            modules::write(ours.iter().map(String::as_str), deeds, path)
        })
    };
    let sides = [
        (Shape::Inbound, "inbound", asking("inbound", &INBOUND_CALLS)?),
        (Shape::Outbound, "outbound", asking("outbound", &OUTBOUND_CALLS)?),
    ];
    for (shape, word, asking) in sides {
        let base = variants.len();
        let mut add = |name: &str, filter, access_log| {
            let mut variant = variant(format!("{word}: {name}"), shape, filter);
            variant.access_log = access_log;
            variants.push(variant);
            bases.push(base);
        };
        add("tcp_proxy alone", Filter::None, false);
        add("nothing, with the SDK", Filter::Idle(programs.idle.clone()), false);
        add("nothing, with SSA's exports", same.clone(), false);
        add("SSA's host calls alone", asking, false);
        add("SSA", Filter::Ssa(programs.filter.clone()), false);
        for also in &arguments.also {
            let module = also.canonicalize().map_err(Error::io("find", also))?;
            let name = also.file_name().unwrap_or_default().display();
            add(&format!("SSA, {name}"), Filter::Ssa(module), false);
        }
        if arguments.access_log {
            add("tcp_proxy, access log", Filter::None, true);
            add("SSA, access log", Filter::Ssa(programs.filter.clone()), true);
        }
    }
    let [inbound, outbound] = [0, variants.len() / 2];
    let mut single = variant("outbound: tcp_proxy, to one address", Shape::Outbound, Filter::None);
    single.addresses = 1;
    variants.push(single);
    bases.push(outbound);
    let rows = measure(arguments, programs, &variants, &bases, &*connecting(arguments))?;
    report::print("Connections: one byte there and back, then closed", "connection", &rows);

    let mut held = true;
    for (base, word, limit) in [(inbound, "inbound", INBOUND_BAR), (outbound, "outbound", OUTBOUND_BAR)] {
        let [sdk, nothing, calls, ssa] = [1, 2, 3, 4].map(|row| base + row);
        for (row, also) in (ssa + 1..).zip(&arguments.also) {
            let figure = report::difference(&rows, row, ssa, base);
            println!(
                "       {word}: ({} - SSA) / tcp_proxy alone: {}",
                also.display(),
                figure.show_sure(3)
            );
        }
        let figure = report::difference(&rows, ssa, sdk, base);
        let holds = figure.median <= limit;
        held &= holds;
        println!(
            "{}: {word}: (SSA - nothing with the SDK) / tcp_proxy alone: {}, at most {limit}",
            if holds { "holds" } else { "MISSED" },
            figure.show_sure(3)
        );
        for (of, than, what) in [
            // The same exports: what differs is what the filter does, and what of it Envoy takes for being asked.
            (ssa, nothing, "SSA - nothing with SSA's exports"),
            (calls, nothing, "SSA's host calls alone - nothing with SSA's exports"),
        ] {
            let figure = report::difference(&rows, of, than, base);
            println!("       {word}: ({what}) / tcp_proxy alone: {}", figure.show_sure(3));
        }
    }
    println!("SSA's exports: {}", callbacks(&ours).join(" "));
    Ok(held)
}

fn callbacks(exports: &[String]) -> Vec<&str> {
    exports
        .iter()
        .filter_map(|name| name.strip_prefix("proxy_on_"))
        .collect()
}

/// A table of what exporting a callback costs where the module does nothing in it: of [`COPIES`] filters in a row.
fn exports(arguments: &Arguments, programs: &Programs) -> Result<bool, Error> {
    const MORE: [&str; 8] = [
        "proxy_on_delete",
        "proxy_on_done",
        "proxy_on_log",
        "proxy_on_downstream_data",
        "proxy_on_upstream_data",
        "proxy_on_downstream_connection_close",
        "proxy_on_upstream_connection_close",
        "proxy_on_tick",
    ];
    let mut modules = vec![
        (
            "a module without callbacks".into(),
            written("none", |path| modules::write([], &[], path))?,
        ),
        (
            "context_create, new_connection: the least".into(),
            written("least", |path| modules::write(LEAST, &[], path))?,
        ),
    ];
    for name in MORE {
        let module = written(name, |path| modules::write(LEAST.into_iter().chain([name]), &[], path))?;
        modules.push((format!("the least + {}", name.trim_start_matches("proxy_on_")), module));
    }
    let all = written("all", |path| modules::write(LEAST.into_iter().chain(MORE), &[], path))?;
    modules.push(("the least + all of these".into(), all));
    modules.push(("all, with the SDK".into(), Filter::Idle(programs.idle.clone())));
    let mut variants = vec![variant("tcp_proxy alone", Shape::Inbound, Filter::None)];
    variants.extend(modules.into_iter().map(|(name, module)| copied(&name, module)));
    let rows = measure(
        arguments,
        programs,
        &variants,
        &vec![0; variants.len()],
        &*connecting(arguments),
    )?;
    report::print("What exported callbacks cost", "connection", &rows);
    println!("one filter more than tcp_proxy alone, and more than the least, µs per connection:");
    for (row, variant) in variants.iter().enumerate().skip(1) {
        let [all, more] = [0, 2].map(|than| microseconds(&rows, row, than).median / f64::from(COPIES));
        println!("  {:<50} {all:>6.2} {more:>6.2}", variant.name);
    }
    Ok(true)
}

/// A variant with [`COPIES`] filters of a module in a row.
fn copied(name: &str, module: Filter) -> Variant {
    Variant {
        copies: COPIES,
        ..variant(format!("{COPIES} x {name}"), Shape::Inbound, module)
    }
}

/// Returns, by round, by how much one row took longer than another.
fn microseconds(rows: &[Row], of: usize, than: usize) -> Spread {
    let [of, than] = [of, than].map(|row| rows[row].samples.iter().map(|sample| sample.cpu));
    Spread::of(of.zip(than).map(|(of, than)| of - than))
}

/// A table of what host calls cost.
fn calls(arguments: &Arguments, programs: &Programs) -> Result<bool, Error> {
    let least = written("least", |path| modules::write(LEAST, &[], path))?;
    let mut variants = vec![
        variant("tcp_proxy alone", Shape::Inbound, Filter::None),
        variant("nothing, with the least exports", Shape::Inbound, least),
    ];
    for (number, call) in HOST_CALLS.iter().enumerate() {
        let module = written(&format!("call{number}"), |path| {
            modules::write(LEAST, &[("proxy_on_new_connection", &[*call; CALLS as usize])], path)
        })?;
        variants.push(variant(format!("{CALLS} x {}", call.name), Shape::Inbound, module));
    }
    let bases = vec![0; variants.len()];
    let rows = measure(arguments, programs, &variants, &bases, &*connecting(arguments))?;
    report::print("What host calls cost", "connection", &rows);
    println!("one call, µs:");
    for (row, call) in HOST_CALLS.iter().enumerate() {
        let each = microseconds(&rows, row + 2, 1);
        println!("  {:<44} {:.2}", call.name, each.median / f64::from(CALLS));
    }
    Ok(true)
}

/// Tables of bytes through established connections.
fn bytes(arguments: &Arguments, programs: &Programs) -> Result<bool, Error> {
    let with = |more: Option<&'static str>| {
        written(more.unwrap_or("least"), |path| {
            modules::write(LEAST.into_iter().chain(more), &[], path)
        })
    };
    let variants = [
        variant("tcp_proxy alone", Shape::Inbound, Filter::None),
        copied("nothing, no data callback", with(None)?),
        copied("nothing, + downstream_data", with(Some("proxy_on_downstream_data"))?),
        copied("nothing, with the SDK", Filter::Idle(programs.idle.clone())),
        variant("SSA", Shape::Inbound, Filter::Ssa(programs.filter.clone())),
    ];
    let bases = [0; 5];
    let rows = measure(arguments, programs, &variants, &bases, &*exchanging(arguments.clients))?;
    report::print("Established connections: one byte there and back", "exchange", &rows);
    let rows = measure(arguments, programs, &variants, &bases, &*sending())?;
    report::print(
        "Established connections: a stream from client to application",
        "MB",
        &rows,
    );
    Ok(true)
}

/// Connections, each with a byte there and back.
fn connecting(arguments: &Arguments) -> Box<Work> {
    let (connections, clients) = (arguments.connections, arguments.clients);
    Box::new(move |destinations| {
        Ok(Box::new(move || {
            load::connect(destinations, connections, clients)?;
            Ok(Done::units(connections))
        }))
    })
}

/// Bytes there and back through established connections.
fn exchanging(clients: u16) -> Box<Work> {
    const EXCHANGES: u64 = 200;
    Box::new(move |destinations| {
        let echoes = load::Echoes::open(destinations[0], clients)?;
        Ok(Box::new(move || {
            echoes.exchange(EXCHANGES)?;
            Ok(Done::units(EXCHANGES * u64::from(clients)))
        }))
    })
}

/// Megabytes from a client to the application.
fn sending() -> Box<Work> {
    const MEGABYTES: u64 = 200;
    Box::new(|destinations| {
        Ok(Box::new(|| {
            load::send(destinations[0], MEGABYTES * 1_000_000)?;
            Ok(Done::units(MEGABYTES))
        }))
    })
}

/// Measures all variants, one Envoy each, in interleaved rounds.
fn measure(
    arguments: &Arguments,
    programs: &Programs,
    variants: &[Variant],
    bases: &[usize],
    work: &Work,
) -> Result<Vec<Row>, Error> {
    let mut subjects = Vec::new();
    for (variant, number) in variants.iter().zip(0..) {
        let start = || Envoy::start(&programs.envoy, variant, number, arguments.concurrency);
        subjects.push(Subject::new(
            &variant.name,
            vec![start()?],
            variant.destinations(number),
        ));
    }
    for subject in &mut subjects {
        subject.wait_until_serving(load::connect_once)?;
    }
    rounds::run(&subjects, bases, arguments.rounds, work)
}
