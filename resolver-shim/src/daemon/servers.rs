//! Which DNS servers are asked: those of the configuration, or those of the system as they change.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use ssa_dns::{Anchors, AskError, Roots, Server, Servers};

use ssa_input::text::without_mark;

use super::error::StartError;
use crate::{
    config::{Config, Dnssec, Origin},
    front::Upstreams,
    reading,
};

/// The maximum size in bytes of a file of certificates or trust anchors.
const MAX_TRUSTED: usize = 1 << 20;

/// Whom the daemon asks, and to whom its front hands what it does not answer.
pub(super) struct Chosen {
    /// Whom it asks.
    pub(super) servers: Servers,
    /// To whom the front hands on.
    pub(super) upstreams: Arc<Upstreams>,
    /// What they were made of.
    listed: Vec<Server>,
    /// Whether they are those of the system.
    of_system: bool,
}

impl Chosen {
    /// Chooses them by a configuration; `system` says which the system has.
    pub(super) fn new(
        config: &Config,
        system: impl FnOnce() -> Result<Vec<SocketAddr>, AskError>,
    ) -> Result<Self, StartError> {
        let timeout = config.dns.timeout;
        let front = config.front.as_ref();
        let of_system = uses_system(config);
        let listed = match &config.dns.servers {
            Some(servers) => servers.clone(),
            None if of_system => plain(system().map_err(StartError::Servers)?),
            None => Vec::new(),
        };
        // Flags win over a configuration that was sound.
        if config.dns.has_tls() && front.is_some_and(|front| front.servers.is_none()) {
            return Err(StartError::FrontByTls);
        }
        let read = |path: &PathBuf| match reading::read(path, MAX_TRUSTED) {
            Ok(bytes) => Ok(without_mark(&bytes).to_vec()),
            Err(error) => Err(StartError::File(path.clone(), error)),
        };
        let ca = config.dns.ca.as_ref().map(read).transpose()?;
        let anchors = match (config.dns.dnssec, &config.dns.trust_anchors) {
            (Dnssec::Off, _) => None,
            (Dnssec::Validate, None) => Some(Anchors::built_in()),
            (Dnssec::Validate, Some(path)) => {
                let anchors = Anchors::from_text(&String::from_utf8_lossy(&read(path)?));
                Some(anchors.map_err(|reason| StartError::Anchors(path.clone(), reason))?)
            }
        };
        let roots = ca.as_deref().map_or(Roots::System, Roots::Pem);
        let servers = Servers::secured(&listed, timeout, roots, anchors.as_ref()).map_err(StartError::Trust)?;
        let listens = |server: &&SocketAddr| front.is_some_and(|front| front.listen.contains(server));
        if let Some(itself) = servers.addresses().iter().find(listens) {
            return Err(StartError::Loop(*itself));
        }
        let upstreams = front.and_then(|front| front.servers.clone());
        let upstreams = upstreams.unwrap_or_else(|| servers.addresses().to_vec());
        Ok(Self {
            servers,
            upstreams: Arc::new(Upstreams::new(upstreams, timeout)),
            listed,
            of_system,
        })
    }

    /// Returns whether others were made of the same servers.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.listed == other.listed
    }
}

fn plain(addresses: Vec<SocketAddr>) -> Vec<Server> {
    let plain = |address| Server { address, tls: None };
    addresses.into_iter().map(plain).collect()
}

/// Returns which fields of a configuration name files that cannot be used, and why.
pub(crate) fn unusable_files(config: &Config) -> impl Iterator<Item = (String, String)> {
    let front = config.front.as_ref();
    let by_front = config.dns.has_tls() && front.is_some_and(|front| front.servers.is_none());
    let error = Chosen::new(config, || Ok(Vec::new())).err().filter(|_| !by_front);
    error.into_iter().map(|error| {
        let place = match error {
            StartError::Anchors(..) => "dns.trust_anchors",
            _ => "dns",
        };
        (place.to_owned(), error.to_string())
    })
}

/// Returns whether a configuration needs the system's servers.
fn uses_system(config: &Config) -> bool {
    let asks = config
        .services
        .iter()
        .any(|service| matches!(service.origin, Origin::Dns(_)));
    let front = config.front.as_ref();
    config.dns.servers.is_none() && (asks || front.is_some_and(|front| front.servers.is_none()))
}

/// Returns the system's servers for a configuration that is taken. Those that are used already stay: [`Watch`] alone sees
/// when others take their place, for a file that is read once may be just being written. Where none are used yet, those are
/// taken that the system names, and this host where it names none, as C libraries do (resolv.conf(5)): what names no server
/// at the start names others soon, or never does.
pub(super) fn of_system(
    used: Option<&Chosen>,
    read: impl FnOnce() -> Result<Vec<SocketAddr>, AskError>,
) -> Result<Vec<SocketAddr>, AskError> {
    match used.filter(|used| used.of_system) {
        Some(used) => Ok(used.listed.iter().map(|server| server.address).collect()),
        None => read(),
    }
}

/// Returns the system's servers as they stand now. A file that names none, as one that is being written, says nothing: it
/// does not mean that those of this host are to be asked, as it does at the start.
pub(super) fn named() -> Option<Vec<SocketAddr>> {
    ssa_dns::named_servers().ok().filter(|servers| !servers.is_empty())
}

/// Looks for changes of the system's servers.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What was found last.
    last: Option<Vec<SocketAddr>>,
    /// What was refused.
    refused: Option<Vec<SocketAddr>>,
}

impl Watch {
    /// Returns the system's servers if they are others than those that are used. They must be found twice in a row:
    /// a file that is being written, or is empty or away for a moment, changes nothing.
    pub(super) fn look(&mut self, used: &Chosen, found: Option<Vec<SocketAddr>>) -> Option<Vec<SocketAddr>> {
        let found = found.filter(|found| used.of_system && !found.is_empty());
        let settled = found.is_some() && found == self.last;
        self.last = found;
        let found = self.last.clone().filter(|_| settled)?;
        let is_other = plain(found.clone()) != used.listed && self.refused.as_ref() != Some(&found);
        is_other.then_some(found)
    }

    /// Remembers that they cannot be used, so that they are not tried again and again.
    pub(super) fn refuse(&mut self, servers: Vec<SocketAddr>) {
        self.refused = Some(servers);
    }

    /// Forgets what was refused.
    pub(super) fn accept(&mut self) {
        self.refused = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(json: &str, system: &str) -> Result<Chosen, StartError> {
        let config = Config::from_json(json.as_bytes()).unwrap();
        Chosen::new(&config, || Ok(vec![system.parse().unwrap()]))
    }

    const ASKS: &str = r#"{"services": [{"name": "a", "allowed": ["2001:db8::/32"], "outbound": {}}]}"#;

    #[test]
    fn other_servers_of_the_system_are_found_when_they_settle() {
        let used = chosen(ASKS, "192.0.2.53:53").unwrap();
        let one: Vec<SocketAddr> = vec!["192.0.2.53:53".parse().unwrap()];
        let two: Vec<SocketAddr> = vec!["192.0.2.54:53".parse().unwrap()];
        let mut watch = Watch::default();
        let steps = [
            (Some(one.clone()), false),
            (Some(one.clone()), false),
            // The file is replaced, and is empty or away in between.
            (Some(Vec::new()), false),
            (None, false),
            (Some(two.clone()), false),
            (Some(Vec::new()), false),
            (Some(two.clone()), false),
            (Some(two.clone()), true),
        ];
        for (number, (found, changed)) in steps.into_iter().enumerate() {
            assert_eq!(watch.look(&used, found).is_some(), changed, "{number}");
        }
        watch.refuse(two.clone());
        assert_eq!(watch.look(&used, Some(two.clone())), None);
        watch.accept();
        assert_eq!(watch.look(&used, Some(two.clone())), Some(two.clone()));
        // Who has servers of the configuration does not look.
        let given = ASKS.replace(r#"{"services""#, r#"{"dns": {"servers": ["192.0.2.1"]}, "services""#);
        let used = chosen(&given, "192.0.2.53:53").unwrap();
        assert_eq!(watch.look(&used, Some(two.clone())), None);
        assert_eq!(watch.look(&used, Some(two)), None);
    }

    #[test]
    fn a_reload_does_not_lose_the_servers_of_the_system() {
        let one: Vec<SocketAddr> = vec!["192.0.2.53:53".parse().unwrap()];
        let this_host: Vec<SocketAddr> = vec!["127.0.0.1:53".parse().unwrap()];
        let read = || Ok(this_host.clone());
        let used = chosen(ASKS, "192.0.2.53:53").unwrap();
        // resolv.conf is empty just now.
        assert_eq!(of_system(Some(&used), read).unwrap(), one);
        assert_eq!(of_system(None, read).unwrap(), this_host);
        // Servers of the configuration are none of the system's.
        let given = ASKS.replace(r#"{"services""#, r#"{"dns": {"servers": ["192.0.2.1"]}, "services""#);
        let given = chosen(&given, "192.0.2.53:53").unwrap();
        assert_eq!(of_system(Some(&given), read).unwrap(), this_host);
        let failing = || Err(AskError::NoServers(ssa_dns::SystemError::None));
        assert_eq!(of_system(Some(&used), failing).unwrap(), one);
        assert!(of_system(None, failing).is_err());
    }

    /// As editors of some systems write it.
    #[test]
    fn a_byte_order_mark_before_trust_anchors_and_certificates_is_passed_over() {
        const KEY: &str = "mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==";
        const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let folder = crate::testing::Folder::new("marks");
        let at = |name: &str| folder.path().join(name).display().to_string();
        for mark in ["", "\u{feff}"] {
            std::fs::write(at("anchors"), format!("{mark}demo.test. 60 IN DNSKEY 257 3 13 {KEY}\n")).unwrap();
            let json = format!(
                r#"{{"dns": {{"servers": ["192.0.2.1"], "dnssec": "validate", "trust_anchors": "{}"}}}}"#,
                at("anchors")
            );
            assert!(chosen(&json, "192.0.2.53:53").is_ok(), "{mark:?}");
            // It is taken for a certificate, if not for a good one.
            std::fs::write(at("ca.pem"), format!("{mark}{CERTIFICATE}")).unwrap();
            let json = format!(
                r#"{{"dns": {{"servers": ["192.0.2.1#dns.example"], "tls": {{"ca": "{}"}}}}}}"#,
                at("ca.pem")
            );
            let told = chosen(&json, "192.0.2.53:53").err().unwrap().to_string();
            assert_eq!(
                told, "no certificates to trust: block 1 of the file is not PEM (RFC 7468)",
                "{mark:?}"
            );
        }
    }

    #[test]
    fn the_front_is_no_server_of_its_own() {
        let json = ASKS.replace(
            r#"{"services""#,
            r#"{"front": {"listen": ["192.0.2.53:53"]}, "services""#,
        );
        assert!(matches!(chosen(&json, "192.0.2.53:53"), Err(StartError::Loop(_))));
        assert!(chosen(&json, "192.0.2.54:53").is_ok());
    }
}
