"""A host dies under real controllers: standbys take over at once, the map follows, the host comes back as a newcomer.

Topology: three endpoints with agents and BIRD; a router with BIRD, without BFD; two controllers.

Configuration: a key of heartbeats; a store in a directory; endpoints are given up after 6 s.

Expected: new connections work again, the time is printed; what standbys have taken becomes theirs by moves of the
leader; the host that starts again gets slices again; connections to others stay all the time.
"""

from lib import away
from lib.stage import Stage

LIMIT = 300


def run(stage: Stage) -> None:
    away.led(stage)
