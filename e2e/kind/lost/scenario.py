"""Pods are evicted, deleted at once, and lost with their node, while clients with open connections use them.

Topology: that of kind-scale, with pods that are ready at once; the client is on the node that stays.

Expected: `kubectl drain` of a node costs nothing. A pod that is deleted without grace, and a node that stops, cost
connections that end with them and nothing else: a second later at most, new connections and requests are answered. When
the release goes, nodes have no route, rule, link or ruleset of it.
"""

import json
import time
from typing import Any

from lib import timeouts
from lib.cluster import CLIENTS, NODES, SERVERS, Cluster, Service
from lib.cluster_shared import run as run_here
from lib.cluster_users import SELECTOR, Users, gone, start
from lib.files import Files

LIMIT = 900
FILES = Files(__file__)
LOST = Service(FILES.published()["lost"])


def kinds(users: Users, before: dict[str, Any]) -> dict[str, list[float]]:
    """Returns when things have failed since, in seconds since 1970."""
    now = users.now()
    return {
        kind: [float(told.split()[0]) for told in one["failed"][before[kind]["failures"] :]]
        for kind, one in now.items()
    }


def run(stage: Cluster) -> None:
    client = start(stage, LOST, FILES.text("zone"), FILES.text("values.yaml"), CLIENTS)
    users = Users(stage, client, LOST)
    stage.note("a node is drained")
    before = users.now()
    flags = ["--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={timeouts.ROLLED_OUT:.0f}s"]
    selected = f"--pod-selector={SELECTOR}"
    stage.kubectl("drain", SERVERS, selected, *flags, timeout=timeouts.ROLLED_OUT + timeouts.COMMAND)
    stage.rolled_out("deploy/web")
    gone(stage)
    stage.settled("lost", SELECTOR)
    users.claim("drain", before)
    stage.kubectl("uncordon", SERVERS)

    stage.note("a pod is deleted at once")
    stage.kubectl("rollout", "restart", "deploy/web")
    stage.rolled_out("deploy/web")
    gone(stage)
    stage.settled("lost", SELECTOR)
    before, moment = users.now(), time.time()
    victim = stage.chosen(SELECTOR)[0]
    stage.kubectl("delete", "pod", victim.name, "--force", "--grace-period=0")
    stage.rolled_out("deploy/web")
    stage.settled("lost", SELECTOR)
    recovered(stage, users, before, moment, "forced delete")
    users.end()
    nothing_is_left(stage)


def recovered(stage: Cluster, users: Users, before: dict[str, Any], moment: float, what: str) -> None:
    """Claims that whatever failed did so within a second of the first failure."""
    for kind, times in kinds(users, before).items():
        lasted = round(max(times) - min(times), 2) if times else 0
        stage.note(f"        {what}: {len(times)} failures of {kind}, {lasted} s from first to last")
        stage.claim_between(f"{what}: seconds in which {kind} failed", 0, 1, lasted)
        stage.claim(f"{what}: failures of {kind} before it", [], [one for one in times if one < moment])


def nothing_is_left(stage: Cluster) -> None:
    """Takes everything away, as k8s/README.md says, and claims that nodes have nothing of it."""
    stage.kubectl("delete", "slicesets", "--all")
    maps = lambda: json.loads(stage.kubectl("get", "slicemaps", "-o", "json"))["items"]  # noqa: E731
    stage.wait(timeouts.PUSHED, "the maps are gone", lambda: not maps())
    look = f"ip -6 route show root {LOST.space}"
    stage.wait(
        timeouts.PUSHED,
        "no node has a route",
        lambda: not any(run_here("docker", "exec", node, *look.split()) for node in NODES),
    )
    stage.kubectl("uninstall", "ssa", "--wait", program="helm", timeout=timeouts.INSTALLED)
    for node in NODES:
        for words in (look, "ip -6 rule show table 500", "ip link show type vxlan"):
            stage.claim(f"{node}: {words}", "", run_here("docker", "exec", node, *words.split()).strip())
