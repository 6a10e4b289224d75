use super::*;
use crate::config::{Config, RoleConfig};

const NOW: UnixTime = UnixTime(1_790_000_000);
const SOURCE: &str = "[2001:db8:77:1::7]:40000";

fn inbound(extra: &str) -> Inbound {
    let json = format!(
        r#"{{"role": "inbound", "demote_cluster": "slow",
            "exempt": [{{"sources": ["2001:db8:f::/48"], "ports": [80, 9]}}],
            "services": [{{"name": "web", "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120",
            "rules": ["v=ssa1; addr=hash(src/128):20 rand:44"], "ports": [80]{extra}}},
            {{"name": "later", "apl": "2:2001:db8:7::/64", "rules": ["v=ssa1; addr=rand:64; from=1800000000"],
            "ports": [81]}}]}}"#
    );
    match Config::from_json(json.as_bytes()).unwrap().role {
        RoleConfig::Inbound(inbound) => inbound,
        RoleConfig::Outbound(_) => panic!("inbound"),
    }
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text.as_bytes()).unwrap()
}

fn conforming() -> String {
    let inbound = inbound("");
    let rules = &inbound.services().services()[0].service.rules;
    let request = ssa_rules::Request::new(Source(endpoint(SOURCE).address));
    let address = rules.client_rule(NOW).unwrap().compose(&request, &mut || 7).unwrap();
    format!("[{address}]:80")
}

fn subject(source: &str, destination: &str) -> Subject {
    Subject {
        source: Some(endpoint(source)),
        destination: Some(endpoint(destination)),
        time: Some(NOW),
    }
}

fn decide(inbound: &Inbound, source: &str, destination: &str) -> (Option<usize>, &'static str, &'static str) {
    let decision = inbound.decide(&subject(source, destination), |_| ());
    (decision.service, decision.found.finding.name(), decision.outcome.name())
}

#[test]
fn defaults_table_holds() {
    let inbound = inbound("");
    let other = "[2001:db8:77:2::7]:40000";
    assert_eq!(
        decide(&inbound, SOURCE, &conforming()),
        (Some(0), "conforming", "allowed")
    );
    assert_eq!(decide(&inbound, other, &conforming()), (Some(0), "violation", "denied"));
    assert_eq!(
        decide(&inbound, SOURCE, "[2001:db8:6::1]:80"),
        (Some(0), "legacy", "demoted")
    );
    assert_eq!(
        decide(&inbound, SOURCE, "[2001:db8:9::1]:80"),
        (Some(0), "outside", "denied")
    );
    assert_eq!(
        decide(&inbound, SOURCE, "[2001:db8:5::1]:15006"),
        (Some(0), "other_port", "denied")
    );
    assert_eq!(
        decide(&inbound, SOURCE, "[2001:db8:7::1]:81"),
        (Some(1), "no_rule", "denied")
    );
    assert_eq!(
        decide(&inbound, SOURCE, "[2001:db8:9::1]:9"),
        (None, "no_match", "denied")
    );
    assert_eq!(decide(&inbound, SOURCE, "192.0.2.1:80"), (Some(0), "outside", "denied"));
}

#[test]
fn exempt_sources_reach_plain_addresses_only() {
    let inbound = inbound("");
    let probe = "[2001:db8:f::1]:40000";
    assert_eq!(
        decide(&inbound, probe, "[2001:db8:9::1]:80"),
        (Some(0), "exempt", "allowed")
    );
    assert_eq!(
        decide(&inbound, probe, "[2001:db8:9::1]:9"),
        (None, "exempt", "allowed")
    );
    assert_eq!(
        decide(&inbound, probe, "[2001:db8:9::1]:81"),
        (Some(1), "outside", "denied")
    );
    assert_eq!(decide(&inbound, probe, &conforming()), (Some(0), "violation", "denied"));
}

#[test]
fn shadow_judges_and_lets_pass() {
    let inbound = inbound(r#", "mode": "shadow""#);
    let other = "[2001:db8:77:2::7]:40000";
    assert_eq!(
        decide(&inbound, other, &conforming()),
        (Some(0), "violation", "shadow_denied")
    );
    assert_eq!(
        decide(&inbound, other, "[2001:db8:6::1]:80"),
        (Some(0), "legacy", "shadow_demoted")
    );
    assert_eq!(
        decide(&inbound, other, "[2001:db8:9::1]:80"),
        (Some(0), "outside", "shadow_denied")
    );
    assert_eq!(
        decide(&inbound, SOURCE, &conforming()),
        (Some(0), "conforming", "allowed")
    );
}

/// Services that share port 8080, each in a space of its own, with what stands in their objects besides.
fn sharing(services: &[&str]) -> Inbound {
    let service = |(number, more): (usize, &&str)| {
        format!(
            r#"{{"name": "s{number}", "apl": "2:2001:db8:{:x}::/64", "rules": ["v=ssa1; addr=hash(src/128):64"],
                "ports": [8080, {}]{more}}}"#,
            number + 0x10,
            9000 + number
        )
    };
    let services: Vec<String> = services.iter().enumerate().map(service).collect();
    let json = format!(
        r#"{{"role": "inbound", "exempt": [{{"sources": ["2001:db8:f::/48"]}}], "services": [{}]}}"#,
        services.join(",")
    );
    match Config::from_json(json.as_bytes()).unwrap().role {
        RoleConfig::Inbound(inbound) => inbound,
        RoleConfig::Outbound(_) => panic!("inbound"),
    }
}

/// Returns what decides on a connection, and the decisions of the other services.
fn all(inbound: &Inbound, source: &str, destination: &str) -> Vec<(Option<usize>, &'static str, &'static str)> {
    let mut others = Vec::new();
    let shown = |decision: &Decision| (decision.service, decision.found.finding.name(), decision.outcome.name());
    let first = inbound.decide(&subject(source, destination), |other| {
        others.push(shown(other));
    });
    others.insert(0, shown(&first));
    others
}

const ENFORCE: &str = "";
const SHADOW: &str = r#", "mode": "shadow""#;
const OFF: &str = r#", "mode": "off""#;
const DEMOTE: &str = r#", "policy": {"outside": "demote"}"#;
const LENIENT: &str = r#", "policy": {"outside": "allow"}"#;

#[test]
fn the_strictest_service_of_a_port_decides_on_a_plain_address_in_any_order() {
    let plain = "[2001:db8:9::1]:8080";
    let outcomes = [
        (ENFORCE, ("outside", "denied")),
        (DEMOTE, ("outside", "demoted")),
        (SHADOW, ("outside", "shadow_denied")),
        (
            r#", "mode": "shadow", "policy": {"outside": "demote"}"#,
            ("outside", "shadow_demoted"),
        ),
        (LENIENT, ("outside", "allowed")),
        (OFF, ("unverified", "allowed")),
    ];
    for (strict, expected) in outcomes.iter().enumerate() {
        for other in &outcomes[strict..] {
            for order in [[expected.0, other.0], [other.0, expected.0]] {
                let decisions = all(&sharing(&order), SOURCE, plain);
                assert_eq!(decisions.len(), 2, "each is counted once");
                assert_eq!(decisions[0].2, expected.1.1, "{order:?}");
                assert_ne!(decisions[0].0, decisions[1].0);
                let mut found: Vec<_> = decisions
                    .iter()
                    .map(|(_, finding, outcome)| (*finding, *outcome))
                    .collect();
                let mut wanted = vec![expected.1, other.1];
                found.sort_unstable();
                wanted.sort_unstable();
                assert_eq!(found, wanted, "{order:?}");
            }
        }
    }
}

#[test]
fn exempt_sources_are_exempt_for_every_service_of_the_port() {
    let decisions = all(
        &sharing(&[SHADOW, ENFORCE, OFF]),
        "[2001:db8:f::1]:5",
        "[2001:db8:9::1]:8080",
    );
    assert_eq!(decisions.len(), 3);
    assert!(
        decisions
            .iter()
            .all(|(_, finding, outcome)| (*finding, *outcome) == ("exempt", "allowed"))
    );
}

#[test]
fn an_address_of_a_service_opens_no_port_of_another() {
    // Services 0 and 1; port 9001 is the second's alone.
    let destination = "[2001:db8:10::1]:9001";
    for (first, expected) in [
        (
            OFF,
            [(Some(1), "outside", "denied"), (Some(0), "unverified", "allowed")],
        ),
        (
            SHADOW,
            [(Some(1), "outside", "denied"), (Some(0), "other_port", "shadow_denied")],
        ),
        (
            ENFORCE,
            [(Some(0), "other_port", "denied"), (Some(1), "outside", "denied")],
        ),
        (
            r#", "policy": {"other_port": "allow"}"#,
            [(Some(1), "outside", "denied"), (Some(0), "other_port", "allowed")],
        ),
    ] {
        assert_eq!(
            all(&sharing(&[first, ENFORCE]), SOURCE, destination),
            expected,
            "{first}"
        );
    }
    let lenient = all(&sharing(&[OFF, SHADOW]), SOURCE, destination);
    assert_eq!(lenient[0], (Some(1), "outside", "shadow_denied"));
    let of_nobody = all(&sharing(&[OFF, ENFORCE]), SOURCE, "[2001:db8:10::1]:1");
    assert_eq!(of_nobody, [(Some(0), "unverified", "allowed")]);
}

#[test]
fn an_address_of_a_service_is_judged_by_that_service_alone_on_its_ports() {
    let decisions = all(&sharing(&[SHADOW, ENFORCE]), SOURCE, "[2001:db8:10::1]:8080");
    assert_eq!(decisions, [(Some(0), "violation", "shadow_denied")]);
}

#[test]
fn what_depends_on_objects_is_found_unchecked_with_its_parts() {
    let of = |rule: &str, more: &str| {
        let json = format!(
            r#"{{"role": "inbound", "services": [{{"name": "store", "apl": "2:2001:db8:5::/64", "rules": [{rule}],
                "ports": [80]{more}}}]}}"#
        );
        let RoleConfig::Inbound(inbound) = Config::from_json(json.as_bytes()).unwrap().role else {
            panic!("inbound")
        };
        let decision = inbound.decide(&subject(SOURCE, "[2001:db8:5::]:80"), |_| ());
        let found = decision.found;
        (
            found.finding.name(),
            found.unchecked.to_string(),
            decision.outcome.name(),
        )
    };
    let object = r#""v=ssa1; addr=hash(obj):20 const(0):44""#;
    let unchecked = |parts: &str, outcome| ("unchecked", parts.to_owned(), outcome);
    assert_eq!(of(object, ""), unchecked("field_0", "allowed"));
    for (rule, parts) in [
        (
            r#""v=ssa1; addr=hash(obj,chunk):20 hash(src/64,obj):44""#,
            "field_0, field_1",
        ),
        (r#""v=ssa1; addr=hash(chunk):20 rand:44""#, "field_0"),
        (r#""v=ssa1; addr=obj[80:128] rand:16""#, "field_0"),
        (r#""v=ssa1; addr=rand:64; item=hash(obj)""#, "item"),
    ] {
        assert_eq!(of(rule, ""), unchecked(parts, "allowed"), "{rule}");
    }
    assert_eq!(of(object, r#", "policy": {"unchecked": "demote"}"#).2, "demoted");
    assert_eq!(of(object, r#", "policy": {"unchecked": "deny"}"#).2, "denied");
    assert_eq!(
        of(object, r#", "mode": "shadow", "policy": {"unchecked": "deny"}"#).2,
        "shadow_denied"
    );
    // What is checked and fails is a violation, whatever else is not checked.
    assert_eq!(of(r#""v=ssa1; addr=hash(obj):20 const(1):44""#, "").0, "violation");
    // A rule that is checked whole comes before one that is not.
    let both = format!(r#"{object}, "v=ssa1; addr=rand:64; from=1""#);
    assert_eq!(of(&both, "").0, "conforming");
}

#[test]
fn off_verifies_nothing() {
    let inbound = inbound(r#", "mode": "off""#);
    for destination in [
        "[2001:db8:5::1]:80",
        "[2001:db8:6::1]:80",
        "[2001:db8:9::1]:80",
        "[2001:db8:5::1]:1",
    ] {
        assert_eq!(
            decide(&inbound, SOURCE, destination),
            (Some(0), "unverified", "allowed"),
            "{destination}"
        );
    }
}

#[test]
fn policies_are_carried_out() {
    let inbound = inbound(r#", "policy": {"violation": "demote", "legacy": "deny", "outside": "allow"}"#);
    let other = "[2001:db8:77:2::7]:40000";
    assert_eq!(
        decide(&inbound, other, &conforming()),
        (Some(0), "violation", "demoted")
    );
    assert_eq!(
        decide(&inbound, other, "[2001:db8:6::1]:80"),
        (Some(0), "legacy", "denied")
    );
    assert_eq!(
        decide(&inbound, other, "[2001:db8:9::1]:80"),
        (Some(0), "outside", "allowed")
    );
}

#[test]
fn connections_have_the_class_that_their_action_assigns_where_it_is_enforced() {
    for (mode, action, class) in [
        ("enforce", "allow", Some(TrafficClass::Assumed)),
        ("enforce", "demote", Some(TrafficClass::Bad)),
        ("enforce", "deny", None),
        ("shadow", "demote", Some(TrafficClass::Assumed)),
        ("shadow", "deny", Some(TrafficClass::Assumed)),
    ] {
        let inbound = inbound(&format!(r#", "mode": "{mode}", "policy": {{"legacy": "{action}"}}"#));
        let decision = inbound.decide(&subject(SOURCE, "[2001:db8:6::1]:80"), |_| ());
        assert_eq!(decision.outcome.class(), class, "{mode} {action}");
    }
}

#[test]
fn unreadable_connections_close_where_anything_is_enforced() {
    let destination = "[2001:db8:5::1]:80";
    for unreadable in [
        Subject::default(),
        Subject {
            source: None,
            ..subject(SOURCE, destination)
        },
        Subject {
            destination: None,
            ..subject(SOURCE, destination)
        },
        Subject {
            time: None,
            ..subject(SOURCE, destination)
        },
    ] {
        for (inbound, outcome) in [(inbound(""), Outcome::Denied), (killed(), Outcome::Allowed)] {
            let decision = inbound.decide(&unreadable, |_| ());
            assert_eq!(decision.found, Finding::Unreadable.into());
            assert_eq!(decision.outcome, outcome, "{unreadable:?}");
        }
    }
}

fn killed() -> Inbound {
    let mut off = inbound("");
    off.install(off.services().clone(), true);
    off
}

#[test]
fn kill_switch_lets_everything_pass() {
    let off = killed();
    for (destination, service) in [
        ("[2001:db8:5::1]:80", Some(0)),
        ("[2001:db8:9::1]:80", None),
        ("[2001:db8:9::1]:9", None),
    ] {
        assert_eq!(decide(&off, SOURCE, destination), (service, "unverified", "allowed"));
    }
}
