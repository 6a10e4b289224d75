"""Endpoints come and leave while connections stay open: no connection breaks, and none is refused.

Topology: a client, a router that follows what endpoints announce, two controllers on it, two to four endpoints.

Configuration: a store in a directory; the application itself serves; former owners have ten minutes to drain.

Expected: from two endpoints to four, then one leaves that still waits for flows of others to end: its slices go back at
once, and its agent ends. The leader is killed meanwhile, and the other controller goes on. All connections answer.
"""

from lib import scaling
from lib.stage import Stage


def run(stage: Stage) -> None:
    scaling.run(stage)
