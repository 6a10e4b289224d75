//! One question to one server: by UDP with EDNS, in another way where that does not do; or by TLS.

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
    error::{AskError, NoWhole},
    stream::converse,
    transport::{Trouble, asked, number},
    wire::{Unfit, decode, may_be_for_edns},
};

/// How often a question is sent by UDP.
const TRIES: u32 = 3;

/// The longest datagram: whatever was announced, a longer answer is taken as it comes.
const LONGEST: usize = 65_535;

/// The way to a server.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) timeout: Duration,
    #[cfg(feature = "secure")]
    pub(crate) tls: Option<crate::tls::Tls>,
}

impl Upstream {
    /// Asks, and takes only answers that say that there is something or nothing.
    pub(crate) async fn exchange(&self, request: &DnsRequest) -> Result<Message, AskError> {
        let (mut question, _) = request.clone().into_parts();
        let first = self.by_any(&question).await;
        // Who needs signatures gets none without EDNS.
        let may_go_without = question.edns.as_ref().is_some_and(|edns| !edns.flags().dnssec_ok);
        let answer = match first {
            Ok(answer) if may_go_without && may_be_for_edns(&answer.metadata) => {
                question.edns = None;
                // What the server says of a question that it understands counts.
                self.by_any(&question).await.or(Ok(answer))
            }
            first => first,
        };
        let answer = answer.map_err(|trouble| self.tell(trouble))?;
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

    async fn by_any(&self, question: &Message) -> Result<Message, Trouble> {
        #[cfg(feature = "secure")]
        if let Some(tls) = &self.tls {
            return Box::pin(tls.ask((self.address, self.timeout), question)).await;
        }
        Box::pin(self.by_udp_or_tcp(question)).await
    }

    /// Asks by UDP, and by TCP too where UDP stays silent (a filter on the way may let only one of them pass), or where
    /// what came by UDP does not do.
    async fn by_udp_or_tcp(&self, question: &Message) -> Result<Message, Trouble> {
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
        let trouble = match udp {
            Ok(answer) if answer.metadata.response_code == ResponseCode::BADCOOKIE => {
                // RFC 7873 §5.3.
                return self.by_tcp(question, self.timeout).await.or(Ok(answer));
            }
            Ok(answer) => return Ok(answer),
            Err(trouble) => trouble,
        };
        let by_tcp = match (&trouble, waiting) {
            (Trouble::Silent | Trouble::Mismatched(_), Some(by_tcp)) => by_tcp.await,
            (Trouble::Silent | Trouble::Mismatched(_), None) => return Err(trouble),
            // Whoever refuses UDP most likely refuses all: the next server is not to wait for long.
            (Trouble::Net(_), _) => self.by_tcp(question, self.timeout / TRIES).await,
            (Trouble::Unfit(_) | Trouble::NoWhole(_), _) => self.by_tcp(question, self.timeout).await,
        };
        match (by_tcp, trouble) {
            (Ok(answer), _) => Ok(answer),
            // Of a truncated answer it matters why there is no whole one.
            (Err(Trouble::Unfit(Unfit::Truncated)), truncated) => Err(truncated),
            (Err(of_tcp), Trouble::Unfit(Unfit::Truncated)) => Err(Trouble::NoWhole(match of_tcp {
                Trouble::Net(error) => NoWhole::Connect(error),
                Trouble::Unfit(Unfit::Malformed(fault)) => NoWhole::Malformed(fault),
                _ => NoWhole::Silent,
            })),
            (Err(_), trouble) => Err(trouble),
        }
    }

    /// Sends the question three times, and waits for its answer, whatever else comes meanwhile.
    async fn by_udp(&self, question: &Message) -> Result<Message, Trouble> {
        let any = match self.address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        // A socket for one question has a port that nobody can guess, and is told by ICMP of ports where nobody listens.
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
                // Some drop whatever has EDNS.
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
        Err(stray.map_or(Trouble::Silent, Trouble::Mismatched))
    }

    async fn by_tcp(&self, question: &Message, wait: Duration) -> Result<Message, Trouble> {
        let work = async {
            let (connect, mut sender) =
                TcpClientStream::new(self.address, None, Some(wait), TokioRuntimeProvider::new());
            converse(&mut connect.await?, &mut sender, self.address, question).await
        };
        timeout(wait, work).await.unwrap_or(Err(Trouble::Silent))
    }

    /// Says what one way's trouble means.
    pub(crate) fn tell(&self, trouble: Trouble) -> AskError {
        let server = self.address;
        match trouble {
            Trouble::Silent => AskError::Timeout {
                servers: vec![server],
                waited: self.timeout,
            },
            Trouble::Mismatched(source) | Trouble::Unfit(Unfit::Stray(source)) => {
                AskError::Mismatched { server, source }
            }
            Trouble::Unfit(Unfit::Truncated) => AskError::Truncated {
                server,
                source: NoWhole::Stream,
            },
            Trouble::NoWhole(source) => AskError::Truncated { server, source },
            Trouble::Unfit(Unfit::Malformed(source)) => AskError::Malformed { server, source },
            Trouble::Unfit(Unfit::OffTopic) => AskError::OffTopic { server },
            #[cfg(feature = "secure")]
            Trouble::Net(crate::ConnectError::Io(error)) if crate::tls_error::is_of_tls(&error) => AskError::Tls {
                server,
                source: error.into(),
            },
            Trouble::Net(source) => AskError::Unreachable { server, source },
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

/// Says whether an answer without records comes from a server that has nothing to say of the name: its SOA is of a zone that
/// the name is not in, or it has none, and the server is neither authoritative nor a resolver. C libraries pass over the
/// latter too.
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
