"""The filter's memory in a client's sidecar, compared with a plain Istio sidecar under the same traffic.

Topology: a server; on another node a client of the chart, and one with Istio's ordinary sidecar. Mutual TLS is STRICT.

Configuration: HTTP, with a rule that leaves all bits free, so that each draw is a different address. The ordinary
client uses the server's Kubernetes Service, because connections outside the service's addresses are allowed.

Expected: before any request the client's sidecar needs more by what V8 and the module take, and what its requests add
is what its upstream connections take: most are closed once idle, and their memory is freed. Printed is how much of the
resident memory is mapped from files, mostly Envoy's program; what its allocator got from the system, and how much of
that is in use; and the rest, such as the memory of Wasm modules.
"""

import json
from typing import Any

from lib import timeouts
from lib.cluster import Cluster, Service
from lib.files import Files
from lib.pod import Pod

LIMIT = 420
FILES = Files(__file__)
STORE = Service(FILES.published()["memory"])
REQUESTS = 300
# Each by a connection of the application's own.
ASKS = 'for ((n = 0; n < $2; n++)); do curl -s -m $3 -o /dev/null -w "%{http_code}\\n" "$1"; done | grep -c 200'
SMAPS = 'for one in /proc/[0-9]*; do if [ "$(cat "$one/comm")" = envoy ]; then cat "$one/smaps"; fi; done'


def memory(pod: Pod) -> dict[str, int]:
    """Returns what memory a pod's Envoy has, in kB: resident, mapped from files, the allocator's, given out by it, the
    rest."""
    found = dict.fromkeys(("Rss", "Anonymous"), 0)
    for line in pod.run("bash", "-c", SMAPS, container="istio-proxy").splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] += int(value.split()[0])
    heap = {name: int(size) >> 10 for name, size in json.loads(pod.admin("memory")).items()}
    return {
        "resident": found["Rss"],
        "files": found["Rss"] - found["Anonymous"],
        "allocator": heap["total_physical_bytes"],
        "allocated": heap["allocated"],
        "rest": found["Anonymous"] - heap["total_physical_bytes"],
    }


def connections(pod: Pod) -> int:
    """Returns how many connections a pod's Envoy has to the service, at its addresses or by Kubernetes."""
    told = json.loads(pod.admin("clusters?format=json"))["cluster_statuses"]
    hosts = [host for one in told if one["name"].startswith("outbound|8080|") for host in one.get("host_statuses", ())]
    return sum(int(stat.get("value", 0)) for host in hosts for stat in host["stats"] if stat["name"] == "cx_active")


def run(stage: Cluster) -> None:
    stage.publish(FILES.text("zone"))
    stage.mtls("STRICT")
    stage.release(FILES.text("values.yaml"))
    server, client, ordinary = stage.start(
        stage.workload("server", "server"), stage.workload("client", "client"), stage.workload("ordinary")
    )
    stage.slices(STORE, "app=server")
    stage.wait_filter((server, "inbound"), (client, "outbound"))
    asks = ((client, f"http://{STORE.name}:8080/"), (ordinary, "http://server:8080/"))

    def look(what: str) -> Any:
        both = [memory(pod) for pod, _ in asks]
        for (pod, _), one in zip(asks, both, strict=True):
            told = ", ".join(f"{name} {size / 1024:.1f}" for name, size in one.items())
            stage.note(f"        MB {what}, {pod.name}: {told}; {connections(pod)} connections upstream")
        return both

    first, first_ordinary = look("at first")
    ask(stage, asks, 20)
    warm, warm_ordinary = look("after 20 requests")
    ask(stage, asks, REQUESTS)
    kept = connections(client)
    busy, busy_ordinary = look(f"after {REQUESTS} more")
    stage.claim_between("upstream connections that the client keeps", REQUESTS // 4, REQUESTS + 20, kept)
    stage.wait(timeouts.PUSHED, "idle ones are gone", lambda: connections(client) == 0)
    idle, _ = look("idle")

    more = first["resident"] - first_ordinary["resident"]
    stage.claim_between("kB more at first than without the filter", 4 << 10, 64 << 10, more)
    given = first["allocated"] - first_ordinary["allocated"]
    stage.claim_between("of it, kB that Envoy itself asked its allocator for and has", 0, 16 << 10, given)
    grown = (busy["resident"] - warm["resident"]) - (busy_ordinary["resident"] - warm_ordinary["resident"])
    stage.claim_between("kB more by the requests than without the filter", -(4 << 10), 24 << 10, grown)
    each = (busy["allocated"] - warm["allocated"]) // kept
    stage.claim_between("kB that are allocated for a kept connection", 0, 80, each)
    stage.claim_between(
        "kB allocated beyond those before, idle", 0, 4 << 10, max(0, idle["allocated"] - warm["allocated"])
    )


def ask(stage: Cluster, asks: Any, number: int) -> None:
    """Has each client ask so often."""
    for pod, url in asks:
        answered = int(pod.run("bash", "-c", ASKS, "asks", url, number, timeouts.EXCHANGE, timeout=timeouts.THOUSANDS))
        stage.claim_between(f"{pod.name}: answers", number - 1, number, answered)
