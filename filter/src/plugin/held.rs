//! Connections that wait, and how they go on.

use ssa_rules::UnixTime;

use core::net::Ipv6Addr;

use super::{Fate, MOST_AT_ONCE, NS_PER_MS, Next, Plugin, Side, seconds};
use crate::{
    inbound,
    index::{self, Index},
    outbound::Outcome,
    proxy::{ContextId, End, Proxy},
    works::Task,
};

/// A connection that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) connection: ContextId,
    /// Until when, in nanoseconds since 1970; [`OVER`] for those that are given up.
    pub(super) until: u64,
    pub(super) why: Why,
    /// The network that it comes from.
    pub(super) from: u64,
}

/// What has waited long enough, whatever the time.
pub(super) const OVER: u64 = 0;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// For the first snapshot.
    Snapshot,
    /// For a proof of work.
    Work(Task),
    /// To be closed, which the proxy would not do.
    Closing,
}

impl Why {
    /// Returns the work that is waited for, if it is work.
    pub(super) const fn work(self) -> Option<Task> {
        if let Self::Work(task) = self { Some(task) } else { None }
    }
}

impl Plugin {
    /// Holds a connection, if there is room or room can be made.
    pub(super) fn wait(&mut self, connection: ContextId, why: Why, proxy: &impl Proxy) -> Option<Next> {
        let now = proxy.time().ok()?;
        let most = usize::from(self.hold.connections);
        if self.held.len() >= most && !self.make_room(most) {
            return None;
        }
        let until = now.saturating_add(self.hold_ns());
        let from = proxy.endpoint(End::Source).map_or(0, |source| network(source.address));
        self.held.push(Held {
            connection,
            until,
            why,
            from,
        });
        self.set_tick(proxy);
        Some(Next::Stop)
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
        let waiting = waiting.filter(|(_, held)| held.until != OVER && held.why != Why::Closing);
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
        held.until = OVER;
        true
    }

    pub(super) fn hold_ns(&self) -> u64 {
        u64::from(self.hold.ms).saturating_mul(NS_PER_MS)
    }

    /// Decides on a connection that waited in vain, or found no room to wait.
    pub(super) fn give_up(&mut self, why: Why, proxy: &impl Proxy) -> Fate {
        match (why, &self.side) {
            (Why::Snapshot, Side::Inbound(_)) => {
                let decision = inbound::Decision::without_snapshot(self.released());
                self.conclude_inbound(&decision, None, proxy)
            }
            (Why::Snapshot, Side::Outbound(_)) => {
                let released = self.released();
                let outcome = if released {
                    Outcome::NoSnapshot
                } else {
                    Outcome::Refused
                };
                self.conclude_outbound(None, outcome, proxy);
                if released { Fate::Passes } else { Fate::Closes }
            }
            (Why::Work((service, _)), _) => {
                self.conclude_outbound(Some(service), Outcome::Failed, proxy);
                let now = proxy.time().map_or(UnixTime(0), seconds);
                let service = self.metrics.name(Some(service));
                self.lines.write(proxy, now, || {
                    format!(
                        "no address of service {service}: no proof of work, and no time or room left to wait for it"
                    )
                });
                Fate::Passes
            }
            (Why::Closing, _) => Fate::Closes,
        }
    }

    /// Closes a connection; where the proxy does not, it stays where it is, and nothing of it reaches upstream.
    pub(super) fn close(&mut self, connection: ContextId, proxy: &impl Proxy) {
        if proxy.close().is_err() {
            self.held.push(Held {
                connection,
                until: u64::MAX,
                why: Why::Closing,
                from: 0,
            });
            self.set_tick(proxy);
        }
    }

    /// Treats those held that wait for something which came.
    pub(super) fn release(&mut self, proxy: &impl Proxy, came: impl Fn(&Held) -> bool) {
        self.take_held(proxy, came, |plugin, held| plugin.treat(held.connection, false, proxy));
    }

    /// Lets go those held whose time is up.
    pub(super) fn expire(&mut self, proxy: &impl Proxy, time: u64) {
        // Whichever way the clock moves, none waits longer than it may.
        let longest = self.hold_ns();
        let due =
            |held: &Held| held.why == Why::Closing || held.until <= time || held.until.saturating_sub(time) > longest;
        let mut given_up: Vec<Task> = Vec::new();
        self.take_held(proxy, due, |plugin, held| {
            if let Some(task) = held.why.work()
                && !given_up.contains(&task)
            {
                given_up.push(task);
            }
            plugin.give_up(held.why, proxy)
        });
        for task in given_up {
            self.rest(task);
        }
    }

    pub(super) fn take_held(
        &mut self,
        proxy: &impl Proxy,
        due: impl Fn(&Held) -> bool,
        mut treat: impl FnMut(&mut Self, &Held) -> Fate,
    ) {
        if !self.held.iter().any(&due) {
            return;
        }
        for held in core::mem::take(&mut self.held) {
            if self.allowance == 0 || !due(&held) {
                self.held.push(held);
                continue;
            }
            if proxy.show(held.connection).is_err() {
                // Of those that are gone the proxy tells; any other is held still, for without that its data would pass.
                self.held.push(held);
                continue;
            }
            self.allowance = self.allowance.saturating_sub(1);
            match treat(self, &held) {
                Fate::Waits(why) => self.held.push(Held { why, ..held }),
                Fate::Passes if proxy.resume().is_ok() => {}
                _ => self.close(held.connection, proxy),
            }
        }
        let _ = proxy.show(self.context);
    }
}
