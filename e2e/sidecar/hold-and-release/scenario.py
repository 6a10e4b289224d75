"""Connections that arrive before the first snapshot are held, then released, refused or dropped as configured.

Topology: a client with a sidecar, a stranger without one, a router, a web server with a sidecar, and a mail server with
one, whose application speaks first.

Configuration: envoy/client.yaml and envoy/server.yaml; services from snapshots of a resolver that has nothing at first.

Expected: while a connection is held, nothing it sends is forwarded, and a gauge counts it. Both sidecars hold it in
turn, and it is forwarded unchanged once each has its snapshot. If none arrives in time, or too many are already held,
it is released or closed as configured; then the oldest connection of the network that has most makes room. Clients that
leave are forgotten when their time is up, and block nobody until then. Thousands are released, and thousands refused,
at once, and Envoy survives.
"""

import socket
import struct
import time
from typing import Any

from lib import snapshots, timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.snapshots import Resolver
from lib.stage import Stage

FILES = Files(__file__)
WEB, MAIL = FILES.service("web"), FILES.service("mail")
# Nobody conforms: it is in force from 2096 on.
LATER = FILES.service("web", "later")
GREETING = b"220 mail\r\n"
COUNT, THOUSANDS = 20, 6000
LIMIT = 240
# The upstream connections of each kind of sidecar.
OUT, IN = r"cluster\.original_dst\.upstream_cx_total", r"cluster\.application\.upstream_cx_total"


def begin(
    stage: Stage,
    host: Host,
    configuration: dict[str, Any],
    name: str = "",
    concurrency: int = 2,
    snapshot: Any = None,
    **changes: Any,
) -> tuple[Sidecar, Resolver]:
    """Starts a sidecar with its resolver, which serves nothing; `snapshot` and `changes` are fields that differ."""
    configuration = {**configuration, "snapshot": {**configuration["snapshot"], **(snapshot or {})}, **changes}
    sidecar, resolver = snapshots.sidecar(
        stage, host, configuration, concurrency=concurrency, folder=f"{host.name}{name}"
    )
    stage.begin(sidecar)
    return sidecar, resolver


def held(sidecar: Sidecar) -> int:
    role = "inbound" if "server" in sidecar.host.name else "outbound"
    return sidecar.count(f"ssa_{role}_held_connections")


def wait_held(stage: Stage, sidecar: Sidecar, count: int) -> None:
    stage.wait(timeouts.SOON, f"{sidecar.host.name} tells of {count} held", lambda: held(sidecar) == count)


def run(stage: Stage) -> None:
    client, stranger = stage.net.client(), stage.net.stranger()
    web, mail = stage.server(1, WEB), stage.net.server(2, MAIL.prefixes)
    for prefix in MAIL.prefixes:
        stage.net.route(prefix, mail)
    hold_both(stage, client, web, mail)
    in_vain(stage, client, stranger, web)
    too_many(stage, stranger, web)
    leavers(stage, stranger, web)
    keep_out(stage, stranger, web)
    thousands(stage, stranger, web)


def hold_both(stage: Stage, client: Host, web: Host, mail: Host) -> None:
    stage.note("held by both sidecars in turn")
    near, of_near = begin(stage, client, FILES.client())
    far, of_far = begin(stage, web, FILES.server())
    far_mail, of_mail = begin(stage, mail, FILES.server())
    with mail:
        greeter = socket.create_server(("::1", 8080), family=socket.AF_INET6)
    greeter.settimeout(timeouts.SOON)
    load = stage.load(client, destinations=[WEB.plain], count=COUNT, at_once=COUNT)
    with client:
        caller = socket.create_connection((MAIL.plain, 25), timeout=timeouts.HELD_EXCHANGE)
    wait_held(stage, near, COUNT + 1)
    stage.claim_steady(
        "the client's sidecar holds all, and connects to nobody", lambda: near.stat(OUT) == 0, pause=0.05
    )
    of_near.publish(WEB, MAIL)
    wait_held(stage, far, COUNT)
    wait_held(stage, far_mail, 1)
    wait_held(stage, near, 0)
    stage.claim_steady(
        "the servers' hold them, and connect to nobody", lambda: far.stat(IN) + far_mail.stat(IN) == 0, pause=0.05
    )
    of_far.publish(WEB)
    told = load.settled()
    stage.claim("client-first connections answered completely", COUNT, told["answered"])
    load.end()
    of_mail.publish(MAIL)
    served, _ = greeter.accept()
    served.settimeout(timeouts.SOON)
    served.sendall(GREETING)
    stage.claim("server-first connections: the greeting", GREETING, caller.recv(100))
    caller.sendall(b"HELO client\r\n")
    stage.claim("and what the client replies", b"HELO client\r\n", served.recv(100))
    stage.claim("connections composed", COUNT + 1, near.outbound(outcome="composed"))
    conforming = {"verdict": "conforming", "outcome": "allowed"}
    stage.claim("connections that conform", COUNT + 1, far.inbound(**conforming) + far_mail.inbound(**conforming))
    stage.claim("connections counted otherwise", 0, far.inbound() + far_mail.inbound() - COUNT - 1)
    for sidecar in (near, far, far_mail):
        wait_held(stage, sidecar, 0)
        sidecar.stop()


def in_vain(stage: Stage, client: Host, stranger: Host, web: Host) -> None:
    stage.note("no snapshot in time")
    own = stage.ssa.compose(WEB.published, stranger.address)[0]
    for more, kind, outcome in (({}, "refused", "denied"), ({"failure_mode_allow": True}, "served", "allowed")):
        name = "default" if not more else "allow" if more["failure_mode_allow"] else "deny"
        far, _ = begin(stage, web, FILES.server(), f"-{name}", snapshot=more, hold={"ms": 500})
        began = time.monotonic()
        stage.claim(f"inbound, {name}: the connection is", kind, stage.dial(stranger, own).kind)
        stage.claim_between(f"inbound, {name}: after s", 0.4, 3, round(time.monotonic() - began, 2))
        stage.claim(f"inbound, {name}: counted", 1, far.inbound(verdict="no_snapshot", outcome=outcome))
        if not more:
            far.stop()
    for more, kind, outcome in (({}, "served", "no_snapshot"), ({"failure_mode_allow": False}, "refused", "refused")):
        name = "default" if not more else "allow" if more["failure_mode_allow"] else "deny"
        near, _ = begin(stage, client, FILES.client(), f"-{name}", snapshot=more, hold={"ms": 500})
        began = time.monotonic()
        stage.claim(f"outbound, {name}: the connection is", kind, stage.dial(client, WEB.plain).kind)
        stage.claim_between(f"outbound, {name}: after s", 0.4, 3, round(time.monotonic() - began, 2))
        stage.claim(f"outbound, {name}: counted", 1, near.outbound(outcome=outcome))
        stage.claim(f"outbound, {name}: upstream connections", int(kind == "served"), near.stat(OUT))
        near.stop()
    far.stop()


def too_many(stage: Stage, stranger: Host, web: Host) -> None:
    stage.note("more connections than may be held")
    own = stage.ssa.compose(WEB.published, stranger.address)[0]
    far, of_far = begin(stage, web, FILES.server(), "-many", concurrency=1, hold={"connections": 8, "ms": 20000})
    load = stage.load(stranger, destinations=[own], count=COUNT, at_once=COUNT)
    stage.wait(timeouts.SOON, "some are refused immediately", lambda: far.inbound(verdict="no_snapshot") == COUNT - 8)
    wait_held(stage, far, 8)
    of_far.publish(WEB)
    told = load.settled()
    stage.claim("held and then answered, refused", (8, COUNT - 8), (told["answered"], told["refused"]))
    load.end()
    far.stop()


def leavers(stage: Stage, stranger: Host, web: Host) -> None:
    stage.note("clients that leave while they are held")
    own = str(stage.ssa.compose(WEB.published, stranger.address)[0])
    far, of_far = begin(stage, web, FILES.server(), "-left", hold={"ms": 3000})
    with stranger:
        connections = [socket.create_connection((own, 80), timeout=timeouts.EXCHANGE) for _ in range(3 * COUNT)]
    wait_held(stage, far, 3 * COUNT)
    resets, ends, stays = (connections[part::3] for part in range(3))
    for connection in resets:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    for connection in ends:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.close()
    # Envoy reads nothing of a connection that is held, so it does not see who leaves.
    wait_held(stage, far, 0)
    stage.claim(
        "all are released when their time is up", 3 * COUNT, far.inbound(verdict="no_snapshot", outcome="denied")
    )
    stage.claim("clients that stayed are closed", {b""}, {connection.recv(1) for connection in stays})
    for connection in stays:
        connection.close()
    gone = r"listener\.\[__\]_15006\.downstream_cx_active"
    stage.wait(timeouts.SOON, "no connection is left", lambda: not far.stat(gone))
    of_far.publish(WEB)
    of_far.wait_taken()
    stage.claim("a connection afterwards is", "served", stage.dial(stranger, own).kind)
    far.stop()


def keep_out(stage: Stage, stranger: Host, web: Host) -> None:
    stage.note("one network fills all places and leaves")
    far, of_far = begin(stage, web, FILES.server(), "-full", concurrency=1)
    # A network of its own: a /64 as the others have.
    crowd = stage.net.stranger("crowd", "2001:db8:0:66::6")
    for _ in range(2):
        leave(crowd, str(stage.ssa.compose(WEB.published, crowd.address)[0]), 600)
    wait_held(stage, far, 1024)
    own = stage.ssa.compose(WEB.published, stranger.address)[0]
    load = stage.load(stranger, destinations=[own], count=COUNT, at_once=COUNT)
    refused = 2 * 600 - 1024 + COUNT
    stage.wait(timeouts.SOON, "the crowd's oldest make room", lambda: far.inbound(verdict="no_snapshot") == refused)
    of_far.publish(WEB)
    stage.claim("conforming clients that arrive after them are answered", COUNT, load.settled()["answered"])
    load.end()
    far.stop()


def leave(host: Host, address: str, count: int) -> None:
    """Opens and closes connections."""
    for _ in range(count):
        with host:
            socket.create_connection((address, 80), timeout=timeouts.EXCHANGE).close()


def thousands(stage: Stage, stranger: Host, web: Host) -> None:
    own = stage.ssa.compose(WEB.published, stranger.address)[0]
    for service, fate in ((WEB, "answered"), (LATER, "refused")):
        stage.note(f"{THOUSANDS} are held, and all {fate} at once")
        far, of_far = begin(stage, web, FILES.server(), f"-{fate}", hold={"connections": 4096, "ms": 30000})
        load = stage.load(
            stranger, destinations=[own], count=THOUSANDS, at_once=THOUSANDS, timeout=timeouts.HELD_EXCHANGE
        )
        stage.wait(timeouts.INTERVAL, f"{THOUSANDS} are held", lambda: held(far) == THOUSANDS)
        of_far.publish(service)
        told = load.settled()
        load.end()
        stage.claim(f"connections that are {fate}", THOUSANDS, told[fate])
        stage.claim("Envoy runs", None, far.process.poll())
        wait_held(stage, far, 0)
        far.stop()
