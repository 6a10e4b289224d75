"""A million connections through both sidecars: each is composed and admitted, and no memory is retained.

Topology: a client with a sidecar, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml, without access logs.

Expected: all are answered and counted. Once both Envoys are warm, after the first 200,000, neither the memory that
their allocator has handed out grows by 4 MB, nor the rest, which includes the module's. The allocator may keep some
more for itself.
"""

from lib.files import Files
from lib.stage import Stage

LONG = True
LIMIT = 3600
FILES = Files(__file__)
WEB = FILES.service("web")
STEPS, EACH, WARM = 10, 100_000, 2


def run(stage: Stage) -> None:
    client = stage.net.client()
    server = stage.server(1, WEB)
    near, far = stage.sidecars(
        (client, "client.yaml", FILES.client(), 2, FILES.text("client.patch")),
        (server, "server.yaml", FILES.server(), 2, FILES.text("server.patch")),
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
