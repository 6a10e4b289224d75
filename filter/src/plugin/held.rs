//! Connections that wait, and how they go on.

use ssa_rules::UnixTime;

use super::{Fate, NS_PER_MS, Next, Plugin, Side, seconds};
use crate::{
    inbound,
    outbound::Outcome,
    proxy::{ContextId, Proxy},
    works::Task,
};

/// A connection that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) connection: ContextId,
    /// Until when, in nanoseconds since 1970.
    pub(super) until: u64,
    pub(super) why: Why,
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
    /// Holds a connection, if there is room.
    pub(super) fn wait(&mut self, connection: ContextId, why: Why, proxy: &impl Proxy) -> Option<Next> {
        let now = proxy.time().ok()?;
        if self.held.len() >= usize::from(self.hold.connections) {
            return None;
        }
        let until = now.saturating_add(self.hold_ns());
        self.held.push(Held { connection, until, why });
        self.set_tick(proxy);
        Some(Next::Stop)
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
        self.take_held(proxy, due, |plugin, held| plugin.give_up(held.why, proxy));
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
