//! Well-formed records with lists, clients and flows that go with them, made of a fuzzer's bytes.

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};
use ssa_rules::{Chunk, Destination, Flow, Key, Port, Record, Replica, Request, Rule, Secret, Source, UnixTime};

/// The widest template; a positive item has at least 16 bits.
const MAX_WIDTH: u8 = 112;
/// Work that a fuzzer has time for.
const MAX_POW: u8 = 5;
const KEY: &str = "k1";

/// A record with a list, and one client of it.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) record: String,
    pub(crate) apl: String,
    pub(crate) source: u128,
    pub(crate) object: Option<Vec<u8>>,
    pub(crate) chunk: Option<u64>,
    pub(crate) port: Option<u16>,
    pub(crate) time: Option<u64>,
    pub(crate) replica: u8,
    pub(crate) secret: Secret,
    /// What is known of the secret.
    held: Held,
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug)]
enum Held {
    Nothing,
    Secret,
    Derived,
}

impl Scenario {
    /// What of the secret is at hand for this record.
    pub(crate) fn key(&self, record: &Record) -> Key {
        match (record.key(), self.held, record.kdf()) {
            (None, ..) | (_, Held::Nothing, _) => Key::None,
            (Some(_), Held::Derived, Some(bits)) => {
                Key::Client(self.secret.client_key(bits, Source(self.source.into())))
            }
            (Some(_), ..) => Key::Secret(self.secret),
        }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            source: Source(self.source.into()),
            object: self.object.as_deref(),
            chunk: self.chunk.map(Chunk),
            port: self.port.map(Port),
            time: self.time.map(UnixTime),
            replica: Replica(self.replica),
        }
    }

    pub(crate) fn flow(&self, destination: Destination, now: u64) -> Flow<'_> {
        Flow {
            source: Source(self.source.into()),
            destination,
            port: self.port.map(Port),
            object: self.object.as_deref(),
            chunk: self.chunk.map(Chunk),
            time: UnixTime(now),
        }
    }

    fn values(&self) -> ssa_oracle::hash::Values {
        ssa_oracle::hash::Values {
            source: self.source,
            object: self.object.clone(),
            chunk: self.chunk,
            port: self.port,
        }
    }

    fn secrets(&self, held: bool) -> ssa_oracle::compose::Secrets {
        if held {
            vec![(KEY.into(), *self.secret.expose())]
        } else {
            Vec::new()
        }
    }

    /// The client, for the oracle.
    pub(crate) fn client(&self) -> ssa_oracle::compose::Client {
        ssa_oracle::compose::Client {
            values: self.values(),
            time: self.time,
            secrets: self.secrets(!matches!(self.held, Held::Nothing)),
            replica: self.replica.into(),
        }
    }

    /// The flow, for the oracle.
    pub(crate) fn seen(&self, destination: Destination, now: u64, secret: bool) -> ssa_oracle::verify::Seen {
        ssa_oracle::verify::Seen {
            values: self.values(),
            destination: destination.0.into(),
            time: now,
            secrets: self.secrets(secret),
        }
    }
}

/// A record's text under construction, and what its other tags depend on.
struct Draft {
    fields: Vec<String>,
    width: u8,
    rand_bits: u8,
    /// The width of the first field, if replicas can shift it.
    shiftable: Option<u8>,
    has_mac: bool,
    has_time: bool,
    step: u32,
}

pub(crate) fn scenario(u: &mut Unstructured<'_>) -> Result<Scenario> {
    let mut draft = Draft {
        fields: Vec::new(),
        width: 0,
        rand_bits: 0,
        shiftable: None,
        has_mac: false,
        has_time: false,
        step: *u.choose(&[1, 2, 7, 30, 60, 3600, 86400])?,
    };
    let count = u.int_in_range(0..=6)?;
    for index in 0..count {
        field(u, &mut draft, index == 0)?;
    }
    let replicas = replicas(u, &draft)?;
    let pow = match draft.rand_bits.checked_sub(8) {
        Some(spare) => u.int_in_range(0..=spare.min(MAX_POW))?,
        None => 0,
    };
    let mut record = tags(u, &draft, replicas, pow)?;
    let (source, apl) = list(u, &draft)?;
    // The record's own list, the RRset, or one that the other wins over.
    if u.ratio(1, 4)? && record.len() + apl.len() < 1000 {
        write!(record, "; apl={apl}").ok();
    }
    Ok(Scenario {
        record,
        apl,
        source,
        object: object(u)?,
        chunk: known(u)?,
        port: known(u)?,
        time: known(u)?,
        replica: if u.ratio(1, 16)? {
            u.arbitrary()?
        } else {
            u.int_in_range(0..=replicas - 1)?
        },
        secret: Secret::new(u.arbitrary()?),
        held: *u.choose(&[Held::Secret, Held::Secret, Held::Derived, Held::Nothing])?,
        seed: u.arbitrary()?,
    })
}

/// A value that is mostly known.
fn known<'a, T: arbitrary::Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<Option<T>> {
    if u.ratio(1, 8)? {
        Ok(None)
    } else {
        u.arbitrary().map(Some)
    }
}

fn field(u: &mut Unstructured<'_>, draft: &mut Draft, first: bool) -> Result<()> {
    let left = MAX_WIDTH - draft.width;
    let kind = u.int_in_range(0..=5_u8)?;
    let narrowest = if kind == 5 { 16 } else { 1 };
    if left < narrowest {
        return Ok(());
    }
    let width = u.int_in_range(narrowest..=left.min(64))?;
    let text = match kind {
        0 => {
            draft.rand_bits += width;
            format!("rand:{width}")
        }
        1 => {
            let value = u.arbitrary::<u64>()? >> (64 - width);
            format!("const({value:x}):{width}")
        }
        2 | 3 => {
            let start = u.int_in_range(0..=128 - width)?;
            format!("{}[{start}:{}]", if kind == 2 { "src" } else { "obj" }, start + width)
        }
        _ => {
            let inputs = inputs(u, Some(draft.step))?;
            draft.has_time |= inputs.contains("time/");
            draft.has_mac |= kind == 5;
            format!("{}({inputs}):{width}", if kind == 4 { "hash" } else { "mac" })
        }
    };
    if first && kind >= 2 {
        draft.shiftable = Some(width);
    }
    draft.width += width;
    draft.fields.push(text);
    Ok(())
}

/// One or more kinds of input in any order; time only with a step.
fn inputs(u: &mut Unstructured<'_>, step: Option<u32>) -> Result<String> {
    let mut kinds = vec![
        format!("src/{}", u.int_in_range(1..=128_u8)?),
        "obj".into(),
        "chunk".into(),
        "port".into(),
    ];
    kinds.extend(step.map(|step| format!("time/{step}")));
    let count = u.int_in_range(1..=kinds.len())?;
    let mut chosen = Vec::new();
    for _ in 0..count {
        chosen.push(kinds.remove(u.choose_index(kinds.len())?));
    }
    Ok(chosen.join(","))
}

/// As many replicas as the first field has room for: 64 values for each.
fn replicas(u: &mut Unstructured<'_>, draft: &Draft) -> Result<u8> {
    let values = draft.shiftable.map_or(0, |width| 1_u128 << width);
    let most = (values / 64).clamp(1, 16);
    u.int_in_range(1..=u8::try_from(most).unwrap_or(1))
}

fn tags(u: &mut Unstructured<'_>, draft: &Draft, replicas: u8, pow: u8) -> Result<String> {
    let template = if draft.fields.is_empty() {
        "-".into()
    } else {
        draft.fields.join(" ")
    };
    let mut tags = vec![format!("addr={template}")];
    match u.int_in_range(0..=3_u8)? {
        0 => {}
        1 => tags.push("item=near".into()),
        2 => tags.push("item=rand".into()),
        _ => tags.push(format!("item=hash({})", inputs(u, None)?)),
    }
    if u.arbitrary()? {
        tags.push(format!("salt={:x}.A-z_", u.arbitrary::<u64>()?));
    }
    if replicas > 1 || u.arbitrary()? {
        tags.push(format!("replicas={replicas}"));
    }
    if pow > 0 {
        tags.push(format!("pow={pow}"));
    }
    if draft.has_mac {
        tags.push(format!("key={KEY}"));
        if u.arbitrary()? {
            tags.push(format!("kdf=src/{}", u.int_in_range(1..=128_u8)?));
        }
    }
    if u.arbitrary()? {
        let by_time = if draft.has_time { 2 * draft.step } else { 600 };
        let by_pow = if pow > 0 { 120 } else { 600 };
        tags.push(format!("skew={}", u.int_in_range(0..=by_time.min(by_pow).min(600))?));
    }
    if u.arbitrary()? {
        tags.push(format!("from={}", u.arbitrary::<u64>()? >> 1));
    }
    Ok(format!("v=ssa1; {}", tags.join("; ")))
}

fn masked(address: u128, length: u8) -> u128 {
    address & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// A list that the template fits, or that one negated item spoils, and a source far from it or near.
fn list(u: &mut Unstructured<'_>, draft: &Draft) -> Result<(u128, String)> {
    let length = 128 - draft.width;
    let mut positive = Vec::new();
    for _ in 0..u.int_in_range(1..=5)? {
        let near = positive.first().map_or(0, |first: &u128| {
            first ^ (1 << u.int_in_range(0..=127_u32).unwrap_or(0))
        });
        let address = if near != 0 && u.arbitrary()? {
            near
        } else {
            u.arbitrary()?
        };
        positive.push(masked(address, length));
    }
    let mut items: Vec<String> = positive.iter().map(|address| item(*address, length, "")).collect();
    for _ in 0..u.int_in_range(0..=3)? {
        let negated = u.arbitrary::<u128>()?;
        if length < 128 && u.ratio(3, 4)? {
            let longer = u.int_in_range(length + 1..=128)?;
            let inside = *u.choose(&positive)? | (negated & (u128::MAX >> length));
            items.push(item(masked(inside, longer), longer, "!"));
        } else {
            let any = u.int_in_range(0..=128)?;
            items.push(item(masked(negated, any), any, "!"));
        }
    }
    let source = u.arbitrary::<u128>()?;
    let source = if u.arbitrary()? {
        *u.choose(&positive)? ^ (source >> 100)
    } else {
        source
    };
    Ok((source, items.join(" ")))
}

fn item(address: u128, length: u8, sign: &str) -> String {
    format!("{sign}2:{}/{length}", core::net::Ipv6Addr::from(address))
}

/// An object key: none, a number in one of its spellings, or any bytes.
fn object(u: &mut Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    let number = u.arbitrary::<u128>()?;
    let hex = format!("{number:032x}");
    Ok(Some(match u.int_in_range(0..=5_u8)? {
        0 => return Ok(None),
        1 => number.to_string().into_bytes(),
        2 => format!("{number:#x}").into_bytes(),
        3 => format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
        .into_bytes(),
        4 => format!("00{}", number >> 96).into_bytes(),
        _ => u.arbitrary()?,
    }))
}

/// A destination: composed and perhaps damaged, under an item, or anywhere.
pub(crate) fn destination(u: &mut Unstructured<'_>, rule: &Rule, scenario: &Scenario) -> Result<Destination> {
    let anywhere = u.arbitrary::<u128>()?;
    let mut random = ssa_testing::Draw::seeded(scenario.seed);
    let address = match u.int_in_range(0..=2_u8)? {
        0 => match rule.compose(&scenario.request(), &mut || random.bits()) {
            Ok(composed) => {
                u128::from(composed.0)
                    ^ if u.arbitrary()? {
                        1 << u.int_in_range(0..=127_u32)?
                    } else {
                        0
                    }
            }
            Err(_) => anywhere,
        },
        1 => {
            let items: Vec<_> = rule.positive_items().map(|(_, item)| item).collect();
            let item = u.choose(&items)?;
            u128::from(item.network()) | (anywhere & u128::MAX.checked_shr(item.prefix_len().into()).unwrap_or(0))
        }
        _ => anywhere,
    };
    Ok(Destination(address.into()))
}

/// A well-formed record with a few bytes changed, put in or taken out.
pub(crate) fn edited(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    const ALPHABET: &[u8] = b"0123456789abcfv=;:,/()[]-!. \t\x80xsrhmpk";
    let mut text = scenario(u)?.record.into_bytes();
    for _ in 0..u.int_in_range(0..=4)? {
        let place = u.choose_index(text.len())?;
        match u.int_in_range(0..=2_u8)? {
            0 => text[place] = *u.choose(ALPHABET)?,
            1 => text.insert(place, *u.choose(ALPHABET)?),
            _ => {
                text.remove(place);
            }
        }
        if text.is_empty() {
            break;
        }
    }
    Ok(text)
}
