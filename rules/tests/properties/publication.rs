//! Records published together.

use ssa_oracle::{compose::Client, compose::compose, generate, generate::NOW, record, verify::Seen};
use ssa_rules::{Apl, Key, KeyId, Party, Publication, Rule, Secret, UnixTime, ValidFrom};
use ssa_testing::Draw;

use crate::case::{flow, other_family, verdict};

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
        let publication = Publication::read(Some(&apl), &records, Party::Client, key_of);
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
        let publication = Publication::read(Some(&apl), &records, Party::Verifier, key_of);
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
