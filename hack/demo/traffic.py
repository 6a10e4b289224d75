"""What clients send: requests that are counted, and a client that keeps asking."""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

from lib import timeouts

if TYPE_CHECKING:
    from lib.stage import Load

if TYPE_CHECKING:
    from lib.net import Host
    from services import Service
    from stage import Demo

# Each request over a connection of its own: the application would keep it.
CURL = ["curl", "-sS", "--no-progress-meter", "-H", "connection: close"]


class Answers(Counter):
    """How many requests each server answered."""

    def __init__(self, names: Any) -> None:
        """`names` has the server's name for each answer."""
        super().__init__(names)
        self.all = len(names)

    def share(self, server: str) -> str:
        """Returns a server's share, rounded."""
        return f"{round(100 * self[server] / self.all) if self.all else 0} %"


class Asking:
    """A curl that keeps sending requests, each over a connection of its own; it resolves the name once."""

    def __init__(self, demo: Demo, host: Host, service: Service, name: str, *options: str) -> None:
        self.demo = demo
        self.log = demo.work / f"{name}.log"
        self.errors = demo.work / f"{name}-errors.log"
        with host:
            address = socket.getaddrinfo(service.domain, 80, type=socket.SOCK_STREAM)[0][4][0]
        command = [*CURL, "-N", "--max-time", timeouts.LASTING, *options]
        command += ["--resolve", f"{service.domain}:80:[{address}]", f"{service.url}?[1-1000000]"]
        with open(self.errors, "wb") as errors:
            self.process = demo.start(host, name, command, stderr=errors)

    def answers(self) -> list[str]:
        """Returns who answered so far, request by request."""
        return self.log.read_text().split()

    def failed(self) -> int:
        """Returns how many requests failed so far."""
        return self.errors.read_text().count("curl: ")

    def next(self, count: int) -> Answers:
        """Returns who answers the next requests, those on their way left out."""
        first = len(self.answers()) + 1
        self.demo.wait(timeouts.INTERVAL, "the client is being answered", lambda: len(self.answers()) >= first + count)
        return Answers(self.answers()[first : first + count])

    def stop(self) -> None:
        self.demo.stop(self.process)


def open_lasting(demo: Demo, service: Service, count: int) -> Load:
    """Opens connections of the client that last."""
    lasting = demo.load(demo.client, destinations=[service.plain], count=count, hold=True)
    lasting.settled()
    demo.lasting = count
    return lasting


def close_lasting(demo: Demo, lasting: Any) -> None:
    """Ends connections that have lasted."""
    lasting.end()
    demo.lasting = 0
