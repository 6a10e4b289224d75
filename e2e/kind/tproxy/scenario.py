"""Where sidecars use TPROXY, pods go while clients with open connections use them, and none of these notices.

Topology: that of kind-scale, with four pods that are ready at once.

Expected: 4 → 2 pods with 0 failures of any kind.
"""

from lib.cluster import Cluster, Service
from lib.cluster_users import SELECTOR, Servers, Users, gone, start
from lib.files import Files

LIMIT = 900
LONG = True
FILES = Files(__file__)
TPROXY = Service(FILES.published()["tproxy"])


def run(stage: Cluster) -> None:
    servers = Servers(replicas=4, interception="TPROXY")
    client = start(stage, TPROXY, FILES.text("zone"), FILES.text("values.yaml"), servers)
    users = Users(stage, client, TPROXY)
    before = users.now()
    stage.kubectl("scale", "deploy/web", "--replicas=2")
    stage.rolled_out("deploy/web")
    gone(stage)
    stage.settled("tproxy", SELECTOR)
    users.claim("4 to 2", before)
    users.end()
