//! Whatever stands in the configuration or the state file: it is taken or refused, and what is taken makes snapshots that
//! the filters read. The cases are the same in every run.

use std::collections::BTreeMap;

use ssa_filter::config::Snapshot;
use ssa_resolver::{
    clock::Moment,
    config::{Config, Role},
    model::Model,
    snapshot::Publisher,
    store,
};
use ssa_testing::Draw;

const CASES: usize = 50_000;
const NOW: u64 = 1_790_000_000;

const CONFIGURATION: &str = r#"{"socket": {"path": "/run/x.sock", "mode": "660", "group": 7,
 "peers": [{"uid": 1337, "gid": 0, "roles": ["outbound"]}]}, "admin": "[::1]:9467", "state": "/x.json", "off": false,
 "sources": false, "dns": {"servers": ["192.0.2.53", "[2001:db8::53]:5353"], "timeout_ms": 500, "concurrency": 3,
 "min_refresh_s": 1, "max_refresh_s": 60, "max_negative_ttl_s": 5, "max_backoff_s": 9, "stale_s": 0},
 "front": {"listen": ["[::1]:53"], "clients": ["2001:db8::/32", "192.0.2.0/24"], "servers": ["::2"], "keyed": true},
 "services": [{"name": "web.demo.test", "allowed": ["2001:db8:5::/48"],
 "inbound": {"ports": [80, 443], "mode": "shadow", "policy": {"legacy": "deny"}, "secrets": "/none"},
 "outbound": {"ports": [80], "port": 8080, "client_keys": "/none"}},
 {"name": "fixed", "allowed": ["2001:db8:6::/48"], "inbound": {"ports": [1]}, "outbound": {}, "static": {
 "apl": "2:2001:db8:6::/64 !2:2001:db8:6:0:f000::/120", "rules": ["v=ssa1; addr=hash(src/64):20 rand:44; from=17",
 "v=ssa1; addr=mac(src/64):64; key=k1; kdf=src/64; pow=4; item=hash(port); replicas=2"],
 "addresses": ["2001:db8:6:0:f000::1"]}}]}"#;

const STATE: &str = r#"{"version": 2, "saved": {"now": 1789999999, "system": 1789999999, "boot": "this", "since_boot": 900},
 "services": {"web.demo.test": {"domain": "web.demo.test.", "memory": {
 "list": {"value": {"items": "2:2001:db8:5::/64 !2:2001:db8:5:1::/120"}, "ttl": 300, "at": 1789999990},
 "records": {"value": ["v=ssa1; addr=hash(src/64):20 rand:44", "v=ssa1; addr=rand:64; from=1790000100"], "ttl": 300,
 "at": 1789999990, "greatest": [{"ttl": 300, "less_since": 1789999000}, {"ttl": 7, "less_since": null}]}, "addresses": {"value": ["2001:db8:5:1::1"], "ttl": 300, "at": 1789999990},
 "seen_records": [{"value": "v=ssa1; addr=hash(src/64):20 rand:44", "until": 0, "gone": null},
 {"value": "v=ssa1; addr=rand:64", "until": 1790000100, "gone": 1789999900}],
 "seen_lists": [{"value": "2:2001:db8:5::/64", "until": 0, "gone": null},
 {"value": null, "until": 1790000290, "gone": 1789999950}]}, "held": ["2001:db8:5::/64", "2001:db8:5:1::/120"]}}}"#;

/// What stands in place of something else.
const WORDS: [&str; 32] = [
    "null",
    "true",
    "0",
    "-1",
    "1",
    "65536",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "\"\"",
    "[]",
    "{}",
    "[",
    "{",
    "}",
    "]",
    ",",
    "\"",
    "::/0",
    "::",
    "!2:",
    "/129",
    "v=ssa1",
    "from=18446744073709551615",
    "rand:64",
    ".",
    "..",
    "é",
    "\u{0}",
    "\\u0000",
    "\\ud800",
];

/// The moment at which states are read.
fn moment() -> Moment {
    Moment {
        now: NOW,
        system: NOW,
        boot: "this".into(),
        since_boot: 1000,
    }
}

fn below(random: &mut Draw, end: usize) -> usize {
    usize::try_from(random.below(u64::try_from(end).unwrap())).unwrap()
}

/// Changes a text in one to three places.
fn changed(seed: &str, random: &mut Draw) -> Vec<u8> {
    let mut text = seed.as_bytes().to_vec();
    for _ in 0..=below(random, 3) {
        let at = below(random, text.len().max(1));
        let end = (at + below(random, 24)).min(text.len());
        let word = WORDS[below(random, WORDS.len())].as_bytes().to_vec();
        match below(random, 8) {
            0 => drop(text.drain(at..end)),
            1 => text.truncate(at),
            2 => text
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= 1 << below(random, 8)),
            3 => {
                let again = text[at..end].to_vec();
                text.splice(at..at, again);
            }
            4 => drop(text.splice(at..at, word)),
            // Most changes keep the form: a word or number for another.
            _ => {
                let is_part =
                    |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'.' | b'-' | b'_');
                let start = text[..at]
                    .iter()
                    .rposition(|byte| !is_part(byte))
                    .map_or(0, |place| place + 1);
                let end = text[at..]
                    .iter()
                    .position(|byte| !is_part(byte))
                    .map_or(text.len(), |place| at + place);
                text.splice(start..end.max(start), word);
            }
        }
    }
    text
}

/// Makes snapshots, and has the filters read them.
fn served(model: &mut Model, now: u64) {
    let built = model.build(now);
    let mut publisher = Publisher::default();
    let mut json = |role, entries| {
        publisher.publish(role, false, entries).unwrap();
        publisher.latest(role).borrow().clone().unwrap().json()
    };
    let (inbound, outbound) = (
        json(Role::Inbound, &built.inbound),
        json(Role::Outbound, &built.outbound),
    );
    let error = Snapshot::inbound(inbound.as_bytes()).err();
    assert!(error.is_none(), "{error:?}: {inbound}");
    let error = Snapshot::outbound(outbound.as_bytes()).err();
    assert!(error.is_none(), "{error:?}: {outbound}");
}

#[test]
fn any_configuration_is_taken_or_refused() {
    let mut random = Draw::seeded(5);
    let mut taken = 0;
    for _ in 0..CASES {
        let text = changed(CONFIGURATION, &mut random);
        match Config::from_json(&text) {
            Ok(config) => {
                taken += 1;
                served(&mut Model::new(config, BTreeMap::new(), NOW), NOW);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(taken > CASES / 40, "{taken}");
}

#[test]
fn any_state_is_taken_or_refused() {
    let config = r#"{"sources": false, "services": [{"name": "web.demo.test", "allowed": ["2001:db8::/32"],
        "inbound": {"ports": [80]}, "outbound": {}}]}"#;
    let config = Config::from_json(config.as_bytes()).unwrap();
    let mut random = Draw::seeded(7);
    let mut taken = 0;
    for _ in 0..CASES {
        let text = changed(STATE, &mut random);
        if let Ok(stored) = store::parse(&text, &moment()) {
            taken += 1;
            let mut model = Model::new(config.clone(), stored, NOW);
            served(&mut model, NOW);
            served(&mut model, NOW + 400);
            let _ = model.to_store();
        }
    }
    assert!(taken > CASES / 40, "{taken}");
}
