//! Configurations, whole and at fault.

use ssa_snapshot::{
    TrafficClass,
    plugin::{FilterType, Hold},
};

use super::*;

const GOOD: &str = r#"{
    "role": "inbound", "no_match": "allow", "demote_cluster": "slow",
    "exempt": [{"sources": ["2001:db8:f::/48"], "ports": [80]}],
    "services": [{
        "name": "web", "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=rand:64"],
        "ports": [80, 443], "mode": "shadow", "policy": {"legacy": "demote"}
    }]
}"#;

fn faults(json: &str) -> Vec<String> {
    Config::from_json(json.as_bytes())
        .unwrap_err()
        .faults
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn valid_configurations_are_read() {
    let config = Config::from_json(GOOD.as_bytes()).unwrap();
    assert_eq!((config.hold, config.subscription), (Hold::default(), None));
    let RoleConfig::Inbound(inbound) = config.role else {
        panic!("inbound")
    };
    assert_eq!(inbound.services().names(), ["web"]);
    assert_eq!(config.filter, FilterType::Network);
    assert_eq!(inbound.cluster(TrafficClass::Assumed), None);
    assert_eq!(inbound.cluster(TrafficClass::Bad), Some("slow"));
    let outbound = r#"{"role": "outbound", "source": "2001:db8::1", "pool": 16.0, "services": [
        {"name": "web", "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64"],
         "addresses": ["2001:db8:6::1"], "port": 8080}]}"#;
    let RoleConfig::Outbound(outbound) = Config::from_json(outbound.as_bytes()).unwrap().role else {
        panic!("outbound")
    };
    assert_eq!(outbound.pool(), 16);
}

#[test]
fn filter_types_are_those_that_the_module_runs_as() {
    let named = GOOD.replace(r#""no_match""#, r#""filter": "network", "no_match""#);
    assert_eq!(Config::from_json(named.as_bytes()).unwrap().filter, FilterType::Network);
    let unknown = named.replace("network", "udp");
    assert_eq!(faults(&unknown), ["filter: must be one of network, http, both"]);
}

#[test]
fn snapshots_are_subscribed_to() {
    let json = r#"{"role": "inbound", "snapshot": {"cluster": "shim"}, "hold": {"connections": 4096, "ms": 0}}"#;
    let config = Config::from_json(json.as_bytes()).unwrap();
    assert_eq!((config.hold.connections.get(), config.hold.ms.get()), (4096, 0));
    let subscription = config.subscription.unwrap();
    assert_eq!(&*subscription.cluster, "shim");
    assert_eq!((subscription.refresh_ms.get(), subscription.wait_s.get()), (1000, 30));
    for (role, path, allow) in [
        (Role::Inbound, "/v1/inbound", false),
        (Role::Outbound, "/v1/outbound", true),
    ] {
        assert_eq!(
            (subscription.path(role), subscription.failure_mode_allow(role)),
            (path, allow)
        );
    }
    let json = r#"{"role": "outbound", "snapshot": {"cluster": "", "path": "v1", "refresh_ms": 99, "wait_s": 301,
        "failure_mode_allow": "wait", "colour": 1}, "hold": {"connections": 4097, "ms": 30001, "x": 0}}"#;
    assert_eq!(
        faults(json),
        [
            "snapshot.colour: unknown field",
            r#"snapshot.cluster: must be the name of a cluster, of 1 to 255 bytes, not """#,
            r#"snapshot.path: must be a path of at most 8192 printable ASCII characters, the first of which is /, not "v1""#,
            "snapshot.refresh_ms: must be an integer from 100 to 60000, not 99",
            "snapshot.wait_s: must be an integer from 0 to 300, not 301",
            "snapshot.failure_mode_allow: must be true or false",
            "hold.x: unknown field",
            "hold.connections: must be an integer from 0 to 4096, not 4097",
            "hold.ms: must be an integer from 0 to 30000, not 30001",
        ]
    );
    let both = GOOD.replace(r#""no_match""#, r#""snapshot": {"cluster": "shim"}, "no_match""#);
    assert_eq!(faults(&both), ["exactly one of services and snapshot is required"]);
}

#[test]
fn fields_stand_once() {
    let twice = GOOD.replace(r#""no_match""#, r#""role": "outbound", "no_match""#);
    assert_eq!(faults(&twice), ["role: duplicate field"]);
}

#[test]
fn services_are_at_most_1024() {
    let service = |number: usize| {
        format!(
            r#"{{"name": "s{number}", "apl": "2:2001:db8:{number:x}::/64", "rules": ["v=ssa1; addr=rand:64"],
                "ports": [80]}}"#
        )
    };
    let json = |count| {
        let services: Vec<String> = (0..count).map(service).collect();
        format!(r#"{{"role": "inbound", "services": [{}]}}"#, services.join(","))
    };
    assert!(Config::from_json(json(MAX_SERVICES).as_bytes()).is_ok());
    assert_eq!(
        faults(&json(MAX_SERVICES + 1)),
        ["services: must have 1 to 1024 members, not 1025"]
    );
}

#[test]
fn all_faults_are_reported_at_once() {
    let json = r#"{"role": "inbound", "colour": 1, "exempt": [{"sources": ["2001:db8::1/32", 5]}], "services": [
        {"name": "a b", "apl": "2:2001:db8:5::/65", "rules": ["v=ssa1; addr=rand:64"], "ports": [0, 70000, "x"],
         "mode": "on", "policy": {"violation": "drop", "weather": "deny"}},
        {"apl": "", "rules": [], "ports": []}]}"#;
    assert_eq!(
        faults(json),
        [
            "colour: unknown field",
            r#"services[0].name: must be 1 to 253 of a-z A-Z 0-9 - _ ., not "a b""#,
            "services[0].ports[0]: must be an integer from 1 to 65535, not 0",
            "services[0].ports[1]: must be an integer from 1 to 65535, not 70000",
            "services[0].ports[2]: must be an integer",
            "services[0].mode: must be one of enforce, shadow, off",
            "services[0].policy.weather: unknown field",
            "services[0].policy.violation: must be one of allow, demote, deny",
            "services[1].name: missing",
            "services[1].ports: must not be empty",
            r#"exempt[0].sources[0]: must be an IPv6 prefix without bits set past its length, not "2001:db8::1/32""#,
            "exempt[0].sources[1]: must be a string",
            "services[0].rules[0]: apl 2:2001:db8:5::/65: the template of 64 bits needs positive items of exactly 64 bits",
            "services[1].rules: must not be empty",
        ]
    );
}

#[test]
fn secrets_are_refused_and_not_repeated() {
    let json = GOOD.replace(
        r#""mode""#,
        r#""secrets": {"k1": "00112233445566778899aabbccddeeff"}, "mode""#,
    );
    let text = faults(&json).join("\n");
    assert_eq!(
        text,
        "services[0].secrets: secrets do not belong here: Envoy shows the configuration in its config_dump"
    );
    let json = GOOD.replace("addr=rand:64", "addr=mac(src/64):64; key=k1");
    assert!(
        faults(&json)
            .join("\n")
            .contains("services[0].rules[0]: the secret k1 is not available")
    );
}

#[test]
fn inline_rules_that_lack_their_secret_are_refused_for_clients_too() {
    let json = r#"{"role": "outbound", "source": "2001:db8::1", "services": [{"name": "web",
        "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=mac(src/64):64; key=k1"],
        "addresses": ["2001:db8:6::1"]}]}"#;
    assert_eq!(faults(json), ["services[0].rules[0]: the secret k1 is not available"]);
}

#[test]
fn services_that_overlap_are_refused() {
    for (apl, at_fault) in [
        ("2:2001:db8:5::/64", true),
        ("2:2001:db8:5:0:8000::/65", true),
        ("2:2001:db8:7::/64 !2:2001:db8:5::/80", true),
        ("2:2001:db8:7::/64 !2:2001:db8:6::1/128", true),
        ("2:2001:db8:7::/64 !2:2001:db8:6::/121", true),
        ("2:2001:db8:7::/64", false),
    ] {
        let width = if apl.starts_with("2:2001:db8:5:0:8000::/65") {
            63
        } else {
            64
        };
        let other = format!(
            r#"}}, {{"name": "other", "apl": "{apl}", "rules": ["v=ssa1; addr=rand:{width}"], "ports": [80]}}]}}"#
        );
        let json = GOOD
            .trim_end()
            .strip_suffix('}')
            .unwrap()
            .trim_end()
            .strip_suffix(']')
            .unwrap()
            .trim_end();
        let json = format!("{}{other}", json.strip_suffix('}').unwrap());
        let result = Config::from_json(json.as_bytes());
        assert_eq!(result.is_err(), at_fault, "{apl}: {result:?}");
        if let Err(error) = result {
            assert_eq!(error.to_string(), "services: web and other share addresses");
        }
    }
}

#[test]
fn names_are_unique_and_addresses_belong_to_one_service() {
    let service = |name: &str, apl: &str| {
        format!(
            r#"{{"name": "{name}", "apl": "{apl}", "rules": ["v=ssa1; addr=rand:64"],
                "addresses": ["2001:db8:6::1"]}}"#
        )
    };
    let json = format!(
        r#"{{"role": "outbound", "source": "2001:db8::1", "services": [{}, {}]}}"#,
        service("a", "2:2001:db8:5::/64"),
        service("a", "2:2001:db8:7::/64")
    );
    assert_eq!(
        faults(&json),
        [
            "services[1].name: duplicate of services[0]",
            "services[1].addresses[0]: duplicate of services[0]",
        ]
    );
}

#[test]
fn what_is_no_json_names_its_place() {
    assert_eq!(faults("{\n \"role\": }"), ["not JSON at line 2, column 10"]);
    assert_eq!(faults(""), ["not JSON at line 1, column 0"]);
    assert_eq!(faults("[]"), ["must be an object"]);
    assert_eq!(faults("{}"), ["role: missing"]);
}
