"""Eight slices move at once and back under load, with the application itself: nothing fails.

Topology: a client, a router that follows 2 s late, three endpoints with agents; the scenario writes the phases of
moves, as the leader does.

Configuration: a store in a directory; the application itself serves.

Expected: all connections that stay answer in every phase, all new ones are answered; from Arm on new ones are the new
owner's, though the router leads to the old one; in the end nothing is sent to peers, and agents leave nothing behind.
"""

from lib import handover
from lib.stage import Stage


def run(stage: Stage) -> None:
    handover.run(stage, "plain")
