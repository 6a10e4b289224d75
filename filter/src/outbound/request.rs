//! Outbound: where a request goes, and where it is sent again.

use core::fmt::Write as _;

use ssa_rules::{
    Candidate, Choice, FailedAddresses, HttpRequest, Port, Replica, Sources, UnixTime, http::MAX_OBJECT_BYTES,
};
use ssa_snapshot::plugin::{NoObject, Order, Requests};

use super::{Draws, Outbound, Outcome, Route, Share, Target};
use crate::{compose_failure::ComposeFailure, endpoint::Endpoint, in_flight::InFlight, random::Draw};

/// The most targets of a request: it is sent again so many times less one.
const MAX_TARGETS: usize = 8;

/// Stands for a time that does not come.
const NEVER: &str = "-";

/// Where a request goes: to the first target, and to the others one after the other if those before fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The service's number.
    pub service: usize,
    /// The targets, at least one; several only for a request that may be sent to other replicas.
    pub targets: Vec<Target>,
    /// Whether the request only reads.
    pub reads: bool,
}

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It goes to composed addresses.
    Composed(Plan),
    /// It goes as dialled.
    Plain(Option<usize>, Outcome),
    /// It is answered 421: what it asks for has no address.
    Refused(usize),
    /// It goes as dialled, for no address of this service could be composed.
    Failed(usize, ComposeFailure),
}

impl Plan {
    /// Returns the targets as text, which the filter of attempts reads: the service's number, the time from which on attempts
    /// are hedged or `-`, then addresses and ports.
    #[must_use]
    pub fn handed_over(&self, hedged_at: Option<u64>) -> String {
        let mut text = self.service.to_string();
        text.push(' ');
        text.push_str(&hedged_at.map_or_else(|| NEVER.to_owned(), |at| at.to_string()));
        for target in &self.targets {
            let _ = write!(text, " {}", target.endpoint());
        }
        text
    }
}

/// The targets of a request, as the filter of its attempts reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// The service's number.
    pub service: usize,
    /// Until when an attempt that is followed by another has failed, in nanoseconds since 1970. Later it may only be slow.
    pub hedged_at: Option<u64>,
    targets: Vec<Endpoint>,
}

impl HandedOver {
    /// Reads what [`Plan::handed_over`] wrote.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(text).ok()?;
        let mut words = text.split(' ');
        let service = words.next()?.parse().ok()?;
        let hedged_at = match words.next()? {
            NEVER => None,
            at => Some(at.parse().ok()?),
        };
        let targets = words.map(|word| Endpoint::parse(word.as_bytes()));
        let targets: Option<Vec<Endpoint>> = targets.take(MAX_TARGETS).collect();
        Some(Self {
            service,
            hedged_at,
            targets: targets?,
        })
    }

    /// Returns the target of an attempt, counted from 1.
    #[must_use]
    pub fn target(&self, attempt: u64) -> Option<Endpoint> {
        let index = usize::try_from(attempt.checked_sub(1)?).ok()?;
        self.targets.get(index).copied()
    }
}

/// Random bits of one draw, or none: then what is drawn is the first.
struct Ordered<'a, F> {
    draws: Draws<F>,
    fixed: &'a Order,
}

impl<F: FnMut() -> Draw> ssa_rules::RandomBits for Ordered<'_, F> {
    fn bits(&mut self) -> u64 {
        match self.fixed {
            Order::Random | Order::Least => self.draws.bits(),
            Order::Fixed => 0,
        }
    }

    fn redraw(&mut self) {
        self.draws.redraw();
    }
}

impl Outbound {
    /// Returns how requests are sent.
    #[must_use]
    pub const fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Plans a request to an address. `reads` says whether it may be sent to any replica; `replica` is the one that the
    /// application names. Addresses that failed recently come last, the one that failed last at the end; of the others, those
    /// with the fewest requests in flight come first if the order says so.
    #[must_use]
    pub fn plan(
        &self,
        destination: Option<Endpoint>,
        now: Option<UnixTime>,
        request: &HttpRequest<'_>,
        (reads, replica): (bool, Option<u8>),
        (failed, in_flight): (&FailedAddresses, &InFlight),
        draw: impl FnMut(Share, Option<u32>) -> Draw,
    ) -> Planned {
        let (Some(destination), Some(now)) = (destination, now) else {
            return Planned::Plain(None, Outcome::Unreadable);
        };
        let (service, port) = match self.route(destination) {
            Route::Service(service, port) => (service, port),
            Route::Plain(service, outcome) => return Planned::Plain(service, outcome),
        };
        match self.targets(service, port, now, request, replica, draw) {
            Ok(Some(targets)) => {
                let failed_at = |target: &Target| failed.failed_at(target.endpoint().address, now);
                let (last, mut targets): (Vec<Target>, Vec<Target>) =
                    targets.into_iter().partition(|target| failed_at(target).is_some());
                // If all have failed, what failed long ago may work again: a write, which is sent to one target alone,
                // would otherwise go to the same one for as long as all are remembered.
                if self.requests.order == Order::Least {
                    targets = ascending(targets, |target| in_flight.count(target.endpoint().address));
                }
                targets.extend(ascending(last, failed_at));
                targets.truncate(if reads { MAX_TARGETS } else { 1 });
                Planned::Composed(Plan {
                    service,
                    targets,
                    reads,
                })
            }
            Ok(None) => Planned::Plain(Some(service), Outcome::NoRule),
            Err(NoTarget::NoObject) if self.requests.no_object == NoObject::Deny => Planned::Refused(service),
            Err(NoTarget::NoObject) => Planned::Plain(Some(service), Outcome::NoObject),
            Err(NoTarget::Failed(failure)) => Planned::Failed(service, failure),
        }
    }

    /// Composes the addresses of a request, one for each replica, and those of other items where the rule leaves them open.
    fn targets(
        &self,
        number: usize,
        port: u16,
        now: UnixTime,
        request: &HttpRequest<'_>,
        replica: Option<u8>,
        mut draw: impl FnMut(Share, Option<u32>) -> Draw,
    ) -> Result<Option<Vec<Target>>, NoTarget> {
        let service = self.services.services().get(number);
        let record = service.and_then(|service| Some((service, service.service.rules.client(now)?)));
        let Some((service, (rule, keys))) = record else {
            return Ok(None);
        };
        self.limits
            .check(rule)
            .map_err(|error| NoTarget::Failed(error.into()))?;
        if rule.pow() > 0 {
            return Err(NoTarget::Failed(ComposeFailure::WorkForRequest));
        }
        let mut buffer = [0; MAX_OBJECT_BYTES];
        let connection = ssa_rules::Connection {
            object: keys.find_object(request, &mut buffer),
            chunk: keys.find_chunk(request).ok(),
            port: Some(Port(port)),
            time: Some(now),
        };
        let share = if rule.spreads_at_random() {
            Share::All
        } else {
            Share::Few
        };
        let mut next = || draw(share, rule.time_step());
        let mut bits = Ordered {
            draws: Draws { draw: next(), next },
            fixed: &self.requests.order,
        };
        let sources = Sources {
            by_item: &service.sources,
            default: self.source,
        };
        // Replicas that the application does not want count as chosen already.
        let named = replica.filter(|replica| *replica < rule.replicas());
        let unwanted = named.into_iter().flat_map(|named| rule.other_replicas(Replica(named)));
        let mut passed: Vec<Candidate> = unwanted.collect();
        let mut targets: Vec<Target> = Vec::new();
        while targets.len() < MAX_TARGETS {
            let choice = rule.choose(&connection, &sources, &passed.iter().copied(), &mut bits);
            let chosen = match choice {
                Ok(Choice::Chosen(chosen)) => chosen,
                Ok(Choice::Work(_)) => return Err(NoTarget::Failed(ComposeFailure::WorkForRequest)),
                Err(_) if !targets.is_empty() => break,
                Err(ssa_rules::ComposeError::Missing(missing)) if missing.object || missing.chunk => {
                    return Err(NoTarget::NoObject);
                }
                Err(error) => return Err(NoTarget::Failed(error.into())),
            };
            let target = Target::new(number, port, chosen);
            // When nothing else is left, one comes again.
            if targets.iter().any(|known| known.endpoint() == target.endpoint()) {
                break;
            }
            passed.push(chosen.candidate);
            targets.push(target);
            if named.is_some() {
                break;
            }
        }
        Ok(Some(targets))
    }
}

/// Sorts targets, which are few, and leaves those of equal keys as they are. A sort of core has code that panics.
fn ascending<K: Ord>(mut targets: Vec<Target>, key: impl Fn(&Target) -> K) -> Vec<Target> {
    let mut sorted = Vec::with_capacity(targets.len());
    while let Some(least) = targets.iter().map(&key).min() {
        let (next, others): (Vec<Target>, Vec<Target>) = targets.into_iter().partition(|target| key(target) == least);
        sorted.extend(next);
        targets = others;
    }
    sorted
}

/// Why a request has no target.
enum NoTarget {
    NoObject,
    Failed(ComposeFailure),
}

impl Planned {
    /// Returns the number of the service that it concerns, if any.
    #[must_use]
    pub const fn service(&self) -> Option<usize> {
        match self {
            Self::Composed(plan) => Some(plan.service),
            Self::Plain(service, _) => *service,
            Self::Refused(service) | Self::Failed(service, _) => Some(*service),
        }
    }

    /// Returns the outcome, provided that the proxy does what is decided.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Composed(_) => Outcome::Composed,
            Self::Plain(_, outcome) => *outcome,
            Self::Refused(_) => Outcome::NoObject,
            Self::Failed(..) => Outcome::Failed,
        }
    }
}
