"""10,000 simultaneous connections through sidecars on both sides.

Topology: two clients with sidecars, 5,000 connections each; a router with one half of the space for each of two servers
with sidecars.

Configuration: envoy/client.yaml and envoy/server.yaml.

Expected: all are answered, all stand at the same time and answer again, and nothing is left of them when they end.
"""

import resource

from lib import timeouts
from lib.files import Files
from lib.stage import Skip, Stage

FILES = Files(__file__)
WEB = FILES.service("web")
EACH = 5000


def run(stage: Stage) -> None:
    # An Envoy has two descriptors for a connection; one server may get more than its half.
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3 * EACH:
        raise Skip(f"a process may have fewer than {3 * EACH} open files here (ulimit -Hn)")
    clients = [stage.net.client(), stage.net.client("client2", "2001:db8:0:3::10")]
    servers = [stage.net.server(number, WEB.prefixes) for number in (1, 2)]
    for half, server in zip(("::/65", ":8000::/65"), servers, strict=True):
        stage.net.route(f"2001:db8:5:1{half}", server)
        stage.application(server)
    sidecars = stage.sidecars(
        *((client, "client.yaml", FILES.json(f"{client.name}.json")) for client in clients),
        *((server, "server.yaml", FILES.server()) for server in servers),
    )
    near, far = sidecars[:2], sidecars[2:]
    loads = [stage.load(client, destinations=[WEB.plain], count=EACH, hold=True, at_once=500) for client in clients]
    for load, client in zip(loads, clients, strict=True):
        told = load.settled()
        stage.claim(f"connections of {client.name} that are answered", EACH, told["answered"])
        stage.note(f"        in {told['seconds']} s, the slowest in {told['slowest']} s; others: {told['samples'][:3]}")
    active = r"cluster\.application\.upstream_cx_active"
    shares = [sidecar.stat(active) for sidecar in far]
    stage.claim("connections established at once", 2 * EACH, sum(shares))
    stage.note(
        f"        on the servers: {shares}; Envoys' memory in MB: {[sidecar.resident() for sidecar in sidecars]}"
    )
    stage.claim("connections that still answer", 2 * EACH, sum(load.check() for load in loads))
    stage.claim("connections composed", 2 * EACH, sum(one.outbound(outcome="composed") for one in near))
    stage.claim("connections that conform", 2 * EACH, sum(one.inbound(verdict="conforming") for one in far))
    stage.claim("connections counted otherwise", 0, sum(one.inbound() for one in far) - 2 * EACH)
    for load in loads:
        load.end()
    left = [(sidecar, r"cluster\.original_dst\.upstream_cx_active") for sidecar in near] + [
        (sidecar, active) for sidecar in far
    ]
    stage.wait(
        timeouts.INTERVAL, "all connections are gone", lambda: not any(sidecar.stat(name) for sidecar, name in left)
    )
    stage.claim("Envoys that still run", 4, sum(sidecar.process.poll() is None for sidecar in sidecars))
