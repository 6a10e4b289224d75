"""The outcome of each verdict in each mode, with the default policy and with others.

Topology: a stranger and a prober (an exempt source) without sidecars, two servers with sidecars.

Configuration: envoy/server.yaml. On server1 a service for each mode with the default policy, and more whose policy
treats every finding alike; each has a twin whose only rule is not yet in force. There are services of objects, which
cannot be checked completely, and services of different modes that share a port, the lax ones first. server1 denies
connections that match no service, server2 allows them.

Expected: the table below. Denied connections are closed without an answer; demoted ones use the cluster for that;
shadow mode serves as if there were no policy. On a shared port the strictest service decides on a plain address, and
each is counted with its own outcome. Access log and metrics agree.
"""

import collections
import ipaddress

from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.stage import Stage

FINDINGS = ["conforming", "legacy", "violation", "outside", "other_port", "no_rule"]
LIGHT = True
FILES = Files(__file__)
# Of each service: what becomes of FINDINGS.
OUTCOMES = {
    "enforce": "allowed demoted denied denied denied denied",
    "shadow": "allowed shadow_demoted shadow_denied shadow_denied shadow_denied shadow_denied",
    "off": "allowed allowed allowed allowed allowed allowed",
    "enforce-allow": "allowed allowed allowed allowed allowed allowed",
    "enforce-demote": "demoted demoted demoted demoted demoted demoted",
    "enforce-deny": "denied denied denied denied denied denied",
    "shadow-demote": " ".join(["shadow_demoted"] * 6),
    "shadow-deny": " ".join(["shadow_denied"] * 6),
    "off-deny": "allowed allowed allowed allowed allowed allowed",
}
# Services of objects, and what becomes of what cannot be checked.
OBJECTS = {"store": "allowed", "store-demote": "demoted", "store-deny": "denied"}
# They share port 8300, and the strictest stands last; 8301 is its alone.
SHARING = ["loose", "watched", "mild", "vault"]
CLUSTER = {"denied": None, "demoted": "application_demoted"}
PROBER = "2001:db8:0:f::5"


def run(stage: Stage) -> None:
    services = FILES.services(configuration="server1.json")
    stage.claim(
        "services of server1", {*OUTCOMES, *(f"{name}-to-come" for name in OUTCOMES), *OBJECTS, *SHARING}, {*services}
    )
    stranger, prober = stage.net.stranger(), stage.net.stranger("prober", PROBER)
    server, lax = stage.server(1, *services.values()), stage.server(2)
    strict, allowing = stage.sidecars(
        (server, "server.yaml", FILES.json("server1.json")), (lax, "server.yaml", FILES.json("server2.json"))
    )
    counted: collections.Counter = collections.Counter()

    def check(
        sidecar: Sidecar,
        host: Host,
        destination: object,
        port: int,
        service: str,
        verdict: str,
        outcome: str,
    ) -> None:
        what = f"{verdict} of {service} on port {port}"
        expected = "refused" if outcome == "denied" else "served"
        stage.claim(f"{what} is", expected, stage.dial(host, destination, port).kind)
        line = sidecar.logged(1)[0]
        found = (line["service"], line["verdict"], line["outcome"], line["upstream"])
        stage.claim(f"{what} is logged", (service, verdict, outcome, CLUSTER.get(outcome, "application")), found)
        counted[sidecar, service, verdict, outcome] += 1

    for name, outcomes in OUTCOMES.items():
        service, twin = services[name], services[f"{name}-to-come"]
        good = stage.ssa.compose(service.published, stranger.address)[0]
        bad = ipaddress.IPv6Address(int(good) ^ 1 << 44)
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
        mode = service.inbound()["mode"]
        stage.note(f"{name}: {dict(zip(FINDINGS, outcomes.split(), strict=True))}")
        for (finding, (destination, port)), outcome in zip(dials.items(), outcomes.split(), strict=True):
            concerned = twin.name if finding == "no_rule" else name
            verdict = "unverified" if mode == "off" else finding
            check(strict, stranger, destination, port, concerned, verdict, outcome)
        check(strict, prober, server.address, service.ports[0], name, "exempt", "allowed")
        # Exempt sources reach plain addresses: on the service's own they are judged as all are.
        own = "unverified" if mode == "off" else "violation"
        check(strict, prober, bad, service.ports[0], name, own, outcomes.split()[2])
    stage.note("what cannot be checked")
    for name, outcome in OBJECTS.items():
        service = services[name]
        address = service.items[0].split("/")[0] + "7"
        check(strict, stranger, address, service.ports[0], name, "unchecked", outcome)
        stage.claim(f"{name}: what is logged as unchecked", "field_0", strict.access_log()[-1]["unchecked"])
    stage.note("a port of several services")
    loose, watched, _, vault = (services[name] for name in SHARING)
    check(strict, stranger, server.address, 8300, "vault", "outside", "denied")
    counted[strict, "loose", "unverified", "allowed"] += 1
    counted[strict, "watched", "outside", "shadow_denied"] += 1
    counted[strict, "mild", "outside", "demoted"] += 1
    for service, found in ((loose, ("unverified", "allowed")), (watched, ("other_port", "shadow_denied"))):
        check(strict, stranger, service.plain, 8301, "vault", "outside", "denied")
        counted[(strict, service.name, *found)] += 1
    composed = stage.ssa.compose(vault.published, stranger.address)[0]
    check(strict, stranger, composed, 8300, "vault", "conforming", "allowed")
    stage.note("connections that match no service")
    check(strict, stranger, server.address, 9000, "-", "no_match", "denied")
    check(strict, prober, server.address, 9000, "-", "exempt", "allowed")
    check(strict, prober, server.address, 9001, "-", "no_match", "denied")
    check(strict, stranger, server.address, 15006, "-", "no_match", "denied")
    check(allowing, stranger, lax.address, 9000, "-", "no_match", "allowed")
    check(allowing, stranger, lax.address, services["enforce"].ports[0], "enforce", "outside", "denied")
    for sidecar in (strict, allowing):
        metrics = {
            (labels["ssa_service"], labels["ssa_verdict"], labels["ssa_outcome"]): value
            for name, labels, value in sidecar.metrics()
            if name == "ssa_inbound_connections_total"
        }
        dialled = {key[1:]: value for key, value in counted.items() if key[0] is sidecar}
        stage.claim(f"the metrics of {sidecar.host.name} are what was dialled", dialled, metrics)
