"""A host is cut off: the standby takes over by heartbeats, though no router has BFD and no leader runs.

Topology: two endpoints with agents and BIRD, each the other's standby; a router with BIRD, without BFD.

Configuration: a key of heartbeats; a store in a directory, which nobody but agents writes to meanwhile.

Expected: new connections work again; the times are printed. The host that is back never takes back what it had and
sends on what reaches it; one whose kernel is empty joins as a newcomer.
"""

from lib import takeover
from lib.stage import Stage


def run(stage: Stage) -> None:
    takeover.run(stage, 3)
