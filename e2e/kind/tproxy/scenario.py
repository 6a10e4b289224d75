"""Where sidecars use TPROXY, pods go while clients with open connections use them, and none of these notices.

Topology: that of kind-scale, with four pods that are ready at once, and are replaced two at a time.

Expected: `kubectl rollout restart`, in which the first two pods give slices to those that are replaced next, and 4 → 2
pods, each with 0 failures of any kind.
"""

from lib.cluster import Cluster, Service
from lib.cluster_users import Servers, play, start
from lib.files import Files

LIMIT = 900
LONG = True
FILES = Files(__file__)
TPROXY = Service(FILES.published()["tproxy"])


def run(stage: Cluster) -> None:
    rolling = {"maxSurge": 2, "maxUnavailable": 2}
    servers = Servers(replicas=4, interception="TPROXY", rolling=rolling)
    client = start(stage, TPROXY, FILES.text("zone"), FILES.text("values.yaml"), servers)
    steps = {
        "rollout restart, two at a time": ("rollout", "restart", "deploy/web"),
        "4 to 2": ("scale", "deploy/web", "--replicas=2"),
    }
    play(stage, TPROXY, client, steps)
