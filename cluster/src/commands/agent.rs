//! `ssa-cluster agent`

use std::error::Error;
use std::time::Duration;

use clap::Args;
use ipnet::Ipv6Net;
use ssa_cluster::agent::{self, Options, Probe};
use ssa_cluster::kernel::Kernel;
use ssa_cluster::objects::Name;
use ssa_cluster::store::Location;

/// Flags of `ssa-cluster agent`.
#[derive(Debug, Args)]
pub(crate) struct Agent {
    /// Removes what any agent has set in this network namespace, and ends
    #[arg(long, exclusive = true)]
    cleanup: bool,
    #[command(flatten)]
    location: Option<Location>,
    /// The name of the endpoint: a `SliceEndpoint` of the store
    #[arg(long, value_name = "NAME", required_unless_present = "cleanup")]
    endpoint: Option<Name>,
    /// An interface by which packets of clients arrive; may be given several times
    #[arg(long = "interface", value_name = "NAME", default_value = "eth0")]
    interfaces: Vec<String>,
    /// A prefix that slices may lie in; may be given several times. Nothing else is routed, whatever the store says
    #[arg(long = "allowed", value_name = "PREFIX", required_unless_present = "cleanup")]
    allowed: Vec<Ipv6Net>,
    /// What is asked, every 50 ms, whether the endpoint is ready: tcp:ADDRESS:PORT or http:ADDRESS:PORT/PATH
    #[arg(long, value_name = "PROBE")]
    probe: Option<Probe>,
    /// How long the endpoint serves on when it is told to end (by SIGTERM), until others have its slices
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=3600))]
    drain_seconds: u32,
}

impl Agent {
    /// Does it.
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let (Some(location), Some(endpoint)) = (self.location, self.endpoint) else {
            return Ok(Kernel::cleanup().await?);
        };
        let store = location.open().await?;
        let options = Options {
            endpoint,
            interfaces: self.interfaces,
            allowed: self.allowed.iter().map(Ipv6Net::trunc).collect(),
            probe: self.probe,
            drain: Duration::from_secs(self.drain_seconds.into()),
        };
        Ok(agent::run(store, options).await?)
    }
}
