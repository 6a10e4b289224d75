"""Bulk both ways and a flow of UDP go through a handover with an MTU of 1500: no long stall, and no change of server.

Topology: a client, a router that follows 2 s late, three endpoints with agents.

Configuration: a store in a directory; the application echoes, and another one answers datagrams.

Expected: bytes arrive both ways without a stall of more than 3 s, though tunnels bear less than the links; the flow of
UDP stays at the old owner, which answers it while connection tracking knows it, and a new one is the new owner's.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable

from lib import handover, timeouts
from lib.net import Host
from lib.stage import HERE, Stage

PORT = 5300


class Bulk:
    """One connection that sends all the time, and reads what comes back."""

    def __init__(self, client: Host, address: object) -> None:
        with client:
            self.connection = socket.create_connection((str(address), handover.PORT), timeout=timeouts.EXCHANGE)
        self.connection.settimeout(timeouts.EXCHANGE)
        self.over = False
        self.moved = {"sent": 0, "received": 0}
        self.stalls = {"sent": 0.0, "received": 0.0}
        self.broken: list[str] = []
        self.threads = [
            threading.Thread(target=self._run, args=("sent", lambda: self.connection.send(b"x" * 16384))),
            threading.Thread(target=self._run, args=("received", lambda: len(self.connection.recv(65536)))),
        ]
        for thread in self.threads:
            thread.start()

    def _run(self, way: str, step: Callable[[], int]) -> None:
        last = time.monotonic()
        while not self.over:
            try:
                count = step()
            except OSError as error:
                self.broken.append(f"{way}: {error}")
                return
            now = time.monotonic()
            self.stalls[way] = max(self.stalls[way], now - last)
            last = now
            self.moved[way] += count

    def end(self) -> None:
        """Ends it."""
        self.over = True
        self.threads[0].join()
        # The application closes too, which ends the other one.
        self.connection.shutdown(socket.SHUT_WR)
        self.threads[1].join()
        self.connection.close()


def run(stage: Stage) -> None:
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    slices = handover.build(stage, "plain")
    for name, one in slices.endpoints.items():
        stage.start(one.host, f"datagrams-{name}", [sys.executable, HERE / "datagrams.py", name, PORT])
        one.start()
    slices.settled()
    first = slices.all[0]

    def flow() -> socket.socket:
        with client:
            opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        opened.settimeout(1)
        opened.connect((str(first[5]), PORT))
        return opened

    def ask(opened: socket.socket) -> str:
        opened.send(b"who?")
        try:
            return opened.recv(100).decode()
        except OSError as error:
            return str(error)

    stays = flow()
    stage.wait(timeouts.SOON, "datagrams are answered", lambda: ask(stays) == "a")
    bulk = Bulk(client, first[5])
    stage.wait(timeouts.SOON, "a mebibyte has come back", lambda: bulk.moved["received"] > 1 << 20)
    slices.begin(handover.spread(slices))
    for phase in ("Arm", "Announce"):
        slices.phase(phase)
        stage.claim(f"who answers the flow that stays, in {phase}", "a", ask(stays))
        stage.claim(f"who answers a new flow, in {phase}", "b", ask(flow()))
    handover.late(stage)
    before = dict(bulk.moved)
    slices.follow()
    slices.phase("Drain")
    stage.claim("who answers the flow that stays, behind the new owner", "a", ask(stays))
    stage.claim("who answers a new flow at the new owner", "b", ask(flow()))
    for way in ("sent", "received"):
        stage.wait(
            timeouts.SOON,
            f"a mebibyte more is {way} through the tunnel",
            lambda: bulk.moved[way] > before[way] + (1 << 20) or bulk.broken,
        )
    bulk.end()
    stage.claim("what broke", [], bulk.broken)
    stage.note(f"bytes: {bulk.moved}; the longest stalls in seconds: {bulk.stalls}")
    for way, stall in bulk.stalls.items():
        stage.claim_between(f"the longest stall of what is {way}, in seconds", 0, 3, round(stall, 2))
