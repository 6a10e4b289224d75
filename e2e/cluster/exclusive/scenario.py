"""An owner is cut off from the store, then from everything but clients: no two endpoints accept one address.

Topology: three endpoints with agents and BIRD, etcd, a router with BIRD, a controller; a client that the router leads
two ways, by one of them always to the owner that is cut off.

Configuration: exclusive ownership, leases of 8 s.

Expected: 3,000 probes ask both ways at once, and never do two endpoints answer; others take new connections once the
lease has run out; connections that are open at the owner go on; it comes back, and slices are spread again.
"""

from lib import exclusive
from lib.stage import Stage

LIMIT = 300


def run(stage: Stage) -> None:
    exclusive.run(stage, 3000)
