//! What an endpoint knows of its peers by itself, and what it tells them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv6Net;
use ssa_slices::handover::{EndpointName, Handover, Map, Metric, Ownership, Phase, View, overlap};

use crate::followed::Objects;
use crate::heartbeat::{SetId, SetState, Standing, State, Told};
use crate::objects::Name;

/// What decides beside the store.
#[derive(Debug, Default)]
pub(super) struct Circumstances<'a> {
    /// What slices may lie in.
    pub(super) allowed: &'a [Ipv6Net],
    /// The endpoint is not ready to serve.
    pub(super) unready: bool,
    /// What heartbeats say.
    pub(super) heard: BTreeMap<EndpointName, State>,
    /// Peers that say, in the store, that they have rejoined.
    pub(super) rejoined: BTreeSet<EndpointName>,
    /// What the kernel held when this agent began; the first time alone.
    pub(super) found: Option<&'a Found>,
    /// Load is counted.
    pub(super) measures: bool,
}

/// What the kernel held when an agent began.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What was announced, with its metric.
    pub(super) announced: BTreeMap<Ipv6Net, u32>,
    /// There was nothing at all: the host, or its network namespace, is new.
    pub(super) nothing: bool,
}

impl Circumstances<'_> {
    fn state(&self, peer: &EndpointName, set: SetId) -> SetState {
        let said = self.heard.get(peer).and_then(|state| state.sets.get(&set));
        said.copied().unwrap_or_default()
    }

    fn has_rejoined(&self, peer: &EndpointName, set: SetId) -> bool {
        match self.heard.get(peer).map(|state| state.standing) {
            Some(Standing::Alive) => self.state(peer, set).rejoined,
            _ => self.rejoined.contains(peer),
        }
    }

    fn standing(&self, peer: &EndpointName) -> Standing {
        self.heard.get(peer).map_or(Standing::Awaited, |state| state.standing)
    }
}

/// Brings the view of a set up to date: who is lost, what has been taken, whether this endpoint has rejoined.
pub(super) fn view<'a>(
    me: &EndpointName,
    map: &Map,
    handovers: &[Handover],
    circumstances: &Circumstances<'_>,
    known: Entry<'a, Name, View>,
) -> &'a View {
    let set = SetId::of(known.key());
    let view = match (known, circumstances.found) {
        (Entry::Vacant(new), Some(found)) => new.insert(before(me, map, handovers, found)),
        (known, _) => known.or_default(),
    };
    let peers = of(me, map, handovers);
    view.unready = circumstances.unready;
    // Two that have rejoined are not lost to each other: neither can have taken anything.
    let is_lost = |peer: &&EndpointName| {
        circumstances.standing(peer) == Standing::Lost || (circumstances.has_rejoined(peer, set) && !view.rejoined)
    };
    // One that is not heard may accept all the same: where no two may, the leader alone knows that it surely does not.
    view.lost = match map.ownership() {
        Ownership::Available => peers.iter().filter(is_lost).cloned().collect(),
        Ownership::Exclusive => BTreeSet::new(),
    };
    let is_idle = |peer: &&EndpointName| {
        circumstances.standing(peer) == Standing::Alive && circumstances.state(peer, set).unready
    };
    view.idle = peers.iter().filter(is_idle).cloned().collect();
    let has_taken = |peer: &&EndpointName| circumstances.state(peer, set).taken;
    view.taken_by = peers.iter().filter(has_taken).cloned().collect();
    // Who could have taken over what this endpoint lost has lost everything too, or is not there.
    let has_nothing = |standby: &EndpointName| {
        circumstances.has_rejoined(standby, set)
            || matches!(circumstances.standing(standby), Standing::Lost | Standing::Unheard)
    };
    let mut standbys = map
        .owned()
        .filter(|(_, owner)| *owner == me)
        .filter_map(|(prefix, _)| map.standby(prefix));
    if view.rejoined && standbys.all(has_nothing) {
        view.rejoined = false;
    }
    view.take(me, map, handovers);
    view
}

/// Returns what is known at first: what the kernel went on with while no agent was there.
fn before(me: &EndpointName, map: &Map, handovers: &[Handover], found: &Found) -> View {
    let arms = |prefix: Ipv6Net| {
        let mut mine = handovers.iter().filter(|one| one.to == *me && one.phase == Phase::Arm);
        mine.find(|one| one.prefixes.contains(&prefix))
    };
    // By a handover it is whoever gives it, whom the map may not name yet.
    let owner = |prefix: Ipv6Net| match arms(prefix) {
        Some(handover) => handover.from.as_ref(),
        None => map.owner(prefix).filter(|_| map.standby(prefix) == Some(me)),
    };
    let best = found
        .announced
        .iter()
        .filter(|(_, metric)| **metric == Metric::Taken.value());
    let taken = best.filter_map(|(prefix, _)| {
        let owner = owner(*prefix).filter(|owner| *owner != me)?;
        Some((*prefix, owner.clone()))
    });
    View {
        taken: taken.collect(),
        rejoined: found.nothing,
        ..View::default()
    }
}

/// Lists the endpoints that have to know at once when this one is gone, and it when they are: owner and standby of each
/// prefix, and both sides of each handover.
pub(super) fn of(me: &EndpointName, map: &Map, handovers: &[Handover]) -> BTreeSet<EndpointName> {
    let mut peers: BTreeSet<EndpointName> = BTreeSet::new();
    for (prefix, owner) in map.owned() {
        match map.standby(prefix) {
            Some(standby) if owner == me => drop(peers.insert(standby.clone())),
            Some(standby) if standby == me => drop(peers.insert(owner.clone())),
            _ => {}
        }
    }
    let open = || handovers.iter().filter(|one| one.phase.is_open());
    for handover in open() {
        // Whoever has flows by a handover that this one goes on from is asked for them by the new owner.
        let before = open().filter(|one| one.is_before(handover, map.ownership()));
        let before: Vec<&Handover> = before.collect();
        for prefix in &handover.prefixes {
            let standby = map.standby(*prefix).into_iter();
            let first = before
                .iter()
                .filter(|one| one.prefixes.iter().any(|other| overlap(*other, *prefix)));
            let first = first.flat_map(|one| &one.from);
            let all = standby.chain(&handover.from).chain([&handover.to]).chain(first);
            let all: Vec<&EndpointName> = all.collect();
            if all.contains(&me) {
                peers.extend(all.into_iter().cloned());
            }
        }
    }
    peers.remove(me);
    peers
}

/// Adds what the peers in one set are told.
pub(super) fn tell(
    set: &Name,
    peers: &BTreeSet<EndpointName>,
    view: &View,
    world: &Objects,
    told: &mut BTreeMap<Name, Told>,
) {
    for peer in peers {
        let Some(endpoint) = Name::new(peer.as_str())
            .ok()
            .and_then(|name| world.endpoints.get(&name))
        else {
            continue;
        };
        let state = SetState {
            taken: view.taken.values().any(|owner| owner == peer),
            rejoined: view.rejoined,
            unready: view.unready,
        };
        let one = told.entry(endpoint.name().clone()).or_insert_with(|| Told {
            address: endpoint.spec.address,
            sets: BTreeMap::new(),
        });
        if state != SetState::default() {
            one.sets.insert(SetId::of(set), state);
        }
    }
}

#[cfg(test)]
mod tests {
    use ssa_slices::handover::Epoch;

    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().expect("a prefix")
    }

    fn one(text: &str) -> EndpointName {
        EndpointName::new(text).expect("a name")
    }

    /// `a` owns one half and `b` the other; each stands by for the other.
    fn map() -> Map {
        map_of(Ownership::Available)
    }

    fn map_of(ownership: Ownership) -> Map {
        let halves = ["2001:db8::/65", "2001:db8:0:0:8000::/65"].map(net);
        let owned = [(halves[0], one("a")), (halves[1], one("b"))];
        let standby = [(halves[0], one("b")), (halves[1], one("a"))];
        Map::new(Epoch::new(1), ownership, owned, standby).expect("a map")
    }

    fn set() -> Name {
        Name::new("web").expect("a name")
    }

    fn heard(standing: Standing, taken: bool, rejoined: bool) -> BTreeMap<EndpointName, State> {
        let state = SetState {
            taken,
            rejoined,
            unready: false,
        };
        said(standing, state)
    }

    fn said(standing: Standing, state: SetState) -> BTreeMap<EndpointName, State> {
        let sets = [(SetId::of(&set()), state)].into();
        [(one("b"), State { standing, sets })].into()
    }

    /// What `a` makes of it.
    fn seen(views: &mut BTreeMap<Name, View>, circumstances: &Circumstances<'_>) -> View {
        view(&one("a"), &map(), &[], circumstances, views.entry(set())).clone()
    }

    #[test]
    fn what_a_lost_owner_has_is_taken_and_stays_taken_when_it_is_heard_again() {
        let mut views = BTreeMap::new();
        let lost = Circumstances {
            heard: heard(Standing::Lost, false, false),
            ..Circumstances::default()
        };
        let taken: BTreeMap<Ipv6Net, EndpointName> = [(net("2001:db8:0:0:8000::/65"), one("b"))].into();
        assert_eq!(seen(&mut views, &lost).taken, taken);
        let alive = Circumstances {
            heard: heard(Standing::Alive, false, false),
            ..Circumstances::default()
        };
        let view = seen(&mut views, &alive);
        assert_eq!((view.taken, view.lost), (taken, BTreeSet::new()));
    }

    #[test]
    fn nobody_takes_anything_of_an_exclusive_set_and_nobody_is_lost() {
        let found = Found {
            announced: [(net("2001:db8:0:0:8000::/65"), 50)].into(),
            nothing: false,
        };
        let circumstances = Circumstances {
            heard: heard(Standing::Lost, false, true),
            found: Some(&found),
            ..Circumstances::default()
        };
        let (mut views, map) = (BTreeMap::new(), map_of(Ownership::Exclusive));
        let view = view(&one("a"), &map, &[], &circumstances, views.entry(set()));
        assert_eq!(*view, View::default());
    }

    #[test]
    fn one_that_is_not_ready_takes_nothing() {
        let circumstances = Circumstances {
            heard: heard(Standing::Lost, false, false),
            unready: true,
            ..Circumstances::default()
        };
        assert_eq!(seen(&mut BTreeMap::new(), &circumstances).taken, BTreeMap::new());
    }

    #[test]
    fn what_an_owner_has_that_is_not_ready_is_taken_and_stays_taken() {
        let unready = |unready| SetState {
            unready,
            ..SetState::default()
        };
        let mut views = BTreeMap::new();
        let taken: BTreeMap<Ipv6Net, EndpointName> = [(net("2001:db8:0:0:8000::/65"), one("b"))].into();
        for (state, expected) in [
            (unready(false), BTreeMap::new()),
            (unready(true), taken.clone()),
            (unready(false), taken),
        ] {
            let circumstances = Circumstances {
                heard: said(Standing::Alive, state),
                ..Circumstances::default()
            };
            let view = seen(&mut views, &circumstances);
            // It is there, and so are its flows.
            assert_eq!((view.taken, view.lost), (expected, BTreeSet::new()), "{state:?}");
        }
    }

    #[test]
    fn what_was_taken_is_read_from_the_kernel() {
        let announced =
            [("2001:db8::/65", 50), ("2001:db8:0:0:8000::/65", 50)].map(|(prefix, metric)| (net(prefix), metric));
        let found = Found {
            announced: announced.into(),
            nothing: false,
        };
        let circumstances = Circumstances {
            found: Some(&found),
            ..Circumstances::default()
        };
        let view = seen(&mut BTreeMap::new(), &circumstances);
        assert_eq!(view.taken, [(net("2001:db8:0:0:8000::/65"), one("b"))].into());
        assert!(!view.rejoined);
    }

    #[test]
    fn an_empty_kernel_has_rejoined_unless_the_standby_has_too_or_is_not_there() {
        let found = Found {
            nothing: true,
            ..Found::default()
        };
        for (standing, peer_rejoined, rejoined) in [
            (Standing::Awaited, false, true),
            (Standing::Alive, false, true),
            (Standing::Alive, true, false),
            (Standing::Unheard, false, false),
            (Standing::Lost, false, false),
        ] {
            let circumstances = Circumstances {
                heard: heard(standing, false, peer_rejoined),
                found: Some(&found),
                ..Circumstances::default()
            };
            let view = seen(&mut BTreeMap::new(), &circumstances);
            assert_eq!(view.rejoined, rejoined, "{standing:?}, {peer_rejoined}");
        }
        // One that is there already takes over what the one that comes back had.
        let circumstances = Circumstances {
            heard: heard(Standing::Alive, false, true),
            ..Circumstances::default()
        };
        let view = seen(&mut BTreeMap::new(), &circumstances);
        assert_eq!((view.lost.len(), view.taken.len()), (1, 1));
    }

    #[test]
    fn owner_and_standby_and_both_sides_of_a_handover_are_peers() {
        let handover = |to: &str| Handover {
            epoch: Epoch::new(2),
            from: Some(one("b")),
            to: one(to),
            prefixes: vec![net("2001:db8:0:0:8000::/66")],
            phase: Phase::Arm,
        };
        let of = |me: &str, handovers: &[Handover]| -> Vec<String> {
            let found = of(&one(me), &map(), handovers);
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(of("a", &[]), ["b"]);
        assert_eq!(of("c", &[]), [""; 0]);
        assert_eq!(of("c", &[handover("c")]), ["a", "b"]);
        assert_eq!(of("a", &[handover("c")]), ["b", "c"]);
    }
}
