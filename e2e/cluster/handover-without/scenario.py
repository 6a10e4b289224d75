"""The control run of the handover scenarios: eight slices move by routes alone, and connections break.

Topology: that of cluster-handover-plain, without agents: each endpoint takes all addresses.

Configuration: none.

Expected: more than half of the connections that stay break.
"""

from lib import handover
from lib.stage import Stage


def run(stage: Stage) -> None:
    handover.without(stage)
