"""A service of shopping carts that keeps them in memory and loses none with an endpoint: cart.py PEER.

    PUT /carts/ID/ITEM   a number: so many of an item are in the cart; answered once both replicas have it
    GET /carts/ID        {"version": 3, "items": {"book": 2}}; 404 where neither replica has it, 503 where one that may
                         does not answer

There is no store, and no list of servers. The sidecar in front tells which replica of how many a request is for
(`ssa-replica: 0/2`). A cart goes to the other replica by the same URL, through the sidecar, with `ssa-replica: 1`; PEER
is any address of the service. A cart that is not here is asked of the other replica. Of two versions the higher wins.

SIGHUP, after slices have moved, sends every cart to both of its replicas, and drops those that are another endpoint's.
GET /status tells how many carts there are, and how many have yet to reach another replica.

It is placement and no consensus: while replicas cannot reach each other, both take writes.
"""

import http.client
import json
import signal
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PEER = sys.argv[1]
# Who answers: a copy that comes back here shows that the cart belongs here.
SELF = uuid.uuid4().hex
# Seconds that an answer may take; seconds between rounds of what is owed; bytes of a body; tries of a write.
PATIENCE, PAUSE, LARGEST, TRIES = 3.0, 0.2, 1 << 20, 5
CONNECTIONS = threading.local()


@dataclass(order=True)
class Cart:
    """What is in a cart; the greater one of two is the newer one, and which it is does not depend on who compares."""

    version: int = 0
    items: str = "{}"

    def with_item(self, name: str, count: int) -> "Cart":
        """Returns the next version."""
        return Cart(self.version + 1, json.dumps({**json.loads(self.items), name: count}, sort_keys=True))

    def body(self) -> bytes:
        """Returns it as JSON."""
        return json.dumps({"version": self.version, "items": json.loads(self.items)}).encode()

    @staticmethod
    def of(body: bytes) -> "Cart":
        """Returns the cart in a body."""
        told = json.loads(body)
        return Cart(int(told["version"]), json.dumps(told["items"], sort_keys=True))


@dataclass
class Carts:
    """All that are here."""

    carts: dict[str, Cart] = field(default_factory=dict)
    # Those that a replica may lack.
    owed: set[str] = field(default_factory=set)
    # How often all of them were.
    rounds: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def newest(self, name: str, other: Cart) -> Cart:
        """Keeps a cart if it is newer than what is here; returns what is here then."""
        with self.lock:
            self.carts[name] = max(self.carts.get(name, Cart()), other)
            return self.carts[name]

    def change(self, name: str, item: str, count: int) -> Cart:
        """Changes a cart, and returns it."""
        with self.lock:
            self.carts[name] = self.carts.get(name, Cart()).with_item(item, count)
            return self.carts[name]


CARTS = Carts()


def ask(method: str, name: str, replica: int, body: bytes = b"") -> tuple[int, bytes, str]:
    """Sends a request for a cart to a replica, through the sidecar; returns status, body, and who answered.

    The status 503 stands for no answer.
    """
    headers = {"host": "carts", "ssa-replica": str(replica), "cart-copy": "1"}
    for fresh in (False, True):
        connection = getattr(CONNECTIONS, "kept", None)
        if fresh or connection is None:
            connection = CONNECTIONS.kept = http.client.HTTPConnection(PEER, 80, timeout=PATIENCE)
        try:
            connection.request(method, f"/carts/{name}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers.get("cart-server", "")
        except (OSError, http.client.HTTPException):
            connection.close()
            CONNECTIONS.kept = None
    return 503, b"", ""


def send(name: str, replica: int) -> Cart | None:
    """Sends a cart to a replica; returns the newer one of both, which is kept here, or nothing if no answer comes."""
    status, body, _ = ask("PUT", name, replica, CARTS.carts.get(name, Cart()).body())
    return CARTS.newest(name, Cart.of(body)) if status == 200 else None


def write(name: str, item: str, count: int, other: int) -> Cart:
    """Changes a cart here and at the other replica."""
    find(name, other)
    for _ in range(TRIES):
        cart = CARTS.change(name, item, count)
        there = send(name, other)
        if there is None:
            # Acknowledged with one copy, since the other replica is down: it gets it as soon as there is one again.
            CARTS.owed.add(name)
            return cart
        if json.loads(there.items).get(item) == count:
            return there
        # The other replica took another write at the same time, which won: this one comes after it.
    return cart


def find(name: str, other: int) -> int:
    """Makes sure that a cart is here, if the other replica has it.

    Returns 200, 404 where neither has it, or 503 where the other one does not answer.
    """
    if name in CARTS.carts:
        return 200
    status, body, _ = ask("GET", name, other)
    if status == 200:
        CARTS.newest(name, Cart.of(body))
    return status


def settle() -> None:
    """Sends what is owed until it has arrived."""
    while True:
        time.sleep(PAUSE)
        for name in list(CARTS.owed):
            sent = CARTS.carts[name]
            answers = [ask("PUT", name, replica, sent.body()) for replica in (0, 1)]
            with CARTS.lock:
                if any(status != 200 for status, _, _ in answers) or CARTS.carts[name] != sent:
                    continue
                CARTS.owed.discard(name)
                # Both have it, or a newer one; if neither is this one, a slice has moved.
                if all(server != SELF for _, _, server in answers):
                    del CARTS.carts[name]


def owe_all(*_: object) -> None:
    """Has every cart sent to both replicas."""
    CARTS.owed.update(list(CARTS.carts))
    CARTS.rounds += 1


class Handler(BaseHTTPRequestHandler):
    """A connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""

    def reply(self, status: int, body: bytes = b"") -> None:
        """Answers."""
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("cart-server", SELF)
        self.end_headers()
        self.wfile.write(body)

    def other(self) -> int:
        """Returns the other replica than the one that the sidecar says this request is for."""
        return 1 - int(self.headers.get("ssa-replica", "0/2").partition("/")[0])

    def do_GET(self) -> None:
        """Tells what is in a cart."""
        name = self.path.split("/")[-1]
        if self.path == "/status":
            told = {"carts": len(CARTS.carts), "owed": len(CARTS.owed), "rounds": CARTS.rounds}
            self.reply(200, json.dumps(told).encode())
            return
        status = 404 if "cart-copy" in self.headers else find(name, self.other())
        cart = CARTS.carts.get(name)
        self.reply(200, cart.body()) if cart else self.reply(status)

    def do_PUT(self) -> None:
        """Changes a cart, or takes a copy of one."""
        body = self.rfile.read(min(LARGEST, int(self.headers.get("content-length", 0))))
        _, _, name, *item = self.path.split("/")
        if "cart-copy" in self.headers:
            self.reply(200, CARTS.newest(name, Cart.of(body)).body())
            return
        if len(item) != 1 or not body.isdigit():
            self.reply(400)
            return
        self.reply(200, write(name, item[0], int(body), self.other()).body())


class Server(ThreadingHTTPServer):
    """All connections."""

    address_family = 10
    daemon_threads = True
    request_queue_size = 512


signal.signal(signal.SIGHUP, owe_all)
threading.Thread(target=settle, daemon=True).start()
Server(("::1", 8080), Handler).serve_forever()
