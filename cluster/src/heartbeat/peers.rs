//! What heartbeats come to: pure, with the time as an argument.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use super::wire::{Heard, Heartbeat, SetId, SetState};
use super::{AT_ONCE, MAX_PEERS, Pace};
use crate::objects::Name;

/// How far behind the latest heartbeat to a peer the one may be that it names to show that it listens now.
const FRESH: u64 = 40;
/// How often a peer is told that heartbeats stop: such a word may be lost too.
const FAREWELLS: u8 = 3;
/// How long a peer that was never heard is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is to be told to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Where it is.
    pub address: Ipv6Addr,
    /// What there is to say of the sets that both serve.
    pub sets: BTreeMap<SetId, SetState>,
}

/// How it is with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Standing {
    /// It has not been heard yet.
    #[default]
    Awaited,
    /// It has not been heard for long since it is waited for: it has no heartbeats, or is not there.
    Unheard,
    /// It is heard.
    Alive,
    /// It was heard, and no longer is.
    Lost,
}

/// What is known of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// How it is with it.
    pub standing: Standing,
    /// What it says of sets.
    pub sets: BTreeMap<SetId, SetState>,
}

/// A heartbeat was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is for another endpoint.
    #[error("it is for another endpoint")]
    NotOurs,
    /// The sender is no peer, or has another address.
    #[error("its sender is no peer, or has another address")]
    Stranger,
    /// It came before, or a later one did.
    #[error("it came before, or a later one did")]
    Repeated,
    /// The sender has yet to show that it hears this run.
    #[error("its sender has yet to show that it listens now")]
    Unproven,
}

#[derive(Debug, Clone)]
struct Peer {
    told: Told,
    since: Duration,
    /// What came last, believed or not: it is named to the peer.
    last: Option<Heard>,
    session: Option<Session>,
    unheard: bool,
}

/// A run of a peer that is believed.
#[derive(Debug, Clone)]
struct Session {
    heard: Heard,
    at: Duration,
    interval: Duration,
    lost: bool,
    sets: BTreeMap<SetId, SetState>,
}

/// An endpoint's peers.
#[derive(Debug)]
pub struct Peers {
    me: Name,
    instance: u64,
    pace: Pace,
    sequence: u64,
    known: BTreeMap<Name, Peer>,
    /// Who is no peer any more, and how often it is told so still.
    leaving: BTreeMap<Name, (Ipv6Addr, u8)>,
}

impl Peers {
    /// Takes this endpoint's name, and the number of this run, which no other run has.
    #[must_use]
    pub fn new(me: Name, instance: u64, pace: Pace) -> Self {
        Self {
            me,
            instance,
            pace,
            sequence: 0,
            known: BTreeMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    /// Takes who the peers are and what they are told; those past the most that there may be are left out.
    pub fn tell(&mut self, wanted: &BTreeMap<Name, Told>, now: Duration) {
        let wanted: BTreeMap<&Name, &Told> = wanted.iter().take(MAX_PEERS).collect();
        for (name, told) in &wanted {
            self.leaving.remove(*name);
            let peer = self.known.entry((*name).clone()).or_insert_with(|| Peer {
                told: (*told).clone(),
                since: now,
                last: None,
                session: None,
                unheard: false,
            });
            peer.told = (*told).clone();
        }
        for (name, peer) in std::mem::take(&mut self.known) {
            if wanted.contains_key(&name) {
                self.known.insert(name, peer);
            } else {
                self.leaving.insert(name, (peer.told.address, FAREWELLS));
            }
        }
    }

    /// How often heartbeats are sent.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let rounds = self.known.len().div_ceil(AT_ONCE).max(1);
        self.pace.interval * u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    /// Says whether an address is a peer's.
    #[must_use]
    pub fn has(&self, address: Ipv6Addr) -> bool {
        self.known.values().any(|peer| peer.told.address == address)
    }

    /// Returns the heartbeats that are due, with where they go.
    pub fn beats(&mut self) -> Vec<(Ipv6Addr, Heartbeat)> {
        self.sequence += 1;
        let interval = u16::try_from(self.interval().as_millis()).unwrap_or(u16::MAX);
        let beat = |to: &Name| Heartbeat {
            from: self.me.clone(),
            to: to.clone(),
            instance: self.instance,
            sequence: self.sequence,
            heard: None,
            interval,
            leaving: false,
            sets: BTreeMap::new(),
        };
        let to_peers = self.known.iter().map(|(name, peer)| {
            let beat = Heartbeat {
                heard: peer.last,
                sets: peer.told.sets.clone(),
                ..beat(name)
            };
            (peer.told.address, beat)
        });
        let farewells = self.leaving.iter().map(|(name, (address, _))| {
            let beat = Heartbeat {
                leaving: true,
                ..beat(name)
            };
            (*address, beat)
        });
        let due = to_peers.chain(farewells).collect();
        self.leaving.retain(|_, (_, left)| {
            *left -= 1;
            *left > 0
        });
        due
    }

    /// Takes a heartbeat that came from an address. Says whether anything has changed that is told.
    ///
    /// # Errors
    ///
    /// [`Refused`]; then nothing that is told has changed.
    pub fn receive(&mut self, address: Ipv6Addr, beat: Heartbeat, now: Duration) -> Result<bool, Refused> {
        if beat.to != self.me {
            return Err(Refused::NotOurs);
        }
        let peer = self
            .known
            .get_mut(&beat.from)
            .filter(|peer| peer.told.address == address);
        let peer = peer.ok_or(Refused::Stranger)?;
        let heard = Heard {
            instance: beat.instance,
            sequence: beat.sequence,
        };
        let of_run = |known: &Heard| known.instance == heard.instance;
        let known = peer.session.as_ref().map(|session| session.heard).filter(of_run);
        let last = known.or(peer.last.filter(of_run));
        if last.is_some_and(|last| heard.sequence <= last.sequence) {
            return Err(Refused::Repeated);
        }
        let before = standing(peer);
        peer.last = Some(heard);
        if known.is_none() {
            let listens = beat.heard.is_some_and(|named| {
                named.instance == self.instance
                    && named.sequence <= self.sequence
                    && self.sequence - named.sequence <= FRESH
            });
            if !listens {
                return Err(Refused::Unproven);
            }
        }
        let said = peer.session.take().map(|session| session.sets);
        let unsaid = said.as_ref() != Some(&beat.sets);
        if beat.leaving {
            (peer.since, peer.unheard) = (now, false);
        } else {
            peer.session = Some(Session {
                heard,
                at: now,
                interval: Duration::from_millis(beat.interval.into()),
                lost: false,
                sets: beat.sets,
            });
        }
        Ok(unsaid || standing(peer) != before)
    }

    /// Finds out who is lost by now. Says whether anything has changed that is told.
    pub fn judge(&mut self, now: Duration) -> bool {
        let mut changed = false;
        let missing = self.pace.missing;
        for peer in self.known.values_mut() {
            let before = standing(peer);
            match &mut peer.session {
                Some(session) => session.lost |= now.saturating_sub(session.at) > session.interval * missing,
                None => peer.unheard |= now.saturating_sub(peer.since) > PATIENCE,
            }
            changed |= standing(peer) != before;
        }
        changed
    }

    /// Excuses everybody: this end itself did not listen for a while, so that silence means nothing.
    pub fn excuse(&mut self, now: Duration) {
        for peer in self.known.values_mut() {
            match &mut peer.session {
                Some(session) => session.at = now,
                None => peer.since = now,
            }
        }
    }

    /// Tells how it is with each peer.
    #[must_use]
    pub fn states(&self) -> BTreeMap<Name, State> {
        let state = |(name, peer): (&Name, &Peer)| {
            let sets = peer.session.as_ref().map(|session| session.sets.clone());
            let state = State {
                standing: standing(peer),
                sets: sets.unwrap_or_default(),
            };
            (name.clone(), state)
        };
        self.known.iter().map(state).collect()
    }
}

fn standing(peer: &Peer) -> Standing {
    match &peer.session {
        Some(session) if session.lost => Standing::Lost,
        Some(_) => Standing::Alive,
        None if peer.unheard => Standing::Unheard,
        None => Standing::Awaited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(50);
    const A: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0xa);
    const B: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0xb);

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn told(address: Ipv6Addr) -> Told {
        Told {
            address,
            sets: BTreeMap::new(),
        }
    }

    /// Two endpoints, and the time in heartbeats.
    struct Pair {
        a: Peers,
        b: Peers,
        now: Duration,
        /// Every heartbeat to `a`, as somebody on the way records them.
        recorded: Vec<Heartbeat>,
    }

    impl Pair {
        fn new() -> Self {
            let mut pair = Self {
                a: Peers::new(name("a"), 1, Pace::default()),
                b: Peers::new(name("b"), 2, Pace::default()),
                now: Duration::ZERO,
                recorded: Vec::new(),
            };
            pair.a.tell(&[(name("b"), told(B))].into(), pair.now);
            pair.b.tell(&[(name("a"), told(A))].into(), pair.now);
            pair
        }

        fn beat(&mut self, a_speaks: bool, b_speaks: bool) {
            self.now += INTERVAL;
            let (from_a, from_b) = (self.a.beats(), self.b.beats());
            for (address, beat) in from_a.into_iter().filter(|_| a_speaks) {
                assert_eq!(address, B);
                let _ = self.b.receive(A, beat, self.now);
            }
            for (_, beat) in from_b.into_iter().filter(|_| b_speaks) {
                self.recorded.push(beat.clone());
                let _ = self.a.receive(B, beat, self.now);
            }
            self.a.judge(self.now);
            self.b.judge(self.now);
        }

        /// What `a` knows of `b`.
        fn known(&self) -> Standing {
            self.a.states()[&name("b")].standing
        }
    }

    #[test]
    fn a_peer_is_alive_once_each_has_heard_the_other() {
        let mut pair = Pair::new();
        assert_eq!(pair.known(), Standing::Awaited);
        for _ in 0..3 {
            pair.beat(true, true);
        }
        assert_eq!(pair.known(), Standing::Alive);
    }

    #[test]
    fn three_missing_heartbeats_lose_a_peer_and_one_finds_it_again() {
        let mut pair = Pair::new();
        for _ in 0..3 {
            pair.beat(true, true);
        }
        for missing in 1..=4 {
            pair.beat(true, false);
            let expected = if missing <= 3 { Standing::Alive } else { Standing::Lost };
            assert_eq!(pair.known(), expected, "{missing} missing");
        }
        pair.beat(true, true);
        assert_eq!(pair.known(), Standing::Alive);
    }

    #[test]
    fn a_patient_end_loses_nobody_so_soon_and_a_slow_one_is_waited_for() {
        let pace = Pace {
            interval: INTERVAL * 4,
            missing: 10,
        };
        let mut pair = Pair::new();
        // The one is patient, and the other slow.
        pair.a = Peers::new(
            name("a"),
            1,
            Pace {
                missing: 10,
                ..Pace::default()
            },
        );
        pair.b = Peers::new(name("b"), 2, pace);
        pair.a.tell(&[(name("b"), told(B))].into(), pair.now);
        pair.b.tell(&[(name("a"), told(A))].into(), pair.now);
        for beat in 0..12 {
            pair.beat(true, beat % 4 == 0);
        }
        assert_eq!(pair.known(), Standing::Alive);
        let mut missing = 0;
        while pair.known() == Standing::Alive {
            pair.beat(true, false);
            missing += 1;
        }
        // Ten of the other's pace, since the last that came.
        assert_eq!((pair.known(), missing), (Standing::Lost, 38));
    }

    #[test]
    fn one_that_was_never_heard_or_that_said_good_bye_is_not_lost() {
        let mut pair = Pair::new();
        for _ in 0..100 {
            pair.beat(true, false);
        }
        assert_eq!(pair.known(), Standing::Unheard);
        let mut pair = Pair::new();
        for _ in 0..3 {
            pair.beat(true, true);
        }
        pair.b.tell(&BTreeMap::new(), pair.now);
        for _ in 0..6 {
            pair.beat(true, true);
        }
        assert_eq!(pair.known(), Standing::Awaited);
        assert_eq!(pair.recorded.iter().filter(|beat| beat.leaving).count(), 3);
    }

    #[test]
    fn what_was_recorded_keeps_nobody_alive() {
        let mut pair = Pair::new();
        for _ in 0..10 {
            pair.beat(true, true);
        }
        let recorded = pair.recorded.clone();
        for _ in 0..10 {
            pair.beat(true, false);
            for beat in &recorded {
                assert_eq!(pair.a.receive(B, beat.clone(), pair.now), Err(Refused::Repeated));
            }
        }
        assert_eq!(pair.known(), Standing::Lost);
        // Nor does it prove anything to the next run of a, however much its sequence numbers agree.
        pair.a = Peers::new(name("a"), 3, Pace::default());
        pair.a.tell(&[(name("b"), told(B))].into(), pair.now);
        for _ in 0..10 {
            pair.beat(true, false);
            for beat in &recorded {
                assert!(pair.a.receive(B, beat.clone(), pair.now).is_err());
            }
        }
        assert_eq!(pair.known(), Standing::Awaited);
    }

    #[test]
    fn heartbeats_of_an_earlier_run_do_not_take_the_place_of_the_present_one() {
        let mut pair = Pair::new();
        for _ in 0..10 {
            pair.beat(true, true);
        }
        let recorded = pair.recorded.clone();
        pair.b = Peers::new(name("b"), 4, Pace::default());
        pair.b.tell(&[(name("a"), told(A))].into(), pair.now);
        for _ in 0..60 {
            pair.beat(true, true);
        }
        assert_eq!(pair.known(), Standing::Alive);
        for beat in recorded {
            assert_eq!(pair.a.receive(B, beat, pair.now), Err(Refused::Unproven));
        }
        pair.beat(true, true);
        assert_eq!(pair.known(), Standing::Alive);
    }

    #[test]
    fn strangers_and_heartbeats_for_others_are_refused() {
        let mut pair = Pair::new();
        let (_, beat) = pair.b.beats().remove(0);
        let sent = |beat: Heartbeat, address| Pair::new().a.receive(address, beat, Duration::ZERO);
        assert_eq!(sent(beat.clone(), A), Err(Refused::Stranger));
        let (from, to) = (name("c"), name("c"));
        assert_eq!(sent(Heartbeat { from, ..beat.clone() }, B), Err(Refused::Stranger));
        assert_eq!(sent(Heartbeat { to, ..beat }, B), Err(Refused::NotOurs));
    }

    #[test]
    fn an_end_that_did_not_listen_takes_nobody_for_lost() {
        let mut pair = Pair::new();
        for _ in 0..3 {
            pair.beat(true, true);
        }
        pair.now += Duration::from_secs(10);
        pair.a.excuse(pair.now);
        assert!(!pair.a.judge(pair.now));
        assert_eq!(pair.known(), Standing::Alive);
    }

    #[test]
    fn many_peers_hear_less_often_and_are_told_so() {
        let mut peers = Peers::new(name("a"), 1, Pace::default());
        let many = |count: usize| -> BTreeMap<Name, Told> {
            (0..count)
                .map(|number| (name(&format!("p{number}")), told(B)))
                .collect()
        };
        for (count, interval) in [(0, 50), (64, 50), (65, 100), (1024, 800), (5000, 800)] {
            peers.tell(&many(count), Duration::ZERO);
            assert_eq!(peers.interval(), Duration::from_millis(interval), "{count} peers");
            let to_peers = |(_, beat): &(Ipv6Addr, Heartbeat)| !beat.leaving;
            let due: Vec<_> = peers.beats().into_iter().filter(to_peers).collect();
            assert_eq!(due.len(), count.min(MAX_PEERS));
            assert!(due.iter().all(|(_, beat)| u64::from(beat.interval) == interval));
        }
    }

    #[test]
    fn what_a_peer_says_of_sets_is_known_when_it_changes() {
        let mut pair = Pair::new();
        for _ in 0..3 {
            pair.beat(true, true);
        }
        let state = SetState {
            taken: true,
            ..SetState::default()
        };
        let sets: BTreeMap<SetId, SetState> = [(SetId::of(&name("web")), state)].into();
        pair.b.tell(
            &[(
                name("a"),
                Told {
                    sets: sets.clone(),
                    ..told(A)
                },
            )]
            .into(),
            pair.now,
        );
        for changed in [true, false] {
            pair.now += INTERVAL;
            let (_, beat) = pair.b.beats().remove(0);
            assert_eq!(pair.a.receive(B, beat, pair.now), Ok(changed));
        }
        assert_eq!(pair.a.states()[&name("b")].sets, sets);
    }
}
