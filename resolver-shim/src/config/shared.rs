//! Ports that several services have: a host hears what is sent to a port, whatever address it was sent to.

use std::{collections::BTreeMap, fmt};

use super::{Config, Inbound, Mode};

/// A port of several services that are not all treated alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPort<'a> {
    /// The port.
    pub port: u16,
    /// The services in the configuration's order, each with its mode.
    pub services: Vec<(&'a str, Mode)>,
}

impl fmt::Display for SharedPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, mode)) in self.services.iter().enumerate() {
            let before = if number == 0 { "" } else { ", " };
            write!(f, "{before}{name} ({})", mode.name())?;
        }
        Ok(())
    }
}

impl Config {
    /// Returns the ports that services of different modes share. By a plain address the strictest of them decides; but
    /// by an address of a service whose mode is laxer, whoever likes reaches what listens there for the others too.
    #[must_use]
    pub fn shared_ports(&self) -> Vec<SharedPort<'_>> {
        let mut ports: BTreeMap<u16, Vec<(&str, Mode)>> = BTreeMap::new();
        for service in &self.services {
            let Some(Inbound { ports: own, mode, .. }) = &service.inbound else {
                continue;
            };
            for port in own {
                let services = ports.entry(*port).or_default();
                if !services.iter().any(|(name, _)| *name == &*service.name) {
                    services.push((&service.name, *mode));
                }
            }
        }
        let differ = |services: &[(&str, Mode)]| services.windows(2).any(|pair| pair[0].1 != pair[1].1);
        ports
            .into_iter()
            .filter(|(_, services)| differ(services))
            .map(|(port, services)| SharedPort { port, services })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_services_of_different_modes_are_told() {
        let service = |name: &str, ports: &str, mode: &str| {
            format!(
                r#"{{"name": "{name}", "allowed": ["2001:db8::/32"], "inbound": {{"ports": {ports}, "mode": "{mode}"}}}}"#
            )
        };
        let told = |services: &[String]| -> Vec<String> {
            let json = format!(r#"{{"services": [{}]}}"#, services.join(","));
            let config = Config::from_json(json.as_bytes()).unwrap();
            let shared = config.shared_ports();
            shared
                .iter()
                .map(|shared| format!("{}: {shared}", shared.port))
                .collect()
        };
        let web = service("web", "[80, 8080]", "shadow");
        let vault = service("vault", "[8080]", "enforce");
        let old = service("old", "[443, 80]", "off");
        assert_eq!(
            told(&[web.clone(), vault.clone()]),
            ["8080: web (shadow), vault (enforce)"]
        );
        assert_eq!(
            told(&[vault.clone(), old, web.clone()]),
            ["80: old (off), web (shadow)", "8080: vault (enforce), web (shadow)"]
        );
        assert_eq!(told(&[vault, service("more", "[8080]", "enforce")]), [""; 0]);
        assert_eq!(told(&[web]), [""; 0]);
    }
}
