//! Where a client connects for what it wants: the targets, in the order in which they are tried.

use std::net::{Ipv6Addr, SocketAddrV6};

use arrayvec::ArrayVec;
use ssa_rules::{
    Candidate, Choice, Chunk, ComposeError, Connection, HttpRequest, KeySources, Limits, Port, RandomBits, Replica,
    Rule, Sources, UnixTime, ValidFrom, http::MAX_OBJECT_BYTES,
};

use crate::{clock, error::PlanFault, state::State};

/// The most targets of a plan: the most replicas of a record.
pub const MAX_TARGETS: usize = 16;

/// How many targets a plan has by default where the rule has fewer replicas and leaves other addresses open.
const FEW: usize = 3;

/// What a client wants of a service. What a rule needs and a want lacks is an error of planning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Want<'a> {
    pub(crate) port: u16,
    pub(crate) object: Option<&'a [u8]>,
    pub(crate) chunk: Option<u64>,
    pub(crate) request: Option<&'a HttpRequest<'a>>,
    pub(crate) replica: Option<u8>,
    pub(crate) source: Option<Ipv6Addr>,
    pub(crate) time: Option<u64>,
    pub(crate) order: Order,
    pub(crate) targets: Option<usize>,
}

/// In which order replicas are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// A random one, so that load is shared.
    #[default]
    Random,
    /// By number from replica 0 on, so that all clients agree; all other random bits are zero too.
    Fixed,
}

impl<'a> Want<'a> {
    /// Wants a connection to this port. A shim's configuration may say another.
    #[must_use]
    pub fn port(port: u16) -> Self {
        Self {
            port,
            ..Self::default()
        }
    }

    /// Wants this object: bytes exactly as the application names it.
    #[must_use]
    pub const fn object(mut self, object: &'a [u8]) -> Self {
        self.object = Some(object);
        self
    }

    /// Wants this chunk of it.
    #[must_use]
    pub const fn chunk(mut self, chunk: u64) -> Self {
        self.chunk = Some(chunk);
        self
    }

    /// Wants what the record finds in this request by its tags `obj` and `chunk`. What [`Want::object`] and [`Want::chunk`]
    /// say comes first.
    #[must_use]
    pub const fn request(mut self, request: &'a HttpRequest<'a>) -> Self {
        self.request = Some(request);
        self
    }

    /// Wants this replica alone.
    #[must_use]
    pub const fn replica(mut self, replica: u8) -> Self {
        self.replica = Some(replica);
        self
    }

    /// The connection comes from this address, whatever the kernel or the options say.
    #[must_use]
    pub const fn source(mut self, source: Ipv6Addr) -> Self {
        self.source = Some(source);
        self
    }

    /// Plans for this time, in seconds since 1970; by default for now.
    #[must_use]
    pub const fn time(mut self, seconds: u64) -> Self {
        self.time = Some(seconds);
        self
    }

    /// Tries replicas in this order.
    #[must_use]
    pub const fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Wants at most so many targets, 1 to [`MAX_TARGETS`]. By default as many as the record has replicas, and three where it
    /// has fewer and leaves other addresses open; with a proof of work one.
    #[must_use]
    pub const fn targets(mut self, most: usize) -> Self {
        self.targets = Some(most);
        self
    }
}

/// A place to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The address, composed.
    pub address: SocketAddrV6,
    /// The source that the connection has to come from: the address is composed for it.
    pub source: Ipv6Addr,
    /// The replica.
    pub replica: u8,
}

impl Target {
    fn new(chosen: ssa_rules::Chosen, port: u16) -> Self {
        Self {
            address: SocketAddrV6::new(chosen.candidate.address.0, port, 0, 0),
            source: chosen.source,
            replica: chosen.candidate.replica.0,
        }
    }
}

/// The targets for what was wanted, at least one, in the order in which they are tried: those that failed recently last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    targets: ArrayVec<Target, MAX_TARGETS>,
    from: ValidFrom,
}

impl Plan {
    /// Returns the targets.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Returns the first target.
    #[must_use]
    pub fn first(&self) -> Target {
        // A plan without targets is an error of planning.
        self.targets[0]
    }

    /// Returns the `from` of the record that it was made by.
    #[must_use]
    pub const fn from(&self) -> u64 {
        self.from.0
    }
}

impl IntoIterator for Plan {
    type Item = Target;
    type IntoIter = arrayvec::IntoIter<Target, MAX_TARGETS>;

    fn into_iter(self) -> Self::IntoIter {
        self.targets.into_iter()
    }
}

/// The caller's random bits, or none.
struct Ordered<'r, R>(&'r mut R, Order);

impl<R: RandomBits> RandomBits for Ordered<'_, R> {
    fn bits(&mut self) -> u64 {
        match self.1 {
            Order::Random => self.0.bits(),
            Order::Fixed => 0,
        }
    }

    fn redraw(&mut self) {
        self.0.redraw();
    }
}

/// What a plan is made of besides a want.
pub(crate) struct Planner<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) keys: &'a KeySources,
    pub(crate) sources: Sources<'a>,
    pub(crate) limits: Limits,
    pub(crate) time: UnixTime,
    pub(crate) port: u16,
}

impl State {
    /// Plans for a want. `failed_at` says when an address failed, if it did so recently.
    pub(crate) fn plan(
        &self,
        want: &Want<'_>,
        limits: Limits,
        failed_at: impl Fn(Ipv6Addr, UnixTime) -> Option<UnixTime>,
        random: &mut impl RandomBits,
    ) -> Result<Plan, PlanFault> {
        let time = want.time.map_or_else(clock::now, UnixTime);
        let (rule, keys) = self.published.client(time).ok_or_else(|| self.no_record(time))?;
        let sources = match want.source.or(self.source) {
            Some(source) => Sources::all(source),
            None => Sources {
                by_item: &self.sources,
                default: None,
            },
        };
        let planner = Planner {
            rule,
            keys,
            sources,
            limits,
            time,
            port: self.port.unwrap_or(want.port),
        };
        planner.plan(want, std::iter::empty(), |address| failed_at(address, time), random)
    }

    fn no_record(&self, time: UnixTime) -> PlanFault {
        let starts = self.published.rules().iter().map(|rule| rule.from().0);
        let why = match starts.filter(|from| *from > time.0).min() {
            Some(first) => format!("the first is in force from {first}, and it is {time}").into(),
            None => self.why.clone(),
        };
        PlanFault::NoRecord { why }
    }
}

impl Planner<'_> {
    /// Plans for a want. `failed` are candidates that are not chosen while there are others.
    pub(crate) fn plan(
        &self,
        want: &Want<'_>,
        failed: impl Iterator<Item = Candidate> + Clone,
        failed_at: impl Fn(Ipv6Addr) -> Option<UnixTime>,
        random: &mut impl RandomBits,
    ) -> Result<Plan, PlanFault> {
        let rule = self.rule;
        self.limits.check(rule)?;
        if self.port == 0 {
            return Err(PlanFault::Port);
        }
        let replicas = rule.replicas();
        if let Some(replica) = want.replica.filter(|replica| *replica >= replicas) {
            return Err(PlanFault::Replica { replica, replicas });
        }
        let mut buffer = [0; MAX_OBJECT_BYTES];
        let connection = self.connection(want, &mut buffer);
        let random = &mut Ordered(random, want.order);

        // Replicas that are not wanted count as failed.
        let wanted = want.replica.map(Replica);
        let failed = failed.chain(wanted.into_iter().flat_map(|wanted| rule.other_replicas(wanted)));

        let most = self.most(want);
        let mut known: ArrayVec<Candidate, MAX_TARGETS> = ArrayVec::new();
        let mut targets: ArrayVec<Target, MAX_TARGETS> = ArrayVec::new();
        let mut later: ArrayVec<(UnixTime, Target), MAX_TARGETS> = ArrayVec::new();
        while known.len() < most {
            let passed = failed.clone().chain(known.iter().copied());
            let chosen = match self.choose(&connection, &passed, random) {
                Ok(chosen) => chosen,
                Err(_) if !known.is_empty() => break,
                Err(error) => return Err(error.into()),
            };
            // Where nothing else is left, one comes again.
            if known.iter().any(|other| other.address == chosen.candidate.address) {
                break;
            }
            let target = Target::new(chosen, self.port);
            match failed_at(chosen.candidate.address.0) {
                Some(at) => later.push((at, target)),
                None => targets.push(target),
            }
            known.push(chosen.candidate);
        }
        // Of those that failed, the one that may have come back since.
        later.sort_by_key(|(at, _)| *at);
        targets.extend(later.into_iter().map(|(_, target)| target));
        Ok(Plan {
            targets,
            from: rule.from(),
        })
    }

    fn connection<'c>(&self, want: &Want<'c>, buffer: &'c mut [u8; MAX_OBJECT_BYTES]) -> Connection<'c> {
        let chunk = want.chunk.map(Chunk);
        let of_request = |request: &HttpRequest<'_>| self.keys.find_chunk(request).ok();
        Connection {
            chunk: chunk.or_else(|| want.request.and_then(of_request)),
            object: match (want.object, want.request) {
                (None, Some(request)) => self.keys.find_object(request, buffer),
                (object, _) => object,
            },
            port: Some(Port(self.port)),
            time: Some(self.time),
        }
    }

    fn most(&self, want: &Want<'_>) -> usize {
        let default = match (want.replica, self.rule.pow()) {
            (None, 0) => usize::from(self.rule.replicas()).max(FEW),
            _ => 1,
        };
        want.targets.unwrap_or(default).clamp(1, MAX_TARGETS)
    }

    fn choose(
        &self,
        connection: &Connection<'_>,
        passed: &(impl Iterator<Item = Candidate> + Clone),
        random: &mut impl RandomBits,
    ) -> Result<ssa_rules::Chosen, ComposeError> {
        match self.rule.choose(connection, &self.sources, passed, random)? {
            Choice::Chosen(chosen) => Ok(chosen),
            Choice::Work(mut work) => {
                let found = self.rule.resume(&mut work, connection, u32::MAX, random)?;
                // So many tries are more than a record may ask for.
                found.ok_or(ComposeError::PowExhausted { tries: u32::MAX.into() })
            }
        }
    }
}

#[cfg(test)]
mod tests;
