"""Redis without Redis Cluster: a key's address leads to its server; no redirect, no slot map, no proxy."""

from __future__ import annotations

import socket
import subprocess
import threading
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from common import tools
from common.datacenter import PORT, Datacenter
from common.tables import table
from lib import timeouts
from lib.claims import Broken
from lib.files import Files

if TYPE_CHECKING:
    from common.datacenter import Endpoint
    from lib.net import Host
    from lib.stage import Program, Stage

FILES = Files(__file__)
SERVICE = FILES.published()["kv"]
ENDPOINTS = 3
REDIS = 6379


def run(stage: Stage, keys: int = 600) -> None:
    """`keys` is how many there are."""
    tools.need(stage, "key-value")
    stage.title(f"{keys} keys at {ENDPOINTS} servers of Redis, each key at the server of its address")
    stage.note(f"  {SERVICE.rules[0]}")
    center = Datacenter(stage, FILES, start, port=REDIS)
    center.join(*range(1, ENDPOINTS + 1))
    center.lead(center.plan())
    (client,) = center.client("client")
    addresses = {
        name: stage.ssa.compose(SERVICE.published, client.address, object=name)[0]
        for name in (f"user:{number}" for number in range(keys))
    }
    first = next(iter(addresses))
    told = cli(client, addresses[first], "SET", first, "by redis-cli")
    stage.claim("redis-cli at a composed address", "OK", told)
    stage.claim("and back", "by redis-cli", cli(client, addresses[first], "GET", first))
    connections = Connections()
    with client:
        for name, address in addresses.items():
            connections.ask(address, "SET", name, f"value of {name}")
    held = {name: names(one) for name, one in center.endpoints.items()}
    right = {name: {key for key, at in addresses.items() if center.slices.owner(at) == name} for name in held}
    stage.claim("servers that have exactly the keys of their addresses", True, held == right)
    table(stage, ["", "keys"], [[name, len(own)] for name, own in held.items()])

    stage.title(f"From {ENDPOINTS} to {ENDPOINTS + 1} servers, while every key is being read")
    (joined,) = center.join(ENDPOINTS + 1)
    reader = Reader(client, addresses)
    reader.start()
    plan = center.plan()
    moved = len(center.moves(plan))
    owners = {key: center.slices.owner(at) for key, at in addresses.items()}
    moving = {key: owner for key, owner in owners.items() if plan.owner(addresses[key]) != owner}
    for key, owner in moving.items():
        # Redis' own command, from server to server; the copy at the old one stays until the route has moved.
        words = ["MIGRATE", joined.host.address, str(REDIS), key, "0", "5000", "COPY", "REPLACE"]
        copied = local(center.endpoints[owner], *words)
        if copied != "OK":
            raise Broken(f"MIGRATE {key}: {copied}")
    center.lead(plan)
    reads = reader.count
    stage.wait(timeouts.SOON, "all keys are read again", lambda: reader.count > reads + 2 * keys)
    for key, owner in moving.items():
        local(center.endpoints[owner], "DEL", key)
    reads = reader.count
    stage.wait(timeouts.SOON, "all keys are read again", lambda: reader.count > reads + 2 * keys)
    reader.stop()
    opened, again = reader.connections.opened, reader.connections.again
    stage.note(f"{reader.count} reads over {opened} connections, {again} of them opened again")
    stage.claim("reads that were answered wrongly, or redirected", [], reader.wrong[:5])
    held = {name: names(one) for name, one in center.endpoints.items()}
    table(stage, ["", "keys"], [[name, len(own)] for name, own in held.items()])
    stage.claim("keys at all servers", keys, sum(len(own) for own in held.values()))
    share = round(len(moving) * (ENDPOINTS + 1) / keys, 2)
    stage.claim_between("keys that moved, of a server's share", 0.5, 1.5, share)
    fewest = (1 << center.width) // (ENDPOINTS + 1)
    stage.claim_between("slices that moved, of the fewest that can", 1, 1.02, moved / fewest)


def start(stage: Stage, endpoint: Endpoint) -> Program:
    """Starts the application of an endpoint: Redis, behind its sidecar."""
    flags = ["--bind", "::1", "--port", PORT, "--save", "", "--dir", endpoint.folder, "--protected-mode", "no"]
    command = ["redis-server", *flags]
    program = stage.tools["redis-check-rdb"]
    # By its first argument the program knows what it is.
    return stage.start(endpoint.host, f"{endpoint.name}-redis", command, executable=str(program))


def cli(client: Host, address: IPv6Address, *words: str) -> str:
    """Asks by redis-cli."""
    with client:
        done = subprocess.run(["redis-cli", "-h", str(address), *words], capture_output=True, text=True)
    return (done.stdout or done.stderr).strip()


def local(endpoint: Endpoint, *words: str) -> str:
    """Asks a server on its own host."""
    with endpoint.host:
        done = subprocess.run(["redis-cli", "-h", "::1", "-p", str(PORT), *words], capture_output=True, text=True)
    return (done.stdout or done.stderr).strip()


def names(endpoint: Endpoint) -> set[str]:
    """Returns the keys of a server."""
    return set(local(endpoint, "KEYS", "*").split())


class Connections:
    """Connections of a client, one for each address, that are opened again when they break."""

    def __init__(self) -> None:
        self.kept: dict[IPv6Address, socket.socket] = {}
        self.opened = self.again = 0

    def ask(self, address: IPv6Address, *words: str) -> str:
        """Asks, once more over a new connection where the one before is gone."""
        for fresh in (False, True):
            try:
                return self._ask(address, words)
            except OSError:
                self.kept.pop(address).close() if address in self.kept else None
                if fresh:
                    raise
                self.again += 1
        raise AssertionError("the second one returns or raises")

    def _ask(self, address: IPv6Address, words: tuple[str, ...]) -> str:
        if address not in self.kept:
            self.kept[address] = socket.create_connection((str(address), REDIS), timeouts.EXCHANGE)
            self.opened += 1
        connection = self.kept[address]
        parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        connection.sendall(f"*{len(words)}\r\n{parts}".encode())
        reply = b""
        while not reply.endswith(b"\r\n") or (reply[:1] == b"$" and reply[:3] != b"$-1" and reply.count(b"\r\n") < 2):
            more = connection.recv(65536)
            if not more:
                raise ConnectionResetError("closed")
            reply += more
        return reply.decode().split("\r\n")[1 if reply[:1] == b"$" and reply[:3] != b"$-1" else 0]


class Reader(threading.Thread):
    """Reads every key again and again, in the client's namespace."""

    def __init__(self, client: Host, addresses: dict[str, IPv6Address]) -> None:
        super().__init__(daemon=True)
        self.connections = Connections()
        self.client, self.addresses = client, addresses
        self.count = 0
        self.wrong: list[str] = []
        self.ending = threading.Event()

    def run(self) -> None:
        """Reads until it is stopped."""
        with self.client:
            while not self.ending.is_set():
                for key, address in self.addresses.items():
                    try:
                        found = self.connections.ask(address, "GET", key)
                    except OSError as error:
                        found = str(error)
                    if found != f"value of {key}":
                        self.wrong.append(f"{key}: {found}")
                    self.count += 1

    def stop(self) -> None:
        """Ends it."""
        self.ending.set()
        self.join()
