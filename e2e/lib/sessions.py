"""Clients with connections that last for a while: sessions.py OPTIONS.json. One thread, one epoll.

Each session asks who serves it, echoes a line every second, and closes after its time; then the next one begins.
Options:

    destinations  addresses, dialled in turn
    port          80 unless given
    count         how many sessions at once
    lasts         seconds that a session lasts
    timeout       seconds until an answer counts as missing

After any line on standard input it tells, by a line of JSON, what became of sessions so far: {"opened", "ended",
"answers", "failed": [[time, server, why, destination], …]}; it ends with its standard input.
"""

import heapq
import json
import os
import resource
import select
import socket
import sys
import time
from typing import Any

ASK = b"GET / HTTP/1.1\r\nhost: sessions\r\n\r\n"


class Session:
    """A connection, and what it waits for."""

    def __init__(self, connection: socket.socket, destination: str, ends: float) -> None:
        self.connection = connection
        self.destination = destination
        self.ends = ends
        self.connected = False
        self.server = ""
        self.asked = time.monotonic()
        self.expects: bytes | None = ASK
        self.data = b""


class Sessions:
    """All of them."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.destinations = options["destinations"]
        self.port = options.get("port", 80)
        self.count = options["count"]
        self.lasts = options["lasts"]
        self.timeout = options["timeout"]
        self.poll = select.epoll()
        self.poll.register(0, select.EPOLLIN)
        self.sessions: dict[int, Session] = {}
        # When a session has something to do: (moment, number).
        self.due: list[tuple[float, int]] = []
        self.opened = self.ended = self.answers = 0
        self.failed: list[tuple[float, str, str, str]] = []

    def open(self, now: float) -> None:
        """Opens the next session; the first ones end one after another."""
        destination = self.destinations[self.opened % len(self.destinations)]
        lasts = self.lasts * ((self.opened + 1) / self.count if self.opened < self.count else 1)
        self.opened += 1
        connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        connection.setblocking(False)
        number = connection.fileno()
        self.sessions[number] = Session(connection, destination, now + lasts)
        self.poll.register(number, select.EPOLLOUT)
        heapq.heappush(self.due, (now + self.timeout, number))
        try:
            connection.connect((destination, self.port))
        except BlockingIOError:
            pass
        except OSError as error:
            self.close(number, str(error))

    def close(self, number: int, why: str = "") -> None:
        """Ends a session, in good order or not."""
        session = self.sessions.pop(number)
        if why:
            self.failed.append((round(time.time(), 3), session.server, why, session.destination))
        else:
            self.ended += 1
        self.poll.unregister(number)
        session.connection.close()

    def ask(self, number: int, now: float) -> None:
        """Sends the next line, or ends the session if it is over."""
        session = self.sessions[number]
        if session.server and now >= session.ends:
            self.close(number)
            return
        line = b"still %d\n" % self.answers if session.server else ASK
        session.expects, session.asked, session.data = line, now, b""
        try:
            session.connection.send(line)
        except OSError as error:
            self.close(number, str(error))
            return
        self.poll.modify(number, select.EPOLLIN)
        heapq.heappush(self.due, (now + self.timeout, number))

    def heard(self, number: int, now: float) -> None:
        """Reads an answer."""
        session = self.sessions[number]
        try:
            data = session.connection.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(number, str(error))
            return
        session.data += data
        head, end, body = session.data.partition(b"\r\n\r\n")
        if not data:
            self.close(number, "closed by the other side")
        elif session.expects == ASK and end and body.endswith(b"\n"):
            session.server = body.decode(errors="replace").strip()
            self.answered(session, number, now)
        elif session.data == session.expects:
            self.answered(session, number, now)

    def answered(self, session: Session, number: int, now: float) -> None:
        """Counts an answer; the next line is due in a second."""
        self.answers += 1
        session.expects = None
        heapq.heappush(self.due, (now + 1, number))

    def step(self) -> bool:
        """Handles what is due; says whether to go on."""
        now = time.monotonic()
        while len(self.sessions) < self.count and self.opened < 1 << 24:
            self.open(now)
        wait = max(0.0, self.due[0][0] - now) if self.due else 0.2
        for number, _events in self.poll.poll(wait):
            if number == 0:
                if not os.read(0, 4096):
                    return False
                self.tell()
            elif number in self.sessions:
                self.happened(number)
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            _, number = heapq.heappop(self.due)
            session = self.sessions.get(number)
            if session and session.expects is None and now - session.asked >= 1:
                self.ask(number, now)
            elif session and session.expects is not None and now - session.asked >= self.timeout:
                self.close(number, "no answer" if session.connected else "not established")
        return True

    def happened(self, number: int) -> None:
        """Handles a connection that is established or refused, or an answer."""
        session = self.sessions[number]
        if session.connected:
            self.heard(number, time.monotonic())
            return
        error = session.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.close(number, os.strerror(error))
            return
        session.connected = True
        self.ask(number, time.monotonic())

    def tell(self) -> None:
        """Prints the figures so far."""
        told = {"opened": self.opened, "ended": self.ended, "answers": self.answers, "failed": self.failed}
        print(json.dumps(told), flush=True)


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
with open(sys.argv[1]) as file:
    sessions = Sessions(json.load(file))
while sessions.step():
    pass
