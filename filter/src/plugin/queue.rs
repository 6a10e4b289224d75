//! Connections that are held.

use core::net::Ipv6Addr;

use super::NS_PER_MS;
use crate::{
    config::Hold,
    host::ContextId,
    index::{self, Index},
};

/// The most connections that one callback lets go or closes: Envoy does not survive thousands of closes at once.
pub(super) const MOST_AT_ONCE: usize = 256;

/// What has waited long enough, whatever the time.
const OVER: u64 = 0;

/// Why a connection is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldReason<T> {
    /// For the first snapshot.
    Snapshot,
    /// For a task of the role's.
    Task(T),
    /// To be closed, which the proxy would not do.
    Closing,
}

/// A connection that is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<T> {
    pub(super) connection: ContextId,
    /// Until when, in nanoseconds since 1970; [`OVER`] for those that are given up.
    until: u64,
    pub(super) reason: HoldReason<T>,
    /// The network that it comes from.
    from: u64,
}

impl<T: Copy> Held<T> {
    pub(super) const fn task(&self) -> Option<T> {
        match self.reason {
            HoldReason::Task(task) => Some(task),
            HoldReason::Snapshot | HoldReason::Closing => None,
        }
    }

    /// Has it wait for a task, for as long as it may wait anyway.
    pub(super) const fn on(self, task: T) -> Self {
        Self {
            reason: HoldReason::Task(task),
            ..self
        }
    }

    /// Says whether it may wait for longer than this time.
    pub(super) const fn lasts(&self, time: u64) -> bool {
        self.until > time
    }

    /// Gives it up with the next look at those whose time is up.
    pub(super) const fn give_up(&mut self) {
        self.until = OVER;
    }
}

/// The connections that one plugin of a VM holds, in the order of their coming.
#[derive(Debug)]
pub(super) struct Queue<T> {
    hold: Hold,
    held: Vec<Held<T>>,
}

/// Returns the network of an address, a /64 or a /24 of IPv4, as a number that no other has.
fn network(address: Ipv6Addr) -> u64 {
    let bits = address.to_bits();
    let high = u64::try_from(bits.unbounded_shr(64)).unwrap_or(0);
    // ::ffff:0:0/96 lies in ::/64, which nobody has.
    match address.to_ipv4_mapped() {
        Some(address) => u64::from(address.to_bits().unbounded_shr(8)),
        None => high,
    }
}

impl<T: Copy + PartialEq> Queue<T> {
    pub(super) fn new(hold: Hold) -> Self {
        Self { hold, held: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Says whether a connection is held.
    pub(super) fn holds(&self, connection: ContextId) -> bool {
        self.held.iter().any(|held| held.connection == connection)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Held<T>> {
        self.held.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held<T>> {
        self.held.iter_mut()
    }

    /// Holds a connection, if there is room or room can be made.
    pub(super) fn hold(
        &mut self,
        connection: ContextId,
        reason: HoldReason<T>,
        source: Option<Ipv6Addr>,
        now: u64,
    ) -> bool {
        let most = usize::from(self.hold.connections);
        if self.held.len() >= most && !self.make_room(most) {
            return false;
        }
        self.put(Held {
            connection,
            until: now.saturating_add(self.longest()),
            reason,
            from: source.map_or(0, network),
        });
        true
    }

    /// Holds a connection that the proxy would not close: nothing of it reaches upstream.
    pub(super) fn hold_closing(&mut self, connection: ContextId) {
        self.put(Held {
            connection,
            until: u64::MAX,
            reason: HoldReason::Closing,
            from: 0,
        });
    }

    /// Puts a connection behind the others.
    pub(super) fn put(&mut self, held: Held<T>) {
        self.held.push(held);
    }

    /// Takes all of them; each is put back or let go.
    pub(super) fn take(&mut self) -> Vec<Held<T>> {
        core::mem::take(&mut self.held)
    }

    /// Takes out a connection that is gone.
    pub(super) fn remove(&mut self, connection: ContextId) -> Option<Held<T>> {
        let mut gone = None;
        self.held.retain(|held| {
            let stays = held.connection != connection;
            if !stays {
                gone = Some(*held);
            }
            stays
        });
        gone
    }

    /// Says whether a connection waits for a task.
    pub(super) fn waits_for(&self, task: T) -> bool {
        self.held.iter().any(|held| held.task() == Some(task))
    }

    /// Returns how long connections are held, in nanoseconds.
    fn longest(&self) -> u64 {
        u64::from(self.hold.ms).saturating_mul(NS_PER_MS)
    }

    /// Returns what tells whether a connection's time is up.
    pub(super) fn overdue(&self, time: u64) -> impl Fn(&Held<T>) -> bool + use<T> {
        // Whichever way the clock moves, none waits longer than it may.
        let longest = self.longest();
        move |held| {
            held.reason == HoldReason::Closing || held.until <= time || held.until.saturating_sub(time) > longest
        }
    }

    /// Makes room for one more: of the network that has most of those held, the oldest is given up with the next tick.
    ///
    /// Under `tcp_proxy` Envoy reads nothing of those held, and tells of none that its client left it: without this,
    /// whoever opens and closes as many as may be held would keep all others out.
    fn make_room(&mut self, most: usize) -> bool {
        let over = self.held.iter().filter(|held| held.until == OVER).count();
        if self.held.len().saturating_sub(over) < most {
            return true;
        }
        // No more than one callback closes.
        if over >= MOST_AT_ONCE {
            return false;
        }
        let waiting = self.held.iter().enumerate();
        let waiting = waiting.filter(|(_, held)| held.until != OVER && held.reason != HoldReason::Closing);
        let by_network = Index::new(waiting.map(|(place, held)| (held.from.into(), index::number(place))));
        // Places ascend with time: the first of a network is its oldest.
        let (mut found, mut last, mut count, mut oldest) = (None, None, 0_usize, 0);
        for (from, place) in by_network.entries() {
            if last != Some(*from) {
                (last, count, oldest) = (Some(*from), 0, *place);
            }
            count = count.saturating_add(1);
            let better = found.is_none_or(|(most, first)| count > most || (count == most && oldest < first));
            if better {
                found = Some((count, oldest));
            }
        }
        let Some(held) = found.and_then(|(_, place)| self.held.get_mut(index::service(place))) else {
            return false;
        };
        held.give_up();
        true
    }
}
