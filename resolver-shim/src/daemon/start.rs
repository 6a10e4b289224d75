//! What the daemon starts by, and why it does not.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use ssa_dns::{AskError, Server, TrustError};
use ssa_input::files::reason;

use crate::config::{Config, ConfigError};

/// Where the configuration comes from: the file, and what flags and environment say over it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file; `-` is standard input.
    pub file: PathBuf,
    /// Another socket.
    pub socket: Option<PathBuf>,
    /// Another address of health and metrics.
    pub admin: Option<std::net::SocketAddr>,
    /// Another state file.
    pub state: Option<PathBuf>,
    /// Other DNS servers.
    pub servers: Vec<Server>,
}

impl Settings {
    /// Says whether the configuration comes from standard input, as the name `-` says.
    #[must_use]
    pub fn is_standard_input(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let mut config = if self.is_standard_input() {
            Config::from_stream(io::stdin().lock())?
        } else {
            Config::from_file(&self.file)?
        };
        if let Some(path) = &self.socket {
            config.socket.path = absolute(path);
        }
        config.admin = self.admin.or(config.admin);
        config.state = self.state.as_deref().map(absolute).or(config.state);
        if !self.servers.is_empty() {
            config.dns.servers = Some(self.servers.clone());
        }
        let file = (!self.is_standard_input()).then(|| absolute(&self.file));
        let faults = config.collisions(file.as_deref());
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { faults })
        }
    }
}

/// Returns a path of a flag, which may be of the folder that the daemon is started in, as an absolute one.
fn absolute(path: &Path) -> PathBuf {
    // It fails for an empty path alone, which no flag has.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Why the daemon does not run.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is at fault.
    Config(ConfigError),
    /// There are no DNS servers.
    Servers(AskError),
    /// DNS servers cannot be asked by TLS.
    Trust(TrustError),
    /// A file of certificates or trust anchors cannot be read.
    File(PathBuf, io::Error),
    /// The trust anchors are at fault.
    Anchors(PathBuf, String),
    /// The front hands on by UDP and TCP alone.
    FrontByTls,
    /// The snapshot socket cannot be bound.
    Socket(PathBuf, io::Error),
    /// The address of health and metrics cannot be bound.
    Admin(std::net::SocketAddr, io::Error),
    /// The front cannot listen there.
    Front(std::net::SocketAddr, io::Error),
    /// The front would ask itself.
    Loop(std::net::SocketAddr),
    /// The system gives no signals.
    Signals(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Servers(error) => error.fmt(f),
            Self::Trust(error) => error.fmt(f),
            Self::Anchors(path, reason) => write!(f, "{}: {reason}", path.display()),
            Self::FrontByTls => f.write_str("the front asks no server by TLS: set front.servers"),
            Self::Socket(path, error) | Self::File(path, error) => write!(f, "{}: {}", path.display(), reason(error)),
            Self::Admin(address, error) | Self::Front(address, error) => write!(f, "{address}: {}", reason(error)),
            Self::Loop(address) => write!(f, "the system's DNS server {address} is the front: set dns.servers"),
            Self::Signals(error) => f.write_str(&reason(error)),
        }
    }
}

impl std::error::Error for StartError {}
