//! Every field of a configuration, with what does not belong there.

use serde_json::{Value, json};
use ssa_input::testing::{library_word, paths};

use super::*;

/// A configuration that has every field.
fn whole() -> Value {
    json!({
        "socket": {"path": "/run/x.sock", "mode": "660", "group": 7, "peers": [{"uid": 1, "gid": 2, "roles": ["outbound"]}]},
        "admin": "[::1]:9467", "state": "/var/lib/x.json", "off": false, "sources": true,
        "dns": {"servers": ["192.0.2.53#dns.example.net"], "tls": {"ca": "/ca"}, "dnssec": "validate",
                "trust_anchors": "/keys", "timeout_ms": 500, "concurrency": 1, "min_refresh_s": 1, "max_refresh_s": 9,
                "max_negative_ttl_s": 1, "max_backoff_s": 1, "stale_s": 0, "max_ttl_s": 60},
        "services": [
            {"name": "a", "domain": "a.example", "allowed": ["2001:db8:5::/48"],
             "inbound": {"ports": [80], "mode": "shadow", "policy": {"legacy": "deny"}, "secrets": "/k"},
             "outbound": {"ports": [80], "port": 8080, "client_keys": "/c"}},
            {"name": "b", "allowed": ["2001:db8:6::/48"], "outbound": {"secrets": "/k"},
             "static": {"apl": "2:2001:db8:6::/64", "rules": ["v=ssa1; addr=rand:64"], "addresses": ["2001:db8:6::1"]}}
        ],
        "front": {"listen": ["[2001:db8::53]:53"], "clients": ["192.0.2.0/24"], "servers": ["192.0.2.1"], "keyed": true,
                  "transfers": true, "max_pow": 1, "min_time_step_s": 1}
    })
}

fn all() -> Vec<(String, String)> {
    paths(&whole())
}

/// Returns what is told of the configuration with something else at a place; nothing if it is taken.
fn told(pointer: &str, other: Value) -> Option<String> {
    let mut config = whole();
    *config.pointer_mut(pointer).unwrap() = other;
    let error = Config::from_json(config.to_string().as_bytes()).err()?.to_string();
    assert_eq!(library_word(&error), None, "{pointer}: {error}");
    Some(error)
}

#[test]
fn the_whole_is_good() {
    let told = Config::from_json(whole().to_string().as_bytes());
    assert!(told.is_ok(), "{told:?}");
    assert!(all().len() > 70);
}

#[test]
fn every_field_of_another_type_is_told_by_its_path() {
    for (pointer, way) in all() {
        let good = whole().pointer(&pointer).cloned().unwrap();
        let others = [
            json!("x y"),
            json!(7),
            json!(-1),
            json!(1.5),
            json!(1e30),
            json!(true),
            json!([]),
            json!({}),
        ];
        let mut refused = 0;
        for other in others {
            let same = matches!(
                (&good, &other),
                (Value::Array(_), Value::Array(_))
                    | (Value::Object(_), Value::Object(_))
                    | (Value::Bool(_), Value::Bool(_))
            );
            let Some(told) = told(&pointer, other.clone()) else {
                let number = good.is_u64() && other == json!(7);
                assert!(same || number, "{other} is taken at {way}");
                continue;
            };
            refused += 1;
            // A list or an object may be faulty for what it lacks, and another field for what stands here.
            assert!(told.contains(&way) || same, "{other} at {way}: {told}");
        }
        assert!(refused >= 4, "{way}: {refused}");
    }
}

#[test]
fn every_field_of_an_unknown_name_and_every_missing_one_is_told_by_its_path() {
    let mut objects = 0;
    for (pointer, way) in all() {
        let mut config = whole();
        let Some(Value::Object(fields)) = config.pointer_mut(&pointer) else {
            continue;
        };
        objects += 1;
        fields.insert("strange".into(), json!(1));
        let strange = if way.is_empty() {
            "strange".to_owned()
        } else {
            format!("{way}.strange")
        };
        let error = Config::from_json(config.to_string().as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&strange)
                && (error.contains("strange: unknown field") || error.contains("strange: must be one of")),
            "{way}: {error}"
        );
    }
    assert!(objects > 10);
    for (pointer, way) in [
        ("/services/0", "services[0]"),
        ("/services/1/static", "services[1].static"),
        ("/services/0/inbound", "services[0].inbound"),
        ("/front", "front"),
        ("/dns/tls", "dns.tls"),
        ("/socket/peers/0", "socket.peers[0]"),
    ] {
        let told = told(pointer, json!({})).unwrap();
        assert!(
            told.starts_with(&format!("{way}.")) && told.contains(": missing ("),
            "{way}: {told}"
        );
    }
}

#[test]
fn every_number_is_bounded_and_the_bounds_are_told() {
    for (pointer, way) in all() {
        if !whole().pointer(&pointer).is_some_and(Value::is_u64) {
            continue;
        }
        let told = told(&pointer, json!(1_u64 << 63)).unwrap();
        assert!(
            told.contains(&way) && told.contains(" to ") || told.contains(" where "),
            "{way}: {told}"
        );
    }
}

#[test]
fn no_field_repeats_a_key_that_stands_in_it() {
    const HEX: &str = "5c1e9d0b7a3f48e2960d4b8f1a27c3e5";
    let pairs: Vec<&str> = (0..32).step_by(2).filter_map(|at| HEX.get(at..at + 2)).collect();
    for key in [
        HEX.to_owned(),
        HEX.to_uppercase(),
        pairs.join(":"),
        pairs.join("-"),
        pairs.join(" "),
        "XB6dC3o/SOKWDUuPGifD5Q==".to_owned(),
        "XB6dC3o/SOKWDUuPGifD5Q".to_owned(),
        "XB6dC3o_SOKWDUuPGifD5Q".to_owned(),
    ] {
        for (pointer, way) in all() {
            if let Some(told) = told(&pointer, json!(key)) {
                assert!(!told.contains(&key[..12]), "{way}: {told}");
            }
            let mut config = whole();
            if let Some(Value::Object(fields)) = config.pointer_mut(&pointer) {
                fields.insert(key.clone(), json!(1));
                let told = Config::from_json(config.to_string().as_bytes())
                    .unwrap_err()
                    .to_string();
                assert!(!told.contains(&key[..12]), "{way}: {told}");
            }
        }
    }
}
