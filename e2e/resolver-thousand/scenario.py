"""A thousand services in one snapshot: what the shim and the sidecars need for it.

Topology: a client with a sidecar, a router, a server with a sidecar, both with a shim; a DNS server.

Configuration: 1000 services with a TTL of 5 s, so that each shim asks some 700 questions a second.

Expected: each shim stays below 30 MB; its snapshot is complete, is not sent again while nothing changes, and a change of
one service reaches the sidecars at once. Sizes, CPU time and memory are printed.
"""

import os
import time

from lib import resolver
from lib.service import Service, inbound, outbound

LIMIT = 240
COUNT, TTL = 1000, 5
RULE = "v=ssa1; addr=hash(src/128):20 rand:44"
SECONDS = 10


def service(number, rule=RULE):
    return Service(number, f"s{number}", rule)


def cpu(process):
    """Seconds of CPU time that a process has used."""
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(stage):
    services = [service(number) for number in range(1, COUNT + 1)]
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    client = stage.net.client()
    server = stage.net.server(1, ["2001:db8:5::/48", "2001:db8:6::/48"])
    for prefix in ("2001:db8:5::/48", "2001:db8:6::/48"):
        stage.net.route(prefix, server)
    stage.application(server)
    zone = resolver.NameServer(stage, dns)
    zone.publish(*services, ttl=TTL)
    at = [dns.address]
    sidecars = {}
    for host, configuration in ((server, inbound()), (client, outbound(client))):
        began = time.monotonic()
        sidecar, shim = resolver.sidecar(stage, host, configuration, at, *services)
        role = configuration["role"]
        stage.wait(60, "all are usable", lambda: shim.count("ssa_resolver_services", role=role, state="usable") == COUNT)
        stage.note(f"        {host.name}: all of {COUNT} are known after {time.monotonic() - began:.1f} s")
        sidecar.start()
        sidecar.wait_ready()
        alone = sidecar.resident()
        stage.wait(20, "it has the snapshot", lambda: sidecar.count(f"ssa_{role}_snapshots_total", outcome="installed") > 0)
        sidecars[role] = (sidecar, shim, alone)
    for role, (sidecar, shim, _) in sidecars.items():
        status, tag, snapshot = shim.fetch(role)
        stage.claim(f"services that the {role} snapshot has", COUNT, len(snapshot["services"]))
        figures = [cpu(shim.process), cpu(sidecar.process), shim.count("ssa_resolver_resolutions_total")]
        until = time.monotonic() + SECONDS
        stage.wait(SECONDS + 2, f"{SECONDS} s pass", lambda: time.monotonic() > until, pause=0.5)
        figures = [
            now - before
            for now, before in zip(
                (cpu(shim.process), cpu(sidecar.process), shim.count("ssa_resolver_resolutions_total")), figures
            )
        ]
        stage.claim("it is the same snapshot still", 304, shim.fetch(role, tag, 0)[0])
        names = figures[2] / SECONDS
        stage.note(
            f"        {role}: snapshot {len(str(snapshot)) // 1000} kB, shim {shim.resident()} kB and"
            f" {100 * figures[0] / SECONDS:.0f} % of a CPU at {names:.0f} services/s, Envoy {sidecar.resident()} MB and"
            f" {100 * figures[1] / SECONDS:.1f} % of a CPU"
        )
        stage.claim_between(f"kB in memory of the {role} shim", 1, 30_000, shim.resident())
    stage.claim("the client reaches the last one", "served", stage.dial(client, services[-1].plain).kind)
    stage.note("one of them changes")
    services[499] = service(500, RULE + "; salt=2")
    zone.publish(*services, ttl=TTL)
    for role, (sidecar, shim, _) in sidecars.items():
        stage.wait(2 * TTL, f"{role} has it", lambda: any("salt" in rule for rule in shim.rules(role, "s500") or []))
    stage.claim("the client reaches it", "served", stage.dial(client, services[499].plain).kind)
