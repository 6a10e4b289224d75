//! Inbound: whether a connection may come in.

use ssa_rules::{Destination, Flow, Part, Port, Source, Unchecked, UnixTime, Verdict};
use ssa_snapshot as raw;
pub use ssa_snapshot::{Action, Mode, Policy};

use crate::{
    endpoint::Endpoint,
    index::{self, Index},
    service::{Exemption, Service},
    table::Table,
};

/// What an inbound filter knows.
#[derive(Clone, Debug)]
pub struct Inbound {
    services: Table<InboundService>,
    /// The services of each port, the one that treats a plain address most strictly first.
    ports: Index,
    /// Whether nothing is verified, whatever the modes.
    off: bool,
    /// Who may use plain addresses.
    exempt: Vec<Exemption>,
    /// Whether connections that concern no service, by address or by port, pass.
    unclaimed_allowed: bool,
    /// The cluster that demoted connections use.
    demote_cluster: Option<String>,
}

/// A service as its servers know it.
#[derive(Clone, Debug)]
pub struct InboundService {
    /// Its name and rules.
    pub service: Service,
    /// What is done with what is found.
    pub mode: Mode,
    /// What is done with each finding.
    pub policy: Policy,
    /// The ports it serves.
    pub ports: Vec<u16>,
}

impl AsRef<Service> for InboundService {
    fn as_ref(&self) -> &Service {
        &self.service
    }
}

/// What was found of a connection. The names are labels of metrics and fields of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Source and destination fit a rule of the service, all of it.
    Conforming,
    /// What could be checked of them fits; these parts depend on an object key or a chunk, which are not known here.
    Unchecked(Unchecked),
    /// The destination is legacy.
    Legacy,
    /// They do not fit; this part does not.
    Violation(Part),
    /// The destination is no address of the service whose port it is.
    Outside,
    /// The destination is an address of the service, but not one of its ports.
    OtherPort,
    /// The service has no rule that is in force now.
    NoRule,
    /// The service is off, or all are.
    Unverified,
    /// The destination is plain, and the source exempt.
    Exempt,
    /// Neither address nor port concern any service.
    Unclaimed,
    /// The proxy did not say what the connection is.
    Unreadable,
    /// There is no snapshot yet.
    NoSnapshot,
}

impl Finding {
    /// Returns what it is called, whatever its parts.
    #[must_use]
    pub const fn kind(self) -> raw::Finding {
        match self {
            Self::Conforming => raw::Finding::Conforming,
            Self::Unchecked(_) => raw::Finding::Unchecked,
            Self::Legacy => raw::Finding::Legacy,
            Self::Violation(_) => raw::Finding::Violation,
            Self::Outside => raw::Finding::Outside,
            Self::OtherPort => raw::Finding::OtherPort,
            Self::NoRule => raw::Finding::NoRule,
            Self::Unverified => raw::Finding::Unverified,
            Self::Exempt => raw::Finding::Exempt,
            Self::Unclaimed => raw::Finding::Unclaimed,
            Self::Unreadable => raw::Finding::Unreadable,
            Self::NoSnapshot => raw::Finding::NoSnapshot,
        }
    }

    /// Returns the finding's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.kind().name()
    }

    /// Returns the finding's number; parts are not told apart.
    #[must_use]
    pub const fn number(self) -> usize {
        self.kind().number()
    }

    /// Returns the part at fault of a violation.
    #[must_use]
    pub const fn part(self) -> Option<Part> {
        if let Self::Violation(part) = self {
            Some(part)
        } else {
            None
        }
    }

    /// Returns what was not checked.
    #[must_use]
    pub const fn unchecked(self) -> Option<Unchecked> {
        if let Self::Unchecked(unchecked) = self {
            Some(unchecked)
        } else {
            None
        }
    }
}

/// What became of a connection. The names are labels of metrics and fields of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Allowed,
    /// It passed, marked for low priority.
    Demoted,
    /// It was closed.
    Denied,
    /// It passed, for the service is in shadow mode; it would have been marked.
    ShadowDemoted,
    /// It passed, for the service is in shadow mode; it would have been closed.
    ShadowDenied,
}

impl Outcome {
    /// How many outcomes there are.
    pub const COUNT: usize = 5;

    const fn new(action: Action, mode: Mode) -> Self {
        match (action, mode) {
            (Action::Allow, _) => Self::Allowed,
            (Action::Demote, Mode::Shadow) => Self::ShadowDemoted,
            (Action::Deny, Mode::Shadow) => Self::ShadowDenied,
            (Action::Demote, _) => Self::Demoted,
            (Action::Deny, _) => Self::Denied,
        }
    }

    /// Returns the outcome's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Demoted => "demoted",
            Self::Denied => "denied",
            Self::ShadowDemoted => "shadow_demoted",
            Self::ShadowDenied => "shadow_denied",
        }
    }

    /// Says where the outcome stands among others, the strictest first: what is carried out before what is only told.
    const fn strictness(self) -> u8 {
        match self {
            Self::Denied => 0,
            Self::Demoted => 1,
            Self::ShadowDenied => 2,
            Self::ShadowDemoted => 3,
            Self::Allowed => 4,
        }
    }

    /// Returns the outcome's number, below [`Outcome::COUNT`].
    #[must_use]
    pub const fn number(self) -> usize {
        match self {
            Self::Allowed => 0,
            Self::Demoted => 1,
            Self::Denied => 2,
            Self::ShadowDemoted => 3,
            Self::ShadowDenied => 4,
        }
    }
}

/// How far an outcome's strictness stands above the number of a service.
const STRICTNESS_AT: u32 = 32;

/// Puts a service into the order of those of one port: the strictest first, and of equals the first.
fn place(outcome: Outcome, service: usize) -> u64 {
    u64::from(outcome.strictness()) << STRICTNESS_AT | index::number(service)
}

/// A decision on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The number of the service that it concerns, if any.
    pub service: Option<usize>,
    /// What was found.
    pub finding: Finding,
    /// What is to become of the connection.
    pub outcome: Outcome,
}

impl Decision {
    /// A decision on a connection that concerns no service that is known.
    const fn general(finding: Finding, passes: bool) -> Self {
        let outcome = if passes { Outcome::Allowed } else { Outcome::Denied };
        Self {
            service: None,
            finding,
            outcome,
        }
    }

    /// A decision on a connection that no snapshot came in time for.
    #[must_use]
    pub const fn without_snapshot(released: bool) -> Self {
        Self::general(Finding::NoSnapshot, released)
    }
}

impl Inbound {
    /// Makes what an inbound filter knows.
    #[must_use]
    pub fn new(
        services: Table<InboundService>,
        exempt: Vec<Exemption>,
        unclaimed_allowed: bool,
        demote_cluster: Option<String>,
    ) -> Self {
        let mut inbound = Self {
            services: Table::default(),
            ports: Index::default(),
            off: false,
            exempt,
            unclaimed_allowed,
            demote_cluster,
        };
        inbound.install(services, false);
        inbound
    }

    /// Takes other services; `off` lets everything pass.
    pub fn install(&mut self, services: Table<InboundService>, off: bool) {
        let ports = |(number, service): (usize, &InboundService)| {
            let placed = place(service.decision(number, service.outside()).outcome, number);
            let ports: Vec<_> = service.ports.iter().map(|port| (u128::from(*port), placed)).collect();
            ports
        };
        self.ports = Index::new(services.services().iter().enumerate().flat_map(ports));
        self.services = services;
        self.off = off;
    }

    /// Returns the services.
    #[must_use]
    pub const fn services(&self) -> &Table<InboundService> {
        &self.services
    }

    /// Returns the cluster that demoted connections use, if it is another.
    #[must_use]
    pub fn demote_cluster(&self) -> Option<&str> {
        self.demote_cluster.as_deref()
    }

    /// Decides on a connection. Where several services have a say, the strictest outcome decides, and `others` hears
    /// what each of the others decided.
    #[must_use]
    pub fn decide(
        &self,
        source: Endpoint,
        destination: Endpoint,
        now: UnixTime,
        mut others: impl FnMut(&Decision),
    ) -> Decision {
        let owner = self.services.owner(destination.address);
        if self.off {
            return Decision {
                service: owner.map(|(number, _)| number),
                ..Decision::general(Finding::Unverified, true)
            };
        }
        if let Some((number, service)) = owner {
            let own = service.decision(number, service.find(source, destination, now));
            if service.ports.contains(&destination.port) {
                return own;
            }
            // For those whose port it is, the address is a plain one.
            return match self.of_port(destination.port, InboundService::outside, &mut others) {
                Some(decision) if decision.outcome.strictness() < own.outcome.strictness() => {
                    others(&own);
                    decision
                }
                Some(decision) => {
                    others(&decision);
                    own
                }
                None => own,
            };
        }
        let exempt = self
            .exempt
            .iter()
            .any(|exemption| exemption.covers(source.address, destination.port));
        let decided = if exempt {
            self.of_port(destination.port, |_| Finding::Exempt, &mut others)
        } else {
            self.of_port(destination.port, InboundService::outside, &mut others)
        };
        match decided {
            Some(decision) => decision,
            None if exempt => Decision::general(Finding::Exempt, true),
            None => Decision::general(Finding::Unclaimed, self.unclaimed_allowed),
        }
    }

    /// Returns what the strictest service of a port decides; `others` hears the rest.
    fn of_port(
        &self,
        port: u16,
        find: impl Fn(&InboundService) -> Finding,
        others: &mut impl FnMut(&Decision),
    ) -> Option<Decision> {
        let mut decisions = self.ports.all(port.into()).filter_map(|placed| {
            let number = index::service(placed & u64::from(u32::MAX));
            let service = self.services.services().get(number)?;
            Some(service.decision(number, find(service)))
        });
        let first = decisions.next()?;
        decisions.for_each(|decision| others(&decision));
        Some(first)
    }

    /// Decides on a connection that the proxy says too little of: closed wherever anything is enforced.
    #[must_use]
    pub fn decide_unreadable(&self) -> Decision {
        let mut services = self.services.services().iter();
        let enforced = !self.off && services.any(|service| service.mode == Mode::Enforce);
        Decision::general(Finding::Unreadable, !enforced)
    }
}

impl InboundService {
    fn decision(&self, index: usize, finding: Finding) -> Decision {
        let outcome = Outcome::new(self.policy.action(finding.kind()), self.mode);
        Decision {
            service: Some(index),
            finding,
            outcome,
        }
    }

    /// Judges a connection to a port of the service by an address that is not its.
    fn outside(&self) -> Finding {
        if self.mode == Mode::Off {
            Finding::Unverified
        } else {
            Finding::Outside
        }
    }

    /// Judges a connection to an address of the service.
    fn find(&self, source: Endpoint, destination: Endpoint, now: UnixTime) -> Finding {
        if self.mode == Mode::Off {
            return Finding::Unverified;
        }
        if !self.ports.contains(&destination.port) {
            return Finding::OtherPort;
        }
        let mut flow = Flow::new(Source(source.address), Destination(destination.address), now);
        flow.port = Some(Port(destination.port));
        match self.service.rules.verify(&flow).map(|judgement| judgement.verdict) {
            None => Finding::NoRule,
            Some(Verdict::Conforming(unchecked)) if unchecked.is_empty() => Finding::Conforming,
            Some(Verdict::Conforming(unchecked)) => Finding::Unchecked(unchecked),
            Some(Verdict::Legacy) => Finding::Legacy,
            Some(Verdict::Outside) => Finding::Outside,
            Some(Verdict::Violation(violation)) => Finding::Violation(violation.part()),
        }
    }
}

#[cfg(test)]
mod tests;
