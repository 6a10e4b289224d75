//! What an answer is worth, by what hickory says of its records.

use hickory_resolver::proto::{
    dnssec::rdata::{DNSSECRData, SigInput},
    op::{DnsResponse, Query, ResponseCode},
    rr::{RData, Record, RecordType, SerialNumber},
};

use super::now;
use crate::{BogusAnswer, Proof};

/// What hickory calls our [`Proof`].
use hickory_resolver::proto::dnssec::Proof as Proven;

/// Why an answer is rejected.
#[derive(Debug)]
pub(super) enum Unfit {
    OffTopic,
    Bogus(BogusAnswer),
}

const NO_PROOF_OF_ABSENCE: Unfit = Unfit::Bogus(BogusAnswer::NoProofOfAbsence);

/// Judges an answer by the proof of each of its records.
pub(super) fn judge(mut response: DnsResponse, query: &Query) -> Result<(DnsResponse, Proof), Unfit> {
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
        // hickory requires no proof of absence if the authority section has records of unsigned zones, whichever these are.
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
    // Nor for a record expanded from a wildcard, which needs proof that there is no closer one.
    if proof == Proof::Secure && expanded && unsigned_authority {
        return Err(Unfit::Bogus(BogusAnswer::Wildcard));
    }
    Ok((without_target(response), proof))
}

/// Judges an answer whose proof of absence is invalid. Next to an alias, the proof would be of the absence of its target,
/// which is queried separately.
pub(super) fn judge_unproven(
    mut response: DnsResponse,
    query: &Query,
    proof: Proven,
) -> Result<(DnsResponse, Proof), Unfit> {
    let expanded = is_expanded(&response, query);
    response.answers.retain(|record| is_of(record, query));
    let alias = response
        .answers
        .iter()
        .all(|record| record.record_type() == RecordType::CNAME);
    match response.answers.first().map(|record| record.proof) {
        Some(Proven::Secure) if alias && !expanded => Ok((without_target(response), Proof::Secure)),
        Some(Proven::Insecure) if alias => Ok((without_target(response), Proof::Insecure)),
        // A signed denial with opt-out, which proves only that the name may be in an unsigned zone (RFC 5155 §6).
        None if proof == Proven::Insecure => Ok((response, Proof::Insecure)),
        _ => Err(NO_PROOF_OF_ABSENCE),
    }
}

/// Removes everything but the alias from an answer with an alias.
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

/// Returns the signatures of the records queried for.
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

/// Returns whether records of the answer are expanded from a wildcard (RFC 4035 §5.3.4).
fn is_expanded(response: &DnsResponse, query: &Query) -> bool {
    let labels = query.name().num_labels();
    signatures(response, query).any(|signature| signature.num_labels < labels)
}

/// Returns the most likely reason why records are bogus.
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

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::{
        dnssec::{Algorithm, rdata::RRSIG},
        op::Message,
        rr::{
            Name,
            rdata::{CNAME, SOA, TXT},
        },
    };

    use super::*;

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

    /// A signature of the text, with this number of labels.
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
        // Proofs are not part of a message on the wire.
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
    fn the_proof_of_an_answer_is_that_of_its_weakest_record() {
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
        // Records of a wildcard, and the proof that hickory does not require next to unsigned records.
        let wild = vec![
            text("_ssa.web.demo.test", Proven::Secure),
            signature(2, [0, u32::MAX / 2]),
        ];
        let told = judged(wild.clone(), vec![unrelated]);
        assert!(told.as_ref().unwrap_err().contains("wildcard"), "{told:?}");
        assert_eq!(judged(wild, vec![]), Ok((1, Proof::Secure)));
    }

    #[test]
    fn aliases_are_accepted_without_records_of_their_targets() {
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
    fn invalid_times_of_signatures_are_reported() {
        let told = |times| {
            let answers = vec![text("_ssa.web.demo.test", Proven::Bogus), signature(4, times)];
            judged(answers, vec![]).unwrap_err()
        };
        assert!(told([now() - 90, now() - 60]).contains("expired"));
        assert!(told([now() + 60, now() + 90]).contains("not valid yet"));
        assert!(told([now() - 60, now() + 60]).contains("is invalid"));
    }
}
