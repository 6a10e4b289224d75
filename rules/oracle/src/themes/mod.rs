//! The cases this project makes, by theme: inputs and, where a verdict is at stake, what is expected
//! of them are chosen by hand; the oracle works out addresses, keys and hashes.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::apl::{Place, from_text, to_wire};
use crate::cases::{address, answer, client, hex, text};
use crate::compose::{fill, groups, pow_ok};
use crate::record::usable;

mod choice;
mod composing;
mod fields;
mod http;
mod items;
mod lists;
mod mac;
mod pow;
mod published;
mod records;
mod time;

/// A vector file of this project.
pub struct Theme {
    pub file: &'static str,
    pub origin: &'static str,
    pub cases: Vec<Value>,
}

pub fn all() -> Vec<Theme> {
    let made = "hand-chosen inputs; expected values by the oracle in rules/oracle";
    let theme = |file, cases: Cases| Theme {
        file,
        origin: made,
        cases: cases.0,
    };
    let mut themes = vec![
        theme("record-grammar.json", records::grammar::cases()),
        theme("record-numbers.json", records::numbers::cases()),
        theme("record-rules.json", records::rules::cases()),
        theme("record-limits.json", records::limits::cases()),
        theme("record-http.json", records::http::cases()),
        theme("http.json", http::http()),
        theme("apl-lists.json", lists::lists()),
        theme("apl-negated.json", lists::negated()),
        theme("apl-tag.json", lists::tag()),
        Theme {
            file: "apl-wire.json",
            origin: "the examples of RFC 3123, section 5, encoded after its section 4; the rest hand-made",
            cases: lists::wire().0,
        },
        theme("place.json", lists::place()),
        theme("items.json", items::items()),
        theme("fields.json", fields::fields()),
        theme("objects.json", fields::objects()),
        theme("unchecked.json", fields::unchecked()),
        theme("replicas.json", fields::replicas()),
        theme("composing.json", composing::composing()),
        theme("choice.json", choice::choice()),
        theme("mac.json", mac::mac()),
        theme("client-key.json", mac::client_key()),
        theme("time.json", time::time()),
        theme("pow.json", pow::pow()),
        theme("published.json", published::published()),
        Theme {
            file: "siphash.json",
            origin: "vectors_sip64 of the reference implementation of SipHash-2-4 (Aumasson and Bernstein)",
            cases: mac::siphash().0,
        },
    ];
    // A case stands once, under the first clause that asks for it.
    let mut asked = HashSet::new();
    for theme in &mut themes {
        theme.cases.retain(|case| {
            let mut case = case.clone();
            case.as_object_mut().unwrap().remove("note");
            asked.insert(case.to_string())
        });
    }
    themes
}

/// The list that most cases use.
pub const A: &str = "2:2001:db8:5::/64";

/// The cases of one file.
#[derive(Default)]
pub struct Cases(pub Vec<Value>);

/// What a client or packet is; `None` is left out of the case.
#[derive(Clone)]
pub struct Who {
    pub source: &'static str,
    pub object: Option<String>,
    pub chunk: Option<u64>,
    pub time: Option<u64>,
    pub port: Option<u16>,
    pub secrets: Vec<(&'static str, &'static str)>,
    pub replica: u32,
}

pub const SECRET: &str = "000102030405060708090a0b0c0d0e0f";
pub const OTHER_SECRET: &str = "f0e1d2c3b4a5968778695a4b3c2d1e0f";

/// Second 0 of a minute, an hour and a step of 30 s.
pub const NOW: u64 = 1_800_000_000;

/// One who knows everything.
pub fn who() -> Who {
    Who {
        source: "2a02:1234:5678:9abc:def0:1357:9bdf:2468",
        object: Some("12345678901234567890".into()),
        chunk: Some(7),
        time: Some(NOW),
        port: Some(443),
        secrets: vec![("k1", SECRET)],
        replica: 0,
    }
}

impl Who {
    pub fn at(&self, time: u64) -> Who {
        let time = Some(time);
        Who { time, ..self.clone() }
    }

    pub fn object(&self, object: &str) -> Who {
        let object = Some(object.to_string());
        Who { object, ..self.clone() }
    }

    pub fn source(&self, source: &'static str) -> Who {
        Who { source, ..self.clone() }
    }

    pub fn replica(&self, replica: u32) -> Who {
        Who {
            replica,
            ..self.clone()
        }
    }

    pub fn blind(&self) -> Who {
        Who {
            object: None,
            chunk: None,
            ..self.clone()
        }
    }

    fn keys(&self) -> Map<String, Value> {
        let mut keys = Map::new();
        keys.insert("source".into(), json!(self.source));
        if let Some(object) = &self.object {
            keys.insert("object".into(), json!(object));
        }
        if let Some(chunk) = self.chunk {
            keys.insert("chunk".into(), json!(chunk));
        }
        if let Some(time) = self.time {
            keys.insert("time".into(), json!(time));
        }
        if let Some(port) = self.port {
            keys.insert("port".into(), json!(port));
        }
        let mut secrets = Map::new();
        for (id, secret) in &self.secrets {
            secrets.insert((*id).into(), json!(secret));
        }
        keys.insert("secrets".into(), Value::Object(secrets));
        keys
    }
}

/// The address this client composes under its first item with these rand values.
pub fn made(rule: &str, apl: &str, who: &Who, rand: &[u64]) -> u128 {
    let usable = usable(rule, apl).unwrap_or_else(|error| panic!("{rule}: {error}"));
    let mut case = who.keys();
    case.insert("replica".into(), json!(who.replica));
    let client = client(&Value::Object(case));
    let item = groups(&usable, &client.values).unwrap()[0][0];
    fill(&usable, &client, item.address, rand).unwrap()
}

impl Cases {
    fn push(&mut self, note: &str, op: &str, mut case: Map<String, Value>, expect: Option<Value>) {
        case.insert("note".into(), json!(note));
        case.insert("op".into(), json!(op));
        let mut case = Value::Object(case);
        for (key, value) in answer(&case) {
            if key == "expect" && expect.is_some() {
                assert_eq!(Some(&value), expect.as_ref(), "hand against oracle: {case}");
            }
            case[key] = value;
        }
        self.0.push(case);
    }

    /// A record with a list.
    pub fn parse(&mut self, note: &str, rule: &str, apl: &str, expect: &str) {
        let mut case = Map::new();
        case.insert("rule".into(), json!(rule));
        case.insert("apl".into(), json!(apl));
        self.push(note, "parse", case, Some(json!(expect)));
    }

    pub fn usable(&mut self, note: &str, rules: &[&str]) {
        for rule in rules {
            self.parse(note, rule, A, "usable");
        }
    }

    pub fn unusable(&mut self, note: &str, rules: &[&str]) {
        for rule in rules {
            self.parse(note, rule, A, "unusable");
        }
    }

    /// A compose that leaves nothing to chance.
    pub fn compose(&mut self, note: &str, rule: &str, apl: &str, who: &Who) -> u128 {
        let mut case = who.keys();
        case.insert("rule".into(), json!(rule));
        case.insert("apl".into(), json!(apl));
        case.insert("replica".into(), json!(who.replica));
        self.push(note, "compose", case, None);
        address(self.0.last().unwrap()["expect"].as_str().unwrap())
    }

    /// A compose whose address is known beforehand.
    pub fn composes(&mut self, note: &str, rule: &str, apl: &str, who: &Who, expect: &str) {
        let found = self.compose(note, rule, apl, who);
        assert_eq!(found, address(expect), "{rule}: {}", text(found));
    }

    pub fn compose_error(&mut self, note: &str, rule: &str, apl: &str, who: &Who) {
        let mut case = who.keys();
        case.insert("rule".into(), json!(rule));
        case.insert("apl".into(), json!(apl));
        case.insert("replica".into(), json!(who.replica));
        self.push(note, "compose-error", case, Some(json!("error")));
    }

    /// A verdict; `expect` is such as `violation of field 1` or `conforming but item, field 2`.
    pub fn verify(&mut self, note: &str, rule: &str, apl: &str, who: &Who, destination: u128, expect: &str) {
        let mut case = who.keys();
        case.insert("rule".into(), json!(rule));
        case.insert("apl".into(), json!(apl));
        case.insert("destination".into(), json!(text(destination)));
        let (word, part, unchecked) = if let Some((word, part)) = expect.split_once(" of ") {
            (word, Some(part), None)
        } else if let Some((word, unchecked)) = expect.split_once(" but ") {
            (word, None, Some(unchecked.split(", ").collect()))
        } else {
            let unchecked = (expect == "conforming").then(Vec::new);
            (expect, None, unchecked)
        };
        self.push(note, "verify", case, Some(json!(word)));
        let case = self.0.last().unwrap();
        assert_eq!(case["part"].as_str(), part, "hand against oracle: {case}");
        let oracle = case.get("unchecked").cloned();
        let hand = unchecked.map(|list: Vec<&str>| json!(list));
        assert_eq!(oracle, hand, "hand against oracle: {case}");
    }

    pub fn refused(&mut self, note: &str, rule: &str, apl: &str, who: &Who, destination: u128) {
        let mut case = who.keys();
        case.insert("rule".into(), json!(rule));
        case.insert("apl".into(), json!(apl));
        case.insert("destination".into(), json!(text(destination)));
        self.push(note, "verify-refused", case, Some(json!("refused")));
    }
}

/// The address with bit `bit` (0 the most significant) flipped.
pub fn flip(address: u128, bit: u32) -> u128 {
    address ^ (1 << (127 - bit))
}
