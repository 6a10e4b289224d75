"""A thousand services in one snapshot: what it costs the shim and the sidecars.

Topology: a client with a sidecar, a router, a server with a sidecar, both with a shim; a DNS server.

Configuration: 1000 services with a TTL of 5 s, so that each shim sends some 700 queries a second. They are generated,
with their records.

Expected: each shim stays below 30 MB; its snapshot is complete, is not sent again while nothing changes, and a change
of one service reaches the sidecars at once. Printed are the snapshot's size; the shim's memory, and its CPU time for
each service that it resolves; the memory that each of Envoy's VMs needs for the snapshot, compared with an Envoy that
has none yet; and Envoy's CPU time while it waits for a change, and for one.
"""

import http.client
import socket
import time
from typing import Any

from lib import resolver, timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.resolver import Shim
from lib.service import Numbered
from lib.stage import Stage

FILES = Files(__file__)
LIMIT = 240
COUNT, TTL = 1000, 5
RULE = "v=ssa1; addr=hash(src/128):20 rand:44"
SECONDS = 10
WORKERS = 2
# Each worker has one, and the main thread.
VMS = WORKERS + 1


def service(number: int, rule: str = RULE) -> Numbered:
    return Numbered(number, f"s{number}", rule)


def records(services: Any) -> str:
    return "\n".join(one.records(TTL) for one in services)


def entry(one: Numbered, role: str) -> dict[str, Any]:
    """Returns a service's entry in the shim's configuration."""
    return {
        "name": one.name,
        "domain": f"{one.name}.{resolver.ZONE}",
        "allowed": ["2001:db8:5::/48", "2001:db8:6::/48"],
        role: {"ports": one.ports},
    }


def installed(sidecar: Sidecar, role: str) -> int:
    """Returns how many snapshots an Envoy's VMs have taken."""
    return sidecar.count(f"ssa_{role}_snapshots_total", outcome="installed")


def size(shim: Shim, role: str) -> int:
    """Returns how many bytes a snapshot has."""
    connection = http.client.HTTPConnection("resolver", timeout=timeouts.ADMIN)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(str(shim.socket))
    connection.request("GET", f"/v1/{role}")
    body = connection.getresponse().read()
    connection.close()
    return len(body)


def run(stage: Stage) -> None:
    services = [service(number) for number in range(1, COUNT + 1)]
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    client = stage.net.client()
    server = stage.net.server(1, ["2001:db8:5::/48", "2001:db8:6::/48"])
    for prefix in ("2001:db8:5::/48", "2001:db8:6::/48"):
        stage.net.route(prefix, server)
    stage.application(server)
    zone = resolver.NameServer(stage, dns)
    zone.publish(records(services))
    sidecars = {}
    for host, configuration in ((server, FILES.server()), (client, FILES.client())):
        began = time.monotonic()
        role = configuration["role"]
        configure = resolver.configured([entry(one, role) for one in services], [dns.address])
        sidecar, shim = resolver.sidecar(stage, host, configuration, configure, concurrency=WORKERS)
        stage.wait(
            timeouts.STARTED,
            "all are usable",
            lambda: shim.count("ssa_resolver_services", role=role, state="usable") == COUNT,
        )
        stage.note(f"        {host.name}: all of {COUNT} are known after {time.monotonic() - began:.1f} s")
        shim.stop()
        sidecar.start()
        sidecar.wait_ready()
        alone = sidecar.process.resident_kb()
        shim.start()
        stage.wait(timeouts.INTERVAL, "every VM has the snapshot", lambda: installed(sidecar, role) >= VMS)
        grown = sidecar.process.resident_kb() - alone
        stage.note(
            f"        {role}: snapshot {size(shim, role)} bytes;"
            f" Envoy {alone} kB without it and {grown} kB more with it,"
            f" {grown // VMS} kB for each of {VMS} VMs"
        )
        sidecars[role] = (sidecar, shim)

    def figures(sidecar: Sidecar, shim: Shim) -> tuple[float, float, int, int]:
        asked, requests = shim.count("ssa_resolver_resolutions_total"), shim.count("ssa_resolver_requests_total")
        return shim.process.cpu_seconds(), sidecar.process.cpu_seconds(), asked, requests

    for role, (sidecar, shim) in sidecars.items():
        status, tag, snapshot = shim.fetch(role)
        stage.claim(f"services that the {role} snapshot has", COUNT, len(snapshot["services"]))
        before = figures(sidecar, shim)
        until = time.monotonic() + SECONDS
        stage.wait(SECONDS + 2, f"{SECONDS} s pass", lambda: time.monotonic() > until, pause=0.5)
        shims, envoys, asked, requests = (now - then for now, then in zip(figures(sidecar, shim), before, strict=True))
        stage.claim("the snapshot is unchanged", 304, shim.fetch(role, tag, 0)[0])
        stage.note(
            f"        {role}: the shim has {shim.resident()} kB and needs {100 * shims / SECONDS:.0f} % of a CPU for"
            f" {asked / SECONDS:.0f} services/s, {1e6 * shims / (asked or 1):.0f} µs each; Envoy needs"
            f" {100 * envoys / SECONDS:.1f} %, and asked for a snapshot {requests} times in {SECONDS} s"
        )
        stage.claim_between(f"kB in memory of the {role} shim", 1, 30_000, shim.resident())
    stage.claim("the client reaches the last one", "served", stage.dial(client, services[-1].plain).kind)
    stage.note("one of them changes")
    used_before = {role: sidecar.process.cpu_seconds() for role, (sidecar, _) in sidecars.items()}
    services[499] = service(500, RULE + "; salt=2")
    zone.publish(records(services))
    for role, (sidecar, shim) in sidecars.items():
        stage.wait(2 * TTL, f"{role} has it", lambda: any("salt" in rule for rule in shim.rules(role, "s500") or []))
        stage.wait(timeouts.SOON, "every VM too", lambda: installed(sidecar, role) >= 2 * VMS)
        used = 1e3 * (sidecar.process.cpu_seconds() - used_before[role])
        stage.note(
            f"        {role}: Envoy needed {used:.0f} ms of CPU for it, and has {sidecar.process.resident_kb()} kB now"
        )
    stage.claim("the client reaches it", "served", stage.dial(client, services[499].plain).kind)
