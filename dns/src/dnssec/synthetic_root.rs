//! A root zone made up by this process, which delegates to the zones of the trust anchors.

use std::collections::HashMap;

use hickory_resolver::{
    net::NetError,
    proto::{
        ProtoError,
        dnssec::{
            Algorithm, DigestType, PublicKey, SigningKey, TBS,
            crypto::Ed25519SigningKey,
            rdata::{DNSKEY, DNSSECRData, DS, RRSIG, SigInput},
        },
        op::{DnsResponse, Message, Query},
        rr::{DNSClass, LowerName, Name, RData, Record, RecordType, SerialNumber},
    },
};

use super::{AnchorError, now};

/// How long a signature of this process is valid before and after now, in seconds.
const VALIDITY: u32 = 3600;

/// A synthetic root zone that delegates to the zones of the trust anchors.
///
/// hickory queries for a zone's DS records unless each of its keys is an anchor, and the real parent may have none, or may
/// be unreachable.
pub(super) struct SyntheticRoot {
    key: Ed25519SigningKey,
    pub(super) dnskey: DNSKEY,
    tag: u16,
    delegations: HashMap<LowerName, Vec<Record>>,
}

impl SyntheticRoot {
    const TTL: u32 = 60;

    pub(super) fn new(keys: &[(Name, DNSKEY)]) -> Result<Self, AnchorError> {
        let key = Ed25519SigningKey::generate_pkcs8().and_then(|pkcs8| Ed25519SigningKey::from_pkcs8(&pkcs8));
        let key = key.map_err(AnchorError::NoSigningKey)?;
        let dnskey = DNSKEY::from_key(&key.to_public_key().map_err(AnchorError::NoSigningKey)?);
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

    /// Answers queries for this zone's keys and delegations.
    pub(super) fn answer(&self, query: &Query) -> Option<Result<DnsResponse, NetError>> {
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
            sig_expiration: SerialNumber::new(now().wrapping_add(VALIDITY)),
            sig_inception: SerialNumber::new(now().wrapping_sub(VALIDITY)),
            key_tag: self.tag,
            signer_name: Name::root(),
        };
        let signed = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter())?;
        let signature = self.key.sign(&signed).map_err(|_| ProtoError::from("signing failed"))?;
        let signature = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature)));
        let signature = Record::from_rdata(first.name.clone(), Self::TTL, signature);
        Ok(records.iter().cloned().chain([signature]).collect())
    }
}
