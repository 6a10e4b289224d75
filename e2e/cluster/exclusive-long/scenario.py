"""The same as cluster-exclusive with 10,000 probes.

Topology, configuration and expectations: as there.
"""

from lib import exclusive
from lib.stage import Stage

LONG = True
LIMIT = 400


def run(stage: Stage) -> None:
    exclusive.run(stage, 10_000)
