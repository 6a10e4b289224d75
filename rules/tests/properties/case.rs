//! Random cases on whose meaning the crate and the oracle agree, and the one expressed in the types of the other.

use std::net::Ipv6Addr;

use ssa_oracle::{
    compose::Client, compose::bits, generate, http, record, record::Field, record::Input, record::Pick, record::Usable,
    verify::Part, verify::Seen, verify::Verdict,
};
use ssa_rules::{
    AddressSpace, Apl, Chunk, ComposeError, Destination, Flow, ItemIndex, Key, KeyId, Port, Progress, Record, Replica,
    Request, Rule, Secret, Source, UnixTime, record::Field as CrateField, record::Input as CrateInput, record::Inputs,
    record::ItemChoice,
};
use ssa_testing::Draw;

pub(crate) fn secret_of(id: &str) -> Key {
    let found = generate::secrets().into_iter().find(|(other, _)| other == id);
    found.map_or(Key::None, |(_, bytes)| Key::Secret(Secret::new(bytes)))
}

/// What the crate makes of a record and the address lists.
pub(crate) fn crate_usable(rule: &str, apl: &str) -> Result<(Record, Rule), String> {
    let apl: Apl = apl.parse().map_err(|error| format!("{error}"))?;
    let space = AddressSpace::new(&apl).map_err(|error| format!("{error}"))?;
    let record: Record = rule.parse().map_err(|error| format!("{error}"))?;
    let key = record.key().map_or(Key::None, |id| secret_of(id.as_str()));
    let rule = Rule::prepare(&record, space.as_ref(), &key).map_err(|error| format!("{error}"))?;
    Ok((record, rule))
}

/// A case on which both agree that it is usable.
pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) usable: Usable,
    pub(crate) record: Record,
    pub(crate) rule: Rule,
}

/// So many usable cases.
pub(crate) fn cases(draw: &mut Draw, count: usize) -> Vec<Case> {
    let mut found = Vec::new();
    while found.len() < count {
        let published = generate::published(draw);
        if let (Ok(usable), Ok((record, rule))) = (
            record::usable(&published.rule, &published.apl),
            crate_usable(&published.rule, &published.apl),
        ) {
            found.push(Case {
                text: format!("{} | {}", published.rule, published.apl),
                usable,
                record,
                rule,
            });
        }
    }
    found
}

pub(crate) fn client(draw: &mut Draw, case: &Case) -> Client {
    let items = case.usable.apl.positives();
    let near = draw.of(&items).address;
    Client {
        values: generate::values(draw, near),
        time: Some(generate::time(draw)),
        secrets: generate::secrets(),
        replica: draw.below(u64::from(case.usable.record.replicas)) as u32,
    }
}

pub(crate) fn request(client: &Client) -> Request<'_> {
    Request {
        source: Source(client.values.source.into()),
        object: client.values.object.as_deref(),
        chunk: client.values.chunk.map(Chunk),
        port: client.values.port.map(Port),
        time: client.time.map(UnixTime),
        replica: Replica(client.replica as u8),
    }
}

pub(crate) fn flow(seen: &Seen) -> Flow<'_> {
    Flow {
        source: Source(seen.values.source.into()),
        destination: Destination(seen.destination.into()),
        port: seen.values.port.map(Port),
        object: seen.values.object.as_deref(),
        chunk: seen.values.chunk.map(Chunk),
        time: UnixTime(seen.time),
    }
}

pub(crate) fn part(part: ssa_rules::Part) -> Part {
    match part {
        ssa_rules::Part::Item => Part::Item,
        ssa_rules::Part::Field(index) => Part::Field(index.into()),
        ssa_rules::Part::Pow => Part::Pow,
    }
}

pub(crate) fn verdict(found: &ssa_rules::Verdict) -> Verdict {
    match found {
        ssa_rules::Verdict::Conforming(unchecked) => {
            let unchecked: Vec<Part> = unchecked.parts().map(part).collect();
            Verdict::Conforming { unchecked }
        }
        ssa_rules::Verdict::Legacy => Verdict::Legacy,
        ssa_rules::Verdict::Outside => Verdict::Outside,
        ssa_rules::Verdict::Violation(violation) => Verdict::Violation(part(violation.part())),
    }
}

pub(crate) fn same_inputs(found: &Inputs, expected: &[Input]) -> bool {
    let found: Vec<Input> = found
        .as_slice()
        .iter()
        .map(|input| match input {
            CrateInput::Source(bits) => Input::Src(bits.get().into()),
            CrateInput::Object => Input::Obj,
            CrateInput::Chunk => Input::Chunk,
            CrateInput::Time(step) => Input::Time(*step),
            CrateInput::Port => Input::Port,
        })
        .collect();
    found == expected
}

/// Everything the crate reads in a record is what the oracle reads.
pub(crate) fn same_record(found: &Record, expected: &record::Record, text: &str) {
    let fields = found.template().fields();
    assert_eq!(fields.len(), expected.template.len(), "{text}");
    for (found, expected) in fields.iter().zip(&expected.template) {
        assert_eq!(u32::from(found.width()), expected.width(), "{text}");
        let same = match (found, expected) {
            (CrateField::Rand { .. }, Field::Rand(_)) => true,
            (CrateField::Const { value, .. }, Field::Const(expected, _)) => value == expected,
            (CrateField::Source(range), Field::Src(a, b)) | (CrateField::Object(range), Field::Obj(a, b)) => {
                u32::from(range.start()) == *a && u32::from(range.end()) == *b
            }
            (CrateField::Hash { inputs, .. }, Field::Hash(expected, _))
            | (CrateField::Mac { inputs, .. }, Field::Mac(expected, _)) => same_inputs(inputs, expected),
            _ => false,
        };
        assert!(same, "{found:?} is not {expected:?} in {text}");
    }
    let same = match (found.item(), &expected.item) {
        (ItemChoice::Near, Pick::Near) | (ItemChoice::Rand, Pick::Rand) => true,
        (ItemChoice::Hash(inputs), Pick::Hash(expected)) => same_inputs(inputs, expected),
        _ => false,
    };
    assert!(same, "{text}");
    assert_eq!(u32::from(found.template().width()), expected.w(), "{text}");
    assert_eq!(u32::from(found.template().item_length()), 128 - expected.w(), "{text}");
    assert_eq!(found.salt().map_or("", |salt| salt.as_str()), expected.salt, "{text}");
    assert_eq!(u32::from(found.replicas()), expected.replicas, "{text}");
    assert_eq!(u32::from(found.pow()), expected.pow, "{text}");
    assert_eq!(found.key().map(KeyId::as_str), expected.key.as_deref(), "{text}");
    assert_eq!(found.kdf().map(|bits| u32::from(bits.get())), expected.kdf, "{text}");
    assert_eq!(u64::from(found.skew()), expected.skew, "{text}");
    assert_eq!(found.from().0, expected.from, "{text}");
    assert_eq!(found.time_step(), expected.step(), "{text}");
    assert_eq!(found.apl().is_some(), expected.apl.is_some(), "{text}");
    let sources = found.keys().object().iter().map(ToString::to_string);
    let places = expected.http.obj.iter().map(http::Place::text);
    assert!(sources.eq(places), "{text}");
    let chunk = found.keys().chunk().map(ToString::to_string);
    let expected = expected.http.chunk.as_ref().map(|chunk| match chunk {
        http::Chunk::Range(n) => format!("range:{n}"),
        http::Chunk::Place(place) => place.text(),
    });
    assert_eq!(chunk, expected, "{text}");
}

/// Whether a text has items of families other than 2: what makes those well-formed is no matter of SSA's.
pub(crate) fn other_family(text: &str) -> bool {
    let words = text.split([' ', '\t']).chain(text.split([' ', '\t', '=', ';']));
    words.into_iter().any(|word| {
        let word = word.trim_start_matches('!');
        word.split_once(':').is_some_and(|(family, rest)| {
            rest.contains('/') && family != "2" && family.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

impl Case {
    /// The list in use, as the crate's own type.
    pub(crate) fn usable_text(&self) -> Apl {
        let items: Vec<String> = self
            .usable
            .apl
            .items
            .iter()
            .map(|item| {
                let sign = if item.negated { "!" } else { "" };
                format!("{sign}2:{}/{}", Ipv6Addr::from(item.address), item.length)
            })
            .collect();
        items.join(" ").parse().unwrap()
    }

    /// The values of the rand fields in an address.
    pub(crate) fn rand_of(&self, address: u128) -> Vec<u64> {
        let record = &self.usable.record;
        let mut start = 128 - record.w();
        let mut found = Vec::new();
        for field in &record.template {
            if matches!(field, Field::Rand(_)) {
                found.push(bits(address, start, start + field.width()));
            }
            start += field.width();
        }
        found
    }

    /// Composes with the crate under one item.
    pub(crate) fn compose_in(&self, item: ItemIndex, client: &Client, draw: &mut Draw) -> Result<u128, ComposeError> {
        let request = request(client);
        let mut search = self.rule.search_in(item, &request, &mut || draw.bits())?;
        loop {
            match self.rule.advance(&mut search, &request, 7, &mut || draw.bits())? {
                Progress::Found(Destination(address)) => return Ok(address.into()),
                Progress::More => {}
            }
        }
    }
}

pub(crate) fn item_address(rule: &Rule, wanted: ItemIndex) -> Ipv6Addr {
    let mut items = rule.positive_items();
    items.find(|(index, _)| *index == wanted).unwrap().1.addr()
}

pub(crate) fn prepared(rule: &str, apl: &str) -> Case {
    let (record, prepared) = crate_usable(rule, apl).unwrap();
    Case {
        text: format!("{rule} | {apl}"),
        usable: record::usable(rule, apl).unwrap(),
        record,
        rule: prepared,
    }
}
