//! Inbound: whether a connection may come in.

use ssa_rules::{Destination, Flow, Part, Port, Source, UnixTime, Verdict};

use crate::{
    config::{Exemption, Service},
    endpoint::Endpoint,
    index::{self, Index},
    table::Table,
};

/// What an inbound filter knows.
#[derive(Clone, Debug)]
pub struct Inbound {
    services: Table<InboundService>,
    /// The services of each port.
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

/// Whether a policy is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    #[default]
    Enforce,
    /// It is counted and logged, and all passes.
    Shadow,
    /// Nothing is verified, and all passes.
    Off,
}

/// What is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes.
    Allow,
    /// It passes, marked for low priority.
    Demote,
    /// It is closed.
    Deny,
}

/// What was found of a connection. The names are labels of metrics and fields of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Source and destination fit a rule of the service.
    Conforming,
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
    /// How many findings have a number of their own.
    pub const COUNT: usize = 11;

    /// Returns the finding's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conforming => "conforming",
            Self::Legacy => "legacy",
            Self::Violation(_) => "violation",
            Self::Outside => "outside",
            Self::OtherPort => "other_port",
            Self::NoRule => "no_rule",
            Self::Unverified => "unverified",
            Self::Exempt => "exempt",
            Self::Unclaimed => "unclaimed",
            Self::Unreadable => "unreadable",
            Self::NoSnapshot => "no_snapshot",
        }
    }

    /// Returns the finding's number, below [`Finding::COUNT`]; parts of a violation are not told apart.
    #[must_use]
    pub const fn number(self) -> usize {
        match self {
            Self::Conforming => 0,
            Self::Legacy => 1,
            Self::Violation(_) => 2,
            Self::Outside => 3,
            Self::OtherPort => 4,
            Self::NoRule => 5,
            Self::Unverified => 6,
            Self::Exempt => 7,
            Self::Unclaimed => 8,
            Self::Unreadable => 9,
            Self::NoSnapshot => 10,
        }
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
}

/// What is done with each finding of a service; docs/filter.md says when each is found, and the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    conforming: Action,
    legacy: Action,
    violation: Action,
    outside: Action,
    other_port: Action,
    no_rule: Action,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            conforming: Action::Allow,
            legacy: Action::Demote,
            violation: Action::Deny,
            outside: Action::Deny,
            other_port: Action::Deny,
            no_rule: Action::Deny,
        }
    }
}

impl Policy {
    /// Returns the findings that a policy speaks of, each with its action.
    pub fn entries_mut(&mut self) -> [(Finding, &mut Action); 6] {
        [
            (Finding::Conforming, &mut self.conforming),
            (Finding::Legacy, &mut self.legacy),
            (Finding::Violation(Part::Item), &mut self.violation),
            (Finding::Outside, &mut self.outside),
            (Finding::OtherPort, &mut self.other_port),
            (Finding::NoRule, &mut self.no_rule),
        ]
    }

    /// Returns the action for a finding. Those that no policy speaks of are allowed.
    #[must_use]
    pub const fn action(&self, finding: Finding) -> Action {
        match finding {
            Finding::Conforming => self.conforming,
            Finding::Legacy => self.legacy,
            Finding::Violation(_) => self.violation,
            Finding::Outside => self.outside,
            Finding::OtherPort => self.other_port,
            Finding::NoRule => self.no_rule,
            Finding::Unverified | Finding::Exempt | Finding::Unclaimed | Finding::Unreadable | Finding::NoSnapshot => {
                Action::Allow
            }
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
            let number = index::number(number);
            let ports: Vec<_> = service.ports.iter().map(|port| (u128::from(*port), number)).collect();
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

    /// Decides on a connection.
    #[must_use]
    pub fn decide(&self, source: Endpoint, destination: Endpoint, now: UnixTime) -> Decision {
        let owner = self.services.owner(destination.address);
        if self.off {
            return Decision {
                service: owner.map(|(number, _)| number),
                ..Decision::general(Finding::Unverified, true)
            };
        }
        if let Some((number, service)) = owner {
            return service.decision(number, service.find(source, destination, now));
        }
        let exempt = self
            .exempt
            .iter()
            .any(|exemption| exemption.covers(source.address, destination.port));
        match self.service_of_port(destination.port) {
            Some((number, service)) => service.decision(
                number,
                if exempt {
                    Finding::Exempt
                } else {
                    service.or_unverified(Finding::Outside)
                },
            ),
            None if exempt => Decision::general(Finding::Exempt, true),
            None => Decision::general(Finding::Unclaimed, self.unclaimed_allowed),
        }
    }

    /// Returns the first service that has a port.
    fn service_of_port(&self, port: u16) -> Option<(usize, &InboundService)> {
        let number = index::service(self.ports.get(port.into())?);
        Some((number, self.services.services().get(number)?))
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
        let outcome = Outcome::new(self.policy.action(finding), self.mode);
        Decision {
            service: Some(index),
            finding,
            outcome,
        }
    }

    fn or_unverified(&self, finding: Finding) -> Finding {
        if self.mode == Mode::Off {
            Finding::Unverified
        } else {
            finding
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
            Some(Verdict::Conforming(_)) => Finding::Conforming,
            Some(Verdict::Legacy) => Finding::Legacy,
            Some(Verdict::Outside) => Finding::Outside,
            Some(Verdict::Violation(violation)) => Finding::Violation(violation.part()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Role};

    const NOW: UnixTime = UnixTime(1_790_000_000);
    const SOURCE: &str = "[2001:db8:77:1::7]:40000";

    fn inbound(extra: &str) -> Inbound {
        let json = format!(
            r#"{{"role": "inbound", "demote_cluster": "slow",
                "exempt": [{{"sources": ["2001:db8:f::/48"], "ports": [80, 9]}}],
                "services": [{{"name": "web", "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120",
                "rules": ["v=ssa1; addr=hash(src/128):20 rand:44"], "ports": [80]{extra}}},
                {{"name": "later", "apl": "2:2001:db8:7::/64", "rules": ["v=ssa1; addr=rand:64; from=1800000000"],
                "ports": [81]}}]}}"#
        );
        match Config::from_json(json.as_bytes()).unwrap().role {
            Role::Inbound(inbound) => inbound,
            Role::Outbound(_) => panic!("inbound"),
        }
    }

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text.as_bytes()).unwrap()
    }

    fn conforming() -> String {
        let inbound = inbound("");
        let rules = &inbound.services().services()[0].service.rules;
        let request = ssa_rules::Request::new(Source(endpoint(SOURCE).address));
        let address = rules.client_rule(NOW).unwrap().compose(&request, &mut || 7).unwrap();
        format!("[{address}]:80")
    }

    fn decide(inbound: &Inbound, source: &str, destination: &str) -> (Option<usize>, &'static str, &'static str) {
        let decision = inbound.decide(endpoint(source), endpoint(destination), NOW);
        (decision.service, decision.finding.name(), decision.outcome.name())
    }

    #[test]
    fn defaults_table_holds() {
        let inbound = inbound("");
        let other = "[2001:db8:77:2::7]:40000";
        assert_eq!(
            decide(&inbound, SOURCE, &conforming()),
            (Some(0), "conforming", "allowed")
        );
        assert_eq!(decide(&inbound, other, &conforming()), (Some(0), "violation", "denied"));
        assert_eq!(
            decide(&inbound, SOURCE, "[2001:db8:6::1]:80"),
            (Some(0), "legacy", "demoted")
        );
        assert_eq!(
            decide(&inbound, SOURCE, "[2001:db8:9::1]:80"),
            (Some(0), "outside", "denied")
        );
        assert_eq!(
            decide(&inbound, SOURCE, "[2001:db8:5::1]:15006"),
            (Some(0), "other_port", "denied")
        );
        assert_eq!(
            decide(&inbound, SOURCE, "[2001:db8:7::1]:81"),
            (Some(1), "no_rule", "denied")
        );
        assert_eq!(
            decide(&inbound, SOURCE, "[2001:db8:9::1]:9"),
            (None, "unclaimed", "denied")
        );
        assert_eq!(decide(&inbound, SOURCE, "192.0.2.1:80"), (Some(0), "outside", "denied"));
    }

    #[test]
    fn exempt_sources_reach_plain_addresses_only() {
        let inbound = inbound("");
        let probe = "[2001:db8:f::1]:40000";
        assert_eq!(
            decide(&inbound, probe, "[2001:db8:9::1]:80"),
            (Some(0), "exempt", "allowed")
        );
        assert_eq!(
            decide(&inbound, probe, "[2001:db8:9::1]:9"),
            (None, "exempt", "allowed")
        );
        assert_eq!(
            decide(&inbound, probe, "[2001:db8:9::1]:81"),
            (Some(1), "outside", "denied")
        );
        assert_eq!(decide(&inbound, probe, &conforming()), (Some(0), "violation", "denied"));
    }

    #[test]
    fn shadow_judges_and_lets_pass() {
        let inbound = inbound(r#", "mode": "shadow""#);
        let other = "[2001:db8:77:2::7]:40000";
        assert_eq!(
            decide(&inbound, other, &conforming()),
            (Some(0), "violation", "shadow_denied")
        );
        assert_eq!(
            decide(&inbound, other, "[2001:db8:6::1]:80"),
            (Some(0), "legacy", "shadow_demoted")
        );
        assert_eq!(
            decide(&inbound, other, "[2001:db8:9::1]:80"),
            (Some(0), "outside", "shadow_denied")
        );
        assert_eq!(
            decide(&inbound, SOURCE, &conforming()),
            (Some(0), "conforming", "allowed")
        );
    }

    #[test]
    fn off_verifies_nothing() {
        let inbound = inbound(r#", "mode": "off""#);
        for destination in [
            "[2001:db8:5::1]:80",
            "[2001:db8:6::1]:80",
            "[2001:db8:9::1]:80",
            "[2001:db8:5::1]:1",
        ] {
            assert_eq!(
                decide(&inbound, SOURCE, destination),
                (Some(0), "unverified", "allowed"),
                "{destination}"
            );
        }
    }

    #[test]
    fn policies_are_carried_out() {
        let inbound = inbound(r#", "policy": {"violation": "demote", "legacy": "deny", "outside": "allow"}"#);
        let other = "[2001:db8:77:2::7]:40000";
        assert_eq!(
            decide(&inbound, other, &conforming()),
            (Some(0), "violation", "demoted")
        );
        assert_eq!(
            decide(&inbound, other, "[2001:db8:6::1]:80"),
            (Some(0), "legacy", "denied")
        );
        assert_eq!(
            decide(&inbound, other, "[2001:db8:9::1]:80"),
            (Some(0), "outside", "allowed")
        );
    }

    #[test]
    fn unreadable_connections_close_where_anything_is_enforced() {
        assert_eq!(inbound("").decide_unreadable().outcome, Outcome::Denied);
        assert_eq!(killed().decide_unreadable().outcome, Outcome::Allowed);
    }

    fn killed() -> Inbound {
        let mut off = inbound("");
        off.install(off.services().clone(), true);
        off
    }

    #[test]
    fn kill_switch_lets_everything_pass() {
        let off = killed();
        for (destination, service) in [
            ("[2001:db8:5::1]:80", Some(0)),
            ("[2001:db8:9::1]:80", None),
            ("[2001:db8:9::1]:9", None),
        ] {
            assert_eq!(decide(&off, SOURCE, destination), (service, "unverified", "allowed"));
        }
    }
}
