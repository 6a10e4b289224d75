//! Small tools of all tests here.

use ipnet::Ipv6Net;
use ssa_rules::slices::{DomainId, Endpoint, EndpointIdx, Method, Plan, Replicas, SliceBits, SliceSpace, plan_by};

/// Deterministic pseudo-random numbers (xorshift64, Marsaglia 2003).
pub(crate) struct Xorshift(pub(crate) u64);

impl Xorshift {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % bound as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Items that neighbour each other, /64 each.
pub(crate) fn space(items: usize, bits: u8) -> SliceSpace {
    let items: Vec<Ipv6Net> = (0..items)
        .map(|item| format!("2001:db8:0:{item:x}::/64").parse().unwrap())
        .collect();
    SliceSpace::new(&items, SliceBits::new(bits).unwrap()).unwrap()
}

pub(crate) fn replicas(count: u8, bits: u8) -> Replicas {
    Replicas::new(count, bits).unwrap()
}

pub(crate) fn endpoint(weight: u32, domain: Option<u32>) -> Endpoint {
    Endpoint {
        weight,
        domain: domain.map(DomainId::new),
    }
}

/// Endpoints of weight 1, spread over domains in turn unless there are none.
pub(crate) fn alike(count: usize, domains: u32) -> Vec<Endpoint> {
    let domain = |number: usize| (domains > 0).then(|| u32::try_from(number).unwrap() % domains);
    (0..count).map(|number| endpoint(1, domain(number))).collect()
}

pub(crate) fn unassigned(space: &SliceSpace) -> Vec<Option<EndpointIdx>> {
    vec![None; space.count()]
}

pub(crate) fn as_current(plan: &Plan) -> Vec<Option<EndpointIdx>> {
    plan.assignment.iter().copied().map(Some).collect()
}

/// A planning problem, for tests that make many.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) space: SliceSpace,
    pub(crate) replicas: Replicas,
    pub(crate) current: Vec<Option<EndpointIdx>>,
    pub(crate) endpoints: Vec<Endpoint>,
}

impl Case {
    pub(crate) fn plan(&self, method: Method) -> Plan {
        plan_by(method, &self.space, self.replicas, &self.current, &self.endpoints).unwrap()
    }

    /// At most `slices` slices on at most `endpoints` endpoints, drained and removed ones among them.
    pub(crate) fn random(random: &mut Xorshift, slices: usize, endpoints: usize) -> Self {
        let (items, bits) = loop {
            let (items, bits) = (1 + random.below(4), random.below(5));
            if items << bits <= slices {
                break (items, u8::try_from(bits).unwrap());
            }
        };
        let space = space(items, bits);
        let count = 1 + random.below(endpoints);
        let greatest = [1, 1, 3, 9][random.below(4)];
        let domains = random.below(4);
        let mut list: Vec<Endpoint> = Vec::new();
        for _ in 0..count {
            let weight = if random.one_in(6) {
                0
            } else {
                1 + random.below(greatest)
            };
            let domain = (domains > 0 && !random.one_in(8)).then(|| random.below(domains));
            list.push(endpoint(
                u32::try_from(weight).unwrap(),
                domain.map(|domain| u32::try_from(domain).unwrap()),
            ));
        }
        if list.iter().all(|endpoint| endpoint.weight == 0) {
            list[0].weight = 1;
        }
        // Some current holders are past the list: removed.
        let holders = count + random.below(2);
        let assigned = [0, 1, 3, 12][random.below(4)];
        let current = (0..space.count())
            .map(|_| {
                (random.below(12) < assigned).then(|| EndpointIdx::new(u32::try_from(random.below(holders)).unwrap()))
            })
            .collect();
        let field = 1 + random.below(6);
        let replicas = replicas(u8::try_from(1 + random.below(4)).unwrap(), u8::try_from(field).unwrap());
        Self {
            space,
            replicas,
            current,
            endpoints: list,
        }
    }
}
