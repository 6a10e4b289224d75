//! What happens to plugins, and what must come of it.

use crate::scenario::{
    Body::{Huge, Text},
    Expected::{Admitted, ClientCloses, Closed, Composed, ComposedElsewhere, Demoted, Unchanged},
    Scenario,
    Step::{Answer, Asked, Clock, Close, Connect, Data, Held, NoAnswer, Settle, Shown, Tick, Upstream},
};

pub(crate) const INBOUND: &str = r#"{"role": "inbound", "demote_cluster": "slow",
    "exempt": [{"sources": ["2001:db8:f::/48"], "ports": [80]}], "services": [
    {"name": "web", "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=src[64:128]"],
     "ports": [80]},
    {"name": "mail", "apl": "2:2001:db8:7::/64", "rules": ["v=ssa1; addr=hash(src/128):20 rand:44"], "ports": [25],
     "mode": "shadow"}]}"#;

pub(crate) const OUTBOUND: &str = r#"{"role": "outbound", "source": "2001:db8::7", "seed": "s", "max_pow": 24, "services": [
    {"name": "web", "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=src[64:128]"],
     "addresses": ["2001:db8:6::1"]},
    {"name": "work", "apl": "2:2001:db8:8::/64", "rules": ["v=ssa1; addr=hash(src/128):20 rand:44; pow=8"],
     "addresses": ["2001:db8:6::2"], "ports": [80], "port": 8080},
    {"name": "twins", "apl": "2:2001:db8:a::/64",
     "rules": ["v=ssa1; addr=hash(src/128):20 const(0):44; replicas=2"], "addresses": ["2001:db8:6::3"]},
    {"name": "toil", "apl": "2:2001:db8:b::/64", "rules": ["v=ssa1; addr=rand:64; pow=24"],
     "addresses": ["2001:db8:6::4"]}]}"#;

pub(crate) const SUBSCRIBED_IN: &str = r#"{"role": "inbound", "snapshot": {"cluster": "shim"},
    "hold": {"connections": 2, "ms": 500}}"#;
const SUBSCRIBED_IN_RELEASED: &str = r#"{"role": "inbound", "snapshot": {"cluster": "shim", "failure_mode_allow": true},
    "hold": {"connections": 2, "ms": 500}}"#;
pub(crate) const SUBSCRIBED_OUT: &str = r#"{"role": "outbound", "source": "2001:db8::7", "seed": "s",
    "snapshot": {"cluster": "shim", "path": "/clients", "refresh_ms": 2000, "wait_s": 5},
    "hold": {"connections": 2, "ms": 500}}"#;
const SUBSCRIBED_OUT_REFUSED: &str = r#"{"role": "outbound", "source": "2001:db8::7",
    "snapshot": {"cluster": "shim", "failure_mode_allow": false}, "hold": {"connections": 2, "ms": 500}}"#;

/// A service's secret, which is never told.
pub(crate) const SECRET: &str = "00112233445566778899aabbccddeeff";

pub(crate) const SERVERS: &str = r#"{"version": 1, "generation": "g1", "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=mac(src/128):64; key=k1"],
    "secrets": {"k1": {"secret": "00112233445566778899aabbccddeeff"}}, "ports": [80]}]}"#;
const SERVERS_OFF: &str = r#"{"version": 1, "generation": "g2", "off": true, "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=mac(src/128):64; key=k1"],
    "secrets": {"k1": {"secret": "00112233445566778899aabbccddeeff"}}, "ports": [80]}]}"#;
/// A fault, and the secret beside it.
const SERVERS_AT_FAULT: &str = r#"{"version": 1, "generation": "g3", "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=mac(src/128):64; key=k1"],
    "secrets": {"k1": {"secret": "00112233445566778899aabbccddeeff", "client_key": "00112233445566778899aabbccddeeff"}},
    "ports": [0]}]}"#;

pub(crate) const CLIENTS: &str = r#"{"version": 1, "generation": "g1", "seed": "t", "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=mac(src/128):64; key=k1"],
    "secrets": {"k1": {"secret": "00112233445566778899aabbccddeeff"}}, "addresses": ["2001:db8:6::1"]}]}"#;
/// Another service, which has its own source, before the first one, whose rule holds later.
const CLIENTS_LATER: &str = r#"{"version": 1, "generation": "g2", "services": [
    {"name": "mail", "apl": "2:2001:db8:7::/64", "rules": ["v=ssa1; addr=src[64:128]"], "addresses": ["2001:db8:6::2"],
     "sources": [{"item": "2001:db8:7::/64", "source": "2001:db8::9"}]},
    {"name": "web", "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64; from=4000000000"],
     "addresses": ["2001:db8:6::1"]}]}"#;
const CLIENTS_OFF: &str = r#"{"version": 1, "generation": "g3", "off": true, "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=src[64:128]"], "addresses": ["2001:db8:6::1"]}]}"#;

/// Conforms to the record with the secret, from [`SOURCE`].
pub(crate) const CONFORMING: &str = "[2001:db8:5:0:950c:11fa:d839:997d]:80";
pub(crate) const SOURCE: &str = "[2001:db8::7]:40000";
const APPLICATION: &str = "[2001:db8::1]:5";

/// Response flags: the upstream connection failed.
const FAILED: i64 = 0x20;

const INLINE_ALLOWED: &str = "service=web verdict=conforming outcome=allowed generation=-";
const INLINE_DENIED: &str = "service=web verdict=violation part=field_0 outcome=denied generation=-";
const ALLOWED: &str = "service=web verdict=conforming outcome=allowed generation=g1";
const DENIED: &str = "service=web verdict=violation part=field_0 outcome=denied generation=g1";
const COMPOSED: &str = "service=web outcome=composed generation=g1";

pub(crate) const SCENARIOS: [Scenario; 23] = [
    Scenario {
        name: "inbound: a conforming connection",
        configuration: INBOUND,
        accepted: true,
        steps: &[
            Connect('a', SOURCE, "[2001:db8:5::7]:80"),
            Data('a'),
            Tick(1, 1000),
            Data('a'),
            Close('a', Admitted, INLINE_ALLOWED),
        ],
        metrics: "
            ssa_inbound_connections_total.service.web.verdict.conforming.outcome.allowed 1",
    },
    Scenario {
        name: "inbound: a violation",
        configuration: INBOUND,
        accepted: true,
        steps: &[
            Connect('a', SOURCE, "[2001:db8:5::8]:80"),
            Data('a'),
            Tick(1, 1000),
            Data('a'),
            Close('a', Closed, INLINE_DENIED),
        ],
        metrics: "
            ssa_inbound_connections_total.service.web.verdict.violation.outcome.denied 1
            ssa_inbound_violations_total.service.web.part.field_0 1",
    },
    Scenario {
        name: "inbound: a legacy client",
        configuration: INBOUND,
        accepted: true,
        steps: &[
            Connect('a', SOURCE, "[2001:db8:6::1]:80"),
            Data('a'),
            Tick(1, 1000),
            Close('a', Demoted, "service=web verdict=legacy outcome=demoted generation=-"),
        ],
        metrics: "
            ssa_inbound_connections_total.service.web.verdict.legacy.outcome.demoted 1",
    },
    Scenario {
        name: "inbound: plain, exempt, shadowed and unmatched",
        configuration: INBOUND,
        accepted: true,
        steps: &[
            Connect('a', SOURCE, "[2001:db8::99]:80"),
            Data('a'),
            Close('a', Closed, "service=web verdict=outside outcome=denied generation=-"),
            Connect('a', "[2001:db8:f::1]:5", "[2001:db8::99]:80"),
            Close('a', Admitted, "service=web verdict=exempt outcome=allowed generation=-"),
            Connect('a', SOURCE, "[2001:db8:7::1]:25"),
            Close(
                'a',
                Admitted,
                "service=mail verdict=violation part=field_0 outcome=shadow_denied generation=-",
            ),
            Connect('a', SOURCE, "[2001:db8:5::7]:81"),
            Close(
                'a',
                Closed,
                "service=web verdict=other_port outcome=denied generation=-",
            ),
            Connect('a', SOURCE, "[2001:db8:9::1]:81"),
            Close('a', Closed, "service=- verdict=no_match outcome=denied generation=-"),
        ],
        metrics: "
            ssa_inbound_connections_total.service.-.verdict.no_match.outcome.denied 1
            ssa_inbound_connections_total.service.mail.verdict.violation.outcome.shadow_denied 1
            ssa_inbound_connections_total.service.web.verdict.exempt.outcome.allowed 1
            ssa_inbound_connections_total.service.web.verdict.other_port.outcome.denied 1
            ssa_inbound_connections_total.service.web.verdict.outside.outcome.denied 1
            ssa_inbound_violations_total.service.mail.part.field_0 1",
    },
    Scenario {
        name: "inbound snapshot: asked for, connections held, let go and refused, then unchanged",
        configuration: SUBSCRIBED_IN,
        accepted: true,
        steps: &[
            Connect('a', SOURCE, CONFORMING),
            Connect('b', SOURCE, "[2001:db8:5::8]:80"),
            Data('a'),
            Held('a'),
            Held('b'),
            Tick(1, 20),
            Shown("ssa_inbound_held_connections", 2),
            Asked("/v1/inbound", None, "", 5_000),
            Answer("200", "e1", Text(SERVERS)),
            Data('a'),
            Close('a', Admitted, ALLOWED),
            Close('b', Closed, DENIED),
            Tick(1, 1000),
            Asked("/v1/inbound", Some("e1"), "wait=30", 35_000),
            Tick(1, 4000),
            Answer("304", "e1", Text("")),
            Connect('a', SOURCE, CONFORMING),
            Close('a', Admitted, ALLOWED),
            Connect('a', SOURCE, "[2001:db8:6::9]:80"),
            Close(
                'a',
                Admitted,
                "service=web verdict=legacy outcome=demoted generation=g1",
            ),
            Tick(1, 2000),
        ],
        metrics: "
            ssa_inbound_connections_total.service.web.verdict.conforming.outcome.allowed 2
            ssa_inbound_connections_total.service.web.verdict.legacy.outcome.demoted 1
            ssa_inbound_connections_total.service.web.verdict.violation.outcome.denied 1
            ssa_inbound_held_connections 0
            ssa_inbound_snapshot_age_max_seconds 2
            ssa_inbound_snapshot_age_min_seconds 2
            ssa_inbound_snapshots_total.outcome.installed 1
            ssa_inbound_snapshots_total.outcome.unchanged 1
            ssa_inbound_violations_total.service.web.part.field_0 1",
    },
    Scenario {
        name: "inbound snapshot: none in time, connections are closed",
        configuration: SUBSCRIBED_IN,
        accepted: true,
        steps: &[
            Connect('a', SOURCE, CONFORMING),
            Connect('b', SOURCE, CONFORMING),
            Connect('c', SOURCE, CONFORMING),
            Data('a'),
            Tick(1, 20),
            // The first makes room for the third.
            Close('a', Closed, "service=- verdict=no_snapshot outcome=denied generation=-"),
            NoAnswer,
            Tick(1, 400),
            Held('b'),
            Held('c'),
            Shown("ssa_inbound_held_connections", 2),
            Tick(1, 80),
            Shown("ssa_inbound_held_connections", 0),
            Data('b'),
            Close('b', Closed, "service=- verdict=no_snapshot outcome=denied generation=-"),
            Close('c', Closed, "service=- verdict=no_snapshot outcome=denied generation=-"),
            Tick(1, 3000),
        ],
        metrics: "
            ssa_inbound_connections_total.service.-.verdict.no_snapshot.outcome.denied 3
            ssa_inbound_held_connections 0
            ssa_inbound_snapshot_age_max_seconds 3
            ssa_inbound_snapshot_age_min_seconds 3
            ssa_inbound_snapshots_total.outcome.failed 1",
    },
    Scenario {
        name: "inbound snapshot: none in time, connections are let go",
        configuration: SUBSCRIBED_IN_RELEASED,
        accepted: true,
        steps: &[
            Connect('a', SOURCE, CONFORMING),
            Connect('b', SOURCE, CONFORMING),
            Connect('c', SOURCE, CONFORMING),
            Tick(1, 20),
            Close(
                'a',
                Admitted,
                "service=- verdict=no_snapshot outcome=allowed generation=-",
            ),
            Answer("503", "", Text("")),
            Held('b'),
            Tick(1, 500),
            Data('b'),
            Close(
                'b',
                Admitted,
                "service=- verdict=no_snapshot outcome=allowed generation=-",
            ),
            Close(
                'c',
                Admitted,
                "service=- verdict=no_snapshot outcome=allowed generation=-",
            ),
            Tick(1, 3000),
        ],
        metrics: "
            ssa_inbound_connections_total.service.-.verdict.no_snapshot.outcome.allowed 3
            ssa_inbound_held_connections 0
            ssa_inbound_snapshot_age_max_seconds 3
            ssa_inbound_snapshot_age_min_seconds 3
            ssa_inbound_snapshots_total.outcome.failed 1",
    },
    Scenario {
        name: "inbound snapshot: held connections that leave are forgotten",
        configuration: SUBSCRIBED_IN,
        accepted: true,
        steps: &[
            Connect('a', SOURCE, CONFORMING),
            Connect('b', SOURCE, CONFORMING),
            Tick(1, 20),
            Close('a', ClientCloses, ""),
            Connect('c', SOURCE, CONFORMING),
            Answer("200", "e1", Text(SERVERS)),
            Close('b', Admitted, ALLOWED),
            Close('c', Admitted, ALLOWED),
            Tick(1, 1000),
        ],
        metrics: "
            ssa_inbound_connections_total.service.web.verdict.conforming.outcome.allowed 2
            ssa_inbound_held_connections 0
            ssa_inbound_snapshot_age_max_seconds 1
            ssa_inbound_snapshot_age_min_seconds 1
            ssa_inbound_snapshots_total.outcome.installed 1",
    },
    Scenario {
        name: "inbound snapshot: what is none changes nothing",
        configuration: SUBSCRIBED_IN,
        accepted: true,
        steps: &[
            Tick(1, 20),
            Answer("200", "e1", Text(SERVERS)),
            Tick(1, 1000),
            Answer("200", "e2", Text("\u{1}{]")),
            Tick(1, 1000),
            Answer("200", "e3", Huge),
            Tick(1, 1000),
            Answer("200", "e4", Text("")),
            Tick(1, 1000),
            Answer("200", "e5", Text(SERVERS_AT_FAULT)),
            Tick(1, 1000),
            Answer("500", "e6", Text(SERVERS_OFF)),
            Tick(1, 1000),
            Answer("two hundred", "e7", Text(SERVERS_OFF)),
            Tick(1, 1000),
            NoAnswer,
            Connect('a', SOURCE, CONFORMING),
            Close('a', Admitted, ALLOWED),
            Connect('b', SOURCE, "[2001:db8:5::8]:80"),
            Close('b', Closed, DENIED),
            Tick(1, 1000),
            // The one that was refused is not asked for again.
            Asked("/v1/inbound", Some("e5"), "wait=30", 35_000),
            Answer("304", "e5", Text("")),
            Tick(1, 1000),
        ],
        metrics: "
            ssa_inbound_connections_total.service.web.verdict.conforming.outcome.allowed 1
            ssa_inbound_connections_total.service.web.verdict.violation.outcome.denied 1
            ssa_inbound_held_connections 0
            ssa_inbound_snapshot_age_max_seconds 9
            ssa_inbound_snapshot_age_min_seconds 9
            ssa_inbound_snapshots_total.outcome.failed 3
            ssa_inbound_snapshots_total.outcome.installed 1
            ssa_inbound_snapshots_total.outcome.refused 5
            ssa_inbound_violations_total.service.web.part.field_0 1",
    },
    Scenario {
        name: "inbound snapshot: the kill switch",
        configuration: SUBSCRIBED_IN,
        accepted: true,
        steps: &[
            Tick(1, 20),
            Answer("200", "e1", Text(SERVERS)),
            Connect('a', SOURCE, CONFORMING),
            Connect('b', SOURCE, "[2001:db8:5::8]:80"),
            Close('b', Closed, DENIED),
            Tick(1, 1000),
            Answer("200", "e2", Text(SERVERS_OFF)),
            Connect('b', SOURCE, "[2001:db8:5::8]:80"),
            Close(
                'b',
                Admitted,
                "service=web verdict=unverified outcome=allowed generation=g2",
            ),
            Connect('b', SOURCE, "[2001:db8:9::8]:99"),
            Close(
                'b',
                Admitted,
                "service=- verdict=unverified outcome=allowed generation=g2",
            ),
            // None is drained.
            Data('a'),
            Close('a', Admitted, ALLOWED),
        ],
        metrics: "
            ssa_inbound_connections_total.service.-.verdict.unverified.outcome.allowed 1
            ssa_inbound_connections_total.service.web.verdict.conforming.outcome.allowed 1
            ssa_inbound_connections_total.service.web.verdict.unverified.outcome.allowed 1
            ssa_inbound_connections_total.service.web.verdict.violation.outcome.denied 1
            ssa_inbound_held_connections 0
            ssa_inbound_snapshot_age_max_seconds 1
            ssa_inbound_snapshot_age_min_seconds 1
            ssa_inbound_snapshots_total.outcome.installed 2
            ssa_inbound_violations_total.service.web.part.field_0 1",
    },
    Scenario {
        name: "outbound: composed",
        configuration: OUTBOUND,
        accepted: true,
        steps: &[
            Connect('a', APPLICATION, "[2001:db8:6::1]:80"),
            Data('a'),
            Tick(1, 1000),
            Data('a'),
            Upstream('a', 0, "[2001:db8::7]:49152"),
            Close(
                'a',
                Composed("[2001:db8:5::7]:80"),
                "service=web outcome=composed generation=-",
            ),
        ],
        metrics: "
            ssa_outbound_connections_total.service.web.outcome.composed 1",
    },
    Scenario {
        name: "outbound: untouched",
        configuration: OUTBOUND,
        accepted: true,
        steps: &[
            Connect('a', APPLICATION, "[2001:db8:9::1]:80"),
            Close('a', Unchanged, ""),
            Connect('a', APPLICATION, "[2001:db8:5::7]:80"),
            Close('a', Unchanged, "service=web outcome=own generation=-"),
            Connect('a', "192.0.2.7:6", "192.0.2.1:80"),
            Close('a', Unchanged, ""),
            Connect('a', APPLICATION, "[2001:db8:6::2]:81"),
            Close('a', Unchanged, ""),
        ],
        metrics: "
            ssa_outbound_connections_total.service.-.outcome.untouched 3
            ssa_outbound_connections_total.service.web.outcome.own 1",
    },
    Scenario {
        name: "outbound: a proof of work that is found at once",
        configuration: OUTBOUND,
        accepted: true,
        steps: &[
            Connect('a', APPLICATION, "[2001:db8:6::2]:80"),
            Tick(2, 10),
            Data('a'),
            Close(
                'a',
                Composed("[2001:db8:8:"),
                "service=work outcome=composed generation=-",
            ),
        ],
        metrics: "
            ssa_outbound_connections_total.service.work.outcome.composed 1",
    },
    Scenario {
        name: "outbound: a proof of work that is found while the connection is held",
        configuration: OUTBOUND,
        accepted: true,
        steps: &[
            // Slices of work without a step of it, then slices of one step.
            Clock(900_000),
            Connect('a', APPLICATION, "[2001:db8:6::2]:80"),
            Data('a'),
            Tick(3, 1),
            Data('a'),
            Held('a'),
            Clock(500_000),
            Settle('a', 1),
            Data('a'),
            Close(
                'a',
                Composed("[2001:db8:8:"),
                "service=work outcome=composed generation=-",
            ),
            // It serves others in the same minute.
            Connect('b', APPLICATION, "[2001:db8:6::2]:80"),
            Close(
                'b',
                Composed("[2001:db8:8:"),
                "service=work outcome=composed generation=-",
            ),
        ],
        metrics: "
            ssa_outbound_connections_total.service.work.outcome.composed 2
            ssa_outbound_held_connections 0
            ssa_outbound_snapshot_age_max_seconds 0
            ssa_outbound_snapshot_age_min_seconds 0",
    },
    Scenario {
        name: "outbound: a proof of work that is not found in time",
        configuration: OUTBOUND,
        accepted: true,
        steps: &[
            Clock(500_000),
            Connect('a', APPLICATION, "[2001:db8:6::4]:80"),
            Tick(2, 1),
            Held('a'),
            Shown("ssa_outbound_held_connections", 1),
            Tick(1, 3000),
            Data('a'),
            Close('a', Unchanged, "service=toil outcome=failed generation=-"),
        ],
        metrics: "
            ssa_outbound_connections_total.service.toil.outcome.failed 1
            ssa_outbound_held_connections 0
            ssa_outbound_snapshot_age_max_seconds 0
            ssa_outbound_snapshot_age_min_seconds 0",
    },
    Scenario {
        name: "outbound: where a connection failed none goes",
        configuration: OUTBOUND,
        accepted: true,
        steps: &[
            Connect('a', APPLICATION, "[2001:db8:6::3]:80"),
            Upstream('a', FAILED, ""),
            Close(
                'a',
                Composed("[2001:db8:a:"),
                "service=twins outcome=composed generation=-",
            ),
            Connect('b', APPLICATION, "[2001:db8:6::3]:80"),
            Upstream('b', 0, "[2001:db8::7]:49152"),
            Close(
                'b',
                ComposedElsewhere("[2001:db8:a:"),
                "service=twins outcome=composed generation=-",
            ),
        ],
        metrics: "
            ssa_outbound_connect_failures_total.service.twins 1
            ssa_outbound_connections_total.service.twins.outcome.composed 2",
    },
    Scenario {
        name: "outbound: from another source than its address was composed for",
        configuration: OUTBOUND,
        accepted: true,
        steps: &[
            Connect('a', APPLICATION, "[2001:db8:6::1]:80"),
            Upstream('a', 0, "[2001:db8::8]:49152"),
            Close(
                'a',
                Composed("[2001:db8:5::7]:80"),
                "service=web outcome=composed generation=-",
            ),
        ],
        metrics: "
            ssa_outbound_connections_total.service.web.outcome.composed 1
            ssa_outbound_source_mismatches_total.service.web 1",
    },
    Scenario {
        name: "outbound snapshot: asked for, a connection held and let go",
        configuration: SUBSCRIBED_OUT,
        accepted: true,
        steps: &[
            Tick(1, 20),
            Asked("/clients", None, "", 5_000),
            Connect('a', APPLICATION, "[2001:db8:6::1]:80"),
            Data('a'),
            Held('a'),
            Answer("200", "e1", Text(CLIENTS)),
            Data('a'),
            Tick(1, 2000),
            Asked("/clients", Some("e1"), "wait=5", 10_000),
            Upstream('a', 0, "[2001:db8::7]:49152"),
            Close('a', Composed(CONFORMING), COMPOSED),
        ],
        metrics: "
            ssa_outbound_connections_total.service.web.outcome.composed 1
            ssa_outbound_held_connections 0
            ssa_outbound_snapshot_age_max_seconds 2
            ssa_outbound_snapshot_age_min_seconds 2
            ssa_outbound_snapshots_total.outcome.installed 1",
    },
    Scenario {
        name: "outbound snapshot: another one comes",
        configuration: SUBSCRIBED_OUT,
        accepted: true,
        steps: &[
            Tick(1, 20),
            Answer("200", "e1", Text(CLIENTS)),
            Connect('a', APPLICATION, "[2001:db8:6::1]:80"),
            Connect('b', APPLICATION, "[2001:db8:6::1]:81"),
            Tick(1, 2000),
            Answer("200", "e2", Text(CLIENTS_LATER)),
            // Its service has another number now: the failure is no one's.
            Upstream('a', FAILED, ""),
            Close('a', Composed(CONFORMING), COMPOSED),
            Close('b', Composed("[2001:db8:5:0:950c:11fa:d839:997d]:81"), COMPOSED),
            Connect('a', APPLICATION, "[2001:db8:6::2]:25"),
            Upstream('a', 0, "[2001:db8::9]:49152"),
            Close(
                'a',
                Composed("[2001:db8:7::9]:25"),
                "service=mail outcome=composed generation=g2",
            ),
            Connect('a', APPLICATION, "[2001:db8:6::1]:80"),
            Close('a', Unchanged, "service=web outcome=no_rule generation=g2"),
            Tick(1, 2000),
            Asked("/clients", Some("e2"), "wait=5", 10_000),
        ],
        metrics: "
            ssa_outbound_connections_total.service.mail.outcome.composed 1
            ssa_outbound_connections_total.service.web.outcome.composed 2
            ssa_outbound_connections_total.service.web.outcome.no_rule 1
            ssa_outbound_held_connections 0
            ssa_outbound_snapshot_age_max_seconds 2
            ssa_outbound_snapshot_age_min_seconds 2
            ssa_outbound_snapshots_total.outcome.installed 2",
    },
    Scenario {
        name: "outbound snapshot: none in time, connections are let go",
        configuration: SUBSCRIBED_OUT,
        accepted: true,
        steps: &[
            Connect('a', APPLICATION, "[2001:db8:6::1]:80"),
            Tick(1, 20),
            Answer("304", "e1", Text("")),
            Held('a'),
            Tick(1, 500),
            Data('a'),
            Close('a', Unchanged, "service=- outcome=no_snapshot generation=-"),
        ],
        metrics: "
            ssa_outbound_connections_total.service.-.outcome.no_snapshot 1
            ssa_outbound_held_connections 0
            ssa_outbound_snapshot_age_max_seconds 0
            ssa_outbound_snapshot_age_min_seconds 0
            ssa_outbound_snapshots_total.outcome.failed 1",
    },
    Scenario {
        name: "outbound snapshot: none in time, connections are closed",
        configuration: SUBSCRIBED_OUT_REFUSED,
        accepted: true,
        steps: &[
            Connect('a', APPLICATION, "[2001:db8:6::1]:80"),
            Tick(1, 20),
            NoAnswer,
            Tick(1, 500),
            Data('a'),
            Close('a', Closed, "service=- outcome=refused generation=-"),
        ],
        metrics: "
            ssa_outbound_connections_total.service.-.outcome.refused 1
            ssa_outbound_held_connections 0
            ssa_outbound_snapshot_age_max_seconds 0
            ssa_outbound_snapshot_age_min_seconds 0
            ssa_outbound_snapshots_total.outcome.failed 1",
    },
    Scenario {
        name: "outbound snapshot: the kill switch",
        configuration: SUBSCRIBED_OUT,
        accepted: true,
        steps: &[
            Tick(1, 20),
            Answer("200", "e1", Text(CLIENTS)),
            Connect('a', APPLICATION, "[2001:db8:6::1]:80"),
            Tick(1, 2000),
            Answer("200", "e3", Text(CLIENTS_OFF)),
            Connect('b', APPLICATION, "[2001:db8:6::1]:80"),
            Close('b', Unchanged, "service=web outcome=off generation=g3"),
            Upstream('a', 0, "[2001:db8::7]:49152"),
            Close('a', Composed(CONFORMING), COMPOSED),
        ],
        metrics: "
            ssa_outbound_connections_total.service.web.outcome.composed 1
            ssa_outbound_connections_total.service.web.outcome.off 1
            ssa_outbound_held_connections 0
            ssa_outbound_snapshot_age_max_seconds 2
            ssa_outbound_snapshot_age_min_seconds 2
            ssa_outbound_snapshots_total.outcome.installed 2",
    },
    Scenario {
        name: "a configuration that is none",
        configuration: r#"{"role": "inbound", "services": [{"name": "\ud800", "ports": [1e400]}]"#,
        accepted: false,
        steps: &[
            Connect('a', SOURCE, "[2001:db8:5::7]:80"),
            Data('a'),
            Tick(1, 1000),
            Data('a'),
            Close('a', Closed, ""),
        ],
        metrics: "",
    },
];
