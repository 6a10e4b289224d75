"""Shims, istiod, a server and a node fail under load: traffic continues or recovers, and nothing wrong is admitted.

Topology: two servers on two nodes with slices, a client, and a rogue with an ordinary sidecar that keeps dialling an
address composed for another source. The client draws addresses of all slices.

Expected: while shims are killed, and while istiod is away, no connection is refused; pods created afterwards have the
filter. A killed server and a stopped node cost the connections to their slices until k8s/slices/apply.sh has run; then
all are answered again, before and after the server or node is back. The rogue is never served.
"""

import json
from ipaddress import IPv4Network, IPv6Network, ip_network

from lib import timeouts
from lib.cluster import CLIENTS, SERVERS, Cluster, Service
from lib.cluster_load import Load, rules
from lib.cluster_shared import KIND
from lib.cluster_shared import run as program
from lib.files import Files
from lib.pod import Pod

LIMIT = 420
FILES = Files(__file__)
STORE = Service(FILES.published()["outages"])
EVERY = "store=yes"
ISTIOD = ("-n", "istio-system")


def slices_of(stage: Cluster, pod: Pod) -> list[IPv4Network | IPv6Network]:
    """Returns the slices that a pod has by the plan."""
    kept = json.loads(stage.kubectl("get", "configmap", "ssa-slices", "-o", "json"))["data"]
    lines = [line.split() for line in kept[f"{STORE.name}.routes"].splitlines()]
    return [ip_network(line[1]) for line in lines if line[0] == "slice" and line[2] == pod.name]


def kill_shim(pod: Pod) -> None:
    """Kills it from its node: in its container it is PID 1, which SIGKILL from within does not reach."""
    now = pod.now()
    states = [*now["status"].get("initContainerStatuses", []), *now["status"].get("containerStatuses", [])]
    container = next(one["containerID"] for one in states if one["name"] == "ssa-resolver").removeprefix(
        "containerd://"
    )
    node = now["spec"]["nodeName"]
    program("docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", container)


def answers(pod: Pod) -> bool:
    """Tells whether the shim of a pod answers."""
    asked = pod.attempt(
        "curl", "-sf", "-m", timeouts.ADMIN_OF_KILLED, "localhost:9467/healthz", container="istio-proxy"
    )
    return asked.returncode == 0


def is_ready(stage: Cluster, node: str | None) -> bool:
    conditions = json.loads(stage.kubectl("get", "node", node, "-o", "json"))["status"]["conditions"]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def without_shims(stage: Cluster, pods: list[tuple[Pod, str]], load: Load) -> None:
    """Kills the shims of pods twice: after the second time Kubernetes waits some 10 s until it starts them."""
    for times in (1, 2):
        for pod, _ in pods:
            kill_shim(pod)
        if times == 1:
            for pod, _ in pods:
                stage.wait(
                    timeouts.PUSHED,
                    f"the shim of {pod} is back",
                    lambda: pod.restarts("ssa-resolver") == 1 and answers(pod),
                )
    stage.wait(timeouts.SOON, "no shim answers", lambda: not any(answers(pod) for pod, _ in pods))
    load.moves_on("without shims")
    stage.claim("shims that answered meanwhile", 0, sum(answers(pod) for pod, _ in pods))
    for pod, role in pods:
        stage.wait(timeouts.ROLLED_OUT, f"the shim of {pod} is back", lambda: answers(pod))
        stage.claim(f"{pod} is told by it", STORE.rules, rules(pod, role, STORE.name))


def without_istiod(stage: Cluster, load: Load) -> None:
    """Takes istiod away and gives it back."""
    stage.kubectl(*ISTIOD, "scale", "deploy/istiod", "--replicas=0")
    try:
        listed = (*ISTIOD, "get", "pods", "-l", "app=istiod", "-o", "name")
        stage.wait(timeouts.PUSHED, "istiod is gone", lambda: not stage.kubectl(*listed))
        load.moves_on("without istiod")
    finally:
        stage.kubectl(*ISTIOD, "scale", "deploy/istiod", "--replicas=1")
    stage.rolled_out("deploy/istiod", *ISTIOD)
    load.moves_on("istiod is back")
    (late,) = stage.start(stage.workload("late", "client"))
    stage.wait_filter((late, "outbound"))
    stage.claim("a pod made after that is served", "served", late.http(STORE.name).kind)
    stage.claim("by an address that was composed", 1, late.outbound(outcome="composed"))


def give_back(stage: Cluster, load: Load, what: str) -> Pod:
    """Waits until the server that was away is ready again, gives it slices, and returns it once it has connections."""
    stage.rolled_out("statefulset/far")
    (far,) = stage.pods("far")
    stage.wait_filter((far, "inbound"))
    stage.slices(STORE, EVERY)
    load.recovers(what)
    stage.wait(timeouts.SOON, "it has its share", lambda: far.inbound(verdict="conforming"))
    return far


def without_node(stage: Cluster, load: Load, far: Pod) -> None:
    """Stops a node until Kubernetes knows, and starts it again."""
    started = far.restarts("app")
    try:
        program("docker", "stop", SERVERS)
        stage.wait(timeouts.NODE_KNOWN, "Kubernetes knows", lambda: not is_ready(stage, SERVERS), pause=1)
        stage.slices(STORE, EVERY)
        stage.note(f"        answered again after {load.recovers('the slices of the node that is away were moved')} s")
    finally:
        program("docker", "start", SERVERS)
        # What a restart forgets: the routes between nodes.
        program(KIND / "network.sh")
    stage.wait(timeouts.NODE_KNOWN, "its server is back", lambda: far.restarts("app") > started and far.is_ready())
    stage.rolled_out("daemonset/ssa-routes")


def run(stage: Cluster) -> None:
    stage.publish(FILES.text("zone"))
    stage.release(FILES.text("values.yaml"))
    labels = {"store": "yes"}
    near, far, client, rogue = stage.start(
        stage.workload("near", "server", labels=labels, node=CLIENTS),
        stage.workload("far", "server", labels=labels, node=SERVERS),
        stage.workload("client", "client"),
        stage.workload("rogue"),
    )
    stage.slices(STORE, EVERY)
    pods = [(near, "inbound"), (far, "inbound"), (client, "outbound")]
    stage.wait_filter(*pods)
    load = Load(stage, client, f"http://{STORE.name}:9000/")
    load.moves_on("both servers are there")
    idle = [pod.name for pod in (near, far) if not pod.inbound(verdict="conforming")]
    stage.claim("servers without a connection", [], idle)
    # In a slice of the server that goes away.
    owned = slices_of(stage, far)
    elsewhere = stage.ssa.compose(STORE.published, "2001:db8:77::1", count=64)
    wrong = next(one for one in elsewhere if any(one in prefix for prefix in owned))
    rogues = Load(stage, rogue, f"http://[{wrong}]:9000/", rate=8, lanes=2)

    stage.note("shims are killed")
    without_shims(stage, pods, load)
    stage.claim("connections without an answer so far", [], load.failed()[:20])
    stage.note("istiod goes away")
    without_istiod(stage, load)
    stage.claim("connections without an answer so far", [], load.failed()[:20])

    stage.note("a server is killed")
    stage.kubectl("delete", "pod", far.name, "--grace-period=0", "--force")
    stage.slices(STORE, EVERY)
    stage.note(f"        answered again after {load.recovers('the slices of the server that is gone were moved')} s")
    far = give_back(stage, load, "with the server that came in its place")

    stage.note("a node goes away")
    without_node(stage, load, far)
    far = give_back(stage, load, "with the node that is back")

    stage.note("what it cost")
    load.end()
    served, refused = rogues.end()
    stage.claim("connections of the rogue that were served", 0, served)
    stage.claim_between("connections of the rogue that were not", 50, 100000, len(refused))
    found = {
        (verdict, outcome): sum(pod.inbound(verdict=verdict, outcome=outcome) for pod in (near, far))
        for verdict in ("conforming", "violation")
        for outcome in ("allowed", "denied")
    }
    stage.claim("violations that were let in", 0, found["violation", "allowed"])
    stage.claim_between("violations that were denied", 20, 100000, found["violation", "denied"])
    stage.claim("conforming connections that were denied", 0, found["conforming", "denied"])
