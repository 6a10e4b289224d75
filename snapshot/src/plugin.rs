//! The configuration of the plugin, as given in Envoy's configuration.

use alloc::string::String;

use ssa_rules::{Limits, record::MAX_POW};

use crate::{
    Address, ClusterName, InboundService, List, MAX_SERVICES, MAX_WAIT_S, Number, OutboundService, Port, Prefix,
    RequestPath, Role,
    read::{object, words},
};

/// The maximum proof of work that a record may ask for, in bits; `DEFAULT` if unset.
pub type MaxPow<const DEFAULT: u32> = Number<0, { MAX_POW as u32 }, DEFAULT>;

/// The minimum time step of a record, in seconds; `DEFAULT` if unset.
pub type MinTimeStep<const DEFAULT: u32> = Number<{ Limits::MIN_STEP }, { Limits::MAX_STEP }, DEFAULT>;

object! {
    /// The configuration of a filter that verifies incoming connections.
    pub struct Inbound {
        /// The filter's role: it verifies incoming connections.
        required role: InboundRole,
        /// The type of Envoy filter that runs the module.
        default filter: FilterType,
        /// The services, given in the configuration itself: without secrets, and every record must be usable.
        optional services: Option<List<InboundService, 1, MAX_SERVICES>>,
        /// Where to fetch the services from, instead of `services`.
        optional snapshot: Option<Subscription>,
        /// How many connections each worker thread holds for this plugin, and for how long.
        default hold: Hold,
        /// The cluster for demoted connections with `tcp_proxy` ([HTTP](#demotion-under-http) uses a route); without it they are
        /// only marked.
        optional demote_cluster: Option<ClusterName>,
        /// Sources that may connect to plain addresses: probes and scrapes.
        #[serde(skip_serializing_if = "List::is_empty")]
        default exempt: List<Exemption, 0, 65_535>,
        /// The action for connections that match no service, by address or by port.
        default no_match: NoMatch,
    }
}

object! {
    /// The configuration of a filter that composes the addresses of outgoing connections.
    pub struct Outbound {
        /// The filter's role: it composes the addresses of outgoing connections.
        required role: OutboundRole,
        /// The type of Envoy filter that runs the module.
        default filter: FilterType,
        /// The services, given in the configuration itself: without secrets, and every record must be usable.
        optional services: Option<List<OutboundService, 1, MAX_SERVICES>>,
        /// Where to fetch the services from, instead of `services`.
        optional snapshot: Option<Subscription>,
        /// How many connections each worker thread holds for this plugin, and for how long.
        default hold: Hold,
        /// The source address of upstream connections, for items without their own; required with `services`.
        optional source: Option<Address>,
        /// A seed that makes this node's random bits distinct.
        default seed: String,
        /// How many random draws each worker thread uses at the same time; at most 16 where draws
        /// [choose nothing](#what-outbound-does).
        default pool: Pool,
        /// The maximum proof of work that a record may ask for, in bits; beyond it, connections are `failed`.
        default max_pow: MaxPow<20>,
        /// The minimum time step of a record, in seconds; below it, connections are `failed`.
        default min_time_step_s: MinTimeStep<1>,
        /// How requests of an HTTP filter are sent.
        default requests: Requests,
    }
}

object! {
    /// How requests of an HTTP filter are sent.
    #[derive(Default)]
    pub struct Requests {
        /// The order in which the replicas of an object are tried.
        default order: Order,
        /// After how many milliseconds without an answer a request that only reads is sent to the next replica too; the first answer
        /// is taken. Without it, none is.
        optional hedge_ms: Option<Number<1, 60_000, 100>>,
        /// Statuses at which a request that only reads is sent to the next replica too, such as 404 where replicas may lack objects.
        #[serde(skip_serializing_if = "List::is_empty")]
        default miss: List<Number<400, 599, 404>, 0, 16>,
        /// The action for requests in which the object key or the chunk was not found, though the address depends on it.
        default no_object: NoObject,
        /// Whether an application may name the replica of a request by the header `ssa-replica`.
        default replica_header: bool,
    }
}

words! {
    /// The order in which the replicas of an object are tried.
    #[derive(Default)]
    pub enum Order {
        /// At random.
        #[default]
        Random = "random",
        /// From the first one on.
        Fixed = "fixed",
        /// First the one to whose address this worker thread has the fewest requests in flight.
        Least = "least",
    }
}

words! {
    /// The action for requests without an object key or a chunk.
    #[derive(Default)]
    pub enum NoObject {
        /// They go as dialled.
        #[default]
        Allow = "allow",
        /// They are answered 421.
        Deny = "deny",
    }
}

/// How many random draws are in use at once.
pub type Pool = Number<1, 4096, 256>;

words! {
    /// The role of an inbound filter.
    pub enum InboundRole {
        /// It verifies.
        Inbound = "inbound",
    }
}

words! {
    /// The role of an outbound filter.
    pub enum OutboundRole {
        /// It composes.
        Outbound = "outbound",
    }
}

words! {
    /// The type of Envoy filter that runs the module: what it is called for.
    #[derive(Default)]
    pub enum FilterType {
        /// A network filter, `envoy.filters.network.wasm`: for connections.
        #[default]
        Network = "network",
        /// An HTTP filter, `envoy.filters.http.wasm`: for requests.
        Http = "http",
        /// Both, with one name and this one text as their configuration: they share what they know, at a host call for each
        /// connection and request.
        Both = "both",
    }
}

object! {
    /// How many connections each worker thread holds, and for how long: until there is a snapshot, and during proofs of work.
    #[derive(Copy, Default)]
    pub struct Hold {
        /// The maximum number of connections.
        default connections: Number<0, 4096, 1024>,
        /// The maximum time, in milliseconds.
        default ms: Number<0, 30_000, 3000>,
    }
}

object! {
    /// Where snapshots come from.
    pub struct Subscription {
        /// The Envoy cluster of the server, preferably a Unix socket.
        required cluster: ClusterName,
        /// The path requested there; by default `/v1/` followed by the role.
        optional path: Option<RequestPath>,
        /// The pause between a response and the next request, in milliseconds.
        default refresh_ms: Number<100, 60_000, 1000>,
        /// How long the server may wait for a change before it responds (long polling), in seconds.
        default wait_s: Number<0, MAX_WAIT_S, 30>,
        /// Whether connections pass if no snapshot arrives in time; by default `false` inbound and `true` outbound.
        optional failure_mode_allow: Option<bool>,
    }
}

impl Subscription {
    /// Returns the path to request for a role.
    #[must_use]
    pub fn path(&self, role: Role) -> &str {
        self.path.as_deref().unwrap_or(role.path())
    }

    /// Returns whether a role's connections pass if no snapshot arrives in time.
    ///
    /// By default a server does not admit what it cannot verify, and a client without a rule connects as a legacy client.
    #[must_use]
    pub fn failure_mode_allow(&self, role: Role) -> bool {
        self.failure_mode_allow.unwrap_or(match role {
            Role::Inbound => false,
            Role::Outbound => true,
        })
    }
}

words! {
    /// The action for connections that match no service.
    #[derive(Default)]
    pub enum NoMatch {
        /// They are closed.
        #[default]
        Deny = "deny",
        /// They pass.
        Allow = "allow",
    }
}

object! {
    /// Sources that reach plain addresses on some ports: probes and scrapes.
    pub struct Exemption {
        /// The sources.
        required sources: List<Prefix, 1, 65_535>,
        /// The ports; if empty, all ports.
        #[serde(skip_serializing_if = "List::is_empty")]
        default ports: List<Port, 0, 65_535>,
    }
}
