"""Each HTTP request goes to the server of what it asks for, in Istio's sidecars, by the chart's filters of requests.

Topology: two servers, which have the two replicas of every object between them, a client of the chart, and a rogue with
Istio's ordinary sidecar; STRICT mutual TLS.

Configuration: one service with requests: true, whose rule hashes the key in a header, and the first replica first.

Expected: requests over one connection are each answered by the server that has the object, as a rogue finds it by
addresses composed by hand. A request to an address of another object is answered 421, and the next one over that
connection is served. The other Host that is configured leads there too. Neither another service of the same port nor
TCP on the service's other ports is changed, and no proxy rejects its configuration.
"""

from lib import timeouts
from lib.cluster import Cluster, Service
from lib.files import Files
from lib.pod import Pod

FILES = Files(__file__)
LIMIT = 300
STORE = Service(FILES.published()["requests"])
NAMES = [f"o{number}" for number in range(20)]
TOTAL = "ssa_outbound_requests_total"


def run(stage: Cluster) -> None:
    stage.publish(FILES.text("zone"))
    stage.mtls("STRICT")
    stage.release(FILES.text("values.yaml"))
    _, client, rogue = stage.start(
        stage.workload("server", "server", replicas=2), stage.workload("client", "client"), stage.workload("rogue")
    )
    servers = stage.pods("server")
    stage.slices(STORE, "app=server")
    stage.wait_filter(*((server, "inbound") for server in servers), (client, "outbound"))

    places = {name: place(stage, rogue, name) for name in NAMES}
    stage.claim("servers that have objects", 2, len(set(places.values())))
    before = client.count(TOTAL, service=STORE.name, outcome="composed")
    found, connections = asked(client, NAMES)
    stage.claim("requests are answered by", list(places.values()), found)
    stage.claim("over so many connections", 1, connections)
    after = client.count(TOTAL, service=STORE.name, outcome="composed")
    stage.claim("requests that were composed", len(NAMES), after - before)
    stage.claim("of them for the first replica", after, client.count(TOTAL, service=STORE.name, replica="0"))

    other = next(name for name in NAMES if places[name] != places[NAMES[0]])
    found, connections = asked(rogue, [other, NAMES[0]], at=address(stage, NAMES[0]))
    stage.claim("another's object, and the next one's", (["421", places[NAMES[0]]], 1), (found, connections))
    denied = sum(one.count("ssa_inbound_requests_total", verdict="violation", outcome="denied") for one in servers)
    stage.claim("requests that were misdirected", 1, denied)

    answer = client.http(STORE.name, headers=["host: requests.internal", f"x-object: {other}"])
    stage.claim("by another Host", ("served", places[other]), (answer.kind, answer.text))
    before = client.count(TOTAL)
    # That of Kubernetes leads to the servers' own addresses, which they refuse.
    stage.claim_answers("another service of the same port is", "refused", client.http("server"))
    stage.claim("requests of it that were looked at", before, client.count(TOTAL))
    stage.claim("configurations that proxies rejected", [], stage.nacks())


def address(stage: Cluster, name: str) -> str:
    """Returns the address of an object's first replica."""
    return str(stage.ssa.compose(STORE.published, "fd00::1", object=name, replica="all")[0])


def place(stage: Cluster, rogue: Pod, name: str) -> str:
    """Returns which server has the first replica of an object, by asking it."""
    answer = rogue.http(STORE.name, at=address(stage, name), headers=[f"x-object: {name}"])
    return answer.text if answer.kind == "served" else f"{name}: {answer}"


def asked(pod: Pod, names: list[str], at: str = "") -> tuple[list[str], int]:
    """Asks for objects one after the other; returns who answers, or the status, and how many connections that took."""
    command: list[object] = ["curl"]
    for name in names:
        command += ["--next"] if len(command) > 1 else []
        command += ["-s", "-m", timeouts.EXCHANGE, "-w", "\n%{http_code} %{num_connects}\n", "-H", f"x-object: {name}"]
        command += ["--resolve", f"{STORE.name}:8080:[{at}]"] if at else []
        command.append(f"http://{STORE.name}:8080/")
    answers, connections, body = [], 0, ""
    for line in pod.run(*command).splitlines():
        code, _, connects = line.partition(" ")
        if not connects.isdigit():
            body = line or body
            continue
        answers.append(body if code == "200" else code)
        connections += int(connects)
        body = ""
    return answers, connections
