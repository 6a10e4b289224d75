"""The build cache of examples/ in short: nothing is missed after an endpoint is lost, replaced, and joined by others.

Topology: two clients that build, each with a sidecar; three endpoints with one, whose application is nginx; one is
killed, and two more join.

Configuration: envoy/client-requests.yaml and envoy/both-requests.yaml, the files of examples/build-cache, BIND, and a
shim beside each sidecar.

Expected: what one client has built the other one takes from the cache, also without the endpoint that is killed, with
an empty one in its place, and while slices move to new ones. Each object is at both of its replicas; no request is
misdirected.
"""

from common.stories import story
from lib.stage import Stage


def run(stage: Stage) -> None:
    story("build-cache").run(stage, files=24, more=1, sccache=0, rival=0)
