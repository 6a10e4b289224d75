"""Heartbeats are lost while both hosts serve: the standby takes new flows, and nothing is reset.

Topology: two endpoints with agents and BIRD, each the other's standby; a router with BIRD, without BFD.

Configuration: a key of heartbeats; the router drops them for a while.

Expected: connections that stay answer before, during and after the alarm, and every new one is answered.
"""

from lib import takeover
from lib.stage import Stage


def run(stage: Stage) -> None:
    takeover.alarm(stage)
