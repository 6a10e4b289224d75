"""Clients of the carts: shoppers.py HOST CARTS THREADS. They know nothing but a name.

A line `write` on standard input has every cart changed once, each write repeated until it is acknowledged; a line
`check` has every cart read. Lines of JSON tell: {"event": "half"} in the middle of writing, and {"event": "written"} or
{"event": "checked"} at the end, with what has been found so far.
"""

import http.client
import json
import sys
import threading
import time

HOST, CARTS, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# Tries of a request, and seconds between them.
TRIES, PAUSE = 200, 0.05


class Shoppers:
    """All of them."""

    def __init__(self) -> None:
        self.acknowledged: list[dict[str, int]] = [{} for _ in range(CARTS)]
        self.lock = threading.Lock()
        self.found = {"acknowledged": 0, "repeated": 0, "given up": 0, "carts lost": 0, "writes lost": 0}
        self.round = 0
        self.done = 0
        self.told = threading.Lock()

    def count(self, what: str, by: int = 1) -> None:
        """Counts."""
        with self.lock:
            self.found[what] += by

    def tell(self, event: str) -> None:
        """Prints a line."""
        with self.told:
            print(json.dumps({"event": event, **self.found}), flush=True)

    def ask(self, shopper: "Shopper", method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Repeats a request until it is answered with anything but a failure."""
        for _ in range(TRIES):
            status, answer = shopper.ask(method, path, body)
            if status < 500:
                return status, answer
            self.count("repeated")
            time.sleep(PAUSE)
        self.count("given up")
        return 503, b""

    def write(self, shopper: "Shopper", cart: int) -> None:
        """Changes a cart."""
        item = f"item-{self.round % 3}"
        status, _ = self.ask(shopper, "PUT", f"/carts/cart-{cart}/{item}", str(self.round).encode())
        if status == 200:
            self.acknowledged[cart][item] = self.round
            self.count("acknowledged")
        with self.lock:
            self.done += 1
            half = self.done == CARTS // 2
        if half:
            self.tell("half")

    def check(self, shopper: "Shopper", cart: int) -> None:
        """Reads a cart, and compares."""
        status, body = self.ask(shopper, "GET", f"/carts/cart-{cart}")
        if status != 200:
            self.count("carts lost")
            return
        items = json.loads(body)["items"]
        self.count("writes lost", sum(items.get(item) != count for item, count in self.acknowledged[cart].items()))

    def all(self, what: str) -> None:
        """Has each shopper do something with each of its carts."""
        self.done = 0
        self.round += what == "write"

        def run(first: int) -> None:
            shopper = Shopper()
            for cart in range(first, CARTS, THREADS):
                (self.write if what == "write" else self.check)(shopper, cart)

        threads = [threading.Thread(target=run, args=(first,)) for first in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.tell({"write": "written", "check": "checked"}[what])


class Shopper:
    """One connection, which is opened again when it breaks."""

    def __init__(self) -> None:
        self.connection = http.client.HTTPConnection(HOST, 80, timeout=10)

    def ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Returns status and body; 503 stands for none."""
        try:
            self.connection.request(method, path, body)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return 503, b""


shoppers = Shoppers()
for line in sys.stdin:
    shoppers.all(line.strip())
