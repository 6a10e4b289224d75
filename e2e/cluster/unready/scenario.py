"""An owner is not ready for a while: its standby takes new flows, which stay with it when the owner is ready again.

Topology: two endpoints with agents and BIRD, each the other's standby; a router with BIRD, without BFD.

Configuration: a key of heartbeats; agents probe a port of its own, so that an endpoint that is not ready serves on.

Expected: connections with the owner answer all the time; those that the standby has taken answer when the owner is
back.
"""

from lib import takeover
from lib.stage import Stage


def run(stage: Stage) -> None:
    takeover.unready(stage, heartbeats=True)
