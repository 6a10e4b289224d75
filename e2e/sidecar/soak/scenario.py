"""Ten minutes of everything at once: no conforming connection is refused, Envoys survive and their memory is stable.

Topology: a client with a sidecar, a stranger without one, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml, with the filter from a file (ECDS) and without access logs;
services from snapshots. Every 3 seconds one thing changes, in turn: other services next to those under load, in another
order; a pushed configuration; garbage instead of a snapshot; a resolver that fails in some way; one that dies and comes
back.

Expected: connections to a service with a mac over time and to one with proof of work are all answered; a stranger's
wrong ones are all refused, and those to plain addresses all demoted. Connections established at the start survive.
"""

import time

from lib import snapshots, timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.service import Numbered
from lib.snapshots import Resolver
from lib.stage import Stage

LONG = True
LIMIT = 900
LASTS, EVERY = 600, 3
FILES = Files(__file__)
TOKEN, WORK = FILES.service("token"), FILES.service("work")
OTHERS = [Numbered(number, f"other-{number}", "v=ssa1; addr=rand:64") for number in range(3, 40)]
HELD = 100
BEHAVIOURS = [
    snapshots.unavailable,
    snapshots.hangs,
    snapshots.not_http,
    snapshots.truncated,
    snapshots.hangs_up,
    snapshots.chunked,
    snapshots.endless_headers,
]
GARBAGE = ["", "nonsense", "[" * 100_000, '{"version": 1}', " " * (17 << 20)]


def run(stage: Stage) -> None:
    client, stranger = stage.net.client(), stage.net.stranger()
    server = stage.server(1, TOKEN, WORK)
    sides = [
        snapshots.sidecar(stage, client, FILES.client(), dynamic="ecds", patch=FILES.text("client.patch")),
        snapshots.sidecar(stage, server, FILES.server(), dynamic="ecds", patch=FILES.text("server.patch")),
    ]
    (near, _), (far, _) = sides
    for _, resolver in sides:
        resolver.publish(TOKEN, WORK)
    stage.begin(near, far)
    wrong = stage.ssa.compose(WORK.published, client.address, port=80, time=1)[0]
    held = stage.load(client, destinations=[TOKEN.plain], count=HELD, hold=True)
    stage.claim("connections established before", HELD, held.settled()["answered"])
    loads = {
        "token": stage.load(client, destinations=[TOKEN.plain], rate=150),
        "work": stage.load(client, destinations=[WORK.plain], rate=20),
        "wrong": stage.load(stranger, destinations=[wrong], rate=20),
        # Fewer at once than the cluster of demoted connections takes.
        "plain": stage.load(stranger, destinations=[TOKEN.plain], rate=5, at_once=8),
    }
    memory = trouble(stage, sides)
    stage.claim("established connections that survived", HELD, held.check())
    held.end()
    told = {name: load.end() for name, load in loads.items()}
    for name, fate in (("token", "answered"), ("work", "answered"), ("wrong", "refused"), ("plain", "answered")):
        one = told[name]
        stage.note(f"        {name}: {one['opened']} in {one['seconds']} s, the slowest took {one['slowest']} s")
        stage.claim(f"{name}: connections that are not {fate}", 0, one["opened"] - one[fate])
        if fate == "answered":
            stage.claim(f"{name}: connections without an answer", [], one["samples"])
    for service in (TOKEN, WORK):
        composed = near.outbound(service=service.name, outcome="composed")
        stage.claim(f"{service.name}: connections not composed", 0, near.outbound(service=service.name) - composed)
    stage.claim("violations", told["wrong"]["opened"], far.inbound(verdict="violation", outcome="denied"))
    stage.claim("demoted", told["plain"]["opened"], far.inbound(verdict="legacy", outcome="demoted"))
    for number, (sidecar, _) in enumerate(sides):
        stage.claim(f"the Envoy of {sidecar.host.name} runs", None, sidecar.process.poll())
        quarter = len(memory) // 4
        for kind in ("allocated", "beside"):
            rows = memory[quarter : 2 * quarter], memory[-quarter:]
            early, late = (min(row[number][kind] for row in some) for some in rows)
            stage.claim_between(f"{sidecar.host.name}'s Envoy, second half: MB more, {kind}", -100, 4, late - early)


def trouble(stage: Stage, sides: list[tuple[Sidecar, Resolver]]) -> list[list[dict[str, int]]]:
    """Makes trouble, and returns the memory of both Envoys by and by."""
    began = time.monotonic()
    memory, turn, told = [], 0, 0
    steps = [change, push, garbage, fail, kill]
    while (at := time.monotonic() - began) < LASTS:
        steps[turn % len(steps)](stage, sides, turn // len(steps))
        turn += 1
        stage.wait(EVERY + 5, "the next step", lambda: time.monotonic() - began >= turn * EVERY or at > turn * EVERY)
        memory.append([sidecar.memory() for sidecar, _ in sides])
        if at >= told:
            known = sides[0][0].stat(r"cluster\.original_dst\.membership_total")
            stage.note(
                f"        after {at:.0f} s, {turn} changes: addresses that the client's Envoy knows: {known}; "
                f"MB: {memory[-1]}"
            )
            told += 60
    for sidecar, resolver in sides:
        name = f"ssa_{resolver.role}_snapshots_total"
        counts = {what: sidecar.count(name, outcome=what) for what in ("installed", "unchanged", "refused", "failed")}
        stage.note(f"        snapshots of {sidecar.host.name}: {counts}")
        failed = [sidecar.stat(rf"cluster\..*\.upstream_cx_connect_{what}") for what in ("fail", "timeout")]
        stage.note(f"        connections upstream of {sidecar.host.name} that failed, and of them in time: {failed}")
    return memory


def change(stage: Stage, sides: list[tuple[Sidecar, Resolver]], turn: int) -> None:
    others = OTHERS[: turn * 7 % len(OTHERS)]
    services = [*others, TOKEN, WORK] if turn % 2 else [WORK, TOKEN, *others]
    for _, resolver in sides:
        resolver.publish(*services)


def push(stage: Stage, sides: list[tuple[Sidecar, Resolver]], turn: int) -> None:
    for sidecar, resolver in sides:
        # The client's pool is small: each push and each time step draws anew, and each new address costs Envoy time in
        # proportion to the addresses it knows.
        made = FILES.client() if resolver.role == "outbound" else FILES.server()
        sidecar.push({**made, "hold": {**made["hold"], "connections": 1024 + turn % 1000}})


def garbage(stage: Stage, sides: list[tuple[Sidecar, Resolver]], turn: int) -> None:
    body = GARBAGE[turn % len(GARBAGE)]
    good = [resolver.body for _, resolver in sides]
    for sidecar, resolver in sides:
        refused = counted(sidecar, resolver, "refused")
        resolver.put(body)
        stage.wait(timeouts.SOON, "garbage is refused", lambda: counted(sidecar, resolver, "refused") > refused)
    for (_, resolver), before in zip(sides, good, strict=True):
        resolver.put(before or b"")


def fail(stage: Stage, sides: list[tuple[Sidecar, Resolver]], turn: int) -> None:
    behaviour = BEHAVIOURS[turn % len(BEHAVIOURS)]
    for _, resolver in sides:
        resolver.answer(behaviour)
    if behaviour not in (snapshots.hangs, snapshots.chunked):
        for sidecar, resolver in sides:
            failed = counted(sidecar, resolver, "failed")
            stage.wait(timeouts.SOON, "questions fail", lambda: counted(sidecar, resolver, "failed") > failed)
    for _, resolver in sides:
        resolver.answer(snapshots.as_documented)


def kill(stage: Stage, sides: list[tuple[Sidecar, Resolver]], turn: int) -> None:
    for sidecar, resolver in sides:
        failed = counted(sidecar, resolver, "failed")
        resolver.kill(leaves_socket=turn % 2 == 0)
        stage.wait(timeouts.SOON, "questions fail", lambda: counted(sidecar, resolver, "failed") > failed)
        resolver.listen()


def counted(sidecar: Sidecar, resolver: Resolver, outcome: str) -> int:
    return sidecar.count(f"ssa_{resolver.role}_snapshots_total", outcome=outcome)
