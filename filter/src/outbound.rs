//! Outbound: where a connection really goes.

use core::net::Ipv6Addr;

use ssa_rules::{Class, ComposeError, Destination, ItemSet, Port, Progress, Request, Source, UnixTime};

use crate::{config::Service, endpoint::Endpoint, random::Draw};

/// The most addresses tried for a proof of work while the connection waits: some milliseconds.
const MAX_TRIES: u32 = 1 << 17;

/// What an outbound filter knows.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// The services.
    pub services: Vec<OutboundService>,
    /// The source that upstream connections really use: the cluster binds to it.
    pub source: Ipv6Addr,
    /// Makes the random bits of this node its own.
    pub seed: Vec<u8>,
    /// How many draws of random fields are in use at once.
    pub pool: u16,
}

/// A service as its clients know it.
#[derive(Clone, Debug)]
pub struct OutboundService {
    /// Its name and rules.
    pub service: Service,
    /// The plain addresses that stand for it: its AAAA records.
    pub addresses: Vec<Ipv6Addr>,
    /// The ports that are rewritten; none means every port.
    pub ports: Vec<u16>,
    /// The port to connect to instead, if another.
    pub port: Option<u16>,
}

impl AsRef<Service> for OutboundService {
    fn as_ref(&self) -> &Service {
        &self.service
    }
}

/// What became of a connection. The names are labels of metrics and fields of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its destination was composed anew.
    Composed,
    /// It goes to an address of the service already: the application knows SSA.
    Own,
    /// It concerns no service.
    Untouched,
    /// The service has no rule in force: it goes where the application wanted.
    NoRule,
    /// No address could be composed: it goes where the application wanted.
    Failed,
    /// The proxy did not say what the connection is, or did not take the new destination.
    Unreadable,
}

impl Outcome {
    /// How many outcomes there are.
    pub const COUNT: usize = 6;

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
        }
    }
}

/// A decision on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The number of the service that it concerns, if any.
    pub service: Option<usize>,
    /// What is to become of it.
    pub outcome: Outcome,
    /// Where it goes, if elsewhere.
    pub destination: Option<Endpoint>,
    /// Why no address could be composed.
    pub error: Option<ComposeError>,
}

impl Decision {
    const fn plain(service: Option<usize>, outcome: Outcome) -> Self {
        Self {
            service,
            outcome,
            destination: None,
            error: None,
        }
    }

    /// A decision on a connection that the proxy says too little of: it goes where the application wanted.
    pub const UNREADABLE: Self = Self::plain(None, Outcome::Unreadable);
}

impl Outbound {
    /// Decides on a connection to a destination. `draw` gives the random bits.
    #[must_use]
    pub fn decide(&self, destination: Endpoint, now: UnixTime, draw: Draw) -> Decision {
        let wanted = |service: &OutboundService| {
            service.addresses.contains(&destination.address)
                && (service.ports.is_empty() || service.ports.contains(&destination.port))
        };
        let mut services = self.services.iter().enumerate();
        if let Some((index, service)) = services.find(|(_, service)| wanted(service)) {
            let port = service.port.unwrap_or(destination.port);
            return match self.compose(service, port, now, draw) {
                Ok(Some(address)) => Decision {
                    destination: Some(Endpoint {
                        address: address.0,
                        port,
                    }),
                    ..Decision::plain(Some(index), Outcome::Composed)
                },
                Ok(None) => Decision::plain(Some(index), Outcome::NoRule),
                Err(error) => Decision {
                    error: Some(error),
                    ..Decision::plain(Some(index), Outcome::Failed)
                },
            };
        }
        let own = |service: &OutboundService| matches!(service.service.class(destination.address), Class::Service(_));
        match self.services.iter().position(own) {
            Some(index) => Decision::plain(Some(index), Outcome::Own),
            None => Decision::plain(None, Outcome::Untouched),
        }
    }

    fn compose(
        &self,
        service: &OutboundService,
        port: u16,
        now: UnixTime,
        mut draw: Draw,
    ) -> Result<Option<Destination>, ComposeError> {
        let Some(rule) = service.service.rules.client_rule(now) else {
            return Ok(None);
        };
        let mut random = || draw.bits();
        let mut request = Request::new(Source(self.source));
        request.port = Some(Port(port));
        request.time = Some(now);
        let count = u64::from(rule.replicas());
        request.replica.0 = u8::try_from(random().checked_rem(count).unwrap_or(0)).unwrap_or(0);
        let mut search = rule.search(&request, ItemSet::EMPTY, &mut random)?;
        match rule.advance(&mut search, &request, MAX_TRIES, &mut random)? {
            Progress::Found(address) => Ok(Some(address)),
            Progress::More => Err(ComposeError::PowExhausted { tries: search.tries() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ssa_rules::{Flow, Verdict};

    use super::*;
    use crate::{
        config::Config,
        random::{Pool, Random},
    };

    const NOW: UnixTime = UnixTime(1_790_000_000);

    fn outbound(rule: &str, extra: &str) -> Outbound {
        let json = format!(
            r#"{{"role": "outbound", "source": "2001:db8:77:1::7", "services": [{{"name": "web",
                "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["{rule}"],
                "addresses": ["2001:db8:6::1"]{extra}}}]}}"#
        );
        match Config::from_json(json.as_bytes()) {
            Ok(Config::Outbound(outbound)) => outbound,
            other => panic!("{other:?}"),
        }
    }

    fn decide(outbound: &Outbound, destination: &str, slot: u64) -> Decision {
        let pool = Pool::new(outbound.pool, &mut Random::new(b"s", 1, 1));
        outbound.decide(
            Endpoint::parse(destination.as_bytes()).unwrap(),
            NOW,
            pool.draw(slot, NOW),
        )
    }

    #[test]
    fn published_addresses_are_composed_and_conform() {
        for rule in [
            "v=ssa1; addr=rand:64",
            "v=ssa1; addr=src[0:64]",
            "v=ssa1; addr=hash(src/128):20 rand:44",
            "v=ssa1; addr=hash(src/128,port):20 rand:44; replicas=4",
            "v=ssa1; addr=hash(src/128):20 rand:44; pow=8",
        ] {
            let outbound = outbound(rule, "");
            for slot in 0..50 {
                let decision = decide(&outbound, "[2001:db8:6::1]:80", slot);
                assert_eq!(
                    (decision.service, decision.outcome),
                    (Some(0), Outcome::Composed),
                    "{rule}"
                );
                let destination = decision.destination.unwrap();
                assert_eq!(destination.port, 80);
                let mut flow = Flow::new(Source(outbound.source), Destination(destination.address), NOW);
                flow.port = Some(Port(80));
                let judgement = outbound.services[0].service.rules.verify(&flow).unwrap();
                assert!(
                    matches!(judgement.verdict, Verdict::Conforming(_)),
                    "{rule}: {}",
                    judgement.verdict
                );
            }
        }
    }

    /// Returns the addresses that so many slots give a connection.
    fn addresses(outbound: &Outbound, slots: u64) -> BTreeSet<Ipv6Addr> {
        let address = |slot| {
            decide(outbound, "[2001:db8:6::1]:80", slot)
                .destination
                .unwrap()
                .address
        };
        (0..slots).map(address).collect()
    }

    #[test]
    fn addresses_in_use_are_as_many_as_the_pool() {
        let outbound = outbound("v=ssa1; addr=rand:64", "");
        assert_eq!(addresses(&outbound, 5_000).len(), 256);
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
            let decision = decide(&outbound, destination, 1);
            assert_eq!(
                (decision.service, decision.outcome),
                (service, outcome),
                "{destination}"
            );
            assert_eq!(decision.destination, None);
        }
    }

    #[test]
    fn port_can_be_another() {
        let outbound = outbound("v=ssa1; addr=rand:64", r#", "port": 8080"#);
        assert_eq!(
            decide(&outbound, "[2001:db8:6::1]:80", 1).destination.unwrap().port,
            8080
        );
    }

    #[test]
    fn what_cannot_be_composed_goes_where_the_application_wanted() {
        let later = outbound("v=ssa1; addr=rand:64; from=1800000000", "");
        assert_eq!(decide(&later, "[2001:db8:6::1]:80", 1).outcome, Outcome::NoRule);
        let object = outbound("v=ssa1; addr=hash(obj):20 const(0):44", "");
        let decision = decide(&object, "[2001:db8:6::1]:80", 1);
        assert_eq!(decision.outcome, Outcome::Failed);
        assert_eq!(
            decision.error.unwrap().to_string(),
            "the record needs inputs that are not given: object key"
        );
        let work = outbound("v=ssa1; addr=rand:64; pow=24", "");
        assert_eq!(decide(&work, "[2001:db8:6::1]:80", 1).outcome, Outcome::Failed);
    }
}
