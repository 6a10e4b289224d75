"""Servers of a StatefulSet dial each other with their own rule, whose key only they hold, without mutual TLS.

Topology: Redis, a server and its replica, which are clients of each other; a client of the release, a stranger with
Istio's ordinary sidecar, and an outsider without any. Mutual TLS is off.

Configuration: a service for all clients; and one for each server, whose rule has a mac, with a prefix and slices of its
own. Servers carry both labels and hold the key of the latter, nobody else does.

Expected: the replica follows its server at an address of the rule, in both directions, and nothing is exempt. Without
the key nobody gets in: not at a server's plain address, nor at its pod's, nor at an address composed for the other
server. A server that comes back with another address is found again.
"""

from lib import timeouts
from lib.cluster import Cluster, Service
from lib.files import Files
from lib.pod import Pod
from lib.programs import redis
from lib.programs import redis_talk as ask

LIMIT = 420
FILES = Files(__file__)
PEERED, *PEERS = (Service(one) for one in FILES.published().values())
SECRET = "70656572732073686172652074686973"
START = 'exec {command} --bind :: --protected-mode no --save "" --dir /tmp'


def run(stage: Cluster) -> None:
    files, command = redis()
    stage.publish(FILES.text("zone"))
    stage.mtls("DISABLE")
    stage.release(FILES.text("values.yaml"))
    stage.secret("peers", p1=SECRET)
    servers = stage.workload(
        "redis",
        "both",
        replicas=2,
        secrets=["peers"],
        command=START.format(command=command),
        app={"image": stage.image("redis", files), "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1}},
    )
    servers[1]["spec"]["ports"] = [{"name": "tcp-redis", "port": 6379}]
    first, client, stranger, outsider = stage.start(
        servers,
        stage.workload("client", "client"),
        stage.workload("stranger"),
        stage.workload("outsider", inject=False),
    )
    second = stage.pods("redis")[1]
    give_slices(stage, first, second)
    stage.wait_filter(*((pod, role) for pod in (first, second) for role in ("inbound", "outbound")))
    stage.wait(
        timeouts.PUSHED,
        "the client has the filter",
        lambda: client.has_filter("outbound") and client.installed("outbound"),
    )

    follow(stage, second, first, PEERS[0], "one")
    strangers(stage, first, second, client, stranger, outsider)
    stage.note("the other way round")
    stage.claim_in("the replica serves alone", "+OK", ask(second, "::1", "REPLICAOF", "NO", "ONE").text)
    follow(stage, first, second, PEERS[1], "two")
    returns(stage, first, second)
    for pod in (first, second):
        stage.claim(
            f"what {pod.name} lets in that no rule judged",
            0,
            pod.inbound(verdict="exempt") + pod.inbound(verdict="outside", outcome="allowed"),
        )
    stage.claim("configurations that proxies rejected", [], stage.nacks())


def give_slices(stage: Cluster, *pods: Pod) -> None:
    """Gives each server what its own service has, and both what they serve together, which the DNS says."""
    stage.slices(PEERED, "app=redis", dns=pods[0])
    for pod, one in zip(pods, PEERS, strict=True):
        stage.slices(one, f"statefulset.kubernetes.io/pod-name={pod.name}", bits=0)


def linked(pod: Pod) -> bool:
    """Tells whether a server follows another."""
    return "master_link_status:up" in ask(pod, "::1", "INFO", "replication").text


def follow(stage: Cluster, replica: Pod, primary: Pod, service: Service, word: str) -> None:
    """Has one server follow the other at its name, and claims that it does so by the rule."""
    before = primary.inbound(service=service.name, verdict="conforming", outcome="allowed")
    stage.claim_in(
        f"{replica.name} is told to follow {service.name}",
        "+OK",
        ask(replica, "::1", "REPLICAOF", service.name, "6379").text,
    )
    stage.wait(timeouts.PUSHED, f"{replica.name} follows", lambda: linked(replica))
    stage.claim_in("a value is written", "+OK", ask(primary, "::1", "SET", "word", word).text)
    stage.wait(timeouts.PUSHED, "both have it", lambda: word in ask(replica, "::1", "GET", "word").text)
    now = primary.inbound(service=service.name, verdict="conforming", outcome="allowed")
    stage.claim_between(f"connections to {service.name} that conform", 1, 10_000, now - before)


def strangers(stage: Cluster, first: Pod, second: Pod, client: Pod, stranger: Pod, outsider: Pod) -> None:
    """Claims that nobody else gets in by the servers' service, and that clients are served by theirs."""
    stage.note("others")
    stage.claim_answers(
        "a client at the service of clients is", "served", *(ask(client, PEERED.name, "PING") for _ in range(3))
    )
    stage.claim_answers("a client at a server's own name is", "refused", ask(client, PEERS[0].name, "PING"))
    stage.claim_between("what its shim says of keys at fault", 1, 100, client.shim("ssa_resolver_key_faults"))
    key = stage.own / "key"
    key.write_text(f"p1={SECRET}\n")
    theirs = str(stage.ssa.compose(PEERS[0].published, second.address, secret_file=key)[0])
    for pod in (client, stranger, outsider):
        before = first.inbound(service=PEERS[0].name, verdict="violation", outcome="denied")
        stage.claim_answers(
            f"the {pod.name} at an address made for {second.name} is", "refused", ask(pod, theirs, "PING")
        )
        counted = first.inbound(service=PEERS[0].name, verdict="violation", outcome="denied") - before
        stage.claim("violations that it made", 1, counted)
        stage.claim_answers(f"the {pod.name} at the pod's address is", "refused", ask(pod, first.address, "PING"))
    stage.claim_answers(f"{second.name} there is", "served", ask(second, theirs, "PING"))


def returns(stage: Cluster, first: Pod, second: Pod) -> None:
    """Ends the server that is followed, and claims that it is found again when it came back under another address."""
    stage.note("the server that is followed comes back")
    address = second.address
    stage.kubectl("delete", "pod", second.name, "--wait=true", timeout=timeouts.ROLLED_OUT)
    stage.rolled_out("statefulset/redis")
    first, second = stage.pods("redis")
    stage.claim("whether it has another address", True, second.address != address)
    give_slices(stage, first, second)
    stage.wait_filter((second, "inbound"), (second, "outbound"))
    stage.wait(timeouts.ROLLED_OUT, f"{first.name} follows again", lambda: linked(first))
