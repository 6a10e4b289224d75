//! What a simulation tells: one document, as JSON and as text.

use serde::Serialize;

use super::{
    attack::Findings,
    endpoints::{Fleet, Held},
    load::{Load, Subjects},
    read::Scene,
    spread::{ChiSquare, Spread, real, size},
    svg::{Panel, Picture},
};
use crate::{
    counts::{counted, grouped, mean},
    output::Output,
    style::{self, paint},
};

/// How many of the fullest endpoints are told.
const HOTTEST: usize = 5;

/// All that a run found.
#[derive(Serialize)]
pub(super) struct Report {
    record: String,
    items: usize,
    slice_bits: u8,
    slices: usize,
    seed: u64,
    time: u64,
    made_up_secret: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    loaded: Option<Loaded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Then>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attack: Option<Findings>,
    #[serde(skip)]
    told: Vec<String>,
}

#[derive(Serialize)]
struct Loaded {
    /// Clients, or chunks of objects without clients.
    clients: u64,
    connections_per_client: u32,
    /// What a client is called.
    #[serde(skip)]
    what: &'static str,
    /// Slices that any connection reached.
    slices_reached: usize,
    distinct_destinations: Distinct,
    /// Connections for which no address can be composed.
    failures: Vec<Failed>,
    load: Loads,
}

#[derive(Serialize)]
struct Distinct {
    count: u64,
    exact: bool,
}

#[derive(Serialize)]
struct Failed {
    reason: String,
    connections: u64,
}

#[derive(Serialize)]
struct Loads {
    #[serde(flatten)]
    spread: Spread,
    hottest: Vec<Hot>,
}

#[derive(Serialize)]
struct Hot {
    endpoint: String,
    weight: u32,
    slices: u64,
    connections: u64,
    share: f64,
    /// The part of all connections that its weight entitles it to.
    fair_share: f64,
    over_mean: f64,
}

/// What moves when the endpoints change.
#[derive(Serialize)]
struct Then {
    endpoints: usize,
    slices_moved: usize,
    slices_moved_share: f64,
    /// No plan with the same balance moves fewer.
    slices_lower_bound: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_moved: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_moved_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Loads>,
}

fn part(some: f64, all: f64) -> f64 {
    if all > 0.0 { some / all } else { 0.0 }
}

impl Loads {
    fn new(fleet: &Fleet, load: &Load) -> Self {
        let held = fleet.loads(&load.per_slice);
        let spread = Spread::new(&held);
        let weights: f64 = held.iter().map(|held| f64::from(held.weight)).sum();
        let hot = spread
            .order
            .iter()
            .zip(&spread.ratios)
            .take(HOTTEST)
            .filter_map(|(index, ratio)| {
                let (name, held): (_, &Held) = (&fleet.endpoints.get(*index)?.0, held.get(*index)?);
                Some(Hot {
                    endpoint: name.clone(),
                    weight: held.weight,
                    slices: held.slices,
                    connections: held.load,
                    share: part(real(held.load), real(spread.connections)),
                    fair_share: part(f64::from(held.weight), weights),
                    over_mean: *ratio,
                })
            });
        Self {
            hottest: hot.collect(),
            spread,
        }
    }
}

impl Loaded {
    fn new(scene: &Scene, fleet: &Fleet, subjects: &Subjects, load: &Load) -> Self {
        let (count, exact) = load.distinct.count();
        let failures = load.failures.iter().map(|(reason, connections)| Failed {
            reason: reason.to_string(),
            connections: *connections,
        });
        Self {
            clients: scene.workload(subjects).count(),
            connections_per_client: scene.connections,
            what: match subjects {
                Subjects::Clients(..) => "client",
                Subjects::Objects(_) if scene.chunks > 1 => "chunk",
                Subjects::Objects(_) => "object",
            },
            slices_reached: load.slices_reached(),
            distinct_destinations: Distinct { count, exact },
            failures: failures.collect(),
            load: Loads::new(fleet, load),
        }
    }
}

impl Then {
    fn new(before: &Fleet, then: &Fleet, load: Option<&Load>) -> Self {
        let slices = before.plan.assignment.len();
        let moves = &then.plan.moves;
        let moved = load.map(|load| -> u64 {
            let loads = moves
                .iter()
                .filter_map(|moved| load.per_slice.get(usize::try_from(moved.slice.get()).ok()?));
            loads.sum()
        });
        Self {
            endpoints: then.active(),
            slices_moved: moves.len(),
            slices_moved_share: part(size(moves.len()), size(slices)),
            slices_lower_bound: then.plan.report.lower_bound,
            connections_moved: moved,
            connections_moved_share: moved
                .zip(load)
                .map(|(moved, load)| part(real(moved), real(load.connections()))),
            load: load.map(|load| Loads::new(then, load)),
        }
    }
}

impl Report {
    pub(super) fn new(
        scene: &Scene,
        fleet: &Fleet,
        then: Option<&Fleet>,
        load: Option<&Load>,
        attack: Option<Findings>,
    ) -> Self {
        let bits = scene.space.bits().get();
        Self {
            record: scene.record.to_string(),
            items: scene.items.positive().len(),
            slice_bits: bits,
            slices: scene.space.count(),
            seed: scene.seed,
            time: scene.time.0,
            made_up_secret: scene.made_up_secret,
            loaded: scene
                .subjects
                .as_ref()
                .zip(load)
                .map(|(subjects, load)| Loaded::new(scene, fleet, subjects, load)),
            then: then.map(|then| Then::new(fleet, then, load)),
            told: attack
                .as_ref()
                .map(|attack| attack.sentences(&scene.record, bits))
                .unwrap_or_default(),
            attack,
        }
    }

    /// Returns whether every client could compose.
    pub(super) fn is_fine(&self) -> bool {
        self.loaded.as_ref().is_none_or(|loaded| loaded.failures.is_empty())
    }

    /// Draws the loads, if there are any.
    pub(super) fn picture(&self) -> Option<Picture<'_>> {
        let loaded = self.loaded.as_ref()?;
        let caption = |spread: &Spread| {
            let endpoints = counted(spread.endpoints, "endpoint");
            format!("{endpoints}, {} connections each on average", mean(spread.mean))
        };
        let spread = &loaded.load.spread;
        let mut panels = vec![Panel {
            caption: caption(spread),
            spread,
        }];
        if let Some(then) = &self.then
            && let Some(load) = &then.load
        {
            let moved = format!(
                "{}; {} of {} moved ({:.1} % of connections)",
                caption(&load.spread),
                grouped(then.slices_moved),
                counted(self.slices, "slice"),
                100.0 * then.connections_moved_share.unwrap_or(0.0)
            );
            panels.push(Panel {
                caption: moved,
                spread: &load.spread,
            });
        }
        Some(Picture {
            title: self.record.clone(),
            subtitle: format!(
                "{}, {}, {}, seed {}",
                counted(loaded.clients, loaded.what),
                counted(spread.connections, "connection"),
                counted(self.slices, "slice"),
                self.seed
            ),
            panels,
        })
    }

    /// Prints the report for people.
    pub(super) fn print(&self, out: &mut Output) {
        row(out, "record", &self.record);
        if self.made_up_secret {
            row(out, "secret", "made up from the seed");
        }
        let slices = grouped(self.slices);
        let of = if self.items == 1 {
            "the item".into()
        } else {
            format!("each of {} items", self.items)
        };
        row(out, "slices", format!("{slices}, 2^{} of {of}", self.slice_bits));
        if let Some(loaded) = &self.loaded {
            let each = counted(loaded.connections_per_client, "connection");
            row(
                out,
                &format!("{}s", loaded.what),
                format!("{}, {each} each", grouped(loaded.clients)),
            );
            let distinct = &loaded.distinct_destinations;
            let about = if distinct.exact { "" } else { "about " };
            let reached = counted(loaded.slices_reached, "slice");
            let distinct = counted(distinct.count, "distinct destination");
            row(out, "reached", format!("{reached}, {about}{distinct}"));
            for failed in &loaded.failures {
                let text = format!("{}: {}", counted(failed.connections, "connection"), failed.reason);
                row(out, "not composed", paint(style::BAD, text));
            }
            print_loads(out, &loaded.load);
        }
        if let Some(then) = &self.then {
            print_then(out, then, self.slices);
        }
        if let Some(attack) = &self.attack {
            self.print_attack(out, attack);
        }
    }

    fn print_attack(&self, out: &mut Output, attack: &Findings) {
        heading(out, format_args!("attack from {}", attack.prefix));
        let looked = match (attack.source_bits, attack.exact) {
            (0, _) => "the source does not choose the slice".into(),
            (bits, true) if attack.inputs_tried == 1 => format!("1 (src/{bits}), tried"),
            (bits, true) => format!("{} (src/{bits}), all tried", grouped(attack.inputs_tried)),
            (bits, false) => {
                format!(
                    "2^{} (src/{bits}), {} of them tried",
                    attack.inputs_log2,
                    grouped(attack.inputs_tried)
                )
            }
        };
        row(out, "inputs", looked);
        let endpoints = grouped(attack.endpoints_reached);
        let all = counted(attack.endpoints, "endpoint");
        row(
            out,
            "reach",
            format!(
                "{endpoints} of {all}; one input reaches {:.1} on average",
                attack.endpoints_per_input
            ),
        );
        let tries = attack
            .tries_per_hit
            .map_or_else(|| "none hits".into(), |tries| format!("{tries:.1} tries a hit"));
        let search = if attack.free {
            "no search needed".to_string()
        } else {
            tries
        };
        row(
            out,
            "target",
            format!(
                "{}: reached by {}, {search}",
                attack.target,
                counted(attack.hits, "input")
            ),
        );
        out.line(format_args!(
            "  {:>12} {:>16} {:>16} {:>16}",
            "sources", "on target", "unsearched", "search hashes"
        ));
        for share in &attack.shares {
            out.line(format_args!(
                "  {:>12} {:>14.2} % {:>14.2} % {:>16}",
                grouped(share.sources),
                100.0 * share.searched,
                100.0 * share.unsearched,
                format!("{:.0}", share.search_hashes)
            ));
        }
        for told in &self.told {
            out.line(format_args!("  - {told}"));
        }
    }
}

fn row(out: &mut Output, name: &str, text: impl std::fmt::Display) {
    out.line(format_args!("{} {text}", paint(style::HEADING, format!("{name:<13}"))));
}

fn heading(out: &mut Output, text: impl std::fmt::Display) {
    out.line("");
    out.line(paint(style::HEADING, text));
}

fn chi(chi: &ChiSquare) -> String {
    let p = chi.p_value.map_or_else(
        || "too few for a p-value".into(),
        |p| {
            if p < 1e-4 {
                "p < 0.0001".into()
            } else {
                format!("p = {p:.4}")
            }
        },
    );
    format!(
        "{:.1} at {} degrees of freedom ({:.2} each), {p}",
        chi.statistic, chi.degrees_of_freedom, chi.normalised
    )
}

fn print_loads(out: &mut Output, loads: &Loads) {
    let spread = &loads.spread;
    heading(out, format_args!("load of {}", counted(spread.endpoints, "endpoint")));
    row(out, "mean", format!("{} connections", mean(spread.mean)));
    let unit = if spread.even { "mean" } else { "share" };
    row(out, &format!("max/{unit}"), format!("{:.3}", spread.max_over_mean));
    row(out, &format!("p99/{unit}"), format!("{:.3}", spread.p99_over_mean));
    row(
        out,
        &format!("min/{unit}"),
        format!("{:.3} ({} idle)", spread.min_over_mean, spread.idle),
    );
    if !spread.even {
        row(out, "", "relative to each one's fair share, its weight's part of all");
    }
    if let Some(even) = &spread.chi_square {
        row(out, "chi-square", format!("{} against even load", chi(even)));
    }
    if let Some(even) = &spread.chi_square_by_slices {
        row(out, "", format!("{} against the slices held", chi(even)));
    }
    for (index, hot) in loads.hottest.iter().enumerate() {
        let text = format!(
            "{}: {} ({:.2} %{}), {:.2} × {}, {}, weight {}",
            hot.endpoint,
            counted(hot.connections, "connection"),
            100.0 * hot.share,
            if spread.even {
                String::new()
            } else {
                format!(" of all, {:.2} % is fair", 100.0 * hot.fair_share)
            },
            hot.over_mean,
            if spread.even { "the mean" } else { "its fair share" },
            counted(hot.slices, "slice"),
            hot.weight
        );
        row(out, if index == 0 { "hottest" } else { "" }, text);
    }
}

fn print_then(out: &mut Output, then: &Then, slices: usize) {
    heading(out, format_args!("then, {}", counted(then.endpoints, "endpoint")));
    let text = format!(
        "{} of {} ({:.2} %); no balanced plan moves fewer than {}",
        grouped(then.slices_moved),
        counted(slices, "slice"),
        100.0 * then.slices_moved_share,
        grouped(then.slices_lower_bound)
    );
    row(out, "moved", text);
    if let (Some(moved), Some(share)) = (then.connections_moved, then.connections_moved_share) {
        row(
            out,
            "",
            format!("{} ({:.2} %)", counted(moved, "connection"), 100.0 * share),
        );
    }
    if let Some(loads) = &then.load {
        print_loads(out, loads);
    }
}
