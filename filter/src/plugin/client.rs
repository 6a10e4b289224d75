//! The outbound side: connections that are composed, and work for them.

use core::fmt::Display;

use ssa_rules::UnixTime;

use super::{
    Fate, Plugin, Side,
    ends::Ends,
    held::{OVER, Why},
    seconds,
};
use crate::{
    avoid::Failures,
    endpoint::Endpoint,
    index::Numbers,
    limits::Failure,
    note::Told,
    outbound::{Composed, Outbound, OutboundService, Outcome, Route, Target},
    proxy::{ContextId, End, Proxy},
    random::{Identity, Pool, Random},
    table::Table,
    works::{MOST_RUNNING, Task, Works},
};

/// What an outbound plugin keeps.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) outbound: Outbound,
    pub(super) random: Random,
    pub(super) pool: Pool,
    pub(super) failures: Failures,
    pub(super) ends: Ends,
    pub(super) works: Works,
    /// Where open connections that were composed go.
    pub(super) open: Numbers<ContextId, Target>,
}

impl Client {
    pub(super) fn new(outbound: Outbound, identity: &Identity, time: u64, context: ContextId) -> Self {
        let mut random = Random::new(outbound.seed(), time, identity.number);
        random.mix(&context.0.to_be_bytes());
        let pool = identity.pool(outbound.pool());
        Self {
            outbound,
            random,
            pool,
            failures: Failures::default(),
            ends: Ends::default(),
            works: Works::default(),
            open: Numbers::default(),
        }
    }

    pub(super) fn install(&mut self, services: Table<OutboundService>, off: bool) {
        if services.names() != self.outbound.services().names() {
            // Their services' numbers mean others now.
            self.open.clear();
        }
        self.outbound.install(services, off);
        self.failures.clear();
        self.works.clear();
    }

    pub(super) fn compose(&mut self, service: usize, port: u16, now: UnixTime) -> Result<Option<Composed>, Failure> {
        let (pool, random) = (self.pool, &mut self.random);
        self.outbound
            .compose(service, port, now, &self.failures, |share, step| {
                pool.for_step(step).draw(random.bits(), share, now)
            })
    }
}

impl Plugin {
    pub(super) fn conclude_outbound(&mut self, service: Option<usize>, outcome: Outcome, proxy: &impl Proxy) {
        self.metrics.count_outbound(proxy, service, outcome);
        if service.is_some() || outcome != Outcome::Untouched {
            let note = self.note.of(Told::Outbound(service, outcome), || {
                [
                    ("service", self.metrics.name(service).into()),
                    ("outcome", outcome.name().into()),
                    ("generation", self.generation.as_str().into()),
                ]
            });
            let _ = proxy.note("ssa", note);
        }
    }

    pub(super) fn compose(&mut self, connection: ContextId, new: bool, proxy: &impl Proxy) -> Fate {
        let (Ok(destination), Ok(time)) = (proxy.endpoint(End::Destination), proxy.time()) else {
            self.conclude_outbound(None, Outcome::Unreadable, proxy);
            return Fate::Passes;
        };
        let Side::Outbound(client) = &mut self.side else {
            return Fate::Closes;
        };
        let (service, port) = match client.outbound.route(destination) {
            Route::Service(service, port) => (service, port),
            Route::Plain(service, outcome) => {
                self.conclude_outbound(service, outcome, proxy);
                return Fate::Passes;
            }
        };
        let now = seconds(time);
        let composed = match client.works.solution((service, port), now) {
            Some(target) => Ok(Some(Composed::Target(target))),
            None if client.works.wake((service, port), now) => return Fate::Waits(Why::Work((service, port))),
            None => client.compose(service, port, now),
        };
        let (outcome, error) = match composed {
            Ok(Some(Composed::Target(target))) => {
                return self.redirect(connection, target, proxy);
            }
            Ok(Some(Composed::Work(mut work))) => {
                let begun = if new {
                    client.works.begin(&client.outbound, &mut work, || proxy.time().ok())
                } else {
                    Ok(None)
                };
                match begun {
                    Ok(Some(target)) => return self.redirect(connection, target, proxy),
                    Ok(None) if client.works.add(*work) => return Fate::Waits(Why::Work((service, port))),
                    Ok(None) => {
                        self.lines.write(proxy, now, || {
                            format!("more than {MOST_RUNNING} proofs of work at once")
                        });
                        (Outcome::Failed, None)
                    }
                    Err(error) => (Outcome::Failed, Some(error.into())),
                }
            }
            Ok(None) => (Outcome::NoRule, None),
            Err(error) => (Outcome::Failed, Some(error)),
        };
        self.conclude_outbound(Some(service), outcome, proxy);
        if let Some(error) = error {
            self.tell_failed(service, &error, proxy, now);
        }
        Fate::Passes
    }

    pub(super) fn tell_failed(&mut self, service: usize, error: &impl Display, proxy: &impl Proxy, now: UnixTime) {
        let service = self.metrics.name(Some(service));
        self.lines
            .write(proxy, now, || format!("no address of service {service}: {error}"));
    }

    /// Sends a connection to its target.
    fn redirect(&mut self, connection: ContextId, target: Target, proxy: &impl Proxy) -> Fate {
        let to = Endpoint {
            address: target.place.address,
            port: target.port,
        };
        let service = Some(target.place.service);
        if proxy.set_destination(&to).is_err() {
            self.conclude_outbound(service, Outcome::Unreadable, proxy);
            let now = proxy.time().map_or(UnixTime(0), seconds);
            self.lines
                .write(proxy, now, || format!("the proxy does not take the destination {to}"));
            return Fate::Passes;
        }
        self.conclude_outbound(service, Outcome::Composed, proxy);
        if let Side::Outbound(client) = &mut self.side {
            client.open.insert(connection, target);
        }
        Fate::Passes
    }

    /// Sets aside the work that none of those held waits for any more.
    pub(super) fn rest(&mut self, task: Task) {
        let wanted = self.held.iter().any(|held| held.why == Why::Work(task));
        if let Side::Outbound(client) = &mut self.side
            && !wanted
        {
            client.works.rest(task);
        }
    }

    /// Works for one slice, and lets go those whose work is done, as many as one callback may.
    pub(super) fn work(&mut self, proxy: &impl Proxy, time: u64) {
        let now = seconds(time);
        let Side::Outbound(client) = &mut self.side else {
            return;
        };
        client.works.expire(now);
        let ends = if client.works.busy() {
            client.works.run(&client.outbound, || proxy.time().ok())
        } else {
            Vec::new()
        };
        for (task, end) in ends {
            if let Err(error) = end {
                self.tell_failed(task.0, &error, proxy, now);
                for held in self.held.iter_mut().filter(|held| held.why == Why::Work(task)) {
                    held.until = OVER;
                }
            }
        }
        let Side::Outbound(client) = &self.side else {
            return;
        };
        // What is solved, outlived its minute or is of an earlier snapshot runs no longer: solutions are taken, and work is
        // begun anew. Those whose time is up are given up after this.
        let mut open: Vec<Task> = Vec::new();
        for task in self
            .held
            .iter()
            .filter(|held| held.until > time)
            .filter_map(|held| held.why.work())
        {
            if !open.contains(&task) && !client.works.runs(task) {
                open.push(task);
            }
        }
        if !open.is_empty() {
            self.release(proxy, |held| {
                held.until > time && held.why.work().is_some_and(|task| open.contains(&task))
            });
        }
    }
}
