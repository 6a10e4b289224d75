//! `ssa-cluster agent`

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ssa_cluster::agent::{self, Application, Heartbeats, Hook, Options, Probe};
use ssa_cluster::alone::{Alone, Program};
use ssa_cluster::heartbeat::{self, Keys, Pace};
use ssa_cluster::kernel::{Allowed, InterfaceName, Kernel};
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
    interfaces: Vec<InterfaceName>,
    /// A prefix that slices may lie in; may be given several times, or with blanks between. Nothing else is routed, whatever
    /// the store says
    #[arg(
        long = "allowed",
        env = "SSA_ALLOWED",
        value_name = "PREFIX",
        value_delimiter = ' ',
        required_unless_present = "cleanup"
    )]
    allowed: Vec<Allowed>,
    /// What is asked, every 50 ms, whether the endpoint is ready: tcp:ADDRESS:PORT or http:ADDRESS:PORT/PATH
    #[arg(long, value_name = "PROBE")]
    probe: Option<Probe>,
    /// How long the endpoint serves on when it is told to end (by SIGTERM), until others have its slices
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=3600))]
    drain_seconds: u32,
    /// A file with the key of heartbeats, which all endpoints have: 64 hexadecimal digits, its owner's alone (mode 600). May
    /// be given several times: the first key signs, and all are accepted. Read again when it changes. Without one there are
    /// no heartbeats
    #[arg(long = "heartbeat-key", value_name = "FILE")]
    heartbeat_keys: Vec<PathBuf>,
    /// The UDP port of heartbeats, which all endpoints have
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = heartbeat::PORT,
        value_parser = clap::value_parser!(u16).range(1..),
        requires = "heartbeat_keys"
    )]
    heartbeat_port: u16,
    /// How often heartbeats are sent, to 64 peers; to more, less often. A peer learns it with each of them
    #[arg(
        long,
        value_name = "MILLISECONDS",
        default_value_t = 50,
        value_parser = clap::value_parser!(u16).range(20..=1000),
        requires = "heartbeat_keys"
    )]
    heartbeat_interval: u16,
    /// How many heartbeats of a peer in a row have to be missing before it is taken for lost: more where machines stall
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(2..=100),
        requires = "heartbeat_keys"
    )]
    heartbeat_missing: u32,
    /// A Unix socket that tells a stateful application its slices and siblings: a line of JSON at once and after each change
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// What is done before prefixes come: a program, by its absolute path, or http://ADDRESS:PORT/PATH on loopback
    #[arg(long, value_name = "HOOK")]
    incoming: Option<Hook>,
    /// What is done after prefixes went
    #[arg(long, value_name = "HOOK")]
    outgoing: Option<Hook>,
    /// How long each of these may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    hook_seconds: u32,
    /// How long its lease lasts, where ownership is exclusive: new flows stop seven eighths of that after it was last renewed,
    /// and go elsewhere after nine eighths of it
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=3600))]
    lease_seconds: u32,
    /// Where /load, /metrics and /healthz are served, such as `[2001:db8:1::a]:9476`: the endpoint's own address, and its
    /// `spec.httpPort`. Load is counted only then [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

impl Agent {
    /// Does it.
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        // Two would undo each other's routes, and so would a cleanup beside an agent.
        let alone = Alone::claim(Program::Agent).await?;
        for stranger in alone.strangers() {
            eprintln!("ssa-cluster agent: {stranger}");
        }
        let (Some(location), Some(endpoint)) = (self.location, self.endpoint) else {
            return Ok(Kernel::cleanup().await?);
        };
        let keys = Keys::read(&self.heartbeat_keys).map_err(|error| format!("--heartbeat-key {error}"))?;
        let port = self.heartbeat_port;
        let pace = Pace {
            interval: Duration::from_millis(self.heartbeat_interval.into()),
            missing: self.heartbeat_missing,
        };
        let options = Options {
            endpoint,
            interfaces: self.interfaces.iter().map(ToString::to_string).collect(),
            allowed: self.allowed.iter().map(|allowed| allowed.net()).collect(),
            probe: self.probe,
            drain: Duration::from_secs(self.drain_seconds.into()),
            heartbeats: (!keys.is_empty()).then_some(Heartbeats { keys, port, pace }),
            application: Application {
                socket: self.socket,
                incoming: self.incoming,
                outgoing: self.outgoing,
                deadline: Duration::from_secs(self.hook_seconds.into()),
            },
            lease: ssa_snapshot::Number::new(self.lease_seconds).unwrap_or_default(),
            listen: self.listen,
        };
        agent::run(&location, options).await
    }
}
