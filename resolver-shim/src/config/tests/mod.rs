//! Configurations, and what is wrong with them.

mod fields;

use std::{net::SocketAddr, time::Duration};

use ssa_snapshot::Action;

use super::*;

const GOOD: &str = r#"{
    "socket": {"path": "/run/x.sock", "mode": "660", "group": 7, "peers": [{"uid": 1337, "roles": ["outbound"]}]},
    "admin": "[::1]:9467", "state": "/var/lib/x.json", "off": false,
    "dns": {"servers": ["192.0.2.53", "[2001:db8::53]:5353"], "timeout_ms": 500},
    "services": [
        {"name": "web.demo.test", "allowed": ["2001:db8:5::/48"],
         "inbound": {"ports": [80], "mode": "shadow", "policy": {"legacy": "deny", "unchecked": "demote"}, "secrets": "/etc/k"},
         "outbound": {"ports": [80], "port": 8080, "client_keys": "/etc/c"}},
        {"name": "fixed", "allowed": ["2001:db8:6::/48"], "outbound": {},
         "static": {"apl": "2:2001:db8:6::/64", "rules": ["v=ssa1; addr=rand:64"], "addresses": ["2001:db8:6::1"]}}
    ],
    "front": {"listen": ["[2001:db8:0:1::53]:53"], "clients": ["2001:db8:0:1::/64", "192.0.2.0/24"], "keyed": true,
              "transfers": true}
}"#;

#[test]
fn whole_configurations_are_read() {
    let config = Config::from_json(GOOD.as_bytes()).unwrap();
    assert_eq!(config.services.len(), 2);
    assert_eq!(config.socket.mode, 0o660);
    assert_eq!(config.dns.timeout, Duration::from_millis(500));
    assert_eq!(
        config.services[0].origin,
        Origin::Dns(ssa_dns::name("web.demo.test").unwrap())
    );
    assert_eq!(
        config.services[0].inbound.as_ref().unwrap().policy,
        Policy {
            unchecked: Action::Demote,
            legacy: Action::Deny,
            ..Policy::default()
        }
    );
    assert!(matches!(config.services[1].origin, Origin::Fixed(_)));
    let front = config.front.unwrap();
    assert_eq!((front.listen.len(), front.clients.len()), (1, 2));
    assert!(front.keyed && front.transfers);
}

#[test]
fn servers_by_tls_have_names_and_the_front_asks_others() {
    let json = |front: &str| {
        format!(
            r#"{{"dns": {{"servers": ["192.0.2.53#dns.example.net"], "tls": {{"ca": "/ca"}}, "dnssec": "validate",
                        "trust_anchors": "/keys"}}{front}}}"#
        )
    };
    let dns = Config::from_json(json("").as_bytes()).unwrap().dns;
    assert!(dns.has_tls());
    let server = &dns.servers.unwrap()[0];
    assert_eq!(server.address, "192.0.2.53:853".parse().unwrap());
    assert_eq!(server.tls.as_deref(), Some("dns.example.net"));
    assert_eq!((dns.dnssec, dns.ca), (Dnssec::Validate, Some("/ca".into())));
    let front = json(r#", "front": {"listen": ["[::1]:53"]}"#);
    let error = Config::from_json(front.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "front.servers: missing");
    let front = json(r#", "front": {"listen": ["[::1]:53"], "servers": ["192.0.2.1"]}"#);
    assert!(Config::from_json(front.as_bytes()).is_ok());
}

#[test]
fn link_local_addresses_have_their_interface_behind_them() {
    let json = |zone: &str| {
        format!(
            r#"{{"admin": "[fe80::1%{zone}]:9467", "dns": {{"servers": ["fe80::53%{zone}", "[fe80::53%{zone}]:53#a.example"]}},
                "front": {{"listen": ["[fe80::1%{zone}]:53"], "servers": ["fe80::53%{zone}"]}}}}"#
        )
    };
    let scope = |address: SocketAddr| match address {
        SocketAddr::V6(address) => address.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let config = Config::from_json(json("7").as_bytes()).unwrap();
    let front = config.front.unwrap();
    let mut found = vec![config.admin.unwrap(), front.listen[0], front.servers.unwrap()[0]];
    found.extend(config.dns.servers.unwrap().iter().map(|server| server.address));
    assert!(found.iter().all(|address| scope(*address) == 7), "{found:?}");
    let error = Config::from_json(json("nosuch0").as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error
            .matches("must be an address with an interface of this host after %")
            .count(),
        5,
        "{error}"
    );
}

#[test]
fn an_empty_configuration_is_whole() {
    let config = Config::from_json(b"{}").unwrap();
    assert!(config.services.is_empty());
    assert_eq!(config.socket.mode, 0o600);
    assert_eq!(config.socket.peers, None);
}

#[test]
fn unknown_fields_are_refused_wherever_they_stand() {
    for json in [
        r#"{"servises": []}"#,
        r#"{"socket": {"pat": ""}}"#,
        r#"{"dns": {"ttl": 1}}"#,
        r#"{"services": [{"name": "a", "allowed": [], "secret": "x"}]}"#,
        r#"{"services": [{"name": "a", "allowed": [], "inbound": {"ports": [1], "key": 1}}]}"#,
        r#"{"services": [{"name": "a", "allowed": [], "inbound": {"ports": [1], "policy": {"exempt": "deny"}}}]}"#,
    ] {
        let error = Config::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains("unknown field") || error.contains("must be one of"),
            "{error}"
        );
    }
}

#[test]
fn faults_are_told_at_once() {
    let json = r#"{
        "socket": {"path": "x.sock", "mode": "888", "peers": [{"roles": []}]}, "admin": "localhost:1", "state": "s",
        "dns": {"servers": ["a.example", "::1#"], "timeout_ms": 1, "min_refresh_s": 0, "tls": {"ca": "x"},
                "trust_anchors": "/x"},
        "services": [
            {"name": "a b", "allowed": ["2001:db8::1/64", "::/0"], "inbound": {"ports": [0], "secrets": "k"}},
            {"name": "c", "domain": "c.", "static": {"apl": "2:x/64", "rules": []}, "allowed": [],
             "outbound": {"secrets": "/a", "client_keys": "/b"}},
            {"name": "c", "allowed": ["2001:db8::/32"]}
        ],
        "front": {"listen": ["[::]:53", "[::1]:53"], "clients": ["all"], "servers": ["::1"],
                  "max_pow": 17, "min_time_step_s": 0}}"#;
    let error = Config::from_json(json.as_bytes()).unwrap_err();
    let told: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
    let expected = [
        "socket.path: must be an absolute path",
        "socket.mode: must be octal permissions up to 666, not \"888\"",
        "socket.peers[0].uid: missing",
        "socket.peers[0].roles: must not be empty",
        "admin: must be ADDRESS:PORT, not \"localhost:1\"",
        "state: must be an absolute path",
        "dns.servers[0]: must be ADDRESS, ADDRESS:PORT, ADDRESS#NAME or ADDRESS:PORT#NAME, not \"a.example\"",
        "dns.servers[1]: must be ADDRESS, ADDRESS:PORT, ADDRESS#NAME or ADDRESS:PORT#NAME, not \"::1#\"",
        "dns.tls.ca: must be an absolute path",
        "dns.trust_anchors: requires dns.dnssec",
        "dns.min_refresh_s: must be an integer from 1 to 3600, not 0",
        "dns.timeout_ms: must be an integer from 100 to 30000, not 1",
        "services[0].name: must be 1 to 253 of a-z A-Z 0-9 - _ ., not \"a b\"",
        "services[0].allowed[0]: must be an IPv6 prefix without bits past its length, not \"2001:db8::1/64\"",
        "services[0].allowed[1]: ::/0 is shorter than /16",
        "services[0].inbound.secrets: must be an absolute path",
        "services[0].inbound.ports[0]: must be an integer from 1 to 65535, not 0",
        "services[1]: exactly one of static and domain is required",
        "services[1].allowed: must not be empty",
        "services[1].outbound: exactly one of secrets and client_keys is required",
        "services[2].name: is a duplicate of [1]",
        "services[2].inbound: missing",
        "front.listen[0]: must be ADDRESS:PORT of a single address, not \"[::]:53\"",
        "front.clients[0]: must be a prefix without bits past its length, not \"all\"",
        "front.max_pow: must be an integer from 0 to 16, not 17",
        "front.min_time_step_s: must be an integer from 1 to 86400, not 0",
        "front.listen: [::1]:53 is the front itself",
    ];
    for expected in expected {
        assert!(
            told.iter().any(|told| without_position(told) == expected),
            "{expected} in {told:#?}"
        );
    }
}

#[test]
fn addresses_are_of_one_host_and_stand_once() {
    let json = r#"{"admin": "[fe80::1]:9467", "dns": {"servers": ["fe80::1", "ff02::fb", "192.0.2.1:0", "::", "192.0.2.1",
            "192.0.2.1:53", "::ffff:192.0.2.1", "192.0.2.1#a", "255.255.255.255"]},
        "front": {"listen": ["[fe80::1]:53", "[ff02::fb]:53", "[::1]:0", "[::1]:54", "127.0.0.1:54", "[::ffff:127.0.0.1]:54"],
                  "servers": ["0.0.0.0", "192.0.2.1", "192.0.2.1"]}}"#;
    let error = Config::from_json(json.as_bytes()).unwrap_err();
    let told: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
    let zoneless = |text: &str| {
        format!("`{text}` is a link-local address without an interface: write ADDRESS%INTERFACE, such as fe80::53%eth0")
    };
    let expected = [
        format!("admin: {}", zoneless("[fe80::1]:9467")),
        format!("dns.servers[0]: {}", zoneless("fe80::1")),
        "dns.servers[1]: `ff02::fb` is a multicast address, not that of a single host".into(),
        "dns.servers[2]: `192.0.2.1:0` is missing a port: 0 is not one".into(),
        "dns.servers[3]: `::` is the unspecified address, not that of a server".into(),
        "dns.servers[5]: is a duplicate of [4]".into(),
        "dns.servers[6]: is a duplicate of [4]".into(),
        "dns.servers[8]: `255.255.255.255` is the broadcast address, not that of a single host".into(),
        format!("front.listen[0]: {}", zoneless("[fe80::1]:53")),
        "front.listen[1]: `[ff02::fb]:53` is a multicast address, not that of a single host".into(),
        "front.listen[2]: `[::1]:0` is missing a port: 0 is not one".into(),
        "front.listen[5]: is a duplicate of [4]".into(),
        "front.servers[0]: `0.0.0.0` is the unspecified address, not that of a server".into(),
        "front.servers[2]: is a duplicate of [1]".into(),
    ];
    assert_eq!(told, expected);
}

#[test]
fn sizes_are_bounded() {
    assert!(Config::from_json(&vec![b' '; MAX_BYTES + 1]).is_err());
    let service = |number: usize| format!(r#"{{"name": "s{number}", "allowed": ["2001:db8::/32"], "outbound": {{}}}}"#);
    let services = |count: usize| {
        let all: Vec<String> = (0..count).map(service).collect();
        Config::from_json(format!(r#"{{"services": [{}]}}"#, all.join(",")).as_bytes())
    };
    assert!(services(MAX_SERVICES).is_ok());
    assert_eq!(
        services(MAX_SERVICES + 1).unwrap_err().to_string(),
        "services: must have 0 to 1024 members, not 1025"
    );
}

#[test]
fn prefixes_are_routable_and_long_enough_and_stand_once() {
    let json = r#"{
        "front": {"listen": ["[::1]:53"], "servers": ["192.0.2.1"],
            "clients": ["::/0", "0.0.0.0/0", "2001:db8::1/64", "10.0.0.0/8", "fe80::/64", "10.0.0.0/8", "all"]},
        "services": [{"name": "a", "inbound": {"ports": [1]},
            "allowed": ["fe80::/64", "ff02::/64", "::/64", "192.0.2.0/24", "2001:db8::/15", "2001:db8::/32", "2001:db8::/32"],
            "static": {"rules": ["v=ssa1; addr=rand:64"],
                "addresses": ["::", "ff02::1", "fe80::1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::1"]}}]}"#;
    let error = Config::from_json(json.as_bytes()).unwrap_err();
    let told: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
    let expected = [
        "services[0].static.addresses[5]: is a duplicate of [4]",
        "services[0].static.addresses[0]: :: overlaps loopback, unspecified or IPv4-compatible (::/96), which no router \
         forwards",
        "services[0].static.addresses[1]: ff02::1 overlaps multicast (ff00::/8), which no router forwards",
        "services[0].static.addresses[2]: fe80::1 overlaps link-local (fe80::/10), which no router forwards",
        "services[0].static.addresses[3]: ::ffff:192.0.2.1 overlaps IPv4-mapped (::ffff:0.0.0.0/96), which no router forwards",
        "services[0].allowed[0]: fe80::/64 overlaps link-local (fe80::/10), which no router forwards",
        "services[0].allowed[1]: ff02::/64 overlaps multicast (ff00::/8), which no router forwards",
        "services[0].allowed[2]: ::/64 overlaps IPv4-mapped (::ffff:0.0.0.0/96), which no router forwards",
        "services[0].allowed[3]: must be an IPv6 prefix without bits past its length, not \"192.0.2.0/24\"",
        "services[0].allowed[4]: must be an IPv6 prefix without bits past its length, not \"2001:db8::/15\"",
        "services[0].allowed[6]: is a duplicate of [5]",
        "front.clients[0]: ::/0 is shorter than /16",
        "front.clients[1]: 0.0.0.0/0 is shorter than /8",
        "front.clients[2]: must be a prefix without bits past its length, not \"2001:db8::1/64\"",
        "front.clients[5]: is a duplicate of [3]",
        "front.clients[6]: must be a prefix without bits past its length, not \"all\"",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_stands_in_a_list_stands_there_once() {
    let told = |json: &str| -> Vec<String> {
        let error = Config::from_json(json.as_bytes()).map(drop).unwrap_err();
        error.faults.iter().map(ToString::to_string).collect()
    };
    let service = |name: &str, more: &str| format!(r#"{{"name": "{name}", "allowed": ["2001:db8::/32"], {more}}}"#);
    let services = |all: &[String]| format!(r#"{{"services": [{}]}}"#, all.join(", "));
    let inbound = |ports: &str| format!(r#""inbound": {{"ports": {ports}}}"#);
    for (json, expected) in [
        (
            r#"{"socket": {"peers": [{"uid": 1, "roles": ["inbound", "inbound"]}, {"uid": 1, "roles": ["outbound"]}]}}"#
                .to_owned(),
            ["socket.peers[1]: is a duplicate of [0]", "socket.peers[0].roles[1]: is a duplicate of [0]"].as_slice(),
        ),
        (
            services(&[service("a", &inbound("[80, 443, 80]"))]),
            &["services[0].inbound.ports[2]: is a duplicate of [0]"],
        ),
        (
            services(&[service("a", r#""outbound": {"ports": [80, 80]}"#)]),
            &["services[0].outbound.ports[1]: is a duplicate of [0]"],
        ),
        (
            services(&[service("a.test", &inbound("[80]")), service("A.test", &inbound("[81]"))]),
            &["services[1].name: is a duplicate of [0]"],
        ),
        (
            services(&[
                service("a.test", &inbound("[80]")),
                service("b", &format!(r#""domain": "A.test.", {}"#, inbound("[81, 80]"))),
            ]),
            &["services[1].domain: conflicts with services[0].domain"],
        ),
        (
            services(&[
                service("a.test", r#""outbound": {"ports": [80]}"#),
                service("b", r#""domain": "a.test", "outbound": {"ports": [81]}"#),
            ]),
            &["services[1].domain: conflicts with services[0].domain"],
        ),
    ] {
        assert_eq!(told(&json), expected, "{json}");
    }
    // By their ports verifiers tell them apart, and clients by their roles.
    let apart = services(&[
        service("a.test", &inbound("[80]")),
        service("b", &format!(r#""domain": "a.test", {}"#, inbound("[81]"))),
        service("c", r#""domain": "a.test", "outbound": {}"#),
    ]);
    assert!(Config::from_json(apart.as_bytes()).is_ok());
}

#[test]
fn paths_have_no_nul() {
    let json = r#"{"socket": {"path": "/run/a\u0000b"}, "state": "/a\u0000"}"#;
    let error = Config::from_json(json.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "socket.path: must be a path without NUL; state: must be a path without NUL"
    );
}

/// The number that means "no change" to chown(2) is no user and no group.
#[test]
fn the_last_number_is_no_user_and_no_group() {
    let peers = |uid: u64, gid: u64, group: u64| {
        let json = format!(
            r#"{{"socket": {{"group": {group}, "peers": [{{"uid": {uid}, "gid": {gid}, "roles": ["inbound"]}}]}}}}"#
        );
        match Config::from_json(json.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(error) => error
                .faults
                .iter()
                .map(|fault| without_position(&fault.to_string()))
                .collect(),
        }
    };
    let greatest = u64::from(u32::MAX) - 1;
    assert_eq!(peers(greatest, greatest, greatest), [""; 0]);
    let last = greatest + 1;
    assert_eq!(
        peers(last, last, last),
        ["socket.group", "socket.peers[0].gid", "socket.peers[0].uid"]
            .map(|field| format!("{field}: must be an integer from 0 to {greatest}, not {last}"))
    );
}

#[test]
fn what_follows_from_a_fault_is_not_told_besides() {
    let told = |json: &str| -> Vec<String> {
        let error = Config::from_json(json.as_bytes()).unwrap_err();
        error.faults.iter().map(|fault| fault.place.clone()).collect()
    };
    for (json, place) in [
        (
            r#"{"socket": {"peers": [{"uid": 1, "roles": ["filter"]}]}}"#,
            "socket.peers[0].roles[0]",
        ),
        (r#"{"socket": {"peers": [7]}}"#, "socket.peers[0]"),
        (r#"{"dns": {"servers": [7]}}"#, "dns.servers[0]"),
        // Those behind it have moved up: what is told of them would be told of others.
        (
            r#"{"dns": {"servers": [7, "192.0.2.1", "192.0.2.1", "x"]}}"#,
            "dns.servers[0]",
        ),
        (
            r#"{"socket": {"peers": [7, {"roles": ["inbound"]}]}}"#,
            "socket.peers[0]",
        ),
        (
            r#"{"front": {"listen": ["[::1]:53"], "servers": ["192.0.2.1"], "clients": [7, "x"]}}"#,
            "front.clients[0]",
        ),
        (
            r#"{"front": {"listen": [7], "servers": ["192.0.2.1"]}}"#,
            "front.listen[0]",
        ),
    ] {
        assert_eq!(told(json), [place], "{json}");
    }
}

/// A fault without its line and column.
fn without_position(told: &str) -> String {
    told.split(" (line ").next().unwrap_or(told).to_owned()
}
