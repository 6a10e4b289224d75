"""Legacy clients, shadow mode, demotion, a disabled service and the kill switch: with values alone, without a restart.

Topology: a server and a client of the chart; a rogue with Istio's ordinary sidecar, an outsider without any.

Configuration: one service whose rule hashes the source; the mesh is PERMISSIVE. The release serves the module itself.
Values change with `helm upgrade`, and the kubelet is made to sync at once (docs/operations.md).

Expected: the outsider, a legacy client, is served at the plain address, demoted. The rogue at an address of another
source is refused, admitted and counted, demoted, or admitted unverified, as the mode says; with the kill switch the
client dials plain addresses, and afterwards composes again. No container restarts, and Envoys keep filter and listener.
"""

from typing import Any

from lib.cluster import Cluster, Service
from lib.files import Files
from lib.pod import Pod

LIMIT = 420
FILES = Files(__file__)
STORE = Service(FILES.published()["modes"])
# What is in force, the values for it, and what becomes of the rogue and of its verdict.
STEPS: tuple[tuple[str, str, dict, str, str], ...] = (
    ("enforced", "values.yaml", {}, "violation", "denied"),
    ("in shadow mode", "values-shadow.yaml", {}, "violation", "shadow_denied"),
    ("with violations demoted", "values-demote.yaml", {}, "violation", "demoted"),
    ("with the service off", "values-off.yaml", {}, "unverified", "allowed"),
    ("with the kill switch", "values.yaml", {"killSwitch": True}, "unverified", "allowed"),
    ("enforced again", "values.yaml", {}, "violation", "denied"),
)


def run(stage: Cluster) -> None:
    stage.publish(FILES.text("zone"))
    stage.serve_module()
    stage.release(FILES.text("values.yaml"), **stage.serving)
    server, client, rogue, outsider = stage.start(
        stage.workload("server", "server"),
        stage.workload("client", "client"),
        stage.workload("rogue"),
        stage.workload("outsider", inject=False),
    )
    stage.slices(STORE, "app=server")
    stage.wait_filter((server, "inbound"), (client, "outbound"))
    legacy(stage, server, outsider)
    updated = {pod: pod.updated() for pod in (server, client)}
    off = False
    for number, (what, file, values, verdict, outcome) in enumerate(STEPS):
        stage.note(what)
        if number:
            # The kill switch concerns clients too, when it goes on and when it goes off.
            both = [(server, "inbound"), (client, "outbound")]
            with stage.taken(*(both if off or values else both[:1])):
                stage.upgrade([server, client], FILES.text(file), **stage.serving, **values)
        off = bool(values)
        judged(stage, server, client, rogue, {"verdict": verdict, "outcome": outcome})
        switches = [int(pod.shim("ssa_resolver_off")) for pod in (server, client)]
        stage.claim("the shims' kill switch", [int(off)] * 2, switches)
        composed(stage, server, client, off)
    for pod in (server, client):
        stage.claim(f"restarts of {pod.name}", 0, pod.restarts())
        stage.claim(f"when Envoy of {pod.name} was given filter and listener", updated[pod], pod.updated())
    stage.claim("configurations that proxies rejected", [], stage.nacks())


def legacy(stage: Cluster, server: Pod, outsider: Pod) -> None:
    """Claims what a client gets that knows of nothing."""
    stage.note("a client without sidecar")
    for kind, dial in (("HTTP", outsider.http), ("TCP", outsider.tcp)):
        stage.claim_answers(f"{kind}: a legacy client is", "served", dial(STORE.name))
    found = server.inbound(service=STORE.name, verdict="legacy", outcome="demoted")
    stage.claim("it is counted as legacy, demoted", 2, found)
    lines = server.logged(2, source=outsider.address)
    stage.claim("where it arrived", [STORE.plain] * 2, [line["destination"] for line in lines])
    stage.claim("what led its TCP on", "ssa_demoted", next(line["cluster"] for line in lines if line["port"] == "9001"))


def judged(stage: Cluster, server: Pod, client: Pod, rogue: Pod, found: Any) -> None:
    """Dials an address of another source, and claims what is found of it and done with it."""
    wrong = str(stage.ssa.compose(STORE.published, client.address)[0])
    kind = "refused" if found["outcome"] == "denied" else "served"
    before = server.inbound(**found)
    server.mark()
    stage.claim_answers("HTTP: the rogue is", kind, rogue.http(STORE.name, at=wrong))
    stage.claim_answers("TCP: the rogue is", kind, rogue.tcp(STORE.name, at=wrong))
    # HTTP that is refused is tried again by Istio's own retries.
    counted = server.inbound(service=STORE.name, **found) - before
    stage.claim_between(f"it is counted as {found}", 2, 4 if kind == "refused" else 2, counted)
    if kind == "served":
        line = server.logged(source=rogue.address, port="9001")[0]
        cluster = "ssa_demoted" if found["outcome"] == "demoted" else "inbound|9001||"
        stage.claim("what led its TCP on", cluster, line["cluster"])


def composed(stage: Cluster, server: Pod, client: Pod, off: bool) -> None:
    """Dials the service's name from the client, and claims where that leads."""
    outcome = "off" if off else "composed"
    before = client.outbound(service=STORE.name, outcome=outcome)
    server.mark()
    stage.claim_answers("the client is", "served", client.http(STORE.name), client.tcp(STORE.name))
    counted = client.outbound(service=STORE.name, outcome=outcome) - before
    stage.claim(f"its connections are {outcome}", 2, counted)
    destinations = {line["destination"] for line in server.logged(2, source=client.address)}
    if off:
        stage.claim("where it arrived", {STORE.plain}, destinations)
    else:
        verdicts = {stage.ssa.verify(STORE.published, client.address, one)[0] for one in destinations}
        stage.claim("where it arrived is", {"conforming"}, verdicts)
