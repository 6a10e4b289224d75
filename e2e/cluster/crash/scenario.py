"""An application is killed and a host is cut off: the standby answers, and no leader has to do anything.

Topology: two endpoints with agents and BIRD, each the other's standby; a router with BIRD; BFD of 3 times 50 ms.

Configuration: agents probe the application every 50 ms.

Expected: new connections work again; the times are printed. When application or host are back, so are their routes.
"""

from lib import crash
from lib.stage import Stage


def run(stage: Stage) -> None:
    crash.run(stage, 3)
