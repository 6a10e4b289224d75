//! `ssa-cluster node`

use std::{error::Error, net::SocketAddr, time::Duration};

use clap::Args;
use ssa_cluster::{
    alone::{Alone, Program},
    contact::Contact,
    http::{Health, Listener, Pages},
    kernel::{Allowed, Host},
    metrics::Registry,
    node::{self, Options},
    objects::Name,
    store::Location,
};

/// Flags of `ssa-cluster node`.
#[derive(Debug, Args)]
pub(crate) struct Node {
    /// Removes what any node has set in this network namespace, and ends
    #[arg(long, exclusive = true)]
    cleanup: bool,
    #[command(flatten)]
    location: Option<Location>,
    /// The name of this host, as `spec.node` of its endpoints has it
    #[arg(long = "node", value_name = "NAME", required_unless_present = "cleanup")]
    name: Option<Name>,
    /// A prefix that slices may lie in; may be given several times. Nothing else is routed, whatever the store says
    #[arg(long = "allowed", value_name = "PREFIX", required_unless_present = "cleanup")]
    allowed: Vec<Allowed>,
    /// Routes slices of endpoints on other hosts too, the way that packets to their addresses go; without it a routing
    /// daemon brings these routes
    #[arg(long)]
    all_endpoints: bool,
    /// Where /metrics and /healthz are served, such as 127.0.0.1:9475 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// How long the node's loop may stand still before it counts as dead: it waits for the store for as long.
const STANDSTILL: Duration = Duration::from_mins(1);

impl Node {
    /// Does it.
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let alone = Alone::claim(Program::Node).await?;
        for stranger in alone.strangers() {
            eprintln!("ssa-cluster node: {stranger}");
        }
        let (Some(location), Some(node)) = (self.location, self.name) else {
            return Ok(Host::cleanup().await?);
        };
        let store = location.open().await?;
        let (registry, health) = (Registry::default(), Health::new(STANDSTILL));
        let served = match self.listen {
            Some(address) => Some(Listener::bind(address).await?),
            None => None,
        };
        let contact = Contact::default();
        let pages = Pages::new(registry.clone(), health.clone()).with("/metrics", contact.metrics(registry.clone()));
        let server = tokio::spawn(async {
            if let Some(listener) = served {
                listener.serve(pages).await;
            }
        });
        let options = Options {
            node,
            allowed: self.allowed.iter().map(|allowed| allowed.net()).collect(),
            all_endpoints: self.all_endpoints,
        };
        let done = node::run(store, options, registry, contact, || health.note()).await;
        server.abort();
        Ok(done?)
    }
}
