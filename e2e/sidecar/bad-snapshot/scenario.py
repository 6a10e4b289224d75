"""Invalid snapshots, and a resolver that fails in every way: the last good snapshot stays in force, and Envoy survives.

Topology: a client with a sidecar, a stranger without one, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml; services from snapshots.

Expected: a snapshot that cannot be read is counted as refused, and the log says why; one that does not arrive is
counted as failed. The age of the snapshot grows while the resolver is dead, and falls when it is back. If a record's
secret is missing, a server ignores that record and applies the others; a client that would use it connects to the plain
address.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

from lib import snapshots, timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.snapshots import Resolver
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
WEB = FILES.service("web")
# A record without its secret beside one that needs none, and one alone.
MIXED, ALONE = FILES.service("web", "mixed"), FILES.service("web", "alone")
SECRET = "00112233445566778899aabbccddeeff"
MEGABYTE = 1 << 20


def garbage(role: str, good: dict[str, Any]) -> list[tuple[str, str | bytes, str]]:
    """Bodies that are no snapshot of this role: what, the body, and what the log has to say."""
    text = json.dumps(good)
    foreign = {"inbound": "addresses", "outbound": "mode"}[role]

    def changed(**fields: Any) -> str:
        return json.dumps({**good, **fields})

    def service(**fields: Any) -> str:
        return changed(services=[{**good["services"][0], **fields}])

    both = copy.deepcopy(good["services"][0])
    both["name"] = "other"
    return [
        ("nothing", "", ""),
        ("no JSON", "nonsense", ""),
        ("half of it", text[: len(text) // 2], ""),
        ("a list", "[]", ""),
        ("null", "null", ""),
        ("bytes that are no text", b"\x00\xff\xfe\x80{}", ""),
        ("100,000 brackets", "[" * 100_000, ""),
        ("a number past all bounds", changed(version=1).replace('"version": 1', '"version": 1e999'), ""),
        ("another version", changed(version=2), "version"),
        ("a generation that is no name", changed(generation="a b"), "generation"),
        ("a field that there is none of", changed(whatever=1), "whatever"),
        ("a field twice", text.replace("{", '{"off": true, "off": false, ', 1), "off"),
        ("a field of the other role", service(**{foreign: "x"}), foreign),
        ("services in one space", changed(services=[*good["services"], both]), "services"),
        ("a list that is none", service(apl="2:::/129"), "services[0].apl"),
        ("1025 services", changed(services=good["services"] * 1025), "services"),
        ("a secret of 33 digits", service(secrets={"k1": {"secret": SECRET + "0"}}), "secrets"),
        ("17 MB of blanks", " " * (17 * MEGABYTE) + text, ""),
    ]


# Each behaviour, and what is counted of it.
BEHAVIOURS = [
    (snapshots.unavailable, "failed"),
    (snapshots.not_found, "failed"),
    (snapshots.redirects, "failed"),
    (snapshots.not_http, "failed"),
    (snapshots.hangs_up, "failed"),
    (snapshots.endless_headers, "failed"),
    (snapshots.truncated, "failed"),
    (snapshots.hangs, "failed"),
    (snapshots.always_unchanged, "unchanged"),
    (snapshots.chunked, "unchanged"),
]


def run(stage: Stage) -> None:
    client, stranger = stage.net.client(), stage.net.stranger()
    server = stage.server(1, WEB)
    near, of_near = snapshots.sidecar(stage, client, FILES.client())
    far, of_far = snapshots.sidecar(stage, server, FILES.server())
    of_near.publish(WEB)
    of_far.publish(WEB)
    stage.begin(near, far)
    mine = stage.ssa.compose(WEB.published, stranger.address)[0]
    other = stage.ssa.compose(WEB.published, client.address)[0]

    def verified() -> bool:
        return stage.dial(stranger, mine).kind == "served" and stage.dial(stranger, other).kind == "refused"

    def composed() -> bool:
        before = near.outbound(outcome="composed")
        return stage.dial(client, WEB.plain).kind == "served" and near.outbound(outcome="composed") == before + 1

    sides = [(far, of_far, verified), (near, of_near, composed)]
    for sidecar, resolver, works in sides:
        resolver.wait_taken()
        stage.claim_steady(f"{resolver.role}: it works", works)
        bodies(stage, sidecar, resolver, works)
        dead(stage, sidecar, resolver, works)
        stage.claim(f"{resolver.role}: logs that tell the secret", False, SECRET in sidecar.output())
    behaviours(stage, *sides[0])
    left_out(stage, client, stranger, near, of_near, far, of_far)


def counted(sidecar: Sidecar, resolver: Resolver, outcome: str) -> int:
    return sidecar.count(f"ssa_{resolver.role}_snapshots_total", outcome=outcome)


def wait_counted(stage: Stage, sidecar: Sidecar, resolver: Resolver, what: str, outcome: str) -> None:
    """Waits until each VM has counted it."""
    before = counted(sidecar, resolver, outcome)
    stage.wait(
        timeouts.SOON,
        f"{resolver.role}, {what}: {outcome}",
        lambda: counted(sidecar, resolver, outcome) > before + sidecar.concurrency,
    )


def bodies(stage: Stage, sidecar: Sidecar, resolver: Resolver, works: Callable[[], object]) -> None:
    stage.note(f"{resolver.role}: garbage")
    good = resolver.snapshot(WEB)
    for what, body, place in garbage(resolver.role, good):
        printed = len(sidecar.output())
        resolver.put(body)
        wait_counted(stage, sidecar, resolver, what, "refused")
        said = sidecar.output()[printed:]
        stage.claim_in(f"{resolver.role}, {what}: the log", f"{resolver.role} snapshot refused: ", said)
        stage.claim_in(f"{resolver.role}, {what}: the log", place, said)
        stage.claim_steady(f"{resolver.role}, {what}: the last good snapshot stays in force", works)
        resolver.put(json.dumps({**good, "generation": f"after-{resolver.generation}"}))
        resolver.generation += 1
        resolver.wait_taken()


def behaviours(stage: Stage, sidecar: Sidecar, resolver: Resolver, works: Callable[[], object]) -> None:
    stage.note(f"{resolver.role}: a resolver that does not answer as asked")
    for behaviour, outcome in BEHAVIOURS:
        resolver.answer(behaviour)
        wait_counted(stage, sidecar, resolver, behaviour.__name__, outcome)
        stage.claim_steady(f"{resolver.role}, {behaviour.__name__}: the last good snapshot stays in force", works)
    resolver.answer(snapshots.as_documented)
    resolver.publish(WEB)
    resolver.wait_taken()
    stage.claim_steady(f"{resolver.role}: then it works", works)


def dead(stage: Stage, sidecar: Sidecar, resolver: Resolver, works: Callable[[], object]) -> None:
    stage.note(f"{resolver.role}: a resolver that dies")
    oldest = f"ssa_{resolver.role}_snapshot_age_max_seconds"
    youngest = f"ssa_{resolver.role}_snapshot_age_min_seconds"
    resolver.kill(leaves_socket=resolver.role == "outbound")
    wait_counted(stage, sidecar, resolver, "it is dead", "failed")
    stage.wait(timeouts.SOON, "the snapshot ages", lambda: sidecar.count(youngest) >= 3)
    stage.claim_steady(f"{resolver.role}: the last good snapshot stays in force", works)
    resolver.listen()
    resolver.publish(WEB)
    resolver.wait_taken()
    stage.wait(timeouts.SOON, "it is fresh again", lambda: sidecar.count(oldest) <= 2)
    stage.claim_steady(f"{resolver.role}: then it works", works)


def left_out(
    stage: Stage, client: Host, stranger: Host, near: Sidecar, of_near: Any, far: Sidecar, of_far: Any
) -> None:
    stage.note("a record without its secret")
    mine = stage.ssa.compose(WEB.published, stranger.address)[0]
    for what, service, verdict in (("beside another", MIXED, "conforming"), ("alone", ALONE, "no_rule")):
        for sidecar, resolver in ((near, of_near), (far, of_far)):
            installed = counted(sidecar, resolver, "installed")
            resolver.publish(service)
            resolver.wait_taken()
            more = counted(sidecar, resolver, "installed") - installed
            stage.claim(f"{what}, {resolver.role}: the snapshot is taken", sidecar.concurrency + 1, more)
        stage.claim_in(f"{what}: the server's log", "snapshot: unusable: ", far.output())
        failed, found = near.outbound(outcome="failed"), far.inbound(verdict=verdict)
        stage.dial(stranger, mine)
        stage.claim(f"{what}: the stranger's connection is {verdict}", 1, far.inbound(verdict=verdict) - found)
        stage.dial(client, WEB.plain)
        stage.claim(f"{what}: the client's cannot be composed", 1, near.outbound(outcome="failed") - failed)
        stage.claim_in(f"{what}: the client's log", "no address of service web: ", near.output())
    for sidecar in (near, far):
        stage.claim(f"the Envoy of {sidecar.host.name} runs", None, sidecar.process.poll())
