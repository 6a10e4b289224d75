"""The carts of examples/ in short: kept in memory at two endpoints each, none is lost with an endpoint.

Topology: a client with a sidecar; three endpoints with one, whose application is examples/stateful-frontend/cart.py;
two are killed, one after the other, and replaced by empty ones, and one more joins.

Configuration: envoy/client-requests.yaml and envoy/both-requests.yaml, the files of examples/stateful-frontend, BIND,
and a shim beside each sidecar.

Expected: while all carts are being changed an endpoint is killed; every cart is there then, with all that was
acknowledged, and after it has been replaced; the same once more, and while slices move to a new one. No request is
misdirected.
"""

from common.stories import story
from lib.stage import Stage


def run(stage: Stage) -> None:
    story("stateful-frontend").run(stage, sessions=120)
