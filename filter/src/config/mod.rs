//! The plugin's configuration and its snapshots: JSON in, validated values out, every fault at once.
//!
//! ```
//! use ssa_filter::config::{Config, RoleConfig};
//!
//! let json = br#"{
//!   "role": "inbound",
//!   "services": [{
//!     "name": "store.example",
//!     "apl": "2:2001:db8:5::/64",
//!     "rules": ["v=ssa1; addr=hash(src/128):20 rand:44"],
//!     "ports": [80]
//!   }]
//! }"#;
//! assert!(matches!(Config::from_json(json).unwrap().role, RoleConfig::Inbound(_)));
//!
//! let faults = Config::from_json(br#"{"role": "inbound", "servises": []}"#).unwrap_err();
//! assert_eq!(
//!     faults.to_string(),
//!     "exactly one of services and snapshot is required; servises: unknown field"
//! );
//! ```

mod checker;
mod fault;
mod service;
mod snapshot;

use ssa_rules::Limits;
use ssa_snapshot::{List, read::Document};
pub use ssa_snapshot::{MAX_BYTES as MAX_SNAPSHOT, MAX_SERVICES, Role, plugin};

use checker::Checker;
pub use fault::{ConfigError, Fault, Problem};
use service::Origin;
pub use snapshot::Snapshot;

use crate::{
    inbound::Inbound,
    index::{self, Index},
    outbound::{Outbound, OutboundService},
    table::Table,
};

/// The longest name of a cluster, in bytes.
pub const MAX_CLUSTER: usize = ssa_snapshot::ClusterName::MAX;

/// A plugin's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The type of Envoy filter that runs it.
    pub filter: plugin::FilterType,
    /// What it does with connections.
    pub role: RoleConfig,
    /// How many connections one worker holds, and how long.
    pub hold: plugin::Hold,
    /// Where to fetch the services from, unless they are in the configuration.
    pub subscription: Option<plugin::Subscription>,
}

/// What the filter does with connections.
#[derive(Clone, Debug)]
pub enum RoleConfig {
    /// It verifies those that come in.
    Inbound(Inbound),
    /// It composes the addresses of those that go out.
    Outbound(Outbound),
}

impl RoleConfig {
    /// Returns the role's name, as configurations and metrics have it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Inbound(_) => Role::Inbound.name(),
            Self::Outbound(_) => Role::Outbound.name(),
        }
    }
}

/// Takes a number whose type bounds it below 2^16.
fn narrow(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// All of its faults.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let mut checker = Checker::new(Document::new(json)?.without_secrets());
        let config = read(&mut checker);
        checker.finish(config)
    }
}

fn read(checker: &mut Checker) -> Option<Config> {
    // The other fields depend on the role: without it, they cannot be checked.
    match checker.first("role")? {
        Role::Inbound => read_inbound(checker),
        Role::Outbound => read_outbound(checker),
    }
}

fn read_inbound(checker: &mut Checker) -> Option<Config> {
    checker.one_source();
    let raw: plugin::Inbound = checker.whole();
    let services = raw.services.map_or_else(Vec::new, List::into_inner);
    let services = service::read_all(checker, services, &mut Origin::Configuration)?;
    let exempt = raw.exempt.into_inner();
    Some(Config {
        filter: raw.filter,
        role: RoleConfig::Inbound(Inbound::new(services, exempt, raw.no_match, raw.demote_cluster)),
        hold: raw.hold,
        subscription: raw.snapshot,
    })
}

fn read_outbound(checker: &mut Checker) -> Option<Config> {
    checker.one_source();
    let raw: plugin::Outbound = checker.whole();
    if raw.source.is_none() && raw.snapshot.is_none() {
        checker.fault("source", Problem::Document(ssa_snapshot::read::Problem::Missing));
    }
    let services = raw.services.map_or_else(Vec::new, List::into_inner);
    let services = service::read_all(checker, services, &mut Origin::Configuration)?;
    check_addresses(checker, &services);
    let limits = Limits {
        max_pow: u8::try_from(raw.max_pow.get()).unwrap_or(0),
        min_time_step: raw.min_time_step_s.get(),
    };
    let source = raw.source.map(|source| source.0);
    let seed = raw.seed.into_bytes();
    Some(Config {
        filter: raw.filter,
        role: RoleConfig::Outbound(
            Outbound::new(services, source, seed, narrow(raw.pool.get()), limits).sending(raw.requests),
        ),
        hold: raw.hold,
        subscription: raw.snapshot,
    })
}

/// Reports plain addresses that two services list.
fn check_addresses(checker: &mut Checker, services: &Table<OutboundService>) {
    let owners = |(number, service): (usize, &OutboundService)| {
        let number = index::number(number);
        let addresses = service.addresses.iter();
        let owners: Vec<_> = addresses.map(|address| (u128::from(*address), number)).collect();
        owners
    };
    let owners = Index::new(services.services().iter().enumerate().flat_map(owners));
    for (number, service) in services.services().iter().enumerate() {
        for (member, address) in service.addresses.iter().enumerate() {
            let first = owners.get((*address).into()).map_or(number, index::service);
            if first != number {
                let place = format!("services[{number}].addresses[{member}]");
                checker.fault(&place, Problem::Repeated { first });
            }
        }
    }
}

#[cfg(test)]
mod tests;
