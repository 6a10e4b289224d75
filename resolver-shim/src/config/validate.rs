//! From the raw configuration to the validated one; a rejected value does not end the validation of the others.

use std::{
    collections::HashMap,
    net::{Ipv6Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::{IpNet, Ipv6Net};
use ssa_dns::{AddressError, Name};
use ssa_input::secrets::{concealed, has_key};
use ssa_rules::{
    Apl, Record,
    apl::{MIN_POSITIVE_LENGTH, Unroutable},
};
use ssa_snapshot::{ServiceName, read};

use super::{
    DEFAULT_SOCKET, Dns, Dnssec, Fault, Fixed, Front, Inbound, Keys, MAX_MEMBERS, MAX_SERVICES, Origin, Outbound, Peer,
    Problem, Service, Socket, limits, raw,
};

/// The minimum length of a prefix of IPv4: the longest block that is private to networks, 10.0.0.0/8, is so long.
const MIN_IPV4_LENGTH: u8 = 8;

/// What the prefixes of a list may be.
struct Prefixes {
    min_count: usize,
    ipv4: bool,
    /// Whether services have them.
    routed: bool,
}

impl Prefixes {
    const fn wanted(&self) -> &'static str {
        if self.ipv4 {
            "a prefix without bits past its length"
        } else {
            "an IPv6 prefix without bits past its length"
        }
    }
}

/// Returns an excerpt of a text for an error, without what may be a key: a key cut in two would not be recognised as one.
fn excerpt(text: &str) -> String {
    concealed(text).chars().take(MAX_EXCERPT).collect()
}

/// The maximum length of an excerpt, in characters.
const MAX_EXCERPT: usize = 64;

/// The faults found so far.
#[derive(Default)]
pub(super) struct Validator {
    pub(super) faults: Vec<Fault>,
}

impl Validator {
    fn fault(&mut self, place: impl Into<String>, problem: Problem) {
        self.faults.push(Fault {
            place: place.into(),
            problem,
        });
    }

    fn parsed<T>(&mut self, place: &str, text: &str, value: Option<T>, wanted: &str) -> Option<T> {
        if value.is_none() {
            let (found, wanted) = (format!("\"{}\"", excerpt(text)), wanted.to_owned());
            self.fault(place, Problem::Value(read::Problem::Value { found, wanted }));
        }
        value
    }

    pub(super) fn absolute(&mut self, place: &str, path: &Path) {
        if !path.is_absolute() {
            self.fault(place, Problem::Relative);
        } else if path.as_os_str().as_bytes().contains(&0) {
            self.fault(place, Problem::Nul);
        }
    }

    fn bounded(&mut self, place: &str, value: u64, [min, max]: [u64; 2]) {
        if !(min..=max).contains(&value) {
            let (found, wanted) = (value.to_string(), format!("an integer from {min} to {max}"));
            self.fault(place, Problem::Value(read::Problem::Value { found, wanted }));
        }
    }

    /// Returns whether a list can be judged: members of another shape were skipped, and those behind them have moved up.
    fn is_whole(&self, place: &str) -> bool {
        let of_member = |fault: &Fault| {
            fault
                .place
                .strip_prefix(place)
                .is_some_and(|rest| rest.starts_with('['))
        };
        !self.faults.iter().any(of_member)
    }

    fn count(&mut self, place: &str, found: usize, [min, max]: [usize; 2]) {
        if found > max || (found < min && self.is_whole(place)) {
            let wanted = format!("{min} to {max} members");
            self.fault(place, Problem::Value(read::Problem::Length { found, wanted }));
        }
    }

    fn missing(&mut self, place: impl Into<String>) {
        self.fault(place, Problem::Value(read::Problem::Missing));
    }

    fn one_of(&mut self, place: impl Into<String>, fields: [&'static str; 2]) {
        self.fault(place, Problem::Value(read::Problem::OneOf(fields)));
    }

    /// Reports members of a list that occur in it before.
    fn unique<T: PartialEq>(&mut self, place: &str, list: &[T]) {
        for (number, member) in list.iter().enumerate() {
            if let Some(first) = list.iter().take(number).position(|other| other == member) {
                self.fault(format!("{place}[{number}]"), Problem::Duplicate { first });
            }
        }
    }

    /// Takes prefixes of at least some length.
    fn prefixes(&mut self, place: &str, list: &[String], bounds: &Prefixes) -> Vec<IpNet> {
        self.each_once(
            place,
            list,
            [bounds.min_count, MAX_MEMBERS],
            |validator, place, text| validator.prefix(place, text, bounds),
        )
    }

    fn prefix(&mut self, place: &str, text: &str, bounds: &Prefixes) -> Option<IpNet> {
        let exact = |prefix: &IpNet| prefix.addr() == prefix.network() && (bounds.ipv4 || prefix.addr().is_ipv6());
        let prefix = self.parsed(place, text, text.parse().ok().filter(exact), bounds.wanted())?;
        let (min, unroutable) = match prefix {
            IpNet::V4(_) => (MIN_IPV4_LENGTH, None),
            IpNet::V6(prefix) if bounds.routed => (MIN_POSITIVE_LENGTH, Unroutable::overlapping(prefix)),
            IpNet::V6(_) => (MIN_POSITIVE_LENGTH, None),
        };
        let problem = if prefix.prefix_len() < min {
            Some(Problem::TooShort { prefix, min })
        } else {
            let text = text.to_owned();
            unroutable.map(|unroutable| Problem::Unroutable { text, unroutable })
        };
        match problem {
            Some(problem) => {
                self.fault(place, problem);
                None
            }
            None => Some(prefix),
        }
    }

    pub(super) fn socket_address(&mut self, place: &str, text: &str) -> Option<SocketAddr> {
        self.address(place, text, ssa_dns::socket_address(text), "ADDRESS:PORT")
    }

    /// Takes an address, or says what it is not: a link-local one names an interface, which must be there.
    fn address<T>(&mut self, place: &str, text: &str, read: Result<T, AddressError>, wanted: &str) -> Option<T> {
        if let Err(AddressError::Unusable { what, .. }) = read {
            let text = excerpt(text);
            self.fault(place, Problem::Unusable { text, what });
            return None;
        }
        let wanted = if text.contains('%') {
            "an address with an interface of this host after %"
        } else {
            wanted
        };
        self.parsed(place, text, read.ok(), wanted)
    }

    /// Takes the members of a list, each of which is unique; nothing is told of those behind a member of another shape.
    fn each_once<T: PartialEq>(
        &mut self,
        place: &str,
        list: &[String],
        count: [usize; 2],
        mut read: impl FnMut(&mut Self, &str, &str) -> Option<T>,
    ) -> Vec<T> {
        self.count(place, list.len(), count);
        if !self.is_whole(place) {
            return Vec::new();
        }
        let mut found: Vec<(usize, T)> = Vec::new();
        for (number, text) in list.iter().enumerate() {
            let place = format!("{place}[{number}]");
            let Some(member) = read(self, &place, text) else {
                continue;
            };
            match found.iter().find(|(_, other)| *other == member) {
                Some((first, _)) => self.fault(place, Problem::Duplicate { first: *first }),
                None => found.push((number, member)),
            }
        }
        found.into_iter().map(|(_, member)| member).collect()
    }

    /// Takes addresses.
    fn addresses<T: PartialEq>(
        &mut self,
        place: &str,
        list: &[String],
        read: impl Fn(&str) -> Result<T, AddressError>,
        wanted: &str,
    ) -> Vec<T> {
        self.each_once(place, list, [1, MAX_MEMBERS], |validator, place, text| {
            validator.address(place, text, read(text), wanted)
        })
    }

    pub(super) fn socket(&mut self, raw: raw::Socket) -> Socket {
        let path = raw.path.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET));
        self.absolute("socket.path", &path);
        // A Unix socket's path has 108 bytes, and a name beside it is used while it is made.
        if path.as_os_str().len() > 100 {
            self.fault("socket.path", Problem::TooLong { max: 100 });
        }
        let mode = raw.mode.as_deref().map_or(Some(0o600), |text| {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| {
                text.len() <= 4 && text.bytes().all(|digit| digit.is_ascii_digit()) && mode & !0o666 == 0
            });
            self.parsed("socket.mode", text, mode, "octal permissions up to 666")
        });
        let peers = raw.peers.map(|peers| {
            self.count("socket.peers", peers.len(), [1, MAX_MEMBERS]);
            let judged: &[raw::Peer] = if self.is_whole("socket.peers") { &peers } else { &[] };
            let ids: Vec<_> = judged.iter().map(|peer| (peer.uid, peer.gid)).collect();
            self.unique("socket.peers", &ids);
            for (number, peer) in judged.iter().enumerate() {
                if peer.uid.is_none() && peer.gid.is_none() {
                    self.missing(format!("socket.peers[{number}].uid"));
                }
                let roles = format!("socket.peers[{number}].roles");
                self.count(&roles, peer.roles.len(), [1, 2]);
                self.unique(&roles, &peer.roles);
            }
            let peer = |peer: raw::Peer| Peer {
                uid: peer.uid.map(raw::Id::get),
                gid: peer.gid.map(raw::Id::get),
                roles: peer.roles,
            };
            peers.into_iter().map(peer).collect()
        });
        Socket {
            path,
            mode: mode.unwrap_or(0o600),
            group: raw.group.map(raw::Id::get),
            peers,
        }
    }

    pub(super) fn front(&mut self, raw: raw::Front, dns: &Dns) -> Front {
        // From an address that stands for all, answers would not come from where they were asked.
        let one = |text: &str| match ssa_dns::socket_address(text) {
            Ok(address) if address.ip().is_unspecified() => Err(AddressError::NoListener { text: text.to_owned() }),
            read => read,
        };
        let listen = self.addresses("front.listen", &raw.listen, one, "ADDRESS:PORT of a single address");
        let bounds = Prefixes {
            min_count: 0,
            ipv4: true,
            routed: false,
        };
        let clients = self.prefixes("front.clients", &raw.clients, &bounds);
        let servers = raw.servers.map(|list| {
            self.addresses(
                "front.servers",
                &list,
                ssa_dns::server_address,
                "ADDRESS or ADDRESS:PORT",
            )
        });
        if servers.is_none() && dns.has_tls() {
            // The front hands on by UDP and TCP alone.
            self.missing("front.servers");
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

    pub(super) fn dns(&mut self, raw: &raw::Dns) -> Dns {
        let wanted = "ADDRESS, ADDRESS:PORT, ADDRESS#NAME or ADDRESS:PORT#NAME";
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
        let (min, max) = (raw.min_refresh_s.get(), raw.max_refresh_s.get());
        self.bounded("dns.max_refresh_s", max.into(), [min.into(), raw::DAY.into()]);
        Dns {
            servers,
            ca,
            dnssec,
            trust_anchors: raw.trust_anchors.clone(),
            timeout: Duration::from_millis(raw.timeout_ms.get().into()),
            concurrency: usize::try_from(raw.concurrency.get()).unwrap_or(1),
            min_refresh: min.into(),
            max_refresh: max.into(),
            max_negative_ttl: raw.max_negative_ttl_s.get().into(),
            max_backoff: raw.max_backoff_s.get().into(),
            stale: raw.stale_s.get().into(),
            max_ttl: raw.max_ttl_s.get().into(),
        }
    }

    pub(super) fn services(&mut self, raw: Vec<Option<raw::Service>>) -> Vec<Service> {
        self.count("services", raw.len(), [0, MAX_SERVICES]);
        let mut met: HashMap<String, usize> = HashMap::new();
        let mut services = Vec::new();
        for (number, service) in raw.into_iter().enumerate().take(MAX_SERVICES) {
            let place = format!("services[{number}]");
            let Some(service) = service else { continue };
            // Domain names do not differ by case (RFC 4343), and neither do these.
            let first = *met.entry(service.name.to_ascii_lowercase()).or_insert(number);
            if first != number {
                self.fault(format!("{place}.name"), Problem::Duplicate { first });
            }
            services.extend(self.service(&place, service).map(|service| (number, service)));
        }
        self.domains(&services);
        services.into_iter().map(|(_, service)| service).collect()
    }

    /// Reports services that would be judged, or whose addresses composed, by the records of one domain and cannot be told
    /// apart.
    fn domains(&mut self, services: &[(usize, Service)]) {
        let mut met: HashMap<&Name, Vec<(usize, &Service)>> = HashMap::new();
        for (number, service) in services {
            let Origin::Dns(domain) = &service.origin else { continue };
            let others = met.entry(domain).or_default();
            if let Some((first, _)) = others.iter().find(|(_, other)| service.meets(other)) {
                let (place, with) = (
                    format!("services[{number}].domain"),
                    format!("services[{first}].domain"),
                );
                self.fault(place, Problem::Collides { with });
            }
            others.push((*number, service));
        }
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
            "1 to 253 of a-z A-Z 0-9 - _ .",
        );
        let origin = match (raw.fixed, raw.domain) {
            (Some(_), Some(_)) => {
                self.one_of(place, ["static", "domain"]);
                None
            }
            (Some(fixed), None) => Some(Origin::Fixed(self.fixed(&format!("{place}.static"), fixed))),
            (None, domain) => {
                let domain = domain.unwrap_or_else(|| raw.name.clone());
                // A name that is faulty already says so once.
                match ssa_dns::name(&domain) {
                    Ok(name) => Some(Origin::Dns(name)),
                    Err(error) => {
                        self.fault(format!("{place}.domain"), Problem::Name(error));
                        None
                    }
                }
            }
        };
        let allowed = self.allowed(&format!("{place}.allowed"), &raw.allowed);
        if raw.inbound.is_none() && raw.outbound.is_none() {
            self.missing(format!("{place}.inbound"));
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
                self.fault(format!("{place}.rules[{number}]"), Problem::NotRecord);
            }
        }
        self.count(&format!("{place}.addresses"), raw.addresses.len(), [0, MAX_MEMBERS]);
        let mut addresses = Vec::new();
        let read: Vec<Ipv6Addr> = raw.addresses.iter().filter_map(|text| text.parse().ok()).collect();
        if read.len() == raw.addresses.len() {
            self.unique(&format!("{place}.addresses"), &read);
        }
        for (number, text) in raw.addresses.iter().enumerate() {
            let place = format!("{place}.addresses[{number}]");
            let address = self.parsed(&place, text, text.parse::<Ipv6Addr>().ok(), "an IPv6 address");
            if let Some(unroutable) = address.and_then(|address| Unroutable::overlapping(address.into())) {
                let text = text.clone();
                self.fault(place, Problem::Unroutable { text, unroutable });
            }
            addresses.extend(address);
        }
        Fixed {
            apl,
            rules: raw.rules,
            addresses,
        }
    }

    fn allowed(&mut self, place: &str, raw: &[String]) -> Vec<Ipv6Net> {
        let bounds = Prefixes {
            min_count: 1,
            ipv4: false,
            routed: true,
        };
        let ipv6 = |prefix| match prefix {
            IpNet::V6(prefix) => Some(prefix),
            IpNet::V4(_) => None,
        };
        self.prefixes(place, raw, &bounds)
            .into_iter()
            .filter_map(ipv6)
            .collect()
    }

    fn ports(&mut self, place: &str, ports: Vec<u16>, min: usize) -> Vec<u16> {
        self.count(place, ports.len(), [min, MAX_MEMBERS]);
        if self.is_whole(place) {
            self.unique(place, &ports);
            for (number, port) in ports.iter().enumerate() {
                self.bounded(&format!("{place}[{number}]"), (*port).into(), [1, u16::MAX.into()]);
            }
        }
        ports
    }

    fn inbound(&mut self, place: &str, raw: raw::Inbound) -> Inbound {
        let ports = self.ports(&format!("{place}.ports"), raw.ports, 1);
        if let Some(path) = &raw.secrets {
            self.absolute(&format!("{place}.secrets"), path);
        }
        Inbound {
            ports,
            mode: raw.mode,
            policy: raw.policy,
            secrets: raw.secrets,
        }
    }

    fn outbound(&mut self, place: &str, raw: raw::Outbound) -> Outbound {
        let ports = self.ports(&format!("{place}.ports"), raw.ports, 0);
        if let Some(port) = raw.port {
            self.bounded(&format!("{place}.port"), port.into(), [1, u16::MAX.into()]);
        }
        for (field, path) in [("secrets", &raw.secrets), ("client_keys", &raw.client_keys)] {
            if let Some(path) = path {
                self.absolute(&format!("{place}.{field}"), path);
            }
        }
        let keys = match (raw.secrets, raw.client_keys) {
            (Some(_), Some(_)) => {
                self.one_of(place, ["secrets", "client_keys"]);
                None
            }
            (Some(path), None) => Some(Keys::Secrets(path)),
            (None, Some(path)) => Some(Keys::Client(path)),
            (None, None) => None,
        };
        Outbound {
            ports,
            port: raw.port,
            keys,
        }
    }
}
