"""Once a handover is over nothing goes by way of the old owner: no packet is forwarded, and none goes through a tunnel.

Topology: a client, a router, three endpoints with agents.

Configuration: a store in a directory; the application itself serves.

Expected: in 10 s under load the tunnels of all endpoints carry nothing and the ruleset hands nothing on, though packets
are counted before Announce is followed: that is the control.
"""

import time

from lib import handover, timeouts
from lib.claims import find
from lib.slices import Endpoint
from lib.stage import Stage

SECONDS = 10


def carried(one: Endpoint) -> int:
    """Returns how many packets an endpoint's tunnels have sent or received."""
    count = 0
    for link in ("ssa-try", "ssa-final"):
        # The counters stand below their names: bytes, packets and so on.
        lines = one.host.run(f"ip -s link show {link}").splitlines()
        for number, line in enumerate(lines):
            if line.strip().startswith(("RX:", "TX:")):
                count += int(find(r"\d+\s+(\d+)", lines[number + 1]).group(1))
    return count


def forwarded(one: Endpoint) -> int:
    """Returns how many packets an endpoint's kernel has forwarded in all."""
    return int(find(r"Ip6OutForwDatagrams\s+(\d+)", one.host.run("cat /proc/net/snmp6")).group(1))


def run(stage: Stage) -> None:
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    slices = handover.build(stage, "plain")
    for one in slices.endpoints.values():
        one.start()
    slices.settled()
    load = handover.Load(stage, client, slices, 50, 100)
    moves = handover.spread(slices)

    def counted() -> dict[str, tuple[int, int]]:
        return {name: (carried(one), forwarded(one)) for name, one in slices.endpoints.items()}

    slices.begin(moves)
    slices.phase("Arm")
    # The control: the router leads to the old owner still.
    before = counted()
    handover.late(stage)
    by_tunnel = sum(carried(one) for one in slices.endpoints.values()) - sum(count for count, _ in before.values())
    stage.claim_between("packets of tunnels while the router leads to the old owner", 8, 10**9, by_tunnel)
    slices.phase("Announce")
    slices.follow()
    slices.phase("Drain")
    load.check("while they drain")
    load.held.end()
    handover.quiet(stage, slices)
    slices.phase("Release")
    slices.end()
    before = counted()
    until = time.monotonic() + SECONDS
    stage.wait(2 * SECONDS + timeouts.SOON, f"{SECONDS} s under load are over", lambda: time.monotonic() >= until)
    stage.claim(f"packets of tunnels, and forwarded ones, after Release and {SECONDS} s of load", before, counted())
    told = load.new.end()
    stage.claim("new connections without an answer", [], told["samples"])
    stage.claim("who answers at the end", handover.named(moves), handover.answers(stage, client, slices))
