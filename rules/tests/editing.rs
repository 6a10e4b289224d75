//! Editing a record's tags, on random records: the same in every run.

use ssa_oracle::generate;
use ssa_rules::{AddressSpace, Record, record::Tags};
use ssa_testing::Draw;

/// The tags of a text by the grammar: what stands between semicolons, without blanks around names and values.
fn tags_of(text: &str) -> Vec<(String, String)> {
    let blank = [' ', '\t'];
    let trimmed = |text: &str| text.trim_matches(blank).to_string();
    let mut tags: Vec<&str> = text.split(';').collect();
    if tags.last().is_some_and(|last| last.trim_matches(blank).is_empty()) {
        tags.pop();
    }
    let pair = |tag: &str| {
        let (name, value) = tag.split_once('=').unwrap();
        (trimmed(name), trimmed(value))
    };
    tags.into_iter().map(pair).collect()
}

fn held(tags: &Tags) -> Vec<(String, String)> {
    let owned = |(name, value): (&str, &str)| (name.to_string(), value.to_string());
    tags.iter().map(owned).collect()
}

/// Usable records as text, in any order of tags and with tags that SSA ignores.
fn records(draw: &mut Draw, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let rule = generate::published(draw).rule;
        if rule.parse::<Record>().is_ok() {
            found.push(rule);
        }
    }
    found
}

#[test]
fn tags_are_those_of_the_text_in_its_order() {
    let mut draw = Draw::new(31);
    for text in records(&mut draw, 300) {
        let record: Record = text.parse().unwrap();
        let tags = Tags::read(&text).unwrap();
        assert_eq!(held(&tags), tags_of(&text), "{text}");
        assert_eq!(tags.record().as_ref(), Ok(&record), "{text}");
        assert_eq!(record.tags().to_string(), record.to_string());
        assert_eq!(record.tags().record().as_ref(), Ok(&record), "{text}");
    }
}

#[test]
fn what_is_set_is_there_and_all_else_stays() {
    let mut draw = Draw::new(32);
    let values: [(&str, &[&str]); 6] = [
        ("from", &["0", "1", "1800000000", "9223372036854775807"]),
        ("salt", &["a", "2026b"]),
        ("skew", &["0", "1"]),
        ("item", &["near", "rand", "hash(obj)"]),
        ("x-note", &["", "a = b, (c)", "é"]),
        ("x-", &["nameless"]),
    ];
    for text in records(&mut draw, 400) {
        let (name, values) = draw.of(&values);
        let value = draw.of(values);
        let before = tags_of(&text);
        let mut tags = Tags::read(&text).unwrap();
        tags.set(name, value).unwrap();

        let mut expected: Vec<(String, String)> = Vec::new();
        let mut met = false;
        for (tag, old) in before {
            if tag != name {
                expected.push((tag, old));
            } else if !met {
                met = true;
                expected.push((tag, value.into()));
            }
        }
        if !met {
            expected.push((name.into(), value.into()));
        }
        assert_eq!(held(&tags), expected, "{text}: {name}={value}");
        assert_eq!(tags.get(name), Some(value));
        // What is printed reads as what is held.
        assert_eq!(tags_of(&tags.to_string()), expected, "{text}");
        if value.is_ascii() {
            let edited = tags.record().unwrap_or_else(|error| panic!("{tags}: {error}"));
            let old: Record = text.parse().unwrap();
            let same =
                |a: &Record, b: &Record| a.template() == b.template() && a.key() == b.key() && a.apl() == b.apl();
            assert!(same(&edited, &old), "{text}");
            if name == "from" {
                assert_eq!(edited.from().0.to_string(), value);
            }
        } else {
            assert!(tags.record().is_err(), "{tags}");
        }
    }
}

#[test]
fn what_is_removed_is_gone_and_all_else_stays() {
    let mut draw = Draw::new(33);
    for text in records(&mut draw, 300) {
        for name in ["from", "apl", "pow", "salt", "x-a", "x-nothing"] {
            let mut tags = Tags::read(&text).unwrap();
            tags.remove(name);
            let mut expected = tags_of(&text);
            expected.retain(|(tag, _)| tag != name);
            assert_eq!(held(&tags), expected, "{text}: {name}");
            assert_eq!(tags.get(name), None);
            // None of them is asked for by another.
            let old: Record = text.parse().unwrap();
            let edited = tags.record().unwrap_or_else(|error| panic!("{tags}: {error}"));
            let (removed, kept) = match name {
                "from" => (edited.from().0 == 0, edited.apl() == old.apl()),
                "apl" => (edited.apl().is_none(), edited.from() == old.from()),
                "pow" => (edited.pow() == 0, edited.from() == old.from()),
                "salt" => (edited.salt().is_none(), edited.from() == old.from()),
                _ => (true, edited == old),
            };
            assert!(removed && kept, "{text}: {name}");
        }
    }
}

#[test]
fn nothing_that_is_set_becomes_another_tag() {
    let mut tags = Tags::read("v=ssa1; addr=rand:64").unwrap();
    for (name, value) in [("salt", "a; pow=3"), ("salt", ";"), ("x-a=b", "c"), ("x-a; pow", "3")] {
        let error = tags.set(name, value).unwrap_err();
        assert_eq!(error.tag, name);
        assert!(
            error
                .to_string()
                .ends_with("a name must not contain `;` or `=`, and a value no `;`")
        );
    }
    assert_eq!(tags.to_string(), "v=ssa1; addr=rand:64");
    tags.set("salt", " \ta ").unwrap();
    assert_eq!(tags.get("salt"), Some("a"));
    assert!(Tags::read("v=ssa1; addr=rand:65").is_err());
    assert!(Tags::read("v=spf1 -all").is_err());
    tags.remove("v");
    assert!(tags.record().is_err());
}

#[test]
fn blanks_go_before_the_record_is_too_long() {
    let field = "const(0):1";
    let long = |salt: &str| {
        let fields = [field; 16].join(" ");
        let mut tags = Tags::read(&format!("v=ssa1; addr={fields}; x-pad=")).unwrap();
        let room = 1024 - tags.to_string().len() - "salt=".len() - 2;
        tags.set("x-pad", &"p".repeat(room)).unwrap();
        tags.set("salt", salt).unwrap();
        tags
    };
    let fits = long("");
    assert_eq!(fits.to_string().len(), 1024);
    assert!(fits.to_string().contains("; salt="));
    let spare = long("ab");
    assert_eq!(spare.to_string().len(), 1026 - 3);
    assert!(spare.to_string().contains(";salt=ab") && spare.record().is_ok());
    assert!(long("abcde").record().is_err());
}

#[test]
fn a_space_is_a_list_again() {
    let list = "!2:2001:db8:6::/120 2:2001:db8:5::/64 2:2001:db8:5::/64 1:192.0.2.0/24 2:2001:db8:4::/64";
    let space = AddressSpace::new(&list.parse().unwrap()).unwrap().unwrap();
    let apl = space.apl();
    assert_eq!(
        apl.to_string(),
        "2:2001:db8:4::/64 2:2001:db8:5::/64 !2:2001:db8:6::/120"
    );
    assert_eq!(AddressSpace::new(&apl).unwrap().unwrap(), space);
}
