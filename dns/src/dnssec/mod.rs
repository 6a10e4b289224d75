//! DNSSEC validation (RFC 4035). hickory verifies signatures and proofs of absence; this module chooses the trust anchors,
//! and judges the result for each record.

mod anchors;
mod judge;
mod synthetic_root;

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{Stream, stream};
use hickory_resolver::{
    net::{DnsError, DnsHandle, NetError, dnssec::DnssecDnsHandle, runtime::TokioRuntimeProvider, xfer::FirstAnswer},
    proto::{
        dnssec::{TrustAnchors, rdata::DNSSECRData},
        op::{DnsRequest, DnsResponse, Message, Query},
        rr::{Name, RData, Record, RecordType},
    },
};

use self::{
    judge::{Unfit, judge, judge_unproven},
    synthetic_root::SyntheticRoot,
};
use crate::{
    AskError, BogusAnswer, Proof,
    question::Question,
    transport::{ExchangeError, options},
    upstream::Upstream,
};

pub use self::anchors::{AnchorError, Anchors};

/// How many validated record sets are cached for each server.
const MAX_CACHED: usize = 4096;

/// The maximum time that a validated record set is cached.
const MAX_CACHE_TTL: Duration = Duration::from_mins(5);

/// The timeout of a whole chain of trust, as a multiple of the timeout of one answer.
const CHAIN_TIMEOUT_FACTOR: u32 = 4;

tokio::task_local! {
    /// The last query of the chain of trust that failed: hickory only reports that there is no proof.
    static LAST_FAILURE: RefCell<Option<(Query, AskError)>>;
}

/// Validates the answers of one server.
pub(crate) struct Validator {
    upstream: Arc<Upstream>,
    root: Option<DnssecDnsHandle<Handle>>,
    zones: Option<(Vec<Name>, DnssecDnsHandle<Handle>)>,
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validator").finish_non_exhaustive()
    }
}

impl Validator {
    pub(crate) fn new(upstream: &Arc<Upstream>, anchors: &Anchors) -> Self {
        let handle = |anchors: &Arc<TrustAnchors>, parent: Option<&Arc<SyntheticRoot>>| {
            let handle = Handle {
                upstream: upstream.clone(),
                parent: parent.cloned(),
            };
            DnssecDnsHandle::with_trust_anchor(handle, anchors.clone())
                .validation_cache_size(MAX_CACHED)
                .positive_validation_ttl(Duration::ZERO..=MAX_CACHE_TTL)
        };
        let zones = anchors.zones.as_ref();
        Self {
            upstream: upstream.clone(),
            root: anchors.root.as_ref().map(|anchors| handle(anchors, None)),
            zones: zones.map(|zones| (zones.names.clone(), handle(&zones.anchors, Some(&zones.parent)))),
        }
    }

    /// Queries, and returns the answer with its proof: only the records of the name and type, or an alias, or neither.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<(Message, Proof), AskError> {
        let zones = self.zones.as_ref();
        let covering = zones.filter(|(names, _)| names.iter().any(|zone| zone.zone_of(name)));
        let Some(handle) = covering.map(|(_, handle)| handle).or(self.root.as_ref()) else {
            return Err(self.bogus(BogusAnswer::NoAnchor));
        };
        let query = Query::query(name.clone(), kind);
        let lookup = async {
            let answer = handle.lookup(query.clone(), options()).first_answer();
            let answer = tokio::time::timeout(self.upstream.timeout * CHAIN_TIMEOUT_FACTOR, answer).await;
            (
                answer.unwrap_or(Err(NetError::Timeout)),
                LAST_FAILURE.with(RefCell::take),
            )
        };
        let (answer, failure) = LAST_FAILURE.scope(RefCell::default(), lookup).await;
        let judged = match answer {
            Ok(response) => judge(response, &query),
            Err(NetError::Dns(DnsError::Nsec { response, proof, .. })) => judge_unproven(*response, &query, proof),
            Err(error) => {
                return Err(match (failure, error) {
                    (Some((of, error)), _) if of == query => error,
                    (Some((of, source)), _) => unproven(&of, source),
                    // An error in the chain of trust, not of the connection.
                    (
                        None,
                        error @ (NetError::Msg(_) | NetError::Message(_) | NetError::Proto(_) | NetError::Dns(_)),
                    ) => self.bogus(BogusAnswer::NoChain(Box::new(error))),
                    (None, error) => self.upstream.ask_error(ExchangeError::from(error)),
                });
            }
        };
        let judged = judged.map(|(response, proof)| (response.into_message(), proof));
        judged.map_err(|unfit| match (unfit, failure) {
            (Unfit::OffTopic, _) => AskError::OffTopic {
                server: self.upstream.address,
            },
            (Unfit::Bogus(_), Some((of, source))) => unproven(&of, source),
            (Unfit::Bogus(source), None) => self.bogus(source),
        })
    }

    fn bogus(&self, source: BogusAnswer) -> AskError {
        AskError::Bogus {
            server: self.upstream.address,
            source,
        }
    }
}

/// Reports that another query of the chain of trust failed.
fn unproven(question: &Query, source: AskError) -> AskError {
    AskError::Unproven {
        question: Question::new(question.name(), question.query_type()),
        source: Box::new(source),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "hickory reads the clock itself; this explains its result"
)]
fn now() -> u32 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    // Times of signatures are counted modulo 2^32 (RFC 4034 §3.1.5).
    u32::try_from(since.as_secs() & u64::from(u32::MAX)).unwrap_or_default()
}

/// Sends hickory's queries to one server.
#[derive(Clone)]
struct Handle {
    upstream: Arc<Upstream>,
    parent: Option<Arc<SyntheticRoot>>,
}

impl DnsHandle for Handle {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let handle = self.clone();
        Box::pin(stream::once(async move { handle.answer(request).await }))
    }
}

impl Handle {
    async fn answer(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        let query = request.queries.first().cloned().unwrap_or_default();
        if let Some(answer) = self.parent.as_ref().and_then(|parent| parent.answer(&query)) {
            return answer;
        }
        match self.upstream.exchange(&request).await {
            Ok(mut answer) => {
                // Records that prove nothing need no validation.
                answer.authorities.retain(|record| proves(record, &query));
                Ok(DnsResponse::from_message(answer)?)
            }
            Err(error) => {
                let _ = LAST_FAILURE.try_with(|failure| failure.replace(Some((query, error))));
                Err(NetError::Message("no answer"))
            }
        }
    }
}

/// Returns whether a record of the authority section can be part of a proof.
fn proves(record: &Record, query: &Query) -> bool {
    let kind = match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => signature.input().type_covered,
        _ => record.record_type(),
    };
    matches!(kind, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3)
        || (kind == RecordType::NS && query.query_type() == RecordType::NS)
}
