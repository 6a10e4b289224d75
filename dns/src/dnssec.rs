//! Answers that lead to a trust anchor by DNSSEC (RFC 4035). hickory checks signatures and proofs of absence; this
//! chooses the anchors, and judges what hickory says of each record.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{Stream, stream};
use hickory_resolver::{
    net::{DnsError, DnsHandle, NetError, dnssec::DnssecDnsHandle, runtime::TokioRuntimeProvider, xfer::FirstAnswer},
    proto::{
        ProtoError,
        dnssec::{
            Algorithm, DigestType, DnsSecError, PublicKey, SigningKey, TBS, TrustAnchors, Verifier,
            crypto::Ed25519SigningKey,
            rdata::{DNSKEY, DNSSECRData, DS, RRSIG, SigInput},
        },
        op::{DnsRequest, DnsResponse, Message, Query, ResponseCode},
        rr::{DNSClass, LowerName, Name, RData, Record, RecordType, SerialNumber},
        serialize::txt::{
            ParseError,
            trust_anchor::{Entry, Parser},
        },
    },
};

use crate::{
    AskError, BogusAnswer, Proof,
    question::Question,
    transport::{Trouble, options},
    upstream::Upstream,
};

/// What hickory calls our [`Proof`].
use hickory_resolver::proto::dnssec::Proof as Proven;

/// How many proofs are remembered of each server.
const MAX_REMEMBERED: usize = 4096;

/// The longest that a proof is remembered.
const REMEMBERED: Duration = Duration::from_mins(5);

/// How many times as long as for one answer the whole chain of trust is waited for.
const PATIENCE: u32 = 4;

/// How long what this process signs for itself holds, before and after now, in seconds.
const HOUR: u32 = 3600;

/// So many lines of a file of trust anchors are looked at for the one at fault.
const MAX_LINES: usize = 200;

tokio::task_local! {
    /// The last question of the chain of trust that got no answer: hickory only says that there is no proof.
    static TROUBLE: RefCell<Option<(Query, AskError)>>;
}

/// The keys that every chain of trust begins with.
#[derive(Clone)]
pub struct Anchors {
    /// Keys of the root.
    root: Option<Arc<TrustAnchors>>,
    /// Keys of other zones.
    zones: Option<Zones>,
}

#[derive(Clone)]
struct Zones {
    names: Vec<Name>,
    anchors: Arc<TrustAnchors>,
    above: Arc<Above>,
}

/// A root of our own, made up in this process, that delegates to the zones of trust anchors. hickory asks for a zone's DS
/// records unless each of its keys is an anchor, and the real parent may have none, or may be out of reach.
struct Above {
    key: Ed25519SigningKey,
    dnskey: DNSKEY,
    tag: u16,
    delegations: HashMap<LowerName, Vec<Record>>,
}

impl Above {
    const TTL: u32 = 60;

    fn new(keys: &[(Name, DNSKEY)]) -> Result<Self, AnchorError> {
        let key = Ed25519SigningKey::generate_pkcs8().and_then(|pkcs8| Ed25519SigningKey::from_pkcs8(&pkcs8));
        let key = key.map_err(AnchorError::NoOwnKey)?;
        let dnskey = DNSKEY::from_key(&key.to_public_key().map_err(AnchorError::NoOwnKey)?);
        let mut delegations: HashMap<LowerName, Vec<Record>> = HashMap::new();
        for (name, anchor) in keys {
            let digest = anchor
                .to_digest(name, DigestType::SHA256)
                .map_err(AnchorError::Digest)?;
            let ds = DS::new(
                anchor.calculate_key_tag().map_err(AnchorError::Digest)?,
                anchor.public_key().algorithm(),
                DigestType::SHA256,
                digest.as_ref().to_vec(),
            );
            let record = Record::from_rdata(name.clone(), Self::TTL, RData::DNSSEC(DNSSECRData::DS(ds)));
            delegations.entry(name.into()).or_default().push(record);
        }
        Ok(Self {
            key,
            tag: dnskey.calculate_key_tag().map_err(AnchorError::Digest)?,
            dnskey,
            delegations,
        })
    }

    /// Answers what is asked of this root.
    fn answer(&self, query: &Query) -> Option<Result<DnsResponse, NetError>> {
        let records = match query.query_type() {
            RecordType::DNSKEY if query.name().is_root() => {
                let key = RData::DNSSEC(DNSSECRData::DNSKEY(self.dnskey.clone()));
                Ok(vec![Record::from_rdata(Name::root(), Self::TTL, key)])
            }
            RecordType::DS => self.signed(self.delegations.get(&query.name().into())?),
            _ => return None,
        };
        let response = records.and_then(|records| {
            let mut message = Message::query();
            message.add_query(query.clone());
            message.add_answers(records);
            DnsResponse::from_message(message.into_response())
        });
        Some(response.map_err(NetError::from))
    }

    fn signed(&self, records: &[Record]) -> Result<Vec<Record>, ProtoError> {
        let Some(first) = records.first() else {
            return Ok(Vec::new());
        };
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: Algorithm::ED25519,
            num_labels: first.name.num_labels(),
            original_ttl: Self::TTL,
            sig_expiration: SerialNumber::new(now().wrapping_add(HOUR)),
            sig_inception: SerialNumber::new(now().wrapping_sub(HOUR)),
            key_tag: self.tag,
            signer_name: Name::root(),
        };
        let signed = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter())?;
        let signature = self
            .key
            .sign(&signed)
            .map_err(|_| ProtoError::from("nothing can be signed here"))?;
        let signature = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature)));
        let signature = Record::from_rdata(first.name.clone(), Self::TTL, signature);
        Ok(records.iter().cloned().chain([signature]).collect())
    }
}

/// Why a text has no trust anchors that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// A line does not parse.
    #[error("line {line} is not {WANTED}")]
    NotRecord {
        /// The first after which the text does not parse.
        line: usize,
        /// What the parser says.
        source: ParseError,
    },
    /// The last record is cut short.
    #[error("it does not end as {WANTED} does")]
    Unfinished(#[source] ParseError),
    /// It has records of another type.
    #[error("only DNSKEY records are understood")]
    NotDnskey,
    /// A key that proves nothing.
    #[error("the key of {name} is revoked, of no zone, or cannot be used (algorithm {algorithm})")]
    UnusableKey {
        /// Whose key it is.
        name: Name,
        /// The algorithm that it names.
        algorithm: Algorithm,
    },
    /// It has no record.
    #[error("there is no DNSKEY record")]
    Empty,
    /// No digest can be made of a key.
    #[error("a key of it cannot be used")]
    Digest(#[source] ProtoError),
    /// This process cannot make a key of its own to sign with.
    #[error("no key can be made here")]
    NoOwnKey(#[source] DnsSecError),
}

const WANTED: &str = "a DNSKEY record as zone files have it, such as `example. 3600 IN DNSKEY 257 3 13 KEY`";

/// Says which line of a file of trust anchors is at fault: the first after which it does not parse.
fn no_anchors(text: &str, source: ParseError) -> AnchorError {
    let ends = text.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        Some(*end)
    });
    // Parentheses join lines, so that a part may end within a record that is sound.
    let open = |part: &str| part.matches('(').count() > part.matches(')').count();
    let at_fault = (1_usize..).zip(ends.take(MAX_LINES)).find(|(_, end)| {
        let part = text.get(..*end).unwrap_or_default();
        !open(part) && Parser::new(part).parse().is_err()
    });
    match at_fault {
        Some((line, _)) => AnchorError::NotRecord { line, source },
        None => AnchorError::Unfinished(source),
    }
}

impl Anchors {
    /// The keys of the public root.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            root: Some(Arc::new(TrustAnchors::default())),
            zones: None,
        }
    }

    /// Reads DNSKEY records as zone files have them, of the root or of other zones.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn from_text(text: &str) -> Result<Self, AnchorError> {
        let entries = Parser::new(text).parse().map_err(|error| no_anchors(text, error))?;
        let mut root = TrustAnchors::empty();
        let mut keys = Vec::new();
        for entry in entries {
            let Entry::DNSKEY(entry) = entry else {
                return Err(AnchorError::NotDnskey);
            };
            let mut name = entry.name().clone();
            name.set_fqdn(true);
            let key = entry.data();
            if !key.zone_key() || key.revoke() || !key.algorithm().is_supported() || key.key().is_err() {
                let algorithm = key.algorithm();
                return Err(AnchorError::UnusableKey { name, algorithm });
            }
            if name.is_root() {
                root.insert(key.public_key());
            } else {
                keys.push((name, key.clone()));
            }
        }
        if keys.is_empty() && root.is_empty() {
            return Err(AnchorError::Empty);
        }
        let zones = if keys.is_empty() {
            None
        } else {
            let above = Above::new(&keys)?;
            let mut anchors = TrustAnchors::empty();
            anchors.insert(above.dnskey.public_key());
            Some(Zones {
                names: keys.into_iter().map(|(name, _)| name).collect(),
                anchors: Arc::new(anchors),
                above: Arc::new(above),
            })
        };
        Ok(Self {
            root: (!root.is_empty()).then(|| Arc::new(root)),
            zones,
        })
    }
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchors").finish_non_exhaustive()
    }
}

/// Proves the answers of one server.
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
        let handle = |anchors: &Arc<TrustAnchors>, above: Option<&Arc<Above>>| {
            let handle = Handle {
                upstream: upstream.clone(),
                above: above.cloned(),
            };
            DnssecDnsHandle::with_trust_anchor(handle, anchors.clone())
                .validation_cache_size(MAX_REMEMBERED)
                .positive_validation_ttl(Duration::ZERO..=REMEMBERED)
        };
        let zones = anchors.zones.as_ref();
        Self {
            upstream: upstream.clone(),
            root: anchors.root.as_ref().map(|anchors| handle(anchors, None)),
            zones: zones.map(|zones| (zones.names.clone(), handle(&zones.anchors, Some(&zones.above)))),
        }
    }

    /// Asks, and returns what is proven of the answer: the records of the name and type alone, or an alias, or neither.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<(Message, Proof), AskError> {
        let zones = self.zones.as_ref();
        let under = zones.filter(|(names, _)| names.iter().any(|zone| zone.zone_of(name)));
        let Some(handle) = under.map(|(_, handle)| handle).or(self.root.as_ref()) else {
            return Err(self.bogus(BogusAnswer::NoAnchor));
        };
        let query = Query::query(name.clone(), kind);
        let asked = async {
            let answer = handle.lookup(query.clone(), options()).first_answer();
            let answer = tokio::time::timeout(self.upstream.timeout * PATIENCE, answer).await;
            (answer.unwrap_or(Err(NetError::Timeout)), TROUBLE.with(RefCell::take))
        };
        let (answer, trouble) = TROUBLE.scope(RefCell::default(), asked).await;
        let judged = match answer {
            Ok(response) => judge(response, &query),
            Err(NetError::Dns(DnsError::Nsec { response, proof, .. })) => judge_unproven(*response, &query, proof),
            Err(error) => {
                return Err(match (trouble, error) {
                    (Some((of, error)), _) if of == query => error,
                    (Some((of, source)), _) => unproven(&of, source),
                    // What is wrong with the chain of trust and not with the connection.
                    (
                        None,
                        error @ (NetError::Msg(_) | NetError::Message(_) | NetError::Proto(_) | NetError::Dns(_)),
                    ) => self.bogus(BogusAnswer::NoChain(Box::new(error))),
                    (None, error) => self.upstream.tell(Trouble::from(error)),
                });
            }
        };
        let judged = judged.map(|(response, proof)| (response.into_message(), proof));
        judged.map_err(|unfit| match (unfit, trouble) {
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

/// Says that another question of the chain of trust got no answer.
fn unproven(question: &Query, source: AskError) -> AskError {
    AskError::Unproven {
        question: Question::new(question.name(), question.query_type()),
        source: Box::new(source),
    }
}

/// Why an answer is not taken.
enum Unfit {
    OffTopic,
    Bogus(BogusAnswer),
}

const NO_PROOF_OF_ABSENCE: Unfit = Unfit::Bogus(BogusAnswer::NoProofOfAbsence);

/// Judges an answer by what hickory says of its records.
fn judge(mut response: DnsResponse, query: &Query) -> Result<(DnsResponse, Proof), Unfit> {
    let all = response.answers.len();
    let unsigned_authority = !response.authorities.is_empty()
        && response
            .authorities
            .iter()
            .all(|record| record.proof == Proven::Insecure);
    let expanded = is_expanded(&response, query);
    let fault = fault(&response, query);
    response.answers.retain(|record| is_of(record, query));
    if response.answers.is_empty() {
        if all > 0 {
            return Err(Unfit::OffTopic);
        }
        // hickory asks for no proof beside records of unsigned zones, whatever zones these are.
        let above = |record: &Record| record.record_type() == RecordType::SOA && record.name.zone_of(query.name());
        if unsigned_authority && !response.authorities.iter().any(above) {
            return Err(NO_PROOF_OF_ABSENCE);
        }
        let secure = response.authorities.iter().any(is_denial);
        return Ok((response, if secure { Proof::Secure } else { Proof::Insecure }));
    }
    let mut proof = Proof::Secure;
    for record in &response.answers {
        proof = proof.min(match record.proof {
            Proven::Secure => Proof::Secure,
            Proven::Insecure => Proof::Insecure,
            Proven::Bogus | Proven::Indeterminate => return Err(Unfit::Bogus(fault)),
        });
    }
    // The same: a record made from a wildcard needs the proof that there is no closer one.
    if proof == Proof::Secure && expanded && unsigned_authority {
        return Err(Unfit::Bogus(BogusAnswer::Wildcard));
    }
    Ok((without_target(response), proof))
}

/// Judges an answer whose proof of absence does not hold. Beside an alias it would be that of the alias's target, which is
/// asked for by itself.
fn judge_unproven(mut response: DnsResponse, query: &Query, proof: Proven) -> Result<(DnsResponse, Proof), Unfit> {
    let expanded = is_expanded(&response, query);
    response.answers.retain(|record| is_of(record, query));
    let alias = response
        .answers
        .iter()
        .all(|record| record.record_type() == RecordType::CNAME);
    match response.answers.first().map(|record| record.proof) {
        Some(Proven::Secure) if alias && !expanded => Ok((without_target(response), Proof::Secure)),
        Some(Proven::Insecure) if alias => Ok((without_target(response), Proof::Insecure)),
        // Signed denial that by its own terms proves little: opt-out (RFC 5155 §6).
        None if proof == Proven::Insecure => Ok((response, Proof::Insecure)),
        _ => Err(NO_PROOF_OF_ABSENCE),
    }
}

/// Leaves of an answer with an alias the alias alone.
fn without_target(mut response: DnsResponse) -> DnsResponse {
    if response
        .answers
        .iter()
        .any(|record| record.record_type() == RecordType::CNAME)
    {
        response.metadata.response_code = ResponseCode::NoError;
        response.authorities.clear();
    }
    response
}

fn is_of(record: &Record, query: &Query) -> bool {
    let kind = record.record_type();
    record.name == *query.name() && (kind == query.query_type() || kind == RecordType::CNAME)
}

fn is_denial(record: &Record) -> bool {
    record.proof == Proven::Secure && matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3)
}

/// Returns the signatures of what was asked for.
fn signatures<'a>(response: &'a DnsResponse, query: &Query) -> impl Iterator<Item = &'a SigInput> {
    let (name, kind) = (query.name().clone(), query.query_type());
    response.answers.iter().filter_map(move |record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) if record.name == name => {
            let input = signature.input();
            (input.type_covered == kind || input.type_covered == RecordType::CNAME).then_some(input)
        }
        _ => None,
    })
}

/// Returns whether a wildcard's records are in the answer.
fn is_expanded(response: &DnsResponse, query: &Query) -> bool {
    let labels = query.name().num_labels();
    signatures(response, query).any(|signature| signature.num_labels < labels)
}

/// Returns what most likely is wrong where records are bogus.
fn fault(response: &DnsResponse, query: &Query) -> BogusAnswer {
    let now = SerialNumber::new(now());
    let mut fault = BogusAnswer::Unsigned;
    for signature in signatures(response, query) {
        fault = if signature.sig_expiration < now {
            BogusAnswer::Expired
        } else if signature.sig_inception > now {
            BogusAnswer::NotYetValid
        } else {
            return BogusAnswer::WrongSignature;
        };
    }
    fault
}

#[allow(
    clippy::disallowed_methods,
    reason = "hickory looks at the clock itself; this tells what it has seen"
)]
fn now() -> u32 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    // Times of signatures are counted modulo 2^32 (RFC 4034 §3.1.5).
    u32::try_from(since.as_secs() & u64::from(u32::MAX)).unwrap_or_default()
}

/// Asks one server for hickory.
#[derive(Clone)]
struct Handle {
    upstream: Arc<Upstream>,
    above: Option<Arc<Above>>,
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
        if let Some(answer) = self.above.as_ref().and_then(|above| above.answer(&query)) {
            return answer;
        }
        match self.upstream.exchange(&request).await {
            Ok(mut answer) => {
                // What proves nothing is not checked either.
                answer.authorities.retain(|record| proves(record, &query));
                Ok(DnsResponse::from_message(answer)?)
            }
            Err(error) => {
                let _ = TROUBLE.try_with(|trouble| trouble.replace(Some((query, error))));
                Err(NetError::Message("no answer"))
            }
        }
    }
}

/// Returns whether a record of the authority section is of use.
fn proves(record: &Record, query: &Query) -> bool {
    let kind = match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => signature.input().type_covered,
        _ => record.record_type(),
    };
    matches!(kind, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3)
        || (kind == RecordType::NS && query.query_type() == RecordType::NS)
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{CNAME, SOA, TXT};

    use super::*;

    const KEY: &str =
        "257 3 13 Bl632cuLiHHCAoHdH85ehhZhIkslOq0k/+3wiaRm33Y8vKlfj1DN/oQ+ JReOiASMSvBmgvu/uOdXQZW86yHw9Q==";

    fn name(text: &str) -> Name {
        crate::name(text).unwrap()
    }

    fn query() -> Query {
        Query::query(name("_ssa.web.demo.test"), RecordType::TXT)
    }

    fn text(owner: &str, proof: Proven) -> Record {
        let mut record = Record::from_rdata(name(owner), 9, RData::TXT(TXT::new(vec!["v=ssa1".into()])));
        record.proof = proof;
        record
    }

    fn alias(proof: Proven) -> Record {
        let target = RData::CNAME(CNAME(name("target.demo.test")));
        let mut record = Record::from_rdata(name("_ssa.web.demo.test"), 9, target);
        record.proof = proof;
        record
    }

    fn start(owner: &str, proof: Proven) -> Record {
        let soa = SOA::new(name("ns.demo.test"), name("root.demo.test"), 1, 60, 60, 60, 2);
        let mut record = Record::from_rdata(name(owner), 9, RData::SOA(soa));
        record.proof = proof;
        record
    }

    /// A signature of the text that covers so many labels.
    fn signature(labels: u8, [inception, expiration]: [u32; 2]) -> Record {
        let input = SigInput {
            type_covered: RecordType::TXT,
            algorithm: Algorithm::ED25519,
            num_labels: labels,
            original_ttl: 9,
            sig_expiration: SerialNumber::new(expiration),
            sig_inception: SerialNumber::new(inception),
            key_tag: 1,
            signer_name: name("demo.test"),
        };
        let signature = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![0; 64])));
        Record::from_rdata(name("_ssa.web.demo.test"), 9, signature)
    }

    fn response(answers: Vec<Record>, authorities: Vec<Record>) -> DnsResponse {
        let mut message = Message::query();
        message.add_query(query());
        let mut response = DnsResponse::from_message(message.into_response()).unwrap();
        // Proofs are no part of a message's octets.
        response.insert_answers(answers);
        response.insert_authorities(authorities);
        response
    }

    fn judged(answers: Vec<Record>, authorities: Vec<Record>) -> Result<(usize, Proof), String> {
        match judge(response(answers, authorities), &query()) {
            Ok((response, proof)) => Ok((response.answers.len(), proof)),
            Err(Unfit::OffTopic) => Err("off topic".to_owned()),
            Err(Unfit::Bogus(reason)) => Err(reason.to_string()),
        }
    }

    #[test]
    fn records_count_as_far_as_they_are_proven() {
        let own = "_ssa.web.demo.test";
        assert_eq!(judged(vec![text(own, Proven::Secure)], vec![]), Ok((1, Proof::Secure)));
        assert_eq!(
            judged(vec![text(own, Proven::Insecure)], vec![]),
            Ok((1, Proof::Insecure))
        );
        for proof in [Proven::Bogus, Proven::Indeterminate] {
            let told = judged(vec![text(own, Proven::Secure), text(own, proof)], vec![]);
            assert!(
                told.as_ref().unwrap_err().starts_with("it has no signature"),
                "{told:?}"
            );
        }
        let others = vec![text("other.test", Proven::Secure)];
        assert_eq!(judged(others, vec![]), Err("off topic".to_owned()));
        let beside = vec![text(own, Proven::Secure), text("other.test", Proven::Bogus)];
        assert_eq!(judged(beside, vec![]), Ok((1, Proof::Secure)));
    }

    #[test]
    fn absence_needs_a_proof_of_a_zone_above_the_name() {
        let unrelated = start("unsigned.example", Proven::Insecure);
        assert!(
            judged(vec![], vec![unrelated.clone()])
                .unwrap_err()
                .contains("no proof")
        );
        let below = start("x._ssa.web.demo.test", Proven::Insecure);
        assert!(judged(vec![], vec![below]).is_err());
        let above = start("demo.test", Proven::Insecure);
        assert_eq!(judged(vec![], vec![above]), Ok((0, Proof::Insecure)));
        // A wildcard's records, and the proof that hickory does not ask for beside unsigned records.
        let wild = vec![
            text("_ssa.web.demo.test", Proven::Secure),
            signature(2, [0, u32::MAX / 2]),
        ];
        let told = judged(wild.clone(), vec![unrelated]);
        assert!(told.as_ref().unwrap_err().contains("wildcard"), "{told:?}");
        assert_eq!(judged(wild, vec![]), Ok((1, Proof::Secure)));
    }

    #[test]
    fn aliases_are_taken_without_what_is_said_of_their_targets() {
        let told = |proof, signatures: Vec<Record>| {
            let mut answers = vec![alias(proof), text("target.demo.test", Proven::Bogus)];
            answers.extend(signatures);
            let mut response = response(answers, vec![start("demo.test", Proven::Secure)]);
            response.metadata.response_code = ResponseCode::NXDomain;
            judge_unproven(response, &query(), Proven::Bogus).map(|(response, proof)| {
                let code = response.metadata.response_code;
                (response.answers.len(), response.authorities.len(), code, proof)
            })
        };
        let fine = told(Proven::Secure, vec![]);
        assert!(matches!(fine, Ok((1, 0, ResponseCode::NoError, Proof::Secure))));
        assert!(told(Proven::Bogus, vec![]).is_err());
        assert!(told(Proven::Secure, vec![signature(2, [0, 9])]).is_err());
        assert!(judge_unproven(response(vec![], vec![]), &query(), Proven::Bogus).is_err());
        let opted_out = judge_unproven(response(vec![], vec![]), &query(), Proven::Insecure);
        assert!(matches!(opted_out, Ok((_, Proof::Insecure))));
    }

    #[test]
    fn what_is_wrong_with_signatures_is_told() {
        let told = |times| {
            let answers = vec![text("_ssa.web.demo.test", Proven::Bogus), signature(4, times)];
            judged(answers, vec![]).unwrap_err()
        };
        assert!(told([now() - 90, now() - 60]).contains("expired"));
        assert!(told([now() + 60, now() + 90]).contains("not valid yet"));
        assert!(told([now() - 60, now() + 60]).contains("is invalid"));
    }

    #[test]
    fn anchors_are_read_from_dnskey_records() {
        let both = Anchors::from_text(&format!(
            "; a comment\n. IN DNSKEY {KEY}\ndemo.test 60 IN DNSKEY {KEY}\n"
        ))
        .unwrap();
        assert_eq!(both.root.unwrap().len(), 1);
        assert_eq!(both.zones.unwrap().names, [name("demo.test")]);
        assert!(
            Anchors::from_text(&format!("demo.test. IN DNSKEY {KEY}"))
                .unwrap()
                .root
                .is_none()
        );
        for text in [
            "",
            "; nothing",
            "demo.test. IN DNSKEY 257 3 13 AAAA x",
            "demo.test. IN DNSKEY 257 3 250 AAAA",
            "demo.test. IN DNSKEY 257 3 13 AAAA",
            "demo.test. IN A 192.0.2.1",
            "demo.test. IN DS 1 13 2 00",
            &format!("demo.test. IN DNSKEY {}", KEY.replacen("257", "1", 1)),
            &format!("demo.test. IN DNSKEY {}", KEY.replacen("257", "385", 1)),
        ] {
            let Err(error) = Anchors::from_text(text) else {
                panic!("{text}")
            };
            let told = error.to_string();
            assert!(!told.contains("Err(") && !told.contains("Errors"), "{text}: {told}");
        }
        let Err(told) = Anchors::from_text("; a comment\ndemo.test. IN DNSKEY 257 3\n") else {
            panic!("no key is read")
        };
        assert!(std::error::Error::source(&told).is_some());
        assert!(told.to_string().starts_with("line 2 is not a DNSKEY record"), "{told}");
    }

    #[test]
    fn the_root_of_our_own_answers_for_anchors_alone() {
        let anchors = Anchors::from_text(&format!("demo.test. IN DNSKEY {KEY}")).unwrap();
        let above = anchors.zones.unwrap().above;
        let asked = |text: &str, kind| above.answer(&Query::query(name(text), kind)).map(Result::unwrap);
        assert_eq!(asked("Demo.Test.", RecordType::DS).unwrap().answers.len(), 2);
        assert_eq!(asked(".", RecordType::DNSKEY).unwrap().answers.len(), 1);
        assert!(asked("test.", RecordType::DS).is_none());
        assert!(asked("demo.test.", RecordType::DNSKEY).is_none());
        assert!(asked("demo.test.", RecordType::TXT).is_none());
    }
}
