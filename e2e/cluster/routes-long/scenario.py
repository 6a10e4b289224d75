"""The moves of cluster-routes with 16384 slices.

Topology, configuration, expected: those of cluster-routes.
"""

from lib import routing
from lib.stage import Stage

LONG = True
LIMIT = 300


def run(stage: Stage) -> None:
    routing.run(stage, 14, trials=3)
