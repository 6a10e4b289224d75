"""Pods are evicted, deleted at once, and lost with their node, while clients with open connections use them.

Topology: that of kind-scale, with pods that are ready at once; from the forced delete on they send heartbeats. The
client is on the node that stays.

Expected: `kubectl drain` of a node costs nothing. A pod that is deleted without grace, and a node that loses its power,
cost the connections that end with them, and new ones for a second at most. When the release goes, nodes have no route,
rule, link or ruleset of it.
"""

import json
import time
from typing import Any

from lib import timeouts
from lib.cluster import CLIENTS, NODES, SERVERS, Cluster, Service
from lib.cluster_shared import HEARTBEATS, KIND
from lib.cluster_shared import run as program
from lib.cluster_users import SELECTOR, Servers, Users, gone, start
from lib.files import Files

LIMIT = 900
LONG = True
FILES = Files(__file__)
LOST = Service(FILES.published()["lost"])
# What ssa-cluster sets on a node, by the commands that show it.
LEFT = (
    f"ip -6 route show root {LOST.space}",
    "ip -6 route show table all proto 199",
    "ip -6 rule show table 500",
    "ip link show type vxlan",
    "nft list tables",
)


def run(stage: Cluster) -> None:
    client = start(stage, LOST, FILES.text("zone"), FILES.text("values.yaml"), Servers())
    users = Users(stage, client, LOST)
    drained(stage, users)
    deleted(stage, users)
    stopped(stage, users)
    users.end()
    nothing_is_left(stage)


def drained(stage: Cluster, users: Users) -> None:
    """Drains a node, and claims that nobody notices."""
    stage.note("a node is drained")
    before = users.now()
    flags = ["--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={timeouts.ROLLED_OUT:.0f}s"]
    selected = f"--pod-selector={SELECTOR}"
    stage.kubectl("drain", SERVERS, selected, *flags, timeout=timeouts.ROLLED_OUT + timeouts.COMMAND)
    settled(stage)
    users.claim("drain", before)
    stage.kubectl("uncordon", SERVERS)


def deleted(stage: Cluster, users: Users) -> None:
    """Deletes a pod at once, and claims for how long new connections fail."""
    stage.note("a pod is deleted at once")
    # One on each node again.
    annotations = {"inject.istio.io/templates": f"sidecar,{HEARTBEATS}"}
    patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    stage.kubectl("patch", "deploy/web", "--type=merge", "-p", json.dumps(patch))
    settled(stage)
    before, moment = users.now(), time.time()
    victim = stage.chosen(SELECTOR)[0]
    stage.kubectl("delete", "pod", victim.name, "--force", "--grace-period=0")
    settled(stage)
    recovered(stage, users, before, moment, "forced delete")


def stopped(stage: Cluster, users: Users) -> None:
    """Takes a node's power, and claims for how long new connections fail."""
    stage.note("a node loses its power")
    before, moment = users.now(), time.time()
    try:
        program("docker", "kill", SERVERS)
        # The lease of a leader that was there ends, and so does Kubernetes' patience.
        stage.wait(timeouts.NODE_KNOWN, "its slices are moved", lambda: owners(stage) == here(stage), pause=1)
        recovered(stage, users, before, moment, "node stopped")
    finally:
        program("docker", "start", SERVERS)
        # What a restart forgets: the routes between nodes.
        program(KIND / "network.sh")
    stage.rolled_out("deploy/web")


def owners(stage: Cluster) -> set[str]:
    """Returns who owns slices by the map."""
    parts = json.loads(stage.kubectl("get", "slicemaps", "-o", "json"))["items"]
    return {one["name"] for part in parts for one in part["spec"]["endpoints"] if one.get("owned")}


def here(stage: Cluster) -> set[str]:
    """Returns the pods on the node that stays."""
    told = json.loads(stage.kubectl("get", "pods", "-l", SELECTOR, "-o", "json"))["items"]
    return {one["metadata"]["name"] for one in told if one["spec"].get("nodeName") == CLIENTS}


def settled(stage: Cluster) -> None:
    """Waits until pods and slices are where they are to be."""
    # A Deployment may not have noticed yet that a pod is gone.
    stage.wait(timeouts.ROLLED_OUT, "two pods are ready", lambda: len(stage.chosen(SELECTOR)) == 2)
    stage.rolled_out("deploy/web")
    gone(stage)
    stage.settled("lost", SELECTOR)


def recovered(stage: Cluster, users: Users, before: dict[str, Any], moment: float, what: str) -> None:
    """Claims that new connections failed for a second at most, and tells what else did."""
    for kind, one in users.now().items():
        began = [float(told.split()[0]) for told in one["failed"][before[kind]["failures"] :]]
        lasted = round(max(began) - min(began), 2) if began else 0
        stage.note(f"        {what}: {len(began)} failures of {kind}, which began within {lasted} s")
        stage.claim(f"{what}: failures of {kind} before it", [], [one for one in began if one < moment - 10])
        if kind == "connection":
            stage.claim_between(f"{what}: seconds in which new connections failed", 0, 1, lasted)


def look(node: str, words: str) -> str:
    """Returns what a node has of what ssa-cluster sets, by a command."""
    lines = program("docker", "exec", node, *words.split()).splitlines()
    return "\n".join(line for line in lines if "ssa-cluster" in line or not words.startswith("nft"))


def nothing_is_left(stage: Cluster) -> None:
    """Takes everything away, as k8s/README.md says, and claims that nodes have nothing of it."""
    stage.note("everything is uninstalled")
    stage.kubectl("delete", "slicesets", "--all")
    maps = lambda: json.loads(stage.kubectl("get", "slicemaps", "-o", "json"))["items"]  # noqa: E731
    stage.wait(timeouts.PUSHED, "the maps are gone", lambda: not maps())
    stage.wait(timeouts.PUSHED, "no node has a route", lambda: not any(stage.node_routes(str(LOST.space))))
    stage.kubectl("uninstall", "ssa", "--wait", program="helm", timeout=timeouts.INSTALLED)
    for node in NODES:
        for words in LEFT:
            stage.claim(f"{node}: {words}", "", look(node, words))
