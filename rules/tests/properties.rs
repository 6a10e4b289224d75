//! The crate against the oracle, on random records, lists, clients and packets: the same in every run.

#![allow(
    clippy::cast_possible_truncation,
    reason = "what is drawn is below the bound it was drawn for"
)]

use std::net::Ipv6Addr;

use ssa_oracle::{
    apl::Place,
    choose::{self, Situation},
    compose::{Client, bits, compose, fill, groups, object_number, pow_ok, winner},
    generate::{self, NOW},
    hash,
    record::{self, Field, Input, Pick, Usable},
    verify::{self, Part, Seen, Verdict},
};
use ssa_rules::{
    AddressSpace, Apl, Candidate, Choice, Chunk, Class, ComposeError, Connection, Destination, Expected, Flow,
    ItemIndex, ItemSet, ItemSource, Key, KeyId, Port, Progress, Publication, Record, Replica, Request, Role, Rule,
    Secret, Source, SourceBits, Sources, UnixTime, ValidFrom, Violation,
    hash::siphash24,
    record::{Field as CrateField, Input as CrateInput, Inputs, ItemChoice},
};
use ssa_testing::Draw;

fn secret_of(id: &str) -> Key {
    let found = generate::secrets().into_iter().find(|(other, _)| other == id);
    found.map_or(Key::None, |(_, bytes)| Key::Secret(Secret::new(bytes)))
}

/// What the crate makes of a record and the address lists.
fn crate_usable(rule: &str, apl: &str) -> Result<(Record, Rule), String> {
    let apl: Apl = apl.parse().map_err(|error| format!("{error}"))?;
    let space = AddressSpace::new(&apl).map_err(|error| format!("{error}"))?;
    let record: Record = rule.parse().map_err(|error| format!("{error}"))?;
    let key = record.key().map_or(Key::None, |id| secret_of(id.as_str()));
    let rule = Rule::prepare(&record, space.as_ref(), &key).map_err(|error| format!("{error}"))?;
    Ok((record, rule))
}

/// A case on which both agree that it is usable.
struct Case {
    text: String,
    usable: Usable,
    record: Record,
    rule: Rule,
}

/// So many usable cases.
fn cases(draw: &mut Draw, count: usize) -> Vec<Case> {
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

fn client(draw: &mut Draw, case: &Case) -> Client {
    let items = case.usable.apl.positives();
    let near = draw.of(&items).address;
    Client {
        values: generate::values(draw, near),
        time: Some(generate::time(draw)),
        secrets: generate::secrets(),
        replica: draw.below(u64::from(case.usable.record.replicas)) as u32,
    }
}

fn request(client: &Client) -> Request<'_> {
    Request {
        source: Source(client.values.source.into()),
        object: client.values.object.as_deref(),
        chunk: client.values.chunk.map(Chunk),
        port: client.values.port.map(Port),
        time: client.time.map(UnixTime),
        replica: Replica(client.replica as u8),
    }
}

fn flow(seen: &Seen) -> Flow<'_> {
    Flow {
        source: Source(seen.values.source.into()),
        destination: Destination(seen.destination.into()),
        port: seen.values.port.map(Port),
        object: seen.values.object.as_deref(),
        chunk: seen.values.chunk.map(Chunk),
        time: UnixTime(seen.time),
    }
}

fn part(part: ssa_rules::Part) -> Part {
    match part {
        ssa_rules::Part::Item => Part::Item,
        ssa_rules::Part::Field(index) => Part::Field(index.into()),
        ssa_rules::Part::Pow => Part::Pow,
    }
}

fn verdict(found: &ssa_rules::Verdict) -> Verdict {
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

fn same_inputs(found: &Inputs, expected: &[Input]) -> bool {
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
fn same_record(found: &Record, expected: &record::Record, text: &str) {
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
}

/// Whether a text has items of families other than 2: what makes those well-formed is no matter of SSA's.
fn other_family(text: &str) -> bool {
    let words = text.split([' ', '\t']).chain(text.split([' ', '\t', '=', ';']));
    words.into_iter().any(|word| {
        let word = word.trim_start_matches('!');
        word.split_once(':').is_some_and(|(family, rest)| {
            rest.contains('/') && family != "2" && family.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// Records of random text: both take the same ones, and read the same in them.
#[test]
fn what_is_usable_is_the_same() {
    let mut draw = Draw::new(1);
    let (mut good, mut bad) = (0, 0);
    for round in 0..1500 {
        let mut published = generate::published(&mut draw);
        match round % 3 {
            0 => published.rule = generate::broken(&mut draw, &published.rule),
            1 if draw.percent(30) => {
                published.apl = published.apl.replace("1:192.0.2.0/24", "");
                published.apl = generate::broken(&mut draw, &published.apl);
            }
            _ => {}
        }
        if round % 3 < 2 && (other_family(&published.rule) || other_family(&published.apl)) {
            continue;
        }
        let text = format!("{:?} with {:?}", published.rule, published.apl);
        let expected = record::usable(&published.rule, &published.apl);
        let found = crate_usable(&published.rule, &published.apl);
        match (&expected, &found) {
            (Ok(expected), Ok((found, _))) => {
                good += 1;
                same_record(found, &expected.record, &text);
            }
            (Err(_), Err(_)) => bad += 1,
            _ => panic!("oracle: {:?}; crate: {:?}; {text}", expected.err(), found.err()),
        }
        assert_eq!(
            Record::counts(published.rule.as_bytes()),
            record::counts(published.rule.as_bytes()),
            "{text}"
        );
    }
    assert!(good > 500 && bad > 300, "{good} usable, {bad} unusable");
}

/// What a record prints is the same record, and printed again the same text.
#[test]
fn a_printed_record_is_the_same_record() {
    let mut draw = Draw::new(2);
    for case in cases(&mut draw, 150) {
        let printed = case.record.to_string();
        assert_eq!(
            printed.parse().as_ref(),
            Ok(&case.record),
            "{} prints {printed}",
            case.text
        );
        let again: Record = printed.parse().unwrap();
        assert_eq!(again.to_string(), printed);
        assert!(printed.len() <= 1024);
        let oracle = record::parse(printed.as_bytes()).unwrap();
        assert_eq!(oracle, case.usable.record, "{} prints {printed}", case.text);
    }
}

/// Where an address lies, by list and by rule.
#[test]
fn places_are_the_same() {
    let mut draw = Draw::new(3);
    for case in cases(&mut draw, 100) {
        let space = AddressSpace::new(&case.usable_text()).unwrap().unwrap();
        let items = &case.usable.apl.items;
        for _ in 0..8 {
            let item = draw.of(items);
            let mut address = item.address;
            if draw.percent(80) {
                address ^= 1 << draw.below(128);
            }
            if draw.percent(50) {
                address |= u128::MAX.checked_shr(item.length).unwrap_or(0);
            }
            let expected = case.usable.apl.place(address);
            for class in [space.class(address.into()), case.rule.class(address.into())] {
                match (class, expected) {
                    (Class::Outside, Place::Outside) | (Class::Legacy(_), Place::Legacy) => {}
                    (Class::Service(net), Place::Service(item)) => {
                        assert_eq!(u128::from(net.addr()), item.address, "{}", case.text);
                        assert_eq!(u32::from(net.prefix_len()), item.length, "{}", case.text);
                    }
                    _ => panic!(
                        "{class:?} is not {expected:?}: {} in {}",
                        Ipv6Addr::from(address),
                        case.text
                    ),
                }
            }
        }
        let mut positives: Vec<u128> = case.usable.apl.positives().iter().map(|item| item.address).collect();
        positives.sort_unstable();
        let found: Vec<u128> = case.rule.positive_items().map(|(_, net)| net.addr().into()).collect();
        assert_eq!(found, positives, "{}", case.text);
    }
}

impl Case {
    /// The list in use, as the crate's own type.
    fn usable_text(&self) -> Apl {
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
    fn rand_of(&self, address: u128) -> Vec<u64> {
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
    fn compose_in(&self, item: ItemIndex, client: &Client, draw: &mut Draw) -> Result<u128, ComposeError> {
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

/// Which of object, chunk, time and port the record needs and the client lacks.
fn lacks(record: &record::Record, client: &Client) -> [bool; 4] {
    let values = &client.values;
    let object = record.template.iter().any(|field| matches!(field, Field::Obj(..)));
    [
        (object || verify::needs(record, &Input::Obj)) && values.object.is_none(),
        verify::needs(record, &Input::Chunk) && values.chunk.is_none(),
        (record.pow > 0 || verify::needs(record, &Input::Time(1))) && client.time.is_none(),
        (record.pow > 0 || verify::needs(record, &Input::Port)) && values.port.is_none(),
    ]
}

/// An address the crate composes is, for the rand bits in it, the oracle's to the bit.
#[test]
fn composing_gives_the_same_address() {
    let mut draw = Draw::new(4);
    let (mut made, mut refused) = (0, 0);
    for case in cases(&mut draw, 250) {
        let mut client = client(&mut draw, &case);
        match draw.below(12) {
            0 => client.values.object = None,
            1 => client.values.chunk = None,
            2 => client.values.port = None,
            3 => client.time = None,
            4 => client.replica = case.usable.record.replicas,
            _ => {}
        }
        let record = &case.usable.record;
        let zeros = [0; 16];
        for (index, net) in case.rule.positive_items() {
            let item = u128::from(net.addr());
            let lacks_pow = record.pow > 0 && (client.values.port.is_none() || client.time.is_none());
            match case.compose_in(index, &client, &mut draw) {
                Ok(address) => {
                    made += 1;
                    let expected = fill(&case.usable, &client, item, &case.rand_of(address));
                    assert_eq!(expected, Ok(address), "{}", case.text);
                    let place = case.usable.apl.place(address);
                    assert!(
                        matches!(place, Place::Service(found) if found.address == item),
                        "{}",
                        case.text
                    );
                    if record.pow > 0 {
                        let (port, minute) = (client.values.port.unwrap(), client.time.unwrap() / 60);
                        assert!(
                            pow_ok(record, client.values.source, address, port, minute),
                            "{}",
                            case.text
                        );
                    }
                }
                Err(ComposeError::NotInService) => {
                    // None of many draws of the oracle's is in the service either.
                    for _ in 0..40 {
                        let rand: Vec<u64> = (0..16).map(|_| draw.bits()).collect();
                        let address = fill(&case.usable, &client, item, &rand).unwrap();
                        assert_eq!(case.usable.apl.place(address), Place::Legacy, "{}", case.text);
                    }
                }
                Err(error) => {
                    if let ComposeError::Missing(missing) = error {
                        let found = [missing.object, missing.chunk, missing.time, missing.port];
                        assert_eq!(found, lacks(record, &client), "{}", case.text);
                    }
                    refused += 1;
                    let no_item = groups(&case.usable, &client.values).is_err();
                    let oracle = fill(&case.usable, &client, item, &zeros);
                    assert!(oracle.is_err() || lacks_pow || no_item, "{error} in {}", case.text);
                }
            }
        }
    }
    assert!(made > 300 && refused > 30, "{made} made, {refused} refused");
}

/// The whole of composing: the item, the address, and what each verifier says of it.
#[test]
fn each_accepts_what_the_other_composes() {
    let mut draw = Draw::new(5);
    for case in cases(&mut draw, 200) {
        let mut client = client(&mut draw, &case);
        if draw.percent(10) {
            client.values.object = None;
        }
        let mine = compose(&case.usable, &client, &mut || draw.bits());
        let theirs = case.rule.compose(&request(&client), &mut || draw.bits());
        assert_eq!(mine.is_ok(), theirs.is_ok(), "{mine:x?}, {theirs:?}: {}", case.text);
        let (Ok(mine), Ok(Destination(theirs))) = (mine, theirs) else {
            continue;
        };
        let theirs = u128::from(theirs);
        // The item is of the best group, unless that group has nothing in the service.
        let Place::Service(item) = case.usable.apl.place(theirs) else {
            panic!("{}", case.text);
        };
        for group in groups(&case.usable, &client.values).unwrap() {
            if group.contains(&item) {
                break;
            }
            for (index, net) in case.rule.positive_items() {
                if group.iter().any(|item| item.address == u128::from(net.addr())) {
                    let found = case.compose_in(index, &client, &mut draw);
                    assert_eq!(found, Err(ComposeError::NotInService), "{}", case.text);
                }
            }
        }
        for destination in [mine, theirs] {
            let seen = Seen {
                values: client.values.clone(),
                destination,
                time: client.time.unwrap(),
                secrets: client.secrets.clone(),
            };
            let conforming = Verdict::Conforming { unchecked: vec![] };
            assert_eq!(
                verify::verify(&case.usable, &seen),
                Ok(conforming.clone()),
                "{}",
                case.text
            );
            let found = case.rule.verify(&flow(&seen)).unwrap();
            assert_eq!(verdict(&found), conforming, "{}", case.text);
        }
    }
}

/// A destination of interest: composed, then perhaps damaged.
fn destination(draw: &mut Draw, case: &Case, client: &Client) -> u128 {
    let mut random = || draw.bits();
    let composed = compose(&case.usable, client, &mut random);
    let Ok(mut address) = composed else {
        return draw.of(&case.usable.apl.items).address ^ u128::from(draw.below(4));
    };
    match draw.below(10) {
        0..=2 => {}
        3..=5 => address ^= 1 << draw.below(u64::from(case.usable.record.w().max(1))),
        6 => address ^= 1 << draw.below(128),
        7 => {
            let item = draw.of(&case.usable.apl.positives());
            let fields = u128::MAX.checked_shr(item.length).unwrap_or(0);
            address = item.address | address & fields;
        }
        8 => {
            let item = draw.of(&case.usable.apl.items);
            let past = u128::MAX.checked_shr(item.length).unwrap_or(0);
            address = item.address | draw.wide() & past;
        }
        _ => {
            // Another value in one field.
            let record = &case.usable.record;
            let mut start = 128 - record.w();
            for field in &record.template {
                let n = field.width();
                if draw.percent(30) {
                    let value = u128::from(draw.bits() >> (64 - n));
                    let shift = 128 - start - n;
                    let mask = ((1u128 << n) - 1) << shift;
                    address = address & !mask | value << shift;
                    break;
                }
                start += n;
            }
        }
    }
    address
}

/// A verifier's time around a client's: the same, or at and past the edges of what is accepted.
fn verifier_time(draw: &mut Draw, case: &Case, time: u64) -> u64 {
    let record = &case.usable.record;
    let step = record.step().map_or(60, u64::from);
    let unit = draw.of(&[step, 60]);
    let (first, last) = (time / unit * unit, (time / unit * unit).saturating_add(unit - 1));
    match draw.below(8) {
        0..=2 => time,
        3 => first.saturating_sub(record.skew),
        4 => first.saturating_sub(record.skew + 1),
        5 => last.saturating_add(record.skew),
        6 => last.saturating_add(record.skew + 1),
        _ => draw.of(&[
            time.saturating_add(unit),
            time.saturating_sub(unit),
            time.saturating_add(3 * unit),
            0,
            u64::MAX,
        ]),
    }
}

/// What the crate tells of a violation is what the oracle would have.
fn same_details(case: &Case, seen: &Seen, violation: &Violation) {
    let record = &case.usable.record;
    let text = &case.text;
    match violation {
        Violation::Item { expected, found } => {
            let winner = winner(&case.usable, &seen.values).unwrap();
            assert_eq!(u128::from(expected.addr()), winner.address, "{text}");
            assert!(found.contains(&Ipv6Addr::from(seen.destination)), "{text}");
        }
        Violation::Field {
            index, expected, found, ..
        } => {
            let place = usize::from(*index);
            let start = 128 - record.w() + record.template[..place].iter().map(Field::width).sum::<u32>();
            let end = start + record.template[place].width();
            assert_eq!(*found, bits(seen.destination, start, end), "{text}");
            let step = record.step().map(|step| seen.time / u64::from(step));
            let key = record
                .has_mac()
                .then(|| ssa_oracle::compose::k(record, &seen.secrets, seen.values.source).unwrap());
            let so_far = hash::cleared(seen.destination, start);
            let value = ssa_oracle::compose::value(record, place, &seen.values, step, key, so_far);
            match expected {
                Expected::Value(number) => assert_eq!(value, Ok(Some(*number)), "{text}"),
                Expected::Hidden(hidden) => {
                    assert!(matches!(record.template[place], Field::Mac(..)), "{text}");
                    assert_eq!(value, Ok(Some(hidden.reveal())), "{text}");
                }
                Expected::Number => assert!(object_number(seen.values.object.as_ref().unwrap()).is_err(), "{text}"),
            }
        }
        Violation::Pow { needed, found } => {
            assert_eq!(u32::from(*needed), record.pow, "{text}");
            let solves = |bits: u32| {
                let harder = record::Record {
                    pow: bits,
                    ..record.clone()
                };
                let port = seen.values.port.unwrap();
                pow_ok(&harder, seen.values.source, seen.destination, port, seen.time / 60)
            };
            assert!(found < needed, "{text}");
            assert!(*found == 0 || solves((*found).into()), "{text}");
            assert!(!solves(u32::from(*found) + 1), "{text}");
        }
    }
}

/// The verdict over any destination, at any time, whatever is known.
#[test]
fn verdicts_are_the_same() {
    let mut draw = Draw::new(6);
    let mut count = std::collections::BTreeMap::new();
    for case in cases(&mut draw, 500) {
        let client = client(&mut draw, &case);
        for _ in 0..3 {
            let mut seen = Seen {
                values: client.values.clone(),
                destination: destination(&mut draw, &case, &client),
                time: verifier_time(&mut draw, &case, client.time.unwrap()),
                secrets: client.secrets.clone(),
            };
            if draw.percent(25) {
                seen.values.object = None;
            }
            if draw.percent(25) {
                seen.values.chunk = None;
            }
            if draw.percent(10) {
                seen.values.port = None;
            }
            if draw.percent(15) {
                seen.values.source ^= 1 << draw.below(128);
            }
            if draw.percent(5) {
                seen.values.object = Some(b"photo.jpg".to_vec());
            }
            let expected = verify::verify(&case.usable, &seen).unwrap();
            let found = case.rule.verify(&flow(&seen)).unwrap();
            assert_eq!(verdict(&found), expected, "{seen:x?} under {}", case.text);
            if let ssa_rules::Verdict::Violation(violation) = &found {
                same_details(&case, &seen, violation);
            }
            let part = expected.part().map_or("", |part| match part {
                Part::Item => " of item",
                Part::Field(_) => " of field",
                Part::Pow => " of pow",
            });
            *count.entry(format!("{}{part}", expected.name())).or_insert(0) += 1;
        }
    }
    for kind in [
        "conforming",
        "legacy",
        "outside",
        "violation of item",
        "violation of field",
        "violation of pow",
    ] {
        assert!(count.get(kind).is_some_and(|count| *count >= 10), "{count:?}");
    }
}

/// A flipped bit of a checked field is never conforming, but for the shift of a replica.
#[test]
fn a_flipped_bit_of_a_checked_field_is_a_violation() {
    let mut draw = Draw::new(7);
    for case in cases(&mut draw, 150) {
        let record = &case.usable.record;
        if record.replicas > 1 || record.step().is_some() {
            continue;
        }
        let client = client(&mut draw, &case);
        let Ok(address) = compose(&case.usable, &client, &mut || draw.bits()) else {
            continue;
        };
        let mut start = 128 - record.w();
        for (place, field) in record.template.iter().enumerate() {
            let bit = start + draw.below(field.width().into()) as u32;
            start += field.width();
            if matches!(field, Field::Rand(_)) {
                continue;
            }
            let seen = Seen {
                values: client.values.clone(),
                destination: address ^ 1 << (127 - bit),
                time: client.time.unwrap(),
                secrets: client.secrets.clone(),
            };
            if !matches!(case.usable.apl.place(seen.destination), Place::Service(_)) {
                continue;
            }
            let found = verdict(&case.rule.verify(&flow(&seen)).unwrap());
            assert_eq!(found, Verdict::Violation(Part::Field(place)), "{}", case.text);
        }
    }
}

/// Records that may stand together: variants of one, that one list serves them all; a few are broken or no SSA records.
fn variants(draw: &mut Draw, first: &generate::Published) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for _ in 0..draw.of(&[1, 2, 2, 3, 3, 4, 4, 5]) {
        let mut tags: Vec<String> = first.rule.split(';').map(str::to_string).collect();
        tags.retain(|tag| !tag.trim().is_empty() && !tag.contains("from=") && !tag.contains("x-"));
        if draw.percent(30) && !first.rule.contains("salt=") {
            tags.push("salt=other".into());
        }
        let from = draw.of(&[0, 1, 2, 3, 4, NOW, NOW + 9, NOW + 10, NOW + 11, NOW + 600]);
        tags.push(format!("from={from}"));
        let mut record = tags.join(";");
        if draw.percent(10) {
            let broken = generate::broken(draw, &record);
            if !other_family(&broken) {
                record = broken;
            }
        }
        if draw.percent(5) {
            record = "v=spf1 -all".into();
        }
        records.push(record.into_bytes());
    }
    records
}

/// Records that stand together: the client's choice, and the best verdict.
#[test]
fn published_sets_are_the_same() {
    let mut draw = Draw::new(8);
    let (mut chosen, mut judged) = (0, 0);
    for _ in 0..150 {
        let first = generate::published(&mut draw);
        let records = variants(&mut draw, &first);
        let now = draw.of(&[NOW, NOW, NOW - 1, NOW - 10, NOW + 1, NOW + 5, 3, 0]);
        let held: ssa_oracle::compose::Secrets = generate::secrets().into_iter().filter(|_| draw.percent(85)).collect();
        let key_of = |id: &KeyId| match held.iter().find(|(other, _)| other == id.as_str()) {
            Some((_, bytes)) => Key::Secret(Secret::new(*bytes)),
            None => Key::None,
        };
        let text: Vec<String> = records
            .iter()
            .map(|record| String::from_utf8(record.clone()).unwrap())
            .collect();
        let Ok(apl) = first.apl.parse::<Apl>() else {
            continue;
        };

        let expected = ssa_oracle::published::client(&records, &first.apl, now);
        let publication = Publication::read(Some(&apl), &records, Role::Client, key_of);
        let rule = publication
            .set
            .as_ref()
            .ok()
            .and_then(|set| set.client_rule(UnixTime(now)));
        let from = |place: usize| record::parse(&records[place]).unwrap().from;
        assert_eq!(
            rule.map(Rule::from),
            expected.map(|place| ValidFrom(from(place))),
            "{text:?}"
        );
        chosen += usize::from(expected.is_some());

        // An address of one of the records, as a client composes it.
        let mut destination = draw.wide();
        let mut values = generate::values(&mut draw, destination);
        let place = draw.below(records.len() as u64) as usize;
        if let Ok(usable) = record::usable_bytes(&records[place], &first.apl) {
            let near = usable.apl.positives()[0].address;
            values = generate::values(&mut draw, near);
            let client = Client {
                values: values.clone(),
                time: Some(now),
                secrets: generate::secrets(),
                replica: 0,
            };
            destination = compose(&usable, &client, &mut || draw.bits()).unwrap_or(near);
        }
        if draw.percent(30) {
            destination ^= 1 << draw.below(128);
        }
        if draw.percent(40) {
            values.object = None;
        }
        let seen = Seen {
            values,
            destination,
            time: now,
            secrets: held.clone(),
        };
        let expected = ssa_oracle::published::verdict(&records, &first.apl, &seen);
        let publication = Publication::read(Some(&apl), &records, Role::Verifier, key_of);
        let found = publication.set.as_ref().ok().and_then(|set| set.verify(&flow(&seen)));
        let found = found.map(|judgement| (judgement.from, verdict(&judgement.verdict)));
        judged += usize::from(expected.is_some());
        let has_secret = |id: &str| held.iter().any(|(other, _)| other == id);
        let mut accepted: Vec<u64> = ssa_oracle::published::standing(&records, &first.apl, &has_secret)
            .iter()
            .map(|(_, usable)| &usable.record)
            .filter(|record| record.from <= now + record.skew)
            .map(|record| record.from)
            .collect();
        accepted.sort_unstable();
        let set = publication.set.as_ref().ok();
        let mut accepts: Vec<u64> = set
            .iter()
            .flat_map(|set| set.accepted(UnixTime(now)))
            .map(|rule| rule.from().0)
            .collect();
        accepts.sort_unstable();
        assert_eq!(accepts, accepted, "{text:?}");
        let expected = expected.map(|(place, verdict)| (ValidFrom(from(place)), verdict));
        assert_eq!(found, expected, "{seen:x?} under {text:?} with {}", first.apl);
    }
    assert!(chosen > 40 && judged > 40, "{chosen} chosen, {judged} judged");
}

/// A client with its own key composes as one with the secret; without either, nothing composes or verifies.
#[test]
fn own_keys_serve_as_the_secret_does() {
    let mut draw = Draw::new(9);
    let mut own_keys = 0;
    for case in cases(&mut draw, 250) {
        let record = &case.usable.record;
        if !record.has_mac() {
            continue;
        }
        let client = client(&mut draw, &case);
        let space = AddressSpace::new(&case.usable_text()).unwrap();
        let request = request(&client);
        let seed = draw.bits();
        let run = |rule: &Rule| {
            let mut draw = Draw::seeded(seed);
            rule.compose(&request, &mut || draw.bits())
        };
        let expected = run(&case.rule);

        let without = Rule::prepare(&case.record, space.as_ref(), &Key::None).unwrap();
        let seen = Seen {
            values: client.values.clone(),
            destination: case.usable.apl.positives()[0].address,
            time: NOW,
            secrets: vec![],
        };
        assert!(
            !without.can_verify() && without.verify(&flow(&seen)).is_err(),
            "{}",
            case.text
        );
        assert!(verify::verify(&case.usable, &seen).is_err());
        assert!(run(&without).is_err(), "{}", case.text);

        let (_, secret) = generate::secrets()
            .into_iter()
            .find(|(id, _)| Some(id) == record.key.as_ref())
            .unwrap();
        let bits = record.kdf.unwrap_or(48);
        let own = Secret::new(secret).client_key(SourceBits::new(bits as u8).unwrap(), request.source);
        assert_eq!(*own.expose(), hash::client_key(&secret, client.values.source, bits));
        let with_own = Rule::prepare(&case.record, space.as_ref(), &Key::Client(own)).unwrap();
        if record.kdf.is_none() {
            assert!(run(&with_own).is_err(), "{}", case.text);
            continue;
        }
        assert_eq!(run(&with_own), expected, "{}", case.text);
        assert!(
            !with_own.can_verify() && with_own.verify(&flow(&seen)).is_err(),
            "{}",
            case.text
        );
        own_keys += 1;
    }
    assert!(own_keys > 0, "{own_keys}");
}

#[test]
fn siphash_is_the_same() {
    let mut draw = Draw::new(10);
    for length in 0..200 {
        let message: Vec<u8> = (0..length).map(|_| draw.bits() as u8).collect();
        let key = draw.wide().to_be_bytes();
        assert_eq!(
            siphash24(&key, &message),
            hash::siphash(&key, &message),
            "{length} bytes"
        );
    }
}

/// Lists of family 2 on the wire, whole and damaged.
#[test]
fn the_wire_form_is_the_same() {
    let mut draw = Draw::new(11);
    for case in cases(&mut draw, 100) {
        let apl = case.usable_text();
        let words = apl.to_string();
        let items: Vec<_> = words
            .split(' ')
            .map(|word| ssa_oracle::apl::from_text(word).unwrap())
            .collect();
        let mut wire = ssa_oracle::apl::to_wire(&items);
        assert_eq!(apl.to_wire(), wire, "{words}");
        assert_eq!(Apl::from_wire(&wire).as_ref(), Ok(&apl), "{words}");
        // Several records are united.
        let (first, second) = items.split_at(draw.below(items.len() as u64) as usize);
        let mut united = Apl::from_wire(&ssa_oracle::apl::to_wire(first)).unwrap();
        united.unite(Apl::from_wire(&ssa_oracle::apl::to_wire(second)).unwrap());
        assert_eq!(united, apl, "{words}");
        for _ in 0..4 {
            let place = draw.below(wire.len() as u64) as usize;
            match draw.below(3) {
                0 => wire.truncate(place.max(1)),
                1 => wire[place] ^= 1 << draw.below(8),
                _ => wire.insert(place, draw.of(&[0, 0, 1, 2, 0x80])),
            }
            let expected = ssa_oracle::apl::from_wire(&wire);
            // What other families may hold is no matter of SSA's.
            let mut families = wire.clone();
            families.truncate(2);
            if expected
                .as_ref()
                .is_ok_and(|items| items.iter().all(|item| item.family == 2))
            {
                let text: Vec<String> = expected.unwrap().iter().map(ssa_oracle::apl::to_text).collect();
                let found = Apl::from_wire(&wire).unwrap_or_else(|error| panic!("{error}: {wire:02x?}"));
                assert_eq!(found.to_string(), text.join(" "));
                assert_eq!(found.to_wire(), wire);
            } else if expected.is_err() && families == [0, 2] && wire.len() < 21 {
                assert!(Apl::from_wire(&wire).is_err(), "{:?}: {wire:02x?}", expected.err());
            }
        }
    }
}

/// Items that failed are passed over, in the order that the text gives.
#[test]
fn items_to_avoid_are_passed_over() {
    let mut draw = Draw::new(12);
    for case in cases(&mut draw, 120) {
        let mut client = client(&mut draw, &case);
        client.values.object = Some(b"42".to_vec());
        let request = request(&client);
        let address_of = |wanted: ItemIndex| {
            let mut items = case.rule.positive_items();
            items
                .find(|(index, _)| *index == wanted)
                .map(|(_, net)| u128::from(net.addr()))
                .unwrap()
        };
        let count = case.usable.apl.positives().len();
        let mut avoid = ItemSet::EMPTY;
        if let Pick::Hash(_) = case.usable.record.item {
            let winner = winner(&case.usable, &client.values).unwrap();
            for _ in 0..2 {
                let found = case.rule.choose_item(&request, avoid, &mut || draw.bits()).unwrap();
                assert_eq!(address_of(found), winner.address, "{}", case.text);
                avoid = avoid.with(found);
            }
            continue;
        }
        let mut found = Vec::new();
        for _ in 0..count {
            let item = case.rule.choose_item(&request, avoid, &mut || draw.bits()).unwrap();
            assert!(!avoid.contains(item));
            avoid = avoid.with(item);
            assert!(avoid.contains(item));
            found.push(address_of(item));
        }
        let none = case.rule.choose_item(&request, avoid, &mut || draw.bits());
        assert_eq!(none, Err(ComposeError::NoItemLeft), "{}", case.text);
        let none = case.rule.search(&request, avoid, &mut || draw.bits());
        assert!(none.is_err(), "{}", case.text);
        // Group after group, in any order within one.
        for group in groups(&case.usable, &client.values).unwrap() {
            let mut first: Vec<u128> = found.drain(..group.len()).collect();
            let mut group: Vec<u128> = group.iter().map(|item| item.address).collect();
            first.sort_unstable();
            group.sort_unstable();
            assert_eq!(first, group, "{}", case.text);
        }
    }
}

/// The sources of a client, and what failed of late: some candidates, or all of an item.
fn situation(draw: &mut Draw, case: &Case, client: &Client) -> Situation {
    let items = case.usable.apl.positives();
    let mut situation = Situation {
        default: draw.percent(60).then_some(client.values.source),
        ..Situation::default()
    };
    for item in &items {
        if draw.percent(50) {
            // Near the item, near another, or the same for several.
            let near = draw.of(&items).address ^ u128::from(draw.below(4));
            let source = draw.of(&[item.address ^ 1, near, client.values.source]);
            situation.sources.push((item.address, source));
        }
    }
    for _ in 0..draw.of(&[0, 0, 1, 3, 20]) {
        let item = draw.of(&items).address;
        let replica = draw.below(u64::from(case.usable.record.replicas)) as u32;
        let address = fill(&case.usable, client, item, &case.rand_of(draw.bits().into())).unwrap_or(item);
        situation.failed.push((item, replica, address));
    }
    situation
}

#[test]
fn what_is_chosen_is_among_what_may_be() {
    let mut draw = Draw::new(21);
    let (mut chosen_of, mut refused) = (0, 0);
    for case in cases(&mut draw, 400) {
        let mut client = client(&mut draw, &case);
        client.values.object = Some(b"42".to_vec());
        client.replica = 0;
        let situation = situation(&mut draw, &case, &client);
        let item = |address: u128| {
            let mut items = case.rule.positive_items();
            items.find(|(_, net)| u128::from(net.addr()) == address).unwrap()
        };
        let by_item: Vec<ItemSource> = situation
            .sources
            .iter()
            .map(|(address, source)| ItemSource {
                item: item(*address).1,
                source: (*source).into(),
            })
            .collect();
        let sources = Sources {
            by_item: &by_item,
            default: situation.default.map(Ipv6Addr::from),
        };
        let failed: Vec<Candidate> = situation
            .failed
            .iter()
            .map(|(address, replica, found)| Candidate {
                item: item(*address).0,
                replica: Replica(*replica as u8),
                address: Destination((*found).into()),
            })
            .collect();
        let given = request(&client);
        let connection = Connection {
            object: given.object,
            chunk: given.chunk,
            port: given.port,
            time: given.time,
        };
        // The draws are bounded: now and then an address that failed remains, where hardly another is left.
        let may_be = choose::of_one_draw(&case.usable, &client, &situation);
        for _ in 0..8 {
            let random = &mut || draw.bits();
            let choice = case.rule.choose(&connection, &sources, &failed.iter().copied(), random);
            let found = choice.and_then(|choice| match choice {
                Choice::Chosen(chosen) => Ok(Some(chosen)),
                Choice::Work(mut work) => case.rule.resume(&mut work, &connection, u32::MAX, random),
            });
            let found = match found {
                Ok(found) => found.expect("as many tries as there may be"),
                Err(error) => {
                    let wide = matches!(error, ComposeError::NotInService | ComposeError::PowExhausted { .. });
                    assert!(may_be.is_err() || wide, "{}: {error}: {may_be:x?}", case.text);
                    refused += 1;
                    continue;
                }
            };
            let outcome = |address| choose::Outcome {
                item: u128::from(item_address(&case.rule, found.candidate.item)),
                source: found.source.into(),
                replica: found.candidate.replica.0.into(),
                address,
            };
            let exact = outcome(Some(found.candidate.address.0.into()));
            let may_be = may_be.as_ref().unwrap_or_else(|error| panic!("{}: {error}", case.text));
            assert!(
                may_be.contains(&exact) || may_be.contains(&outcome(None)),
                "{}: {exact:x?} of {may_be:x?} for {situation:x?}",
                case.text
            );
            chosen_of += 1;
            // A verifier takes it.
            let seen = Flow {
                source: Source(found.source),
                destination: found.candidate.address,
                port: given.port,
                object: given.object,
                chunk: given.chunk,
                time: UnixTime(client.time.unwrap()),
            };
            if case.rule.can_verify() {
                let verdict = case.rule.verify(&seen).unwrap();
                assert!(matches!(verdict, ssa_rules::Verdict::Conforming(_)), "{}", case.text);
            }
        }
    }
    assert!(
        chosen_of > 2000 && refused > 100,
        "{chosen_of} chosen, {refused} refused"
    );
}

fn item_address(rule: &Rule, wanted: ItemIndex) -> Ipv6Addr {
    let mut items = rule.positive_items();
    items.find(|(index, _)| *index == wanted).unwrap().1.addr()
}

fn prepared(rule: &str, apl: &str) -> Case {
    let (record, prepared) = crate_usable(rule, apl).unwrap();
    Case {
        text: format!("{rule} | {apl}"),
        usable: record::usable(rule, apl).unwrap(),
        record,
        rule: prepared,
    }
}

/// Every rand bit takes both values, and so do ties among items.
#[test]
fn what_is_random_varies() {
    let mut draw = Draw::new(13);
    for template in [
        "rand:64",
        "rand:1 const(0):62 rand:1",
        "rand:33 hash(src/64):14 rand:17",
    ] {
        let rule = format!("v=ssa1; addr={template}");
        let case = prepared(&rule, "2:2001:db8:5::/64");
        let client = client(&mut draw, &case);
        let (mut ones, mut zeros) = (0, 0);
        let mut halves = std::collections::BTreeSet::new();
        for _ in 0..60 {
            let Destination(found) = case.rule.compose(&request(&client), &mut || draw.bits()).unwrap();
            for (place, value) in case.rand_of(found.into()).into_iter().enumerate() {
                ones |= u128::from(value) << (64 * place);
                zeros |= u128::from(!value) << (64 * place);
                halves.insert((place, value));
            }
        }
        let mut place = 0;
        for field in &case.usable.record.template {
            if let Field::Rand(n) = field {
                let mask = u128::from(u64::MAX >> (64 - n)) << (64 * place);
                assert_eq!((ones & mask, zeros & mask), (mask, mask), "{rule}");
                place += 1;
            }
        }
    }
    for (item, apl, source) in [
        (
            "near",
            "2:2001:db8:1::/64 2:2001:db8:2::/64 2:2001:db8:3::/64 2:2001:db8:4::/64",
            "2001:db9::",
        ),
        (
            "rand",
            "2:2001:db8:1::/64 2:2001:db8:2::/64 2:2001:db8:3::/64 2:fd00::/64",
            "fd00::",
        ),
    ] {
        let case = prepared(&format!("v=ssa1; addr=rand:64; item={item}"), apl);
        let mut found = std::collections::BTreeSet::new();
        let request = Request::new(Source(source.parse().unwrap()));
        for _ in 0..80 {
            found.insert(
                case.rule
                    .choose_item(&request, ItemSet::EMPTY, &mut || draw.bits())
                    .unwrap(),
            );
        }
        assert_eq!(found.len(), 4, "{item}");
    }
}

/// "Redraw the rand fields, at most 64 times."
#[test]
fn the_65th_redraw_is_not_made() {
    let case = prepared(
        "v=ssa1; addr=rand:1 const(5):63",
        "2:2001:db8:5::/64 !2:2001:db8:5::/65",
    );
    let request = Request::new(Source(Ipv6Addr::LOCALHOST));
    let (item, _) = case.rule.positive_items().next().unwrap();
    for (bad, fits) in [(0, true), (1, true), (63, true), (64, true), (65, false), (66, false)] {
        let mut draws = 0;
        let mut random = || {
            draws += 1;
            if draws <= bad { 0 } else { u64::MAX }
        };
        let found = case.rule.search_in(item, &request, &mut random).is_ok();
        assert_eq!(found, fits, "{bad} draws that are not in the service");
    }
}

/// "After 64·2^d tries, an error", and the same address whatever the steps of a search.
#[test]
fn a_search_is_bounded_and_resumes() {
    let mut draw = Draw::new(14);
    for d in 1..=4u32 {
        let case = prepared(
            &format!("v=ssa1; addr=hash(src/64):20 rand:44; pow={d}"),
            "2:2001:db8:5::/64",
        );
        let mut client = client(&mut draw, &case);
        client.time = Some(NOW);
        let request = request(&client);
        let port = client.values.port.unwrap();
        // A generator that is stuck on bits that do not solve it, whichever 44 of them are taken.
        let fails = |bits: u64| {
            let item = case.usable.apl.items[0].address;
            [bits, bits >> 20].into_iter().all(|bits| {
                let address = fill(&case.usable, &client, item, &[bits]).unwrap();
                !pow_ok(&case.usable.record, client.values.source, address, port, NOW / 60)
            })
        };
        let stuck = (0..1000).map(|_| draw.bits()).find(|bits| fails(*bits)).unwrap();
        {
            let tries = 64 << d;
            assert_eq!(
                case.rule.compose(&request, &mut || stuck),
                Err(ComposeError::PowExhausted { tries })
            );
            let mut search = case.rule.search(&request, ItemSet::EMPTY, &mut || stuck).unwrap();
            for _ in 0..tries - 1 {
                let progress = case.rule.advance(&mut search, &request, 1, &mut || stuck);
                assert_eq!(progress, Ok(Progress::More));
            }
            assert!(case.rule.advance(&mut search, &request, 2, &mut || stuck).is_err());
        }
        // In one go, or in steps.
        for steps in [1, 2, 3, 1000] {
            let seed = draw.bits();
            let (mut one, mut other) = (Draw::seeded(seed), Draw::seeded(seed));
            let expected = case.rule.compose(&request, &mut || one.bits());
            let mut search = case
                .rule
                .search(&request, ItemSet::EMPTY, &mut || other.bits())
                .unwrap();
            let found = loop {
                match case.rule.advance(&mut search, &request, steps, &mut || other.bits()) {
                    Ok(Progress::More) => {}
                    Ok(Progress::Found(found)) => break Ok(found),
                    Err(error) => break Err(error),
                }
            };
            assert_eq!(found, expected, "{steps} at a time");
            assert!((1..=64 << d).contains(&search.tries()), "{} tries", search.tries());
        }
    }
}

/// A rule is plain bytes; bytes that no one prepared may say anything, but panic at nothing.
#[test]
fn a_rule_survives_as_bytes() {
    use zerocopy::{FromBytes, IntoBytes};
    let mut draw = Draw::new(15);
    for case in cases(&mut draw, 40) {
        let client = client(&mut draw, &case);
        let bytes = case.rule.as_bytes().to_vec();
        let again = Rule::read_from_bytes(&bytes).unwrap();
        assert_eq!(again, case.rule, "{}", case.text);
        let seen = Seen {
            values: client.values.clone(),
            destination: case.usable.apl.positives()[0].address,
            time: client.time.unwrap(),
            secrets: vec![],
        };
        for _ in 0..6 {
            let mut damaged = bytes.clone();
            for _ in 0..draw.of(&[1, 5, 100]) {
                let place = draw.below(damaged.len() as u64) as usize;
                let any = draw.bits() as u8;
                damaged[place] = draw.of(&[0, 1, 127, 128, 255, any]);
            }
            let rule = Rule::read_from_bytes(&damaged).unwrap();
            let _ = rule.verify(&flow(&seen));
            let _ = rule.class(seen.destination.into());
            let mut random = || draw.bits();
            if let Ok(mut search) = rule.search(&request(&client), ItemSet::EMPTY, &mut random) {
                let _ = rule.advance(&mut search, &request(&client), 3, &mut random);
            }
        }
    }
}
