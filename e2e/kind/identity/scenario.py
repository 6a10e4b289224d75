"""Identity stays with mutual TLS: identities, peer names and policies work through addresses with tokens.

Topology: a server and two clients of the chart, each with a service account of its own.

Configuration: mutual TLS is STRICT. The rule has a mac with `kdf`: the server holds the secret, clients their own key.
The chart's `principals` admit only one client; its `subjectAltNames` are the identities that clients accept for the
service.

Expected: both clients compose addresses that conform. The client that is allowed is served, and server and application
see its identity; the other gets 403 in HTTP and no answer in TCP. If clients expect another identity of the server,
nothing is sent. Neither secret nor key appears in what Envoys and shims reveal.
"""

import base64
from collections.abc import Iterable, Iterator

from lib import keys, timeouts
from lib.claims import Answer
from lib.cluster import CLIENTS, Cluster, Service
from lib.files import Files
from lib.pod import Pod

LIMIT = 300
SECRET = "6f6c6420736563726574206f662077eb"
FILES = Files(__file__)
STORE = Service(FILES.published()["identity"])
PAGES = ["config_dump?include_eds", "stats", "stats/prometheus", "clusters", "listeners", "server_info", "init_dump"]


def run(stage: Cluster) -> None:
    name = f"spiffe://cluster.local/ns/{stage.name}/sa"
    files = FILES.having(namespace=stage.name)
    stage.publish(FILES.text("zone"))
    stage.release(files.text("values.yaml"))
    stage.secret("secrets", k1=SECRET)
    # Clients of one node share their first 64 bits, and so a key.
    subnet = stage.kubectl("get", "node", CLIENTS, "-o", "jsonpath={.spec.podCIDR}")
    key = keys.client_key(SECRET, 64, subnet.partition("/")[0])
    stage.secret("client-keys", k1=key)
    server, client, other = stage.start(
        stage.workload("server", "server", secrets=["secrets"]),
        stage.workload("client", "client", secrets=["client-keys"]),
        stage.workload("other", "client", secrets=["client-keys"]),
    )
    stage.slices(STORE, "app=server")
    stage.wait_filter((server, "inbound"), (client, "outbound"), (other, "outbound"))

    stage.note("who may")
    answer = stage.wait_steady(
        timeouts.PUSHED, "the policy is there", lambda: served(client.http(STORE.name, path="/cgi-bin/peer"))
    )
    fields = dict(pair.split("=", 1) for pair in answer.text.split(";"))
    stage.claim("whom the application sees", f"{name}/client", fields["URI"])
    stage.claim("as whom it was dialled", f"{name}/server", fields["By"])
    server.mark("verdicts")
    stage.claim_answers("TCP: it is", "served", client.tcp(STORE.name))
    line = server.logged(log="verdicts", source=client.address, port=9001)[0]
    stage.claim("whom the server's log has", (f"{name}/client", "conforming"), (line["peer"], line["verdict"]))

    stage.note("who may not")
    stage.wait_steady(timeouts.PUSHED, "the policy is there", lambda: "403" in other.http(STORE.name).text)
    server.mark()
    server.mark("verdicts")
    answers = other.http(STORE.name), other.http(STORE.name, port=9000)
    stage.claim_answers("it is", "refused", *answers)
    # Envoy asks the policy at the client's first octet: a greeting of the server may have gone out by then.
    stage.claim("TCP: what it says comes to a server that speaks first", False, "got" in other.tcp(STORE.name).text)
    stage.claim_in("HTTP: it is reported", "403 RBAC: access denied", answers[0].text)
    stage.claim("by", "403", server.logged(source=other.address, port="8080")[0]["code"])
    line = server.logged(log="verdicts", source=other.address, port=9000)[0]
    found = line["peer"], line["verdict"], line["outcome"]
    stage.claim("its address conforms, its name does not", (f"{name}/other", "conforming", "allowed"), found)
    stage.claim("what the filter refused", 0, server.inbound(outcome="denied"))

    stage.note("whom clients expect")
    stage.release(files.text("values-someone.yaml"))
    stage.wait_steady(timeouts.PUSHED, "another name is expected", lambda: client.http(STORE.name).kind == "refused")
    composed = client.outbound(outcome="composed")
    client.mark()
    stage.claim_answers("a server of another name is", "refused", client.http(STORE.name), client.tcp(STORE.name))
    failures = {line["failure"] for line in client.logged(2, source=client.address)}
    stage.claim("why", [True], ["SAN_matcher" in failure for failure in failures])
    stage.claim("though composed", composed + 2, client.outbound(outcome="composed"))
    stage.release(files.text("values.yaml"))
    stage.wait_steady(timeouts.PUSHED, "the right name is expected", lambda: client.http(STORE.name).kind == "served")
    stage.claim_answers("TCP: it is", "served", client.tcp(STORE.name))

    stage.note("what is told")
    stage.claim("secrets in it", [], list(leaks((server, client, other), {"secret": SECRET, "client key": key})))
    stage.claim("configurations that proxies rejected", [], stage.nacks())


def served(answer: Answer) -> Answer | None:
    """Returns an answer that was served."""
    return answer if answer.kind == "served" else None


def leaks(pods: Iterable[Pod], secrets: dict[str, str]) -> Iterator[str]:
    """Finds secrets in what sidecars and shims tell: their pages and logs."""
    for pod in pods:
        texts = {page: pod.admin(page) for page in PAGES}
        texts |= {container: pod.logs(container) for container in ("istio-proxy", "ssa-resolver")}
        for page in ("metrics", "status"):
            texts[page] = pod.run("curl", "-s", f"localhost:9467/{page}", container="istio-proxy")
        for place, text in texts.items():
            for name, secret in secrets.items():
                raw = base64.b64encode(bytes.fromhex(secret)).decode().rstrip("=")
                if secret in text.lower() or raw in text:
                    yield f"{name} in {place} of {pod.name}"
