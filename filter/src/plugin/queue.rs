//! Connections that are held.

use core::net::Ipv6Addr;

use ssa_snapshot::plugin::Hold;

use crate::{
    host::{ContextId, NS_PER_MS},
    index::{self, Index},
    pow_scheduler::Task,
};

/// The most connections that one callback releases or closes: Envoy does not survive thousands of closes at once.
pub(super) const MAX_PER_CALLBACK: usize = 256;

/// The deadline of a connection that is given up: it has passed, whatever the time.
const GIVEN_UP: u64 = 0;

/// Why a connection is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldReason {
    /// There is no snapshot yet.
    Snapshot,
    /// This task is not done yet.
    Task(Task),
}

/// A connection that is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) connection: ContextId,
    /// Until when, in nanoseconds since 1970.
    deadline: u64,
    pub(super) reason: HoldReason,
    /// The network that it comes from.
    network: u64,
    /// Whether it has ended, and only its place is still here.
    ended: bool,
}

impl Held {
    pub(super) const fn task(&self) -> Option<Task> {
        match self.reason {
            HoldReason::Task(task) => Some(task),
            HoldReason::Snapshot => None,
        }
    }

    /// Returns it as one that is held for a task, with the same deadline.
    pub(super) const fn waiting_for(self, task: Task) -> Self {
        Self {
            reason: HoldReason::Task(task),
            ..self
        }
    }

    /// Returns whether it may be held beyond this time.
    pub(super) const fn lasts(&self, time: u64) -> bool {
        self.deadline > time
    }

    /// Has it decided on with those whose deadline has passed.
    pub(super) const fn give_up(&mut self) {
        self.deadline = GIVEN_UP;
    }
}

/// The connections that one plugin of a VM holds.
#[derive(Debug)]
pub(super) struct Queue {
    hold: Hold,
    /// In ascending order of their numbers, by which they are found. Envoy counts connections, so this is the order in
    /// which they came too, except where its counter starts again.
    held: Vec<Held>,
    /// How many of them have ended.
    ended: usize,
}

/// Returns the network of an address, a /64 or a /24 of IPv4, as a number that no other has.
fn network(address: Ipv6Addr) -> u64 {
    let bits = address.to_bits();
    let high = u64::try_from(bits.unbounded_shr(64)).unwrap_or(0);
    // ::ffff:0:0/96 is in ::/64, which is reserved.
    match address.to_ipv4_mapped() {
        Some(address) => u64::from(address.to_bits().unbounded_shr(8)),
        None => high,
    }
}

impl Queue {
    pub(super) const fn new(hold: Hold) -> Self {
        Self {
            hold,
            held: Vec::new(),
            ended: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.held.len().saturating_sub(self.ended)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether a connection is held.
    pub(super) fn holds(&self, connection: ContextId) -> bool {
        self.find(connection).is_some()
    }

    /// Returns the place of a connection.
    fn find(&self, connection: ContextId) -> Option<usize> {
        let place = self.held.partition_point(|held| held.connection < connection);
        let held = self.held.get(place)?;
        (held.connection == connection && !held.ended).then_some(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| !held.ended)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.held.iter_mut().filter(|held| !held.ended)
    }

    /// Holds a connection, if there is room or room can be made.
    pub(super) fn hold(
        &mut self,
        connection: ContextId,
        reason: HoldReason,
        source: Option<Ipv6Addr>,
        now: u64,
    ) -> bool {
        let most = usize::try_from(self.hold.connections.get()).unwrap_or(0);
        if self.len() >= most && !self.make_room(most) {
            return false;
        }
        let held = Held {
            connection,
            deadline: now.saturating_add(self.longest()),
            reason,
            network: source.map_or(0, network),
            ended: false,
        };
        let after = if self.held.last().is_some_and(|last| last.connection > connection) {
            let all = core::mem::take(&mut self.held).into_iter();
            let (before, after) = all.partition(|held| held.connection < connection);
            self.held = before;
            after
        } else {
            Vec::new()
        };
        self.held.push(held);
        self.held.extend(after);
        true
    }

    /// Puts back one of those that were taken.
    pub(super) fn put_back(&mut self, held: Held) {
        self.held.push(held);
    }

    /// Takes all of them, to be put back in this order or decided on.
    pub(super) fn take(&mut self) -> Vec<Held> {
        self.sweep();
        core::mem::take(&mut self.held)
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&mut self, connection: ContextId) -> Option<Held> {
        let place = self.find(connection)?;
        let held = self.held.get_mut(place)?;
        held.ended = true;
        let ended = *held;
        // Others are moved only once as many have ended: that is a step for each.
        self.ended = self.ended.saturating_add(1);
        if self.ended > self.len() {
            self.sweep();
        }
        Some(ended)
    }

    /// Removes the places of those that have ended.
    fn sweep(&mut self) {
        self.held.retain(|held| !held.ended);
        self.ended = 0;
    }

    /// Returns whether any connection is held for a task.
    pub(super) fn waits_for(&self, task: Task) -> bool {
        self.iter().any(|held| held.task() == Some(task))
    }

    /// Returns how long connections are held, in nanoseconds.
    fn longest(&self) -> u64 {
        u64::from(self.hold.ms.get()).saturating_mul(NS_PER_MS)
    }

    /// Returns a test of whether a connection's deadline has passed.
    pub(super) fn overdue(&self, time: u64) -> impl Fn(&Held) -> bool + use<> {
        // Even if the clock is set back, none is held for longer than it may be.
        let longest = self.longest();
        move |held| held.deadline <= time || held.deadline.saturating_sub(time) > longest
    }

    /// Makes room for one more: of the network that has most of those held, the oldest is given up with the next tick.
    ///
    /// Under `tcp_proxy` Envoy does not read from held connections, so it does not notice that a client has left: without
    /// this, a client that opens and closes as many as may be held would lock out all others.
    fn make_room(&mut self, most: usize) -> bool {
        let given_up = self.iter().filter(|held| held.deadline == GIVEN_UP).count();
        if self.len().saturating_sub(given_up) < most {
            return true;
        }
        // No more than one callback closes.
        if given_up >= MAX_PER_CALLBACK {
            return false;
        }
        let waiting = self.held.iter().enumerate();
        let waiting = waiting.filter(|(_, held)| held.deadline != GIVEN_UP && !held.ended);
        let by_network = Index::new(waiting.map(|(place, held)| (held.network.into(), index::number(place))));
        // Places ascend with time: the first of a network is its oldest.
        let (mut found, mut last, mut count, mut oldest) = (None, None, 0_usize, 0);
        for (network, place) in by_network.entries() {
            if last != Some(*network) {
                (last, count, oldest) = (Some(*network), 0, *place);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_found_in_whichever_order_their_numbers_come() {
        // Envoy's counter starts again after 2^32 connections.
        for numbers in [
            vec![1, 2, 3, 4, 5],
            vec![u32::MAX - 1, u32::MAX, 0, 1, 2],
            vec![5, 3, 4, 1, 2],
        ] {
            let mut queue = Queue::new(Hold::default());
            for (place, number) in numbers.iter().enumerate() {
                assert!(queue.hold(ContextId(*number), HoldReason::Snapshot, None, 1));
                for (other, number) in numbers.iter().enumerate() {
                    assert_eq!(
                        queue.holds(ContextId(*number)),
                        other <= place,
                        "{number} of {numbers:?}"
                    );
                }
            }
            let ascending = queue.iter().is_sorted_by_key(|held| held.connection);
            assert!(ascending, "{:?}", queue.held);
            for (place, number) in numbers.iter().enumerate() {
                assert!(queue.remove(ContextId(*number)).is_some());
                assert!(queue.remove(ContextId(*number)).is_none());
                assert_eq!(queue.len(), numbers.len() - place - 1);
            }
        }
    }
}
