//! `ssa slices drain` and `ssa slices undrain`.

use std::time::{Duration, Instant};

use serde_json::json;
use ssa_cluster::objects::{Name, SliceEndpointSpec, SliceSet, SliceSetSpec};

use super::{
    status::State,
    stored::{Opened, StoreArgs, Stored, now, reported},
};
use crate::{
    Outcome,
    counts::counted,
    failure::{Failure, Faults},
    input::number,
    output::Output,
};

/// How often a drain that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(200);

const DRAIN_EXAMPLES: &str = "\
Writes the endpoint into spec.placement.drained of every slice set that it serves. The controller then
moves its slices to the others; the endpoint serves open flows on until they end.

Examples:
  ssa slices drain --store /var/lib/ssa a
  ssa slices drain --store /var/lib/ssa a --wait 600

Exit codes: 0 drained, or asked for; 1 with --wait: it still has slices; 2 usage, no store, or no such
endpoint.";

/// Takes all slices from an endpoint
#[derive(Debug, clap::Args)]
#[command(after_help = DRAIN_EXAMPLES)]
pub(super) struct DrainArgs {
    /// The endpoint
    endpoint: String,
    /// Waits until it has nothing any more, for so long at most
    #[arg(long, value_name = "SECONDS")]
    wait: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

const UNDRAIN_EXAMPLES: &str = "\
Examples:
  ssa slices undrain --store /var/lib/ssa a

Exit codes: 0 it may have slices again; 2 usage, no store, or no such endpoint.";

/// Lets an endpoint have slices again
#[derive(Debug, clap::Args)]
#[command(after_help = UNDRAIN_EXAMPLES)]
pub(super) struct UndrainArgs {
    /// The endpoint
    endpoint: String,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn drain(args: &DrainArgs, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let wait = args.wait.as_deref();
    let wait = wait.and_then(|text| number("--wait", text, 1_u32, 86_400, &mut faults));
    faults.check()?;
    let name = endpoint(&args.endpoint)?;
    let opened = args.store.open()?;
    let stored = read(&opened, &name, out)?;
    let mut changed = Vec::new();
    for set in serving(&stored, &name) {
        let is_new = opened.change::<SliceSetSpec>(set.name(), |spec| {
            let drained = &mut spec.placement.drained;
            let is_new = !drained.contains(&name);
            if is_new {
                drained.push(name.clone());
            }
            is_new
        })?;
        if is_new {
            changed.push(set.name().to_string());
        }
        let others = stored.endpoints(set).filter(|one| {
            *one.name() != name
                && !set.spec.drains(one)
                && one.spec.weight.get() > 0
                && State::of(Some(*one), reported(Some(*one), now())) == State::Ready
        });
        if others.count() == 0 {
            let set = set.name();
            out.warn(format_args!(
                "set {set}: no other endpoint is ready, so {name} keeps its slices until one is"
            ));
        }
    }
    let Some(wait) = wait else {
        tell(
            out,
            &name,
            &changed,
            "is to have nothing any more",
            "was drained already",
        );
        return Ok(Outcome::Fine);
    };
    let began = Instant::now();
    let limit = Duration::from_secs(wait.into());
    loop {
        let left = left(&opened.read(&mut Faults::default())?, &name);
        if left == (0, 0) {
            tell(out, &name, &changed, "has nothing any more", "has nothing any more");
            return Ok(Outcome::Fine);
        }
        if began.elapsed() >= limit {
            let (slices, moves) = (counted(left.0, "slice"), counted(left.1, "open move"));
            let problem = format!("has {slices} and {moves} after {wait} s; the drain goes on");
            return Err(Failure::not_fine(name.to_string(), problem));
        }
        opened.runtime.block_on(async { tokio::time::sleep(LOOK).await });
    }
}

pub(super) fn undrain(args: &UndrainArgs, out: &mut Output) -> Result<Outcome, Failure> {
    let name = endpoint(&args.endpoint)?;
    let opened = args.store.open()?;
    let stored = read(&opened, &name, out)?;
    let mut changed = Vec::new();
    for set in serving(&stored, &name) {
        let was = opened.change::<SliceSetSpec>(set.name(), |spec| {
            let before = spec.placement.drained.len();
            spec.placement.drained.retain(|one| *one != name);
            spec.placement.drained.len() < before
        })?;
        if was {
            changed.push(set.name().to_string());
        }
    }
    if let Some(known) = stored.endpoints.get(&name) {
        let was = opened.change::<SliceEndpointSpec>(&name, |spec| std::mem::take(&mut spec.drained))?;
        if was {
            changed.push("its own object".to_owned());
        }
        if known.spec.weight.get() == 0 {
            out.warn(format_args!("{name}: its weight is 0, so it gets nothing all the same"));
        }
    }
    tell(out, &name, &changed, "may have slices again", "was not drained");
    Ok(Outcome::Fine)
}

fn endpoint(text: &str) -> Result<Name, Failure> {
    Name::new(text).map_err(|error| Failure::input("ENDPOINT", error))
}

/// Reads the store, in which the endpoint has to be. Faults elsewhere do not stand in the way.
fn read(opened: &Opened, name: &Name, out: &mut Output) -> Result<Stored, Failure> {
    let mut faults = Faults::default();
    let stored = opened.read(&mut faults)?;
    if serving(&stored, name).next().is_none() {
        faults.push(
            name.to_string(),
            "is an endpoint of no slice set; `ssa slices status` lists them",
        );
        faults.check()?;
    } else {
        for fault in faults.0 {
            out.warn(format_args!("{}: {}", fault.place, fault.message));
        }
    }
    Ok(stored)
}

/// Lists the sets that an endpoint serves, or is listed for.
fn serving<'a>(stored: &'a Stored, name: &'a Name) -> impl Iterator<Item = &'a SliceSet> {
    stored.sets.iter().filter(move |set| {
        let mut listed = set.spec.endpoints.list.iter().flatten();
        listed.any(|entry| entry.name == *name) || stored.endpoints(set).any(|one| one.name() == name)
    })
}

/// The slices that an endpoint still owns, and the open moves that it takes part in.
fn left(stored: &Stored, name: &Name) -> (usize, usize) {
    let (mut slices, mut moves) = (0, 0);
    for set in &stored.sets {
        let Ok(space) = set.spec.space() else { continue };
        let map = stored.map(set).map;
        let owned = map.owned().filter(|(_, owner)| owner.as_str() == name.as_str());
        slices += owned
            .map(|(prefix, _)| ssa_cluster::controller::slots(&space, prefix).len())
            .sum::<usize>();
        let open = stored.open_moves(set);
        moves += open
            .filter(|one| one.giver() == Some(name) || one.taker() == name)
            .count();
    }
    (slices, moves)
}

fn tell(out: &mut Output, name: &Name, changed: &[String], done: &str, nothing: &str) {
    if out.is_json() {
        out.json(&json!({ "endpoint": name.as_str(), "changed": changed }));
    } else if changed.is_empty() {
        out.line(format_args!("{name} {nothing}"));
    } else {
        out.line(format_args!("{name} {done} (changed: {})", changed.join(", ")));
    }
}
