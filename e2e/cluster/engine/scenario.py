"""Routing daemons are frozen for a second and restarted under load: nothing fails.

Topology: two endpoints with agents and BIRD, of which one owns everything and the other stands by; a router with BIRD.

Configuration: BFD of 3 times 300 ms, so that a second is more than it bears.

Expected: connections that stay answer, and new ones are answered, whichever endpoint the router leads to. Without
standbys new connections fail.
"""

from lib import engine
from lib.stage import Stage


def run(stage: Stage) -> None:
    engine.run(stage, 200, 100)
