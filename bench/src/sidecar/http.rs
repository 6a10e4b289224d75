//! HTTP through two sidecars, a client's and a server's: with the filter in both, and without.
//!
//! On all sides the same application at one address, the same access logs or none, the same limits. Without the filter
//! every request goes to the address that was dialled.

use std::io;

use super::{
    Arguments, COMPOSED, Programs,
    envoy::{Envoy, Memory},
    error::Error,
    modules::{self, JUDGING, LEAST, REDIRECTED, REDIRECTING},
    network::Shape,
    report::{self, Row},
    requests::{self, Kept},
    rounds::{self, Done, Subject, Work},
    variant,
    variant::{Filter, Protocol, Variant},
    written,
};

/// The least rate of new connections with a request each, as a share of that without the filter.
const NEW_BAR: f64 = 0.9;
/// The same for requests on kept connections.
const KEPT_BAR: f64 = 0.97;

/// How many requests go through each kept connection in a round.
const REQUESTS: u64 = 50;

/// How many connections come first: until then all addresses in use have upstream connections, some of them several.
const WARM_UP: u64 = 4000;

/// How many connections are held open to see what memory they take.
const HELD: u16 = 500;

/// Envoy alone, to one address: what the bars compare with.
const ALONE: usize = 0;
/// The fewest host calls that redirect and judge: no Wasm filter of this kind costs less.
const FLOOR: usize = 1;
/// Envoy alone, to as many addresses as the filter makes.
const SPREAD: usize = 2;
/// The filter, which makes several addresses of the one that is dialled.
const SSA: usize = 4;

/// Measures and prints both tables, what upstream connections there were, and memory; says whether the bars are held.
pub(crate) fn measure(arguments: &Arguments, programs: &Programs) -> Result<bool, Error> {
    let none = || Filter::None;
    let ours = || Filter::Ssa(programs.filter.clone());
    let least = |name, deeds| written(name, |path| modules::write(LEAST, deeds, path));
    let (redirecting, judging) = (least("redirecting", &REDIRECTING)?, least("judging", &JUDGING)?);
    debug_assert_eq!(FLOOR, usize::from(REDIRECTED), "it sets addresses of its own number");
    let both = |filter: Filter| [filter.clone(), filter];
    let idle = Filter::Idle(programs.idle.clone());
    let mut pairs = vec![
        ("Envoy alone".into(), both(none()), 1),
        ("the least that redirects and judges".into(), [redirecting, judging], 1),
        (format!("Envoy alone, to {COMPOSED} addresses"), both(none()), COMPOSED),
        ("nothing, with the SDK".into(), both(idle), 1),
        ("SSA".into(), both(ours()), 1),
    ];
    for also in &arguments.also {
        let module = also.canonicalize().map_err(Error::io("find", also))?;
        pairs.push((format!("SSA, {}", also.display()), both(Filter::Ssa(module)), 1));
    }
    let mut subjects = Vec::new();
    for ((name, filters, addresses), number) in pairs.into_iter().zip(0..) {
        let of = |(shape, filter)| Variant {
            protocol: Protocol::Http,
            access_log: arguments.access_log,
            addresses,
            ..variant(name.clone(), shape, filter)
        };
        let [client, server] = filters;
        let sides = [(Shape::Outbound, client), (Shape::Inbound, server)].map(of);
        let start = |side| Envoy::start(&programs.envoy, side, number, arguments.concurrency);
        let envoys = sides.iter().map(start).collect::<Result<_, _>>()?;
        subjects.push(Subject::new(&name, envoys, sides[0].destinations(number)));
    }
    for subject in &mut subjects {
        subject.wait_until_serving(requests::connect_once)?;
    }
    let fresh = memories(&subjects)?;

    for subject in &subjects {
        requests::connect(&subject.destinations, WARM_UP, arguments.clients).map_err(|fault| subject.fault(&fault))?;
    }
    let new = phase(&subjects, arguments, &*connecting(arguments), "connection")?;
    let kept = phase(&subjects, arguments, &*asking(arguments), "request")?;
    let used = memories(&subjects)?;
    print_memory(&subjects, &fresh, &used)?;

    let mut held = true;
    for (rows, what, limit) in [
        (&new, "new connections with a request each", NEW_BAR),
        (&kept, "requests on kept connections", KEPT_BAR),
    ] {
        let rate = report::ratio(rows, SSA, ALONE, |sample| sample.rate);
        let holds = rate.median >= limit;
        held &= holds;
        println!(
            "{}: {what}: rate of SSA / of Envoy alone: {}, at least {limit}",
            if holds { "holds" } else { "MISSED" },
            rate.show_sure(3)
        );
        let floor = report::ratio(rows, FLOOR, ALONE, |sample| sample.rate);
        println!(
            "        {what}: rate of the least that redirects and judges / of Envoy alone: {}",
            floor.show_sure(3)
        );
        for (of, than, name) in [
            (SSA, ALONE, "SSA / of Envoy alone"),
            (SSA, SPREAD, "SSA / of Envoy alone, to as many addresses"),
            (FLOOR, ALONE, "the least that redirects and judges / of Envoy alone"),
        ] {
            let cpu = report::ratio(rows, of, than, |sample| sample.cpu);
            println!("        {what}: CPU time of {name}: {}", cpu.show_sure(3));
        }
    }
    Ok(held)
}

/// Measures one kind of work, and prints its table.
fn phase(subjects: &[Subject], arguments: &Arguments, work: &Work, unit: &str) -> Result<Vec<Row>, Error> {
    const COUNTERS: [&str; 2] = [
        "cluster.upstream.upstream_cx_total",
        "cluster.upstream.upstream_rq_total",
    ];
    let count = || {
        let counts = subjects.iter().map(|subject| {
            let envoys = subject.envoys.iter();
            envoys
                .map(|envoy| Ok([envoy.stat(COUNTERS[0])?, envoy.stat(COUNTERS[1])?]))
                .collect::<Result<Vec<_>, Error>>()
        });
        counts.collect::<Result<Vec<_>, _>>()
    };
    let before = count()?;
    let rows = rounds::run(subjects, &vec![ALONE; subjects.len()], arguments.rounds, work)?;
    let opened: Vec<Vec<f64>> = count()?
        .iter()
        .zip(&before)
        .map(|(after, before)| {
            let envoys = after.iter().zip(before);
            envoys
                .map(|(after, before)| 1000.0 * (after[0] - before[0]) / (after[1] - before[1]))
                .collect()
        })
        .collect();
    let title = match unit {
        "connection" => "HTTP: new connections, a request each",
        _ => "HTTP: requests on kept connections",
    };
    report::print_chained(title, unit, &rows, &opened);
    Ok(rows)
}

/// New connections, each for one request.
fn connecting(arguments: &Arguments) -> Box<Work> {
    let (connections, clients) = (arguments.connections, arguments.clients);
    Box::new(move |destinations| {
        Ok(Box::new(move || {
            requests::connect(destinations, connections, clients).map(Done::each)
        }))
    })
}

/// Requests on connections that are there already.
fn asking(arguments: &Arguments) -> Box<Work> {
    let clients = arguments.clients;
    Box::new(move |destinations| {
        let kept = Kept::open(destinations, clients)?;
        Ok(Box::new(move || kept.ask(REQUESTS).map(Done::each)))
    })
}

/// Returns the memory of all Envoys, by subject and side.
fn memories(subjects: &[Subject]) -> Result<Vec<Vec<Memory>>, Error> {
    let of = |subject: &Subject| subject.envoys.iter().map(Envoy::memory).collect();
    subjects.iter().map(of).collect()
}

/// Prints what memory each sidecar has: at first, after the rounds, and what a connection that is held open adds.
fn print_memory(subjects: &[Subject], fresh: &[Vec<Memory>], used: &[Vec<Memory>]) -> Result<(), Error> {
    println!("Memory: resident (of it anonymous; of that, allocated by Envoy outside of V8), MB");
    println!(
        "{:<44} {:>26} {:>26} {:>22}",
        "", "at first", "after all rounds", "kB for a connection"
    );
    for ((subject, fresh), used) in subjects.iter().zip(fresh).zip(used) {
        let held = Kept::open(&subject.destinations, HELD).map_err(|fault: io::Error| subject.fault(&fault))?;
        let holding = subject
            .envoys
            .iter()
            .map(Envoy::memory)
            .collect::<Result<Vec<_>, _>>()?;
        drop(held);
        let sides = ["client's", "server's"].into_iter().zip(fresh).zip(used).zip(holding);
        for (((side, fresh), used), holding) in sides {
            let each = (holding.allocated - used.allocated) / f64::from(HELD);
            println!(
                "{:<44} {:>26} {:>26} {:>22.1}",
                format!("{}: {side}", subject.name),
                fresh.show(),
                used.show(),
                each / 1e3
            );
        }
    }
    println!();
    Ok(())
}
