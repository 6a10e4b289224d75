"""20 configuration pushes at 500 connections/s, with services from snapshots: no conforming connection is refused.

Topology: a client with a sidecar, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml, with the filter from a file (ECDS), as Istio delivers it;
services from snapshots. Each push creates new plugins, which have no snapshot yet; the resolver delays the last one.

Expected: connections that arrive meanwhile are held and then released. Every one is answered and counted as conforming,
and established connections survive.
"""

from typing import Any

from lib import snapshots, timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.snapshots import Resolver
from lib.stage import Stage

FILES = Files(__file__)
WEB = FILES.service("web")
PUSHES, RATE, HELD = 20, 500, 50


def run(stage: Stage) -> None:
    client = stage.net.client()
    server = stage.server(1, WEB)
    sides = [
        snapshots.sidecar(stage, client, FILES.client(), dynamic="ecds"),
        snapshots.sidecar(stage, server, FILES.server(), dynamic="ecds"),
    ]
    (near, _), (far, _) = sides
    for _, resolver in sides:
        resolver.publish(WEB)
    stage.begin(near, far)
    held = stage.load(client, destinations=[WEB.plain], count=HELD, hold=True)
    stage.claim("connections established before", HELD, held.settled()["answered"])
    load = stage.load(client, destinations=[WEB.plain], rate=RATE)
    counted = r"cluster\.application\.upstream_cx_total"
    for push in range(1, PUSHES):
        so_far = far.stat(counted)
        push_both(stage, sides, push)
        stage.wait(timeouts.SOON, "connections continue", lambda: far.stat(counted) >= so_far + 150)
    for _, resolver in sides:
        resolver.answer(snapshots.unavailable)
    push_both(stage, sides, PUSHES)
    for sidecar, resolver in sides:
        gauge = f"ssa_{resolver.role}_held_connections"
        stage.wait(timeouts.SOON, f"{sidecar.host.name} holds connections", lambda: sidecar.count(gauge) >= 100)
        resolver.answer(snapshots.as_documented)
        stage.wait(timeouts.SOON, f"{sidecar.host.name} has let them go", lambda: sidecar.count(gauge) == 0)
    stage.claim("established connections that survived", HELD, held.check())
    held.end()
    total = load.end_steady() + HELD
    stage.claim("connections composed", total, near.outbound(outcome="composed"))
    stage.claim("connections that conform", total, far.inbound(verdict="conforming", outcome="allowed"))
    stage.claim("connections counted otherwise", 0, far.inbound() + near.outbound() - 2 * total)


def push_both(stage: Stage, sides: list[tuple[Sidecar, Resolver]], push: int) -> None:
    for sidecar, resolver in sides:
        taken = r"extension_config_discovery\..*\.config_reload"
        before = sidecar.stat(taken)
        sidecar.push(configuration(resolver, push))
        stage.wait(timeouts.SOON, f"push {push} is taken by {sidecar.host.name}", lambda: sidecar.stat(taken) > before)


def configuration(resolver: Resolver, push: int) -> dict[str, Any]:
    """Returns another configuration of the same sense."""
    made = FILES.client() if resolver.role == "outbound" else FILES.server()
    return {**made, "hold": {**made["hold"], "connections": 1000 + push}}
