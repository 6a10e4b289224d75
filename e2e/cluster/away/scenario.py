"""The store is away for 10 s, then controllers too while a host dies: nothing fails, and nothing moves without need.

Topology: three endpoints with agents and BIRD; a router with BIRD, without BFD; two controllers; one is killed.

Configuration: a key of heartbeats; a store in a directory, which is renamed; endpoints are given up after 6 s.

Expected: every connection is answered and none ends; the leader that was without a store for longer than endpoints
may be silent moves nothing afterwards; a host that dies without controller and store is taken over, and the time is
printed.
"""

from lib import away
from lib.stage import Stage

LIMIT = 300


def run(stage: Stage) -> None:
    away.away(stage, 10)
