"""Pods come and go while clients with open connections use them, and none of these notices.

Topology: a Deployment whose pods serve HTTP, WebSocket and gRPC with STRICT mutual TLS, and need 25 s to be ready; a
client pod with 120 clients that keep HTTP connections, every fourth one idle for seconds, 60 WebSockets, 20 streams of
gRPC, and 50 connections a second.

Expected: 2 → 4 → 2 pods, and `kubectl rollout restart` with maxSurge, each with 0 failures of any kind. WebSockets of a
pod that ends are closed by the server in order, and made anew.
"""

from lib.cluster import Cluster, Service
from lib.cluster_users import Servers, play, start
from lib.files import Files

LIMIT = 900
LONG = True
FILES = Files(__file__)
SCALE = Service(FILES.published()["scale"])


def run(stage: Cluster) -> None:
    client = start(stage, SCALE, FILES.text("zone"), FILES.text("values.yaml"), Servers(ready_after=25))
    steps = {
        "2 to 4": ("scale", "deploy/web", "--replicas=4"),
        "4 to 2": ("scale", "deploy/web", "--replicas=2"),
        "rollout restart": ("rollout", "restart", "deploy/web"),
    }
    play(stage, SCALE, client, steps)
