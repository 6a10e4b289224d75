//! What there is at a moment: small values, for there are many worlds.

use ipnet::Ipv6Net;
use ssa_slices::handover::Phase;

/// Endpoints, routers, handovers and probed addresses at most.
pub(crate) const ENDPOINTS: usize = 4;
/// The first is late; the second hears everything at once.
pub(crate) const ROUTERS: usize = 2;
pub(crate) const HANDOVERS: usize = 3;
pub(crate) const PROBES: usize = 3;
pub(crate) const NAMES: [&str; ENDPOINTS] = ["a", "b", "s", "c"];

/// A set of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Set(u8);

impl Set {
    pub(crate) fn has(self, one: usize) -> bool {
        self.0 >> one & 1 == 1
    }

    pub(crate) fn put(&mut self, one: usize, there: bool) {
        self.0 = self.0 & !(1 << one) | u8::from(there) << one;
    }

    pub(crate) fn with(mut self, one: usize, there: bool) -> Self {
        self.put(one, there);
        self
    }
}

/// What a kernel does with packets to one of the probed addresses.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what may be true of an address, each for itself"
)]
pub(crate) struct Ways {
    /// The length of the prefix and the metric, as routers compare them.
    pub(crate) announced: Option<(u8, u32)>,
    pub(crate) outgoing: Option<usize>,
    pub(crate) incoming: Option<usize>,
    pub(crate) local: bool,
    /// New flows are taken by the lease, and of those from the network or out of a tunnel.
    pub(crate) fenced: bool,
    pub(crate) direct: bool,
    pub(crate) tunnelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what may be true of a host, each for itself"
)]
pub(crate) struct Endpoint {
    pub(crate) up: bool,
    pub(crate) agent: bool,
    /// With exclusive ownership: its kernel takes new flows. It forgets that in time, unless the agent renews the lease.
    pub(crate) permitted: bool,
    /// Who holds its lease, by the store.
    pub(crate) lease: Holder,
    pub(crate) map: u8,
    pub(crate) handovers: [Option<Stated>; HANDOVERS],
    pub(crate) lost: Set,
    pub(crate) taken_by: Set,
    /// Numbers what it has taken over.
    pub(crate) taken: u8,
    /// What its kernel holds. It stays when the agent dies, and goes when the host does.
    pub(crate) kernel: u16,
    /// It lost its kernel.
    pub(crate) rejoined: bool,
    /// By router and probed address, whether it has flows.
    pub(crate) flows: [Set; ROUTERS],
}

/// Who holds the lease of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Its kernel, whoever runs there as its agent.
    Itself,
    /// A kernel that is gone: what reports for the endpoint now is another one, and does not hold it.
    Former,
    /// The leader.
    Leader,
}

/// A handover, as far as it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stated {
    pub(crate) epoch: u8,
    pub(crate) phase: Phase,
    pub(crate) from: Option<u8>,
    pub(crate) to: u8,
    pub(crate) prefix: Ipv6Net,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) endpoints: [Endpoint; ENDPOINTS],
    pub(crate) map: u8,
    pub(crate) handovers: [Option<Stated>; HANDOVERS],
    pub(crate) cancelled: bool,
    pub(crate) leader_lost: Set,
    /// The kernels that the late router has heard from.
    pub(crate) heard: [Option<u16>; ENDPOINTS],
    /// The time for draining is over, and flows may be cut.
    pub(crate) expired: bool,
    pub(crate) epoch: u8,
    pub(crate) budget: Budget,
}

/// How often the network may do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    pub(crate) host_crashes: u8,
    pub(crate) agent_crashes: u8,
    pub(crate) false_alarms: u8,
    pub(crate) cancels: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Leader(usize),
    TakeOver(usize),
    LeaderLoses(usize),
    LeaderFinds(usize),
    /// The leader takes the lease of an endpoint, which by then accepts nothing: `lease.rs` shows that.
    LeaderTakes(usize),
    LeaderGives(usize),
    /// The leader begins a handover of what a lost owner has, where no standby takes over by itself.
    FailsOver(usize),
    SeesMap(usize),
    SeesHandover(usize, usize),
    RouterHears(usize),
    FlowsEnd(usize),
    DrainExpires,
    HostDies(usize),
    HostReturns(usize),
    AgentDies(usize),
    AgentReturns(usize),
    Expires(usize),
    Renews(usize),
    Loses(usize, usize),
    Finds(usize, usize),
    HearsOfTakeover(usize, usize),
    Cancel,
    /// The leader has what drains go on to another endpoint.
    GoesOn,
    /// The leader gives each owned prefix a standby of its own, once owners and routers know the pieces.
    Tidy,
}

/// Where a packet came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Delivered(usize),
    /// A new flow was refused, as exclusive ownership asks.
    Refused,
    /// It came to a host that is down.
    AtDeadHost,
    /// A router knew no way.
    NoRoute,
    /// An endpoint does not have the address.
    NotLocal(usize),
    /// A packet of a flow came to an endpoint that does not know it.
    Reset(usize),
}
