"""The outcome of each verdict in each mode, with the default policy and with others.

Topology: a stranger and a prober (an exempt source) without sidecars, two servers with sidecars.

Configuration: envoy/server.yaml. On server1 a service for each mode by the default policy, and more whose policy says
the same of every finding; each has a twin whose only rule is not yet in force. There are services of objects, of which
not everything can be checked, and services of different modes that share a port, the lax ones first. server1 denies
what concerns no service, server2 allows it.

Expected: the table below. What is denied is closed without an answer; what is demoted goes to the cluster for that;
shadow serves as if there were no policy. On a shared port the strictest service decides on a plain address, and each is
counted with its own outcome. Access log and metrics say the same.
"""

import collections
import ipaddress
from typing import Any

from lib.service import Service, inbound

FINDINGS = ["conforming", "legacy", "violation", "outside", "other_port", "no_rule"]
RULE = "v=ssa1; addr=hash(src/128):20 rand:44"
# Of each service: its mode, its policy for every finding or the default, and what becomes of FINDINGS.
TABLE = {
    "enforce": ("enforce", None, "allowed demoted denied denied denied denied"),
    "shadow": ("shadow", None, "allowed shadow_demoted shadow_denied shadow_denied shadow_denied shadow_denied"),
    "off": ("off", None, "allowed allowed allowed allowed allowed allowed"),
    "enforce-allow": ("enforce", "allow", "allowed allowed allowed allowed allowed allowed"),
    "enforce-demote": ("enforce", "demote", "demoted demoted demoted demoted demoted demoted"),
    "enforce-deny": ("enforce", "deny", "denied denied denied denied denied denied"),
    "shadow-demote": ("shadow", "demote", " ".join(["shadow_demoted"] * 6)),
    "shadow-deny": ("shadow", "deny", " ".join(["shadow_denied"] * 6)),
    "off-deny": ("off", "deny", "allowed allowed allowed allowed allowed allowed"),
}
# Services of objects, what their policy says of what is unchecked, and what becomes of that.
OBJECTS = {"store": (None, "allowed"), "store-demote": ("demote", "demoted"), "store-deny": ("deny", "denied")}
# They share port 8300, and the strictest stands last; 8301 is its alone.
SHARING = [
    Service(220, "loose", RULE, ports=[8300], mode="off"),
    Service(221, "watched", RULE, ports=[8300], mode="shadow"),
    Service(222, "mild", RULE, ports=[8300], policy={"outside": "demote"}),
    Service(223, "vault", RULE, ports=[8300, 8301]),
]
CLUSTER = {"denied": None, "demoted": "application_demoted"}
PROBER = "2001:db8:0:f::5"


def run(stage):
    services, twins = {}, {}
    for number, (name, (mode, action, _)) in enumerate(TABLE.items(), 1):
        more: dict[str, Any] = {"mode": mode}
        if action:
            more["policy"] = {finding: action for finding in FINDINGS}
        services[name] = Service(number, name, RULE, ports=[8100 + number], **more)
        twins[name] = Service(
            100 + number, f"{name}-to-come", f"{RULE}; from=4000000000", ports=[8200 + number], **more
        )
    objects = {
        name: Service(
            number,
            name,
            "v=ssa1; addr=hash(obj):20 rand:44",
            ports=[8290 + number - 210],
            **({"policy": {"unchecked": action}} if action else {}),
        )
        for number, (name, (action, _)) in enumerate(OBJECTS.items(), 210)
    }
    everything = [*services.values(), *twins.values(), *objects.values(), *SHARING]
    stranger, prober = stage.net.stranger(), stage.net.stranger("prober", PROBER)
    server, lax = stage.server(1, *everything), stage.server(2)
    exempt = [{"sources": ["2001:db8:0:f::/64"], "ports": [service.ports[0] for service in everything] + [9000]}]
    strict, allowing = stage.sidecars(
        (server, "server.yaml", inbound(*everything, exempt=exempt, unclaimed="deny")),
        (lax, "server.yaml", inbound(services["enforce"], unclaimed="allow")),
    )
    counted: collections.Counter = collections.Counter()

    def check(sidecar, host, destination, port, service, verdict, outcome):
        what = f"{verdict} of {service} on port {port}"
        expected = "refused" if outcome == "denied" else "served"
        stage.claim(f"{what} is", expected, stage.dial(host, destination, port).kind)
        line = sidecar.logged(1)[0]
        found = (line["service"], line["verdict"], line["outcome"], line["upstream"])
        stage.claim(f"{what} is logged", (service, verdict, outcome, CLUSTER.get(outcome, "application")), found)
        counted[sidecar, service, verdict, outcome] += 1

    for name, service in services.items():
        good = stage.ssa.compose(service.published, stranger.address)[0]
        bad = ipaddress.IPv6Address(int(good) ^ 1 << 44)
        twin = twins[name]
        to_come = stage.ssa.compose(twin.published, stranger.address, time=4000000000)[0]
        port = service.ports[0]
        dials = {
            "conforming": (good, port),
            "legacy": (service.plain, port),
            "violation": (bad, port),
            "outside": (server.address, port),
            "other_port": (good, 9),
            "no_rule": (to_come, twin.ports[0]),
        }
        mode, _, outcomes = TABLE[name]
        stage.note(f"{name}: {dict(zip(FINDINGS, outcomes.split()))}")
        for (finding, (destination, port)), outcome in zip(dials.items(), outcomes.split()):
            concerned = twin.name if finding == "no_rule" else name
            verdict = "unverified" if mode == "off" else finding
            check(strict, stranger, destination, port, concerned, verdict, outcome)
        check(strict, prober, server.address, service.ports[0], name, "exempt", "allowed")
        # Exempt sources reach plain addresses: on the service's own they are judged as all are.
        own = "unverified" if mode == "off" else "violation"
        check(strict, prober, bad, service.ports[0], name, own, outcomes.split()[2])
    stage.note("what cannot be checked")
    for name, service in objects.items():
        address = service.items[0].split("/")[0] + "7"
        check(strict, stranger, address, service.ports[0], name, "unchecked", OBJECTS[name][1])
        stage.claim(f"{name}: what is logged as unchecked", "field_0", strict.access_log()[-1]["unchecked"])
    stage.note("a port of several services")
    loose, watched, mild, vault = SHARING
    check(strict, stranger, server.address, 8300, "vault", "outside", "denied")
    counted[strict, "loose", "unverified", "allowed"] += 1
    counted[strict, "watched", "outside", "shadow_denied"] += 1
    counted[strict, "mild", "outside", "demoted"] += 1
    for service, found in ((loose, ("unverified", "allowed")), (watched, ("other_port", "shadow_denied"))):
        check(strict, stranger, service.plain, 8301, "vault", "outside", "denied")
        counted[(strict, service.name, *found)] += 1
    own = stage.ssa.compose(vault.published, stranger.address)[0]
    check(strict, stranger, own, 8300, "vault", "conforming", "allowed")
    stage.note("what concerns no service")
    check(strict, stranger, server.address, 9000, "-", "unclaimed", "denied")
    check(strict, prober, server.address, 9000, "-", "exempt", "allowed")
    check(strict, prober, server.address, 9001, "-", "unclaimed", "denied")
    check(strict, stranger, server.address, 15006, "-", "unclaimed", "denied")
    check(allowing, stranger, lax.address, 9000, "-", "unclaimed", "allowed")
    check(allowing, stranger, lax.address, services["enforce"].ports[0], "enforce", "outside", "denied")
    for sidecar in (strict, allowing):
        metrics = {
            (labels["ssa_service"], labels["ssa_verdict"], labels["ssa_outcome"]): value
            for name, labels, value in sidecar.metrics()
            if name == "ssa_inbound_connections_total"
        }
        dialled = {key[1:]: value for key, value in counted.items() if key[0] is sidecar}
        stage.claim(f"the metrics of {sidecar.host.name} are what was dialled", dialled, metrics)
