//! What stands in the tree follows from the types, and validators read the schemas as the programs read documents.

use std::{fs, path::Path};

use jsonschema::Validator;
use serde_json::{Value, json};
use ssa_filter::config::Snapshot;
use ssa_resolver::config::Config;
use ssa_schema::{chart::definitions, files::files, filter, resolver, snapshot};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn files_follow_from_the_types() {
    let files = files(root()).unwrap();
    assert_eq!(files.len(), 9);
    for file in files {
        assert!(
            file.found == file.wanted,
            "{} differs from the types: cargo run -p ssa-schema",
            file.path
        );
    }
}

#[test]
fn the_chart_uses_every_generated_definition() {
    let text = fs::read_to_string(root().join("k8s/chart/values.schema.json")).unwrap();
    let chart: Value = serde_json::from_str(&text).unwrap();
    for (name, definition) in definitions() {
        let is_property = chart["properties"][name] == definition;
        let is_definition = chart["definitions"][name] == definition;
        assert!(is_property || is_definition, "{name}");
        let reference = format!("\"#/definitions/{name}\"");
        assert!(is_property || text.contains(&reference), "{name} is not used");
        let constrained = definition.as_object().is_some_and(|fields| !fields.is_empty());
        assert!(
            constrained && !definition.to_string().contains(":null"),
            "{name}: {definition}"
        );
    }
}

/// The chart and its tests cannot use the constant, so they repeat it.
#[test]
fn the_charts_socket_is_the_same_everywhere() {
    for file in [
        "k8s/chart/templates/_helpers.tpl",
        "k8s/tests/sidecar_traffic.py",
        "e2e/lib/cluster_load.py",
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let sockets = text
            .split(['"', '\'', '\n'])
            .map(str::trim)
            .filter(|word| word.ends_with("/snapshot.sock"));
        let sockets: Vec<&str> = sockets.filter(|word| word.starts_with("/run/ssa")).collect();
        assert_eq!(sockets, [ssa_snapshot::CHART_SOCKET], "{file}");
    }
}

/// The chart writes these fields always: its defaults are the types'.
#[test]
fn the_charts_defaults_are_those_of_the_types() {
    let text = fs::read_to_string(root().join("k8s/chart/values.yaml")).unwrap();
    let documents = ssa_input::yaml::read(&text).unwrap();
    let filter = filter();
    for (of_chart, pointer) in [
        ("inbound.hold.connections", "/$defs/Hold/properties/connections"),
        ("inbound.hold.ms", "/$defs/Hold/properties/ms"),
        ("outbound.hold.connections", "/$defs/Hold/properties/connections"),
        ("outbound.hold.ms", "/$defs/Hold/properties/ms"),
        ("outbound.pool", "/$defs/outbound/properties/pool"),
        ("inbound.noMatch", "/$defs/inbound/properties/no_match"),
        ("snapshot.refreshMs", "/$defs/Subscription/properties/refresh_ms"),
        ("snapshot.waitS", "/$defs/Subscription/properties/wait_s"),
    ] {
        let found = of_chart.split('.').try_fold(&documents[0], |node, key| node.get(key));
        let wanted = &filter.pointer(pointer).unwrap()["default"];
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        assert_eq!(found.and_then(|node| node.text()), Some(wanted.as_str()), "{of_chart}");
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap()
}

fn is_plugin(json: &str) -> bool {
    ssa_filter::config::Config::from_json(json.as_bytes()).is_ok()
}

fn is_snapshot(json: &str) -> bool {
    Snapshot::inbound(json.as_bytes()).is_ok() || Snapshot::outbound(json.as_bytes()).is_ok()
}

fn is_resolver(json: &str) -> bool {
    Config::from_json(json.as_bytes()).is_ok()
}

/// Returns whether a program takes a document.
type Is = fn(&str) -> bool;

/// Another value at a place.
type Change<'a> = (&'a str, Value);

#[test]
fn what_programs_read_validators_take() {
    let kinds: [(&str, Value, Is); 3] = [
        ("filter_config", filter(), is_plugin),
        ("filter_snapshot", snapshot(), is_snapshot),
        ("resolver_config", resolver(), is_resolver),
    ];
    for (corpus, schema, is) in kinds {
        let validator = validator(&schema);
        let mut taken = 0;
        for entry in fs::read_dir(root().join("fuzz/corpus").join(corpus)).unwrap() {
            let text = fs::read(entry.unwrap().path()).unwrap();
            let Ok(text) = String::from_utf8(text) else { continue };
            let Ok(value) = serde_json::from_str::<Value>(&text) else {
                continue;
            };
            if is(&text) {
                let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{text}: {errors:?}");
                taken += 1;
            }
        }
        assert!(taken > 1, "{corpus}: {taken}");
    }
}

#[test]
fn what_programs_refuse_for_its_shape_validators_refuse() {
    let service = json!({"name": "web", "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64"], "ports": [80]});
    let inbound = json!({"role": "inbound", "services": [service], "hold": {"ms": 5}, "no_match": "allow",
        "exempt": [{"sources": ["2001:db8::/32"], "ports": [80]}]});
    let subscribed =
        json!({"role": "outbound", "snapshot": {"cluster": "c", "wait_s": 5}, "source": "::1", "max_pow": 3});
    let whole = json!({"version": 1, "generation": "7", "off": false, "services": [{"name": "web", "rules": [],
        "ports": [80], "mode": "shadow", "policy": {"legacy": "deny"}, "secrets": {"k": {"secret": "0".repeat(32)}}}]});
    let shim = json!({"dns": {"timeout_ms": 500, "servers": ["192.0.2.53"]}, "front": {"listen": ["[::1]:53"], "max_pow": 3},
        "services": [{"name": "a", "allowed": ["2001:db8::/32"], "inbound": {"ports": [80], "policy": {"legacy": "deny"}}}]});
    let kinds: [(&Value, Value, Is, &[Change<'_>]); 4] = [
        (
            &inbound,
            filter(),
            is_plugin,
            &[
                ("/role", json!("both")),
                ("/hold/ms", json!(30_001)),
                ("/hold/ms", json!("5")),
                ("/no_match", json!("drop")),
                ("/colour", json!(1)),
                ("/services", json!([])),
                ("/services/0/ports/0", json!(0)),
                ("/services/0/ports", json!([])),
                ("/services/0/name", json!("a b")),
                ("/services/0/mode", json!("on")),
                ("/services/0/apl", json!(null)),
                ("/exempt/0/sources/0", json!("2001:db8::/129")),
                ("/exempt/0/sources", json!([])),
            ],
        ),
        (
            &subscribed,
            filter(),
            is_plugin,
            &[
                ("/snapshot/cluster", json!("")),
                ("/snapshot/path", json!("x")),
                ("/snapshot/wait_s", json!(301)),
                ("/snapshot/missing", json!("wait")),
                ("/source", json!("1.2.3.4")),
                ("/max_pow", json!(25)),
                ("/min_time_step_s", json!(0)),
                ("/pool", json!(4097)),
                ("/demote_cluster", json!("only inbound")),
            ],
        ),
        (
            &whole,
            snapshot(),
            is_snapshot,
            &[
                ("/version", json!(2)),
                ("/generation", json!("a b")),
                ("/off", json!(0)),
                ("/services/0/secrets/k", json!({})),
                ("/services/0/secrets/k", json!({"secret": "00", "client_key": "00"})),
                ("/services/0/policy/exempt", json!("deny")),
                ("/services/0/policy/legacy", json!("drop")),
                ("/services/0/addresses", json!(["::1"])),
            ],
        ),
        (
            &shim,
            resolver(),
            is_resolver,
            &[
                ("/dns/timeout_ms", json!(99)),
                ("/dns/servers", json!([])),
                ("/dns/ttl", json!(1)),
                ("/front/max_pow", json!(17)),
                ("/services/0/allowed", json!([])),
                ("/services/0/allowed/0", json!("2001:db8::/129")),
                ("/services/0/inbound/ports/0", json!(65_536)),
                ("/services/0/inbound/policy/exempt", json!("deny")),
                ("/services/0/inbound/mode", json!("on")),
                ("/services/0/name", json!("a b")),
                ("/sources", json!("yes")),
                ("/socket", json!({"mode": "888"})),
            ],
        ),
    ];
    for (good, schema, is, changes) in kinds {
        let validator = validator(&schema);
        assert!(is(&good.to_string()) && validator.is_valid(good), "{good}");
        for (pointer, value) in changes {
            let mut bad = good.clone();
            let (object, field) = pointer.rsplit_once('/').unwrap();
            match bad.pointer_mut(pointer) {
                Some(place) => *place = value.clone(),
                None => bad.pointer_mut(object).unwrap()[field] = value.clone(),
            }
            assert!(!is(&bad.to_string()), "a program takes {bad}");
            assert!(!validator.is_valid(&bad), "the schema allows {bad}");
        }
    }
}
