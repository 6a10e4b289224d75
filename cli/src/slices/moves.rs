//! `ssa slices move`.

use serde_json::json;
use ssa_cluster::objects::{Name, Pin, Prefix, Reason, SliceMove, SliceMoveSpec, SliceSet, SliceSetSpec};

use super::{
    status::State,
    stored::{Opened, StoreArgs, Stored, now, reported},
};
use crate::{
    Outcome,
    failure::{Failure, Faults},
    output::Output,
};

const EXAMPLES: &str = "\
--to writes the prefix into spec.placement.pinned of its slice set. The controller then moves it to the
endpoint, and others in exchange, and keeps it there while the endpoint may have slices. --cancel takes
the pin away, and calls open moves of the prefix off: until Release they are turned back, and no flow
is cut. With the name of a move, as `ssa slices status` prints it, it calls off that move alone, with
pins by which it began.

Examples:
  ssa slices move --store /var/lib/ssa 2001:db8:5::/72 --to b
  ssa slices move --store /var/lib/ssa 2001:db8:5::/72 --cancel
  ssa slices move --store /var/lib/ssa --cancel store-7

Exit codes: 0 asked for; 1 there is nothing that can be cancelled, or the endpoint is drained; 2 usage,
no store, or no such prefix, move or endpoint.";

/// Asks for a prefix to be at an endpoint, or calls that off
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group(clap::ArgGroup::new("what").required(true).args(["to", "cancel"])))]
pub(super) struct Args {
    /// One or several whole slices; with --cancel it may be the name of a move
    #[arg(value_name = "PREFIX")]
    moved: String,
    /// The endpoint that is to own the prefix
    #[arg(long, value_name = "ENDPOINT")]
    to: Option<String>,
    /// Takes away the pins and calls off the open moves of the prefix
    #[arg(long)]
    cancel: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let what = What::read(&args.moved, args.cancel).map_err(|problem| faults.push("PREFIX", problem));
    let to = args.to.as_deref().and_then(|to| faults.take("--to", Name::new(to)));
    faults.check()?;
    let Ok(what) = what else {
        return Err(Failure::input("PREFIX", "missing"));
    };
    let opened = args.store.open()?;
    let mut faults = Faults::default();
    let stored = opened.read(&mut faults)?;
    for fault in faults.0 {
        out.warn(format_args!("{}: {}", fault.place, fault.message));
    }
    match (what, to) {
        (What::Prefix(prefix), Some(to)) => pin(prefix, &to, set_of(&stored, prefix)?, &stored, &opened, out),
        (What::Prefix(prefix), None) => cancel(prefix, set_of(&stored, prefix)?, &stored, &opened, out),
        (What::Move(name), _) => cancel_one(&name, &stored, &opened, out),
    }
}

/// What is to move, or to be called off.
enum What {
    Prefix(Prefix),
    Move(Name),
}

impl What {
    fn read(text: &str, cancel: bool) -> Result<Self, String> {
        let not_a_prefix = match text.parse() {
            Ok(prefix) => return Ok(Self::Prefix(prefix)),
            Err(error) => error,
        };
        match Name::new(text) {
            Ok(name) if cancel => Ok(Self::Move(name)),
            _ if cancel => Err(format!("`{text}` {not_a_prefix}, or the name of a move")),
            _ => Err(format!("`{text}` {not_a_prefix}")),
        }
    }
}

/// Finds the set that a prefix lies in, in whole slices.
fn set_of(stored: &Stored, prefix: Prefix) -> Result<&SliceSet, Failure> {
    for set in &stored.sets {
        let Ok(space) = set.spec.space() else { continue };
        if space.items().any(|item| Prefix::new(item).covers(prefix)) {
            if prefix.net().prefix_len() > space.slice_length() {
                let problem = format!(
                    "{prefix} is a part of a slice of {}, which is a /{}",
                    set.name(),
                    space.slice_length()
                );
                return Err(Failure::input("PREFIX", problem));
            }
            return Ok(set);
        }
    }
    Err(Failure::input("PREFIX", format!("{prefix} lies in no slice set")))
}

fn pin(
    prefix: Prefix,
    to: &Name,
    set: &SliceSet,
    stored: &Stored,
    opened: &Opened,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let Some(endpoint) = stored.endpoints(set).find(|one| one.name() == to) else {
        let problem = format!("{to} is no endpoint of {}; `ssa slices status` lists them", set.name());
        return Err(Failure::input("--to", problem));
    };
    if set.spec.drains(endpoint) || endpoint.spec.weight.get() == 0 {
        return Err(Failure::not_fine("--to", format!("{to} is drained, and gets nothing")));
    }
    if State::of(Some(endpoint), reported(Some(endpoint), now())) != State::Ready {
        out.warn(format_args!("{to} is not ready; nothing moves to it before it is"));
    }
    if set.spec.placement.paused {
        out.warn(format_args!(
            "set {} is paused; nothing moves before that ends",
            set.name()
        ));
    }
    let wanted = Pin {
        prefix,
        endpoint: to.clone(),
    };
    let changed = opened.change::<SliceSetSpec>(set.name(), |spec| {
        let pins = &mut spec.placement.pinned;
        // Longer ones within it would win.
        let mut within = pins.iter().filter(|pin| prefix.covers(pin.prefix));
        if within.next() == Some(&wanted) && within.next().is_none() {
            return false;
        }
        pins.retain(|pin| !prefix.covers(pin.prefix));
        pins.push(wanted.clone());
        true
    })?;
    if out.is_json() {
        out.json(&json!({ "set": set.name().as_str(), "prefix": prefix, "to": to.as_str(), "changed": changed }));
    } else {
        let what = if changed { "is" } else { "was" };
        out.line(format_args!("{prefix} of {} {what} pinned to {to}", set.name()));
    }
    Ok(Outcome::Fine)
}

fn cancel(
    prefix: Prefix,
    set: &SliceSet,
    stored: &Stored,
    opened: &Opened,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let unpinned = opened.change::<SliceSetSpec>(set.name(), |spec| {
        let before = spec.placement.pinned.len();
        spec.placement.pinned.retain(|pin| !prefix.covers(pin.prefix));
        spec.placement.pinned.len() < before
    })?;
    if let Some(pin) = set
        .spec
        .placement
        .pinned
        .iter()
        .find(|pin| pin.prefix != prefix && pin.prefix.covers(prefix))
    {
        out.warn(format_args!(
            "{} is pinned to {} as a whole, and stays so",
            pin.prefix, pin.endpoint
        ));
    }
    let touches = |one: &&SliceMove| {
        let mut prefixes = one.spec.prefixes.iter();
        prefixes.any(|other| other.covers(prefix) || prefix.covers(*other))
    };
    let mut cancelled = Vec::new();
    for one in stored.open_moves(set).filter(touches) {
        let name = one.name();
        if let Some(refusal) = refusal(one) {
            out.warn(format_args!("move {name}: {refusal}, and goes on"));
        } else if call_off(one, set, opened, out)? {
            cancelled.push(name.to_string());
        }
    }
    if !unpinned && cancelled.is_empty() {
        let problem = "has no pin and no open move that can be cancelled";
        return Err(Failure::not_fine(prefix.to_string(), problem));
    }
    if out.is_json() {
        out.json(&json!({
            "set": set.name().as_str(), "prefix": prefix, "unpinned": unpinned, "cancelled": cancelled,
        }));
    } else {
        if unpinned {
            out.line(format_args!("{prefix} of {} is no longer pinned", set.name()));
        }
        for name in cancelled {
            out.line(format_args!("move {name} is cancelled"));
        }
    }
    Ok(Outcome::Fine)
}

/// Says why a move cannot be called off, if so.
fn refusal(one: &SliceMove) -> Option<&'static str> {
    match one {
        _ if one.status.phase.is_final() => Some("is over"),
        _ if one.spec.reason == Reason::Failure => Some("is for a failure"),
        _ if one.status.turned_back => Some("is turned back already"),
        _ if !one.status.phase.can_be_called_off() => Some("is past the point at which it can be called off"),
        _ => None,
    }
}

/// Calls a move off; says whether that is news.
fn call_off(one: &SliceMove, set: &SliceSet, opened: &Opened, out: &mut Output) -> Result<bool, Failure> {
    let (name, reason) = (one.name(), one.spec.reason);
    if reason != Reason::Manual && !set.spec.placement.paused {
        out.warn(format_args!(
            "move {name}: its reason, {reason:?}, is still there, so the controller may begin another one"
        ));
    }
    opened.change::<SliceMoveSpec>(name, |spec| !std::mem::replace(&mut spec.cancelled, true))
}

/// Calls one move off, and takes the pins away by which it began.
fn cancel_one(name: &Name, stored: &Stored, opened: &Opened, out: &mut Output) -> Result<Outcome, Failure> {
    let one = stored.moves.iter().find(|one| one.name() == name);
    let set = one.and_then(|one| stored.sets.iter().find(|set| *set.name() == one.spec.slice_set));
    let (Some(one), Some(set)) = (one, set) else {
        let problem = format!("{name} is neither a prefix nor a move; `ssa slices status` lists moves");
        return Err(Failure::input("PREFIX", problem));
    };
    if let Some(refusal) = refusal(one) {
        return Err(Failure::not_fine(format!("move {name}"), refusal));
    }
    // A pin that covers more than the move brings stays: it is of other moves too.
    let by_which =
        |pin: &Pin| pin.endpoint == one.spec.to && one.spec.prefixes.iter().any(|prefix| prefix.covers(pin.prefix));
    let unpinned = opened.change::<SliceSetSpec>(set.name(), |spec| {
        let before = spec.placement.pinned.len();
        spec.placement.pinned.retain(|pin| !by_which(pin));
        spec.placement.pinned.len() < before
    })?;
    let around = |pin: &&Pin| {
        let is_wider = |prefix: &Prefix| pin.prefix != *prefix && pin.prefix.covers(*prefix);
        pin.endpoint == one.spec.to && one.spec.prefixes.iter().any(is_wider)
    };
    if let Some(pin) = set.spec.placement.pinned.iter().find(around) {
        out.warn(format_args!(
            "{} is pinned to {} as a whole, and stays so: the controller may begin another move",
            pin.prefix, pin.endpoint
        ));
    }
    let changed = call_off(one, set, opened, out)?;
    if out.is_json() {
        let cancelled: Vec<&str> = changed.then_some(name.as_str()).into_iter().collect();
        out.json(&json!({ "set": set.name().as_str(), "unpinned": unpinned, "cancelled": cancelled }));
    } else {
        if unpinned {
            out.line(format_args!("its prefixes are no longer pinned to {}", one.spec.to));
        }
        let (is, already) = if changed { ("is", "") } else { ("was", " already") };
        out.line(format_args!("move {name} {is} cancelled{already}"));
    }
    Ok(Outcome::Fine)
}
