//! What an agent is told on its command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv6Net;
use ssa_snapshot::Number;

use super::{Hook, Probe};
use crate::heartbeat::{Keys, Pace};
use crate::objects::Name;

/// What an agent is told on its command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of its endpoint.
    pub endpoint: Name,
    /// The interfaces by which clients' packets arrive.
    pub interfaces: Vec<String>,
    /// What slices may lie in. The agent routes nothing else, whatever the store says.
    pub allowed: Vec<Ipv6Net>,
    /// What is asked whether the endpoint is ready; without it, it always is.
    pub probe: Option<Probe>,
    /// How long the endpoint serves on when it is told to end, until others have what it had.
    pub drain: Duration,
    /// Heartbeats to and from peers.
    pub heartbeats: Option<Heartbeats>,
    /// What a stateful application is told and asked.
    pub application: Application,
    /// How long its lease lasts, in seconds, where ownership is exclusive.
    pub lease: Number<1, 3600, 15>,
    /// Where it serves `/load`, `/metrics` and `/healthz`; nowhere without it, and no load is counted then.
    pub listen: Option<SocketAddr>,
}

/// What a stateful application is told and asked.
#[derive(Debug, Clone, Default)]
pub struct Application {
    /// Where it is told of the endpoint's slices.
    pub socket: Option<PathBuf>,
    /// What is done before prefixes come.
    pub incoming: Option<Hook>,
    /// What is done after prefixes went.
    pub outgoing: Option<Hook>,
    /// How long each of these may take.
    pub deadline: Duration,
}

/// What heartbeats need.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    /// The keys: the first signs, and all are accepted.
    pub keys: Keys,
    /// The UDP port of all endpoints.
    pub port: u16,
    /// How often they are sent, and how patient the endpoint is.
    pub pace: Pace,
}
