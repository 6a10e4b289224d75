//! One question to one server: by UDP, then TCP where the answer was cut short; or by TLS.

use std::{
    fmt,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::Stream;
use hickory_resolver::{
    net::{
        BufDnsStreamHandle, DnsStreamHandle, NetError,
        runtime::{DnsTcpStream, TokioRuntimeProvider},
        tcp::TcpClientStream,
        udp::UdpClientStream,
        xfer::{DnsRequestSender, FirstAnswer},
    },
    proto::{
        ProtoError,
        op::{DnsRequest, DnsRequestOptions, DnsResponse, Query, ResponseCode, SerialMessage},
        rr::{Name, RecordType},
        serialize::binary::DecodeError,
    },
};

/// How often a question is sent by UDP.
const TRIES: u8 = 3;

/// A DNS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// The name that its certificate has, where it is asked by TLS (RFC 7858).
    pub tls: Option<String>,
}

/// The servers to ask, in this order, and how long to wait for each.
#[derive(Clone, Debug)]
pub struct Servers {
    asked: Arc<[Asked]>,
    addresses: Vec<SocketAddr>,
    timeout: Duration,
    /// The one that answered last, which is asked first.
    first: Arc<AtomicUsize>,
}

/// One of the servers.
#[derive(Debug)]
struct Asked {
    upstream: Arc<Upstream>,
    #[cfg(feature = "secure")]
    validator: Option<crate::dnssec::Validator>,
}

/// The way to a server.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) timeout: Duration,
    #[cfg(feature = "secure")]
    tls: Option<crate::tls::Tls>,
}

/// What is known of the signatures of an answer, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Nobody looked at them.
    Unchecked,
    /// It has none, and is proven to be of a zone without.
    Insecure,
    /// They lead to a trust anchor.
    Secure,
}

/// Why a question got no answer.
#[derive(Clone, Debug)]
pub enum AskError {
    /// The system names no server.
    NoServers(String),
    /// There is no room for `_ssa.` in front of the name.
    NameTooLong,
    /// This process cannot wait for sockets.
    NoRuntime(String),
    /// No server answered in time.
    Timeout {
        /// Those asked.
        servers: Vec<SocketAddr>,
        /// How long each was waited for.
        waited: Duration,
    },
    /// A server answered that it cannot or will not say.
    Refused {
        /// The server.
        server: SocketAddr,
        /// Its response code.
        code: ResponseCode,
    },
    /// The answer holds a record without data, which breaks the decoder for the whole message: most likely an APL
    /// record without items.
    EmptyRecord {
        /// The server.
        server: SocketAddr,
    },
    /// The answer is not a DNS message.
    Malformed {
        /// The server.
        server: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The server cannot be reached.
    Unreachable {
        /// The server.
        server: SocketAddr,
        /// Why not.
        reason: String,
    },
    /// No TLS connection comes about with the server, or none that can be trusted.
    Tls {
        /// The server.
        server: SocketAddr,
        /// Why not.
        reason: String,
    },
    /// The answer is not signed as it should be.
    Bogus {
        /// The server.
        server: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer's signatures cannot be checked, for another question has no answer.
    Unproven {
        /// That question: name and type.
        question: String,
        /// What became of it.
        error: Box<AskError>,
    },
    /// The answer has records, but none of them answers the question.
    OffTopic,
    /// The aliases lead nowhere.
    AliasLoop {
        /// How many were followed.
        followed: usize,
    },
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServers(reason) => {
                write!(
                    f,
                    "the system names no DNS server ({reason}); give one with --server ADDR:PORT"
                )
            }
            Self::NameTooLong => f.write_str("the name has no room for _ssa. in front of it (255 bytes in all)"),
            Self::NoRuntime(reason) => write!(f, "no sockets can be waited for: {reason}"),
            Self::Timeout { servers, waited } => {
                let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "timeout: no answer from {} within {} s",
                    servers.join(", "),
                    waited.as_secs_f32()
                )
            }
            Self::Refused { server, code } => write!(f, "{}: answer of {server}: {code}", code_name(*code)),
            Self::EmptyRecord { server } => write!(
                f,
                "the answer of {server} holds a record without data (RDLENGTH 0), such as an APL record without items, \
                 and cannot be decoded; an APL record needs at least one item"
            ),
            Self::Malformed { server, reason } => write!(f, "the answer of {server} cannot be decoded: {reason}"),
            Self::Unreachable { server, reason } => write!(f, "{server} cannot be reached: {reason}"),
            Self::Tls { server, reason } => write!(f, "no TLS connection with {server}: {reason}"),
            Self::Bogus { server, reason } => write!(f, "the answer of {server} is not to be trusted: {reason}"),
            Self::Unproven { question, error } => write!(f, "signatures cannot be checked: {question}: {error}"),
            Self::OffTopic => f.write_str("the answer has records, but none of the name and type asked for"),
            Self::AliasLoop { followed } => write!(f, "{followed} aliases (CNAME) followed, and no end to them"),
        }
    }
}

impl AskError {
    /// Returns the stable name of the kind of error.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoServers(_) => "no_servers",
            Self::NameTooLong => "name_too_long",
            Self::NoRuntime(_) => "no_runtime",
            Self::Timeout { .. } => "timeout",
            Self::Refused { code, .. } => code_name(*code),
            Self::EmptyRecord { .. } => "empty_record",
            Self::Malformed { .. } => "malformed",
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::Bogus { .. } => "bogus",
            Self::Unproven { error, .. } => error.name(),
            Self::OffTopic => "off_topic",
            Self::AliasLoop { .. } => "alias_loop",
        }
    }
}

/// Returns the mnemonic of a response code.
fn code_name(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        _ => "error",
    }
}

impl Servers {
    /// The one server given.
    #[must_use]
    pub fn one(address: SocketAddr, timeout: Duration) -> Self {
        Self::new(vec![address], timeout)
    }

    /// These servers; without any, every question fails.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>, timeout: Duration) -> Self {
        let asked = |address: &SocketAddr| Asked {
            upstream: Arc::new(Upstream {
                address: *address,
                timeout,
                #[cfg(feature = "secure")]
                tls: None,
            }),
            #[cfg(feature = "secure")]
            validator: None,
        };
        Self {
            asked: addresses.iter().map(asked).collect(),
            addresses,
            timeout,
            first: Arc::default(),
        }
    }

    /// These servers, by TLS where they have a name, and their answers proven by DNSSEC where there are trust anchors.
    ///
    /// # Errors
    ///
    /// What is wrong with a name or with what TLS trusts.
    #[cfg(feature = "secure")]
    pub fn secured(
        servers: &[Server],
        timeout: Duration,
        roots: crate::Roots<'_>,
        anchors: Option<&crate::Anchors>,
    ) -> Result<Self, crate::TrustError> {
        let named = servers.iter().any(|server| server.tls.is_some());
        let config = named.then(|| crate::tls::configuration(roots)).transpose()?;
        let mut asked = Vec::new();
        for server in servers {
            let tls = match (&server.tls, &config) {
                (Some(name), Some(config)) => Some(crate::tls::Tls::new(name, config.clone())?),
                _ => None,
            };
            let upstream = Arc::new(Upstream {
                address: server.address,
                timeout,
                tls,
            });
            asked.push(Asked {
                validator: anchors.map(|anchors| crate::dnssec::Validator::new(&upstream, anchors)),
                upstream,
            });
        }
        Ok(Self {
            asked: asked.into(),
            addresses: servers.iter().map(|server| server.address).collect(),
            timeout,
            first: Arc::default(),
        })
    }

    /// The servers that this system asks.
    ///
    /// # Errors
    ///
    /// [`AskError::NoServers`].
    pub fn of_system(timeout: Duration) -> Result<Self, AskError> {
        let addresses = system_servers()?;
        Ok(Self::new(addresses, timeout))
    }

    /// Returns their addresses.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Asks one server after the other until one answers.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<(DnsResponse, Proof), AskError> {
        let mut worst = None;
        let first = self.first.load(Ordering::Relaxed);
        let order = self.asked.iter().enumerate();
        for (number, asked) in order.clone().skip(first).chain(order.take(first)) {
            match asked.ask(name, kind).await {
                Ok(response) => {
                    self.first.store(number, Ordering::Relaxed);
                    return Ok(response);
                }
                // What is wrong with a message says more than that another server is silent.
                Err(error) if worst.as_ref().is_none_or(|worst| !is_of_message(worst)) => worst = Some(error),
                Err(_) => {}
            }
        }
        match worst {
            None | Some(AskError::Timeout { .. }) => Err(AskError::Timeout {
                servers: self.addresses.clone(),
                waited: self.timeout,
            }),
            Some(error) => Err(error),
        }
    }
}

/// Returns the addresses of the servers that this system asks.
///
/// # Errors
///
/// [`AskError::NoServers`].
pub fn system_servers() -> Result<Vec<SocketAddr>, AskError> {
    let (config, _) =
        hickory_resolver::system_conf::read_system_conf().map_err(|error| AskError::NoServers(error.to_string()))?;
    let addresses: Vec<SocketAddr> = config
        .name_servers()
        .iter()
        .map(|server| SocketAddr::new(server.ip, 53))
        .collect();
    if addresses.is_empty() {
        Err(AskError::NoServers("none found".into()))
    } else {
        Ok(addresses)
    }
}

impl Asked {
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<(DnsResponse, Proof), AskError> {
        #[cfg(feature = "secure")]
        if let Some(validator) = &self.validator {
            // A task waits for each service: what few of them do is not to make all of them larger.
            return Box::pin(validator.ask(name, kind)).await;
        }
        let mut query = Query::query(name.clone(), kind);
        query.set_query_class(hickory_resolver::proto::rr::DNSClass::IN);
        let response = self
            .upstream
            .exchange(&DnsRequest::from_query(query, options()))
            .await?;
        Ok((response, Proof::Unchecked))
    }
}

impl Upstream {
    /// Asks, and takes only answers that say that there is something or nothing.
    pub(crate) async fn exchange(&self, request: &DnsRequest) -> Result<DnsResponse, AskError> {
        #[cfg(feature = "secure")]
        let response = match &self.tls {
            Some(tls) => Box::pin(tls.ask(self, request)).await?,
            None => self.by_udp_or_tcp(request).await?,
        };
        #[cfg(not(feature = "secure"))]
        let response = self.by_udp_or_tcp(request).await?;
        match response.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(response),
            code => Err(AskError::Refused {
                server: self.address,
                code,
            }),
        }
    }

    async fn by_udp_or_tcp(&self, request: &DnsRequest) -> Result<DnsResponse, AskError> {
        match self.by_udp(request).await {
            // An answer that was cut short may be cut inside a record.
            Ok(response) if !response.metadata.truncation => Ok(response),
            Ok(_) => self.by_tcp(request).await.map_err(|error| self.tell(&error)),
            Err(error) => Err(self.tell(&error)),
        }
    }

    async fn by_udp(&self, request: &DnsRequest) -> Result<DnsResponse, NetError> {
        let interval = self.timeout / u32::from(TRIES);
        let floor = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let stream = UdpClientStream::builder(self.address, TokioRuntimeProvider::new());
        let stream = stream
            .with_timeout(Some(self.timeout))
            .with_max_retries(TRIES)
            .with_retry_interval_floor(floor);
        stream.build().send_message(request.clone()).first_answer().await
    }

    async fn by_tcp(&self, request: &DnsRequest) -> Result<DnsResponse, NetError> {
        let work = async {
            let (connect, mut sender) =
                TcpClientStream::new(self.address, None, Some(self.timeout), TokioRuntimeProvider::new());
            converse(&mut connect.await?, &mut sender, self.address, request).await
        };
        tokio::time::timeout(self.timeout, work)
            .await
            .unwrap_or(Err(NetError::Timeout))
    }

    pub(crate) fn tell(&self, error: &NetError) -> AskError {
        let server = self.address;
        match error {
            NetError::Timeout => AskError::Timeout {
                servers: vec![server],
                waited: self.timeout,
            },
            NetError::Proto(error) if is_empty_record(error) => AskError::EmptyRecord { server },
            NetError::Proto(error) => AskError::Malformed {
                server,
                reason: error.to_string(),
            },
            error => AskError::Unreachable {
                server,
                reason: error.to_string(),
            },
        }
    }
}

/// Asks over a connection that nobody else uses meanwhile.
pub(crate) async fn converse<S: DnsTcpStream>(
    stream: &mut TcpClientStream<S>,
    sender: &mut BufDnsStreamHandle,
    server: SocketAddr,
    request: &DnsRequest,
) -> Result<DnsResponse, NetError> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(|error| NetError::from(error.to_string()))?;
    let (mut message, _) = request.clone().into_parts();
    message.metadata.id = u16::from_be_bytes(random);
    sender.send(SerialMessage::new(message.to_vec()?, server))?;
    while let Some(bytes) = poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await {
        let (bytes, _) = bytes?.into_parts();
        if !bytes.starts_with(&random) {
            continue;
        }
        let response = DnsResponse::from_buffer(bytes)?;
        if response.queries == message.queries {
            return Ok(response);
        }
    }
    Err(NetError::from("the connection was closed before the answer"))
}

fn is_of_message(error: &AskError) -> bool {
    matches!(
        error,
        AskError::EmptyRecord { .. } | AskError::Malformed { .. } | AskError::Bogus { .. }
    )
}

/// Returns how questions are asked.
pub(crate) fn options() -> DnsRequestOptions {
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.recursion_desired = true;
    options
}

fn is_empty_record(error: &ProtoError) -> bool {
    match error {
        ProtoError::Decode(DecodeError::InvalidEmptyRecord) => true,
        ProtoError::FormError { error, .. } => is_empty_record(error),
        _ => false,
    }
}

/// Reads `ADDR`, `ADDR:PORT`, `[ADDR]` or `[ADDR]:PORT`; the port is 53 where none is given.
///
/// # Errors
///
/// What is wrong with the text.
pub fn server_address(text: &str) -> Result<SocketAddr, String> {
    address(text, 53).ok_or_else(|| {
        format!("`{text}` is not ADDR:PORT, such as 192.0.2.53:53, [2001:db8::53]:53 or 192.0.2.53 (port 53)")
    })
}

/// Reads an address as [`server_address`] does, or `ADDR#NAME` or `ADDR:PORT#NAME` of a server that is asked by TLS and
/// has this name in its certificate; the port is 853 where none is given.
///
/// # Errors
///
/// What is wrong with the text.
pub fn server(text: &str) -> Result<Server, String> {
    let Some((place, name)) = text.split_once('#') else {
        let address = server_address(text)?;
        return Ok(Server { address, tls: None });
    };
    let address = address(place, 853).ok_or_else(|| format!("`{place}` is not ADDR:PORT"))?;
    if name.is_empty() {
        return Err(format!("`{text}` has no name behind #"));
    }
    Ok(Server {
        address,
        tls: Some(name.to_owned()),
    })
}

fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = |ip| SocketAddr::new(ip, port);
    text.parse().ok().or_else(|| bare.parse::<IpAddr>().ok().map(with_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_addresses_are_read_with_and_without_port() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(
                server_address(text).map(|address| address.to_string()),
                Ok(expected.into())
            );
        }
        for text in ["", "dns.example:53", "192.0.2.53:", "192.0.2.53:65536", "[2001:db8::53"] {
            assert!(server_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn servers_by_tls_have_a_name() {
        let told = |text: &str| server(text).map(|server| (server.address.to_string(), server.tls));
        let named = Some("dns.example.net".to_owned());
        assert_eq!(told("192.0.2.53"), Ok(("192.0.2.53:53".into(), None)));
        assert_eq!(
            told("2001:db8::53#dns.example.net"),
            Ok(("[2001:db8::53]:853".into(), named.clone()))
        );
        assert_eq!(
            told("[2001:db8::53]:8853#dns.example.net"),
            Ok(("[2001:db8::53]:8853".into(), named))
        );
        for text in ["192.0.2.53#", "#dns.example.net", "dns.example.net#dns.example.net", ""] {
            assert!(server(text).is_err(), "{text}");
        }
    }
}
