//! Section 2: the record's grammar and what makes it unusable.

use super::apl::{self, Apl, Item, number};
use super::http;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Src(u32),
    Obj,
    Chunk,
    Time(u32),
    Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Rand(u32),
    Const(u64, u32),
    Src(u32, u32),
    Obj(u32, u32),
    Hash(Vec<Input>, u32),
    Mac(Vec<Input>, u32),
}

impl Field {
    pub fn width(&self) -> u32 {
        match self {
            Field::Rand(n) | Field::Const(_, n) | Field::Hash(_, n) | Field::Mac(_, n) => *n,
            Field::Src(a, b) | Field::Obj(a, b) => b - a,
        }
    }

    pub fn inputs(&self) -> &[Input] {
        match self {
            Field::Hash(inputs, _) | Field::Mac(inputs, _) => inputs,
            _ => &[],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    Near,
    Rand,
    Hash(Vec<Input>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Empty for `-`.
    pub template: Vec<Field>,
    pub item: Pick,
    /// Empty for none.
    pub salt: String,
    pub replicas: u32,
    /// 0 for none.
    pub pow: u32,
    pub key: Option<String>,
    pub kdf: Option<u32>,
    pub skew: u64,
    pub from: u64,
    /// Where requests have their object key and chunk.
    pub http: http::Tags,
    /// The items of family 2 of the record's own list.
    pub apl: Option<Vec<Item>>,
}

impl Record {
    /// "W is the sum of the widths (0 for `-`)."
    pub fn w(&self) -> u32 {
        self.template.iter().map(Field::width).sum()
    }

    /// The time step, if the template has `time`.
    pub fn step(&self) -> Option<u32> {
        steps(&self.template).first().copied()
    }

    pub fn has_mac(&self) -> bool {
        self.template.iter().any(|field| matches!(field, Field::Mac(..)))
    }

    /// "The rule leaves every address open: every field rand, item not hash, no pow."
    pub fn open(&self) -> bool {
        self.template.iter().all(|field| matches!(field, Field::Rand(_)))
            && !matches!(self.item, Pick::Hash(_))
            && self.pow == 0
    }
}

fn steps(template: &[Field]) -> Vec<u32> {
    let mut found = Vec::new();
    for field in template {
        for input in field.inputs() {
            if let Input::Time(s) = input {
                found.push(*s);
            }
        }
    }
    found
}

/// A record and the list it is used with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usable {
    pub record: Record,
    pub apl: Apl,
}

/// Blanks are space and tab.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// "Only records whose first tag is v with the value ssa1 count."
pub fn counts(record: &[u8]) -> bool {
    let text = String::from_utf8_lossy(record);
    let first = text.split(';').next().unwrap_or("");
    match first.split_once('=') {
        Some((name, value)) => trim(name) == "v" && trim(value) == "ssa1",
        None => false,
    }
}

/// A record that keeps the grammar and every rule that needs no list.
pub fn parse(bytes: &[u8]) -> Result<Record, String> {
    // "ASCII, at most 1024 bytes"
    if bytes.len() > 1024 {
        return Err(format!("{} bytes exceed 1024", bytes.len()));
    }
    if !bytes.is_ascii() {
        return Err("not ASCII".into());
    }
    let text = std::str::from_utf8(bytes).unwrap();
    if !counts(bytes) {
        return Err("does not begin with v=ssa1".into());
    }
    // "blanks (space, tab) around `;` and `=` and at both ends are ignored"
    let mut parts: Vec<&str> = text.split(';').map(trim).collect();
    parts.remove(0);
    // `[ ";" ]` at the end
    if parts.last() == Some(&"") {
        parts.pop();
    }
    let mut tags: Vec<(&str, &str)> = Vec::new();
    for part in parts {
        if part.is_empty() {
            return Err("an empty tag".into());
        }
        let (name, value) = part.split_once('=').ok_or(format!("{part:?}: no value"))?;
        let (name, value) = (trim(name), trim(value));
        // "Tags whose name begins `x-` are ignored and may repeat."
        if name.starts_with("x-") {
            continue;
        }
        let known = [
            "addr", "item", "salt", "replicas", "pow", "key", "kdf", "skew", "from", "apl", "obj", "chunk",
        ];
        if !known.contains(&name) {
            return Err(format!("unknown tag {name:?}"));
        }
        if tags.iter().any(|(other, _)| *other == name) {
            return Err(format!("repeated tag {name:?}"));
        }
        tags.push((name, value));
    }
    let tag = |wanted: &str| tags.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);

    // "`addr` is required."
    let template = template(tag("addr").ok_or("no addr")?)?;
    let item = match tag("item") {
        None | Some("near") => Pick::Near,
        Some("rand") => Pick::Rand,
        Some(value) => {
            let list = value
                .strip_prefix("hash(")
                .and_then(|rest| rest.strip_suffix(')'))
                .ok_or(format!("item {value:?}"))?;
            Pick::Hash(inputs(list)?)
        }
    };
    let salt = match tag("salt") {
        None => String::new(),
        Some(value) => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if value.is_empty() || value.len() > 32 || !value.chars().all(fits) {
                return Err(format!("salt {value:?}"));
            }
            value.to_string()
        }
    };
    let replicas = tag("replicas").map_or(Ok(1), |value| number(value, 1, 16))? as u32;
    let pow = tag("pow").map_or(Ok(0), |value| number(value, 1, 24))? as u32;
    let key = match tag("key") {
        None => None,
        Some(value) => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if value.is_empty() || value.len() > 32 || !value.chars().all(fits) {
                return Err(format!("key {value:?}"));
            }
            Some(value.to_string())
        }
    };
    let kdf = match tag("kdf") {
        None => None,
        Some(value) => {
            let l = value.strip_prefix("src/").ok_or(format!("kdf {value:?}"))?;
            Some(number(l, 1, 128)? as u32)
        }
    };
    let steps = steps(&template);
    // "Defaults: … skew = the smaller of 10 and twice the time step, from=0."
    let skew = match tag("skew") {
        Some(value) => number(value, 0, 600)?,
        None => match steps.first() {
            Some(step) => (2 * u64::from(*step)).min(10),
            None => 10,
        },
    };
    let from = tag("from").map_or(Ok(0), |value| number(value, 0, (1 << 63) - 1))?;
    // "a fault in them makes the record unusable there too"
    let http = http::Tags {
        obj: tag("obj").map_or(Ok(Vec::new()), http::obj)?,
        chunk: tag("chunk").map(http::chunk).transpose()?,
    };
    let apl = match tag("apl") {
        None => None,
        Some("") => return Err("an empty apl".into()),
        Some(value) => Some(apl::items(value)?),
    };

    // "A template has at most 16 fields."
    if template.len() > 16 {
        return Err(format!("{} fields exceed 16", template.len()));
    }
    // "repeats a kind of input (whatever its number) in one field or in item"
    for field in &template {
        repeats(field.inputs())?;
    }
    if let Pick::Hash(inputs) = &item {
        repeats(inputs)?;
    }
    // "has `mac` without `key`, or `key` or `kdf` without `mac`"
    let macs: Vec<&Field> = template
        .iter()
        .filter(|field| matches!(field, Field::Mac(..)))
        .collect();
    if !macs.is_empty() && key.is_none() {
        return Err("mac without key".into());
    }
    if macs.is_empty() && (key.is_some() || kdf.is_some()) {
        return Err("key or kdf without mac".into());
    }
    // "has a `mac` narrower than 16"
    if macs.iter().any(|field| field.width() < 16) {
        return Err("a mac narrower than 16".into());
    }
    // "has two different time steps, or `time` in `item`"
    if steps.iter().any(|step| *step != steps[0]) {
        return Err("two time steps".into());
    }
    if matches!(&item, Pick::Hash(inputs) if inputs.iter().any(|input| matches!(input, Input::Time(_)))) {
        return Err("time in item".into());
    }
    // "has skew > 2·step with time, or skew > 120 with pow"
    if steps.iter().any(|step| skew > 2 * u64::from(*step)) {
        return Err(format!("skew {skew} exceeds two steps"));
    }
    if pow > 0 && skew > 120 {
        return Err(format!("skew {skew} exceeds 120 with pow"));
    }
    // "has pow > 0 and rand widths summing to less than pow+8"
    let mut rand = 0;
    for field in &template {
        if let Field::Rand(n) = field {
            rand += n;
        }
    }
    if pow > 0 && rand < pow + 8 {
        return Err(format!("{rand} rand bits under pow={pow}"));
    }
    // "has replicas > 1 and a first field that is not src, obj, hash or mac, or is narrower than n
    // with 2ⁿ ≥ 64·replicas"
    if replicas > 1 {
        match template.first() {
            Some(Field::Src(..) | Field::Obj(..) | Field::Hash(..) | Field::Mac(..)) => {}
            _ => return Err("replicas over a first field they cannot shift".into()),
        }
        let addresses = 1u128 << template[0].width();
        if addresses < 64 * u128::from(replicas) {
            return Err("replicas over a first field too narrow".into());
        }
    }

    let record = Record {
        template,
        item,
        salt,
        replicas,
        pow,
        key,
        kdf,
        skew,
        from,
        http,
        apl,
    };
    // "an APL RRset wins over it (its own errors count all the same)": the record's own list is
    // judged whether or not it is used.
    if let Some(items) = &record.apl {
        fits(&record, &apl::list(items.clone())?)?;
    }
    Ok(record)
}

/// `template= "-" | field *( 1*blank field )`
fn template(text: &str) -> Result<Vec<Field>, String> {
    if text == "-" {
        return Ok(Vec::new());
    }
    let mut fields = Vec::new();
    for word in text.split([' ', '\t']).filter(|word| !word.is_empty()) {
        fields.push(field(word)?);
    }
    if fields.is_empty() {
        return Err("an empty template".into());
    }
    Ok(fields)
}

fn field(word: &str) -> Result<Field, String> {
    // "n is 1..64"
    let n = |text: &str| number(text, 1, 64).map(|n| n as u32);
    if let Some(rest) = word.strip_prefix("rand:") {
        return Ok(Field::Rand(n(rest)?));
    }
    for (name, is_src) in [("src[", true), ("obj[", false)] {
        if let Some(rest) = word.strip_prefix(name) {
            let range = rest.strip_suffix(']').ok_or(format!("{word:?}"))?;
            let (a, b) = range.split_once(':').ok_or(format!("{word:?}"))?;
            let (a, b) = (number(a, 0, 128)? as u32, number(b, 0, 128)? as u32);
            // "0 ≤ a < b ≤ 128, b−a ≤ 64"
            if a >= b || b - a > 64 {
                return Err(format!("{word:?}: not 1 to 64 bits"));
            }
            return Ok(if is_src { Field::Src(a, b) } else { Field::Obj(a, b) });
        }
    }
    let (name, rest) = word.split_once('(').ok_or(format!("{word:?}"))?;
    let (inside, width) = rest.split_once("):").ok_or(format!("{word:?}"))?;
    let n = n(width)?;
    match name {
        "const" => {
            // "hex is 1 to 16 digits of either case whose value fits n bits"
            if inside.is_empty() || inside.len() > 16 || !inside.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("{word:?}: not 1 to 16 hex digits"));
            }
            let value = u64::from_str_radix(inside, 16).unwrap();
            if u128::from(value) >= 1u128 << n {
                return Err(format!("{word:?}: does not fit {n} bits"));
            }
            Ok(Field::Const(value, n))
        }
        "hash" => Ok(Field::Hash(inputs(inside)?, n)),
        "mac" => Ok(Field::Mac(inputs(inside)?, n)),
        _ => Err(format!("unknown field {word:?}")),
    }
}

/// `inputs  = input *( "," input )`
fn inputs(text: &str) -> Result<Vec<Input>, String> {
    text.split(',').map(input).collect()
}

/// `input   = "src/" 1..128 | "obj" | "chunk" | "time/" 1..86400 | "port"`
fn input(text: &str) -> Result<Input, String> {
    if let Some(l) = text.strip_prefix("src/") {
        return Ok(Input::Src(number(l, 1, 128)? as u32));
    }
    if let Some(s) = text.strip_prefix("time/") {
        return Ok(Input::Time(number(s, 1, 86400)? as u32));
    }
    match text {
        "obj" => Ok(Input::Obj),
        "chunk" => Ok(Input::Chunk),
        "port" => Ok(Input::Port),
        _ => Err(format!("unknown input {text:?}")),
    }
}

fn repeats(inputs: &[Input]) -> Result<(), String> {
    for (place, one) in inputs.iter().enumerate() {
        for other in &inputs[place + 1..] {
            if std::mem::discriminant(one) == std::mem::discriminant(other) {
                return Err(format!("{other:?} repeats a kind of input"));
            }
        }
    }
    Ok(())
}

/// What ties a record to a list.
pub fn fits(record: &Record, apl: &Apl) -> Result<(), String> {
    // "Every positive APL item is exactly 128−W bits long."
    for item in apl.positives() {
        if item.length + record.w() != 128 {
            return Err(format!("/{} and a template of {} bits", item.length, record.w()));
        }
    }
    // "leaves, for a negated item of length L inside a positive one of length P, no rand bit among
    // the template's first L−P bits"
    let mut is_rand = Vec::new();
    for field in &record.template {
        for _ in 0..field.width() {
            is_rand.push(matches!(field, Field::Rand(_)));
        }
    }
    for positive in apl.positives() {
        for negated in apl.items.iter().filter(|item| item.negated) {
            if negated.length > positive.length && positive.contains(negated.address) {
                let first = (negated.length - positive.length) as usize;
                if !is_rand[..first].contains(&true) {
                    return Err(format!("no rand bit evades {negated:x?}"));
                }
            }
        }
    }
    Ok(())
}

/// The record with the list it is used with: the RRset's, where one stands, else its own.
pub fn usable_bytes(rule: &[u8], rrset: &str) -> Result<Usable, String> {
    let record = parse(rule)?;
    let apl = match apl::rrset(rrset)? {
        Some(apl) => apl,
        None => match &record.apl {
            Some(items) => apl::list(items.clone())?,
            None => return Err("no list".into()),
        },
    };
    fits(&record, &apl)?;
    Ok(Usable { record, apl })
}

/// [`usable_bytes`] of text. An empty `rrset` is none.
pub fn usable(rule: &str, rrset: &str) -> Result<Usable, String> {
    usable_bytes(rule.as_bytes(), rrset)
}
