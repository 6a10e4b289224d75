//! What happens to requests of a plugin for an HTTP filter, and what must come of it.

use crate::{
    host::Vm,
    scenario::{
        Body::Text,
        Expected::{Admitted, ClientCloses, Closed},
        NOW, Scenario,
        Step::{Answer, Close, Held, NoAnswer, Request, Sees, Tick},
    },
    scripts::SOURCE,
    world::World,
};

pub(crate) const REQUESTS: &str = r#"{"role": "inbound", "filter": "http", "services": [
    {"name": "store", "apl": "2:2001:db8:5::/64",
     "rules": ["v=ssa1; addr=obj[118:128] const(0):54; replicas=2; obj=path:/cas/{obj},cookie:k"], "ports": [80],
     "policy": {"no_object": "deny"}},
    {"name": "slow", "apl": "2:2001:db8:6::/64", "rules": ["v=ssa1; addr=obj[118:128] const(0):54; obj=path:/cas/{obj}"],
     "ports": [80], "policy": {"no_object": "demote"}},
    {"name": "plain", "apl": "2:2001:db8:7::/64", "rules": ["v=ssa1; addr=rand:64"], "ports": [80]}]}"#;
const SUBSCRIBED: &str = r#"{"role": "inbound", "filter": "http", "snapshot": {"cluster": "shim"},
    "hold": {"connections": 2, "ms": 500}}"#;
const SERVERS: &str = r#"{"version": 1, "generation": "g1", "services": [{"name": "store",
    "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=obj[118:128] const(0):54; obj=path:/cas/{obj}"],
    "ports": [80]}]}"#;

/// The addresses of object 5: of replica 0, and of replica 1.
const FIVE: &str = "[2001:db8:5:0:140::]:80";
const FIVE_AGAIN: &str = "[2001:db8:5:0:8140::]:80";

const GET_FIVE: &[(&str, &str)] = &[(":method", "GET"), (":path", "/cas/5"), (":authority", "h")];
const GET_SIX: &[(&str, &str)] = &[(":method", "GET"), (":path", "/cas/6")];

const ALLOWED: &str = "service=store verdict=conforming outcome=allowed generation=-";
const DENIED: &str = "service=store verdict=violation part=field_0 outcome=denied generation=-";
const WITHOUT: &str = "service=store verdict=no_object unchecked=field_0 outcome=denied generation=-";

pub(crate) const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "requests: what is here passes and is told, what is elsewhere is misdirected",
        configuration: REQUESTS,
        accepted: true,
        steps: &[
            Request('a', SOURCE, FIVE, GET_FIVE),
            Request('b', SOURCE, FIVE, GET_SIX),
            Request('c', SOURCE, FIVE_AGAIN, GET_FIVE),
            Sees(
                'a',
                &[("ssa-object", "5"), ("ssa-replica", "0/2"), ("ssa-slice", "005")],
            ),
            Sees('b', &[("ssa-verdict", "violation")]),
            Sees(
                'c',
                &[("ssa-object", "5"), ("ssa-replica", "1/2"), ("ssa-slice", "205")],
            ),
            Close('c', Admitted, ALLOWED),
            Close('b', Closed, DENIED),
            Close('a', Admitted, ALLOWED),
        ],
        metrics: "
            ssa_inbound_requests_total.service.store.verdict.conforming.outcome.allowed 2
            ssa_inbound_requests_total.service.store.verdict.violation.outcome.denied 1",
    },
    Scenario {
        name: "requests: what clients say of themselves is removed, and two cookies are one list",
        configuration: REQUESTS,
        accepted: true,
        steps: &[
            Request(
                'a',
                SOURCE,
                FIVE,
                &[
                    (":path", "/"),
                    ("ssa-object", "lie"),
                    ("ssa-object", "another lie"),
                    ("ssa-else", "lie"),
                    ("cookie", "a=1"),
                    ("cookie", "k=5"),
                ],
            ),
            Sees(
                'a',
                &[("ssa-object", "5"), ("ssa-replica", "0/2"), ("ssa-slice", "005")],
            ),
            Close('a', Admitted, ALLOWED),
            Request(
                'a',
                SOURCE,
                FIVE,
                &[(":path", "/"), ("cookie", "k=6"), ("cookie", "k=5")],
            ),
            Close('a', Closed, DENIED),
            Request(
                'a',
                SOURCE,
                "[2001:db8:7::1]:80",
                &[(":path", "/"), ("ssa-object", "lie")],
            ),
            Sees('a', &[]),
            Close('a', Admitted, ""),
        ],
        metrics: "
            ssa_inbound_requests_total.service.store.verdict.conforming.outcome.allowed 1
            ssa_inbound_requests_total.service.store.verdict.violation.outcome.denied 1",
    },
    Scenario {
        name: "requests: without an object key",
        configuration: REQUESTS,
        accepted: true,
        steps: &[
            Request('a', SOURCE, FIVE, &[(":path", "/cas/../5")]),
            Sees('a', &[("ssa-verdict", "no_object")]),
            Close('a', Closed, WITHOUT),
            Request('a', SOURCE, FIVE, &[(":method", "CONNECT"), (":authority", "h:443")]),
            Close('a', Closed, WITHOUT),
            Request('a', SOURCE, "[2001:db8:6::]:80", &[(":path", "/")]),
            Sees('a', &[("ssa-replica", "0/1"), ("ssa-slice", "000")]),
            Close(
                'a',
                Admitted,
                "service=slow verdict=no_object unchecked=field_0 outcome=demoted generation=-",
            ),
        ],
        metrics: "
            ssa_inbound_requests_total.service.slow.verdict.no_object.outcome.demoted 1
            ssa_inbound_requests_total.service.store.verdict.no_object.outcome.denied 2",
    },
    Scenario {
        name: "requests: held until there is a snapshot",
        configuration: SUBSCRIBED,
        accepted: true,
        steps: &[
            Request('a', SOURCE, FIVE, GET_FIVE),
            Request('b', SOURCE, FIVE, GET_SIX),
            Held('a'),
            // There is no room; and later, it is for another endpoint.
            Request('c', SOURCE, FIVE, GET_SIX),
            Sees('c', &[("ssa-verdict", "no_snapshot")]),
            Close('c', Closed, "service=- verdict=no_snapshot outcome=denied generation=-"),
            Tick(1, 20),
            Answer("200", "e1", Text(SERVERS)),
            Close(
                'a',
                Admitted,
                "service=store verdict=conforming outcome=allowed generation=g1",
            ),
            Close(
                'b',
                Closed,
                "service=store verdict=violation part=field_0 outcome=denied generation=g1",
            ),
            Tick(1, 1000),
        ],
        metrics: "
            ssa_inbound_held_connections 0
            ssa_inbound_requests_total.service.-.verdict.no_snapshot.outcome.denied 1
            ssa_inbound_requests_total.service.store.verdict.conforming.outcome.allowed 1
            ssa_inbound_requests_total.service.store.verdict.violation.outcome.denied 1
            ssa_inbound_snapshot_age_max_seconds 1
            ssa_inbound_snapshot_age_min_seconds 1
            ssa_inbound_snapshots_total.outcome.installed 1",
    },
    Scenario {
        name: "requests: no snapshot in time, and a client that leaves",
        configuration: SUBSCRIBED,
        accepted: true,
        steps: &[
            Request('a', SOURCE, FIVE, GET_FIVE),
            Request('b', SOURCE, FIVE, GET_FIVE),
            Tick(1, 20),
            Close('a', ClientCloses, ""),
            NoAnswer,
            Tick(1, 500),
            Close('b', Closed, "service=- verdict=no_snapshot outcome=denied generation=-"),
            Tick(1, 3000),
        ],
        metrics: "
            ssa_inbound_held_connections 0
            ssa_inbound_requests_total.service.-.verdict.no_snapshot.outcome.denied 1
            ssa_inbound_snapshot_age_max_seconds 3
            ssa_inbound_snapshot_age_min_seconds 3
            ssa_inbound_snapshots_total.outcome.failed 1",
    },
];

/// One plugin serves a network filter and an HTTP filter, if both have its configuration.
#[test]
fn connections_and_requests_of_one_plugin_are_told_apart() {
    let mut vm = Vm::new(World::at(NOW)).unwrap();
    let configuration = REQUESTS.replace(r#""filter": "http""#, r#""filter": "both""#);
    assert!(vm.configure(&configuration).unwrap());
    for _ in 0..3 {
        let connection = vm.connect(SOURCE, FIVE).unwrap();
        assert!(vm.connection(connection).admitted);
        let (here, elsewhere) = (
            vm.request(SOURCE, FIVE, GET_FIVE).unwrap(),
            vm.request(SOURCE, FIVE, GET_SIX).unwrap(),
        );
        assert!(vm.connection(here).admitted && !vm.connection(elsewhere).admitted);
        assert!(vm.data(connection).unwrap());
        for context in [elsewhere, here, connection] {
            vm.close(context).unwrap();
        }
    }
}
