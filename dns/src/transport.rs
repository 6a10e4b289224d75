//! One question to one server: UDP, then TCP where the answer was cut short.

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
        DnsStreamHandle, NetError,
        runtime::TokioRuntimeProvider,
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

/// The servers to ask, in this order, and how long to wait for each.
#[derive(Clone, Debug)]
pub struct Servers {
    addresses: Vec<SocketAddr>,
    timeout: Duration,
    /// The one that answered last, which is asked first.
    first: Arc<AtomicUsize>,
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
        Self {
            addresses,
            timeout,
            first: Arc::default(),
        }
    }

    /// The servers that this system asks.
    ///
    /// # Errors
    ///
    /// [`AskError::NoServers`].
    pub fn of_system(timeout: Duration) -> Result<Self, AskError> {
        let (config, _) = hickory_resolver::system_conf::read_system_conf()
            .map_err(|error| AskError::NoServers(error.to_string()))?;
        let addresses: Vec<SocketAddr> = config
            .name_servers()
            .iter()
            .map(|server| SocketAddr::new(server.ip, 53))
            .collect();
        if addresses.is_empty() {
            Err(AskError::NoServers("none found".into()))
        } else {
            Ok(Self::new(addresses, timeout))
        }
    }

    /// Returns their addresses.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Asks one server after the other until one answers.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<DnsResponse, AskError> {
        let mut worst = None;
        let first = self.first.load(Ordering::Relaxed);
        let order = self.addresses.iter().enumerate();
        for (number, server) in order.clone().skip(first).chain(order.take(first)) {
            match self.ask_one(*server, name, kind).await {
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

    async fn ask_one(&self, server: SocketAddr, name: &Name, kind: RecordType) -> Result<DnsResponse, AskError> {
        let told = |error: NetError| tell(server, self.timeout, &error);
        let response = match self.by_udp(server, name, kind).await {
            // An answer that was cut short may be cut inside a record.
            Ok(response) if !response.metadata.truncation => response,
            Ok(_) => self.by_tcp(server, name, kind).await.map_err(told)?,
            Err(error) => return Err(told(error)),
        };
        match response.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(response),
            code => Err(AskError::Refused { server, code }),
        }
    }

    async fn by_udp(&self, server: SocketAddr, name: &Name, kind: RecordType) -> Result<DnsResponse, NetError> {
        let interval = self.timeout / u32::from(TRIES);
        let floor = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let stream = UdpClientStream::builder(server, TokioRuntimeProvider::new());
        let stream = stream
            .with_timeout(Some(self.timeout))
            .with_max_retries(TRIES)
            .with_retry_interval_floor(floor);
        stream.build().send_message(request(name, kind)).first_answer().await
    }

    async fn by_tcp(&self, server: SocketAddr, name: &Name, kind: RecordType) -> Result<DnsResponse, NetError> {
        let work = async {
            let (connect, mut sender) =
                TcpClientStream::new(server, None, Some(self.timeout), TokioRuntimeProvider::new());
            let mut stream = connect.await?;
            let mut random = [0; 2];
            getrandom::fill(&mut random).map_err(|error| NetError::from(error.to_string()))?;
            let (mut message, _) = request(name, kind).into_parts();
            message.metadata.id = u16::from_be_bytes(random);
            sender.send(SerialMessage::new(message.to_vec()?, server))?;
            while let Some(bytes) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
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
        };
        tokio::time::timeout(self.timeout, work)
            .await
            .unwrap_or(Err(NetError::Timeout))
    }
}

fn is_of_message(error: &AskError) -> bool {
    matches!(error, AskError::EmptyRecord { .. } | AskError::Malformed { .. })
}

fn request(name: &Name, kind: RecordType) -> DnsRequest {
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.recursion_desired = true;
    let mut query = Query::query(name.clone(), kind);
    query.set_query_class(hickory_resolver::proto::rr::DNSClass::IN);
    DnsRequest::from_query(query, options)
}

fn tell(server: SocketAddr, timeout: Duration, error: &NetError) -> AskError {
    match error {
        NetError::Timeout => AskError::Timeout {
            servers: vec![server],
            waited: timeout,
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
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address = text
        .parse()
        .ok()
        .or_else(|| bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53)));
    address.ok_or_else(|| {
        format!("`{text}` is not ADDR:PORT, such as 192.0.2.53:53, [2001:db8::53]:53 or 192.0.2.53 (port 53)")
    })
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
}
