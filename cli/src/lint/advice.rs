//! Advice that agrees with itself.
//!
//! Each check knows what it would write instead of a record, and nothing of the others: one would have the hash look at
//! less of the source and another at more, and what one advises another warns of. So the advice of a run is one record,
//! made by following the advice of one finding after the other, the worst first, until there is none left. It stands at
//! every finding that it settles; at a finding that it doesn't, or where it would bring a warning that was not there, no
//! record is advised.

use super::{
    check::{Given, findings, place},
    finding::{Finding, Severity},
    subject::Surroundings,
};

/// The maximum number of steps from a record to the one advised; a record has fewer things that can be said of it.
const MAX_STEPS: usize = 40;

/// Makes the advice of all findings agree, record by record.
pub(super) fn settle(given: &Given, around: &Surroundings, found: &mut [Finding]) {
    for index in 0..given.rules.len() {
        let place = place(index, given.rules.len());
        let is_here = |finding: &Finding| is_at(finding, &place);
        if !found.iter().any(|finding| finding.is_record && is_here(finding)) {
            continue;
        }
        let (record, left) = follow(given, around, index, &place, found);
        let brings_none = brings_no_warning(found, &left);
        for finding in found
            .iter_mut()
            .filter(|finding| finding.is_record && is_at(finding, &place))
        {
            let settled = !left
                .iter()
                .any(|other| other.code == finding.code && is_at(other, &place));
            finding.instead = (settled && brings_none).then(|| record.clone());
        }
    }
}

fn is_at(finding: &Finding, place: &str) -> bool {
    let rest = finding.place.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Returns whether of what is left, nothing worse than a note is new.
fn brings_no_warning(before: &[Finding], left: &[Finding]) -> bool {
    let is_old = |finding: &Finding| {
        before
            .iter()
            .any(|old| old.code == finding.code && old.severity <= finding.severity)
    };
    left.iter()
        .all(|finding| finding.severity == Severity::Note || is_old(finding))
}

/// Follows the advice for one record; returns the record and all that is still found.
fn follow(
    given: &Given,
    around: &Surroundings,
    index: usize,
    place: &str,
    found: &[Finding],
) -> (String, Vec<Finding>) {
    let mut given = given.clone();
    let mut left = found.to_vec();
    let mut tried: Vec<String> = Vec::new();
    for _ in 0..MAX_STEPS {
        let next = left
            .iter()
            .filter(|finding| finding.is_record && is_at(finding, place))
            .find_map(|finding| finding.instead.as_ref().filter(|text| !tried.contains(text)));
        let (Some(next), Some(rule)) = (next.cloned(), given.rules.get_mut(index)) else {
            break;
        };
        *rule = next.as_bytes().to_vec();
        tried.push(next);
        left = findings(&given, around);
    }
    (tried.pop().unwrap_or_default(), left)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ssa_rules::{Apl, Record, UnixTime};

    use super::*;
    use crate::{lint::check::check, random::Random};

    /// Picks by seeded draws, so that a failure comes again.
    struct Draw(Random);

    impl Draw {
        fn below(&mut self, bound: u64) -> u64 {
            self.0.next() % bound
        }

        fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[usize::try_from(self.below(of.len() as u64)).unwrap()]
        }

        fn inputs(&mut self) -> String {
            let source = ["src/20", "src/32", "src/48", "src/56", "src/64", "src/96", "src/128"];
            let source = self.one(&source);
            self.one(&[
                "SRC",
                "SRC",
                "SRC",
                "SRC,time/TIME",
                "time/TIME",
                "obj",
                "obj,chunk",
                "chunk",
                "SRC,obj",
                "port",
                "SRC,port",
            ])
            .replace("SRC", source)
        }

        /// A template of 64 bits at most, and its width.
        fn template(&mut self) -> (String, u64) {
            let mut left = 64 - self.below(3) * 8;
            let width = left;
            let mut fields = Vec::new();
            while left > 0 {
                let n = if fields.len() > 3 { left } else { 1 + self.below(left) };
                let start = self.below(129 - n);
                fields.push(match self.below(9) {
                    0 | 1 => format!("rand:{n}"),
                    2 => format!("const(0):{n}"),
                    3 => format!("src[{start}:{}]", start + n),
                    4 => format!("obj[{start}:{}]", start + n),
                    5..=7 => format!("hash({}):{n}", self.inputs()),
                    _ => format!("mac({}):{n}", self.inputs()),
                });
                left -= n;
            }
            (fields.join(" "), width)
        }

        /// A record and its list; not all of them are usable.
        fn published(&mut self) -> (String, String) {
            let (template, width) = self.template();
            let step = self.one(&["1", "2", "30", "600", "3600", "7200", "86400"]);
            let mut record = format!("v=ssa1; addr={template}").replace("TIME", step);
            if template.contains("mac(") {
                record += "; key=k1";
                record += self.one(&["", "; kdf=src/16", "; kdf=src/48", "; kdf=src/64", "; kdf=src/128"]);
            }
            for tags in [
                &["", "", "; salt=a"][..],
                &["", "", "; replicas=2", "; replicas=4", "; replicas=16"],
                &["", "", "; pow=1", "; pow=9", "; pow=14", "; pow=23"],
                &["", "", "; skew=0", "; skew=3", "; skew=60"],
                &[
                    "",
                    "",
                    "",
                    "; from=1799999000",
                    "; from=1800000100",
                    "; from=1800000600000",
                ],
                &["", "", "; item=rand", "; item=near", "; item=hash(src/64)"],
                &["", "", ";x-a=b", "  ;"],
            ] {
                record += self.one(tags);
            }
            let length = 128 - width;
            let list = match self.below(3) {
                0 => format!("2:2001:db8:5::/{length} 2:2a00:8000::/{length}"),
                1 => format!("2:2001:db8:5::/{length} !2:2001:db9::/64"),
                _ => format!("2:2001:db8:5::/{length}"),
            };
            (list, record)
        }

        fn around(&mut self) -> Surroundings {
            let clients = match self.below(5) {
                0 => vec!["2001:db8:77::/64=500"],
                1 => vec!["2001:db8::/32=100"],
                2 => vec!["2001:db8:1::/48=100000", "2a00::/16=7"],
                _ => vec![],
            };
            Surroundings {
                aaaa: Vec::new(),
                clients: clients.into_iter().map(|text| text.parse().unwrap()).collect(),
                endpoints: [None, Some(1), Some(3), Some(100), Some(5000)][usize::try_from(self.below(5)).unwrap()],
                slice_bits: [14, 14, 8, 20][usize::try_from(self.below(4)).unwrap()],
                now: UnixTime(1_800_000_000),
                ttl: [300, 60, 86_400][usize::try_from(self.below(3)).unwrap()],
            }
        }
    }

    /// What a record says, tag by tag and field by field.
    fn parts(record: &str) -> BTreeMap<String, String> {
        let record: Record = record.parse().expect("what is advised is a record");
        let mut parts = BTreeMap::new();
        for (name, value) in record.tags().iter() {
            parts.insert(name.to_string(), value.to_string());
        }
        for (index, field) in record.template().fields().iter().enumerate() {
            parts.insert(format!("addr[{index}]"), field.to_string());
        }
        parts
    }

    fn given(list: &str, records: &[&str]) -> Given {
        Given {
            apl: Some(list.parse::<Apl>().unwrap()),
            rules: records.iter().map(|record| record.as_bytes().to_vec()).collect(),
            ..Given::default()
        }
    }

    #[test]
    fn no_advice_is_warned_of_and_none_contradicts_another() {
        let (mut records, mut advised) = (0, 0);
        for seed in 0..1500 {
            let mut draw = Draw(Random::new(Some(seed)).unwrap());
            let (list, record) = draw.published();
            let around = draw.around();
            let found = check(&given(&list, &[&record]), &around);
            if record.parse::<Record>().is_err() {
                continue;
            }
            records += 1;
            let texts: Vec<&Finding> = found.iter().filter(|finding| finding.is_record).collect();
            let texts: Vec<(&Finding, &String)> = texts
                .into_iter()
                .filter_map(|finding| Some((finding, finding.instead.as_ref()?)))
                .collect();
            let mut said: BTreeMap<String, String> = BTreeMap::new();
            for (finding, text) in texts {
                advised += 1;
                let again = check(&given(&list, &[text]), &around);
                let still = again.iter().find(|other| other.code == finding.code);
                assert_eq!(still, None, "{list} {record} → {text}");
                let warned = again
                    .iter()
                    .find(|other| other.severity < Severity::Note && found.iter().all(|old| old.code != other.code));
                assert_eq!(warned, None, "{list} {record} → {text}");
                for (part, value) in parts(text) {
                    let before = said.entry(part).or_insert_with(|| value.clone());
                    assert_eq!(*before, value, "{list} {record}");
                }
            }
        }
        assert!(
            records > 300 && advised > 800,
            "{records} records, {advised} pieces of advice"
        );
    }

    #[test]
    fn what_is_advised_for_one_of_several_records_fits_beside_the_others() {
        let around = Draw(Random::new(Some(1)).unwrap()).around();
        let records = [
            "v=ssa1; addr=hash(src/64):20 rand:44",
            "v=ssa1; addr=src[0:64]; from=1800000100",
        ];
        let list = "2:2001:db8:5::/64";
        let found = check(&given(list, &records), &around);
        let advised = found
            .iter()
            .filter(|finding| finding.is_record && finding.instead.is_some());
        for finding in advised {
            let index = usize::from(finding.place.starts_with("rule[1]"));
            let mut changed = records;
            changed[index] = finding.instead.as_ref().unwrap();
            let again = check(&given(list, &changed), &around);
            let still = again
                .iter()
                .find(|other| other.code == finding.code && is_at(other, &place(index, 2)));
            assert_eq!(still, None, "{}", changed[index]);
        }
    }
}
