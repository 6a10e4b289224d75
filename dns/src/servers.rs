//! The servers that a question goes to, one after another.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::proto::{
    op::{DnsRequest, Message, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
};
use tokio::time::Instant;

use crate::{
    AskError, Malformation, Proof, question::APL, system::system_servers, transport::options, upstream::Upstream,
    wire::ttl,
};

/// The maximum number of aliases followed for one question.
pub(crate) const MAX_ALIASES: usize = 16;

/// How long a server that was silent is asked after the others.
const PASSED_OVER: Duration = Duration::from_secs(5);

/// The longest that an absence counts which was not told by the first server, in seconds: others may see another part of
/// the DNS, and by then the first has been asked again.
pub(crate) const UNSURE: u32 = 8;

/// The servers to ask, in this order, and how long to wait for each.
#[derive(Clone, Debug)]
pub struct Servers {
    asked: Arc<[Asked]>,
    addresses: Vec<SocketAddr>,
}

/// One of the servers.
#[derive(Debug)]
struct Asked {
    upstream: Arc<Upstream>,
    /// Until when it comes after the others.
    silent_until: Mutex<Option<Instant>>,
    #[cfg(feature = "secure")]
    validator: Option<crate::dnssec::Validator>,
}

/// What one server says to one question.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The name that its aliases lead to.
    pub(crate) canonical: Name,
    /// How many aliases there are.
    pub(crate) followed: usize,
    /// The least TTL of the records and aliases.
    pub(crate) ttl: Option<u32>,
    /// The TTL of the records.
    pub(crate) own_ttl: Option<u32>,
    /// The greatest TTL of the aliases.
    pub(crate) alias_ttl: Option<u32>,
    /// The data of the type asked for at the canonical name, each once.
    pub(crate) records: Vec<RData>,
    /// Whether that name does not exist.
    pub(crate) no_name: bool,
    /// How long the absence of records holds, where it is said.
    pub(crate) absence_ttl: Option<u32>,
    /// What is known of the signatures.
    pub(crate) proof: Proof,
}

impl Servers {
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
            silent_until: Mutex::default(),
            #[cfg(feature = "secure")]
            validator: None,
        };
        Self {
            asked: addresses.iter().map(asked).collect(),
            addresses,
        }
    }

    /// These servers, by TLS where they have a name, and their answers proven by DNSSEC where there are trust anchors.
    ///
    /// # Errors
    ///
    /// What is wrong with a name or with what TLS trusts.
    #[cfg(feature = "secure")]
    pub fn secured(
        servers: &[crate::Server],
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
                silent_until: Mutex::default(),
                upstream,
            });
        }
        Ok(Self {
            asked: asked.into(),
            addresses: servers.iter().map(|server| server.address).collect(),
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

    /// Asks one server after the other until one answers: in their order, but those that were silent just now last.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, AskError> {
        let now = Instant::now();
        let servers = self.asked.iter().enumerate();
        let (ready, silent): (Vec<_>, Vec<_>) = servers.partition(|(_, asked)| asked.is_ready(now));
        let mut errors = Vec::new();
        for (number, asked) in ready.into_iter().chain(silent) {
            // While one question tries it, others go on without.
            asked.pass_over_again(now);
            match asked.ask(name, kind).await {
                Ok(mut reply) => {
                    asked.mark(false);
                    if number > 0 {
                        reply.absence_ttl = least(reply.absence_ttl, Some(UNSURE));
                    }
                    return Ok(reply);
                }
                Err(error) => {
                    asked.mark(error.is_silence());
                    errors.push(error);
                }
            }
        }
        Err(AskError::of_all(errors))
    }
}

impl Asked {
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, AskError> {
        #[cfg(feature = "secure")]
        if let Some(validator) = &self.validator {
            // A task waits for each service: what few of them do is not to make all of them larger.
            let (answer, proof) = Box::pin(validator.ask(name, kind)).await?;
            return reply(&answer, name, kind, proof, self.upstream.address);
        }
        let mut query = Query::query(name.clone(), kind);
        query.set_query_class(DNSClass::IN);
        let request = DnsRequest::from_query(query, options());
        let answer = self.upstream.exchange(&request).await?;
        reply(&answer, name, kind, Proof::Unchecked, self.upstream.address)
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.silence().is_none_or(|until| until <= now)
    }

    fn pass_over_again(&self, now: Instant) {
        let mut silence = self.silence();
        if silence.is_some_and(|until| until <= now) {
            *silence = Some(now + PASSED_OVER);
        }
    }

    fn mark(&self, silent: bool) {
        *self.silence() = silent.then(|| Instant::now() + PASSED_OVER);
    }

    fn silence(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silent_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads an answer: aliases, in any order, and the records at their end.
pub(crate) fn reply(
    answer: &Message,
    name: &Name,
    kind: RecordType,
    proof: Proof,
    server: SocketAddr,
) -> Result<Reply, AskError> {
    let malformed = |kind: RecordType, owner: &Name| AskError::Malformed {
        server,
        source: Malformation::Record {
            kind,
            owner: Box::new(owner.clone()),
        },
    };
    let mut found = Reply {
        canonical: name.clone(),
        followed: 0,
        ttl: None,
        own_ttl: None,
        alias_ttl: None,
        records: Vec::new(),
        no_name: answer.metadata.response_code == ResponseCode::NXDomain,
        absence_ttl: negative_ttl(answer),
        proof,
    };
    let at = |name: &Name, kind: RecordType| {
        let name = name.clone();
        let of = move |record: &&Record| record.record_type() == kind && record.name == name;
        answer.answers.iter().filter(of)
    };
    while let Some(alias) = at(&found.canonical, RecordType::CNAME).next() {
        let RData::CNAME(target) = &alias.data else {
            return Err(malformed(RecordType::CNAME, &alias.name));
        };
        found.followed += 1;
        if found.followed > MAX_ALIASES {
            return Err(AskError::AliasLoop { followed: MAX_ALIASES });
        }
        found.ttl = least(found.ttl, Some(alias.ttl));
        found.alias_ttl = found.alias_ttl.max(Some(alias.ttl));
        found.canonical = target.0.clone();
    }
    for record in at(&found.canonical, kind) {
        if !is_read(&record.data) {
            return Err(malformed(kind, &record.name));
        }
        found.ttl = least(found.ttl, Some(record.ttl));
        found.own_ttl = least(found.own_ttl, Some(record.ttl));
        // Servers ought not to send one twice (RFC 2181 §5).
        if !found.records.contains(&record.data) {
            found.records.push(record.data.clone());
        }
    }
    if found.records.is_empty() && found.followed == 0 && !answer.answers.is_empty() {
        return Err(AskError::OffTopic { server });
    }
    Ok(found)
}

/// Returns the lesser of those TTLs that there are.
pub(crate) fn least(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}

/// Returns whether data is as its type has it. APL is read by itself; a TXT record without any string says nothing.
fn is_read(data: &RData) -> bool {
    match data {
        RData::Unknown { code, rdata } => {
            u16::from(*code) == APL || (*code == RecordType::TXT && rdata.anything.is_empty())
        }
        _ => true,
    }
}

/// Returns how long an absence holds (RFC 2308 §5).
fn negative_ttl(answer: &Message) -> Option<u32> {
    answer.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(ttl(soa.minimum))),
        _ => None,
    })
}
