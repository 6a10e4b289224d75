"""A load client: load.py OPTIONS.json. One thread, one epoll.

Opens connections, sends a line over each, and waits until it comes back. Options:

    destinations  addresses, dialled in turn
    port          80 unless given
    count         how many connections; without it, until told to end
    rate          connections a second; without it, as fast as `at_once` lets
    at_once       the most that wait for an answer at once (256)
    hold          whether connections stay open once they answered (false)
    source        the address to bind to
    timeout       seconds until a connection counts as silent

Tells by lines of JSON on standard output: {"event": "settled"} when all connections of `count` answered or did not,
{"event": "checked", "alive": N} after `check` on standard input, {"event": "done", …} after `end`.
"""

import collections
import contextlib
import json
import os
import resource
import select
import socket
import struct
import sys
import time
from typing import Any


class Load:
    """All connections of one run."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.destinations = options["destinations"]
        self.port = options.get("port", 80)
        self.count = options.get("count")
        self.rate = options.get("rate")
        self.at_once = options.get("at_once", 256)
        self.hold = options.get("hold", False)
        self.source = options.get("source")
        self.timeout = options["timeout"]
        self.poll = select.epoll()
        self.poll.register(0, select.EPOLLIN)
        # Number of the socket: (socket, line, opened at, connected).
        self.waiting: collections.OrderedDict[int, Any] = collections.OrderedDict()
        self.held: dict[int, socket.socket] = {}
        self.opened = 0
        self.results: collections.Counter[str] = collections.Counter()
        self.samples: list[Any] = []
        self.slowest = 0.0
        self.began = time.monotonic()
        self.first = self.began
        self.commands = b""
        self.over = False
        self.told_settled = False

    def tell(self, event: str, **more: Any) -> None:
        """Prints an event with the figures so far."""
        seconds = time.monotonic() - self.began
        told = {
            "event": event,
            "opened": self.opened,
            "answered": self.results["answered"],
            "refused": self.results["refused"],
            "unreachable": self.results["unreachable"],
            "silent": self.results["silent"],
            "held": len(self.held),
            "seconds": round(seconds, 3),
            "slowest": round(self.slowest, 3),
            "samples": self.samples,
            **more,
        }
        print(json.dumps(told), flush=True)

    def settle(self, number: int, result: str, why: str = "") -> None:
        """Records the outcome of a connection."""
        connection, _line, opened, _connected = self.waiting.pop(number)
        self.results[result] += 1
        self.slowest = max(self.slowest, time.monotonic() - opened)
        if result == "answered" and self.hold:
            self.held[number] = connection
            return
        if result != "answered" and len(self.samples) < 20:
            self.samples.append([round(time.time(), 3), result, why])
        self.poll.unregister(number)
        if result == "answered" and self.count and self.count > 20000:
            # A reset leaves nothing behind that would use up ports.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def open(self) -> None:
        """Opens the next connection."""
        destination = self.destinations[self.opened % len(self.destinations)]
        line = b"line %d\n" % self.opened
        self.opened += 1
        connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        connection.setblocking(False)
        number = connection.fileno()
        self.waiting[number] = (connection, line, time.monotonic(), False)
        self.poll.register(number, select.EPOLLOUT)
        try:
            if self.source:
                connection.bind((self.source, 0))
            connection.connect((destination, self.port))
        except BlockingIOError:
            pass
        except OSError as error:
            self.settle(number, "unreachable", str(error))

    def connected(self, number: int) -> None:
        """Sends the line once the connection is established."""
        connection, line, opened, _connected = self.waiting[number]
        error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.settle(number, "unreachable", os.strerror(error))
            return
        try:
            connection.send(line)
        except OSError as error:
            self.settle(number, "refused", str(error))
            return
        self.waiting[number] = (connection, line, opened, True)
        self.poll.modify(number, select.EPOLLIN)

    def received(self, number: int) -> None:
        """Reads the line that came back."""
        connection, line, _opened, _connected = self.waiting[number]
        try:
            data = connection.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self.settle(number, "refused", str(error))
            return
        if data == line:
            self.settle(number, "answered")
        else:
            self.settle(number, "refused", f"{data!r}" if data else "closed")

    def handle(self, timeout: float) -> None:
        """Waits for the next events, and handles them."""
        for number, _events in self.poll.poll(timeout):
            if number == 0:
                self.command()
            elif number in self.held:
                self.lost(number)
            elif number in self.waiting:
                if self.waiting[number][3]:
                    self.received(number)
                else:
                    self.connected(number)
        now = time.monotonic()
        while self.waiting:
            number, (_connection, _line, opened, connected) = next(iter(self.waiting.items()))
            if now - opened < self.timeout:
                break
            self.settle(number, "silent", "connected" if connected else "not connected")

    def lost(self, number: int) -> None:
        """Drops a connection that was held and ended."""
        self.poll.unregister(number)
        self.held.pop(number).close()

    def command(self) -> None:
        """Reads commands of standard input."""
        data = os.read(0, 4096)
        if not data:
            self.poll.unregister(0)
            self.over = True
        self.commands += data
        while b"\n" in self.commands:
            word, _, self.commands = self.commands.partition(b"\n")
            if word == b"check":
                self.check()
            elif word == b"end":
                self.over = True

    def check(self) -> None:
        """Sends a line over each connection that is held, and counts those that answer."""
        for number in list(self.held):
            connection = self.held[number]
            try:
                connection.send(b"still\n")
            except OSError:
                self.lost(number)
        alive = 0
        until = time.monotonic() + self.timeout
        for connection in list(self.held.values()):
            connection.settimeout(max(0.001, until - time.monotonic()))
            with contextlib.suppress(OSError):
                alive += connection.recv(4096) == b"still\n"
            connection.setblocking(False)
        self.tell("checked", alive=alive)

    def pace(self) -> float:
        """Opens the connections that are due, and returns the seconds until the next one is."""
        while not self.over and (self.count is None or self.opened < self.count):
            if len(self.waiting) >= self.at_once:
                return 0.2
            if self.rate:
                due = self.first + self.opened / self.rate
                early = due - time.monotonic()
                if early > 0:
                    return min(early, 0.2)
            self.open()
            if self.opened % 64 == 0:
                return 0
        return 0.2

    def run(self) -> None:
        """Runs until told to end and all connections have settled."""
        while not self.over or self.waiting:
            self.handle(self.pace())
            if self.count is not None and self.opened >= self.count and not self.waiting and not self.told_settled:
                self.told_settled = True
                self.tell("settled")
        self.tell("done")


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
with open(sys.argv[1]) as file:
    wanted = json.load(file)
Load(wanted).run()
