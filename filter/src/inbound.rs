//! Inbound: whether a connection may come in.

use core::net::Ipv6Addr;

use ssa_rules::{Destination, Flow, Part, Port, Source, Unchecked, UnixTime, Verdict};
use ssa_snapshot::{
    Action, ClusterName, Finding, Mode, Policy, TrafficClass,
    plugin::{Exemption, NoMatch},
};

use crate::{
    endpoint::Endpoint,
    index::{self, Index},
    service::Service,
    subject::Subject,
    table::Table,
};

/// The services and settings of an inbound filter.
#[derive(Clone, Debug)]
pub struct Inbound {
    services: Table<InboundService>,
    /// The services of each port, the strictest about plain addresses first.
    ports: Index,
    /// Whether the kill switch is on: nothing is verified, whatever the modes.
    off: bool,
    /// The sources that may use plain addresses.
    exempt: Vec<Exemption>,
    /// What is done with connections that concern no service, by address or by port.
    no_match: NoMatch,
    /// The cluster that demoted connections use.
    demote_cluster: Option<ClusterName>,
}

/// A service as its servers know it, prepared from [`ssa_snapshot::InboundService`]: its records are compiled.
#[derive(Clone, Debug)]
pub struct InboundService {
    /// Its name and rules.
    pub service: Service,
    /// Whether the policy is enforced.
    pub mode: Mode,
    /// The action for each finding.
    pub policy: Policy,
    /// The ports it serves.
    pub ports: Vec<u16>,
}

impl AsRef<Service> for InboundService {
    fn as_ref(&self) -> &Service {
        &self.service
    }
}

/// The outcome of a connection. The names are labels of metrics and fields of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Allowed,
    /// It passed in the class of possibly bad traffic.
    Demoted,
    /// It was closed.
    Denied,
    /// It passed, for the service is in shadow mode; it would have been demoted.
    ShadowDemoted,
    /// It passed, for the service is in shadow mode; it would have been closed.
    ShadowDenied,
}

impl Outcome {
    /// How many outcomes there are.
    pub const COUNT: usize = 5;

    const fn new(action: Action, mode: Mode) -> Self {
        match (action.class(), mode) {
            (Some(TrafficClass::Assumed), _) => Self::Allowed,
            (Some(TrafficClass::Bad), Mode::Shadow) => Self::ShadowDemoted,
            (None, Mode::Shadow) => Self::ShadowDenied,
            (Some(TrafficClass::Bad), _) => Self::Demoted,
            (None, _) => Self::Denied,
        }
    }

    /// Returns the traffic class of a connection with this outcome; none if it does not pass.
    #[must_use]
    pub const fn class(self) -> Option<TrafficClass> {
        match self {
            Self::Allowed | Self::ShadowDemoted | Self::ShadowDenied => Some(TrafficClass::Assumed),
            Self::Demoted => Some(TrafficClass::Bad),
            Self::Denied => None,
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

    /// Returns the outcome's rank, the strictest first: what is enforced before what is only reported.
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

/// Returns a service's rank among those of one port: the strictest first, and of equals the one listed first.
fn place(outcome: Outcome, service: usize) -> u64 {
    u64::from(outcome.strictness()) << STRICTNESS_AT | index::number(service)
}

/// What was found about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The finding.
    pub finding: Finding,
    /// The part at fault, if that is a violation.
    pub violated: Option<Part>,
    /// The parts that were not checked, if it is that. They depend on an object key or a chunk.
    pub unchecked: Unchecked,
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        Self {
            finding,
            violated: None,
            unchecked: Unchecked::default(),
        }
    }
}

impl From<Verdict> for Findings {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Conforming(unchecked) if unchecked.is_empty() => Finding::Conforming.into(),
            Verdict::Conforming(unchecked) => Self {
                unchecked,
                ..Finding::Unchecked.into()
            },
            Verdict::Legacy => Finding::Legacy.into(),
            Verdict::Outside => Finding::Outside.into(),
            Verdict::Violation(violation) => Self {
                violated: Some(violation.part()),
                ..Finding::Violation.into()
            },
        }
    }
}

/// A decision on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The number of the service that it concerns, if any.
    pub service: Option<usize>,
    /// What was found.
    pub found: Findings,
    /// The outcome.
    pub outcome: Outcome,
}

impl Decision {
    /// A decision on a connection that concerns no known service.
    fn general(finding: Finding, passes: bool) -> Self {
        let outcome = if passes { Outcome::Allowed } else { Outcome::Denied };
        Self {
            service: None,
            found: finding.into(),
            outcome,
        }
    }

    /// A decision on a connection for which no snapshot arrived in time.
    #[must_use]
    pub fn without_snapshot(failure_mode_allow: bool) -> Self {
        Self::general(Finding::NoSnapshot, failure_mode_allow)
    }
}

impl Inbound {
    /// Makes a filter of services and settings.
    #[must_use]
    pub fn new(
        services: Table<InboundService>,
        exempt: Vec<Exemption>,
        no_match: NoMatch,
        demote_cluster: Option<ClusterName>,
    ) -> Self {
        let mut inbound = Self {
            services: Table::default(),
            ports: Index::default(),
            off: false,
            exempt,
            no_match,
            demote_cluster,
        };
        inbound.install(services, false);
        inbound
    }

    /// Replaces the services; with `off`, everything passes.
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

    /// Returns the cluster that serves a traffic class; none where it is the one that all connections use.
    #[must_use]
    pub fn cluster(&self, class: TrafficClass) -> Option<&str> {
        match class {
            TrafficClass::Assumed => None,
            TrafficClass::Bad => self.demote_cluster.as_deref(),
        }
    }

    /// Decides on a connection. If several services have a say, the strictest outcome decides, and `others` is given the
    /// decision of each of the others. One of which too little is known is closed wherever anything is enforced.
    #[must_use]
    pub fn decide(&self, subject: &Subject, others: impl FnMut(&Decision)) -> Decision {
        if let (Some(source), Some(destination), Some(time)) = (subject.source, subject.destination, subject.time) {
            return self.decide_on(source, destination, time, others);
        }
        self.unreadable()
    }

    fn decide_on(
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
            // For the services with this port, the address is a plain one.
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
            .any(|exemption| covers(exemption, source.address, destination.port));
        let decided = if exempt {
            self.of_port(destination.port, |_| Finding::Exempt, &mut others)
        } else {
            self.of_port(destination.port, InboundService::outside, &mut others)
        };
        match decided {
            Some(decision) => decision,
            None if exempt => Decision::general(Finding::Exempt, true),
            None => Decision::general(Finding::NoMatch, self.no_match == NoMatch::Allow),
        }
    }

    /// Returns the decision of the strictest service of a port; `others` is given the rest.
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
}

/// Returns whether a connection from this source to this port is exempt.
fn covers(exemption: &Exemption, source: Ipv6Addr, port: u16) -> bool {
    (exemption.ports.is_empty() || exemption.ports.iter().any(|own| own.get() == port))
        && exemption.sources.iter().any(|own| own.get().contains(&source))
}

impl InboundService {
    fn decision(&self, index: usize, found: impl Into<Findings>) -> Decision {
        let found = found.into();
        Decision {
            service: Some(index),
            found,
            outcome: Outcome::new(self.policy.action(found.finding), self.mode),
        }
    }

    /// Returns the finding for a connection to a port of the service, on an address that is not its own.
    fn outside(&self) -> Finding {
        if self.mode == Mode::Off {
            Finding::Unverified
        } else {
            Finding::Outside
        }
    }

    /// Returns the findings for a connection to an address of the service.
    fn find(&self, source: Endpoint, destination: Endpoint, now: UnixTime) -> Findings {
        if self.mode == Mode::Off {
            return Finding::Unverified.into();
        }
        if !self.ports.contains(&destination.port) {
            return Finding::OtherPort.into();
        }
        let mut flow = Flow::new(Source(source.address), Destination(destination.address), now);
        flow.port = Some(Port(destination.port));
        match self.service.rules.verify(&flow) {
            None => Finding::NoRule.into(),
            Some(judgement) => judgement.verdict.into(),
        }
    }
}

mod request;

pub use request::{Requested, Told};

#[cfg(test)]
mod tests;
