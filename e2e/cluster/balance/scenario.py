"""Some slices get far more connections than others: slices move until each endpoint has its share.

Topology: a client, a router that follows what endpoints announce, a controller on it, four endpoints.

Configuration: agents tell their load at `--listen`; new flows are what counts; 64 slices an endpoint, and every second
of the most wanted ones is one endpoint's.

Expected: by the real connections the busiest endpoint has at least 1.8 times the mean at first, and at most 1.15 times
within 60 s after the load was measured first; then nothing moves while the load stays as it is. No connection fails.
"""

from lib import balance
from lib.stage import Stage

LIMIT = 300


def run(stage: Stage) -> None:
    balance.run(stage)
