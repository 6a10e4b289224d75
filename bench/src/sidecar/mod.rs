//! What Envoy spends on a connection with the filter, beside `tcp_proxy` alone and a filter that does nothing.
//!
//! One Envoy for each variant, all alive at once on a loopback of their own, take turns: each round measures every
//! variant, in another order each time. Ratios are of the same round, so that what else the machine does at that time
//! is in both.

mod envoy;
mod error;
mod load;
mod modules;
mod network;
mod report;

use std::{
    env, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use envoy::{Envoy, Filter, Shape, Variant};
use error::Error;
use modules::{HOST_CALLS, INBOUND_CALLS, LEAST, OUTBOUND_CALLS};
use report::{Row, Sample, Spread};

/// The most that verifying may add to the SDK's filter that does nothing, as a share of `tcp_proxy` alone.
const INBOUND_BAR: f64 = 0.05;
/// The same for composing and rewriting.
const OUTBOUND_BAR: f64 = 0.12;
/// How many addresses a client has in use at once: the filter's pool by default.
const ADDRESSES: u32 = 256;

/// Rounds that are not counted: until then Envoy has met the addresses that are in use.
const WARM_UP: usize = 4;

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
    /// Add rows with an access log that shows the filter's state.
    #[arg(long)]
    access_log: bool,
    /// Another build of our module, to compare in the same run; can be given again.
    #[arg(long, value_name = "FILE")]
    also: Vec<PathBuf>,
    /// Rounds of every variant, after those that warm up.
    #[arg(long, default_value_t = 401, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    rounds: u16,
    /// Connections of each round.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
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
    network::lay(64)?;
    load::serve(arguments.clients)?;
    let started = Instant::now();
    let held = if arguments.instead.exports {
        exports(arguments, programs)?
    } else if arguments.instead.calls {
        calls(arguments, programs)?
    } else if arguments.instead.bytes {
        bytes(arguments, programs)?
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
        access_log: false,
        copies: 1,
        // Ours makes many addresses of one; beside it, clients know as many themselves.
        addresses: match (shape, &filter) {
            (Shape::Outbound, Filter::Ssa(_)) => 1,
            _ => ADDRESSES,
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
    let rows = measure(arguments, programs, &variants, &bases, &connecting(arguments))?;
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
        &connecting(arguments),
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
    let rows = measure(arguments, programs, &variants, &bases, &connecting(arguments))?;
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
    let rows = measure(arguments, programs, &variants, &bases, &exchanging(arguments.clients))?;
    report::print("Established connections: one byte there and back", "exchange", &rows);
    let rows = measure(arguments, programs, &variants, &bases, &sending)?;
    report::print(
        "Established connections: a stream from client to application",
        "MB",
        &rows,
    );
    Ok(true)
}

/// What is done in a round: says of how many units it was, and how long it took.
type Work<'a> = dyn Fn(&[SocketAddr]) -> io::Result<(f64, Duration)> + 'a;

/// Connections, each with a byte there and back.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn connecting(arguments: &Arguments) -> impl Fn(&[SocketAddr]) -> io::Result<(f64, Duration)> {
    let (connections, clients) = (arguments.connections, arguments.clients);
    move |destinations| {
        let start = Instant::now();
        load::connect(destinations, connections, clients)?;
        Ok((connections as f64, start.elapsed()))
    }
}

/// Bytes there and back through established connections.
fn exchanging(clients: u16) -> impl Fn(&[SocketAddr]) -> io::Result<(f64, Duration)> {
    const EXCHANGES: u16 = 200;
    move |destinations| {
        let echoes = load::Echoes::open(destinations[0], clients)?;
        let start = Instant::now();
        echoes.exchange(EXCHANGES.into())?;
        Ok((f64::from(EXCHANGES) * f64::from(clients), start.elapsed()))
    }
}

/// Megabytes from a client to the application.
fn sending(destinations: &[SocketAddr]) -> io::Result<(f64, Duration)> {
    const MEGABYTES: u16 = 200;
    let start = Instant::now();
    load::send(destinations[0], u64::from(MEGABYTES) * 1_000_000)?;
    Ok((MEGABYTES.into(), start.elapsed()))
}

/// Measures all variants in interleaved rounds.
fn measure(
    arguments: &Arguments,
    programs: &Programs,
    variants: &[Variant],
    bases: &[usize],
    work: &Work<'_>,
) -> Result<Vec<Row>, Error> {
    let mut running = Vec::new();
    for (variant, number) in variants.iter().zip(0..) {
        let envoy = Envoy::start(&programs.envoy, variant, number, arguments.concurrency)?;
        running.push((envoy, variant.destinations(number)));
    }
    for (variant, (envoy, destinations)) in variants.iter().zip(&mut running) {
        wait_until_serving(variant, envoy, destinations)?;
    }
    let mut rows: Vec<Row> = variants
        .iter()
        .zip(bases)
        .map(|(variant, &base)| Row {
            name: variant.name.clone(),
            base,
            samples: Vec::new(),
            kernel: f64::NAN,
            idle: f64::NAN,
        })
        .collect();
    // What each spends while it is not its turn.
    let mut rest = vec![(Duration::ZERO, Duration::ZERO); running.len()];
    let mut last: Vec<Option<(Duration, Instant)>> = vec![None; running.len()];
    let before = running
        .iter()
        .map(|(envoy, _)| envoy.ticks())
        .collect::<Result<Vec<_>, _>>()?;
    let rounds = WARM_UP + usize::from(arguments.rounds);
    for round in 0..rounds {
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            eprint!("\rround {} of {rounds}", round + 1);
        }
        for turn in 0..running.len() {
            // Each starts once, and each has either neighbour before it.
            let turn = (turn + round / 2) % running.len();
            let index = if round % 2 == 0 { turn } else { running.len() - 1 - turn };
            let (envoy, destinations) = &running[index];
            let cpu = settled(envoy)?;
            if let Some((since, at)) = last[index] {
                rest[index].0 += cpu.saturating_sub(since);
                rest[index].1 += at.elapsed();
            }
            let (units, took) = work(destinations).map_err(|fault| Error::Load {
                variant: variants[index].name.clone(),
                fault: format!("{fault}\n{}", envoy.log()),
            })?;
            let after = settled(envoy)?;
            last[index] = Some((after, Instant::now()));
            let cpu = after.saturating_sub(cpu);
            if round >= WARM_UP {
                rows[index].samples.push(Sample {
                    cpu: cpu.as_secs_f64() * 1e6 / units,
                    rate: units / took.as_secs_f64(),
                });
            }
        }
    }
    eprintln!();
    for (row, (spent, time)) in rows.iter_mut().zip(rest) {
        row.idle = spent.as_secs_f64() * 1e6 / time.as_secs_f64();
    }
    for ((row, (envoy, _)), before) in rows.iter_mut().zip(&running).zip(before) {
        let [user, kernel] = envoy.ticks()?;
        let [user, kernel] = [user - before[0], kernel - before[1]];
        row.kernel = kernel / (user + kernel);
    }
    Ok(rows)
}

/// Waits, at most a tenth of a second, until an Envoy has done what is left of the work, and returns its CPU time.
fn settled(envoy: &Envoy) -> Result<Duration, Error> {
    let mut last = envoy.cpu_time()?;
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(5));
        let now = envoy.cpu_time()?;
        if now.saturating_sub(last) < Duration::from_micros(200) {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

fn wait_until_serving(variant: &Variant, envoy: &mut Envoy, destinations: &[SocketAddr]) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(fault) = load::connect_once(destinations[0]) {
        if envoy.has_ended() || Instant::now() > deadline {
            return Err(Error::NotServing {
                variant: variant.name.clone(),
                log: format!("{fault}\n{}", envoy.log()),
            });
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
