"""Agents are killed in every phase of eight moves under load, and started again: nothing fails.

Topology: a client, a router that follows at once, three endpoints with agents; the scenario is the leader.

Configuration: a store in a directory; the application itself serves.

Expected: the kernel goes on without its agent; the next one reaches the phase, and all connections answer throughout.
What the last one removes is all that any of them has set.
"""

import signal

from lib import handover
from lib.slices import interrupt
from lib.stage import Stage

PHASES = ("Prepare", "Arm", "Announce", "Drain")


def run(stage: Stage) -> None:
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    slices = handover.build(stage, "plain")
    before = {name: one.everything() for name, one in slices.endpoints.items()}
    for one in slices.endpoints.values():
        one.start()
    slices.settled()
    load = handover.Load(stage, client, slices, 200, 100)
    moves = handover.spread(slices)
    slices.begin(moves)
    for phase in PHASES:
        slices.write(phase)
        # As they are about to do it, or have done part of it.
        for one in slices.endpoints.values():
            interrupt(stage, one.agent, signal.SIGKILL)
        load.check(f"without agents, on the way to {phase}")
        for one in slices.endpoints.values():
            one.start()
        slices.reached(phase)
        load.check(f"in {phase}, with other agents")
        slices.follow()
    stage.claim("who answers at the end", handover.named(moves), handover.answers(stage, client, slices))
    load.end()
    for name, one in slices.endpoints.items():
        interrupt(stage, one.agent, signal.SIGKILL)
        one.host.run(f"{stage.tools['cluster']} agent --cleanup")
        stage.claim(f"what is left behind at {name} by agents that were killed", before[name], one.everything())
