"""The control run of cluster-takeover: without heartbeats clients wait until routers give the host up.

Topology: that of cluster-takeover.

Configuration: no key of heartbeats.

Expected: new connections work again no sooner than after a second: sessions of BGP are held for 9 s.
"""

from lib import takeover
from lib.stage import Stage


def run(stage: Stage) -> None:
    takeover.without(stage)
