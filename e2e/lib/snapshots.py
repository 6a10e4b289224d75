"""A stand-in for the shim beside a sidecar: snapshots over HTTP on a Unix socket, and everything that can go wrong.

It answers as docs/filter.md says: GET /v1/inbound or /v1/outbound, an ETag, 304 if the client has that one, and at once
on a change if the client waits for it (`prefer: wait=N`). The functions at the end are other behaviours.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from . import timeouts
from .envoy import Sidecar

if TYPE_CHECKING:
    from .net import Host
    from .service import Service
    from .stage import Stage

# A behaviour: a function of the connection, the body that it serves, and the ETag that the client has.
Behaviour = Callable[[socket.socket, bytes | None, str | None], None]
FILES = {"inbound": "server.yaml", "outbound": "client.yaml"}


def sidecar(stage: Stage, host: Host, configuration: dict[str, Any], **options: Any) -> tuple[Sidecar, Resolver]:
    """Makes a sidecar that takes its services from snapshots, and its resolver; `options` are those of `Sidecar`."""
    role = configuration["role"]
    made = Sidecar(stage, host, FILES[role], configuration, **options)
    return made, Resolver(made, role)


class Resolver:
    """Serves the snapshots of one sidecar, in a thread for each connection."""

    listener: socket.socket

    def __init__(self, sidecar: Sidecar, role: str) -> None:
        """Listens in the sidecar's folder; it answers 503 until something is published."""
        self.sidecar = sidecar
        self.role = role
        self.path = sidecar.folder / "resolver.sock"
        self.changed = threading.Condition()
        self.body: bytes | None = None
        self.behaviour: Behaviour = as_documented
        self.generation = 0
        # The ETag that each connection sent last.
        self.connections: dict[socket.socket, str | None] = {}
        self.listen()

    # ---- what it serves

    def snapshot(self, *services: Service, **more: Any) -> dict[str, Any]:
        """Returns the next snapshot, of these services, as an object; `more` are its other fields."""
        self.generation += 1
        entries = [getattr(service, self.role)() for service in services]
        return {"version": 1, "generation": str(self.generation), "services": entries, **more}

    def publish(self, *services: Service, **more: Any) -> None:
        """Serves the next snapshot, of these services."""
        self.put(json.dumps(self.snapshot(*services, **more)))

    def put(self, body: str | bytes) -> None:
        """Serves a text or bytes."""
        with self.changed:
            self.body = body if isinstance(body, bytes) else body.encode()
            self.changed.notify_all()

    def answer(self, behaviour: Behaviour) -> None:
        """Behaves in another way from now on, also towards clients that wait."""
        with self.changed:
            self.behaviour = behaviour
            self.changed.notify_all()

    def wait_taken(self, seconds: float = timeouts.SOON) -> None:
        """Waits until every VM of the sidecar, one for each worker and one more, has what is served."""

        def everywhere() -> bool:
            with self.changed:
                return list(self.connections.values()).count(_etag(self.body)) == self.sidecar.concurrency + 1

        self.sidecar.stage.wait(seconds, f"{self.sidecar.host.name} has taken snapshot {self.generation}", everywhere)

    # ---- life

    def listen(self) -> None:
        """Listens; whoever knows the path can connect."""
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def kill(self, leaves_socket: bool = False) -> None:
        """Ends as if it were killed: all connections are closed. Its socket may be left behind."""
        with self.changed:
            # Closing alone would not wake the thread that accepts.
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            if not leaves_socket:
                os.unlink(self.path)
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.connections.clear()
            self.changed.notify_all()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections[connection] = None
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while request := _read(stream):
                    self._answer(connection, *request)
        except OSError:
            pass
        finally:
            with self.changed:
                self.connections.pop(connection, None)

    def _answer(self, connection: socket.socket, path: str, etag: str | None, wait: int) -> None:
        if path != f"/v1/{self.role}":
            return not_found(connection, None, None)
        with self.changed:
            behaviour = self.behaviour
            if connection in self.connections:
                self.connections[connection] = etag

            def news() -> bool:
                if connection not in self.connections or self.behaviour is not behaviour:
                    return True
                return behaviour is as_documented and _etag(self.body) != etag

            patience = None if behaviour is hangs else wait if behaviour is as_documented else 0
            self.changed.wait_for(news, patience)
            behaviour, body = self.behaviour, self.body
        return behaviour(connection, body, etag)


def _read(stream: BinaryIO) -> tuple[str, str | None, int] | None:
    """Reads a request: returns the path, the ETag that the client has, and how long it would wait."""
    line = stream.readline()
    if not line:
        return None
    headers = {}
    while header := stream.readline().strip():
        name, _, value = header.decode().partition(":")
        headers[name.lower()] = value.strip()
    wait = re.fullmatch(r"wait=(\d+)", headers.get("prefer", ""))
    return line.split()[1].decode(), headers.get("if-none-match"), int(wait.group(1)) if wait else 0


def _etag(body: bytes | None) -> str | None:
    return None if body is None else f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def _head(status: int, *headers: str, length: int = 0) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *headers, f"content-length: {length}"]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


# ---- behaviours


def as_documented(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Answers as the shim does."""
    if body is None:
        connection.sendall(_head(503))
    elif _etag(body) == etag:
        connection.sendall(f"HTTP/1.1 304 Said\r\netag: {etag}\r\n\r\n".encode())
    else:
        connection.sendall(_head(200, f"etag: {_etag(body)}", length=len(body)) + body)


def hangs(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Reads the request and does not answer until its behaviour changes."""
    raise ConnectionAbortedError


def unavailable(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Has nothing to serve."""
    connection.sendall(_head(503))


def not_found(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Knows no such path."""
    connection.sendall(_head(404))


def redirects(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Redirects to another path."""
    connection.sendall(_head(302, "location: /v2/inbound"))


def always_unchanged(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Says that nothing changed, whatever the client has."""
    connection.sendall(b"HTTP/1.1 304 Said\r\n\r\n")


def truncated(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Closes the connection in the middle of its answer."""
    body = body or b"{}"
    connection.sendall(_head(200, length=len(body)) + body[: len(body) // 2])
    raise ConnectionAbortedError


def not_http(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Sends something that is not HTTP."""
    connection.sendall(b"\x00\x01\xff\xfe" * 1000)


def hangs_up(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Closes the connection without an answer."""
    raise ConnectionAbortedError


def endless_headers(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Sends more headers than Envoy accepts."""
    connection.sendall(b"HTTP/1.1 200 Said\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(500)))


def chunked(connection: socket.socket, body: bytes | None, etag: str | None) -> None:
    """Answers correctly, in chunks of a byte, without a length and an ETag."""
    connection.sendall(b"HTTP/1.1 200 Said\r\ntransfer-encoding: chunked\r\n\r\n")
    for number in range(len(body or b"")):
        connection.sendall(b"1\r\n%c\r\n" % (body or b"")[number])
    connection.sendall(b"0\r\n\r\n")
