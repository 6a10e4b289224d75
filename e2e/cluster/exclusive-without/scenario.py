"""The control run of cluster-exclusive: ownership is available, and two endpoints accept one address.

Topology: as there.

Configuration: ownership is available.

Expected: some probes are answered both ways by different endpoints.
"""

from lib import exclusive
from lib.stage import Stage

LIMIT = 300


def run(stage: Stage) -> None:
    exclusive.run(stage, 3000, "Available")
