//! The published set: the records that stand together for one name, and which of them counts (docs/spec.md §1).

use alloc::vec::Vec;
use core::fmt;

use crate::{
    apl::{AddressSpace, Apl, SpaceError},
    http::{HttpRequest, KeySources, MAX_OBJECT_BYTES},
    record::{Record, RecordError},
    rule::{Flow, Key, PrepareError, Rule},
    types::{KeyId, UnixTime, ValidFrom},
    verdict::Verdict,
};

/// The maximum number of records that may stand together.
pub const MAX_RECORDS: usize = 4;

/// The party that a set is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// A client: a record whose secret it lacks is usable, but not by it.
    Client,
    /// A verifier: a record whose secret it lacks counts as unusable.
    Verifier,
}

/// The usable records of a name, prepared; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// By `from`, the greatest first.
    rules: Vec<Rule>,
    /// For each of them, where requests have their keys.
    keys: Vec<KeySources>,
}

/// Why no record of a set is usable, though some would be alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// More than [`MAX_RECORDS`] records stand together.
    TooManyRecords {
        /// How many there are.
        records: usize,
    },
    /// Two usable records have the same `from`.
    EqualFrom {
        /// The second that they share.
        from: ValidFrom,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRecords { records } => write!(f, "{records} records exceed {MAX_RECORDS}"),
            Self::EqualFrom { from } => {
                write!(f, "two usable records have from={from}; each needs its own")
            }
        }
    }
}

impl core::error::Error for SetError {}

/// A verdict over several records, and the record that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The best verdict.
    pub verdict: Verdict,
    /// The `from` of the record that gave it.
    pub from: ValidFrom,
}

impl Judgement {
    /// Returns the best of several judgements, which come by descending `from`: conforming, legacy, violation, outside;
    /// then the one with the fewest unchecked parts; then the first.
    pub fn best(judgements: impl Iterator<Item = Self>) -> Option<Self> {
        judgements.min_by_key(|judgement| judgement.verdict.rank())
    }
}

impl Published {
    /// Makes a set of prepared records, each with where requests have their keys.
    ///
    /// # Errors
    ///
    /// [`SetError`], which makes all of them unusable.
    pub fn new(records: Vec<(Rule, KeySources)>) -> Result<Self, SetError> {
        if records.len() > MAX_RECORDS {
            return Err(SetError::TooManyRecords { records: records.len() });
        }
        let mut ordered: Vec<(Rule, KeySources)> = Vec::with_capacity(records.len());
        for record in records {
            let place = ordered.partition_point(|(earlier, _)| earlier.from() >= record.0.from());
            ordered.insert(place.min(ordered.len()), record);
        }
        let (rules, keys): (Vec<Rule>, Vec<KeySources>) = ordered.into_iter().unzip();
        let mut pairs = rules.iter().zip(rules.iter().skip(1));
        match pairs.find(|(one, next)| one.from() == next.from()) {
            Some((rule, _)) => Err(SetError::EqualFrom { from: rule.from() }),
            None => Ok(Self { rules, keys }),
        }
    }

    /// Returns the rules, the greatest `from` first.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns the rules, the greatest `from` first, each with where requests have their keys.
    pub fn records(&self) -> impl Iterator<Item = (&Rule, &KeySources)> {
        self.rules.iter().zip(&self.keys)
    }

    /// Returns the rule that a client uses: of those whose `from` is not after now, that with the greatest.
    #[must_use]
    pub fn client_rule(&self, now: UnixTime) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.from().0 <= now.0)
    }

    /// Returns the rule that a client uses, and where requests have their keys by it.
    #[must_use]
    pub fn client(&self, now: UnixTime) -> Option<(&Rule, &KeySources)> {
        self.records().find(|(rule, _)| rule.from().0 <= now.0)
    }

    /// Returns the rules that a verifier accepts: those whose `from` is not after now and their skew.
    pub fn accepted(&self, now: UnixTime) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| is_accepted(rule, now))
    }

    /// Judges a connection by all rules that a verifier accepts; nothing where there is none.
    ///
    /// The best verdict counts: conforming, legacy, violation, outside; then the one with the fewest unchecked parts;
    /// then the one of the greatest `from`. A rule without its secret gives none.
    #[must_use]
    pub fn verify(&self, flow: &Flow<'_>) -> Option<Judgement> {
        let judgements = self.accepted(flow.time).filter_map(|rule| judge(rule, flow));
        // Rules come by descending `from`, and of equals `min_by_key` takes the first.
        Judgement::best(judgements)
    }

    /// Judges a request as [`Published::verify`] judges its connection, but with the object key and chunk that each rule's
    /// own record finds in it; those of the flow count for nothing. The buffer is where keys are written.
    #[must_use]
    pub fn verify_request(
        &self,
        flow: &Flow<'_>,
        request: &HttpRequest<'_>,
        buffer: &mut [u8; MAX_OBJECT_BYTES],
    ) -> Option<Judgement> {
        let accepted = self.records().filter(|(rule, _)| is_accepted(rule, flow.time));
        Judgement::best(accepted.filter_map(|(rule, keys)| {
            let flow = Flow {
                object: keys.find_object(request, buffer),
                chunk: keys.find_chunk(request).ok(),
                ..*flow
            };
            judge(rule, &flow)
        }))
    }

    /// Returns the record with this `from`, if it is there: its rule, and where requests have their keys.
    #[must_use]
    pub fn record(&self, from: ValidFrom) -> Option<(&Rule, &KeySources)> {
        self.records().find(|(rule, _)| rule.from() == from)
    }
}

/// Returns whether a verifier accepts a rule: its `from` is not after now and its skew.
fn is_accepted(rule: &Rule, now: UnixTime) -> bool {
    rule.from().0 <= now.0.saturating_add(rule.skew().into())
}

fn judge(rule: &Rule, flow: &Flow<'_>) -> Option<Judgement> {
    let verdict = rule.verify(flow).ok()?;
    Some(Judgement {
        verdict,
        from: rule.from(),
    })
}

/// What the DNS answers for a name say, record by record.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The APL records united: an address space, nothing where they count as absent, or their faults.
    pub space: Result<Option<AddressSpace>, SpaceError>,
    /// The TXT records that are SSA records, in the order given.
    pub candidates: Vec<Candidate>,
    /// The set of the usable ones.
    pub set: Result<Published, SetError>,
}

/// One SSA record of an answer.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its number among the TXT records given, counted from 0.
    pub index: usize,
    /// The record, or its faults.
    pub record: Result<Record, RecordError>,
    /// The prepared rule, if the record is usable; otherwise why not.
    pub rule: Result<Rule, Unusable>,
}

/// Why a record is unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The record itself is faulty.
    Record(RecordError),
    /// The APL records are faulty.
    Space(SpaceError),
    /// Record, addresses and key do not go together.
    Prepare(PrepareError),
    /// The verifier lacks the secret of this name.
    SecretMissing(KeyId),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Space(error) => error.fmt(f),
            Self::Prepare(error) => error.fmt(f),
            Self::SecretMissing(key) => write!(f, "the secret {key} is not available"),
        }
    }
}

impl core::error::Error for Unusable {}

impl Publication {
    /// Reads the answers for a name: its APL records united, `None` where there are none, and the TXT records of its
    /// `_ssa` name, each with its strings concatenated. TXT records that are no SSA records are left out.
    ///
    /// `key_of` gives what is known of the secret of a name.
    pub fn read<T: AsRef<[u8]>>(apl: Option<&Apl>, txt: &[T], party: Party, key_of: impl Fn(&KeyId) -> Key) -> Self {
        let space = apl.map_or(Ok(None), AddressSpace::new);
        let records = txt
            .iter()
            .map(AsRef::as_ref)
            .enumerate()
            .filter(|(_, txt)| Record::counts(txt));
        let candidates: Vec<Candidate> = records
            .map(|(index, txt)| {
                let record = Record::from_bytes(txt);
                let rule = prepare(&record, &space, party, &key_of);
                Candidate { index, record, rule }
            })
            .collect();
        let usable = candidates
            .iter()
            .filter_map(|candidate| {
                Some((
                    *candidate.rule.as_ref().ok()?,
                    candidate.record.as_ref().ok()?.keys().clone(),
                ))
            })
            .collect();
        let set = if candidates.len() > MAX_RECORDS {
            Err(SetError::TooManyRecords {
                records: candidates.len(),
            })
        } else {
            Published::new(usable)
        };
        Self { space, candidates, set }
    }
}

fn prepare(
    record: &Result<Record, RecordError>,
    space: &Result<Option<AddressSpace>, SpaceError>,
    party: Party,
    key_of: &impl Fn(&KeyId) -> Key,
) -> Result<Rule, Unusable> {
    let record = record.as_ref().map_err(|error| Unusable::Record(error.clone()))?;
    let space = space.as_ref().map_err(|error| Unusable::Space(error.clone()))?;
    let key = record.key().map_or(Key::None, key_of);
    let rule = Rule::prepare(record, space.as_ref(), &key).map_err(Unusable::Prepare)?;
    match record.key() {
        Some(key) if party == Party::Verifier && !rule.can_verify() => Err(Unusable::SecretMissing(key.clone())),
        _ => Ok(rule),
    }
}
