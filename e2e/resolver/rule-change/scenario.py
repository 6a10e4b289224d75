"""A rule changes in the DNS at 500 connections/s: no conforming connection is refused.

Topology: two clients with sidecars and shims, started at different times; a router; a server with a sidecar and a shim;
two real DNS servers for one zone, BIND and Knot: the server's shim asks one and the clients' shims the other. Both are
of the kind that SSA_DNS names, if it is set, and BIND if there is no Knot.

Configuration: envoy/client.yaml and envoy/server.yaml; the sidecars learn their services from their shims only. TTL
3 s.

Expected: the new record is published next to the old one with a `from` more than a TTL ahead, and the old one is
removed a TTL after it; then the width changes too, with lists in the records. Every connection is answered and
conforms, although the server's shim is killed and restarted in the middle, and the DNS disappears for a while.
"""

import os
import shutil
import signal
import time
from typing import Any

from lib import resolver, timeouts
from lib.files import Files
from lib.stage import Stage

LIMIT = 180
FILES = Files(__file__)
WEB = FILES.published("zone-1-old")["web"]
RATE, TTL = 250, 3


def pause(stage: Stage, seconds: float) -> None:
    until = time.time() + seconds
    stage.wait(seconds + 1, f"{seconds} s pass", lambda: time.time() > until)


def run(stage: Stage) -> None:
    named = os.environ.get("SSA_DNS")
    kinds = [named or "bind", named or ("knot" if shutil.which("knotd") else "bind")]
    stage.note(f"        the servers are {' and '.join(kinds)}")
    hosts = [stage.net.host(f"dns{number}", f"2001:db8:0:5{number}::53") for number in range(len(kinds))]
    clients = [stage.net.client(), stage.net.client("late", "2001:db8:0:3::10")]
    more = "2001:db8:5:10::/60"
    server = stage.net.server(1, [*WEB.prefixes, more])
    for prefix in (*WEB.prefixes, more):
        stage.net.route(prefix, server)
    stage.application(server)
    zones = [resolver.NameServer(stage, host, kind) for host, kind in zip(hosts, kinds, strict=True)]

    def publish(name: str, **values: Any) -> None:
        for zone in zones:
            zone.publish(FILES.text(name, **values))

    publish("zone-1-old")
    far, far_shim = resolver.sidecar(stage, server, FILES.server(), FILES.later("server-resolver.json"))
    of_clients = FILES.later("client-resolver.json")
    near, near_shim = resolver.sidecar(stage, clients[0], FILES.client(), of_clients)
    stage.begin(far, near)
    loads = [stage.load(clients[0], destinations=[WEB.plain], rate=RATE)]
    stage.wait(timeouts.SOON, "connections are made", lambda: far.inbound(verdict="conforming") > RATE)
    late, late_shim = resolver.sidecar(stage, clients[1], FILES.json("late.json"), of_clients)
    stage.begin(late)
    loads.append(stage.load(clients[1], destinations=[WEB.plain], rate=RATE))
    shims = [far_shim, near_shim, late_shim]

    stage.note("the rule changes")
    moment = int(time.time()) + 2 * TTL + 2
    values = {"new_from": moment}
    publish("zone-2-both", **values)
    new = FILES.having(**values).published("zone-3-new")["web"].rules
    for shim in shims:
        role = "inbound" if shim is far_shim else "outbound"
        stage.wait(2 * TTL, f"{shim.host.name} has both", lambda: len(shim.rules(role, "web")) == 2)
    stage.claim_between("seconds until it takes effect, known by all", 0.1, 2 * TTL + 2, round(moment - time.time(), 1))
    stage.wait(timeouts.SOON, "the new one takes effect", lambda: time.time() > moment)
    far_shim.stop(signal.SIGKILL)
    stage.wait(timeouts.SOON, "a TTL passes", lambda: time.time() > moment + TTL)
    publish("zone-3-new", **values)
    stage.note("the server's shim was killed, and restarts with what is left")
    far_shim.start()
    far_shim.wait_state("web", "inbound", "usable")
    stage.claim("it keeps the old rule too", 2, len(far_shim.rules("inbound", "web")))
    stage.wait(2 * TTL, "the clients have the new one alone", lambda: near_shim.rules("outbound", "web") == new)
    stage.wait(2 * TTL, "all of them", lambda: late_shim.rules("outbound", "web") == new)

    stage.note("the width changes: lists move into the records, the APL record is removed, and another record is added")
    publish("zone-4-lists", **values)
    pause(stage, TTL)
    publish("zone-5-lists-alone", **values)
    pause(stage, TTL)
    moment = int(time.time()) + 2 * TTL + 2
    values["wide_from"] = moment
    publish("zone-6-widths", **values)
    for shim in shims:
        role = "inbound" if shim is far_shim else "outbound"
        stage.wait(2 * TTL, f"{shim.host.name} has both", lambda: "rand:48" in str(shim.rules(role, "web")))
    stage.wait(timeouts.SOON, "the wide one takes effect", lambda: time.time() > moment + TTL)
    publish("zone-7-wide", **values)
    (wide,) = FILES.having(**values).published("zone-7-wide")["web"].rules
    for shim in (near_shim, late_shim):
        stage.wait(
            2 * TTL,
            f"{shim.host.name} has it alone",
            lambda: shim.rules("outbound", "web") == [wide.partition("; apl=")[0]],
        )

    stage.note("the DNS goes away")
    for zone in zones:
        zone.stop()
    for shim in shims:
        role = "inbound" if shim is far_shim else "outbound"
        reason = shim.wait_state("web", role, "stale")
        stage.claim_in(f"{shim.host.name} says why", "connection refused", reason)
    so_far = far.inbound()
    stage.wait(timeouts.SOON, "connections continue", lambda: far.inbound() > so_far + 4 * RATE)
    for zone in zones:
        zone.start()
    for shim in shims:
        shim.wait_state("web", "inbound" if shim is far_shim else "outbound", "usable")

    answered = 0
    for load in loads:
        told = load.end()
        stage.note(f"        {told['opened']} connections in {told['seconds']} s, the slowest took {told['slowest']} s")
        stage.claim("connections without an answer", [], told["samples"])
        stage.claim("connections that are answered", told["opened"], told["answered"])
        answered += told["answered"]
    stage.claim("connections that conform", answered, far.inbound(verdict="conforming", outcome="allowed"))
    stage.claim("connections counted", answered, far.inbound())
    composed = near.outbound(outcome="composed") + late.outbound(outcome="composed")
    stage.claim("connections composed", answered, composed)
    for shim in shims:
        stage.note(f"        the shim of {shim.host.name}: {shim.resident()} kB in memory")
        stage.claim("exit status of the shim", 0, shim.stop())
