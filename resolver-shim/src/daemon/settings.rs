//! What the daemon starts by.

use std::{
    io,
    path::{Path, PathBuf},
};

use ssa_dns::Server;

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
    /// Returns whether the configuration comes from standard input, as the name `-` says.
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
