"""Shims, istiod, a server and a node go away under load: traffic goes on or recovers, and nothing gets in that should not.

Two servers on two nodes with slices, a client, and a rogue with an ordinary sidecar that goes on dialling an address made
for another source. The client draws addresses of all slices.

Expected: while shims are killed, and while istiod is away, no connection is refused; pods made after that have the filter.
A server that is killed, and a node that restarts, cost the connections to their slices until k8s/slices/apply.sh ran;
then all are answered again. The rogue is never served.
"""

import json
import subprocess
from ipaddress import ip_network

from lib.cluster import KIND, SERVERS, Service
from lib.cluster_load import Load, rules

CLUSTER = True
LIMIT = 420
STORE = Service(0x21, "outages", "v=ssa1; addr=rand:20 hash(src/128):44")
EVERY = "store=yes"


def slices_of(stage, pod):
    """Returns the slices that a pod has by the plan."""
    told = json.loads(stage.kubectl("get", "configmap", "ssa-slices", "-o", "json"))["data"][f"{STORE.name}.routes"]
    lines = [line.split() for line in told.splitlines()]
    return [ip_network(line[1]) for line in lines if line[0] == "slice" and line[2] == pod.name]


def restarts(pod, container):
    status = pod.now()["status"]
    states = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    return next((state["restartCount"] for state in states if state["name"] == container), 0)


def kill_shims(stage, pods, times):
    """Kills the shims of these pods, and waits until Kubernetes has started them so often."""
    for pod, _ in pods:
        pod.run("sh", "-c", "kill -9 $(pidof ssa-resolver)", container="ssa-resolver")
    if times:
        for pod, _ in pods:
            stage.wait(60, f"the shim of {pod} is started again", lambda: restarts(pod, "ssa-resolver") >= times)


def answers(pod):
    """Tells whether the shim of a pod answers."""
    return pod.attempt("curl", "-sf", "-m", "5", "localhost:9467/healthz", container="istio-proxy").returncode == 0


def run(stage):
    stage.publish(STORE)
    stage.release(STORE.values())
    labels = {"store": "yes"}
    near, far, client, rogue = stage.start(
        stage.workload("near", "server", labels=labels, node="ssa-worker2"),
        stage.workload("far", "server", labels=labels, node=SERVERS),
        stage.workload("client", "client"),
        stage.workload("rogue"),
    )
    stage.slices(STORE, EVERY)
    pods = [(near, "inbound"), (far, "inbound"), (client, "outbound")]
    stage.wait_filter(*pods)
    load = Load(stage, client, f"http://{STORE.name}:9000/")
    load.moves_on("both servers are there")
    stage.claim("servers without a connection", [], [pod for pod in (near, far) if not pod.inbound(verdict="conforming")])
    # In a slice of the server that goes away.
    elsewhere = stage.ssa.compose(STORE.published, "2001:db8:77::1", count=64)
    owned = slices_of(stage, far)
    wrong = next(one for one in elsewhere if any(one in prefix for prefix in owned))
    rogues = Load(stage, rogue, f"http://[{wrong}]:9000/", rate=8, lanes=2)

    stage.note("shims are killed")
    kill_shims(stage, pods, 1)
    # The second time Kubernetes waits some 10 s.
    kill_shims(stage, pods, 0)
    stage.wait(5, "no shim answers", lambda: not any(answers(pod) for pod, _ in pods))
    load.moves_on("without shims")
    stage.claim("shims that answered meanwhile", 0, sum(answers(pod) for pod, _ in pods))
    for pod, role in pods:
        stage.wait(90, f"the shim of {pod} is back", lambda: restarts(pod, "ssa-resolver") >= 2 and answers(pod))
        stage.claim(f"{pod} is told by it", STORE.rules, rules(pod, role, STORE.name))
    stage.claim("connections without an answer so far", [], load.failed()[:20])

    stage.note("istiod goes away")
    stage.kubectl("-n", "istio-system", "scale", "deploy/istiod", "--replicas=0")
    try:
        stage.wait(60, "istiod is gone", lambda: not stage.kubectl("-n", "istio-system", "get", "pods", "-l", "app=istiod", "-o", "name"))
        load.moves_on("without istiod")
    finally:
        stage.kubectl("-n", "istio-system", "scale", "deploy/istiod", "--replicas=1")
    stage.kubectl("-n", "istio-system", "rollout", "status", "deploy/istiod", "--timeout=120s", timeout=130)
    load.moves_on("istiod is back")
    (late,) = stage.start(stage.workload("late", "client"))
    stage.wait_filter((late, "outbound"))
    stage.claim("a pod made after that is served", "served", late.http(STORE.name).kind)
    stage.claim("by an address that was composed", 1, late.outbound(outcome="composed"))
    stage.claim("connections without an answer so far", [], load.failed()[:20])

    stage.note("a server is killed")
    stage.kubectl("delete", "pod", far.name, "--grace-period=0", "--force")
    stage.slices(STORE, EVERY)
    stage.note(f"        answered again after {load.recovers('the slices of the server that is gone were moved')} s")
    stage.kubectl("rollout", "status", "statefulset/far", "--timeout=120s", timeout=130)
    (far,) = stage.pods("far")
    stage.wait_filter((far, "inbound"))
    stage.slices(STORE, EVERY)
    load.recovers("with the server that came in its place")
    stage.wait(20, "it has its share", lambda: far.inbound(verdict="conforming"))

    stage.note("a node restarts")
    started = restarts(far, "app")
    subprocess.run(["docker", "restart", SERVERS], check=True, capture_output=True, timeout=120)
    # What that forgets: the routes between nodes.
    subprocess.run([KIND / "network.sh"], check=True, capture_output=True, timeout=120)
    stage.wait(120, "its server is back", lambda: restarts(far, "app") > started and far.is_ready())
    (far,) = stage.pods("far")
    stage.wait_filter((far, "inbound"))
    stage.kubectl("rollout", "status", "daemonset/ssa-routes", "--timeout=120s", timeout=130)
    stage.slices(STORE, EVERY)
    stage.note(f"        answered again after {load.recovers('the node is back')} s")
    stage.wait(20, "its server has its share", lambda: far.inbound(verdict="conforming"))

    stage.note("what it cost")
    answered, failed = load.end()
    stage.note(f"        {len(failed)} connections failed while the server and the node were away")
    served, refused = rogues.end()
    stage.claim("connections of the rogue that were served", 0, served)
    stage.claim_between("connections of the rogue", 50, 100000, len(refused))
    stage.claim("violations that were let in", 0, sum(pod.inbound(verdict="violation", outcome="allowed") for pod in (near, far)))
    stage.claim_between("violations that were denied", 50, 100000, sum(pod.inbound(verdict="violation", outcome="denied") for pod in (near, far)))
    stage.claim("conforming connections that were denied", 0, sum(pod.inbound(verdict="conforming", outcome="denied") for pod in (near, far)))
