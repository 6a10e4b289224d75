//! The plugin's configuration: JSON in, validated values out, every fault at once.
//!
//! ```
//! use ssa_filter::config::Config;
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
//! assert!(matches!(Config::from_json(json), Ok(Config::Inbound(_))));
//!
//! let faults = Config::from_json(br#"{"role": "inbound", "servises": []}"#).unwrap_err();
//! assert_eq!(faults.to_string(), "services: missing; servises: unknown field");
//! ```

mod fault;
mod read;
mod service;

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde_json::Value;

pub use fault::{ConfigError, Fault, Problem};
use read::{Object, Reader};
pub use service::Service;

use crate::{inbound::Inbound, outbound::Outbound};

/// The draws that an outbound pool keeps by default.
pub const DEFAULT_POOL: u16 = 256;

/// The most services of one configuration.
pub const MAX_SERVICES: usize = 256;

/// What the filter does with connections.
#[derive(Clone, Debug)]
pub enum Config {
    /// It verifies those that come in.
    Inbound(Inbound),
    /// It composes the addresses of those that go out.
    Outbound(Outbound),
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// All of its faults.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let value: Value = match serde_json::from_slice(json) {
            Ok(value) => value,
            Err(error) => {
                let problem = Problem::NotJson {
                    line: error.line(),
                    column: error.column(),
                };
                return Err(ConfigError {
                    faults: vec![Fault {
                        place: String::new(),
                        problem,
                    }],
                });
            }
        };
        let mut reader = Reader::default();
        let config = read_config(&mut reader, &value);
        match config {
            Some(config) if reader.faults.is_empty() => Ok(config),
            _ => Err(ConfigError { faults: reader.faults }),
        }
    }
}

fn read_config(reader: &mut Reader, value: &Value) -> Option<Config> {
    let mut object = reader.object("", value)?;
    let role = object
        .required(reader, "role")
        .and_then(|(place, value)| reader.choice(&place, value, &[("inbound", true), ("outbound", false)]));
    let config = match role {
        Some(true) => read_inbound(reader, &mut object).map(Config::Inbound),
        Some(false) => read_outbound(reader, &mut object).map(Config::Outbound),
        // The other fields depend on the role: without it, nothing can be said of them.
        None => return None,
    };
    object.finish(reader);
    config
}

fn read_inbound(reader: &mut Reader, object: &mut Object<'_>) -> Option<Inbound> {
    let services = service::read_all(reader, object, service::read_inbound);
    let unclaimed = object
        .choice(reader, "unclaimed", &[("deny", false), ("allow", true)])
        .unwrap_or(false);
    let demote_cluster = object.text(reader, "demote_cluster");
    let exempt = object.list(reader, "exempt", |reader, place, value| {
        let mut object = reader.object(place, value)?;
        let sources = object.members(reader, "sources", Reader::prefix);
        let ports = object.list(reader, "ports", Reader::port);
        object.finish(reader);
        Some((sources?, ports.unwrap_or_default()))
    });
    let exempt = exempt
        .unwrap_or_default()
        .into_iter()
        .map(|(sources, ports)| Exemption { sources, ports })
        .collect();
    Some(Inbound {
        services: unnumbered(services?),
        exempt,
        unclaimed_allowed: unclaimed,
        demote_cluster,
    })
}

fn read_outbound(reader: &mut Reader, object: &mut Object<'_>) -> Option<Outbound> {
    let services = service::read_all(reader, object, service::read_outbound);
    let source = object
        .required(reader, "source")
        .and_then(|(place, value)| reader.address(&place, value));
    let seed = object.text(reader, "seed").unwrap_or_default();
    let pool = object.optional("pool").map_or(Some(DEFAULT_POOL), |(place, value)| {
        let slots = reader.number(&place, value, 1, 4096)?;
        u16::try_from(slots).ok()
    });
    let services = services?;
    let mut met: Vec<(Ipv6Addr, usize)> = Vec::new();
    for (index, service) in &services {
        for (member, address) in service.addresses.iter().enumerate() {
            if let Some((_, first)) = met.iter().find(|(known, _)| known == address) {
                let first = *first;
                reader.fault(
                    &format!("services[{index}].addresses[{member}]"),
                    Problem::Repeated { first },
                );
            }
            met.push((*address, *index));
        }
    }
    Some(Outbound {
        services: unnumbered(services),
        source: source?,
        seed: seed.into_bytes(),
        pool: pool?,
    })
}

fn unnumbered<T>(numbered: Vec<(usize, T)>) -> Vec<T> {
    numbered.into_iter().map(|(_, service)| service).collect()
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
        let Ok(Config::Inbound(inbound)) = Config::from_json(GOOD.as_bytes()) else {
            panic!("inbound")
        };
        assert_eq!(inbound.services.len(), 1);
        assert!(inbound.unclaimed_allowed);
        assert_eq!(inbound.demote_cluster.as_deref(), Some("slow"));
        assert!(inbound.exempt[0].covers("2001:db8:f::1".parse().unwrap(), 80));
        assert!(!inbound.exempt[0].covers("2001:db8:f::1".parse().unwrap(), 81));
        let outbound = r#"{"role": "outbound", "source": "2001:db8::1", "pool": 16.0, "services": [
            {"name": "web", "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64"],
             "addresses": ["2001:db8:6::1"], "port": 8080}]}"#;
        let Ok(Config::Outbound(outbound)) = Config::from_json(outbound.as_bytes()) else {
            panic!("outbound")
        };
        assert_eq!(outbound.pool, 16);
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
                assert!(
                    error
                        .to_string()
                        .contains("services[1]: overlaps with services[0] (web)"),
                    "{error}"
                );
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
