"""Edges of time: a step and its skew, a record's `from`, the minutes of a proof of work.

Topology: a client with a sidecar, a stranger without one, a router, one server with a sidecar. All share one clock that
cannot be set here, so the stranger dials addresses of other times, again and again, while the clock passes their edges.

Configuration: envoy/client.yaml and envoy/server.yaml.

Expected, with now in whole seconds: the address of step k is served while 4k - 1 <= now < 4k + 5 (time/4, skew=1); the
record with `from` F is accepted from F - 2 on (skew=2), and the client uses it from F on; work of minute m is accepted
while 60m - 120 <= now < 60m + 180 (skew=120). The client, whose sidecar composes for the current time, is never
refused. A dial during which the second changes proves nothing, and is not counted.
"""

import collections
import time
from ipaddress import IPv6Address
from typing import Any

from lib.files import Files
from lib.net import Host
from lib.stage import Stage

# Of the service `steps`, in seconds.
STEP, SKEW = 4, 1
# How long the stranger dials, in seconds: over more than two steps.
SPAN = 13


class Counts(collections.defaultdict[Any, collections.Counter]):
    """How often what came, by a moment or a word."""

    def __init__(self) -> None:
        super().__init__(collections.Counter)


def run(stage: Stage) -> None:
    turn = int(time.time()) + 10
    files = Files(__file__, turn=turn)
    steps_service, turning, work = services = files.services().values()
    client, stranger = stage.net.client(), stage.net.stranger()
    server = stage.server(1, *services)
    near, _ = stage.sidecars((client, "client.yaml", files.client()), (server, "server.yaml", files.server()))

    def at(host: Host, destination: str | IPv6Address) -> tuple[int, str] | None:
        """Dials within one second; returns the second and what came, or nothing where it turned meanwhile."""
        began = int(time.time())
        kind = stage.dial(host, destination).kind
        return (began, kind) if int(time.time()) == began else None

    stage.note("minutes of work")
    worked_at: dict[int, str] = {}
    while len(worked_at) < 9:
        # All within one minute.
        worked_at, now = {}, int(time.time())
        for minutes in range(-4, 5):
            worked = stage.ssa.compose(work.published, stranger.address, port=80, time=now + 60 * minutes)[0]
            came = at(stranger, worked)
            if came is None or came[0] // 60 != now // 60:
                break
            worked_at[minutes] = came[1]
    for minutes, kind in worked_at.items():
        stage.claim(
            f"work of the minute {minutes:+} from this one is", "served" if abs(minutes) <= 2 else "refused", kind
        )

    stage.note("time steps and a future record")
    begin = int(time.time())
    steps = {
        step: stage.ssa.compose(steps_service.published, stranger.address, time=STEP * step)[0]
        for step in range(begin // STEP - 2, (begin + SPAN) // STEP + 3)
    }
    old = stage.ssa.compose({**turning.published, "rules": turning.rules[:1]}, stranger.address)[0]
    new = stage.ssa.compose(turning.published, stranger.address, time=turn)[0]
    mine = {
        str(stage.ssa.compose(turning.published, client.address, time=when)[0]): record
        for when, record in ((turn - 1, "old"), (turn, "new"))
    }
    by_step, by_turn, of_client, old_ones = (Counts() for _ in range(4))
    while time.time() < max(begin + SPAN, turn + 3):
        for step, destination in steps.items():
            dialled = at(stranger, destination)
            if dialled and -4 <= dialled[0] - STEP * step <= STEP + 4:
                by_step[dialled[0] - STEP * step][dialled[1]] += 1
        for destination, counts in ((new, by_turn), (old, old_ones)):
            dialled = at(stranger, destination)
            if dialled:
                counts[max(-4, min(2, dialled[0] - turn))][dialled[1]] += 1
        dialled = at(client, steps_service.plain)
        of_client["steps"][dialled[1] if dialled else "served"] += 1
        near.logged(1)
        dialled = at(client, turning.plain)
        line = near.logged(1)[0]
        if dialled:
            record = mine.get(line["destination"].rpartition(":")[0].strip("[]"), line["destination"])
            of_client["before" if dialled[0] < turn else "after"][f"{dialled[1]} by {record}"] += 1

    def only(counts: Any, what: str, expected: Any) -> None:
        stage.claim(what, [expected], list(counts))
        stage.note(f"        of {sum(counts.values())} dialled")

    for offset in range(-4, STEP + 5):
        expected = "served" if -SKEW <= offset < STEP + SKEW else "refused"
        only(by_step[offset], f"{offset:+} s from its begin, the address of a step is", expected)
    for offset in range(-4, 3):
        expected = "served" if offset >= -2 else "refused"
        only(by_turn[offset], f"{offset:+} s from its record's begin, an address by it is", expected)
        only(old_ones[offset], f"{offset:+} s from then, an address by the earlier record is", "served")
    only(of_client["steps"], "the client, whose sidecar goes with the steps, is", "served")
    only(of_client["before"], "before the later record begins, the client is", "served by old")
    only(of_client["after"], "from then on it is", "served by new")
