//! Outbound: where a connection really goes.

use core::net::Ipv6Addr;

use ssa_rules::{
    Choice, Chosen, ComposeError, Connection, ItemSource, Limits, Membership, Port, RandomBits, Sources, UnixTime,
    ValidFrom, choice,
};

use ssa_snapshot::plugin::Requests;

use crate::{
    compose_failure::ComposeFailure,
    endpoint::Endpoint,
    index::{self, Index},
    outliers::{Outliers, ServiceCandidate},
    random::{Draw, Share},
    service::Service,
    table::Table,
};

/// The services and settings of an outbound filter.
#[derive(Clone, Debug)]
pub struct Outbound {
    services: Table<OutboundService>,
    /// The service of each plain address.
    addresses: Index,
    /// Whether the kill switch is on: nothing is composed.
    off: bool,
    /// The source of upstream connections to items without their own: the cluster binds to it.
    source: Option<Ipv6Addr>,
    /// Makes this node's random bits distinct.
    seed: Vec<u8>,
    /// How many draws of random fields are in use at once.
    pool: u16,
    /// The limits on what records may ask for.
    limits: Limits,
    /// How requests are sent.
    requests: Requests,
}

/// A service as its clients know it, prepared from [`ssa_snapshot::OutboundService`]: its records are compiled.
#[derive(Clone, Debug)]
pub struct OutboundService {
    /// Its name and rules.
    pub service: Service,
    /// Its plain addresses: its AAAA records.
    pub addresses: Vec<Ipv6Addr>,
    /// The ports that are rewritten; if empty, all ports.
    pub ports: Vec<u16>,
    /// The port to connect to instead of the one dialled.
    pub port: Option<u16>,
    /// The source of upstream connections to each item that has its own, in the form that rules take.
    pub sources: Vec<ItemSource>,
}

impl AsRef<Service> for OutboundService {
    fn as_ref(&self) -> &Service {
        &self.service
    }
}

/// The outcome of a connection. The names are labels of metrics and fields of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes to a composed address.
    Composed,
    /// It goes to an address of the service already: the application knows SSA.
    Own,
    /// It concerns no service.
    Untouched,
    /// The service has no rule in force: it goes as dialled.
    NoRule,
    /// No address could be composed: it goes as dialled.
    Failed,
    /// The proxy did not say what the connection is, or did not accept the new destination.
    Unreadable,
    /// All services are off: it goes as dialled.
    Off,
    /// There is no snapshot yet: it goes as dialled.
    NoSnapshot,
    /// There is no snapshot yet: it was closed.
    Refused,
    /// A request whose object key or chunk was not found: it goes as dialled, or is answered 421.
    NoObject,
}

impl Outcome {
    /// How many outcomes there are.
    pub const COUNT: usize = 10;

    /// Returns the outcome's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Composed => "composed",
            Self::Own => "own",
            Self::Untouched => "untouched",
            Self::NoRule => "no_rule",
            Self::Failed => "failed",
            Self::Unreadable => "unreadable",
            Self::Off => "off",
            Self::NoSnapshot => "no_snapshot",
            Self::Refused => "refused",
            Self::NoObject => "no_object",
        }
    }

    /// Returns the outcome's number, below [`Outcome::COUNT`].
    #[must_use]
    pub const fn number(self) -> usize {
        match self {
            Self::Composed => 0,
            Self::Own => 1,
            Self::Untouched => 2,
            Self::NoRule => 3,
            Self::Failed => 4,
            Self::Unreadable => 5,
            Self::Off => 6,
            Self::NoSnapshot => 7,
            Self::Refused => 8,
            Self::NoObject => 9,
        }
    }
}

/// What a destination leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// An address of this service is to be composed, for this port.
    Service(usize, u16),
    /// The connection goes as dialled.
    Plain(Option<usize>, Outcome),
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address, and how it was chosen.
    pub place: ServiceCandidate,
    /// The port.
    pub port: u16,
    /// The source that the address was composed for.
    pub source: Ipv6Addr,
}

impl Target {
    /// Returns the address and port to connect to.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.place.candidate.address.0,
            port: self.port,
        }
    }

    fn new(service: usize, port: u16, Chosen { candidate, source }: Chosen) -> Self {
        Self {
            place: ServiceCandidate { service, candidate },
            port,
            source,
        }
    }
}

/// A decision on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to a composed address.
    Composed(Target),
    /// It goes as dialled, or is closed.
    Plain(Option<usize>, Outcome),
    /// It goes as dialled, for no address of this service could be composed.
    Failed(usize, ComposeFailure),
}

impl Decision {
    /// A decision on a connection for which no snapshot arrived in time.
    #[must_use]
    pub const fn without_snapshot(failure_mode_allow: bool) -> Self {
        let outcome = if failure_mode_allow {
            Outcome::NoSnapshot
        } else {
            Outcome::Refused
        };
        Self::Plain(None, outcome)
    }

    /// Returns the number of the service that it concerns, if any.
    #[must_use]
    pub const fn service(&self) -> Option<usize> {
        match self {
            Self::Composed(target) => Some(target.place.service),
            Self::Plain(service, _) => *service,
            Self::Failed(service, _) => Some(*service),
        }
    }

    /// Returns the outcome, provided that the proxy does what is decided.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Composed(_) => Outcome::Composed,
            Self::Plain(_, outcome) => *outcome,
            Self::Failed(..) => Outcome::Failed,
        }
    }
}

/// A search for a proof of work: an address that lacks it.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// The service's number.
    pub service: usize,
    /// The port.
    pub port: u16,
    /// When it began: the address is for this minute.
    pub began: UnixTime,
    rule: ValidFrom,
    choice: choice::Work,
    draw: Draw,
}

/// The result of composing.
#[derive(Clone, Debug)]
pub enum Composed {
    /// The target.
    Target(Target),
    /// A proof of work has to be found.
    Work(Box<Work>),
}

impl Outbound {
    /// Makes a filter of services and settings.
    #[must_use]
    pub fn new(
        services: Table<OutboundService>,
        source: Option<Ipv6Addr>,
        seed: Vec<u8>,
        pool: u16,
        limits: Limits,
    ) -> Self {
        let mut outbound = Self {
            services: Table::default(),
            addresses: Index::default(),
            off: false,
            source,
            seed,
            pool,
            limits,
            requests: Requests::default(),
        };
        outbound.install(services, false);
        outbound
    }

    /// Says how requests are sent.
    #[must_use]
    pub fn sending(self, requests: Requests) -> Self {
        Self { requests, ..self }
    }

    /// Replaces the services; with `off`, every connection goes as dialled.
    pub fn install(&mut self, services: Table<OutboundService>, off: bool) {
        let addresses = |(number, service): (usize, &OutboundService)| {
            let number = index::number(number);
            let addresses = service.addresses.iter();
            let addresses: Vec<_> = addresses.map(|address| (u128::from(*address), number)).collect();
            addresses
        };
        self.addresses = Index::new(services.services().iter().enumerate().flat_map(addresses));
        self.services = services;
        self.off = off;
    }

    /// Returns the services.
    #[must_use]
    pub const fn services(&self) -> &Table<OutboundService> {
        &self.services
    }

    /// Returns the seed that makes this node's random bits distinct.
    #[must_use]
    pub fn seed(&self) -> &[u8] {
        &self.seed
    }

    /// Returns how many draws of random fields are in use at once.
    #[must_use]
    pub const fn pool(&self) -> u16 {
        self.pool
    }

    /// Returns the limits on what records may ask for.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns what a destination leads to.
    #[must_use]
    pub fn route(&self, destination: Endpoint) -> Route {
        if let Some((number, service)) = self.service_of(destination) {
            if self.off {
                return Route::Plain(Some(number), Outcome::Off);
            }
            return Route::Service(number, service.port.unwrap_or(destination.port));
        }
        match self.services.owner(destination.address) {
            Some((number, service))
                if matches!(service.service.membership(destination.address), Membership::Service(_)) =>
            {
                Route::Plain(Some(number), Outcome::Own)
            }
            _ => Route::Plain(None, Outcome::Untouched),
        }
    }

    /// Returns the service with this plain address and port.
    fn service_of(&self, destination: Endpoint) -> Option<(usize, &OutboundService)> {
        let number = index::service(self.addresses.get(destination.address.into())?);
        let service = self.services.services().get(number)?;
        let rewritten = service.ports.is_empty() || service.ports.contains(&destination.port);
        rewritten.then_some((number, service))
    }

    /// Composes an address of a service; nothing if it has no rule in force. `draw` returns random bits, different ones at
    /// each call, given how many draws are useful and the rule's time step. Candidates that failed recently are avoided
    /// where the rule leaves another choice.
    ///
    /// # Errors
    ///
    /// Why no address can be composed.
    pub fn compose(
        &self,
        number: usize,
        port: u16,
        now: UnixTime,
        failures: &Outliers,
        mut draw: impl FnMut(Share, Option<u32>) -> Draw,
    ) -> Result<Option<Composed>, ComposeFailure> {
        let Some(service) = self.services.services().get(number) else {
            return Ok(None);
        };
        let Some(rule) = service.service.rules.client_rule(now) else {
            return Ok(None);
        };
        self.limits.check(rule)?;
        let share = if rule.spreads_at_random() {
            Share::All
        } else {
            Share::Few
        };
        let mut next = || draw(share, rule.time_step());
        let mut draws = Draws { draw: next(), next };
        let sources = Sources {
            by_item: &service.sources,
            default: self.source,
        };
        let failed = failures.of(number, now).map(|place| place.candidate);
        let choice = rule.choose(&connection(port, now), &sources, &failed, &mut draws)?;
        Ok(Some(match choice {
            Choice::Chosen(chosen) => Composed::Target(Target::new(number, port, chosen)),
            Choice::Work(work) => Composed::Work(Box::new(Work {
                service: number,
                port,
                began: now,
                rule: rule.from(),
                choice: work,
                draw: draws.draw,
            })),
        }))
    }

    /// Continues a search for at most `tries` addresses; nothing until it succeeds.
    ///
    /// # Errors
    ///
    /// Why no address can be composed.
    pub fn advance(&self, work: &mut Work, tries: u32) -> Result<Option<Target>, ComposeError> {
        let service = self.services.services().get(work.service);
        let rules = service.map_or(&[][..], |service| service.service.rules.rules());
        let Some(rule) = rules.iter().find(|rule| rule.from() == work.rule) else {
            return Err(ComposeError::Corrupt);
        };
        let connection = connection(work.port, work.began);
        let chosen = rule.resume(&mut work.choice, &connection, tries, &mut || work.draw.bits())?;
        Ok(chosen.map(|chosen| Target::new(work.service, work.port, chosen)))
    }
}

/// The draws for the choice of one address.
struct Draws<F> {
    draw: Draw,
    next: F,
}

impl<F: FnMut() -> Draw> RandomBits for Draws<F> {
    fn bits(&mut self) -> u64 {
        self.draw.bits()
    }

    fn redraw(&mut self) {
        self.draw = (self.next)();
    }
}

fn connection(port: u16, now: UnixTime) -> Connection<'static> {
    Connection {
        port: Some(Port(port)),
        time: Some(now),
        ..Connection::default()
    }
}

mod request;

pub use request::{HandedOver, Plan, Planned};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ssa_rules::{Flow, LimitError, Source, Verdict};

    use super::*;
    use crate::{
        config::{Config, RoleConfig},
        random::{Pool, Random},
    };

    const NOW: UnixTime = UnixTime(1_790_000_000);

    fn outbound(rule: &str, extra: &str) -> Outbound {
        let json = format!(
            r#"{{"role": "outbound", "source": "2001:db8:77:1::7", "services": [{{"name": "web",
                "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["{rule}"],
                "addresses": ["2001:db8:6::1"]{extra}}}]}}"#
        );
        read(&json)
    }

    fn read(json: &str) -> Outbound {
        match Config::from_json(json.as_bytes()).unwrap().role {
            RoleConfig::Outbound(outbound) => outbound,
            RoleConfig::Inbound(_) => panic!("outbound"),
        }
    }

    fn route(outbound: &Outbound, destination: &str) -> Route {
        outbound.route(Endpoint::parse(destination.as_bytes()).unwrap())
    }

    /// Composes for port 80 with the draws from a slot on, and works to the end.
    fn target(outbound: &Outbound, slot: u64, failures: &Outliers) -> Result<Option<Target>, ComposeFailure> {
        let pool = Pool::new(outbound.pool, &mut Random::new(b"s", 1, 1));
        let mut slots = slot..;
        let draw = |share, step| pool.for_step(step).draw(slots.next().unwrap(), share, NOW);
        match outbound.compose(0, 80, NOW, failures, draw)? {
            None => Ok(None),
            Some(Composed::Target(target)) => Ok(Some(target)),
            Some(Composed::Work(mut work)) => Ok(outbound.advance(&mut work, u32::MAX)?),
        }
    }

    fn composed(outbound: &Outbound, slot: u64, failures: &Outliers) -> Target {
        target(outbound, slot, failures).unwrap().unwrap()
    }

    /// Returns the addresses that so many slots give.
    fn addresses(outbound: &Outbound, slots: u64) -> BTreeSet<Ipv6Addr> {
        (0..slots)
            .map(|slot| composed(outbound, slot, &Outliers::default()).place.candidate.address.0)
            .collect()
    }

    #[test]
    fn published_addresses_are_composed_and_conform() {
        for rule in [
            "v=ssa1; addr=rand:64",
            "v=ssa1; addr=src[0:64]",
            "v=ssa1; addr=hash(src/128):20 rand:44",
            "v=ssa1; addr=hash(src/128,port):20 rand:44; replicas=4",
            "v=ssa1; addr=hash(src/128,time/30):20 rand:44",
            "v=ssa1; addr=hash(src/128):20 rand:44; pow=8",
        ] {
            let outbound = outbound(rule, "");
            assert_eq!(route(&outbound, "[2001:db8:6::1]:80"), Route::Service(0, 80));
            for slot in 0..50 {
                let target = composed(&outbound, slot, &Outliers::default());
                let mut flow = Flow::new(Source(target.source), target.place.candidate.address, NOW);
                flow.port = Some(Port(80));
                let rules = &outbound.services.services()[0].service.rules;
                let judgement = rules.verify(&flow).unwrap();
                assert!(
                    matches!(judgement.verdict, Verdict::Conforming(_)),
                    "{rule}: {}",
                    judgement.verdict
                );
            }
        }
    }

    #[test]
    fn addresses_in_use_are_as_many_as_the_pool() {
        let outbound = outbound("v=ssa1; addr=rand:64", "");
        assert_eq!(addresses(&outbound, 5_000).len(), 256);
        // With each second all are others: the fewer they are.
        let hasty = super::tests::outbound("v=ssa1; addr=hash(src/128,time/1):20 rand:44", "");
        assert_eq!(addresses(&hasty, 5_000).len(), 8);
    }

    #[test]
    fn addresses_in_use_are_few_where_draws_choose_no_place() {
        for (rule, few) in [
            ("hash(src/128):20 rand:44", true),
            ("const(1):4 hash(src/128):16 rand:44", true),
            ("hash(src/128):20 rand:44; item=hash(src/64)", true),
            ("hash(src/128):15 rand:49", false),
            ("const(1):20 rand:44", false),
            ("rand:20 hash(src/128):44", false),
            ("hash(src/128):20 rand:44; replicas=2", false),
        ] {
            let outbound = outbound(&format!("v=ssa1; addr={rule}"), "");
            let count = if few { 16 } else { 256 };
            assert_eq!(addresses(&outbound, 5_000).len(), count, "{rule}");
        }
        // Of two items a draw chooses one.
        for (rule, count) in [
            ("hash(src/128):20 rand:44; item=rand", 256),
            ("hash(src/128):20 rand:44; item=hash(src/128)", 16),
        ] {
            let outbound = read(&ITEMS.replace("RULE", rule));
            assert_eq!(addresses(&outbound, 5_000).len(), count, "{rule}");
        }
    }

    #[test]
    fn replicas_are_all_used() {
        let outbound = outbound("v=ssa1; addr=hash(src/128):20 const(0):44; replicas=4", "");
        assert_eq!(addresses(&outbound, 256).len(), 4);
    }

    #[test]
    fn applications_that_know_ssa_and_all_else_pass_untouched() {
        let outbound = outbound("v=ssa1; addr=rand:64", r#", "ports": [80]"#);
        for (destination, service, outcome) in [
            ("[2001:db8:5::9]:80", Some(0), Outcome::Own),
            ("[2001:db8:6::2]:80", None, Outcome::Untouched),
            ("[2001:db8:6::1]:81", None, Outcome::Untouched),
            ("[2001:db8:7::1]:80", None, Outcome::Untouched),
            ("192.0.2.1:80", None, Outcome::Untouched),
        ] {
            assert_eq!(
                route(&outbound, destination),
                Route::Plain(service, outcome),
                "{destination}"
            );
        }
    }

    #[test]
    fn kill_switch_leaves_connections_as_they_are() {
        let mut outbound = outbound("v=ssa1; addr=rand:64", "");
        let services = outbound.services.clone();
        outbound.install(services, true);
        assert_eq!(
            route(&outbound, "[2001:db8:6::1]:80"),
            Route::Plain(Some(0), Outcome::Off)
        );
    }

    #[test]
    fn port_can_be_another() {
        let outbound = outbound("v=ssa1; addr=rand:64", r#", "port": 8080"#);
        assert_eq!(route(&outbound, "[2001:db8:6::1]:80"), Route::Service(0, 8080));
    }

    #[test]
    fn failures_to_compose_are_reported() {
        let none = Outliers::default();
        let later = outbound("v=ssa1; addr=rand:64; from=1800000000", "");
        assert_eq!(target(&later, 1, &none), Ok(None));
        let object = outbound("v=ssa1; addr=hash(obj):20 const(0):44", "");
        assert_eq!(
            target(&object, 1, &none).unwrap_err().to_string(),
            "the record needs inputs that are not given: object key"
        );
        let toil = outbound("v=ssa1; addr=rand:64; pow=21", "");
        assert_eq!(
            target(&toil, 1, &none),
            Err(ComposeFailure::Limit(LimitError::Pow { pow: 21, max: 20 }))
        );
    }

    const ITEMS: &str = r#"{"role": "outbound", "source": "2001:db8:1::7", "services": [{"name": "web",
        "apl": "2:2001:db8:5::/64 2:fd00:5::/64", "rules": ["v=ssa1; addr=RULE"], "addresses": ["2001:db8:6::1"],
        "sources": [{"item": "fd00:5::/64", "source": "fd00:1::7"}]}]}"#;

    #[test]
    fn each_item_has_its_source() {
        let in_ula = |target: &Target| target.place.candidate.address.0.segments()[0] == 0xfd00;
        let outbound = read(&ITEMS.replace("RULE", "hash(src/128):20 rand:44; item=rand"));
        let targets: Vec<Target> = (0..64)
            .map(|slot| composed(&outbound, slot, &Outliers::default()))
            .collect();
        assert!(targets.iter().any(in_ula) && !targets.iter().all(in_ula));
        for target in &targets {
            let source = if in_ula(target) { "fd00:1::7" } else { "2001:db8:1::7" };
            assert_eq!(target.source, source.parse::<Ipv6Addr>().unwrap());
        }
        // Where the item is a hash of the source, the choice agrees with itself.
        let outbound = read(&ITEMS.replace("RULE", "rand:64; item=hash(src/128)"));
        let target = composed(&outbound, 1, &Outliers::default());
        let flow = Flow::new(Source(target.source), target.place.candidate.address, NOW);
        let judgement = outbound.services.services()[0].service.rules.verify(&flow).unwrap();
        assert!(matches!(judgement.verdict, Verdict::Conforming(_)));
    }

    #[test]
    fn without_any_source_nothing_is_composed() {
        let mut outbound = outbound("v=ssa1; addr=rand:64", "");
        outbound.source = None;
        assert_eq!(
            target(&outbound, 1, &Outliers::default()),
            Err(ComposeFailure::Compose(ComposeError::NoItemLeft))
        );
    }

    #[test]
    fn items_replicas_and_addresses_that_failed_are_passed_over() {
        for (rule, failures_until_all) in [
            ("hash(src/128):20 rand:44; item=rand", 2),
            ("hash(src/128):20 rand:44", 2),
            ("hash(src/128):20 rand:44; replicas=2", 4),
            ("rand:64", 8),
        ] {
            let outbound = read(&ITEMS.replace("RULE", rule));
            let mut failures = Outliers::default();
            let mut met = BTreeSet::new();
            for _ in 0..failures_until_all {
                let place = composed(&outbound, 5, &failures).place;
                let choice = if rule == "rand:64" {
                    format!("{}", place.candidate.address.0)
                } else {
                    format!("{} {}", place.candidate.item.get(), place.candidate.replica)
                };
                assert!(met.insert(choice.clone()), "{rule}: {choice} again");
                failures.add(place, NOW);
            }
            // When all failed there is no better choice than any.
            assert!(target(&outbound, 5, &failures).unwrap().is_some(), "{rule}");
        }
    }
}
