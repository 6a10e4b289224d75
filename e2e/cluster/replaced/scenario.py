"""Four endpoints are replaced two at a time, while connections to the first two stay open: no other connection fails.

Topology: a client, a router that follows what endpoints announce and has a controller on it, eight endpoints.

Configuration: a store in a directory; the application itself serves; former owners have ten minutes to drain.

Expected: two of four endpoints leave, and the others get their slices; these leave too while connections with the first
two stay open, and four new ones get everything. Then the second two end. All new connections are answered, and those
that stay with the first two answer, though whoever took over from these is gone.
"""

from lib import replaced
from lib.stage import Stage


def run(stage: Stage) -> None:
    replaced.run(stage)
