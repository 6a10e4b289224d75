"""The control run of cluster-unready: without heartbeats the owner takes back what it had, and flows are lost.

Topology and configuration: those of cluster-unready, without a key of heartbeats.

Expected: none of the connections that the standby has taken answers once the owner is ready again.
"""

from lib import takeover
from lib.stage import Stage


def run(stage: Stage) -> None:
    takeover.unready(stage, heartbeats=False)
