"""The control run of cluster-balance: slices do not move for load, and the busiest endpoint stays busy.

Topology: that of cluster-balance.

Configuration: that of cluster-balance, with `metric: None`.

Expected: after as long as slices may take to move there, the busiest endpoint has at least 1.8 times the mean still.
"""

from lib import balance
from lib.stage import Stage

LIMIT = 300


def run(stage: Stage) -> None:
    balance.without(stage)
