//! The plugin's configuration and its snapshots: JSON in, validated values out, every fault at once.
//!
//! ```
//! use ssa_filter::config::{Config, Role};
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
//! assert!(matches!(Config::from_json(json).unwrap().role, Role::Inbound(_)));
//!
//! let faults = Config::from_json(br#"{"role": "inbound", "servises": []}"#).unwrap_err();
//! assert_eq!(
//!     faults.to_string(),
//!     "either services or snapshot has to be there, and not both; servises: unknown field"
//! );
//! ```

mod fault;
mod json;
mod read;
mod service;
mod snapshot;

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_rules::{Limits, record::MAX_POW};

pub use fault::{ConfigError, Fault, Problem};
use json::Json;
pub use read::MAX_CLUSTER;
use read::{Object, Reader};
pub use service::Service;
use service::{Kind, Origin};
pub use snapshot::{MAX_SNAPSHOT, Snapshot};

use crate::{
    inbound::Inbound,
    index::Map,
    limits,
    outbound::{Outbound, OutboundService},
    table::Table,
};

/// The draws that an outbound pool keeps by default.
pub const DEFAULT_POOL: u16 = 256;

/// The most services of one configuration or snapshot.
pub const MAX_SERVICES: usize = 1024;

/// A plugin's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it does with connections.
    pub role: Role,
    /// How many connections one worker holds, and how long.
    pub hold: Hold,
    /// Where the services come from, unless they stand in the configuration.
    pub subscription: Option<Subscription>,
}

/// What the filter does with connections.
#[derive(Clone, Debug)]
pub enum Role {
    /// It verifies those that come in.
    Inbound(Inbound),
    /// It composes the addresses of those that go out.
    Outbound(Outbound),
}

impl Role {
    /// Returns the role's name, as configurations and metrics have it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Inbound(_) => "inbound",
            Self::Outbound(_) => "outbound",
        }
    }
}

/// How many connections one worker holds at once, and how long: until there is a snapshot, and while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The most connections, 0 to 4096.
    pub connections: u16,
    /// The longest in milliseconds, 0 to 30000.
    pub ms: u16,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            connections: 1024,
            ms: 3000,
        }
    }
}

/// Where snapshots come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Envoy's cluster.
    pub cluster: String,
    /// The path there.
    pub path: String,
    /// The pause between an answer and the next question, in milliseconds.
    pub refresh_ms: u32,
    /// How long the answer may wait for a change, in seconds.
    pub wait_s: u16,
    /// Whether connections pass for which there is no snapshot in time.
    pub released: bool,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// All of its faults.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        read_whole(json, read_config)
    }
}

/// Reads JSON, and refuses it whole at any fault.
fn read_whole<T>(json: &[u8], read: impl FnOnce(&mut Reader, &Json) -> Option<T>) -> Result<T, ConfigError> {
    let value = Json::parse(json).map_err(|error| {
        let problem = Problem::NotJson {
            line: error.line(),
            column: error.column(),
        };
        ConfigError::whole(problem)
    })?;
    let mut reader = Reader::default();
    match read(&mut reader, &value) {
        Some(whole) if reader.faults.is_empty() => Ok(whole),
        _ => Err(ConfigError { faults: reader.faults }),
    }
}

fn read_config(reader: &mut Reader, value: &Json) -> Option<Config> {
    let mut object = reader.object("", value)?;
    let inbound = object
        .required(reader, "role")
        .and_then(|(place, value)| reader.choice(&place, value, &[("inbound", true), ("outbound", false)]));
    // The other fields depend on the role: without it, nothing can be said of them.
    let inbound = inbound?;
    let hold = read_hold(reader, &mut object);
    let subscription = object
        .optional("snapshot")
        .map(|(place, value)| read_subscription(reader, &place, value, inbound));
    let subscribed = subscription.is_some();
    let role = if inbound {
        read_inbound(reader, &mut object, subscribed).map(Role::Inbound)
    } else {
        read_outbound(reader, &mut object, subscribed).map(Role::Outbound)
    };
    object.finish(reader);
    Some(Config {
        role: role?,
        hold: hold?,
        subscription: match subscription {
            None => None,
            Some(read) => Some(read?),
        },
    })
}

fn read_hold(reader: &mut Reader, object: &mut Object<'_>) -> Option<Hold> {
    let default = Hold::default();
    let Some((place, value)) = object.optional("hold") else {
        return Some(default);
    };
    let mut object = reader.object(&place, value)?;
    let connections = object.number(reader, "connections", default.connections, [0, 4096]);
    let ms = object.number(reader, "ms", default.ms, [0, 30_000]);
    object.finish(reader);
    Some(Hold {
        connections: connections?,
        ms: ms?,
    })
}

fn read_subscription(reader: &mut Reader, place: &str, value: &Json, inbound: bool) -> Option<Subscription> {
    let mut object = reader.object(place, value)?;
    let cluster = object
        .required(reader, "cluster")
        .and_then(|(place, value)| reader.cluster(&place, value));
    let path = match object.optional("path") {
        None => Some(if inbound { "/v1/inbound" } else { "/v1/outbound" }.to_owned()),
        Some((place, value)) => reader.text(&place, value).and_then(|text| {
            let good = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
            reader.parsed(&place, text, good.then(|| text.to_owned()), "no path")
        }),
    };
    let refresh_ms = object.number(reader, "refresh_ms", 1000, [100, 60_000]);
    let wait_s = object.number(reader, "wait_s", 30, [0, 300]);
    let released = object.choice(reader, "missing", &[("refuse", false), ("release", true)]);
    object.finish(reader);
    Some(Subscription {
        cluster: cluster?,
        path: path?,
        refresh_ms: refresh_ms?,
        wait_s: wait_s?,
        // A server must not let in what it cannot verify; a client without a rule does as a legacy one does.
        released: released.unwrap_or(!inbound),
    })
}

/// Reads the services that stand in a configuration; none where a snapshot is to bring them.
fn read_services<T: Kind>(reader: &mut Reader, object: &mut Object<'_>, subscribed: bool) -> Option<Table<T>> {
    if object.optional("services").is_some() == subscribed {
        reader.fault("", Problem::OneOf(["services", "snapshot"]));
        return None;
    }
    if subscribed {
        Some(Table::default())
    } else {
        service::read_all(reader, object, &mut Origin::Configuration)
    }
}

fn read_inbound(reader: &mut Reader, object: &mut Object<'_>, subscribed: bool) -> Option<Inbound> {
    let services = read_services(reader, object, subscribed);
    let unclaimed = object
        .choice(reader, "unclaimed", &[("deny", false), ("allow", true)])
        .unwrap_or(false);
    let demote_cluster = object
        .optional("demote_cluster")
        .and_then(|(place, value)| reader.cluster(&place, value));
    let exempt = object.list(reader, "exempt", |reader, place, value| {
        let mut object = reader.object(place, value)?;
        let sources = object.members(reader, "sources", Reader::prefix);
        let ports = object.list(reader, "ports", Reader::port);
        object.finish(reader);
        Some(Exemption {
            sources: sources?,
            ports: ports.unwrap_or_default(),
        })
    });
    Some(Inbound::new(
        services?,
        exempt.unwrap_or_default(),
        unclaimed,
        demote_cluster,
    ))
}

fn read_outbound(reader: &mut Reader, object: &mut Object<'_>, subscribed: bool) -> Option<Outbound> {
    let services = read_services(reader, object, subscribed);
    let source = if subscribed {
        object.optional("source")
    } else {
        object.required(reader, "source")
    };
    let source = source.map(|(place, value)| reader.address(&place, value));
    let seed = object.text(reader, "seed").unwrap_or_default();
    let pool = object.number(reader, "pool", DEFAULT_POOL, [1, 4096]);
    let Limits { max_pow, min_time_step } = limits::DEFAULT;
    let max_pow = object.number(reader, "max_pow", max_pow, [0, MAX_POW.into()]);
    let min_time_step = object.number(
        reader,
        "min_time_step_s",
        min_time_step,
        [Limits::MIN_STEP.into(), Limits::MAX_STEP.into()],
    );
    let services = services?;
    check_addresses(reader, &services);
    let limits = Limits {
        max_pow: max_pow?,
        min_time_step: min_time_step?,
    };
    Some(Outbound::new(
        services,
        source.flatten(),
        seed.into_bytes(),
        pool?,
        limits,
    ))
}

/// Notes plain addresses that stand for two services.
fn check_addresses(reader: &mut Reader, services: &Table<OutboundService>) {
    let mut met: Map<Ipv6Addr, usize> = Map::default();
    for (number, service) in services.services().iter().enumerate() {
        for (member, address) in service.addresses.iter().enumerate() {
            let first = *met.entry(*address).or_insert(number);
            if first != number {
                let place = format!("services[{number}].addresses[{member}]");
                reader.fault(&place, Problem::Repeated { first });
            }
        }
    }
}

/// Sources that reach plain addresses on some ports: probes and scrapes.
#[derive(Clone, Debug)]
pub struct Exemption {
    /// The sources.
    pub sources: Vec<Ipv6Net>,
    /// The ports; none means every port.
    pub ports: Vec<u16>,
}

impl Exemption {
    /// Says whether a connection from this source to this port is exempt.
    #[must_use]
    pub fn covers(&self, source: Ipv6Addr, port: u16) -> bool {
        (self.ports.is_empty() || self.ports.contains(&port)) && self.sources.iter().any(|net| net.contains(&source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{
        "role": "inbound", "unclaimed": "allow", "demote_cluster": "slow",
        "exempt": [{"sources": ["2001:db8:f::/48"], "ports": [80]}],
        "services": [{
            "name": "web", "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=rand:64"],
            "ports": [80, 443], "mode": "shadow", "policy": {"legacy": "demote"}
        }]
    }"#;

    fn faults(json: &str) -> Vec<String> {
        Config::from_json(json.as_bytes())
            .unwrap_err()
            .faults
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn whole_configurations_are_read() {
        let config = Config::from_json(GOOD.as_bytes()).unwrap();
        assert_eq!((config.hold, config.subscription), (Hold::default(), None));
        let Role::Inbound(inbound) = config.role else {
            panic!("inbound")
        };
        assert_eq!(inbound.services().names(), ["web"]);
        assert_eq!(inbound.demote_cluster(), Some("slow"));
        let outbound = r#"{"role": "outbound", "source": "2001:db8::1", "pool": 16.0, "services": [
            {"name": "web", "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64"],
             "addresses": ["2001:db8:6::1"], "port": 8080}]}"#;
        let Role::Outbound(outbound) = Config::from_json(outbound.as_bytes()).unwrap().role else {
            panic!("outbound")
        };
        assert_eq!(outbound.pool(), 16);
    }

    #[test]
    fn snapshots_are_subscribed_to() {
        let json = r#"{"role": "inbound", "snapshot": {"cluster": "shim"}, "hold": {"connections": 4096, "ms": 0}}"#;
        let config = Config::from_json(json.as_bytes()).unwrap();
        let hold = Hold {
            connections: 4096,
            ms: 0,
        };
        assert_eq!(config.hold, hold);
        let subscription = Subscription {
            cluster: "shim".to_owned(),
            path: "/v1/inbound".to_owned(),
            refresh_ms: 1000,
            wait_s: 30,
            released: false,
        };
        assert_eq!(config.subscription, Some(subscription));
        let json = r#"{"role": "outbound", "snapshot": {"cluster": "", "path": "v1", "refresh_ms": 99, "wait_s": 301,
            "missing": "wait", "colour": 1}, "hold": {"connections": 4097, "ms": 30001, "x": 0}}"#;
        assert_eq!(
            faults(json),
            [
                "hold.connections: 4097 is not 0 to 4096",
                "hold.ms: 30001 is not 0 to 30000",
                "hold.x: unknown field",
                r#"snapshot.cluster: "" is no name of a cluster, of 1 to 255 bytes"#,
                r#"snapshot.path: "v1" is no path"#,
                "snapshot.refresh_ms: 99 is not 100 to 60000",
                "snapshot.wait_s: 301 is not 0 to 300",
                "snapshot.missing: is none of refuse, release",
                "snapshot.colour: unknown field",
            ]
        );
        let both = GOOD.replace(r#""unclaimed""#, r#""snapshot": {"cluster": "shim"}, "unclaimed""#);
        assert_eq!(
            faults(&both),
            ["either services or snapshot has to be there, and not both"]
        );
    }

    #[test]
    fn fields_stand_once() {
        let twice = GOOD.replace(r#""unclaimed""#, r#""role": "outbound", "unclaimed""#);
        assert_eq!(faults(&twice), ["role: stands here twice"]);
    }

    #[test]
    fn services_are_at_most_1024() {
        let service = |number: usize| {
            format!(
                r#"{{"name": "s{number}", "apl": "2:2001:db8:{number:x}::/64", "rules": ["v=ssa1; addr=rand:64"],
                    "ports": [80]}}"#
            )
        };
        let json = |count| {
            let services: Vec<String> = (0..count).map(service).collect();
            format!(r#"{{"role": "inbound", "services": [{}]}}"#, services.join(","))
        };
        assert!(Config::from_json(json(MAX_SERVICES).as_bytes()).is_ok());
        assert_eq!(faults(&json(MAX_SERVICES + 1)), ["services: 1025 members exceed 1024"]);
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let json = r#"{"role": "inbound", "colour": 1, "exempt": [{"sources": ["2001:db8::1/32", 5]}], "services": [
            {"name": "a b", "apl": "2:2001:db8:5::/65", "rules": ["v=ssa1; addr=rand:64"], "ports": [0, 70000, "x"],
             "mode": "on", "policy": {"violation": "drop", "weather": "deny"}},
            {"apl": "", "rules": [], "ports": []}]}"#;
        assert_eq!(
            faults(json),
            [
                r#"services[0].name: "a b" is not 1 to 253 of a-z A-Z 0-9 - _ ."#,
                "services[0].rules[0]: apl 2:2001:db8:5::/65: the template of 64 bits needs positive items of exactly 64 bits",
                "services[0].mode: is none of enforce, shadow, off",
                "services[0].policy.violation: is none of allow, demote, deny",
                "services[0].policy.weather: unknown field",
                "services[0].ports[0]: 0 is not 1 to 65535",
                "services[0].ports[1]: 70000 is not 1 to 65535",
                "services[0].ports[2]: is no whole number",
                "services[1].name: missing",
                "services[1].rules: empty",
                "services[1].ports: empty",
                r#"exempt[0].sources[0]: "2001:db8::1/32" is no IPv6 prefix without bits past its length"#,
                "exempt[0].sources[1]: is no text",
                "colour: unknown field",
            ]
        );
    }

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        let json = GOOD.replace(
            r#""mode""#,
            r#""secrets": {"k1": "00112233445566778899aabbccddeeff"}, "mode""#,
        );
        let text = faults(&json).join("\n");
        assert_eq!(
            text,
            "services[0].secrets: secrets do not belong here: Envoy shows the configuration in its config_dump"
        );
        let json = GOOD.replace("addr=rand:64", "addr=mac(src/64):64; key=k1");
        assert!(
            faults(&json)
                .join("\n")
                .contains("services[0].rules[0]: the secret k1 is not at hand")
        );
    }

    #[test]
    fn inline_rules_that_lack_their_secret_are_refused_for_clients_too() {
        let json = r#"{"role": "outbound", "source": "2001:db8::1", "services": [{"name": "web",
            "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=mac(src/64):64; key=k1"],
            "addresses": ["2001:db8:6::1"]}]}"#;
        assert_eq!(faults(json), ["services[0].rules[0]: the secret k1 is not at hand"]);
    }

    #[test]
    fn services_that_overlap_are_refused() {
        for (apl, at_fault) in [
            ("2:2001:db8:5::/64", true),
            ("2:2001:db8:5:0:8000::/65", true),
            ("2:2001:db8:7::/64 !2:2001:db8:5::/80", true),
            ("2:2001:db8:7::/64 !2:2001:db8:6::1/128", true),
            ("2:2001:db8:7::/64 !2:2001:db8:6::/121", true),
            ("2:2001:db8:7::/64", false),
        ] {
            let width = if apl.starts_with("2:2001:db8:5:0:8000::/65") {
                63
            } else {
                64
            };
            let other = format!(
                r#"}}, {{"name": "other", "apl": "{apl}", "rules": ["v=ssa1; addr=rand:{width}"], "ports": [80]}}]}}"#
            );
            let json = GOOD
                .trim_end()
                .strip_suffix('}')
                .unwrap()
                .trim_end()
                .strip_suffix(']')
                .unwrap()
                .trim_end();
            let json = format!("{}{other}", json.strip_suffix('}').unwrap());
            let result = Config::from_json(json.as_bytes());
            assert_eq!(result.is_err(), at_fault, "{apl}: {result:?}");
            if let Err(error) = result {
                assert_eq!(error.to_string(), "services: web and other share addresses");
            }
        }
    }

    #[test]
    fn names_are_unique_and_addresses_belong_to_one_service() {
        let service = |name: &str, apl: &str| {
            format!(
                r#"{{"name": "{name}", "apl": "{apl}", "rules": ["v=ssa1; addr=rand:64"],
                    "addresses": ["2001:db8:6::1"]}}"#
            )
        };
        let json = format!(
            r#"{{"role": "outbound", "source": "2001:db8::1", "services": [{}, {}]}}"#,
            service("a", "2:2001:db8:5::/64"),
            service("a", "2:2001:db8:7::/64")
        );
        assert_eq!(
            faults(&json),
            [
                "services[1].name: stands in services[0] too",
                "services[1].addresses[0]: stands in services[0] too",
            ]
        );
    }

    #[test]
    fn what_is_no_json_names_its_place() {
        assert_eq!(faults("{\n \"role\": }"), ["not JSON at line 2, column 10"]);
        assert_eq!(faults(""), ["not JSON at line 1, column 0"]);
        assert_eq!(faults("[]"), ["is no object"]);
        assert_eq!(faults("{}"), ["role: missing"]);
    }
}
