//! The configuration: JSON in, validated values out, with every fault at once.

mod collisions;
mod fault;
mod raw;
mod shape;
mod shared;
#[cfg(test)]
mod tests;
mod types;
mod validate;

use std::path::Path;

use ssa_rules::Limits;

pub use fault::{ConfigError, Fault, Problem};
use shape::Shaped;
use validate::Validator;

pub use raw::Dnssec;
pub use shared::SharedPort;
pub use ssa_snapshot::{DEFAULT_SOCKET, MAX_SERVICES, Mode, Policy, Role, ServiceName};
pub use types::{Config, Dns, Fixed, Front, Inbound, Keys, Origin, Outbound, Peer, Service, Socket};

pub use crate::folders::Folders;

/// The maximum TTL that can be honoured, in seconds.
pub const MAX_TTL: u64 = raw::MAX_TTL as u64;

/// The maximum size of a configuration, in bytes.
pub const MAX_BYTES: usize = 8 << 20;

/// Returns the default limits on what a record may ask of the front.
#[must_use]
pub fn default_limits() -> Limits {
    limits(raw::MaxPow::default(), raw::MinTimeStep::default())
}

fn limits(max_pow: raw::MaxPow, min_time_step: raw::MinTimeStep) -> Limits {
    Limits {
        max_pow: u8::try_from(max_pow.get()).unwrap_or(0),
        min_time_step: min_time_step.get(),
    }
}

/// The maximum number of members of other lists.
pub const MAX_MEMBERS: usize = 64;

/// Returns the JSON Schema of the configuration.
#[cfg(feature = "schema")]
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(raw::Config)
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// All of its faults; for services with unknown fields or values of the wrong type only these, and for a text that is not
    /// JSON only the first.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let whole = |problem| ConfigError {
            faults: vec![Fault {
                place: String::new(),
                problem,
            }],
        };
        if json.len() > MAX_BYTES {
            return Err(whole(Problem::TooLong { max: MAX_BYTES }));
        }
        let shaped = shape::read(json).map_err(|faults| ConfigError { faults })?;
        Self::read(shaped)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// The error while reading, or all faults.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        match crate::reading::read(path, MAX_BYTES) {
            Ok(json) => Self::from_json(&json),
            Err(error) => Err(ConfigError::unreadable(&path.display().to_string(), &error)),
        }
    }

    /// Reads a configuration from a stream, such as standard input.
    ///
    /// # Errors
    ///
    /// The error while reading, or all faults.
    pub fn from_stream(stream: impl std::io::Read) -> Result<Self, ConfigError> {
        let place = "standard input";
        match crate::reading::read_at_most(stream, MAX_BYTES) {
            Ok(json) if json.is_empty() => Err(ConfigError::unreadable(
                place,
                &std::io::Error::other("is empty, or was read before"),
            )),
            Ok(json) => Self::from_json(&json),
            Err(error) => Err(ConfigError::unreadable(place, &error)),
        }
    }

    fn read(shaped: Shaped) -> Result<Self, ConfigError> {
        let Shaped {
            config: raw,
            services,
            faults,
        } = shaped;
        let mut validator = Validator { faults };
        let socket = validator.socket(raw.socket);
        let admin = raw.admin.and_then(|text| validator.socket_address("admin", &text));
        let state = raw.state.inspect(|path| validator.absolute("state", path));
        let dns = validator.dns(&raw.dns);
        let services = validator.services(services);
        let front = raw.front.map(|front| validator.front(front, &dns));
        if validator.faults.is_empty() {
            Ok(Self {
                socket,
                admin,
                state,
                folders: if raw.shared_folders {
                    Folders::Shared
                } else {
                    Folders::Own
                },
                off: raw.off,
                sources: raw.sources,
                dns,
                services,
                front,
            })
        } else {
            Err(ConfigError {
                faults: validator.faults,
            })
        }
    }
}
