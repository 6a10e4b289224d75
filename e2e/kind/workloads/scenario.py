"""Several services in one release, a replicated Redis whose servers dial each other, clients in another namespace.

Topology: Redis, a server and its replica, and a web server that has an application of its own on Redis' port; a client
of the chart, a stranger with Istio's ordinary sidecar, all with STRICT mutual TLS; a client in a namespace that has
nothing else.

Configuration: two services, each served by pods of its own, selected by the label's value. The servers' plain addresses
may be dialled on Redis' port from all pods' addresses, but only by Redis' own service account.

Expected: each pod is told of the services it serves, and verified on their ports only. The replica follows its server
under enforcement; others at the same address and port, from the same prefix, are refused, and served without the
principals. A label that names nothing keeps a pod from starting. When the last service of a workload is removed its
pods are closed, also if their label changes while they run, and the others are not.
"""

import json
from typing import Any

from lib import timeouts
from lib.cluster import Cluster, Service
from lib.files import Files
from lib.pod import Pod
from lib.programs import redis
from lib.programs import redis_talk as ask

LIMIT = 600
FILES = Files(__file__)
REDIS, WEB = (Service(one) for one in FILES.published().values())
# The second of them follows the first.
START = """
follow=
if [ "$HOSTNAME" != redis-0 ]; then follow="--replicaof redis-0.redis 6379"; fi
exec {command} --bind :: --protected-mode no --save "" --dir /tmp $follow
"""
# Beside the page of the web server something that is its own, on the port of the other service.
OWN = (FILES.folder / "own.sh").read_text()


def ready(port: int) -> dict[str, Any]:
    """Returns the probe of a server's container."""
    return {"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}}


def run(stage: Cluster) -> None:
    files, command = redis()
    image = stage.image("redis", files)
    stage.publish(FILES.text("zone"))
    stage.mtls("STRICT")
    stage.release(FILES.text("values.yaml", namespace=stage.name))
    servers = stage.workload(
        "redis",
        "server",
        replicas=2,
        labels={"ssa-inbound": "redis"},
        command=START.format(command=command),
        app={"image": image, **ready(6379)},
    )
    # Names of single pods, also before they are ready.
    servers[1]["spec"] |= {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "ports": [{"name": "tcp-redis", "port": 6379}],
    }
    of_web = stage.workload("web", "server", labels={"ssa-inbound": "web"}, command=OWN, app=ready(8080))
    of_web[1]["spec"]["ports"] = [{"name": "http", "port": 8080}, {"name": "tcp-own", "port": 6379}]
    primary, web, client, stranger = stage.start(
        servers,
        of_web,
        stage.workload("client", "client"),
        stage.workload("stranger"),
    )
    replica = stage.pods("redis")[1]
    stage.slices(REDIS, "app=redis")
    stage.slices(WEB, "app=web")
    stage.wait_filter((primary, "inbound"), (replica, "inbound"), (web, "inbound"), (client, "outbound"))
    told(stage, primary, web)
    peers(stage, primary, replica, client, stranger)
    own(stage, web, client, stranger)
    stage.note("exempt by their prefix alone")
    stage.release(FILES.text("values-exempt.yaml"))
    stage.wait_steady(
        timeouts.PUSHED, "everybody in it is let in", lambda: ask(stranger, "redis-0.redis", "PING").kind == "served"
    )
    gone(stage, primary, web, client, stranger)
    misnamed(stage)
    elsewhere(stage, web)
    stage.claim("configurations that proxies rejected", [], stage.nacks())


def told(stage: Cluster, primary: Pod, web: Pod) -> None:
    """Claims what each server is told of, and where its filter stands."""
    for pod, service, port in ((primary, REDIS, 6379), (web, WEB, 8080)):
        states = json.loads(pod.run("curl", "-s", "localhost:9467/status", container="istio-proxy"))
        stage.claim(f"the services that {pod.name} is told of", {service.name}, {one["service"] for one in states})
        name = f"ssa-inbound.{stage.name}.ssa"
        ports = {
            chain["filter_chain_match"].get("destination_port")
            for chain in pod.chains()
            if chain["listener"] == "virtualInbound" and chain["filters"][0]["name"] == name
        }
        stage.claim(f"the ports of {pod.name} with the filter", {port}, ports)


def peers(stage: Cluster, primary: Pod, replica: Pod, client: Pod, stranger: Pod) -> None:
    """Claims that the replica follows, and who else gets in at which address."""

    def link() -> bool:
        return "master_link_status:up" in ask(replica, "::1", "INFO", "replication").text

    stage.wait(timeouts.PUSHED, "the replica follows its server", link)
    stage.claim_in("a value is written", "+OK", ask(primary, "::1", "SET", "word", "one").text)

    def follows() -> bool:
        return "one" in ask(replica, "::1", "GET", "word").text and "one" in ask(primary, "::1", "GET", "word").text

    stage.wait(timeouts.PUSHED, "both have it", follows)
    stage.claim_between(
        "the peers' connections are counted as exempt", 1, 10_000, primary.inbound(verdict="exempt", outcome="allowed")
    )
    stage.claim_answers("a stranger at a server's own address is", "refused", ask(stranger, "redis-0.redis", "PING"))
    stage.claim_answers("a client there is", "refused", ask(client, "redis-0.redis", "PING"))
    before = primary.inbound(verdict="conforming") + replica.inbound(verdict="conforming")
    answers = [ask(client, REDIS.name, "PING") for _ in range(3)]
    stage.claim_answers("a client at the service's is", "served", *answers)
    counted = primary.inbound(verdict="conforming") + replica.inbound(verdict="conforming") - before
    stage.claim("its connections conform", 3, counted)
    own = str(stage.ssa.compose(REDIS.published, client.address)[0])
    stage.claim_answers("a stranger at another's address is", "refused", ask(stranger, REDIS.name, "PING", at=own))


def own(stage: Cluster, web: Pod, client: Pod, stranger: Pod) -> None:
    """Claims that a port which a pod does not serve for the release is its own."""
    stage.claim("what the web server has of its own", "own of web-0", ask(stranger, "web", "PING").text)
    stage.claim("judged by the filter", 0, web.inbound(verdict="no_match"))
    stage.claim_answers("its service is, by its rule,", "served", client.http(WEB.name))
    stage.claim_answers("and past it", "refused", stranger.http("web"))


def gone(stage: Cluster, primary: Pod, web: Pod, client: Pod, stranger: Pod) -> None:
    """Takes the last service of Redis' pods out of the values, and puts it back; then has a pod's label name
    nothing."""
    stage.note("the last service of a workload goes")
    stage.release(FILES.text("values-without-redis.yaml"))

    def closed() -> None:
        stage.wait(
            timeouts.PUSHED,
            "it is closed",
            lambda: "ssa-closed" in primary.admin("config_dump?resource=dynamic_listeners"),
        )
        stage.wait_steady(
            timeouts.PUSHED, "no old listener answers", lambda: ask(stranger, "redis-0.redis", "PING").kind == "refused"
        )
        own = str(stage.ssa.compose(REDIS.published, client.address)[0])
        for pod, at in ((stranger, None), (stranger, own), (client, None)):
            stage.claim(f"{pod} at {at or 'its own address'}", "refused", ask(pod, "redis-0.redis", "PING", at=at).kind)
        stage.claim("it is ready all the same", True, primary.is_ready())

    def opened() -> None:
        stage.wait_filter((primary, "inbound"))
        stage.wait_steady(
            timeouts.PUSHED, "it answers again", lambda: ask(stranger, "redis-0.redis", "PING").kind == "served"
        )

    closed()
    # By this SsaServerWithoutFilter fires.
    metric = "ssa_inbound_snapshot_age_max_seconds"
    stage.wait(
        timeouts.ROLLED_OUT,
        "its filter tells nothing any more",
        lambda: metric not in {name for name, _, _ in primary.metrics()},
    )
    stage.claim_answers("the other workload's service is, by its rule,", "served", client.http(WEB.name))
    stage.claim_answers("and past it", "refused", stranger.http("web"))
    stage.release(FILES.text("values-exempt.yaml"))
    opened()
    stage.note("a label is changed to one that names nothing, while the pod runs")
    stage.kubectl("label", "pod", primary.name, "ssa-inbound=rdeis", "--overwrite")
    closed()
    stage.kubectl("label", "pod", primary.name, "ssa-inbound=redis", "--overwrite")
    opened()


def misnamed(stage: Cluster) -> None:
    """Claims that a pod does not start whose label names nothing."""
    wrong = stage.workload("wrong", "server", labels={"ssa-inbound": "wbe"})
    stage.apply(*(one for one in wrong if one["kind"] != "Service"))

    def reason() -> str | None:
        told = json.loads(
            stage.kubectl("get", "events", "--field-selector", "involvedObject.name=wrong-0", "-o", "json")
        )
        return next(
            (one["message"] for one in told["items"] if "ssa-resolver-inbound-wbe" in one.get("message", "")), None
        )

    stage.claim_in("what keeps it from starting", "not found", stage.wait(timeouts.PUSHED, "an event tells it", reason))
    (phase,) = {
        one["status"]["phase"]
        for one in json.loads(stage.kubectl("get", "pods", "-l", "app=wrong", "-o", "json"))["items"]
    }
    stage.claim("it is", "Pending", phase)


def elsewhere(stage: Cluster, web: Pod) -> None:
    """Claims that a namespace which has clients alone gets what they need."""
    front = Cluster(f"{stage.name}-front", stage.tools, stage.shared)
    try:
        front.open()
        (front.own / "spaces").write_text("")
        front.release(FILES.text("values-clients.yaml"))
        (client,) = front.start(front.workload("client", "client"))
        front.wait_filter((client, "outbound"))
        web.mark()
        before = web.inbound(verdict="conforming", outcome="allowed")
        stage.claim_answers("a client in another namespace is", "served", client.http(WEB.name))
        line = web.logged(source=client.address, port="8080")[0]
        verdict = stage.ssa.verify(WEB.published, client.address, line["destination"], port=8080)
        stage.claim("where it arrived is", ("conforming", None), verdict)
        stage.claim("found so by the server", 1, web.inbound(verdict="conforming", outcome="allowed") - before)
        kinds = "envoyfilters,services,authorizationpolicies"
        names = front.kubectl("get", kinds, "-l", "app.kubernetes.io/name=ssa", "-o", "name").split()
        # Besides what clients need, what closes a pod that says it were a server.
        wanted = [f"envoyfilter.networking.istio.io/ssa-{word}" for word in ("closed", "closed-enabled", "outbound")]
        stage.claim("what the release has there", wanted, sorted(names))
    finally:
        front.close()
