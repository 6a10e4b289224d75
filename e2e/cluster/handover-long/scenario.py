"""The handovers of cluster-handover-plain with 2,000 connections that stay and 20,000 new ones: nothing fails.

Topology, configuration: those of cluster-handover-plain.

Expected: as there, ping-pong for four laps.
"""

from lib import handover
from lib.stage import Stage

LONG = True
LIMIT = 400


def run(stage: Stage) -> None:
    handover.run(stage, "plain", long=2000, rate=400, laps=4)
