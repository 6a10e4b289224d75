"""The store takes connections and answers none: agents go on at once with all that needs no store.

Topology: three endpoints with agents, each other's standbys; etcd, which is stopped by SIGSTOP.

Configuration: a key of heartbeats; etcd as the store.

Expected: however long the store is silent, what somebody else removes of an endpoint's routes is set again within two
seconds; within as long an endpoint whose application has ended announces nothing any more, and a standby takes over; an
agent that is told to end has ended once its time to drain is over. When the store answers again, agents report.
"""

from lib import silent
from lib.stage import Stage


def run(stage: Stage) -> None:
    silent.run(stage)
