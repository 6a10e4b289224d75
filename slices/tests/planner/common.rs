//! Small tools of all tests here.

use ipnet::Ipv6Net;
use ssa_slices::{DomainId, Endpoint, EndpointId, Method, Plan, Replicas, SliceBits, SliceSpace, plan_by};
use ssa_testing::Draw;

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

pub(crate) fn unassigned(space: &SliceSpace) -> Vec<Option<EndpointId>> {
    vec![None; space.count()]
}

pub(crate) fn as_current(plan: &Plan) -> Vec<Option<EndpointId>> {
    plan.assignment.iter().copied().map(Some).collect()
}

/// A planning problem, for tests that make many.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) space: SliceSpace,
    pub(crate) replicas: Replicas,
    pub(crate) current: Vec<Option<EndpointId>>,
    pub(crate) endpoints: Vec<Endpoint>,
}

impl Case {
    pub(crate) fn plan(&self, method: Method) -> Plan {
        plan_by(method, &self.space, self.replicas, &self.current, &self.endpoints).unwrap()
    }

    /// At most `slices` slices on at most `endpoints` endpoints, drained and removed ones among them.
    pub(crate) fn random(random: &mut Draw, slices: usize, endpoints: usize) -> Self {
        let (items, bits) = loop {
            let (items, bits) = (1 + random.index(4), random.index(5));
            if items << bits <= slices {
                break (items, u8::try_from(bits).unwrap());
            }
        };
        let space = space(items, bits);
        let count = 1 + random.index(endpoints);
        let greatest = [1, 1, 3, 9][random.index(4)];
        let domains = random.index(4);
        let mut list: Vec<Endpoint> = Vec::new();
        for _ in 0..count {
            let weight = if random.one_in(6) {
                0
            } else {
                1 + random.index(greatest)
            };
            let domain = (domains > 0 && !random.one_in(8)).then(|| random.index(domains));
            list.push(endpoint(
                u32::try_from(weight).unwrap(),
                domain.map(|domain| u32::try_from(domain).unwrap()),
            ));
        }
        if list.iter().all(|endpoint| endpoint.weight == 0) {
            list[0].weight = 1;
        }
        // Some current holders are past the list: removed.
        let holders = count + random.index(2);
        let assigned = [0, 1, 3, 12][random.index(4)];
        let current = (0..space.count())
            .map(|_| {
                (random.index(12) < assigned).then(|| EndpointId::new(u32::try_from(random.index(holders)).unwrap()))
            })
            .collect();
        let field = 1 + random.index(6);
        let replicas = replicas(u8::try_from(1 + random.index(4)).unwrap(), u8::try_from(field).unwrap());
        Self {
            space,
            replicas,
            current,
            endpoints: list,
        }
    }

    /// Up to 3 times 2^`bits` slices that change over to `least` to `most` endpoints from as many, most of them kept.
    ///
    /// They lie as arcs, in turn or anyhow, a few of them out of place or with nobody.
    pub(crate) fn changing(random: &mut Draw, bits: usize, least: usize, most: usize) -> Self {
        let bits = u8::try_from(4 + random.index(bits - 3)).unwrap();
        let space = space(1 + random.index(3), bits);
        let before = least + random.index(most - least);
        let after = match random.index(4) {
            0 => before,
            1 => before + 1 + random.index(3),
            2 => before.saturating_sub(1 + random.index(3)).max(1),
            _ => least + random.index(most - least),
        };
        let domains = [0, 0, 2, 3, 5, 8][random.index(6)];
        let greatest = [1, 1, 1, 4][random.index(4)];
        let number = |number: usize| u32::try_from(number).unwrap();
        let mut endpoints = Vec::new();
        for place in 0..after {
            let drained = random.one_in(20) && place > 0;
            let weight = if drained { 0 } else { 1 + random.index(greatest) };
            let domain = if random.one_in(10) {
                random.index(domains.max(1))
            } else {
                place % domains.max(1)
            };
            endpoints.push(endpoint(number(weight), (domains > 0).then(|| number(domain))));
        }
        let slices = space.count();
        let (layout, noise) = (random.index(4), [1 << 20, 1 << 20, 50, 8][random.index(4)]);
        let current = (0..slices).map(|slice| {
            let place = match layout {
                0 => slice * before / slices,
                1 => slice % before,
                2 => (slice / 4) % before,
                _ => random.index(before),
            };
            let elsewhere = random.index(before);
            let holder = if random.one_in(noise) { elsewhere } else { place };
            (!random.one_in(noise)).then(|| EndpointId::new(number(holder)))
        });
        Self {
            current: current.collect(),
            space,
            replicas: replicas(
                u8::try_from(1 + random.index(5)).unwrap(),
                [20, 20, 3, 6][random.index(4)],
            ),
            endpoints,
        }
    }

    /// Makes a problem of a kind, for a seed always the same.
    pub(crate) fn numbered(kind: Kind, seed: u64) -> Self {
        let mut random = Draw::seeded(seed);
        let random = &mut random;
        match kind {
            Kind::Tiny => Self::random(random, 8, 4),
            Kind::Twelve => Self::random(random, 12, 8),
            Kind::Small => Self::random(random, 64, 12),
            Kind::Changing => Self::changing(random, 6, 3, 20),
            Kind::Large => Self::changing(random, 10, 60, 130),
        }
    }
}

/// Kinds of random problems.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// At most 8 slices on 4 endpoints.
    Tiny,
    /// At most 12 slices on 8 endpoints, which are all tried.
    Twelve,
    /// At most 64 slices on 12 endpoints.
    Small,
    /// [`Case::changing`], on up to 20 endpoints.
    Changing,
    /// The same on 60 to 130.
    Large,
}
