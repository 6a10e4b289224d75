"""The takeover of cluster-takeover, 20 times.

Topology, configuration, expected: those of cluster-takeover.
"""

from lib import takeover
from lib.stage import Stage

LONG = True
LIMIT = 600


def run(stage: Stage) -> None:
    takeover.run(stage, 20)
