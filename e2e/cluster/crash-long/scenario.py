"""The crashes of cluster-crash, 20 of each kind.

Topology, configuration, expected: those of cluster-crash.
"""

from lib import crash
from lib.stage import Stage

LONG = True
LIMIT = 600


def run(stage: Stage) -> None:
    crash.run(stage, 20)
