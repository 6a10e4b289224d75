"""An HTTP client keeps at most one connection per address it drew; idle connections are closed.

Topology: a client with a sidecar, a router, one server with a sidecar.

Configuration: envoy/client-http.yaml with an upstream idle timeout of 10 s instead of 30, and without the applications'
maximum age; envoy/server.yaml. The rule leaves every bit free, so that each draw is a different address.

Expected: 1500 requests, each over a connection of its own, leave at most as many upstream connections as the workers
have draws; they are closed after the idle timeout, and the memory that Envoy needed for them is freed. That amount is
printed, and how much of the total belongs to V8 and the program.
"""

from lib import timeouts
from lib.files import Files
from lib.net import Host
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
WEB = FILES.service("web")
REQUESTS, POOL, WORKERS = 1500, FILES.client()["pool"], 2
KEPT = r"cluster\.original_dst\.upstream_cx_active"


def run(stage: Stage) -> None:
    client, server = stage.net.client(), stage.server(1, WEB)
    near, far = stage.sidecars(
        (client, "client-http.yaml", FILES.client(), WORKERS, FILES.text("client.patch")),
        (server, "server.yaml", FILES.server()),
    )
    # What every worker needs once is not what addresses need.
    ask(stage, client, 20)
    stage.wait(timeouts.INTERVAL, "they are gone", lambda: near.stat(KEPT) == 0)
    before = near.memory()
    ask(stage, client, REQUESTS)
    kept, during = near.stat(KEPT), near.memory()
    stage.claim_between("upstream connections that are kept", POOL // 2, POOL * WORKERS, kept)
    stage.claim("connections to servers in all", far.inbound(verdict="conforming"), far.inbound())
    stage.wait(timeouts.INTERVAL, "idle ones are closed", lambda: near.stat(KEPT) == 0)
    after = near.memory()
    for what, memory in (("before", before), (f"with {kept} connections", during), ("idle", after)):
        stage.note(f"        MB {what}: {memory}")
    stage.claim_between("MB allocated beyond those before", 0, 4, max(0, after["allocated"] - before["allocated"]))


def ask(stage: Stage, client: Host, count: int) -> None:
    """Sends requests, each by a connection of its own."""
    kinds = [stage.dial(client, WEB.plain).kind for _ in range(count)]
    stage.claim("requests that are answered", count, kinds.count("served"))
