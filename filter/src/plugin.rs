//! What happens on a connection, from what the proxy says to what it is told.
//!
//! ```text
//!  new connection ──▶ is there a snapshot? ──no──▶ held ──▶ snapshot came, or time is up ─┐
//!                           │ yes                    ▲                                    │
//!                           ▼                        │ proof of work is wanted            ▼
//!                        treated ────────────────────┘                      passes, or is closed
//! ```

mod client;
mod ends;
mod held;

use ssa_rules::{Part, Unchecked, UnixTime};

use self::{
    client::Client,
    held::{Held, Why},
};
use crate::{
    config::{Config, ConfigError, Hold, MAX_SNAPSHOT, Role, Snapshot},
    endpoint::Endpoint,
    fleet::{self, Report},
    inbound::{self, Inbound},
    lines::Lines,
    metrics::{Metrics, Refresh},
    note::{Note, Told},
    proxy::{Call, ContextId, End, Proxy, Refused},
    random::Identity,
    subscription::Feed,
};

/// The most connections that one callback lets go or closes: Envoy does not survive thousands of closes at once.
const MOST_AT_ONCE: usize = 256;

/// How often held connections are looked at, in milliseconds.
const TICK_HELD_MS: u32 = 20;

/// The pause between two slices of work, in milliseconds.
const TICK_WORK_MS: u32 = 1;

/// Every so many failures in a row are worth a line.
const FAILURES_A_LINE: u32 = 64;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// Whether the proxy goes on with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on to the next filter.
    Continue,
    /// It does not.
    Stop,
}

/// A configured plugin in one VM.
#[derive(Debug)]
pub struct Plugin {
    context: ContextId,
    side: Side,
    hold: Hold,
    feed: Option<Feed>,
    generation: String,
    note: Note,
    identity: Identity,
    /// When the snapshot was last known to be the newest; without one, since when it is waited for.
    confirmed: UnixTime,
    /// Questions for a snapshot in a row that brought nothing.
    failures: u32,
    held: Vec<Held>,
    /// How many of those this callback may still let go or close.
    allowance: usize,
    tick_ms: u32,
    reported: Option<(UnixTime, usize)>,
    metrics: Metrics,
    lines: Lines,
}

#[derive(Debug)]
enum Side {
    Inbound(Inbound),
    Outbound(Box<Client>),
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    Closes,
    Waits(Why),
}

fn seconds(nanoseconds: u64) -> UnixTime {
    UnixTime(nanoseconds.div_euclid(NS_PER_S))
}

impl Plugin {
    /// Makes a plugin of its configuration. `context` is the proxy's number of it in this VM, and `identity` what its
    /// plugins have been drawing from, if it has had any.
    #[must_use]
    pub fn new(config: Config, proxy: &impl Proxy, context: ContextId, identity: Option<Identity>) -> Self {
        let time = proxy.time().unwrap_or(0);
        let identity = identity.unwrap_or_else(|| {
            let seed = match &config.role {
                Role::Outbound(outbound) => outbound.seed(),
                Role::Inbound(_) => &[],
            };
            Identity::new(seed, time, fleet::number(proxy))
        });
        let role = config.role.name();
        let (side, names) = match config.role {
            Role::Inbound(inbound) => {
                let names = inbound.services().names();
                (Side::Inbound(inbound), names)
            }
            Role::Outbound(outbound) => {
                let names = outbound.services().names();
                let client = Client::new(outbound, &identity, time, context);
                (Side::Outbound(Box::new(client)), names)
            }
        };
        let mut plugin = Self {
            context,
            side,
            hold: config.hold,
            feed: config.subscription.map(Feed::new),
            generation: "-".to_owned(),
            note: Note::default(),
            identity,
            confirmed: seconds(time),
            failures: 0,
            held: Vec::new(),
            allowance: MOST_AT_ONCE,
            tick_ms: 0,
            reported: None,
            metrics: Metrics::new(role, &names),
            lines: Lines::default(),
        };
        plugin.set_tick(proxy);
        plugin
    }

    /// Returns what the VM's draws come from, for the plugins that come after this one.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// Says whether the services are known.
    fn ready(&self) -> bool {
        self.feed.as_ref().is_none_or(Feed::ready)
    }

    fn released(&self) -> bool {
        self.feed.as_ref().is_some_and(Feed::released)
    }

    /// Treats a new connection, which the proxy shows.
    pub fn on_new_connection(&mut self, connection: ContextId, proxy: &impl Proxy) -> Next {
        let fate = if self.ready() {
            self.treat(connection, true, proxy)
        } else {
            Fate::Waits(Why::Snapshot)
        };
        let fate = match fate {
            Fate::Waits(why) => {
                if let Some(next) = self.wait(connection, why, proxy) {
                    return next;
                }
                if let Some(task) = why.work() {
                    self.rest(task);
                }
                self.give_up(why, proxy)
            }
            fate => fate,
        };
        if fate == Fate::Passes {
            return Next::Continue;
        }
        self.close(connection, proxy);
        Next::Stop
    }

    /// Says whether the proxy may go on with a connection that has data: not while it is held.
    #[must_use]
    pub fn on_data(&self, connection: ContextId) -> Next {
        if self.held.iter().any(|held| held.connection == connection) {
            Next::Stop
        } else {
            Next::Continue
        }
    }

    /// Notes that a connection is gone, which the proxy shows for the last time.
    pub fn on_delete(&mut self, connection: ContextId, proxy: &impl Proxy) {
        let mut gone = None;
        self.held.retain(|held| {
            let stays = held.connection != connection;
            if !stays {
                gone = held.why.work();
            }
            stays
        });
        // Whoever waited for work and left costs no more of it.
        if let Some(task) = gone {
            self.rest(task);
        }
        let Side::Outbound(client) = &mut self.side else {
            return;
        };
        let Some(target) = client.open.remove(&connection) else {
            return;
        };
        if !client.ends.worth_asking() {
            return;
        }
        let service = target.place.service;
        // A source means that the connection was made, which is the rule: one question suffices then.
        let source = proxy.endpoint(End::UpstreamSource).ok();
        let failed = source.is_none() && proxy.failed_upstream() == Ok(true);
        client.ends.note(source.is_some() || failed);
        if failed {
            let now = proxy.time().map_or(UnixTime(0), seconds);
            client.failures.add(target.place, now);
            client.works.discard(&target.place);
            self.metrics.count_failure(proxy, service);
        }
        if let Some(source) = source.filter(|source| source.address != target.source) {
            self.metrics.count_mismatch(proxy, service);
            let now = proxy.time().map_or(UnixTime(0), seconds);
            let service = self.metrics.name(Some(service));
            self.lines.write(proxy, now, || {
                let (used, meant) = (source.address, target.source);
                format!("source mismatch: service {service}: connected from {used}, composed for {meant}")
            });
        }
    }

    /// Does what is due: asks for a snapshot, works, lets go what waited long enough.
    pub fn on_tick(&mut self, proxy: &impl Proxy) {
        let Ok(time) = proxy.time() else {
            return;
        };
        self.allowance = MOST_AT_ONCE;
        if let Some(feed) = &mut self.feed
            && feed.ask(proxy, time)
        {
            self.missed(proxy, time, "the proxy cannot ask its cluster");
        }
        self.work(proxy, time);
        if self.ready() {
            self.release(proxy, |held| held.why == Why::Snapshot);
        }
        self.expire(proxy, time);
        self.report(proxy, time);
        self.set_tick(proxy);
    }

    /// Takes an answer, which the proxy shows if there is one.
    pub fn on_response(&mut self, call: Call, answered: bool, proxy: &impl Proxy) {
        let time = proxy.time().unwrap_or(0);
        self.allowance = MOST_AT_ONCE;
        let Some(feed) = &mut self.feed else {
            return;
        };
        if !feed.answered(call, time) {
            return;
        }
        let (ready, refused) = (feed.ready(), feed.refused());
        let response = if answered { proxy.response() } else { Err(Refused) };
        match response {
            Ok(response) if response.status == 200 => match proxy.body(MAX_SNAPSHOT.saturating_add(1)) {
                Ok(body) => self.read_snapshot(&body, response.etag, proxy, time),
                Err(Refused) => self.missed(proxy, time, "the answer has no body"),
            },
            // The newest one is still that which was refused.
            Ok(response) if response.status == 304 && refused => {
                self.metrics.count_refresh(proxy, Refresh::Refused);
            }
            Ok(response) if response.status == 304 && ready => self.unchanged(proxy, time),
            Ok(response) => {
                let status = response.status;
                self.missed(proxy, time, &format!("the answer has status {status}"));
            }
            Err(Refused) => self.missed(proxy, time, "there was no answer in time"),
        }
        self.set_tick(proxy);
    }

    fn unchanged(&mut self, proxy: &impl Proxy, time: u64) {
        self.failures = 0;
        self.confirmed = seconds(time);
        self.metrics.count_refresh(proxy, Refresh::Unchanged);
    }

    /// Notes that a question for a snapshot brought nothing.
    fn missed(&mut self, proxy: &impl Proxy, time: u64, why: &str) {
        self.metrics.count_refresh(proxy, Refresh::Failed);
        let role = self.role();
        self.tell_missed(proxy, time, || format!("no {role} snapshot: {why}"));
    }

    /// Tells why there is no newer snapshot, the first time and now and then.
    fn tell_missed(&mut self, proxy: &impl Proxy, time: u64, line: impl FnOnce() -> String) {
        if self.failures.checked_rem(FAILURES_A_LINE) == Some(0) {
            self.lines.write(proxy, seconds(time), line);
        }
        self.failures = self.failures.saturating_add(1);
    }

    const fn role(&self) -> &'static str {
        match self.side {
            Side::Inbound(_) => "inbound",
            Side::Outbound(_) => "outbound",
        }
    }

    fn read_snapshot(&mut self, body: &[u8], etag: Option<String>, proxy: &impl Proxy, time: u64) {
        let known = if self.ready() {
            Some(self.generation.as_str())
        } else {
            None
        };
        let read = match &mut self.side {
            Side::Inbound(inbound) => Snapshot::inbound(body).map(|snapshot| {
                (known != Some(&snapshot.generation)).then(|| {
                    let names = snapshot.services.names();
                    inbound.install(snapshot.services, snapshot.off);
                    (snapshot.generation, names, snapshot.unusable)
                })
            }),
            Side::Outbound(client) => Snapshot::outbound(body).map(|snapshot| {
                (known != Some(&snapshot.generation)).then(|| {
                    let names = snapshot.services.names();
                    client.install(snapshot.services, snapshot.off);
                    if known.is_none() {
                        client.random.mix(&snapshot.seed);
                    }
                    if self.identity.seed(&snapshot.seed) {
                        client.pool = self.identity.pool(client.outbound.pool());
                    }
                    (snapshot.generation, names, snapshot.unusable)
                })
            }),
        };
        let installed = match read {
            Ok(installed) => installed,
            Err(error) => {
                if let Some(feed) = &mut self.feed {
                    feed.refuse(etag);
                }
                return self.refuse_snapshot(&error, proxy, time);
            }
        };
        if let Some(feed) = &mut self.feed {
            feed.installed(etag, time);
        }
        let Some((generation, names, unusable)) = installed else {
            return self.unchanged(proxy, time);
        };
        self.metrics.rename(&names);
        self.failures = 0;
        self.confirmed = seconds(time);
        self.metrics.count_refresh(proxy, Refresh::Installed);
        self.generation = generation;
        self.note.forget();
        for fault in unusable {
            self.lines
                .write(proxy, seconds(time), || format!("snapshot: unusable: {fault}"));
        }
        self.release(proxy, |held| held.why != Why::Closing);
    }

    fn refuse_snapshot(&mut self, error: &ConfigError, proxy: &impl Proxy, time: u64) {
        self.metrics.count_refresh(proxy, Refresh::Refused);
        let role = self.role();
        self.tell_missed(proxy, time, || format!("{role} snapshot refused: {error}"));
    }

    /// Decides on a connection that the proxy shows; a new one may have a slice of work done for it at once.
    fn treat(&mut self, connection: ContextId, new: bool, proxy: &impl Proxy) -> Fate {
        match &self.side {
            Side::Inbound(inbound) => {
                let ends = read_ends(proxy);
                let metrics = &mut self.metrics;
                let decision = match ends {
                    Some((source, destination, now)) => inbound.decide(source, destination, now, |other| {
                        metrics.count_inbound(proxy, other);
                    }),
                    None => inbound.decide_unreadable(),
                };
                self.conclude_inbound(&decision, ends, proxy)
            }
            Side::Outbound(_) => self.compose(connection, new, proxy),
        }
    }

    fn conclude_inbound(
        &mut self,
        decision: &inbound::Decision,
        ends: Option<(Endpoint, Endpoint, UnixTime)>,
        proxy: &impl Proxy,
    ) -> Fate {
        self.metrics.count_inbound(proxy, decision);
        let (service, verdict, outcome) = (
            self.metrics.name(decision.service),
            decision.finding.name(),
            decision.outcome.name(),
        );
        let part = decision.finding.part().map_or("", Part::name);
        let unchecked = || {
            let mut names = String::new();
            for part in decision.finding.unchecked().iter().flat_map(Unchecked::parts) {
                if !names.is_empty() {
                    names.push(',');
                }
                names.push_str(part.name());
            }
            names
        };
        // An access log that lacks a field is no reason to treat the connection differently.
        let note = self.note.of(Told::Inbound(*decision), || {
            [
                ("service", service.into()),
                ("verdict", verdict.into()),
                ("part", part.into()),
                ("unchecked", unchecked().into()),
                ("outcome", outcome.into()),
                ("generation", self.generation.as_str().into()),
            ]
        });
        let _ = proxy.note("ssa", note);
        if decision.outcome == inbound::Outcome::Allowed {
            return Fate::Passes;
        }
        let _ = proxy.note("ssa_outcome", outcome);
        let now = ends.map_or_else(|| proxy.time().map_or(UnixTime(0), seconds), |(_, _, now)| now);
        self.lines.write(proxy, now, || {
            let part = if part.is_empty() {
                String::new()
            } else {
                format!(" of {part}")
            };
            let ends = ends.map_or_else(
                || "addresses not read".to_owned(),
                |(source, destination, _)| format!("{source} to {destination}"),
            );
            format!("{outcome}: {verdict}{part}: service {service}: {ends}")
        });
        let Side::Inbound(inbound) = &self.side else {
            return Fate::Closes;
        };
        match decision.outcome {
            inbound::Outcome::Denied => Fate::Closes,
            inbound::Outcome::Demoted => match inbound.demote_cluster() {
                Some(cluster) if proxy.set_cluster(cluster).is_err() => {
                    self.lines
                        .write(proxy, now, || format!("the proxy does not take the cluster {cluster}"));
                    Fate::Closes
                }
                _ => Fate::Passes,
            },
            _ => Fate::Passes,
        }
    }

    /// Shows what all VMs tell together, once a second or when more or fewer connections are held.
    fn report(&mut self, proxy: &impl Proxy, time: u64) {
        let now = seconds(time);
        let held = self.held.len();
        if self.reported == Some((now, held)) || (self.feed.is_none() && held == 0 && self.reported.is_none()) {
            return;
        }
        let own = Report {
            number: self.identity.number,
            seen: now.0,
            confirmed: if self.feed.is_some() { self.confirmed.0 } else { now.0 },
            held: u32::try_from(held).unwrap_or(u32::MAX),
        };
        if let Ok(summary) = fleet::report(proxy, self.role(), own) {
            self.reported = Some((now, held));
            self.metrics.show(proxy, &summary);
        }
    }

    fn set_tick(&mut self, proxy: &impl Proxy) {
        let busy = matches!(&self.side, Side::Outbound(client) if client.works.busy());
        let reported = self.reported.is_none_or(|(_, held)| held == self.held.len());
        let feed = self.feed.as_ref().map_or(0, Feed::tick_ms);
        let tick_ms = match (busy, self.held.is_empty() && reported) {
            (true, _) => TICK_WORK_MS,
            (false, false) => TICK_HELD_MS,
            (false, true) => feed,
        };
        if tick_ms != self.tick_ms && proxy.tick(tick_ms).is_ok() {
            self.tick_ms = tick_ms;
        }
    }
}

/// Reads what an inbound connection is judged by.
fn read_ends(proxy: &impl Proxy) -> Option<(Endpoint, Endpoint, UnixTime)> {
    Some((
        proxy.endpoint(End::Source).ok()?,
        proxy.endpoint(End::Destination).ok()?,
        seconds(proxy.time().ok()?),
    ))
}

#[cfg(test)]
mod tests;
