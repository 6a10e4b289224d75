//! Why a question got no answer.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hickory_resolver::{
    net::NetError,
    proto::{
        op::ResponseCode,
        rr::{Name, RecordType},
    },
};
use ssa_input::files::reason;

use crate::question::Question;

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The system names no server.
    #[error("the system configures no DNS server ({0}); give one with --server ADDR:PORT")]
    NoServers(#[source] SystemError),
    /// There is no room for `_ssa.` in front of the name.
    #[error("the name has no room for _ssa. in front of it (255 bytes in all)")]
    NameTooLong,
    /// This process cannot wait for sockets.
    #[error("cannot start the async runtime: {}", reason(.0))]
    NoRuntime(#[source] io::Error),
    /// No server answered in time.
    #[error("timeout: no answer from {} within {} s", listed(servers), waited.as_secs_f32())]
    Timeout {
        /// The servers queried.
        servers: Vec<SocketAddr>,
        /// The timeout of each.
        waited: Duration,
    },
    /// A server responded with an error code.
    #[error("{}: answer of {server}: {code}", code_name(*code))]
    Refused {
        /// The server.
        server: SocketAddr,
        /// Its response code.
        code: ResponseCode,
    },
    /// The server returned a referral: neither an answer nor a negative answer (RFC 2308 §2.2).
    #[error("{server} returned a referral to the name servers of {zone}, not an answer")]
    Referral {
        /// The server.
        server: SocketAddr,
        /// The zone whose servers it refers to.
        zone: Box<Name>,
    },
    /// The answer is empty, and the server is neither authoritative for the name nor recursive.
    #[error("the answer of {server} is empty, and it is neither authoritative for the name nor recursive")]
    Lame {
        /// The server.
        server: SocketAddr,
    },
    /// The answer is truncated, and the complete one cannot be retrieved (RFC 2181 §9).
    #[error("the answer of {server} is truncated ({source})")]
    Truncated {
        /// The server.
        server: SocketAddr,
        /// Why not.
        source: TcpRetryError,
    },
    /// No response that arrived in time matches the question.
    #[error("the response of {server} does not match the question: it {source}")]
    Mismatched {
        /// The server.
        server: SocketAddr,
        /// The mismatch.
        source: Mismatch,
    },
    /// The answer is not a DNS message, or holds a record asked for that cannot be decoded.
    #[error("the answer of {server} cannot be decoded: {source}")]
    Malformed {
        /// The server.
        server: SocketAddr,
        /// What is wrong with it.
        source: Malformation,
    },
    /// The server cannot be reached.
    #[error("{server} cannot be reached: {source}")]
    Unreachable {
        /// The server.
        server: SocketAddr,
        /// Why not.
        source: ConnectError,
    },
    /// No TLS connection with the server can be established, or none that is trusted.
    #[cfg(feature = "secure")]
    #[error("no TLS connection with {server}: {source}")]
    Tls {
        /// The server.
        server: SocketAddr,
        /// Why not.
        source: crate::tls_error::TlsError,
    },
    /// DNSSEC validation of the answer fails.
    #[cfg(feature = "secure")]
    #[error("the answer of {server} fails DNSSEC validation: {source}")]
    Bogus {
        /// The server.
        server: SocketAddr,
        /// What is wrong with it.
        source: BogusAnswer,
    },
    /// The answer's signatures cannot be verified, because another query failed.
    #[error("signatures cannot be verified: {question}: {source}")]
    Unproven {
        /// The other question.
        question: Question,
        /// Why it failed.
        source: Box<AskError>,
    },
    /// The answer has records, but none of them answers the question.
    #[error("the answer of {server} has records, but none of the name and type asked for")]
    OffTopic {
        /// The server.
        server: SocketAddr,
    },
    /// The chain of aliases is too long, or a loop.
    #[error("{followed} aliases (CNAME) followed without reaching an end")]
    AliasLoop {
        /// The number of aliases followed.
        followed: usize,
    },
    /// Several servers failed, in different ways; the most informative error first.
    #[error("{}", joined(.0))]
    Several(Vec<AskError>),
}

/// Why the system's servers are unknown.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The file that lists them cannot be read.
    #[error("{path}: {}", reason(source))]
    Unreadable {
        /// The file.
        path: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It lists none.
    #[error("none found")]
    None,
    /// The system does not provide them.
    #[error("none can be read")]
    Unavailable(#[source] Box<NetError>),
}

/// Why a truncated answer could not be retrieved completely (RFC 2181 §9, RFC 7766 §5).
#[derive(Debug, thiserror::Error)]
pub enum TcpRetryError {
    /// It came over a stream, which has no need to truncate.
    #[error("although it came over a stream")]
    Stream,
    /// The server cannot be queried over TCP.
    #[error("over TCP: {0}")]
    Connect(#[source] ConnectError),
    /// Its response over TCP cannot be decoded.
    #[error("over TCP: {0}")]
    Malformed(#[source] Malformation),
    /// It sends no response over TCP that answers the question.
    #[error("no answer over TCP")]
    Silent,
}

/// Why a message is not a response to the query, phrased to follow "it".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It is too short for a DNS message.
    #[error("is shorter than a header")]
    Short,
    /// It does not begin as a DNS message.
    #[error("has no DNS header")]
    NoHeader,
    /// Its ID is not that of the question.
    #[error("has a different ID")]
    OtherId,
    /// It is a query.
    #[error("is not a response")]
    NoResponse,
    /// It answers no query of a name.
    #[error("has a different opcode")]
    OtherOpcode,
    /// Its question is for a different class.
    #[error("is for a different class")]
    OtherClass,
    /// Its question is of another name or type.
    #[error("is for a different question")]
    OtherQuestion,
    /// It repeats no question, and says that there is nothing.
    #[error("has no question")]
    NoQuestion,
}

/// Why an answer cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformation {
    /// The question section is incomplete.
    #[error("its question section is incomplete")]
    Question,
    /// The answer section is incomplete.
    #[error("its answer section is incomplete")]
    Answers,
    /// The authority section is incomplete.
    #[error("its authority section is incomplete")]
    Authority,
    /// A record that was asked for cannot be decoded.
    #[error("a {kind} record of {owner} is malformed")]
    Record {
        /// Its type.
        kind: RecordType,
        /// Its owner.
        owner: Box<Name>,
    },
}

/// Why an answer is not proven.
#[cfg(feature = "secure")]
#[derive(Clone, Debug, thiserror::Error)]
pub enum BogusAnswer {
    /// No key is there to begin with.
    #[error("no trust anchor covers the name")]
    NoAnchor,
    /// It has no records, and nobody signed that.
    #[error("it has no records, and no proof of their absence")]
    NoProofOfAbsence,
    /// It may be made from a wildcard alone where nothing closer is (RFC 4035 §5.3.4).
    #[error("it is expanded from a wildcard without the required proof")]
    Wildcard,
    /// It has no signature where its zone signs.
    #[error("it has no signature, and its zone is not proven to be unsigned")]
    Unsigned,
    /// Its signature is of the past.
    #[error("its signature has expired")]
    Expired,
    /// Its signature is of the future.
    #[error("its signature is not valid yet")]
    NotYetValid,
    /// Its signature is none that counts.
    #[error("its signature is invalid, or its key does not chain to a trust anchor")]
    WrongSignature,
    /// The chain of trust cannot be followed.
    #[error("its chain of trust cannot be followed")]
    NoChain(#[source] Box<NetError>),
}

/// Why a server cannot be talked with.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The system says why.
    #[error("{}", io_reason(.0))]
    Io(#[source] Arc<io::Error>),
    /// Too many questions are under way.
    #[error("too many questions are under way")]
    Busy,
    /// What comes is not DNS.
    #[error("its response is not a DNS message")]
    NotDns(#[source] Box<NetError>),
    /// It has closed the connection.
    #[error("the connection was closed before the answer")]
    Closed,
    /// The system gives no random number for the question's ID.
    #[error("the system gives no random numbers")]
    NoRandom(#[source] getrandom::Error),
    /// The library says no more than that.
    #[error("the connection failed")]
    Failed(#[source] Box<NetError>),
}

impl From<NetError> for ConnectError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Io(error) => Self::Io(error),
            NetError::Busy => Self::Busy,
            NetError::Proto(_) | NetError::Dns(_) => Self::NotDns(Box::new(error)),
            // Texts of the library are its own affair: they stay in the source.
            _ => Self::Failed(Box::new(error)),
        }
    }
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: no DNS server listens there".into(),
        io::ErrorKind::HostUnreachable => "no route to the host".into(),
        io::ErrorKind::NetworkUnreachable => "the network is unreachable".into(),
        _ => reason(error),
    }
}

fn listed(servers: &[SocketAddr]) -> String {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    servers.join(", ")
}

fn joined(errors: &[AskError]) -> String {
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    told.join("; ")
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
            Self::Referral { .. } => "referral",
            Self::Lame { .. } => "lame",
            Self::Truncated { .. } => "truncated",
            Self::Mismatched { .. } => "mismatched",
            Self::Malformed { .. } => "malformed",
            Self::Unreachable { .. } => "unreachable",
            #[cfg(feature = "secure")]
            Self::Tls { .. } => "tls",
            #[cfg(feature = "secure")]
            Self::Bogus { .. } => "bogus",
            Self::Unproven { source, .. } => source.name(),
            Self::OffTopic { .. } => "off_topic",
            Self::AliasLoop { .. } => "alias_loop",
            Self::Several(errors) => errors.first().map_or("timeout", Self::name),
        }
    }

    /// Returns whether nothing came of the server at all.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Mismatched { .. } => true,
            #[cfg(feature = "secure")]
            Self::Tls { .. } => true,
            Self::Unproven { source, .. } => source.is_silence(),
            _ => false,
        }
    }

    /// Makes one error of those of several servers. What is wrong with a message says more than a code, and a code more
    /// than silence.
    pub(crate) fn of_all(mut errors: Vec<Self>) -> Self {
        let mut silent = Vec::new();
        let mut longest = Duration::ZERO;
        errors.retain(|error| {
            let Self::Timeout { servers, waited } = error else {
                return true;
            };
            silent.extend(servers);
            longest = longest.max(*waited);
            false
        });
        if !silent.is_empty() || errors.is_empty() {
            errors.push(Self::Timeout {
                servers: silent,
                waited: longest,
            });
        }
        // Equals stay in the order of the servers.
        errors.sort_by_key(|error| match error {
            Self::Timeout { .. } => 3,
            Self::Unreachable { .. } => 2,
            #[cfg(feature = "secure")]
            Self::Tls { .. } => 2,
            Self::Refused { .. } => 1,
            _ => 0,
        });
        match (errors.pop(), errors.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                errors.extend(last);
                Self::Several(errors)
            }
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
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::BADVERS | ResponseCode::BADSIG => "BADVERS",
        ResponseCode::BADCOOKIE => "BADCOOKIE",
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 53], port))
    }

    #[test]
    fn every_cause_is_a_source_and_no_text_of_a_library_is_told() {
        let of = |error: NetError| AskError::Unreachable {
            server: at(1),
            source: error.into(),
        };
        let text = "connection to ResolverError(0x7f) lost";
        for error in [
            of(NetError::Msg(text.into())),
            of(NetError::Message(text)),
            of(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
        ] {
            let source = std::error::Error::source(&error).unwrap();
            assert!(source.source().is_some(), "{error}");
            assert!(!error.to_string().contains(text), "{error}");
        }
        let unproven = AskError::Unproven {
            question: Question::new(&Name::root(), RecordType::DNSKEY),
            source: Box::new(AskError::NameTooLong),
        };
        assert!(
            unproven
                .to_string()
                .starts_with("signatures cannot be verified: . DNSKEY: the name has")
        );
        assert!(std::error::Error::source(&unproven).is_some());
    }

    #[test]
    fn of_several_errors_the_most_telling_is_named_and_each_is_told() {
        let silent = |port| AskError::Timeout {
            servers: vec![at(port)],
            waited: Duration::from_secs(2),
        };
        let refused = AskError::Refused {
            server: at(3),
            code: ResponseCode::ServFail,
        };
        let malformed = AskError::Malformed {
            server: at(4),
            source: Malformation::Answers,
        };
        let both = AskError::of_all(vec![silent(1), silent(2)]);
        assert_eq!(
            both.to_string(),
            "timeout: no answer from 192.0.2.53:1, 192.0.2.53:2 within 2 s"
        );
        let all = AskError::of_all(vec![silent(1), refused, malformed]);
        assert_eq!(all.name(), "malformed");
        for part in [
            "192.0.2.53:4 cannot be decoded: its answer section is incomplete; ",
            "SERVFAIL",
            "no answer from 192.0.2.53:1",
        ] {
            assert!(all.to_string().contains(part), "{all}");
        }
        assert_eq!(AskError::of_all(Vec::new()).name(), "timeout");
    }
}
