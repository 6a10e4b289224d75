//! Why a question got no answer.

use std::{fmt, net::SocketAddr, time::Duration};

use hickory_resolver::proto::op::ResponseCode;

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
    /// The server only refers to others: no answer, and no absence (RFC 2308 §2.2).
    Referral {
        /// The server.
        server: SocketAddr,
        /// The zone whose servers it names.
        zone: String,
    },
    /// The server says neither that there is something nor, with any right, that there is nothing.
    Lame {
        /// The server.
        server: SocketAddr,
    },
    /// The answer is cut short, and no whole one is to be had (RFC 2181 §9).
    Truncated {
        /// The server.
        server: SocketAddr,
        /// Why there is no whole one.
        reason: String,
    },
    /// What came in time fits the question in no way.
    Mismatched {
        /// The server.
        server: SocketAddr,
        /// What does not fit.
        reason: &'static str,
    },
    /// The answer is not a DNS message, or holds a record asked for that cannot be decoded.
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
    OffTopic {
        /// The server.
        server: SocketAddr,
    },
    /// The aliases lead nowhere.
    AliasLoop {
        /// How many were followed.
        followed: usize,
    },
    /// Each of several servers failed in a way of its own: the most telling first.
    Several(Vec<AskError>),
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
            Self::Referral { server, zone } => {
                write!(f, "{server} does not answer, but refers to the name servers of {zone}")
            }
            Self::Lame { server } => write!(
                f,
                "the answer of {server} is empty, and it is neither responsible for the name nor asks others"
            ),
            Self::Truncated { server, reason } => write!(f, "the answer of {server} is truncated ({reason})"),
            Self::Mismatched { server, reason } => {
                write!(f, "what {server} sends does not answer the question: it {reason}")
            }
            Self::Malformed { server, reason } => write!(f, "the answer of {server} cannot be decoded: {reason}"),
            Self::Unreachable { server, reason } => write!(f, "{server} cannot be reached: {reason}"),
            Self::Tls { server, reason } => write!(f, "no TLS connection with {server}: {reason}"),
            Self::Bogus { server, reason } => write!(f, "the answer of {server} is not to be trusted: {reason}"),
            Self::Unproven { question, error } => write!(f, "signatures cannot be checked: {question}: {error}"),
            Self::OffTopic { server } => write!(
                f,
                "the answer of {server} has records, but none of the name and type asked for"
            ),
            Self::AliasLoop { followed } => write!(f, "{followed} aliases (CNAME) followed, and no end to them"),
            Self::Several(errors) => {
                for (number, error) in errors.iter().enumerate() {
                    write!(f, "{}{error}", if number == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
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
            Self::Referral { .. } => "referral",
            Self::Lame { .. } => "lame",
            Self::Truncated { .. } => "truncated",
            Self::Mismatched { .. } => "mismatched",
            Self::Malformed { .. } => "malformed",
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::Bogus { .. } => "bogus",
            Self::Unproven { error, .. } => error.name(),
            Self::OffTopic { .. } => "off_topic",
            Self::AliasLoop { .. } => "alias_loop",
            Self::Several(errors) => errors.first().map_or("timeout", Self::name),
        }
    }

    /// Returns whether nothing came of the server at all.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Tls { .. } | Self::Mismatched { .. } => true,
            Self::Unproven { error, .. } => error.is_silence(),
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
            Self::Unreachable { .. } | Self::Tls { .. } => 2,
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
            reason: "x".into(),
        };
        let both = AskError::of_all(vec![silent(1), silent(2)]);
        assert_eq!(
            both.to_string(),
            "timeout: no answer from 192.0.2.53:1, 192.0.2.53:2 within 2 s"
        );
        let all = AskError::of_all(vec![silent(1), refused, malformed]);
        assert_eq!(all.name(), "malformed");
        for part in [
            "192.0.2.53:4 cannot be decoded: x; ",
            "SERVFAIL",
            "no answer from 192.0.2.53:1",
        ] {
            assert!(all.to_string().contains(part), "{all}");
        }
        assert_eq!(AskError::of_all(Vec::new()).name(), "timeout");
    }
}
