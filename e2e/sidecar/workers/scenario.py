"""Envoys with four workers: each decides alone, all are counted together, and no two draw the same addresses.

Topology: two clients with sidecars that start at the same time with the same seed, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml with a concurrency of 4; a pool of one address for each worker of
the clients.

Expected: every worker that gets connections draws an address of its own, and no two sidecars draw the same; all
connections conform, and metrics are the sum over workers.
"""

from lib.envoy import Sidecar
from lib.files import Files
from lib.stage import Stage, address

FILES = Files(__file__)
WEB = FILES.service("web")
EACH = 1000
WORKERS = 4


def busy(sidecar: Sidecar, listener: str) -> int:
    """Returns how many workers have had connections."""
    return sum(sidecar.stat(rf"listener\.{listener}\.worker_{n}\.downstream_cx_total") > 0 for n in range(WORKERS))


def run(stage: Stage) -> None:
    clients = [stage.net.client(), stage.net.client("client2", "2001:db8:0:3::10")]
    server = stage.server(1, WEB)
    first, second, far = stage.sidecars(
        *((client, "client.yaml", FILES.json(f"{client.name}.json"), WORKERS) for client in clients),
        (server, "server.yaml", FILES.server(), WORKERS),
    )
    drawn = []
    for sidecar, client in ((first, clients[0]), (second, clients[1])):
        load = stage.load(client, destinations=[WEB.plain], count=EACH)
        stage.claim(f"connections of {client.name} that are answered", EACH, load.settled()["answered"])
        load.end()
        workers = busy(sidecar, r"\[__1\]_15001")
        stage.claim_between(f"workers of {client.name} that got some", 2, WORKERS, workers)
        drawn.append({address(line["destination"]) for line in sidecar.logged(EACH)})
        stage.claim("addresses that they drew, one for each worker", workers, len(drawn[-1]))
        stage.claim("connections composed, over all workers", EACH, sidecar.outbound(outcome="composed"))
    stage.claim("addresses that both sidecars drew", set(), drawn[0] & drawn[1])
    stage.claim_between("workers of the server that got some", 2, WORKERS, busy(far, r"\[__\]_15006"))
    stage.claim("connections that conform, over all workers", 2 * EACH, far.inbound(verdict="conforming"))
    stage.claim("connections counted", 2 * EACH, far.inbound())
