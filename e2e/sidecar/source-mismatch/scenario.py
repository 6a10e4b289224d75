"""A sidecar whose connections leave from another source than its filter was configured with reports it.

Topology: a client with a sidecar and two addresses, a router, one server with a sidecar.

Configuration: envoy/client.yaml, first as it should be, then with a cluster that is bound to the other address;
envoy/server.yaml.

Expected: the server refuses addresses composed for another source; the client's sidecar counts each such connection and
logs both addresses.
"""

from lib import timeouts
from lib.files import Files
from lib.stage import Stage, address

LIGHT = True
FILES = Files(__file__)
WEB = FILES.service("web")
OTHER = "2001:db8:0:1::77"
REQUESTS = 20
MISMATCHES = "ssa_outbound_source_mismatches_total"


def run(stage: Stage) -> None:
    client = stage.net.client()
    client.ip(f"address add {OTHER}/64 dev eth0 nodad")
    server = stage.server(1, WEB)
    far = stage.sidecar(server, "server.yaml", FILES.server())
    wrong = FILES.text("wrong-source.patch")
    for name, patch, kind, count in (("right", "", "served", 0), ("wrong", wrong, "refused", REQUESTS)):
        near = stage.sidecar(client, "client.yaml", FILES.client(), patch=patch, folder=f"client-{name}")
        kinds = {stage.dial(client, WEB.plain).kind for _ in range(REQUESTS)}
        stage.claim(f"{name}: connections are", {kind}, kinds)
        verdict = {"served": "conforming", "refused": "violation"}[kind]
        lines = far.logged(REQUESTS)
        stage.claim(f"{name}: verdicts", {verdict}, {line["verdict"] for line in lines})
        source = client.address if kind == "served" else OTHER
        stage.claim(f"{name}: sources", {source}, {str(address(line["source"])) for line in lines})
        stage.claim(f"{name}: composed", REQUESTS, near.outbound(outcome="composed"))
        stage.wait(timeouts.SOON, f"{count} are counted", lambda: near.count(MISMATCHES, service="web") == count)
        line = f"source mismatch: service web: connected from {OTHER}, composed for {client.address}"
        stage.claim(f"{name}: the log reports it", bool(count), line in near.output())
        near.stop()
