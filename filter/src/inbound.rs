//! Inbound: whether a connection may come in.

use ssa_rules::{Destination, Flow, Part, Port, Source, Unchecked, UnixTime, Verdict};

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
    /// How many findings have a number of their own.
    pub const COUNT: usize = 12;

    /// Returns the finding's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conforming => "conforming",
            Self::Unchecked(_) => "unchecked",
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

    /// Returns the finding's number, below [`Finding::COUNT`]; parts are not told apart.
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
            Self::Unchecked(_) => 11,
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

/// What is done with each finding of a service; docs/filter.md says when each is found, and the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    conforming: Action,
    unchecked: Action,
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
            unchecked: Action::Allow,
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
    pub fn entries_mut(&mut self) -> [(Finding, &mut Action); 7] {
        [
            (Finding::Conforming, &mut self.conforming),
            (Finding::Unchecked(Unchecked::default()), &mut self.unchecked),
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
            Finding::Unchecked(_) => self.unchecked,
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
        let outcome = Outcome::new(self.policy.action(finding), self.mode);
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
        let decision = inbound.decide(endpoint(source), endpoint(destination), NOW, |_| ());
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

    /// Services that share port 8080, each in a space of its own, with what stands in their objects besides.
    fn sharing(services: &[&str]) -> Inbound {
        let service = |(number, more): (usize, &&str)| {
            format!(
                r#"{{"name": "s{number}", "apl": "2:2001:db8:{:x}::/64", "rules": ["v=ssa1; addr=hash(src/128):64"],
                    "ports": [8080, {}]{more}}}"#,
                number + 0x10,
                9000 + number
            )
        };
        let services: Vec<String> = services.iter().enumerate().map(service).collect();
        let json = format!(
            r#"{{"role": "inbound", "exempt": [{{"sources": ["2001:db8:f::/48"]}}], "services": [{}]}}"#,
            services.join(",")
        );
        match Config::from_json(json.as_bytes()).unwrap().role {
            Role::Inbound(inbound) => inbound,
            Role::Outbound(_) => panic!("inbound"),
        }
    }

    /// Returns what decides on a connection, and what the other services are told to have decided.
    fn all(inbound: &Inbound, source: &str, destination: &str) -> Vec<(Option<usize>, &'static str, &'static str)> {
        let mut others = Vec::new();
        let told = |decision: &Decision| (decision.service, decision.finding.name(), decision.outcome.name());
        let first = inbound.decide(endpoint(source), endpoint(destination), NOW, |other| {
            others.push(told(other));
        });
        others.insert(0, told(&first));
        others
    }

    const ENFORCE: &str = "";
    const SHADOW: &str = r#", "mode": "shadow""#;
    const OFF: &str = r#", "mode": "off""#;
    const DEMOTE: &str = r#", "policy": {"outside": "demote"}"#;
    const LENIENT: &str = r#", "policy": {"outside": "allow"}"#;

    #[test]
    fn the_strictest_service_of_a_port_decides_on_a_plain_address_in_any_order() {
        let plain = "[2001:db8:9::1]:8080";
        let outcomes = [
            (ENFORCE, ("outside", "denied")),
            (DEMOTE, ("outside", "demoted")),
            (SHADOW, ("outside", "shadow_denied")),
            (
                r#", "mode": "shadow", "policy": {"outside": "demote"}"#,
                ("outside", "shadow_demoted"),
            ),
            (LENIENT, ("outside", "allowed")),
            (OFF, ("unverified", "allowed")),
        ];
        for (strict, expected) in outcomes.iter().enumerate() {
            for other in &outcomes[strict..] {
                for order in [[expected.0, other.0], [other.0, expected.0]] {
                    let told = all(&sharing(&order), SOURCE, plain);
                    assert_eq!(told.len(), 2, "each is counted once");
                    assert_eq!(told[0].2, expected.1.1, "{order:?}");
                    assert_ne!(told[0].0, told[1].0);
                    let mut found: Vec<_> = told.iter().map(|(_, finding, outcome)| (*finding, *outcome)).collect();
                    let mut wanted = vec![expected.1, other.1];
                    found.sort_unstable();
                    wanted.sort_unstable();
                    assert_eq!(found, wanted, "{order:?}");
                }
            }
        }
    }

    #[test]
    fn exempt_sources_are_so_for_every_service_of_the_port() {
        let told = all(
            &sharing(&[SHADOW, ENFORCE, OFF]),
            "[2001:db8:f::1]:5",
            "[2001:db8:9::1]:8080",
        );
        assert_eq!(told.len(), 3);
        assert!(
            told.iter()
                .all(|(_, finding, outcome)| (*finding, *outcome) == ("exempt", "allowed"))
        );
    }

    #[test]
    fn an_address_of_a_service_opens_no_port_of_another() {
        // Services 0 and 1; port 9001 is the second's alone.
        let destination = "[2001:db8:10::1]:9001";
        for (first, expected) in [
            (
                OFF,
                [(Some(1), "outside", "denied"), (Some(0), "unverified", "allowed")],
            ),
            (
                SHADOW,
                [(Some(1), "outside", "denied"), (Some(0), "other_port", "shadow_denied")],
            ),
            (
                ENFORCE,
                [(Some(0), "other_port", "denied"), (Some(1), "outside", "denied")],
            ),
            (
                r#", "policy": {"other_port": "allow"}"#,
                [(Some(1), "outside", "denied"), (Some(0), "other_port", "allowed")],
            ),
        ] {
            assert_eq!(
                all(&sharing(&[first, ENFORCE]), SOURCE, destination),
                expected,
                "{first}"
            );
        }
        let lenient = all(&sharing(&[OFF, SHADOW]), SOURCE, destination);
        assert_eq!(lenient[0], (Some(1), "outside", "shadow_denied"));
        let of_nobody = all(&sharing(&[OFF, ENFORCE]), SOURCE, "[2001:db8:10::1]:1");
        assert_eq!(of_nobody, [(Some(0), "unverified", "allowed")]);
    }

    #[test]
    fn an_address_of_a_service_is_judged_by_that_service_alone_on_its_ports() {
        let told = all(&sharing(&[SHADOW, ENFORCE]), SOURCE, "[2001:db8:10::1]:8080");
        assert_eq!(told, [(Some(0), "violation", "shadow_denied")]);
    }

    #[test]
    fn what_depends_on_objects_is_found_unchecked_with_its_parts() {
        let of = |rule: &str, more: &str| {
            let json = format!(
                r#"{{"role": "inbound", "services": [{{"name": "store", "apl": "2:2001:db8:5::/64", "rules": [{rule}],
                    "ports": [80]{more}}}]}}"#
            );
            let Role::Inbound(inbound) = Config::from_json(json.as_bytes()).unwrap().role else {
                panic!("inbound")
            };
            let decision = inbound.decide(endpoint(SOURCE), endpoint("[2001:db8:5::]:80"), NOW, |_| ());
            let parts = decision
                .finding
                .unchecked()
                .map_or(String::new(), |unchecked| unchecked.to_string());
            (decision.finding.name(), parts, decision.outcome.name())
        };
        let object = r#""v=ssa1; addr=hash(obj):20 const(0):44""#;
        let unchecked = |parts: &str, outcome| ("unchecked", parts.to_owned(), outcome);
        assert_eq!(of(object, ""), unchecked("field_0", "allowed"));
        for (rule, parts) in [
            (
                r#""v=ssa1; addr=hash(obj,chunk):20 hash(src/64,obj):44""#,
                "field_0, field_1",
            ),
            (r#""v=ssa1; addr=hash(chunk):20 rand:44""#, "field_0"),
            (r#""v=ssa1; addr=obj[80:128] rand:16""#, "field_0"),
            (r#""v=ssa1; addr=rand:64; item=hash(obj)""#, "item"),
        ] {
            assert_eq!(of(rule, ""), unchecked(parts, "allowed"), "{rule}");
        }
        assert_eq!(of(object, r#", "policy": {"unchecked": "demote"}"#).2, "demoted");
        assert_eq!(of(object, r#", "policy": {"unchecked": "deny"}"#).2, "denied");
        assert_eq!(
            of(object, r#", "mode": "shadow", "policy": {"unchecked": "deny"}"#).2,
            "shadow_denied"
        );
        // What is checked and fails is a violation, whatever else is not checked.
        assert_eq!(of(r#""v=ssa1; addr=hash(obj):20 const(1):44""#, "").0, "violation");
        // A rule that is checked whole comes before one that is not.
        let both = format!(r#"{object}, "v=ssa1; addr=rand:64; from=1""#);
        assert_eq!(of(&both, "").0, "conforming");
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
