"""The outage of cluster-away, for 60 s.

Topology, configuration, expected: those of cluster-away.
"""

from lib import away
from lib.stage import Stage

LONG = True
LIMIT = 500


def run(stage: Stage) -> None:
    away.away(stage, 60)
