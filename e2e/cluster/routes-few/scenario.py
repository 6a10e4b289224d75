"""16 slices move in the store, and BIRD brings that into the router's kernel: none is ever missing.

Topology: two endpoints with agents and BIRD, each the other's standby; a router with BIRD.

Configuration: BIRD reads the table that agents announce by, and sends metrics as MEDs; lib/bird.py.

Expected: the router's routes are replaced and none is deleted; the times are printed.
"""

from lib import routing
from lib.stage import Stage


def run(stage: Stage) -> None:
    routing.run(stage, 4, trials=10)
