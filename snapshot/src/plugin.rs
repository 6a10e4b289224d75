//! The configuration of the plugin: what Envoy hands it when it starts.

use alloc::string::String;

use crate::{
    Address, ClusterName, InboundService, List, MAX_SERVICES, MAX_WAIT_S, Number, OutboundService, Port, Prefix,
    RequestPath,
    read::{object, words},
};

/// The most bits of a proof of work that a client ever does.
pub const MAX_POW: u32 = 24;

/// The most bits of a proof of work that a record may ask for, `DEFAULT` where nothing is said.
pub type MaxPow<const DEFAULT: u32> = Number<0, MAX_POW, DEFAULT>;

/// The shortest time step that a record may have, in seconds: up to a day, `DEFAULT` where nothing is said.
pub type MinTimeStep<const DEFAULT: u32> = Number<1, 86_400, DEFAULT>;

object! {
    /// The configuration of a filter that verifies what comes in.
    pub struct Inbound {
        /// What the filter does with connections: it verifies those that come in.
        required role: InboundRole,
        /// The services, in the configuration itself: no secrets, and every record has to be usable.
        optional services: Option<List<InboundService, 1, MAX_SERVICES>>,
        /// Where the services come from, in place of `services`.
        optional snapshot: Option<Subscription>,
        /// How many connections one worker holds at once for this plugin, and how long.
        default hold: Hold,
        /// The cluster of demoted connections under `tcp_proxy` ([HTTP](#demotion-under-http) goes by a route); without it they are
        /// only marked.
        optional demote_cluster: Option<ClusterName>,
        /// Sources that may dial plain addresses: probes and scrapes.
        #[serde(skip_serializing_if = "List::is_empty")]
        default exempt: List<Exemption, 0, 65_535>,
        /// What is done with connections that concern no service, by address or by port.
        default unclaimed: Unclaimed,
    }
}

object! {
    /// The configuration of a filter that composes the addresses of what goes out.
    pub struct Outbound {
        /// What the filter does with connections: it composes the addresses of those that go out.
        required role: OutboundRole,
        /// The services, in the configuration itself: no secrets, and every record has to be usable.
        optional services: Option<List<OutboundService, 1, MAX_SERVICES>>,
        /// Where the services come from, in place of `services`.
        optional snapshot: Option<Subscription>,
        /// How many connections one worker holds at once for this plugin, and how long.
        default hold: Hold,
        /// What upstream connections really use, where no item has its own; required with `services`.
        optional source: Option<Address>,
        /// Makes this node's random bits its own.
        default seed: String,
        /// How many random draws each worker has in use at once, at most 16 where they
        /// [choose nothing](#what-outbound-does).
        default pool: Pool,
        /// The most bits of work that a record may ask for; beyond it connections are `failed`.
        default max_pow: MaxPow<20>,
        /// The shortest time step that a record may have, in seconds; below it connections are `failed`.
        default min_time_step_s: MinTimeStep<1>,
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

object! {
    /// How many connections one worker holds at once, and how long: until there is a snapshot, and while it works.
    #[derive(Copy, Default)]
    pub struct Hold {
        /// The most connections.
        default connections: Number<0, 4096, 1024>,
        /// The longest, in milliseconds.
        default ms: Number<0, 30_000, 3000>,
    }
}

object! {
    /// Where snapshots come from.
    pub struct Subscription {
        /// Envoy's cluster of the server, best a Unix socket.
        required cluster: ClusterName,
        /// What is asked for there; `/v1/` and the role by default.
        optional path: Option<RequestPath>,
        /// The pause between an answer and the next question, in milliseconds.
        default refresh_ms: Number<100, 60_000, 1000>,
        /// How long the server may wait for a change before it answers, in seconds.
        default wait_s: Number<0, MAX_WAIT_S, 30>,
        /// What becomes of connections when no snapshot came in time; inbound `refuse` by default, outbound `release`.
        optional missing: Option<Missing>,
    }
}

words! {
    /// What becomes of connections when no snapshot came in time.
    pub enum Missing {
        /// They are closed.
        Refuse = "refuse",
        /// They pass.
        Release = "release",
    }
}

words! {
    /// What is done with connections that concern no service.
    #[derive(Default)]
    pub enum Unclaimed {
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
        /// The ports; without any, every port.
        #[serde(skip_serializing_if = "List::is_empty")]
        default ports: List<Port, 0, 65_535>,
    }
}
