//! Lists, records, composing and verifying, against the oracle: the second implementation of the specification.

use arbitrary::Unstructured;
use ssa_rules::{
    AddressSpace, Apl, AplPrefix, Destination, Key, KeyId, Membership, Part, Record, Rule, Verdict,
    apl::TextFault,
    published::{Party, Publication},
    record::{Field, Problem, RecordFault},
    rule::{ComposeError, ItemSet},
};
use zerocopy::{FromBytes, IntoBytes};

use ssa_testing::Draw;

use crate::scenario::{self, Scenario};

/// RDATA of an APL record: decoding, encoding and the space that it describes.
pub fn apl_wire(data: &[u8]) -> bool {
    let decoded = Apl::from_wire(data);
    let expected = ssa_oracle::apl::from_wire(data);
    assert_eq!(
        decoded.is_ok(),
        expected.is_ok(),
        "{decoded:?}, the oracle: {expected:?}"
    );
    let apl = match decoded {
        Ok(apl) => apl,
        Err(error) => {
            assert!(error.offset <= data.len(), "{error}");
            return false;
        }
    };
    assert_eq!(apl.to_wire(), data);
    let expected: Vec<String> = expected
        .into_iter()
        .flatten()
        .map(|item| ssa_oracle::apl::to_text(&item))
        .collect();
    assert_eq!(apl.to_string(), expected.join(" "));
    list(&apl);
    true
}

/// Presentation format of APL records.
pub fn apl_text(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else {
        return false;
    };
    match text.parse::<Apl>() {
        Ok(apl) => {
            list(&apl);
            true
        }
        Err(error) => {
            assert!(!error.faults.is_empty());
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// What holds of every list, whatever it was read from.
fn list(apl: &Apl) {
    assert_eq!(apl.to_string().parse::<Apl>().as_ref(), Ok(apl));
    assert_eq!(Apl::from_wire(&apl.to_wire()).as_ref(), Ok(apl));
    let text = apl
        .v6()
        .map(|(prefix, negated)| format!("{}2:{prefix}", if negated { "!" } else { "" }));
    let expected = ssa_oracle::apl::rrset(&text.collect::<Vec<_>>().join(" "));
    let space = AddressSpace::new(apl);
    match (&space, &expected) {
        (Ok(None), Ok(None)) => {}
        (Ok(Some(space)), Ok(Some(expected))) => {
            for item in apl.items() {
                let AplPrefix::V6(prefix) = item.prefix else { continue };
                for address in [prefix.network(), prefix.broadcast()] {
                    same_place(space.membership(address), expected.place(address.into()));
                    let beyond = u128::from(address) ^ (1 << (128 - u32::from(prefix.prefix_len().max(1))));
                    same_place(space.membership(beyond.into()), expected.place(beyond));
                }
            }
        }
        (Err(error), Err(_)) => assert!(!error.faults.is_empty()),
        _ => panic!("{apl}: {space:?}, the oracle: {expected:?}"),
    }
}

fn same_place(membership: Membership, place: ssa_oracle::apl::Place) {
    use ssa_oracle::apl::Place;
    let same = match (membership, place) {
        (Membership::Service(item), Place::Service(expected)) => {
            u128::from(item.network()) == expected.address && u32::from(item.prefix_len()) == expected.length
        }
        (Membership::Legacy(_), Place::Legacy) | (Membership::Outside, Place::Outside) => true,
        _ => false,
    };
    assert!(same, "{membership:?}, the oracle: {place:?}");
}

/// A TXT record: any bytes, or, after a zero byte, a well-formed record with a few edits.
pub fn record(data: &[u8]) -> bool {
    let edited;
    let txt = if let Some((0, seed)) = data.split_first() {
        let Ok(text) = scenario::edited(&mut Unstructured::new(seed)) else {
            return false;
        };
        edited = text;
        edited.as_slice()
    } else {
        data
    };
    let parsed = Record::from_bytes(txt);
    // A record's own list has to fit it, whatever list wins over it.
    let expected = ssa_oracle::record::parse(txt).and_then(|record| {
        if record.apl.is_some() {
            Ok(ssa_oracle::record::usable_bytes(txt, "")?.record)
        } else {
            Ok(record)
        }
    });
    let shown = txt.escape_ascii();
    if parsed
        .as_ref()
        .is_err_and(|error| error.faults.iter().all(beyond_oracle))
    {
        return false;
    }
    assert_eq!(
        parsed.is_ok(),
        expected.is_ok(),
        "{shown}: {parsed:?}, the oracle: {expected:?}"
    );
    assert_eq!(Record::counts(txt), ssa_oracle::record::counts(txt), "{shown}");
    let _ = Publication::read(None, &[txt, txt], Party::Client, |_| Key::None);
    let (record, expected) = match (parsed, expected) {
        (Ok(record), Ok(expected)) => (record, expected),
        (Err(error), _) => {
            assert!(!error.faults.is_empty());
            for fault in &error.faults {
                assert!(fault.location.offset <= txt.len(), "{shown}: {fault:?}");
            }
            assert!(!error.to_string().is_empty());
            return false;
        }
        (Ok(_), Err(_)) => return false,
    };
    assert!(Record::counts(txt), "{shown}");
    canonical(&record);
    assert_eq!(u32::from(record.template().width()), expected.w(), "{shown}");
    assert_eq!(record.template().fields().len(), expected.template.len(), "{shown}");
    assert_eq!(record.time_step(), expected.step(), "{shown}");
    assert_eq!(u64::from(record.skew()), expected.skew, "{shown}");
    assert_eq!(u32::from(record.replicas()), expected.replicas, "{shown}");
    assert_eq!(u32::from(record.pow()), expected.pow, "{shown}");
    assert_eq!(record.from().0, expected.from, "{shown}");
    assert_eq!(record.salt().map_or("", |salt| salt.as_str()), expected.salt, "{shown}");
    assert_eq!(record.key().map(KeyId::as_str), expected.key.as_deref(), "{shown}");
    assert_eq!(record.kdf().map(|bits| u32::from(bits.get())), expected.kdf, "{shown}");
    let sources = record.keys().object().iter().map(ToString::to_string);
    assert!(
        sources.eq(expected.http.obj.iter().map(ssa_oracle::http::Place::text)),
        "{shown}"
    );
    assert_eq!(
        record.keys().chunk().is_some(),
        expected.http.chunk.is_some(),
        "{shown}"
    );
    true
}

/// What the oracle does not look at: the text of an address of a family that is ignored, its length, and the width of a
/// template so wide that no list fits it.
fn beyond_oracle(fault: &RecordFault) -> bool {
    match &fault.problem {
        Problem::AplText(TextFault::Address { family, .. }) => *family != 2,
        Problem::AplText(TextFault::Length { max, .. }) => *max != 128,
        Problem::TooWide { .. } => true,
        _ => false,
    }
}

/// A record prints to text that parses to the same record and prints the same.
fn canonical(record: &Record) {
    let text = record.to_string();
    let again: Record = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(&again, record, "{text}");
    assert_eq!(again.to_string(), text);
}

/// A record, its space and key, prepared by both implementations.
struct Prepared {
    record: Record,
    rule: Rule,
    usable: ssa_oracle::record::Usable,
}

fn prepare(scenario: &Scenario) -> Option<Prepared> {
    let apl: Apl = scenario
        .apl
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", scenario.apl));
    let space = AddressSpace::new(&apl);
    let usable = ssa_oracle::record::usable(&scenario.record, &scenario.apl);
    let record: Record = match scenario.record.parse() {
        Ok(record) => record,
        // A generated record keeps the grammar: only its own list, here the same as the other, may be at fault.
        Err(error) => {
            assert!(
                scenario.record.contains("apl=") && usable.is_err(),
                "{}: {error}",
                scenario.record
            );
            return None;
        }
    };
    canonical(&record);
    let prepared = match &space {
        Ok(space) => Rule::prepare(&record, space.as_ref(), &scenario.key(&record)).ok(),
        Err(_) => None,
    };
    assert_eq!(prepared.is_some(), usable.is_ok(), "{scenario:?}: {usable:?}");
    Some(Prepared {
        record,
        rule: prepared?,
        usable: usable.ok()?,
    })
}

/// Composing: what is composed conforms, by both implementations, for as long as the skew allows.
pub fn compose(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let Ok(scenario) = scenario::scenario(&mut input) else {
        return false;
    };
    let Some(Prepared { record, rule, usable }) = prepare(&scenario) else {
        return false;
    };
    let client = scenario.client();
    let mut random = Draw::seeded(scenario.seed);
    let destination = match rule.compose(&scenario.request(), &mut || random.bits()) {
        Ok(destination) => destination,
        Err(error) => {
            let chance = matches!(error, ComposeError::NotInService | ComposeError::PowExhausted { .. });
            assert!(
                !matches!(error, ComposeError::Corrupt | ComposeError::NoItemLeft),
                "{error}: {scenario:?}"
            );
            let expected = ssa_oracle::compose::compose(&usable, &client, &mut || random.bits());
            assert!(
                chance || expected.is_err(),
                "{error}, the oracle: {expected:?}: {scenario:?}"
            );
            return false;
        }
    };
    let address = u128::from(destination.0);
    assert!(
        matches!(rule.membership(destination.0), Membership::Service(_)),
        "{destination}: {scenario:?}"
    );
    if record.template().rand_bits() == 0 && rule.positive_items().count() == 1 {
        let expected = ssa_oracle::compose::compose(&usable, &client, &mut || random.bits());
        assert_eq!(expected, Ok(address), "{destination}: {scenario:?}");
    }

    // Clocks differ by no more than the skew, either way.
    let skew = u64::from(rule.skew());
    let verifier = Verifier::new(&scenario, &record);
    let composed = scenario.time.unwrap_or(0);
    for now in [composed, composed.saturating_sub(skew), composed.saturating_add(skew)] {
        let verdict = verifier.verdict(destination, now);
        assert!(
            matches!(verdict, Some(Verdict::Conforming(unchecked)) if unchecked.is_empty()),
            "{destination} at {now}: {verdict:?}: {scenario:?}"
        );
        verifier.agrees(&usable, destination, now);
    }

    // One bit of a fixed field flipped, and the verdict follows.
    let (index, bit) = (
        input.arbitrary::<u8>().unwrap_or(0),
        input.arbitrary::<u8>().unwrap_or(0),
    );
    if let Some(flipped) = flip_fixed_bit(&record, address, index, bit) {
        let verdict = verifier.verdict(Destination(flipped.into()), composed);
        assert!(
            !matches!(verdict, Some(Verdict::Conforming(_))),
            "{verdict:?}: {scenario:?}"
        );
        verifier.agrees(&usable, Destination(flipped.into()), composed);
    }
    true
}

/// Flips a bit of a field whose value neither chance nor time nor a replica decides.
fn flip_fixed_bit(record: &Record, address: u128, index: u8, bit: u8) -> Option<u128> {
    if record.time_step().is_some() || record.replicas() > 1 {
        return None;
    }
    let fields = record.template().fields();
    let index = usize::from(index) % fields.len().max(1);
    let field = fields.get(index).filter(|field| !matches!(field, Field::Rand { .. }))?;
    let after: u32 = fields
        .iter()
        .skip(index + 1)
        .map(|field| u32::from(field.width()))
        .sum();
    Some(address ^ (1 << (after + u32::from(bit % field.width()))))
}

/// The side that verifies: it has the secret, and sees all that the client knows.
struct Verifier<'a> {
    scenario: &'a Scenario,
    rule: Option<Rule>,
}

impl<'a> Verifier<'a> {
    fn new(scenario: &'a Scenario, record: &Record) -> Self {
        let space = scenario
            .apl
            .parse()
            .ok()
            .and_then(|apl| AddressSpace::new(&apl).ok())
            .flatten();
        let key = if record.key().is_some() {
            Key::Secret(scenario.secret)
        } else {
            Key::None
        };
        Self {
            scenario,
            rule: Rule::prepare(record, space.as_ref(), &key).ok(),
        }
    }

    fn verdict(&self, destination: Destination, now: u64) -> Option<Verdict> {
        self.rule?.verify(&self.scenario.flow(destination, now)).ok()
    }

    /// Both implementations give the same verdict, for the same part, with the same left unchecked.
    fn agrees(&self, usable: &ssa_oracle::record::Usable, destination: Destination, now: u64) {
        let verdict = self.verdict(destination, now);
        let expected = ssa_oracle::verify::verify(usable, &self.scenario.seen(destination, now, true)).ok();
        same_verdict(verdict, expected.as_ref(), self.scenario);
    }
}

fn same_verdict(verdict: Option<Verdict>, expected: Option<&ssa_oracle::verify::Verdict>, scenario: &Scenario) {
    assert_eq!(
        verdict.map(|v| v.name()),
        expected.map(ssa_oracle::verify::Verdict::name),
        "{scenario:?}"
    );
    let (Some(verdict), Some(expected)) = (verdict, expected) else {
        return;
    };
    let part = |part: &ssa_oracle::verify::Part| match part {
        ssa_oracle::verify::Part::Item => Part::Item,
        ssa_oracle::verify::Part::Field(index) => Part::Field(u8::try_from(*index).unwrap_or(u8::MAX)),
        ssa_oracle::verify::Part::Pow => Part::Pow,
    };
    let violated = verdict.violation().map(ssa_rules::Violation::part);
    assert_eq!(violated, expected.part().as_ref().map(part), "{verdict}: {scenario:?}");
    let unchecked: Vec<Part> = match verdict {
        Verdict::Conforming(unchecked) => unchecked.parts().collect(),
        _ => Vec::new(),
    };
    assert_eq!(
        unchecked,
        expected.unchecked().iter().map(part).collect::<Vec<_>>(),
        "{verdict}: {scenario:?}"
    );
    assert!(verdict.to_string().starts_with(verdict.name()));
}

/// Verifying: any destination, any knowledge; then the same with a rule whose bytes were damaged, which must neither
/// panic nor work without bound.
pub fn verify(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let Ok(scenario) = scenario::scenario(&mut input) else {
        return false;
    };
    let Some(Prepared { record, rule, usable }) = prepare(&scenario) else {
        return false;
    };
    let Ok(destination) = scenario::destination(&mut input, &rule, &scenario) else {
        return false;
    };
    let now = scenario
        .time
        .unwrap_or(0)
        .wrapping_add(input.arbitrary::<u8>().unwrap_or(0).into());

    let verdict = rule.verify(&scenario.flow(destination, now)).ok();
    let refused = record.key().is_some() && !matches!(scenario.key(&record), Key::Secret(_));
    assert_eq!(verdict.is_none(), refused, "{verdict:?}: {scenario:?}");
    if !refused {
        let expected = ssa_oracle::verify::verify(&usable, &scenario.seen(destination, now, true)).ok();
        same_verdict(verdict, expected.as_ref(), &scenario);
    }
    match (verdict, rule.membership(destination.0)) {
        (None, _)
        | (Some(Verdict::Outside), Membership::Outside)
        | (Some(Verdict::Legacy), Membership::Legacy(_))
        | (Some(Verdict::Conforming(_) | Verdict::Violation(_)), Membership::Service(_)) => {}
        (verdict, membership) => panic!("{verdict:?} of an address that is {membership:?}: {scenario:?}"),
    }

    let mut bytes = rule.as_bytes().to_vec();
    while let Ok(place) = input.int_in_range(0..=bytes.len().saturating_sub(1)) {
        if input.is_empty() {
            break;
        }
        bytes[place] ^= input.arbitrary::<u8>().unwrap_or(0);
    }
    let damaged = Rule::read_from_bytes(&bytes).unwrap_or_else(|_| panic!("{} bytes are no rule", bytes.len()));
    let _ = damaged.verify(&scenario.flow(destination, now));
    let _ = damaged.membership(destination.0);
    let _ = damaged.positive_items().count();
    let mut random = Draw::seeded(scenario.seed);
    if let Ok(mut search) = damaged.search(&scenario.request(), ItemSet::EMPTY, &mut || random.bits()) {
        let _ = damaged.advance(&mut search, &scenario.request(), 64, &mut || random.bits());
    }
    true
}
