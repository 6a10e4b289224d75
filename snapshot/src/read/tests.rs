//! Documents with one fault and with many.

use alloc::{format, string::ToString, vec};

use super::*;
use crate::{InboundService, InboundSnapshot, OutboundService, OutboundSnapshot, plugin};

fn told(json: &str) -> Vec<String> {
    let mut document = Document::new(json.as_bytes()).unwrap();
    let _: InboundService = document.read();
    document.take_faults().iter().map(ToString::to_string).collect()
}

#[test]
fn all_faults_are_told_at_once_and_what_is_left_is_read() {
    let json = br#"{"name": "a b", "ports": [0, 80, 70000, "x", 80.0], "mode": "on", "policy": {"violation": "drop",
        "weather": "deny", "legacy": "allow", "outside": 1}, "rules": "r", "colour": 1, "apl": "", "apl": "",
        "secrets": {"k1": {"secret": 7}, "k2": {"client_key": "x", "secret": "y"}, "k3": {"secret": "z"}}}"#;
    let mut document = Document::new(json).unwrap();
    let service: InboundService = document.read();
    let told: Vec<String> = document.take_faults().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "colour: unknown field",
            "apl: duplicate field",
            r#"name: must be 1 to 253 of a-z A-Z 0-9 - _ ., not "a b""#,
            "rules: must be a list",
            "ports[0]: must be an integer from 1 to 65535, not 0",
            "ports[2]: must be an integer from 1 to 65535, not 70000",
            "ports[3]: must be an integer",
            "mode: must be one of enforce, shadow, off",
            "policy.weather: unknown field",
            "policy.violation: must be one of allow, demote, deny",
            "policy.outside: must be one of allow, demote, deny",
            "secrets.k1.secret: must be a string",
            "secrets.k2: exactly one of secret and client_key is required",
        ]
    );
    let ports: Vec<u16> = service.ports.iter().map(|port| port.get()).collect();
    assert_eq!(ports, [1, 80, 1, 1, 80]);
    let keys: Vec<&str> = service.secrets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(keys, ["k1", "k3"]);
}

#[test]
fn what_is_missing_is_told_once_and_the_rest_read_all_the_same() {
    assert_eq!(
        told(r#"{"ports": []}"#),
        ["name: missing", "rules: missing", "ports: must not be empty"]
    );
    assert_eq!(told("[]"), ["must be an object"]);
    assert_eq!(told("7"), ["must be an object"]);
    let mut document = Document::new(br#"{"sources": [{"item": "::/0"}, {}], "apl": null}"#).unwrap();
    let _: OutboundService = document.read();
    let told: Vec<String> = document.take_faults().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "name: missing",
            "apl: must be a string",
            "rules: missing",
            "addresses: missing",
            "sources[0].source: missing",
            "sources[1].item: missing",
            "sources[1].source: missing",
        ]
    );
}

#[test]
fn fields_stand_once_in_maps_too() {
    let json = br#"{"name": "web", "rules": [], "ports": [80],
        "secrets": {"a": {"secret": "1"}, "b": {"secret": "2"}, "a": {"secret": "3"}}}"#;
    let mut document = Document::new(json).unwrap();
    let _: InboundService = document.read();
    assert_eq!(document.take_faults()[0].to_string(), "secrets.a: duplicate field");
    assert!(document.has_fault("secrets.a") && !document.has_fault("secrets.b"));
}

#[test]
fn secrets_are_refused_where_everybody_reads_and_not_repeated() {
    let json = br#"{"name": "web", "rules": [], "ports": [80], "secrets": {"k1": "00112233445566778899aabbccddeeff"},
        "Client_Key": "00112233445566778899aabbccddeeff"}"#;
    let mut document = Document::new(json).unwrap().without_secrets();
    let service: InboundService = document.read();
    assert!(service.secrets.is_empty());
    let told: Vec<String> = document.take_faults().iter().map(ToString::to_string).collect();
    let wanted = "secrets do not belong here: Envoy shows the configuration in its config_dump";
    assert_eq!(told, [format!("secrets: {wanted}"), format!("Client_Key: {wanted}")]);
}

#[test]
fn faults_are_bounded() {
    let names: Vec<String> = (0..200).map(|number| format!(r#""x{number}": 1"#)).collect();
    let json = format!("{{{}}}", names.join(","));
    let mut document = Document::new(json.as_bytes()).unwrap();
    let _: InboundService = document.read();
    assert_eq!(document.take_faults().len(), MAX_FAULTS);
    assert!(document.is_full());
}

#[test]
fn what_a_fault_repeats_is_short() {
    let long = "x".repeat(1000);
    let faults = told(&format!(
        r#"{{"name": "{long}", "{long}": 1, "rules": [], "ports": [80]}}"#
    ));
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.len() < 150), "{faults:?}");
}

#[test]
fn lists_are_bounded() {
    let ports = vec!["80"; 65_536].join(",");
    let faults = told(&format!(r#"{{"name": "web", "rules": [], "ports": [{ports}]}}"#));
    assert_eq!(faults, ["ports: must have 1 to 65535 members, not 65536"]);
}

#[test]
fn another_version_is_refused() {
    let mut document = Document::new(br#"{"version": 2, "generation": "7", "services": []}"#).unwrap();
    let _: InboundSnapshot = document.read();
    assert_eq!(document.take_faults()[0].to_string(), "version: must be 1, not 2");
}

#[test]
fn a_configuration_is_whole_with_its_defaults() {
    let mut document = Document::new(br#"{"role": "outbound", "snapshot": {"cluster": "shim"}}"#).unwrap();
    let config: plugin::Outbound = document.read();
    assert!(document.take_faults().is_empty());
    assert_eq!((config.hold.connections.get(), config.hold.ms.get()), (1024, 3000));
    assert_eq!(
        (config.pool.get(), config.max_pow.get(), config.min_time_step_s.get()),
        (256, 20, 1)
    );
    let snapshot = config.snapshot.unwrap();
    assert_eq!(
        (
            snapshot.refresh_ms.get(),
            snapshot.wait_s.get(),
            snapshot.failure_mode_allow
        ),
        (1000, 30, None)
    );
}

#[test]
fn documents_and_what_is_read_of_them_print_no_secrets() {
    let json = br#"{"name": "web", "rules": [], "ports": [80], "secrets": {
        "k1": {"secret": "00112233445566778899aabbccddeeff"}, "k2": {"client_key": "00112233445566778899aabbccddeef"}}}"#;
    let mut document = Document::new(json).unwrap();
    let before = format!("{document:?}");
    let service: InboundService = document.read();
    for text in [before, format!("{document:?}"), format!("{service:?}")] {
        assert!(!text.contains("0011"), "{text}");
    }
    assert_eq!(service.secrets.len(), 2);
}

/// What one program writes, the other reads as the same.
#[test]
fn what_is_written_is_read_as_the_same() {
    fn again<T: Value + serde::Serialize + PartialEq + core::fmt::Debug>(json: &str) {
        let read = |json: &str| -> T {
            let mut document = Document::new(json.as_bytes()).unwrap();
            let read = document.read();
            assert_eq!(document.take_faults(), [], "{json}");
            read
        };
        let first = read(json);
        let written = serde_json::to_string(&first).unwrap();
        assert_eq!(read(&written), first, "{written}");
    }
    let inbound = r#"{"version": 1, "generation": "g", "seed": "s", "off": true, "services": [
        {"name": "web", "rules": [], "ports": [80]},
        {"name": "api", "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64"], "ports": [1, 65535], "mode": "off",
         "policy": {"legacy": "deny", "no_rule": "allow"}, "secrets": {"k1": {"secret": "00"}, "k2": {"client_key": "11"}}}]}"#;
    let outbound = r#"{"version": 1, "generation": "g", "services": [
        {"name": "web", "rules": ["v=ssa1; addr=rand:64"], "addresses": ["2001:db8::1", "::ffff:192.0.2.1"], "ports": [80],
         "port": 8080, "secrets": {"k1": {"client_key": "00"}}, "sources": [{"item": "2001:db8:5::/64", "source": "::1"}]}]}"#;
    again::<InboundSnapshot>(inbound);
    again::<OutboundSnapshot>(outbound);
    again::<plugin::Inbound>(
        r#"{"role": "inbound", "snapshot": {"cluster": "c", "path": "/x", "refresh_ms": 100, "wait_s": 0, "failure_mode_allow": false},
        "hold": {"connections": 0, "ms": 30000}, "demote_cluster": "d", "no_match": "allow",
        "exempt": [{"sources": ["::/0"]}, {"sources": ["2001:db8::/32"], "ports": [80]}]}"#,
    );
    again::<plugin::Outbound>(
        r#"{"role": "outbound", "services": [{"name": "web", "rules": ["v=ssa1; addr=rand:64"], "addresses": ["::1"]}],
        "filter": "both", "requests": {"order": "fixed", "miss": [404, 410], "no_object": "deny", "replica_header": true},
        "source": "::1", "seed": "s", "pool": 4096, "max_pow": 24, "min_time_step_s": 86400}"#,
    );
}
