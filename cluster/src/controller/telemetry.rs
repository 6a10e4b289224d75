//! What Prometheus is told of a round.

use ssa_slices::handover::Phase;

use super::round::Round;
use crate::{
    metrics::{Family, PHASES, Registry, number},
    objects::Phase as Stored,
};

const SLICES: Family = Family::gauge("ssa_cluster_slices", "Slices of the set.");
const WITHOUT_OWNER: Family = Family::gauge("ssa_cluster_slices_without_owner", "Slices that no endpoint owns.");
const WITHOUT_STANDBY: Family = Family::gauge(
    "ssa_cluster_slices_without_standby",
    "Slices that no endpoint stands by for.",
);
const ENDPOINTS: Family = Family::gauge("ssa_cluster_endpoints", "Endpoints that are to have slices.");
const WANTED: Family = Family::gauge("ssa_cluster_wanted_endpoints", "Endpoints that the load asks for.");
const REFUSING: Family = Family::gauge(
    "ssa_cluster_endpoints_refusing",
    "Endpoints that have nothing because they refuse prefixes of the set.",
);
const IMBALANCE: Family = Family::gauge(
    "ssa_cluster_imbalance_permille",
    "The highest load of an endpoint relative to its share, in thousandths; the number of its slices while loads are unknown.",
);
const TOLERANCE: Family = Family::gauge(
    "ssa_cluster_tolerance_permille",
    "How much of its share an endpoint may have before slices move for it, in thousandths.",
);
const EPOCH: Family = Family::gauge("ssa_cluster_epoch", "The epoch of the last decision.");
const LOAD: Family = Family::gauge(
    "ssa_cluster_load",
    "The load of the set, in new flows or bytes a second, as spec.balance.metric says.",
);
const ENDPOINT_LOAD: Family = Family::gauge(
    "ssa_cluster_endpoint_load",
    "The load of an endpoint, in the same unit.",
);
const ENDPOINT_SLICES: Family = Family::gauge("ssa_cluster_endpoint_slices", "Slices that an endpoint owns.");
const MOVES: Family = Family::gauge("ssa_cluster_moves", "Open moves, by phase and reason.");
const WAITING: Family = Family::gauge("ssa_cluster_moves_waiting", "Open moves, by what they wait for.");
const STUCK: Family = Family::gauge(
    "ssa_cluster_moves_stuck",
    "Open moves that have been in one phase, other than Drain, for longer than the set's deadline.",
);
const BEHIND: Family = Family::gauge(
    "ssa_cluster_nodes_behind",
    "Nodes whose FIB has not followed every open move of the set yet.",
);
const BEGUN: Family = Family::counter("ssa_cluster_moves_begun_total", "Moves that have begun, by reason.");
const ENDED: Family = Family::counter(
    "ssa_cluster_moves_ended_total",
    "Moves that have ended, by reason and the phase that they ended in.",
);
const TURNED_BACK: Family = Family::counter("ssa_cluster_moves_turned_back_total", "Moves that were turned back.");
const PHASE_SECONDS: Family = Family::histogram(
    "ssa_cluster_move_phase_seconds",
    "How long moves were in a phase that they have left.",
    PHASES,
);
const FAULTS: Family = Family::gauge("ssa_cluster_faults", "Faults of objects in the last round.");
const ROUNDS: Family = Family::counter("ssa_cluster_rounds_total", "Rounds that were made.");
const LEADER: Family = Family::gauge("ssa_cluster_leader", "Whether this controller leads.");

const LEFT_OUT: Family = Family::counter(
    "ssa_cluster_events_dropped_total",
    "Events that were left out, for there were too many at once.",
);

/// The gauges of sets, which go when the set does.
const OF_SETS: [Family; 17] = [
    SLICES,
    WITHOUT_OWNER,
    WITHOUT_STANDBY,
    ENDPOINTS,
    WANTED,
    REFUSING,
    IMBALANCE,
    TOLERANCE,
    EPOCH,
    LOAD,
    ENDPOINT_LOAD,
    ENDPOINT_SLICES,
    MOVES,
    WAITING,
    STUCK,
    BEHIND,
    FAULTS,
];

/// Writes a round into a registry: its gauges in place of those before.
pub fn record(registry: &Registry, round: &Round) {
    for family in &OF_SETS {
        registry.clear(family);
    }
    registry.add(&ROUNDS, &[], 1);
    registry.set(&FAULTS, &[], number(round.faults.len()));
    for (set, report) in &round.reports {
        let of_set: (&str, &str) = ("slice_set", set.as_str());
        for (family, value) in [
            (SLICES, number(report.slices)),
            (WITHOUT_OWNER, number(report.without_owner)),
            (WITHOUT_STANDBY, number(report.without_standby)),
            (ENDPOINTS, number(report.serving)),
            (WANTED, f64::from(report.wanted)),
            (REFUSING, number(report.refused.len())),
            (IMBALANCE, f64::from(report.imbalance_permille)),
            (TOLERANCE, f64::from(report.tolerance_permille)),
            (EPOCH, exact(report.epoch)),
            (STUCK, number(report.stuck.len())),
            (BEHIND, number(report.behind)),
        ] {
            registry.set(&family, &[of_set], value);
        }
        if let Some(load) = report.load {
            registry.set(&LOAD, &[of_set], exact(load) / 1000.0);
        }
        for (endpoint, load) in &report.loads {
            registry.set(
                &ENDPOINT_LOAD,
                &[of_set, ("endpoint", endpoint.as_str())],
                exact(*load) / 1000.0,
            );
        }
        for (endpoint, count) in &report.owned {
            registry.set(
                &ENDPOINT_SLICES,
                &[of_set, ("endpoint", endpoint.as_str())],
                number(*count),
            );
        }
        for ((phase, reason), count) in &report.moves {
            let labels = [of_set, ("phase", phase.name()), ("reason", reason.name())];
            registry.set(&MOVES, &labels, number(*count));
        }
        for (awaited, count) in &report.waiting {
            registry.set(&WAITING, &[of_set, ("for", awaited.name())], number(*count));
        }
    }
    for change in &round.changes {
        let of_set: (&str, &str) = ("slice_set", change.set.as_str());
        let reason = ("reason", change.reason.name());
        let Some((left, elapsed)) = change.left else {
            registry.add(&BEGUN, &[of_set, reason], 1);
            continue;
        };
        let phase = |phase: Stored| ("phase", Phase::from(phase).name());
        registry.observe(&PHASE_SECONDS, &[phase(left)], elapsed.as_secs_f64());
        if change.turned_back {
            registry.add(&TURNED_BACK, &[of_set, reason], 1);
        } else if change.phase.is_final() {
            registry.add(&ENDED, &[of_set, reason, phase(change.phase)], 1);
        }
    }
}

/// Says whether this controller leads; the gauges of sets are the leader's alone.
pub fn record_leading(registry: &Registry, leads: bool) {
    registry.set(&LEADER, &[], f64::from(u8::from(leads)));
    if !leads {
        for family in &OF_SETS {
            registry.clear(family);
        }
    }
}

/// Counts events that were left out.
pub fn record_left_out(registry: &Registry, count: usize) {
    registry.add(&LEFT_OUT, &[], u64::try_from(count).unwrap_or(u64::MAX));
}

#[expect(
    clippy::cast_precision_loss,
    reason = "below 2^53, or not to be told from what is near"
)]
fn exact(number: u64) -> f64 {
    number as f64
}
