//! One query to one server: over UDP with EDNS, with fallbacks to TCP and to no EDNS; or over TLS.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    time::Duration,
};

use futures_util::future::{Either, select};
use hickory_resolver::{
    net::{NetError, runtime::TokioRuntimeProvider, tcp::TcpClientStream},
    proto::{
        op::{DnsRequest, Message, Query, ResponseCode},
        rr::{Name, RecordType},
    },
};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    error::{AskError, TcpRetryError},
    stream::converse,
    transport::{ExchangeError, asked, number},
    wire::{Unfit, decode, may_be_for_edns},
};

/// How often a query is sent over UDP.
const TRIES: u32 = 3;

/// The maximum size of a datagram: a response longer than announced is accepted.
const LONGEST: usize = 65_535;

/// A server and how to reach it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) timeout: Duration,
    #[cfg(feature = "secure")]
    pub(crate) tls: Option<crate::tls::Tls>,
}

impl Upstream {
    /// Queries, and accepts only responses that state what exists or that nothing does.
    pub(crate) async fn exchange(&self, request: &DnsRequest) -> Result<Message, AskError> {
        let (mut question, _) = request.clone().into_parts();
        let first = self.by_any(&question).await;
        // Without EDNS there are no signatures (RFC 4035 §3.2.1).
        let may_go_without = question.edns.as_ref().is_some_and(|edns| !edns.flags().dnssec_ok);
        let answer = match first {
            Ok(answer) if may_go_without && may_be_for_edns(&answer.metadata) => {
                question.edns = None;
                // The response to a query that the server understands counts.
                self.by_any(&question).await.or(Ok(answer))
            }
            first => first,
        };
        let answer = answer.map_err(|error| self.ask_error(error))?;
        let server = self.address;
        match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain if !answer.answers.is_empty() => Ok(answer),
            ResponseCode::NoError => match referral(&answer) {
                Some(zone) => Err(AskError::Referral {
                    server,
                    zone: Box::new(zone),
                }),
                None if is_lame(&answer, &asked(&question)) => Err(AskError::Lame { server }),
                None => Ok(answer),
            },
            ResponseCode::NXDomain => Ok(answer),
            code => Err(AskError::Refused { server, code }),
        }
    }

    async fn by_any(&self, question: &Message) -> Result<Message, ExchangeError> {
        #[cfg(feature = "secure")]
        if let Some(tls) = &self.tls {
            return Box::pin(tls.ask((self.address, self.timeout), question)).await;
        }
        Box::pin(self.by_udp_or_tcp(question)).await
    }

    /// Asks by UDP, and by TCP too where UDP stays silent (a filter on the way may let only one of them pass), or where
    /// what came by UDP does not do.
    async fn by_udp_or_tcp(&self, question: &Message) -> Result<Message, ExchangeError> {
        let by_udp = pin!(self.by_udp(question));
        let late = self.timeout / TRIES * (TRIES - 1);
        let by_tcp = pin!(async {
            sleep(late).await;
            self.by_tcp(question, self.timeout / TRIES).await
        });
        let (udp, waiting) = match select(by_udp, by_tcp).await {
            Either::Left((udp, by_tcp)) => (udp, Some(by_tcp)),
            Either::Right((Ok(answer), _)) => return Ok(answer),
            Either::Right((Err(_), by_udp)) => (by_udp.await, None),
        };
        let error = match udp {
            Ok(answer) if answer.metadata.response_code == ResponseCode::BADCOOKIE => {
                // RFC 7873 §5.3.
                return self.by_tcp(question, self.timeout).await.or(Ok(answer));
            }
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let by_tcp = match (&error, waiting) {
            (ExchangeError::Silent | ExchangeError::Mismatched(_), Some(by_tcp)) => by_tcp.await,
            (ExchangeError::Silent | ExchangeError::Mismatched(_), None) => return Err(error),
            // A server that refuses UDP most likely refuses TCP too: do not delay the next server for long.
            (ExchangeError::Net(_), _) => self.by_tcp(question, self.timeout / TRIES).await,
            (ExchangeError::Unfit(_) | ExchangeError::Truncated(_), _) => self.by_tcp(question, self.timeout).await,
        };
        match (by_tcp, error) {
            (Ok(answer), _) => Ok(answer),
            // For a truncated response, report why the retry failed.
            (Err(ExchangeError::Unfit(Unfit::Truncated)), truncated) => Err(truncated),
            (Err(of_tcp), ExchangeError::Unfit(Unfit::Truncated)) => Err(ExchangeError::Truncated(match of_tcp {
                ExchangeError::Net(error) => TcpRetryError::Connect(error),
                ExchangeError::Unfit(Unfit::Malformed(fault)) => TcpRetryError::Malformed(fault),
                _ => TcpRetryError::Silent,
            })),
            (Err(_), error) => Err(error),
        }
    }

    /// Sends the query up to three times, and waits for its response, ignoring anything else that arrives.
    async fn by_udp(&self, question: &Message) -> Result<Message, ExchangeError> {
        let any = match self.address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        // A connected socket for each query has an unpredictable port (RFC 5452 §9.2), and receives ICMP port unreachable.
        let socket = UdpSocket::bind(any).await?;
        socket.connect(self.address).await?;
        let mut question = question.clone();
        question.metadata.id = number()?;
        let asked = asked(&question);
        let mut octets = question.to_vec().map_err(NetError::from)?;
        let start = Instant::now();
        let interval = self.timeout / TRIES;
        let mut stray = None;
        let mut buffer = Vec::with_capacity(LONGEST);
        for number in 1..=TRIES {
            let signed = question.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
            if number == TRIES && !signed && question.edns.take().is_some() {
                // Some servers drop queries with EDNS.
                octets = question.to_vec().map_err(NetError::from)?;
            }
            socket.send(&octets).await?;
            let until = if number == TRIES {
                start + self.timeout
            } else {
                start + interval * number
            };
            loop {
                buffer.clear();
                let Ok(received) = timeout_at(until, socket.recv_buf(&mut buffer)).await else {
                    break;
                };
                received?;
                match decode(&buffer, question.metadata.id, &asked) {
                    Ok(answer) => return Ok(answer),
                    Err(Unfit::Stray(mismatch)) => stray = Some(mismatch),
                    Err(unfit) => return Err(unfit.into()),
                }
            }
        }
        Err(stray.map_or(ExchangeError::Silent, ExchangeError::Mismatched))
    }

    async fn by_tcp(&self, question: &Message, wait: Duration) -> Result<Message, ExchangeError> {
        let work = async {
            let (connect, mut sender) =
                TcpClientStream::new(self.address, None, Some(wait), TokioRuntimeProvider::new());
            converse(&mut connect.await?, &mut sender, self.address, question).await
        };
        timeout(wait, work).await.unwrap_or(Err(ExchangeError::Silent))
    }

    /// Converts the error of one transport.
    pub(crate) fn ask_error(&self, error: ExchangeError) -> AskError {
        let server = self.address;
        match error {
            ExchangeError::Silent => AskError::Timeout {
                servers: vec![server],
                waited: self.timeout,
            },
            ExchangeError::Mismatched(source) | ExchangeError::Unfit(Unfit::Stray(source)) => {
                AskError::Mismatched { server, source }
            }
            ExchangeError::Unfit(Unfit::Truncated) => AskError::Truncated {
                server,
                source: TcpRetryError::Stream,
            },
            ExchangeError::Truncated(source) => AskError::Truncated { server, source },
            ExchangeError::Unfit(Unfit::Malformed(source)) => AskError::Malformed { server, source },
            ExchangeError::Unfit(Unfit::OffTopic) => AskError::OffTopic { server },
            #[cfg(feature = "secure")]
            ExchangeError::Net(crate::ConnectError::Io(error)) if crate::tls_error::is_of_tls(&error) => {
                AskError::Tls {
                    server,
                    source: error.into(),
                }
            }
            ExchangeError::Net(source) => AskError::Unreachable { server, source },
        }
    }
}

/// Returns the zone that an answer without records refers to. RFC 2308 §2.2 tells a referral from an absence by the
/// absence of SOA and the presence of NS in the authority section; without either it is an absence (its type 3).
fn referral(answer: &Message) -> Option<Name> {
    let of = |kind| {
        let mut authorities = answer.authorities.iter();
        authorities.find(move |record| record.record_type() == kind)
    };
    if of(RecordType::SOA).is_some() {
        return None;
    }
    of(RecordType::NS).map(|record| record.name.clone())
}

/// Returns whether an answer without records is lame: its SOA is of a zone that the name is not in, or there is none and the
/// server is neither authoritative nor recursive. C libraries skip the latter too.
fn is_lame(answer: &Message, asked: &Query) -> bool {
    let mut starts = answer
        .authorities
        .iter()
        .filter(|record| record.record_type() == RecordType::SOA)
        .peekable();
    if starts.peek().is_some() {
        return !starts.any(|start| start.name.zone_of(asked.name()));
    }
    !answer.metadata.authoritative && !answer.metadata.recursion_available
}
