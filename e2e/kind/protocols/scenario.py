"""Every protocol that a port may have, requests with another Host, and demotion of HTTP and gRPC.

Topology: a server that runs grpc-go's interoperability server on ports of each protocol next to a web server; a client
of the chart and an outsider without a sidecar.

Configuration: one service whose rule hashes the source. Mutual TLS is permissive at first, so that the outsider is a
legacy client, and strict after that.

Expected: the client's gRPC works on ports of GRPC, HTTP2, TLS and TCP, unary and streamed, and on none of HTTP, which
is HTTP/1.1 to the application. A request to the service whose Host is another name or an address still goes there with
mutual TLS. Demoted connections use the demoted clusters, HTTP and gRPC too, and their limit applies.
"""

from ipaddress import ip_address

from lib import timeouts
from lib.cluster import Cluster, Service
from lib.files import Files
from lib.pod import Pod
from lib.programs import certificate, grpc

LIMIT = 420
PORTS = {"HTTP": 50050, "GRPC": 50051, "HTTP2": 50052, "TLS": 50053, "TCP": 50054}
FILES = Files(__file__)
STORE = Service(FILES.published()["protocols"])
CASES = ("empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "status_code_and_message")
SERVE = (FILES.folder / "serve.sh").read_text()


def call(pod: Pod, protocol: str, case: str = "ping_pong", host: str = STORE.name) -> str | None:
    """Plays a case of gRPC's interoperability tests; returns nothing where it passed, or what went wrong."""
    flags = ["--server_host", host, "--server_port", PORTS[protocol], "--test_case", case]
    if protocol == "TLS":
        flags += ["--use_tls", "--use_test_ca", "--ca_file", "/opt/tls/cert"]
    done = pod.attempt("timeout", f"{timeouts.SOON:.0f}", "/opt/grpc/client", *flags, timeout=timeouts.COMMAND)
    return None if done.returncode == 0 else (done.stderr + done.stdout).strip()[-300:]


def run(stage: Cluster) -> None:
    image = stage.image("protocols", {**grpc(), **certificate(STORE.name)})
    stage.publish(FILES.text("zone"))
    stage.release(FILES.text("values.yaml"))
    app = {"image": image, "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}
    servers = stage.workload("server", "server", command=SERVE, app=app)
    servers[1]["spec"]["ports"] = [{"name": "http", "port": 8080}]
    server, client, outsider = stage.start(
        servers,
        stage.workload("client", "client", app={"image": image}),
        stage.workload("outsider", inject=False, app={"image": image}),
    )
    stage.slices(STORE, "app=server")
    stage.wait_filter((server, "inbound"), (client, "outbound"))
    demoted(stage, server, client, outsider)
    stage.note("with STRICT mutual TLS")
    stage.mtls("STRICT")
    stage.wait_steady(timeouts.PUSHED, "who has none is refused", lambda: outsider.http(STORE.name).kind == "refused")
    protocols(stage, server, client)
    hosts(stage, server, client)
    stage.claim("configurations that proxies rejected", [], stage.nacks())


def demoted(stage: Cluster, server: Pod, client: Pod, outsider: Pod) -> None:
    """Claims what leads on what is demoted, and that there is a limit."""
    server.mark()
    stage.claim_answers("HTTP of a legacy client is", "served", outsider.http(STORE.name))
    for protocol in ("GRPC", "HTTP2", "TCP"):
        stage.claim(f"gRPC of a legacy client by {protocol}", None, call(outsider, protocol, "empty_unary"))
    lines = server.logged(4, source=outsider.address)
    led = {line["port"]: line["cluster"] for line in lines}
    wanted = {"8080": "ssa_demoted", "50051": "ssa_demoted_http2", "50052": "ssa_demoted_http2", "50054": "ssa_demoted"}
    stage.claim("what led it on", wanted, led)
    stage.claim("where it arrived", {STORE.plain}, {line["destination"] for line in lines})
    counted = server.inbound(verdict="legacy", outcome="demoted")
    stage.claim_between("it is counted as legacy, demoted", 4, 8, counted)
    server.mark()
    stage.claim_answers("HTTP of a conforming client is", "served", client.http(STORE.name))
    stage.claim("gRPC of a conforming client", None, call(client, "GRPC", "empty_unary"))
    led = {line["port"]: line["cluster"] for line in server.logged(2, source=client.address)}
    stage.claim("what led it on", {"8080": "inbound|8080||", "50051": "inbound|50051||"}, led)
    # Two connections to the application, and two requests that wait for one, are all that demoted HTTP has.
    many = "for n in 1 2 3 4 5 6 7 8; do curl -s -o /dev/null -m 20 -w '%{http_code}\\n' \"$0\" & done; wait"
    answers = outsider.run(
        "bash", "-c", many, f"http://{STORE.name}:8080/cgi-bin/slow", timeout=timeouts.COMMAND
    ).split()
    stage.claim("8 requests at once are answered by 200 or 503", {"200", "503"}, set(answers))
    stage.claim_between("beyond their limit by 503", 2, 6, answers.count("503"))
    answers = outsider.run("bash", "-c", many, f"http://{STORE.name}:8080/", timeout=timeouts.COMMAND).split()
    stage.claim_between("a quick one is served again", 2, 8, answers.count("200"))


def protocols(stage: Cluster, server: Pod, client: Pod) -> None:
    """Claims which ports gRPC passes by, composed and with mutual TLS."""
    for protocol in ("GRPC", "HTTP2", "TLS", "TCP"):
        before = server.inbound(verdict="conforming", outcome="allowed")
        failed = {case: found for case in CASES if (found := call(client, protocol, case))}
        stage.claim(f"cases of gRPC that fail by a port of {protocol}", {}, failed)
        counted = server.inbound(verdict="conforming", outcome="allowed") - before
        stage.claim_between(f"by {protocol} they conform", 1, len(CASES), counted)
    found = call(client, "HTTP", "empty_unary")
    stage.claim("gRPC passes by a port of HTTP", False, found is None)
    stage.note(f"        it fails so: {found}")


def hosts(stage: Cluster, server: Pod, client: Pod) -> None:
    """Claims where requests go whose Host is another than the service's name."""
    own = str(stage.ssa.compose(STORE.published, client.address)[0])
    for what, host, at in (
        ("another name", "other.test", STORE.plain),
        ("an address", own, None),
        ("its own name", STORE.name, None),
    ):
        server.mark()
        answer = client.http(host, at=at, path="/cgi-bin/peer")
        stage.claim_answers(f"a request with {what} as its Host is", "served", answer)
        told = f"[{ip_address(host)}]" if ":" in host else host
        stage.claim_in(f"with {what} the Host is kept", f"{told}:8080", answer.text)
        stage.claim_in(f"with {what} the peer is known", f"/ns/{stage.name}/sa/client", answer.text)
        line = server.logged(source=client.address, port="8080")[0]
        verdict = stage.ssa.verify(STORE.published, client.address, line["destination"], port=8080)
        stage.claim(f"with {what} where it arrived is", ("conforming", None), verdict)
    log = [line for line in client.logs().splitlines() if "PassthroughCluster" in line and "8080" in line]
    stage.claim("requests to the service that left the mesh", [], log)
