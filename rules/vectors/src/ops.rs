//! The operations: each asks the crate what the case asks, and compares.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    net::Ipv6Addr,
};

use serde_json::{Value, json};
use ssa_rules::{
    AddressSpace, Apl, Candidate, Choice, Chunk, Connection, Destination, Flow, HttpRequest, ItemSource, Key, KeyId,
    Part, Party, Port, Publication, Record, Replica, Request, Rule, Secret, Source, SourceBits, Sources, UnixTime,
    Verdict, hash::siphash24, http::MAX_OBJECT_BYTES,
};

use crate::{
    Difference,
    case::{self, Case, Field, Outcome, Txt, need, unhex},
};

pub(crate) fn run(case: &Case) -> Result<Vec<Difference>, Field> {
    match case.op.as_str() {
        "parse" => parse(case),
        "compose" => compose(case),
        "compose-error" => compose_error(case),
        "choose" => choose(case),
        "verify" => verify(case),
        "verify-refused" => verify_refused(case),
        "published" => published(case),
        "extract" => extract(case),
        "client-key" => client_key(case),
        "siphash" => siphash(case),
        "apl-wire" => apl_wire(case),
        other => Err(Field::UnknownOp(other.into())),
    }
}

/// Compares what a key expects with what was found.
fn compare(key: &'static str, expected: &Value, found: impl fmt::Display) -> Vec<Difference> {
    let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_string);
    let found = found.to_string();
    if expected == found {
        Vec::new()
    } else {
        vec![Difference { key, expected, found }]
    }
}

fn usable(case: &Case) -> Result<(Record, Option<AddressSpace>), String> {
    let apl: Apl = case.apl.parse().map_err(|error| format!("{error}"))?;
    let space = AddressSpace::new(&apl).map_err(|error| error.to_string())?;
    let record: Record = case
        .rule
        .as_deref()
        .unwrap_or("")
        .parse()
        .map_err(|error| format!("{error}"))?;
    Rule::prepare(&record, space.as_ref(), &Key::None).map_err(|error| error.to_string())?;
    Ok((record, space))
}

fn prepared(case: &Case) -> Result<Rule, Field> {
    need("rule", case.rule.as_ref())?;
    let (record, space) = usable(case).map_err(Field::Unusable)?;
    let key = record.key().map_or(Ok(Key::None), |name| key_of(case, name))?;
    Rule::prepare(&record, space.as_ref(), &key).map_err(|error| Field::Unusable(error.to_string()))
}

fn key_of(case: &Case, name: &KeyId) -> Result<Key, Field> {
    Ok(case.secret_named(name.as_str())?.map_or(Key::None, Key::Secret))
}

fn parse(case: &Case) -> Result<Vec<Difference>, Field> {
    need("rule", case.rule.as_ref())?;
    let mut differences = compare(
        "expect",
        &case.expect,
        if usable(case).is_ok() { "usable" } else { "unusable" },
    );
    // Whatever is usable prints canonically: parsing that gives the same record.
    if let Ok((record, _)) = usable(case) {
        let printed = record.to_string();
        if printed.parse() != Ok(record) {
            let expected = "the record that was printed".into();
            differences.push(Difference {
                key: "rule",
                expected,
                found: printed,
            });
        }
    }
    Ok(differences)
}

/// Returns a source of random bits, the same for the same seed.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut count = 0_u64;
    move || {
        count = count.wrapping_add(1);
        siphash24(&[1; 16], &(u128::from(seed) << 64 | u128::from(count)).to_be_bytes())
    }
}

/// Composes four times with different random bits: a case leaves nothing to them.
fn composed(case: &Case) -> Result<Result<Ipv6Addr, String>, Field> {
    let rule = prepared(case)?;
    let object = case.object()?;
    let request = Request {
        source: Source(need("source", case.source)?),
        object: object.as_deref(),
        chunk: case.chunk.map(Chunk),
        port: case.port.map(Port),
        time: case.time.map(UnixTime),
        replica: Replica(case.replica.unwrap_or(0)),
    };
    let once = |seed: u64| {
        rule.compose(&request, &mut random(seed))
            .map(|Destination(address)| address)
            .map_err(|error| error.to_string())
    };
    let first = once(0);
    let certain = (1..4).all(|seed| once(seed) == first);
    if certain {
        Ok(first)
    } else {
        Err(Field::Value {
            key: "rule",
            allowed: "free of chance for these inputs",
        })
    }
}

fn compose(case: &Case) -> Result<Vec<Difference>, Field> {
    let expected: Option<Ipv6Addr> = case.expect.as_str().and_then(|text| text.parse().ok());
    let expected = need("expect", expected)?;
    Ok(match composed(case)? {
        Ok(found) => compare("expect", &Value::String(expected.to_string()), found),
        Err(error) => compare("expect", &case.expect, error),
    })
}

fn compose_error(case: &Case) -> Result<Vec<Difference>, Field> {
    Ok(compare(
        "expect",
        &case.expect,
        if composed(case)?.is_err() { "error" } else { "address" },
    ))
}

/// How often a choice is made: of at most eight outcomes each is met, but for one choice in 10¹³.
const CHOICES: u64 = 256;

/// Chooses many times: every outcome must be met, and no other.
fn choose(case: &Case) -> Result<Vec<Difference>, Field> {
    let rule = prepared(case)?;
    let object = case.object()?;
    let connection = Connection {
        object: object.as_deref(),
        chunk: case.chunk.map(Chunk),
        port: case.port.map(Port),
        time: case.time.map(UnixTime),
    };
    let sources: Vec<ItemSource> = case.sources.iter().map(own_source).collect::<Result<_, _>>()?;
    let sources = Sources {
        by_item: &sources,
        default: case.source,
    };
    let failed = case.failed.iter().map(|failed| candidate(&rule, failed));
    let failed: Vec<Candidate> = failed.collect::<Result<_, _>>()?;
    let mut found = BTreeSet::new();
    for seed in 0..CHOICES {
        let mut random = random(seed);
        let choice = rule.choose(&connection, &sources, &failed.iter().copied(), &mut random);
        let chosen = match choice {
            Ok(Choice::Chosen(chosen)) => chosen,
            Ok(Choice::Work(mut work)) => match rule.resume(&mut work, &connection, u32::MAX, &mut random) {
                Ok(Some(chosen)) => chosen,
                Ok(None) | Err(_) => continue,
            },
            Err(_) => continue,
        };
        found.insert(Outcome {
            address: chosen.candidate.address.0,
            source: chosen.source,
        });
    }
    let expected: Option<BTreeSet<Outcome>> = serde_json::from_value(case.expect.clone()).ok();
    let text = |outcomes: &BTreeSet<Outcome>| {
        let outcomes = outcomes.iter();
        let texts: Vec<String> = outcomes
            .map(|found| format!("{} from {}", found.address, found.source))
            .collect();
        texts.join(", ")
    };
    let expected = expected.ok_or(Field::Value {
        key: "expect",
        allowed: "a list of addresses and their sources",
    })?;
    Ok(compare("expect", &Value::String(text(&expected)), text(&found)))
}

fn own_source(own: &case::OwnSource) -> Result<ItemSource, Field> {
    let item = own.item.parse().map_err(|_| Field::Value {
        key: "sources",
        allowed: "items with their sources",
    })?;
    Ok(ItemSource {
        item,
        source: own.source,
    })
}

fn candidate(rule: &Rule, failed: &case::Failed) -> Result<Candidate, Field> {
    let mut items = rule.positive_items();
    let item = items.find(|(_, prefix)| prefix.to_string() == failed.item);
    let (item, _) = item.ok_or(Field::Value {
        key: "failed",
        allowed: "candidates in positive items",
    })?;
    Ok(Candidate {
        item,
        replica: Replica(failed.replica),
        address: Destination(failed.address),
    })
}

fn with_flow<T>(case: &Case, judge: impl FnOnce(&Flow<'_>) -> T) -> Result<T, Field> {
    let object = case.object()?;
    Ok(judge(&Flow {
        source: Source(need("source", case.source)?),
        destination: Destination(need("destination", case.destination)?),
        port: case.port.map(Port),
        object: object.as_deref(),
        chunk: case.chunk.map(Chunk),
        time: UnixTime(need("time", case.time)?),
    }))
}

fn part_name(part: Part) -> String {
    match part {
        Part::Field(index) => format!("field {index}"),
        Part::Item | Part::Pow => part.name().into(),
    }
}

fn verdict_part(verdict: &Verdict) -> Option<String> {
    verdict.violation().map(|violation| part_name(violation.part()))
}

fn verdict_unchecked(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Conforming(unchecked) => unchecked.parts().map(part_name).collect(),
        Verdict::Legacy | Verdict::Outside | Verdict::Violation(_) => Vec::new(),
    }
}

fn verify(case: &Case) -> Result<Vec<Difference>, Field> {
    let rule = prepared(case)?;
    let verdict = with_flow(case, |flow| rule.verify(flow))?;
    let Ok(verdict) = verdict else {
        return Ok(compare("expect", &case.expect, "refused: the secret is missing"));
    };
    let mut differences = compare("expect", &case.expect, verdict.name());
    if let Some(part) = &case.part {
        let found = verdict_part(&verdict).unwrap_or_else(|| "none".into());
        differences.extend(compare("part", &Value::String(part.clone()), found));
    }
    if let Some(unchecked) = &case.unchecked {
        let found = verdict_unchecked(&verdict).join(", ");
        differences.extend(compare("unchecked", &Value::String(unchecked.join(", ")), found));
    }
    Ok(differences)
}

fn verify_refused(case: &Case) -> Result<Vec<Difference>, Field> {
    let rule = prepared(case)?;
    let refused = with_flow(case, |flow| rule.verify(flow))?.is_err();
    Ok(compare(
        "expect",
        &case.expect,
        if refused { "refused" } else { "verdict" },
    ))
}

fn published(case: &Case) -> Result<Vec<Difference>, Field> {
    let txt: Vec<String> = need("records", case.records.as_ref())?.iter().map(Txt::text).collect();
    let apl: Apl = case.apl.parse().map_err(|_| Field::Value {
        key: "apl",
        allowed: "an address prefix list",
    })?;
    let now = UnixTime(need("time", case.time)?);
    let read = |role| {
        let key_of = |name: &KeyId| key_of(case, name).unwrap_or(Key::None);
        Publication::read(Some(&apl), &txt, role, key_of)
    };
    let index_of = |publication: &Publication, rule: &Rule| {
        let used = publication
            .candidates
            .iter()
            .find(|candidate| candidate.rule.as_ref() == Ok(rule));
        used.map(|candidate| candidate.index)
    };
    let client = read(Party::Client);
    let used = client
        .set
        .as_ref()
        .ok()
        .and_then(|set| index_of(&client, set.client_rule(now)?));
    let verifier = read(Party::Verifier);
    let judged = verifier
        .set
        .as_ref()
        .ok()
        .map(|set| with_flow(case, |flow| set.verify(flow)))
        .transpose()?
        .flatten();
    let gave = judged.and_then(|judgement| {
        let rules = verifier.set.as_ref().ok()?.rules();
        index_of(&verifier, rules.iter().find(|rule| rule.from() == judgement.from)?)
    });

    let found = [
        ("client", Value::from(used)),
        ("record", Value::from(gave)),
        (
            "verdict",
            Value::from(judged.map_or("none", |judgement| judgement.verdict.name())),
        ),
        (
            "part",
            Value::from(judged.and_then(|judgement| verdict_part(&judgement.verdict))),
        ),
        (
            "unchecked",
            Value::from(
                judged
                    .map(|judgement| verdict_unchecked(&judgement.verdict))
                    .unwrap_or_default(),
            ),
        ),
    ];
    let expected = need("expect", case.expect.as_object())?;
    let stated = |(key, found): (&'static str, Value)| {
        expected
            .get(key)
            .map(|expected| compare(key, expected, found.as_str().map_or(found.to_string(), Into::into)))
    };
    Ok(found.into_iter().filter_map(stated).flatten().collect())
}

fn extract(case: &Case) -> Result<Vec<Difference>, Field> {
    let record = need("rule", case.rule.as_ref())?.parse();
    let record: Record = record.map_err(|error| Field::Unusable(format!("{error}")))?;
    let fields = case.headers.iter();
    let fields: Vec<(&[u8], &[u8])> = fields
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let request = HttpRequest::new(case.path.as_deref().map(str::as_bytes), &fields);
    let mut buffer = [0; MAX_OBJECT_BYTES];
    let object = record.keys().find_object(&request, &mut buffer).map(hex);
    let chunk = record.keys().find_chunk(&request).ok().map(|chunk| chunk.0);
    let expected = need("expect", case.expect.as_object())?;
    let found = [("object", json!(object)), ("chunk", json!(chunk))];
    let differences = found.iter().map(|(key, found)| {
        let key: &'static str = key;
        let expected = need(key, expected.get(key))?;
        let text = |value: &Value| value.as_str().map_or(value.to_string(), Into::into);
        Ok(compare(key, expected, text(found)))
    });
    Ok(differences
        .collect::<Result<Vec<_>, Field>>()?
        .into_iter()
        .flatten()
        .collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn client_key(case: &Case) -> Result<Vec<Difference>, Field> {
    let not_16 = |_| Field::Value {
        key: "secret",
        allowed: "16 bytes in hex",
    };
    let secret: Secret = need("secret", case.secret.as_ref())?.parse().map_err(not_16)?;
    let prefix = need("kdf", case.kdf.and_then(SourceBits::new))?;
    let key = secret.client_key(prefix, Source(need("source", case.source)?));
    Ok(compare("expect", &case.expect, hex(key.expose())))
}

fn siphash(case: &Case) -> Result<Vec<Difference>, Field> {
    let key = unhex("key", need("key", case.key.as_ref())?)?;
    let key = key.try_into().map_err(|_| Field::Value {
        key: "key",
        allowed: "16 bytes in hex",
    })?;
    let message = unhex("message", need("message", case.message.as_ref())?)?;
    Ok(compare(
        "expect",
        &case.expect,
        format!("{:016x}", siphash24(&key, &message)),
    ))
}

fn apl_wire(case: &Case) -> Result<Vec<Difference>, Field> {
    let wire = unhex("wire", need("wire", case.wire.as_ref())?)?;
    let Ok(apl) = Apl::from_wire(&wire) else {
        return Ok(compare("expect", &case.expect, "malformed"));
    };
    let mut differences = compare("expect", &case.expect, &apl);
    if apl.to_wire() != wire {
        differences.push(Difference {
            key: "wire",
            expected: hex(&wire),
            found: hex(&apl.to_wire()),
        });
    }
    if apl.to_string().parse().as_ref() != Ok(&apl) {
        differences.push(Difference {
            key: "expect",
            expected: "text that parses".into(),
            found: apl.to_string(),
        });
    }
    Ok(differences)
}
