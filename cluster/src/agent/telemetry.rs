//! What an agent tells of itself at `--listen`: its load, its metrics, and whether it lives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv6Net;
use ssa_slices::handover::Map;
use tokio::time::Instant;

use super::Agent;
use super::load::Meter;
use crate::contact::Contact;
use crate::heartbeat::{Heard, Standing};
use crate::http::{Health, Listener, Pages};
use crate::kernel::Repaired;
use crate::metrics::{Family, PHASES, Registry, number};
use crate::objects::{Name, Phase, SliceEndpointStatus, SliceMove};

/// How long the agent's loop may stand still before it counts as dead.
const STANDSTILL: Duration = Duration::from_mins(1);

const READY: Family = Family::gauge(
    "ssa_cluster_agent_ready",
    "Whether the endpoint says that it is ready, by what keeps it from that.",
);
const SLICES: Family = Family::gauge(
    "ssa_cluster_agent_slices",
    "Slices that the endpoint owns or stands by for; a part of one counts as one.",
);
const TAKEN: Family = Family::gauge(
    "ssa_cluster_agent_taken_prefixes",
    "Prefixes that the endpoint has taken over from owners that are lost.",
);
const TAKEOVERS: Family = Family::counter(
    "ssa_cluster_agent_takeovers_total",
    "Times that the endpoint has taken a prefix over from an owner that was lost.",
);
const REFUSED: Family = Family::gauge(
    "ssa_cluster_agent_refused_prefixes",
    "Prefixes that the endpoint is given and does not route, by who refuses them.",
);
const REPAIRED: Family = Family::counter(
    "ssa_cluster_agent_repaired_total",
    "What others had changed of what was set in the kernel, and was set again, by kind.",
);
const MOVES: Family = Family::gauge(
    "ssa_cluster_agent_moves",
    "Open moves that the endpoint takes part in, by the phase that its kernel is in and by its side.",
);
const PHASE_SECONDS: Family = Family::histogram(
    "ssa_cluster_agent_move_phase_seconds",
    "How long the endpoint was in a phase of a move that it has left.",
    PHASES,
);
const FLOWS: Family = Family::gauge(
    "ssa_cluster_agent_draining_flows",
    "Flows that moves wait for to end at the endpoint.",
);
const PEERS: Family = Family::gauge(
    "ssa_cluster_agent_peers",
    "Peers with heartbeats, by how it is with them.",
);
const LOST: Family = Family::counter(
    "ssa_cluster_agent_peers_lost_total",
    "Times that a peer was lost, because its heartbeats did not come.",
);

/// What an agent tells of itself.
pub(super) struct Telemetry {
    registry: Registry,
    health: Health,
    /// What counts the load; none where nobody can ask for it.
    pub(super) meter: Option<Arc<Meter>>,
    /// Since when the kernel has been in the phase of each move.
    phases: BTreeMap<Name, (Phase, Instant)>,
    lost: BTreeSet<Name>,
    taken: BTreeSet<Ipv6Net>,
}

impl Telemetry {
    pub(super) fn new(serves: bool) -> Self {
        let registry = Registry::default();
        for family in [&TAKEOVERS, &LOST] {
            registry.add(family, &[], 0);
        }
        for (kind, count) in Repaired::default().by_kind() {
            registry.add(&REPAIRED, &[("kind", kind)], count);
        }
        Self {
            registry,
            health: Health::new(STANDSTILL),
            meter: serves.then(|| Arc::new(Meter::new())),
            phases: BTreeMap::new(),
            lost: BTreeSet::new(),
            taken: BTreeSet::new(),
        }
    }

    /// Binds an address, and returns what serves it there.
    ///
    /// # Errors
    ///
    /// Why the address cannot be bound.
    pub(super) async fn serve(
        &self,
        address: SocketAddr,
        contact: &Contact,
    ) -> Result<impl Future<Output = ()> + Send + use<>, String> {
        let listener = Listener::bind(address).await?;
        let metrics = contact.metrics(self.registry.clone());
        let mut pages = Pages::new(self.registry.clone(), self.health.clone()).with("/metrics", metrics);
        if let Some(meter) = self.meter.clone() {
            pages = pages.with_awaited("/load", move |_| {
                let meter = Arc::clone(&meter);
                async move { meter.page().await }
            });
        }
        Ok(listener.serve(pages))
    }

    /// Notes that the agent's loop runs.
    pub(super) fn alive(&self) {
        self.health.note();
    }

    /// Notes what others had changed, and how many prefixes the kernel refuses.
    pub(super) fn applied(&self, repaired: Repaired, refused: usize) {
        for (kind, count) in repaired.by_kind() {
            self.registry.add(&REPAIRED, &[("kind", kind)], count);
        }
        self.registry.set(&REFUSED, &[("by", "kernel")], number(refused));
    }

    /// Notes what heartbeats say.
    pub(super) fn heard(&mut self, heard: &Heard) {
        let is = |wanted| heard.peers.iter().filter(move |(_, state)| state.standing == wanted);
        for (standing, name) in [
            (Standing::Awaited, "awaited"),
            (Standing::Unheard, "unheard"),
            (Standing::Alive, "alive"),
            (Standing::Lost, "lost"),
        ] {
            self.registry
                .set(&PEERS, &[("standing", name)], number(is(standing).count()));
        }
        let lost: BTreeSet<Name> = is(Standing::Lost).map(|(name, _)| name.clone()).collect();
        self.registry
            .add(&LOST, &[], count(lost.difference(&self.lost).count()));
        self.lost = lost;
    }

    /// Notes what has been taken over.
    fn take(&mut self, taken: BTreeSet<Ipv6Net>) {
        self.registry.set(&TAKEN, &[], number(taken.len()));
        self.registry
            .add(&TAKEOVERS, &[], count(taken.difference(&self.taken).count()));
        self.taken = taken;
    }

    /// Notes the phases that the kernel is in; `gives` says of which of the moves the endpoint gives.
    fn moves(&mut self, status: &SliceEndpointStatus, moves: &[SliceMove], me: &Name, now: Instant) {
        self.registry.clear(&MOVES);
        let mut flows = 0_u64;
        let mut phases = BTreeMap::new();
        let mut open: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for told in &status.moves {
            let gives = moves
                .iter()
                .any(|one| *one.name() == told.name && one.giver() == Some(me));
            let side = if gives { "from" } else { "to" };
            *open.entry((phase(told.phase), side)).or_default() += 1;
            flows += u64::from(told.flows.unwrap_or(0));
            let since = self.phases.get(&told.name).filter(|(before, _)| *before == told.phase);
            phases.insert(told.name.clone(), (told.phase, since.map_or(now, |(_, since)| *since)));
        }
        for ((phase, side), many) in open {
            self.registry
                .set(&MOVES, &[("phase", phase), ("side", side)], number(many));
        }
        self.registry
            .set(&FLOWS, &[], number(usize::try_from(flows).unwrap_or(usize::MAX)));
        for (name, (left, since)) in std::mem::replace(&mut self.phases, phases) {
            if self.phases.get(&name).is_none_or(|(now, _)| *now != left) {
                let seconds = now.saturating_duration_since(since).as_secs_f64();
                self.registry
                    .observe(&PHASE_SECONDS, &[("phase", phase(left))], seconds);
            }
        }
    }
}

impl Agent {
    /// Notes what the agent reports.
    pub(super) fn record(&mut self, status: &SliceEndpointStatus) {
        let registry = &self.telemetry.registry;
        registry.set(&READY, &[], f64::from(u8::from(status.ready)));
        registry.set(&REFUSED, &[("by", "allowed")], number(self.part.refused.len()));
        registry.clear(&SLICES);
        for (set, slices) in &self.part.slices {
            for (role, many) in [("owned", slices.owned), ("standby", slices.standby)] {
                registry.set(&SLICES, &[("slice_set", set.as_str()), ("role", role)], number(many));
            }
        }
        let taken = self.views.values().flat_map(|view| view.taken.keys().copied());
        self.telemetry.take(taken.collect());
        let (moves, me) = (&self.part.moves, &self.options.endpoint);
        self.telemetry.moves(status, moves, me, Instant::now());
    }
}

/// The slices that an endpoint has of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slices {
    pub(super) owned: usize,
    pub(super) standby: usize,
}

impl Slices {
    /// Counts them.
    pub(super) fn of(me: &ssa_slices::handover::EndpointName, map: &Map, slice_length: Option<u8>) -> Self {
        let mine = |(prefix, name): (Ipv6Net, &_)| (name == me).then(|| slices(prefix, slice_length));
        Self {
            owned: map.owned().filter_map(mine).fold(0, usize::saturating_add),
            standby: map.standbys().filter_map(mine).fold(0, usize::saturating_add),
        }
    }
}

/// Counts the slices in a prefix; one where it is not known how long they are.
fn slices(prefix: Ipv6Net, slice_length: Option<u8>) -> usize {
    let bits = slice_length.map_or(0, |length| length.saturating_sub(prefix.prefix_len()));
    1_usize.checked_shl(bits.into()).unwrap_or(usize::MAX)
}

fn phase(phase: Phase) -> &'static str {
    ssa_slices::handover::Phase::from(phase).name()
}

fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::heartbeat::State;
    use crate::objects::ObservedMove;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn has(telemetry: &Telemetry, lines: &[&str]) {
        let text = telemetry.registry.text();
        for line in lines {
            assert!(text.lines().any(|one| one == *line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn each_loss_of_a_peer_and_each_takeover_counts_once() {
        let mut telemetry = Telemetry::new(false);
        has(
            &telemetry,
            &[
                "ssa_cluster_agent_peers_lost_total 0",
                "ssa_cluster_agent_takeovers_total 0",
            ],
        );
        let heard = |standing| Heard {
            peers: [(
                name("b"),
                State {
                    standing,
                    ..State::default()
                },
            )]
            .into(),
        };
        for standing in [Standing::Lost, Standing::Lost, Standing::Alive, Standing::Lost] {
            telemetry.heard(&heard(standing));
        }
        let prefix: Ipv6Net = "2001:db8::/66".parse().expect("a prefix");
        for taken in [vec![prefix], vec![prefix], vec![], vec![prefix]] {
            telemetry.take(taken.into_iter().collect());
        }
        has(
            &telemetry,
            &[
                "ssa_cluster_agent_peers{standing=\"lost\"} 1",
                "ssa_cluster_agent_peers{standing=\"alive\"} 0",
                "ssa_cluster_agent_peers_lost_total 2",
                "ssa_cluster_agent_taken_prefixes 1",
                "ssa_cluster_agent_takeovers_total 2",
            ],
        );
    }

    #[test]
    fn phases_are_timed_when_the_kernel_leaves_them() {
        let mut telemetry = Telemetry::new(false);
        let gives = json!({
            "apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceMove", "metadata": {"name": "web-2"},
            "spec": {"sliceSet": "web", "epoch": 2, "from": "a", "to": "b", "prefixes": ["2001:db8:5::/66"],
                     "reason": "Manual"},
        });
        let moves = [SliceMove::from_value(&gives).expect("a move")];
        let began = Instant::now();
        let told = |phase, flows| SliceEndpointStatus {
            moves: vec![ObservedMove {
                name: name("web-2"),
                epoch: moves[0].spec.epoch,
                phase,
                flows,
                forwarded: None,
                message: crate::objects::Message::default(),
            }],
            ..SliceEndpointStatus::default()
        };
        let me = name("a");
        let mut at = |status: &SliceEndpointStatus, millis| {
            telemetry.moves(status, &moves, &me, began + Duration::from_millis(millis));
        };
        at(&told(Phase::Prepare, None), 0);
        at(&told(Phase::Prepare, None), 100);
        at(&told(Phase::Drain, Some(7)), 200);
        has(
            &telemetry,
            &[
                "ssa_cluster_agent_moves{phase=\"Drain\",side=\"from\"} 1",
                "ssa_cluster_agent_draining_flows 7",
                "ssa_cluster_agent_move_phase_seconds_sum{phase=\"Prepare\"} 0.2",
            ],
        );
        telemetry.moves(
            &SliceEndpointStatus::default(),
            &[],
            &me,
            began + Duration::from_secs(2),
        );
        has(
            &telemetry,
            &[
                "ssa_cluster_agent_draining_flows 0",
                "ssa_cluster_agent_move_phase_seconds_sum{phase=\"Drain\"} 1.8",
            ],
        );
        assert!(!telemetry.registry.text().contains("ssa_cluster_agent_moves{"));
    }

    #[test]
    fn slices_are_counted_in_longer_and_shorter_prefixes() {
        let of = |prefix: &str, length| slices(prefix.parse().expect("a prefix"), length);
        assert_eq!(of("2001:db8::/64", Some(74)), 1024);
        assert_eq!(of("2001:db8::/76", Some(74)), 1);
        assert_eq!(of("2001:db8::/64", None), 1);
        assert_eq!(of("::/0", Some(128)), usize::MAX);
    }
}
