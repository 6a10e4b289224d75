"""Proofs of work are solved while connections are held, in time slices that leave the worker free for others.

Topology: a client with a sidecar of one worker, a router, one server with a sidecar.

Configuration: envoy/client.yaml, services from snapshots; envoy/server.yaml. A service whose rule requires no work, two
that require 18 and 22 bits, and three that require 24. The client solves up to 24 bits and holds connections for 30
seconds; then up to the default number of bits; then 24 again, but holds for only 20 milliseconds.

Expected: the first connection to each is held until its proof is found, and conforms; those that follow in the same
minute use the same address at once. Connections to the other service are answered meanwhile, with little delay. What is
not solved in time goes to the dialled address, and so does, at once, a service that requires more bits than the
operator allows. A proof that nobody waits for any more costs nothing.
"""

import time
from collections.abc import Callable
from typing import Any

from lib import snapshots, timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.service import Service
from lib.stage import Stage, address

FILES = Files(__file__)
PLAIN, HARD, HARDER, *HARDEST = SERVICES = list(FILES.services().values())
RATE, REQUESTS = 200, 20


def run(stage: Stage) -> None:
    client = stage.net.client()
    server = stage.server(1, *SERVICES)
    far = stage.sidecar(server, "server.yaml", FILES.server())
    near = client_sidecar(stage, client, "client")
    # A proof is good for its minute, and some seconds more.
    stage.wait(timeouts.INTERVAL, "enough of the minute is left", lambda: time.time() % 60 < 35)
    for service in (HARD, HARDER):
        solved(stage, client, near, far, service)
    stage.claim("proofs that were not found", 0, near.outbound(outcome="failed"))
    near.stop()

    stage.note("the default number of bits")
    near = client_sidecar(stage, client, "client-default")
    began = time.monotonic()
    stage.claim(
        "a service that requires 22 bits, at the dialled address, is", "served", stage.dial(client, HARDER.plain).kind
    )
    stage.claim_between("after s", 0, 5, round(time.monotonic() - began, 2))
    stage.claim("that is counted", 1, near.outbound(service="harder", outcome="failed"))
    stage.claim_in("the log", "service harder: the record asks for pow=22: max_pow is 20", near.output())
    far_before = far.inbound(verdict="legacy", outcome="demoted")
    near.stop()

    stage.note("too little time to solve")
    near = client_sidecar(stage, client, "client-hurried")
    kinds = {stage.dial(client, service.plain).kind for service in HARDEST}
    stage.claim("connections are", {"served"}, kinds)
    failed = near.outbound(outcome="failed")
    # Luck finds one in some hundred within that time.
    stage.claim_between("of them not composed", 1, 3, failed)
    stage.claim("the others are composed", 3 - failed, near.outbound(outcome="composed"))
    stage.claim_in("the log", "no proof of work, and no time or room left to wait for it", near.output())
    stage.claim("connections still held", 0, near.count("ssa_outbound_held_connections"))
    demoted = far.inbound(verdict="legacy", outcome="demoted") - far_before
    stage.claim("at the dialled address they are demoted", failed, demoted)
    stage.claim("violations", 0, far.inbound(verdict="violation"))
    stage.wait_steady(timeouts.SOON, "nobody waits any more, and nothing is worked on", idle(near), pause=0.5)


def idle(near: Sidecar) -> Callable[[], bool]:
    """Returns a condition: since its last call the sidecar took less than a twentieth of a core, where work takes a
    quarter and more."""
    last = (time.monotonic(), near.cpu_seconds())

    def since_then() -> bool:
        nonlocal last
        (began, used), last = last, (time.monotonic(), near.cpu_seconds())
        # CPU time is counted in hundredths of a second.
        return last[1] - used < 0.02 + 0.05 * (last[0] - began)

    return since_then


def client_sidecar(stage: Stage, client: Host, name: str) -> Sidecar:
    near, resolver = snapshots.sidecar(stage, client, FILES.json(f"{name}.json"), concurrency=1, folder=name)
    resolver.publish(*SERVICES)
    stage.begin(near)
    resolver.wait_taken()
    return near


def solved(stage: Stage, client: Host, near: Sidecar, far: Sidecar, service: Service) -> None:
    load = stage.load(client, destinations=[PLAIN.plain], rate=RATE)
    so_far = near.outbound(service="plain")
    stage.wait(timeouts.SOON, "other connections are made", lambda: near.outbound(service="plain") > so_far + 20)
    so_far = near.outbound(service="plain")
    began = time.monotonic()
    kind = stage.dial(client, service.plain, timeout=timeouts.HELD_EXCHANGE).kind
    first = time.monotonic() - began
    meanwhile = near.outbound(service="plain") - so_far
    told = load.end()
    stage.note(f"        {service.name}: found in {first:.2f} s; others took {told['slowest']} s at most")
    stage.claim(f"{service.name}: the connection is", "served", kind)
    stage.claim_between(f"{service.name}: others that come meanwhile", first * RATE / 2 - 20, 40 * RATE, meanwhile)
    stage.claim(f"{service.name}: others that are answered", told["opened"], told["answered"])
    began = time.monotonic()
    kinds = {stage.dial(client, service.plain).kind for _ in range(REQUESTS)}
    stage.note(f"        {service.name}: {REQUESTS} connections more in {time.monotonic() - began:.2f} s")
    stage.claim(f"{service.name}: connections after that are", {"served"}, kinds)

    def logged() -> list[dict[str, Any]] | None:
        lines = [line for line in far.access_log() if line["service"] == service.name]
        return lines if len(lines) == REQUESTS + 1 else None

    lines = stage.wait(timeouts.SOON, f"{service.name}: all are logged", logged)
    stage.claim(f"{service.name}: verdicts", {"conforming"}, {line["verdict"] for line in lines})
    used = {address(line["destination"]) for line in lines}
    stage.claim(f"{service.name}: addresses that they go to", 1, len(used))
