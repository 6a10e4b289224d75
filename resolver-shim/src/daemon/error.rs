//! Why the daemon does not start, or does not take another configuration.

use std::{io, net::SocketAddr, path::PathBuf};

use ssa_dns::{AnchorError, AskError, TrustError};
use ssa_input::files::reason;

use crate::config::ConfigError;

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is faulty.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There are no DNS servers.
    #[error(transparent)]
    Servers(AskError),
    /// DNS servers cannot be asked by TLS.
    #[error(transparent)]
    Trust(TrustError),
    /// A file of certificates or trust anchors cannot be read.
    #[error("{}: {}", .0.display(), reason(.1))]
    File(PathBuf, #[source] io::Error),
    /// The trust anchors are faulty.
    #[error("{}: {}", .0.display(), .1)]
    Anchors(PathBuf, #[source] AnchorError),
    /// The front forwards by UDP and TCP alone.
    #[error("the front asks no server by TLS: set front.servers")]
    FrontByTls,
    /// The snapshot socket cannot be bound.
    #[error("{}: {}", .0.display(), reason(.1))]
    Socket(PathBuf, #[source] io::Error),
    /// The address of health and metrics cannot be bound.
    #[error("{}: {}", .0, reason(.1))]
    Admin(SocketAddr, #[source] io::Error),
    /// The front cannot listen there.
    #[error("{}: {}", .0, reason(.1))]
    Front(SocketAddr, #[source] io::Error),
    /// The front would ask itself.
    #[error("the system's DNS server {0} is the front: set dns.servers")]
    Loop(SocketAddr),
    /// The system gives no signals.
    #[error("{}", reason(.0))]
    Signals(#[source] io::Error),
}
