"""Asks two ways at once who takes a new connection to an address: probes.py OPTIONS.

OPTIONS is JSON: `sources` has two addresses of this host, which routers lead different ways; `destinations`, `port`;
`rate` probes a second; `held` connections from the second source, which stay. Each probe is a line: the time when it
began, and who answered each way, or `-`. On standard input a line `check` asks how many held connections answer, and
`end` ends it.
"""

from __future__ import annotations

import json
import select
import selectors
import socket
import sys
import time

# A SYN is sent again after a second: one that was refused is not to be accepted later as if it had been sent then.
ATTEMPT = 0.4
REQUEST = b"GET / HTTP/1.1\r\nhost: e2e\r\nconnection: close\r\n\r\n"


class Probe:
    """One address, asked both ways."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.answers = ["-", "-"]
        self.open: dict[socket.socket, int] = {}


class Probes:
    """All of them."""

    def __init__(self, options: dict) -> None:
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.probes: list[Probe] = []
        self.count = 0

    def begin(self, now: float) -> None:
        """Begins a probe of the next address."""
        destination = self.options["destinations"][self.count % len(self.options["destinations"])]
        self.count += 1
        probe = Probe(now)
        for way, source in enumerate(self.options["sources"]):
            connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            connection.setblocking(False)
            connection.bind((source, 0))
            connection.connect_ex((destination, self.options["port"]))
            probe.open[connection] = way
            self.selector.register(connection, selectors.EVENT_WRITE, probe)
        self.probes.append(probe)

    def close(self, connection: socket.socket, probe: Probe) -> None:
        """Ends one way of a probe."""
        self.selector.unregister(connection)
        del probe.open[connection]
        connection.close()

    def handle(self, timeout: float) -> None:
        """Takes what has happened."""
        for key, events in self.selector.select(timeout):
            connection, probe = key.fileobj, key.data
            assert isinstance(connection, socket.socket), "it was registered as one"
            try:
                if events & selectors.EVENT_WRITE:
                    connection.sendall(REQUEST)
                    self.selector.modify(connection, selectors.EVENT_READ, probe)
                else:
                    data = connection.recv(4096)
                    probe.answers[probe.open[connection]] = data.decode().rpartition("\r\n\r\n")[2].strip() or "-"
                    self.close(connection, probe)
            except OSError:
                self.close(connection, probe)

    def tell(self, now: float) -> None:
        """Tells of the probes that are over, in their order."""
        while self.probes and (not self.probes[0].open or now - self.probes[0].began > ATTEMPT):
            probe = self.probes.pop(0)
            for connection in list(probe.open):
                self.close(connection, probe)
            print(f"{probe.began:.3f} {probe.answers[0]} {probe.answers[1]}", flush=True)

    def run(self) -> None:
        """Probes until it is told to end."""
        held = []
        for number in range(self.options["held"]):
            destination = self.options["destinations"][number % len(self.options["destinations"])]
            source = (self.options["sources"][1], 0)
            held.append(socket.create_connection((destination, self.options["port"]), timeout=2, source_address=source))
        due = time.monotonic()
        ended = False
        while not ended or self.probes:
            now = time.monotonic()
            if not ended and now >= due:
                self.begin(now)
                # What was missed on a busy machine is not made up for: it would be late again.
                due = max(due + 1 / self.options["rate"], now)
            self.handle(max(0, min(due - time.monotonic(), 0.005)))
            self.tell(time.monotonic())
            if select.select([sys.stdin], [], [], 0)[0]:
                word = sys.stdin.readline().strip()
                if word == "check":
                    print(f"held {sum(map(answers, held))}", flush=True)
                else:
                    ended = True


def answers(connection: socket.socket) -> bool:
    """Whether a held connection answers."""
    try:
        connection.sendall(b"hello\n")
        return connection.recv(64) == b"hello\n"
    except OSError:
        return False


Probes(json.loads(sys.argv[1])).run()
