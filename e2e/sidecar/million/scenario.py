"""A million connections through both sidecars: each is composed and admitted, and no memory is retained.

Topology: a client with a sidecar, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml, without access logs.

Expected: all are answered and counted. Once both Envoys are warm, after the first 200,000, neither what their allocator
has given out grows by 4 MB, nor what is beside that, the module's memory. The allocator may keep some more for itself.
"""

from lib.service import Service, inbound, outbound

LONG = True
LIMIT = 3600
WEB = Service(1, "web", "v=ssa1; addr=hash(src/128):20 rand:44")
STEPS, EACH, WARM = 10, 100_000, 2
UNLOGGED = [("path: access.log", "path: /dev/null")]


def run(stage):
    client = stage.net.client()
    server = stage.server(1, WEB)
    near, far = stage.sidecars(
        (client, "client.yaml", outbound(client, WEB), 2, UNLOGGED), (server, "server.yaml", inbound(WEB), 2, UNLOGGED)
    )
    sidecars = (near, far)

    stage.note(f"        MB, client's and server's: {[one.memory() for one in sidecars]}")
    memory = []
    for step in range(1, STEPS + 1):
        load = stage.load(client, destinations=[WEB.plain], count=EACH)
        told = load.settled()
        load.end()
        stage.claim(f"{step}: connections that are answered", EACH, told["answered"])
        stage.claim(f"{step}: connections without an answer", [], told["samples"])
        stage.claim(f"{step}: connections composed", step * EACH, near.outbound(outcome="composed"))
        stage.claim(f"{step}: connections that conform", step * EACH, far.inbound(verdict="conforming"))
        memory.append([one.memory() for one in sidecars])
        rate = round(EACH / told["seconds"])
        stage.note(f"        {step * EACH}: {rate} connections/s, MB: {memory[-1]}")
    for number, sidecar in enumerate(sidecars):
        for kind, most in (("in all", 16), ("allocated", 4), ("beside", 4)):
            growth = memory[-1][number][kind] - memory[WARM - 1][number][kind]
            stage.claim_between(f"{sidecar.host.name}'s Envoy: MB more, {kind}", -100, most, growth)
    stage.claim("connections counted otherwise", 0, near.outbound() + far.inbound() - 2 * STEPS * EACH)
