//! `ssa slices status`, and the picture of a store that it and `ssa slices watch` print.

use std::collections::BTreeMap;

use serde::Serialize;
use ssa_cluster::{
    controller::slots,
    objects::{
        Condition, ConditionStatus, Name, Ownership, Phase, Reason, SliceEndpoint, SliceMove, SliceSet, Timestamp,
    },
};
use ssa_slices::SliceSpace;

use super::stored::{StoreArgs, Stored, age, now, reported, told};
use crate::{
    Outcome,
    counts::{counted, grouped},
    failure::{Failure, Fault, Faults},
    output::Output,
    style::{self, paint},
};

/// An agent reports every second; one that has not for so long is shown as silent.
const SILENT_AFTER: u64 = 15;

const EXAMPLES: &str = "\
Examples:
  ssa slices status --store /var/lib/ssa
  ssa slices status --json --store /var/lib/ssa

Exit codes: 0 every slice has an owner that is ready; 1 some have none, or one that is not ready or
silent; 2 usage, no store, or objects at fault: the others are shown all the same.";

/// Shows who owns which slices, who stands by, and which moves are under way
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let stored = args.store.open()?.read(&mut faults)?;
    let picture = Picture::new(&stored, now(), faults);
    if out.is_json() {
        out.json(&picture);
    } else {
        picture.print(out);
        if !picture.faults.is_empty() {
            out.faults(&picture.faults);
        }
    }
    Ok(picture.outcome())
}

/// A store as people look at it.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) sets: Vec<Set>,
    /// What is wrong with objects, which are not shown.
    pub(super) faults: Vec<Fault>,
}

#[derive(Debug, Serialize)]
pub(super) struct Set {
    pub(super) name: String,
    service: String,
    epoch: u64,
    pub(super) slices: usize,
    slice_length: u8,
    without_owner: usize,
    without_standby: usize,
    /// Of slices whose owner is not ready, silent, or unknown.
    not_served: usize,
    paused: bool,
    exclusive: bool,
    /// The highest load of an endpoint relative to its share, in thousandths; of its slices, where loads are not known.
    imbalance_permille: u32,
    /// How many endpoints the load asks for.
    wanted_endpoints: u32,
    /// What the leader tells of it.
    conditions: Vec<Told>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) moves: Vec<Move>,
}

#[derive(Debug, Serialize)]
pub(super) struct Endpoint {
    pub(super) name: String,
    domain: Option<String>,
    weight: u32,
    pub(super) state: State,
    /// Whether it is to have nothing.
    pub(super) drained: bool,
    pub(super) owned: usize,
    standby: usize,
    prefixes: usize,
    /// The part of all slices that it owns.
    pub(super) share: f64,
    /// Seconds since its agent has reported.
    reported: Option<u64>,
    /// What its agent tells of it.
    conditions: Vec<Told>,
}

/// A condition of an object.
#[derive(Debug, Serialize)]
struct Told {
    r#type: String,
    status: ConditionStatus,
    reason: String,
    message: String,
}

/// How far one side of a move is.
#[derive(Debug, Serialize)]
struct Side {
    endpoint: String,
    phase: Option<Phase>,
    flows: Option<u32>,
    message: String,
}

/// What an endpoint's agent says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ready,
    NotReady,
    /// It was, and its agent has not reported for long.
    Silent,
    /// It has never reported, or is in the map alone.
    Unknown,
}

#[derive(Debug, Serialize)]
pub(super) struct Move {
    pub(super) name: String,
    pub(super) from: Option<String>,
    pub(super) to: String,
    pub(super) phase: Phase,
    reason: Reason,
    turned_back: bool,
    cancelled: bool,
    pub(super) slices: usize,
    prefixes: Vec<String>,
    /// Seconds since it began, and since its phase did.
    age: Option<u64>,
    phase_age: Option<u64>,
    message: String,
    /// Who gives the prefixes, and who takes them, as they report.
    sides: Vec<Side>,
}

impl State {
    pub(super) fn of(endpoint: Option<&SliceEndpoint>, reported: Option<u64>) -> Self {
        match (endpoint, reported) {
            (None, _) | (_, None) => Self::Unknown,
            (_, Some(reported)) if reported > SILENT_AFTER => Self::Silent,
            (Some(endpoint), _) if endpoint.status.ready => Self::Ready,
            _ => Self::NotReady,
        }
    }

    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }
}

impl Picture {
    pub(super) fn new(stored: &Stored, now: Timestamp, mut faults: Faults) -> Self {
        let sets = stored.sets.iter();
        let sets = sets.filter_map(|set| {
            let space = faults.take(&format!("SliceSet {}", set.name()), set.spec.space())?;
            Some(Set::new(set, &space, stored, now))
        });
        let sets = sets.collect();
        Self { sets, faults: faults.0 }
    }

    pub(super) fn outcome(&self) -> Outcome {
        if !self.faults.is_empty() {
            return Outcome::BadInput;
        }
        let served = |set: &Set| set.without_owner == 0 && set.not_served == 0;
        if self.sets.iter().all(served) {
            Outcome::Fine
        } else {
            Outcome::NotFine
        }
    }

    pub(super) fn print(&self, out: &mut Output) {
        if self.sets.is_empty() {
            out.line("no slice sets");
        }
        for (number, set) in self.sets.iter().enumerate() {
            if number > 0 {
                out.line("");
            }
            set.print(out);
        }
    }
}

impl Set {
    fn new(set: &SliceSet, space: &SliceSpace, stored: &Stored, now: Timestamp) -> Self {
        let map = stored.map(set).map;
        let count = |prefix| slots(space, prefix).len();
        let (mut owned, mut stood_by) = (BTreeMap::new(), BTreeMap::new());
        let (mut all, mut with_standby) = (0_usize, 0_usize);
        for (prefix, owner) in map.owned() {
            let (slices, prefixes): &mut (usize, usize) = owned.entry(owner.as_str()).or_default();
            *slices += count(prefix);
            *prefixes += 1;
            all += count(prefix);
            if let Some(standby) = map.standby(prefix) {
                *stood_by.entry(standby.as_str()).or_insert(0) += count(prefix);
                with_standby += count(prefix);
            }
        }
        let mut names: Vec<&str> = stored.endpoints(set).map(|one| one.name().as_str()).collect();
        names.extend(owned.keys().chain(stood_by.keys()));
        names.sort_unstable();
        names.dedup();
        let endpoints = names.into_iter().map(|name| {
            let known = stored.endpoints.get(name);
            let reported = reported(known, now);
            let (slices, prefixes) = owned.get(name).copied().unwrap_or_default();
            Endpoint {
                name: name.to_owned(),
                domain: known
                    .and_then(|known| known.spec.domain.as_ref())
                    .map(ToString::to_string),
                weight: known.map_or(0, |known| known.spec.weight.get()),
                state: State::of(known, reported),
                drained: known.is_none_or(|known| set.spec.drains(known) || known.spec.weight.get() == 0),
                owned: slices,
                standby: stood_by.get(name).copied().unwrap_or(0),
                prefixes,
                share: ratio(slices, space.count()),
                reported,
                conditions: known.map_or_else(Vec::new, |known| Told::all(&known.status.conditions)),
            }
        });
        let endpoints: Vec<Endpoint> = endpoints.collect();
        let not_served = endpoints
            .iter()
            .filter(|one| one.state != State::Ready)
            .map(|one| one.owned);
        Self {
            name: set.name().to_string(),
            service: set.spec.service.to_string(),
            epoch: map.epoch().get(),
            slices: space.count(),
            slice_length: space.slice_length(),
            without_owner: space.count().saturating_sub(all),
            without_standby: if set.spec.standby {
                space.count().saturating_sub(with_standby)
            } else {
                0
            },
            not_served: not_served.sum(),
            paused: set.spec.placement.paused,
            exclusive: set.spec.ownership == Ownership::Exclusive,
            imbalance_permille: set.status.imbalance_permille,
            wanted_endpoints: set.status.wanted_endpoints,
            conditions: Told::all(&set.status.conditions),
            endpoints,
            moves: stored
                .open_moves(set)
                .map(|one| Move::new(one, space, stored, now))
                .collect(),
        }
    }

    fn print(&self, out: &mut Output) {
        let title = format!("{}  {}", self.name, self.service);
        let exclusive = if self.exclusive { ", exclusive" } else { "" };
        let paused = if self.paused { ", paused" } else { "" };
        let slices = format!("{} of /{}", grouped(self.slices), self.slice_length);
        out.line(format_args!(
            "{}  {slices}, epoch {}{exclusive}{paused}",
            paint(style::HEADING, title),
            self.epoch
        ));
        let names = self
            .endpoints
            .iter()
            .map(|one| one.name.len())
            .max()
            .unwrap_or(0)
            .max(8);
        let head = format!(
            "{:<names$}  {:<9} {:>7} {:>8} {:>8} {:>8}  {:<8}",
            "endpoint", "state", "slices", "share", "standby", "prefixes", "domain"
        );
        out.line(paint(style::HEADING, head.trim_end()));
        for one in &self.endpoints {
            let share = format!("{:.2} %", one.share * 100.0);
            let row = format!(
                "{:>7} {share:>8} {:>8} {:>8}  {}{}",
                grouped(one.owned),
                grouped(one.standby),
                grouped(one.prefixes),
                one.domain.as_deref().unwrap_or("-"),
                one.told_drain()
            );
            let style = match one.state {
                State::Ready => style::GOOD,
                _ if one.owned > 0 => style::BAD,
                _ => style::DIM,
            };
            let state = paint(style, format!("{:<9}", one.state.told()));
            out.line(format_args!("{:<names$}  {state} {row}", one.name));
        }
        if self.imbalance_permille > 0 {
            let most = f64::from(self.imbalance_permille) / 1000.0;
            let wanted = counted(usize::try_from(self.wanted_endpoints).unwrap_or(usize::MAX), "endpoint");
            out.line(format_args!(
                "at most {most:.3} of a share at one endpoint; {wanted} wanted"
            ));
        }
        for one in &self.moves {
            one.print(out);
        }
        // What the counts below say is not said twice.
        let counted_below = ["Ready", "StandbysReady"];
        for told in self
            .conditions
            .iter()
            .filter(|told| !counted_below.contains(&&*told.r#type))
        {
            told.print("", out);
        }
        for one in &self.endpoints {
            for told in &one.conditions {
                told.print(&format!("{}: ", one.name), out);
            }
        }
        for (count, what) in [
            (self.without_owner, "without an owner"),
            (self.not_served, "with an owner that is not ready"),
            (self.without_standby, "without a standby"),
        ] {
            if count > 0 {
                out.line(paint(style::WARN, format!("{} {what}", counted(count, "slice"))));
            }
        }
    }
}

impl Told {
    fn all(conditions: &[Condition]) -> Vec<Self> {
        let told = |one: &Condition| Self {
            r#type: one.kind.to_string(),
            status: one.status,
            reason: one.reason.to_string(),
            message: one.message.to_string(),
        };
        conditions.iter().map(told).collect()
    }

    /// Prints what does not hold, such as `Fenced is False (NotYet): a does not hold its lease`.
    fn print(&self, of: &str, out: &mut Output) {
        if self.status == ConditionStatus::True {
            return;
        }
        let Self {
            r#type,
            status,
            reason,
            message,
        } = self;
        let message = if message.is_empty() {
            String::new()
        } else {
            format!(": {message}")
        };
        out.line(paint(
            style::WARN,
            format!("{of}{type} is {status:?} ({reason}){message}"),
        ));
    }
}

impl Side {
    fn new(endpoint: &Name, one: &SliceMove, stored: &Stored) -> Self {
        let status = stored.endpoints.get(endpoint).map(|endpoint| &endpoint.status);
        let observed = status.and_then(|status| status.moves.iter().find(|observed| observed.name == *one.name()));
        // What it says of an earlier decision it says of nothing that counts now.
        let observed = observed.filter(|observed| observed.epoch >= one.epoch());
        Self {
            endpoint: endpoint.to_string(),
            phase: observed.map(|observed| observed.phase),
            flows: observed.and_then(|observed| observed.flows),
            message: observed.map_or_else(String::new, |observed| observed.message.to_string()),
        }
    }

    /// Says what of it is not said by the move's phase.
    fn told(&self, phase: Phase) -> Option<String> {
        let mut told = Vec::new();
        match self.phase {
            Some(reached) if reached >= phase => {}
            Some(reached) => told.push(format!("is in {reached:?}")),
            None => told.push("has not reported".to_owned()),
        }
        if let Some(flows) = self.flows.filter(|_| phase == Phase::Drain) {
            told.push(format!(
                "has {}",
                counted(usize::try_from(flows).unwrap_or(usize::MAX), "flow")
            ));
        }
        if !self.message.is_empty() {
            told.push(format!("says: {}", self.message));
        }
        (!told.is_empty()).then(|| format!("; {} {}", self.endpoint, told.join(", ")))
    }
}

impl Endpoint {
    const fn told_drain(&self) -> &'static str {
        match (self.drained, self.owned) {
            (false, _) => "",
            (true, 0) => "  drained",
            (true, _) => "  draining",
        }
    }
}

impl Move {
    fn new(one: &SliceMove, space: &SliceSpace, stored: &Stored, now: Timestamp) -> Self {
        let prefixes = &one.spec.prefixes;
        let seconds = |moment| age(moment, now).map(|age| age.as_secs());
        Self {
            name: one.name().to_string(),
            from: one.giver().map(ToString::to_string),
            to: one.taker().to_string(),
            phase: one.status.phase,
            reason: one.spec.reason,
            turned_back: one.status.turned_back,
            cancelled: one.spec.cancelled,
            slices: prefixes.iter().map(|prefix| slots(space, prefix.net()).len()).sum(),
            prefixes: prefixes.iter().map(ToString::to_string).collect(),
            age: seconds(one.status.started_at),
            phase_age: seconds(one.status.phase_since.or(one.status.started_at)),
            message: one.status.message.as_str().to_owned(),
            sides: one
                .giver()
                .into_iter()
                .chain([one.taker()])
                .map(|side| Side::new(side, one, stored))
                .collect(),
        }
    }

    /// Writes it in a line, such as `move store-7: a to b, 12 slices, Drain for 3 s`.
    pub(super) fn told(&self) -> String {
        let back = if self.turned_back { ", turned back" } else { "" };
        let cancelled = if self.cancelled && !self.turned_back {
            ", cancelled"
        } else {
            ""
        };
        let since = self.phase_age.map_or_else(String::new, |age| {
            format!(" for {}", told(std::time::Duration::from_secs(age)))
        });
        let message = if self.message.is_empty() {
            String::new()
        } else {
            format!("; {}", self.message)
        };
        let sides: String = self.sides.iter().filter_map(|side| side.told(self.phase)).collect();
        format!(
            "move {}: {} to {}, {}, in {:?}{since} (reason: {:?}){back}{cancelled}{message}{sides}",
            self.name,
            self.from.as_deref().unwrap_or("nobody"),
            self.to,
            counted(self.slices, "slice"),
            self.phase,
            self.reason,
        )
    }

    fn print(&self, out: &mut Output) {
        out.line(self.told());
    }
}

/// Divides counts of at most 2^20 slices.
fn ratio(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(part) / number(whole.max(1))
}
