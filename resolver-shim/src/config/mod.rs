//! The configuration: JSON in, validated values out, every fault of a value at once.

mod collisions;
mod fault;
mod raw;
mod shape;
mod shared;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::{IpNet, Ipv6Net};
use ssa_dns::{AddressError, Name, Server};
use ssa_input::secrets::{concealed, has_key};
use ssa_rules::{Apl, Limits, Record};

pub use fault::{ConfigError, Fault, Problem};
use shape::Shaped;

pub use raw::Dnssec;
pub use shared::SharedPort;
pub use ssa_snapshot::{DEFAULT_SOCKET, MAX_SERVICES, Mode, Policy, Role, ServiceName};

pub use crate::folders::Folders;

/// The most bytes of a configuration.
pub const MAX_BYTES: usize = 8 << 20;

/// Returns what a record may ask of the front by default.
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

/// The most members of other lists.
pub const MAX_MEMBERS: usize = 64;

/// The shortest allowed prefix: the shortest that an address list may have.
const LEAST_LENGTH: u8 = 16;

/// What the daemon is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where snapshots are served.
    pub socket: Socket,
    /// Where health and metrics are served, if at all.
    pub admin: Option<SocketAddr>,
    /// The file that outlives the daemon, if any.
    pub state: Option<PathBuf>,
    /// Whose folders the socket and that file may be in.
    pub folders: Folders,
    /// The kill switch: every service is off.
    pub off: bool,
    /// Whether snapshots say which source each item's connections use.
    pub sources: bool,
    /// How the DNS is asked.
    pub dns: Dns,
    /// The services.
    pub services: Vec<Service>,
    /// The DNS front, if any.
    pub front: Option<Front>,
}

/// Where snapshots are served, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The path of the Unix socket.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// Its group, if not the daemon's.
    pub group: Option<u32>,
    /// Who may fetch what; without any, the daemon's own user may fetch everything.
    pub peers: Option<Vec<Peer>>,
}

/// Processes, and what they may fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Their user, or any.
    pub uid: Option<u32>,
    /// Their group, or any.
    pub gid: Option<u32>,
    /// What they may fetch.
    pub roles: Vec<Role>,
}

/// How the DNS is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// The servers; those of the system where none are given.
    pub servers: Option<Vec<Server>>,
    /// The file of the certificates that servers by TLS are trusted for; those of the system where none is given.
    pub ca: Option<PathBuf>,
    /// What is made of the signatures of answers.
    pub dnssec: Dnssec,
    /// The file of the keys that signatures have to lead to; those of the public root where none is given.
    pub trust_anchors: Option<PathBuf>,
    /// How long each is waited for.
    pub timeout: Duration,
    /// How many services are asked for at once.
    pub concurrency: usize,
    /// The shortest time between two questions for a service, whatever the TTL, in seconds.
    pub refresh_least: u64,
    /// The longest, in seconds.
    pub refresh_most: u64,
    /// The longest that an absence counts, in seconds.
    pub absent_most: u64,
    /// The longest time between two tries after failures, in seconds.
    pub retry_most: u64,
    /// How long clients are served what has expired while no server answers, in seconds.
    pub stale: u64,
    /// The longest that a TTL counts, in seconds.
    pub ttl_most: u64,
}

impl Dns {
    /// Returns whether a server is asked by TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.servers.iter().flatten().any(|server| server.tls.is_some())
    }
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What metrics, logs and snapshots call it.
    pub name: ServiceName,
    /// Where its records come from.
    pub origin: Origin,
    /// Where its addresses may lie.
    pub allowed: Vec<Ipv6Net>,
    /// What its servers are told, if anything.
    pub inbound: Option<Inbound>,
    /// What its clients are told, if anything.
    pub outbound: Option<Outbound>,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The DNS, at this name.
    Dns(Name),
    /// The configuration.
    Fixed(Fixed),
}

/// Records that stand in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The address list.
    pub apl: Option<Apl>,
    /// The rule records.
    pub rules: Vec<String>,
    /// The plain addresses.
    pub addresses: Vec<Ipv6Addr>,
}

/// What servers are told of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Its ports.
    pub ports: Vec<u16>,
    /// How it is treated.
    pub mode: Mode,
    /// What is done about findings.
    pub policy: Policy,
    /// The directory of its secrets, a file each.
    pub secrets: Option<PathBuf>,
}

/// What clients are told of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The ports that are rewritten; none means all.
    pub ports: Vec<u16>,
    /// The port to connect to instead.
    pub port: Option<u16>,
    /// The directory of its secrets, a file each.
    pub keys: Option<Keys>,
}

/// A directory of key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Of secrets themselves.
    Secrets(PathBuf),
    /// Of this client's own keys.
    Client(PathBuf),
}

/// The DNS front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// Where it listens, by UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Who may ask, besides this host.
    pub clients: Vec<IpNet>,
    /// The servers that all else is handed to; those of [`Dns`] where none are given.
    pub servers: Option<Vec<SocketAddr>>,
    /// Whether addresses are composed by rules with a secret too.
    pub keyed: bool,
    /// Whether zones are handed on (AXFR, IXFR).
    pub transfers: bool,
    /// What records may ask of it.
    pub limits: Limits,
}

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
    /// All of its faults. Of services whose fields or types are not foreseen these alone; of what is no JSON the first.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let whole = |problem| ConfigError {
            faults: vec![Fault {
                place: String::new(),
                problem,
            }],
        };
        if json.len() > MAX_BYTES {
            return Err(whole(Problem::TooLong { most: MAX_BYTES }));
        }
        let shaped = shape::read(json).map_err(|faults| ConfigError { faults })?;
        Self::read(shaped)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, or all of its faults.
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
    /// Why it cannot be read, or all of its faults.
    pub fn from_stream(stream: impl std::io::Read) -> Result<Self, ConfigError> {
        let place = "standard input";
        match crate::reading::read_at_most(stream, MAX_BYTES) {
            Ok(json) if json.is_empty() => Err(ConfigError::unreadable(
                place,
                &std::io::Error::other("is empty: nothing was given, or it was read before"),
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
        let mut reader = Reader { faults };
        let socket = reader.socket(raw.socket);
        let admin = raw.admin.and_then(|text| reader.socket_address("admin", &text));
        let state = raw.state.inspect(|path| reader.absolute("state", path));
        let dns = reader.dns(&raw.dns);
        let services = reader.services(services);
        let front = raw.front.map(|front| reader.front(front, &dns));
        if reader.faults.is_empty() {
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
            Err(ConfigError { faults: reader.faults })
        }
    }
}

/// Keeps the faults met so far.
#[derive(Default)]
struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, place: impl Into<String>, problem: Problem) {
        self.faults.push(Fault {
            place: place.into(),
            problem,
        });
    }

    fn parsed<T>(&mut self, place: &str, text: &str, value: Option<T>, wanted: &'static str) -> Option<T> {
        if value.is_none() {
            // Of a key that is cut in two nobody would see that it is one.
            let text = concealed(text).chars().take(MAX_MEMBERS).collect();
            self.fault(place, Problem::NoText { text, wanted });
        }
        value
    }

    fn absolute(&mut self, place: &str, path: &Path) {
        if !path.is_absolute() {
            self.fault(place, Problem::Relative);
        }
    }

    fn bounded(&mut self, place: &str, value: Option<u64>, default: u64, [least, greatest]: [u64; 2]) -> u64 {
        let value = value.unwrap_or(default);
        if !(least..=greatest).contains(&value) {
            self.fault(place, Problem::OutOfBounds { value, least, greatest });
        }
        value
    }

    /// Says whether a list can be judged: members of another shape were passed over, and those behind them have moved up.
    fn is_whole(&self, place: &str) -> bool {
        let of_member = |fault: &Fault| {
            fault
                .place
                .strip_prefix(place)
                .is_some_and(|rest| rest.starts_with('['))
        };
        !self.faults.iter().any(of_member)
    }

    fn count(&mut self, place: &str, found: usize, [least, most]: [usize; 2]) {
        if found > most {
            self.fault(place, Problem::TooMany { found, most });
        } else if found < least && self.is_whole(place) {
            self.fault(place, Problem::Empty);
        }
    }

    /// Takes the number of a user or a group. The last one is none: to chown(2) it means that nothing is to change.
    fn id(&mut self, place: &str, id: Option<u32>) -> Option<u32> {
        self.bounded(place, id.map(u64::from), 0, [0, u64::from(u32::MAX) - 1]);
        id
    }

    fn socket_address(&mut self, place: &str, text: &str) -> Option<SocketAddr> {
        self.address(place, text, ssa_dns::socket_address(text), "not ADDRESS:PORT")
    }

    /// Takes an address, or says what it is not: a link-local one names an interface, which has to be there.
    fn address<T>(
        &mut self,
        place: &str,
        text: &str,
        read: Result<T, AddressError>,
        wanted: &'static str,
    ) -> Option<T> {
        let wanted = match &read {
            Err(AddressError::Unusable { what, .. }) => what,
            _ if text.contains('%') => "not an address with an interface of this host after %",
            _ => wanted,
        };
        self.parsed(place, text, read.ok(), wanted)
    }

    /// Takes addresses, each of which stands once.
    fn addresses<T: PartialEq>(
        &mut self,
        place: &str,
        list: &[String],
        read: impl Fn(&str) -> Result<T, AddressError>,
        wanted: &'static str,
    ) -> Vec<T> {
        self.count(place, list.len(), [1, MAX_MEMBERS]);
        if !self.is_whole(place) {
            return Vec::new();
        }
        let mut found: Vec<(usize, T)> = Vec::new();
        for (number, text) in list.iter().enumerate() {
            let place = format!("{place}[{number}]");
            let Some(address) = self.address(&place, text, read(text), wanted) else {
                continue;
            };
            match found.iter().find(|(_, other)| *other == address) {
                Some((first, _)) => self.fault(place, Problem::Repeated { first: *first }),
                None => found.push((number, address)),
            }
        }
        found.into_iter().map(|(_, address)| address).collect()
    }

    fn socket(&mut self, raw: raw::Socket) -> Socket {
        let path = raw.path.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET));
        self.absolute("socket.path", &path);
        // A Unix socket's path has 108 bytes, and a name beside it is used while it is made.
        if path.as_os_str().len() > 100 {
            self.fault("socket.path", Problem::TooLong { most: 100 });
        }
        let mode = raw.mode.as_deref().map_or(Some(0o600), |text| {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| {
                text.len() <= 4 && text.bytes().all(|digit| digit.is_ascii_digit()) && mode & !0o666 == 0
            });
            self.parsed("socket.mode", text, mode, "not octal permissions up to 666")
        });
        let peers = raw.peers.map(|peers| {
            self.count("socket.peers", peers.len(), [1, MAX_MEMBERS]);
            let judged: &[raw::Peer] = if self.is_whole("socket.peers") { &peers } else { &[] };
            for (number, peer) in judged.iter().enumerate() {
                self.id(&format!("socket.peers[{number}].uid"), peer.uid);
                self.id(&format!("socket.peers[{number}].gid"), peer.gid);
                if peer.uid.is_none() && peer.gid.is_none() {
                    self.fault(format!("socket.peers[{number}].uid"), Problem::Missing);
                }
                self.count(&format!("socket.peers[{number}].roles"), peer.roles.len(), [1, 2]);
            }
            let peer = |peer: raw::Peer| Peer {
                uid: peer.uid,
                gid: peer.gid,
                roles: peer.roles,
            };
            peers.into_iter().map(peer).collect()
        });
        Socket {
            path,
            mode: mode.unwrap_or(0o600),
            group: self.id("socket.group", raw.group),
            peers,
        }
    }

    fn front(&mut self, raw: raw::Front, dns: &Dns) -> Front {
        // From an address that stands for all, answers would not come from where they were asked.
        let one = |text: &str| match ssa_dns::socket_address(text) {
            Ok(address) if address.ip().is_unspecified() => Err(AddressError::NoListener { text: text.to_owned() }),
            read => read,
        };
        let listen = self.addresses("front.listen", &raw.listen, one, "not ADDRESS:PORT of a single address");
        self.count("front.clients", raw.clients.len(), [0, MAX_MEMBERS]);
        let mut clients = Vec::new();
        let judged: &[String] = if self.is_whole("front.clients") {
            &raw.clients
        } else {
            &[]
        };
        for (number, text) in judged.iter().enumerate() {
            let place = format!("front.clients[{number}]");
            clients.extend(self.parsed(&place, text, text.parse::<IpNet>().ok(), "not a prefix"));
        }
        let servers = raw.servers.map(|list| {
            self.addresses(
                "front.servers",
                &list,
                ssa_dns::server_address,
                "not ADDRESS or ADDRESS:PORT",
            )
        });
        if servers.is_none() && dns.has_tls() {
            // The front hands on by UDP and TCP alone.
            self.fault("front.servers", Problem::Missing);
        }
        let own = dns.servers.iter().flatten().map(|server| &server.address);
        if let Some(server) = servers
            .iter()
            .flatten()
            .chain(own)
            .find(|server| listen.contains(server))
        {
            self.fault("front.listen", Problem::Loop { server: *server });
        }
        Front {
            listen,
            clients,
            servers,
            keyed: raw.keyed,
            transfers: raw.transfers,
            limits: limits(raw.max_pow, raw.min_time_step_s),
        }
    }

    fn dns(&mut self, raw: &raw::Dns) -> Dns {
        let wanted = "not ADDRESS, ADDRESS:PORT, ADDRESS#NAME or ADDRESS:PORT#NAME";
        let servers = raw
            .servers
            .as_ref()
            .map(|list| self.addresses("dns.servers", list, ssa_dns::server, wanted));
        let ca = raw.tls.as_ref().map(|tls| tls.ca.clone());
        if let Some(path) = &ca {
            self.absolute("dns.tls.ca", path);
        }
        let dnssec = raw.dnssec;
        if let Some(path) = &raw.trust_anchors {
            self.absolute("dns.trust_anchors", path);
            if dnssec == Dnssec::Off {
                let missing = "dns.dnssec";
                self.fault("dns.trust_anchors", Problem::Without { missing });
            }
        }
        let (least, most) = (raw.refresh_least_s.get(), raw.refresh_most_s.get());
        if most < least {
            let (value, least, greatest) = (most.into(), least.into(), 86_400);
            self.fault("dns.refresh_most_s", Problem::OutOfBounds { value, least, greatest });
        }
        Dns {
            servers,
            ca,
            dnssec,
            trust_anchors: raw.trust_anchors.clone(),
            timeout: Duration::from_millis(raw.timeout_ms.get().into()),
            concurrency: usize::try_from(raw.concurrency.get()).unwrap_or(1),
            refresh_least: least.into(),
            refresh_most: most.into(),
            absent_most: raw.absent_most_s.get().into(),
            retry_most: raw.retry_most_s.get().into(),
            stale: raw.stale_s.get().into(),
            ttl_most: raw.ttl_most_s.get().into(),
        }
    }

    fn services(&mut self, raw: Vec<Option<raw::Service>>) -> Vec<Service> {
        self.count("services", raw.len(), [0, MAX_SERVICES]);
        let mut met: HashMap<String, usize> = HashMap::new();
        let mut services = Vec::new();
        for (number, service) in raw.into_iter().enumerate().take(MAX_SERVICES) {
            let place = format!("services[{number}]");
            let Some(service) = service else { continue };
            let first = *met.entry(service.name.clone()).or_insert(number);
            if first != number {
                self.fault(format!("{place}.name"), Problem::Repeated { first });
            }
            services.extend(self.service(&place, service));
        }
        services
    }

    fn service(&mut self, place: &str, raw: raw::Service) -> Option<Service> {
        if has_key(&raw.name) {
            // It would be a label of metrics.
            self.fault(format!("{place}.name"), Problem::Key);
        }
        let name = self.parsed(
            &format!("{place}.name"),
            &raw.name,
            ServiceName::new(&raw.name),
            "not 1 to 253 of a-z A-Z 0-9 - _ .",
        );
        let origin = match (raw.fixed, raw.domain) {
            (Some(_), Some(_)) => {
                self.fault(place, Problem::OneOf(["static", "domain"]));
                None
            }
            (Some(fixed), None) => Some(Origin::Fixed(self.fixed(&format!("{place}.static"), fixed))),
            (None, domain) => {
                let domain = domain.unwrap_or_else(|| raw.name.clone());
                // A name that is at fault already says so once.
                match ssa_dns::name(&domain) {
                    Ok(name) => Some(Origin::Dns(name)),
                    Err(error) => {
                        self.fault(format!("{place}.domain"), Problem::NoName(error));
                        None
                    }
                }
            }
        };
        let allowed = self.allowed(&format!("{place}.allowed"), &raw.allowed);
        if raw.inbound.is_none() && raw.outbound.is_none() {
            self.fault(format!("{place}.inbound"), Problem::Missing);
        }
        let inbound = raw.inbound.map(|raw| self.inbound(&format!("{place}.inbound"), raw));
        let outbound = raw.outbound.map(|raw| self.outbound(&format!("{place}.outbound"), raw));
        Some(Service {
            name: name?,
            origin: origin?,
            allowed,
            inbound,
            outbound,
        })
    }

    fn fixed(&mut self, place: &str, raw: raw::Fixed) -> Fixed {
        let apl = raw.apl.and_then(|text| match text.parse::<Apl>() {
            Ok(apl) => Some(apl),
            Err(error) => {
                self.fault(format!("{place}.apl"), Problem::Apl(error));
                None
            }
        });
        self.count(&format!("{place}.rules"), raw.rules.len(), [1, MAX_MEMBERS]);
        for (number, rule) in raw.rules.iter().enumerate() {
            if !Record::counts(rule.as_bytes()) {
                self.fault(format!("{place}.rules[{number}]"), Problem::NoRecord);
            }
        }
        self.count(&format!("{place}.addresses"), raw.addresses.len(), [0, MAX_MEMBERS]);
        let mut addresses = Vec::new();
        for (number, text) in raw.addresses.iter().enumerate() {
            let place = format!("{place}.addresses[{number}]");
            addresses.extend(self.parsed(&place, text, text.parse::<Ipv6Addr>().ok(), "not an IPv6 address"));
        }
        Fixed {
            apl,
            rules: raw.rules,
            addresses,
        }
    }

    fn allowed(&mut self, place: &str, raw: &[String]) -> Vec<Ipv6Net> {
        self.count(place, raw.len(), [1, MAX_MEMBERS]);
        let mut allowed = Vec::new();
        for (number, text) in raw.iter().enumerate() {
            let place = format!("{place}[{number}]");
            let exact = |prefix: &Ipv6Net| prefix.addr() == prefix.network();
            let prefix = text.parse().ok().filter(exact);
            let prefix = self.parsed(&place, text, prefix, "not an IPv6 prefix without bits past its length");
            if let Some(prefix) = prefix.filter(|prefix| prefix.prefix_len() < LEAST_LENGTH) {
                let least = LEAST_LENGTH;
                self.fault(place, Problem::TooWide { prefix, least });
            }
            allowed.extend(prefix);
        }
        allowed
    }

    fn ports(&mut self, place: &str, ports: &[u16]) {
        for (number, port) in ports.iter().enumerate() {
            self.bounded(
                &format!("{place}[{number}]"),
                Some((*port).into()),
                1,
                [1, u16::MAX.into()],
            );
        }
    }

    fn inbound(&mut self, place: &str, raw: raw::Inbound) -> Inbound {
        let ports = format!("{place}.ports");
        self.count(&ports, raw.ports.len(), [1, MAX_MEMBERS]);
        self.ports(&ports, &raw.ports);
        if let Some(path) = &raw.secrets {
            self.absolute(&format!("{place}.secrets"), path);
        }
        Inbound {
            ports: raw.ports,
            mode: raw.mode,
            policy: raw.policy,
            secrets: raw.secrets,
        }
    }

    fn outbound(&mut self, place: &str, raw: raw::Outbound) -> Outbound {
        let ports = format!("{place}.ports");
        self.count(&ports, raw.ports.len(), [0, MAX_MEMBERS]);
        self.ports(&ports, &raw.ports);
        if let Some(port) = raw.port {
            self.bounded(&format!("{place}.port"), Some(port.into()), 1, [1, u16::MAX.into()]);
        }
        for (field, path) in [("secrets", &raw.secrets), ("client_keys", &raw.client_keys)] {
            if let Some(path) = path {
                self.absolute(&format!("{place}.{field}"), path);
            }
        }
        let keys = match (raw.secrets, raw.client_keys) {
            (Some(_), Some(_)) => {
                self.fault(place, Problem::OneOf(["secrets", "client_keys"]));
                None
            }
            (Some(path), None) => Some(Keys::Secrets(path)),
            (None, Some(path)) => Some(Keys::Client(path)),
            (None, None) => None,
        };
        Outbound {
            ports: raw.ports,
            port: raw.port,
            keys,
        }
    }
}
