"""Where sidecars use TPROXY, pods go while clients with open connections use them, and none of these notices.

Topology: that of kind-scale, with four pods that are ready at once, and are replaced two at a time.

Expected: `kubectl rollout restart`, in which the first two pods give slices to those that are replaced next, and 4 → 2
pods, each with 0 failures of any kind.
"""

from lib.cluster import Cluster, Service
from lib.cluster_users import SELECTOR, Servers, Users, gone, start
from lib.files import Files

LIMIT = 900
LONG = True
FILES = Files(__file__)
TPROXY = Service(FILES.published()["tproxy"])


def run(stage: Cluster) -> None:
    rolling = {"maxSurge": 2, "maxUnavailable": 2}
    servers = Servers(replicas=4, interception="TPROXY", rolling=rolling)
    client = start(stage, TPROXY, FILES.text("zone"), FILES.text("values.yaml"), servers)
    users = Users(stage, client, TPROXY)
    steps = {
        "rollout restart, two at a time": ("rollout", "restart", "deploy/web"),
        "4 to 2": ("scale", "deploy/web", "--replicas=2"),
    }
    for what, command in steps.items():
        stage.note(what)
        before = users.now()
        stage.kubectl(*command)
        stage.rolled_out("deploy/web")
        gone(stage)
        stage.settled("tproxy", SELECTOR)
        users.claim(what, before)
    users.end()
