"""Clients reach the address their rule yields and no other, over HTTP and TCP, with STRICT mutual TLS and without.

Topology: a server and a client of the chart; a rogue with Istio's ordinary sidecar, an outsider without any; later a
server whose probes Istio does not rewrite.

Configuration: one service, enforced, whose rule hashes the source; the chart's inbound.accessLog logs every connection.
The server has probes of three kinds.

Expected: the server sees the client at addresses that `ssa verify` finds conforming for the client's own. A connection
to an address of another source, or to the server's own, is refused; its log and Prometheus name the verdict. Probes and
scrapes of metrics continue; scrapes of the service's own port work once they are exempt.
"""

from lib import timeouts
from lib.claims import Answer
from lib.cluster import Cluster, Service
from lib.files import Files
from lib.pod import Pod

FILES = Files(__file__)
LIMIT = 480
STORE = Service(FILES.published()["traffic"])
# Makes a page that counts how often it was asked for.
PROBED = (FILES.folder / "probed.sh").read_text()
PROBES = {
    "startupProbe": {"exec": {"command": ["sh", "-c", PROBED]}, "periodSeconds": 1},
    "livenessProbe": {"httpGet": {"path": "/cgi-bin/probe", "port": 8080}, "periodSeconds": 2},
    "readinessProbe": {"tcpSocket": {"port": 9001}, "periodSeconds": 2},
}


def run(stage: Cluster) -> None:
    stage.publish(FILES.text("zone"))
    stage.mtls("STRICT")
    stage.release(FILES.text("values.yaml"))
    server, client, rogue, outsider = stage.start(
        stage.workload("server", "server", app=PROBES),
        stage.workload("client", "client"),
        stage.workload("rogue"),
        stage.workload("outsider", inject=False),
    )
    stage.slices(STORE, "app=server")
    stage.wait_filter((server, "inbound"), (client, "outbound"))
    in_place(stage, server, client, rogue)

    stage.note("with STRICT mutual TLS")
    traffic(stage, server, client, rogue)
    own = address_for(stage, outsider)
    for what, address in {"its own": own, "the plain": STORE.plain, "the server's": server.address}.items():
        answers = outsider.http(STORE.name, at=address), outsider.tcp(STORE.name, at=address)
        stage.claim_answers(f"without mutual TLS {what} address is", "refused", *answers)
    watched(stage, server, outsider)

    stage.note("without mutual TLS")
    stage.mtls("DISABLE")
    stage.release(FILES.text("values-plaintext.yaml"))

    def plain() -> bool:
        answer = client.http(STORE.name, path="/cgi-bin/peer")
        return answer.kind == "served" and not answer.text and outsider.tcp(STORE.name, at=own).kind == "served"

    stage.wait(timeouts.PUSHED, "no identity is seen any more", plain)
    traffic(stage, server, client, rogue)
    answers = outsider.http(STORE.name, at=own), outsider.tcp(STORE.name, at=own)
    stage.claim_answers("a client without sidecar at an address of its own is", "served", *answers)
    watched(stage, server, outsider)
    exempt(stage, server, client, outsider)
    stage.claim("configurations that proxies rejected", [], stage.nacks())


def address_for(stage: Cluster, pod: Pod) -> str:
    """Returns an address that a pod would compose."""
    return str(stage.ssa.compose(STORE.published, pod.address)[0])


def in_place(stage: Cluster, server: Pod, client: Pod, rogue: Pod) -> None:
    """Claims where the filter stands."""
    inbound, outbound = (f"ssa-{role}.{stage.name}.ssa" for role in ("inbound", "outbound"))
    first: dict[int, set[str]] = {}
    for chain in server.chains():
        port = chain.get("filter_chain_match", {}).get("destination_port")
        if chain["listener"] == "virtualInbound" and port in STORE.ports:
            first.setdefault(port, set()).add(chain["filters"][0]["name"])
    stage.wait(timeouts.PUSHED, "the rogue knows the server", lambda: server.address in rogue.admin("clusters"))
    stage.claim("what the server's chains begin with", {port: {inbound} for port in STORE.ports}, first)
    first = {
        int(chain["listener"].rpartition("_")[2]): chain["filters"][0]["name"]
        for chain in client.chains()
        if chain["listener"].startswith("::_") and int(chain["listener"].rpartition("_")[2]) in STORE.ports
    }
    stage.claim("what the client's chains begin with", dict.fromkeys(STORE.ports, outbound), first)
    stage.claim("the rogue has a filter", [False] * 2, [rogue.has_filter(role) for role in ("inbound", "outbound")])


def traffic(stage: Cluster, server: Pod, client: Pod, rogue: Pod) -> None:
    """Dials in every way that needs a sidecar, and claims what became of it."""
    for kind, port, text in (("HTTP", 8080, "server-0"), ("TCP", 9001, "server-0 got ping")):

        def dial(pod: Pod, host: str = STORE.name, at: str | None = None) -> Answer:
            return (pod.http if kind == "HTTP" else pod.tcp)(host, at=at)

        server.mark()
        composed = client.outbound(outcome="composed")
        answer = dial(client)
        stage.claim(f"{kind}: the application answers", ("served", text), (answer.kind, answer.text))
        line = server.logged(source=client.address, port=str(port))[0]
        verdict = stage.ssa.verify(STORE.published, client.address, line["destination"], port=port)
        stage.claim(f"{kind}: where it arrived is", ("conforming", None), verdict)
        stage.claim(f"{kind}: composed by its sidecar", composed + 1, client.outbound(outcome="composed"))
        answer = dial(rogue, at=address_for(stage, rogue))
        stage.claim_answers(f"{kind}: an address of its own, by hand, is", "served", answer)
        wrong: dict[str, tuple[str, dict]] = {
            "another's address": (address_for(stage, client), {"verdict": "violation", "part": "field_0"}),
            "the server's own": (server.address, {"verdict": "outside", "part": None}),
        }
        for what, (address, expected) in wrong.items():
            denied = {"verdict": expected["verdict"], "outcome": "denied"}
            before = server.inbound(service=STORE.name, **denied)
            server.mark("verdicts")
            # Past its own address a rogue gets with mutual TLS by the Service of Kubernetes alone.
            answer = dial(rogue, at=address) if expected["part"] else dial(rogue, host="server")
            stage.claim_answers(f"{kind}: {what} is", "refused", answer)
            line = server.logged(log="verdicts", source=rogue.address, port=port, **denied)[0]
            found = (line["service"], line["destination"], line["part"])
            stage.claim(f"{kind}: {what} is written down", (STORE.name, address, expected["part"]), found)
            # HTTP is tried again by Istio's own retries.
            counted = server.inbound(service=STORE.name, **denied) - before
            stage.claim_between(f"{kind}: {what} is counted", 1, 3 if kind == "HTTP" else 1, counted)


def watched(stage: Cluster, server: Pod, outsider: Pod) -> None:
    """Claims that probes and scrapes work from outside the mesh."""
    so_far = int(server.run("sh", "-c", "wc -l </tmp/probed"))
    stage.wait(timeouts.PUSHED, "probes go on", lambda: int(server.run("sh", "-c", "wc -l </tmp/probed")) > so_far + 1)
    stage.claim("by its probes the server is ready, restarted", (True, 0), (server.is_ready(), server.restarts("app")))
    pages = {15020: "/stats/prometheus", 15090: "/stats/prometheus", 9467: "/metrics"}
    for port, path in pages.items():
        counter = "ssa_resolver_snapshots_total" if port == 9467 else "ssa_inbound_connections_total"
        lines = outsider.http(server.address, port=port, path=path).text.splitlines()
        stage.claim_in(f"metrics on port {port}", counter, "\n".join(line for line in lines if line.startswith("ssa_")))


def exempt(stage: Cluster, server: Pod, client: Pod, outsider: Pod) -> None:
    """Exempts a scraper, and the probes of a server whose probes are not rewritten."""
    stage.claim_answers("a scrape of the service's own port is", "refused", outsider.http(server.address))
    # By HTTP: a probe by TCP finds Envoy listening, whatever becomes of the connection.
    probe = {"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}
    workload = stage.workload(
        "bare", "server", app=probe, annotations={"sidecar.istio.io/rewriteAppHTTPProbers": "false"}
    )
    # And without a Service of its own: that of the chart has istiod make chains for the filter.
    stage.apply(*(one for one in workload if one["kind"] != "Service"))
    (bare,) = stage.wait(timeouts.ROLLED_OUT, "it runs", lambda: stage.pods("bare"))
    line = bare.logged(log="verdicts", seconds=timeouts.PUSHED, port=8080, verdict="outside", outcome="denied")[0]
    stage.claim("probed at its own address it is ready", False, bare.is_ready())
    node = line["source"]
    stage.release(FILES.text("values-exempt.yaml", scraper=outsider.address, node=node))
    stage.wait(timeouts.PUSHED, "the kubelet is exempt", bare.is_ready)
    stage.wait_steady(timeouts.PUSHED, "the scraper is", lambda: outsider.http(server.address).kind == "served")
    stage.claim_between("it is counted as exempt", 1, 10_000, server.inbound(verdict="exempt", outcome="allowed"))
    stage.claim_answers("on another port it is", "refused", outsider.tcp(server.address))
    answer = outsider.http(STORE.name, at=address_for(stage, client))
    stage.claim_answers("at another's address it is", "refused", answer)
    stage.claim_answers("who is not exempt is", "refused", client.http(server.address))
