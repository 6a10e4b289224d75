"""Asks a DNS server so often for so many seconds: querier.py SERVER QUERY-IN-HEX SECONDS RATE.

A query that is not answered within a second is lost. Four sockets, for a query's number has 16 bits.
"""

import json
import select
import socket
import sys
import time
from typing import Any

SOCKETS = 4


class Querier:
    """The queries to one server."""

    def __init__(self, server: str, query: bytes) -> None:
        """Connects the sockets."""
        self.rest = query[2:]
        self.poll = select.epoll()
        self.sockets: list[tuple[socket.socket, dict[int, float]]] = []
        self.sent, self.failed, self.unsent = 0, 0, 0
        self.times: list[float] = []
        for _ in range(SOCKETS):
            one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            one.connect((server, 53))
            one.setblocking(False)
            self.poll.register(one, select.EPOLLIN)
            # The socket, and when each query under way was sent, by its number.
            self.sockets.append((one, {}))
        self.by_file = {one.fileno(): (one, under_way) for one, under_way in self.sockets}

    def ask(self, now: float) -> None:
        """Sends the next query."""
        one, under_way = self.sockets[self.sent % SOCKETS]
        number = self.sent // SOCKETS % 65536
        try:
            one.send(number.to_bytes(2, "big") + self.rest)
            under_way[number] = now
        except BlockingIOError:
            self.unsent += 1
        self.sent += 1

    def read(self) -> None:
        """Takes the answers that are there."""
        for file, _ in self.poll.poll(0.001):
            one, under_way = self.by_file[file]
            try:
                while True:
                    answer = one.recv(4096)
                    at = under_way.pop(int.from_bytes(answer[:2], "big"), None)
                    if at is not None and answer[3] & 15:
                        self.failed += 1
                    elif at is not None:
                        self.times.append(time.monotonic() - at)
            except BlockingIOError:
                pass

    def run(self, seconds: float, rate: int) -> dict[str, Any]:
        """Asks for so long, waits for answers a second more, and returns what became of the queries."""
        total = int(seconds * rate)
        began = time.monotonic()
        while True:
            now = time.monotonic()
            while self.sent < min(total, int((now - began) * rate)):
                self.ask(now)
            idle = not any(under_way for _, under_way in self.sockets)
            if self.sent == total and (now > began + seconds + 1 or idle):
                break
            self.read()
        self.times.sort()
        return {
            "sent": total - self.unsent,
            "answered": sum(one < 1 for one in self.times),
            "failed": self.failed,
            "took": time.monotonic() - began,
            "median": self._within(0.5),
            "late": self._within(0.99),
        }

    def _within(self, share: float) -> float | None:
        """Returns within how many ms this share was answered."""
        return round(1000 * self.times[int(share * (len(self.times) - 1))], 2) if self.times else None


querier = Querier(sys.argv[1], bytes.fromhex(sys.argv[2]))
print(json.dumps(querier.run(float(sys.argv[3]), int(sys.argv[4]))))
