"""HTTP keep-alive with a rule that hops every 30 s: 0 requests refused, because connections have a maximum age.

Topology: two clients with sidecars, a router, one server with a sidecar.

Configuration: envoy/client-http.yaml with an upstream idle timeout of 5 s; the second client's without the age, as a
control; envoy/server.yaml. On each client 20 applications keep a connection and send a request every 20 s, for 5
minutes, each at a different offset.

Expected: every request of the first client is answered, and the server finds no violation by it. Some of the control's
are refused: its upstream connections are opened to the address that was composed once for the application's connection.
"""

import contextlib
import select
import socket
import threading
import time

from lib import timeouts
from lib.files import Files
from lib.net import Host
from lib.stage import Stage, address

LONG = True
LIMIT = 480
FILES = Files(__file__)
WEB = FILES.service("web")
APPLICATIONS, EVERY, LASTS = 20, 20, 300
REQUEST = b"GET / HTTP/1.1\r\nhost: e2e\r\n\r\n"


class Application(threading.Thread):
    """Sends a request every 20 s, and keeps its connection for as long as the other end does."""

    def __init__(self, host: Host, began: float, phase: float) -> None:
        super().__init__(daemon=True)
        self.host = host
        self.began = began
        self.phase = phase
        self.connection: socket.socket | None = None
        self.opened = 0
        self.statuses: list[int | str] = []

    def run(self) -> None:
        due = self.began + self.phase
        while due < self.began + LASTS:
            time.sleep(max(0, due - time.monotonic()))
            try:
                self.statuses.append(self.ask())
            except OSError as error:
                self.statuses.append(str(error))
                self.leave()
            due += EVERY

    def ask(self) -> int:
        """Sends a request, by a new connection if the other end has closed the last one, and returns the status."""
        if self.connection and select.select([self.connection], [], [], 0)[0]:
            self.leave()
        if not self.connection:
            with self.host:
                self.connection = socket.create_connection((WEB.plain, 80), timeout=timeouts.EXCHANGE)
            self.opened += 1
        self.connection.sendall(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.more(self.connection)
        head, _, body = head.partition(b"\r\n\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(headers.get(b"content-length", 0)):
            body += self.more(self.connection)
        if headers.get(b"connection") == b"close":
            self.leave()
        return int(head.split()[1])

    @staticmethod
    def more(connection: socket.socket) -> bytes:
        data = connection.recv(4096)
        if not data:
            raise ConnectionResetError("closed without an answer")
        return data

    def leave(self) -> None:
        if self.connection:
            with contextlib.suppress(OSError):
                self.connection.close()
        self.connection = None


def run(stage: Stage) -> None:
    clients = [stage.net.client(), stage.net.client("control", "2001:db8:0:3::10")]
    server = stage.server(1, WEB)
    *_, far = stage.sidecars(
        *(
            (client, "client-http.yaml", FILES.json(f"{client.name}.json"), 2, FILES.text(f"{client.name}.patch"))
            for client in clients
        ),
        (server, "server.yaml", FILES.server()),
    )
    began = time.monotonic()
    applications = {
        client.name: [Application(client, began, EVERY * n / APPLICATIONS) for n in range(APPLICATIONS)]
        for client in clients
    }
    threads = [one for some in applications.values() for one in some]
    for thread in threads:
        thread.start()
    stage.wait(LASTS + 30, "all requests are sent", lambda: not any(one.is_alive() for one in threads), pause=1)
    lines = far.access_log()
    for client in clients:
        statuses = [status for one in applications[client.name] for status in one.statuses]
        found = [line["verdict"] for line in lines if address(line["source"]) == address(f"[{client.address}]:0")]
        refused = len(statuses) - statuses.count(200)
        opened = sum(one.opened for one in applications[client.name])
        stage.note(f"        {client.name}: {len(statuses)} requests by {opened} connections, {refused} not answered")
        stage.claim(f"{client.name}: requests", APPLICATIONS * LASTS // EVERY, len(statuses))
        if client.name == "client":
            stage.claim("client: requests not answered", 0, refused)
            stage.claim("client: what the server finds", {"conforming"}, set(found))
        else:
            stage.claim_between("control: requests refused", 1, len(statuses), refused)
            stage.claim("control: of them violations", refused, found.count("violation"))
